package atoms

import (
	"slices"

	"onnxprune/analysis/graph"
)

// Split cuts an axis into parts of the given sizes (their product is the axis' length), row-major, as a Reshape
// does. A part along which the atoms do not change carries nothing.
func (s *Set) Split(a Axis, sizes []int, n *graph.Node) []Axis {
	out := make([]Axis, len(sizes))
	if a.Fixed() {
		for i := range out {
			out[i].Why = a.Why
		}
		return out
	}
	relevant := varying(a.IDs, sizes)
	switch len(relevant) {
	case 0:
		s.PinArray(a.Array, &Reason{Text: "all indices of the axis are one and the same channel here", Node: n})
		return out
	case 1:
		out[relevant[0]] = Axis{Array: s.Wrap(along(a.IDs, sizes, relevant[0]))}
		return out
	}
	product := reduced(a.IDs, sizes, relevant)
	var dims []int
	for _, r := range relevant {
		dims = append(dims, sizes[r])
	}
	l := s.linked(product, dims)
	if l == nil {
		factors := make([]*Array, len(dims))
		for i, d := range dims {
			factors[i] = s.New(d)
		}
		l = s.link(product, factors, n)
	}
	for i, r := range relevant {
		out[r] = Axis{Array: l.Factors[i]}
	}
	return out
}

// Merge joins axes into one, row-major, as a Reshape does. sizes are the extents of the axes, fixed ones included.
func (s *Set) Merge(axes []Axis, sizes []int, n *graph.Node) Axis {
	var relevant []int
	var why *Reason
	for i, a := range axes {
		switch {
		case !a.Fixed():
			relevant = append(relevant, i)
		case a.Why != nil && why == nil:
			why = a.Why
		}
	}
	if len(relevant) == 0 {
		return Axis{Why: why}
	}
	total := 1
	for _, d := range sizes {
		total *= d
	}
	if len(relevant) == 1 && total == len(axes[relevant[0]].IDs) {
		return axes[relevant[0]]
	}
	var product []ID
	if len(relevant) == 1 {
		product = axes[relevant[0]].IDs
	} else {
		factors := make([]*Array, len(relevant))
		for i, r := range relevant {
			factors[i] = axes[r].Array
		}
		if product = restored(factors); product == nil {
			product = s.product(factors, n)
		}
		if total == len(product) {
			return Axis{Array: s.Wrap(product)}
		}
	}
	// every merged index takes the atom of its place among the relevant axes
	ids := make([]ID, total)
	index := make([]int, len(sizes))
	for i := range ids {
		at := 0
		for _, r := range relevant {
			at = at*sizes[r] + index[r]
		}
		ids[i] = product[at]
		next(index, sizes)
	}
	return Axis{Array: s.Wrap(ids)}
}

// product links factors to a product of fresh atoms: one for every combination of different classes. A detector that flattens its maps
// repeats a few anchors at every place; the places of an anchor go together, whichever factor is chosen, so they are one atom.
func (s *Set) product(factors []*Array, n *graph.Node) []ID {
	rows, last := factors[:len(factors)-1], factors[len(factors)-1]
	columns, width := s.classes(last.IDs)
	row, kinds := []int{0}, 1 // by row: which combination of the other factors' classes it is
	for _, a := range rows {
		numbers, n := s.classes(a.IDs)
		longer := make([]int, 0, len(row)*len(numbers))
		for _, k := range row {
			for _, m := range numbers {
				longer = append(longer, k*n+m)
			}
		}
		row, kinds = longer, kinds*n
	}
	fresh := s.New(kinds * width).IDs
	if len(fresh) == len(row)*len(last.IDs) {
		s.link(fresh, factors, n)
		return fresh
	}
	ids := make([]ID, 0, len(row)*len(last.IDs))
	var cells []int
	first := make([]int, kinds) // where the first row of a kind begins, plus 1
	for _, kind := range row {
		if from := first[kind] - 1; from >= 0 {
			ids = append(ids, ids[from:from+len(columns)]...)
			continue
		}
		first[kind] = len(ids) + 1
		known := 0
		for _, c := range columns {
			if c == known { // classes are numbered as they come
				cells = append(cells, len(ids))
				known++
			}
			ids = append(ids, fresh[kind*width+c])
		}
	}
	s.link(ids, factors, n).cells = cells
	return ids
}

// classes numbers the classes of atoms as they come, and counts them.
func (s *Set) classes(ids []ID) (numbers []int, count int) {
	known := make(map[ID]int, len(ids))
	numbers = make([]int, len(ids))
	for i, id := range ids {
		class := s.Find(id)
		k, ok := known[class]
		if !ok {
			k = len(known)
			known[class] = k
		}
		numbers[i] = k
	}
	return numbers, len(known)
}

func (s *Set) link(product []ID, factors []*Array, n *graph.Node) *Link {
	l := &Link{Product: product, Node: n, Chosen: -1}
	for i, f := range factors {
		if f.link != nil || f.Owner != nil { // the array belongs elsewhere too: a twin that is the same atoms
			twin := s.Wrap(f.IDs)
			f = twin
		}
		f.link, f.part = l, i
		l.Factors = append(l.Factors, f)
	}
	s.Links = append(s.Links, l)
	s.products[product[0]] = append(s.products[product[0]], l)
	return l
}

// linked returns the link that splits a product into factors of these sizes, nil where there is none yet.
func (s *Set) linked(product []ID, sizes []int) *Link {
	for _, l := range s.products[product[0]] {
		if slices.Equal(l.Product, product) && slices.Equal(l.Sizes(), sizes) {
			return l
		}
	}
	return nil
}

// restored returns the product of a link whose factors are all here, permuted to their order here; nil where they
// are not.
func restored(factors []*Array) []ID {
	l := factors[0].link
	if l == nil || len(l.Factors) != len(factors) {
		return nil
	}
	at := make([]int, len(factors)) // at[p] = position here of the link's p-th factor
	for i := range at {
		at[i] = -1
	}
	for i, f := range factors {
		if f.link != l || at[f.part] >= 0 {
			return nil
		}
		at[f.part] = i
	}
	sizes := make([]int, len(factors))
	for i, f := range factors {
		sizes[i] = len(f.IDs)
	}
	out := make([]ID, len(l.Product))
	index := make([]int, len(factors))
	for i := range out {
		k := 0
		for p := range l.Factors {
			k = k*sizes[at[p]] + index[at[p]]
		}
		out[i] = l.Product[k]
		next(index, sizes)
	}
	return out
}

// next counts a row-major index up.
func next(index, sizes []int) {
	for k := len(index) - 1; k >= 0; k-- {
		if index[k]++; index[k] < sizes[k] {
			return
		}
		index[k] = 0
	}
}

// varying lists the parts along which the atoms change.
func varying(ids []ID, sizes []int) []int {
	var out []int
	for p := range sizes {
		inner := 1
		for _, d := range sizes[p+1:] {
			inner *= d
		}
		period := inner * sizes[p]
		for i := range ids {
			if i%period >= inner && ids[i] != ids[i-inner] {
				out = append(out, p)
				break
			}
		}
	}
	return out
}

// along returns the atoms of one part, the others at index 0.
func along(ids []ID, sizes []int, p int) []ID {
	inner := 1
	for _, d := range sizes[p+1:] {
		inner *= d
	}
	out := make([]ID, sizes[p])
	for i := range out {
		out[i] = ids[i*inner]
	}
	return out
}

// reduced returns the atoms over the relevant parts only, the others at index 0.
func reduced(ids []ID, sizes, relevant []int) []ID {
	if len(relevant) == len(sizes) {
		return ids
	}
	stride := make([]int, len(sizes)+1)
	stride[len(sizes)] = 1
	for i := len(sizes) - 1; i >= 0; i-- {
		stride[i] = stride[i+1] * sizes[i]
	}
	dims := make([]int, len(relevant))
	n := 1
	for i, r := range relevant {
		dims[i] = sizes[r]
		n *= dims[i]
	}
	out := make([]ID, n)
	index := make([]int, len(dims))
	for i := range out {
		at := 0
		for k, r := range relevant {
			at += index[k] * stride[r+1]
		}
		out[i] = ids[at]
		next(index, dims)
	}
	return out
}
