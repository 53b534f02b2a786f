package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/onnxio"
)

// Operators that take lists of channels apart and put them together: Concat, Split, Slice, Gather, Pad, Tile, Expand. The
// positions and sizes that they have written down change with the channels.

func init() {
	register("", "Concat", Rule{Title: "appended on the axis, unified on the others", Flow: func(c *Context) { flowConcat(c, nil, c.Int("axis", 1)) }})
	register("com.microsoft", "QLinearConcat", Rule{Title: "appended on the axis, unified on the others", Flow: func(c *Context) {
		var ins []int
		for i := 2; i < len(c.Node.Inputs); i += 3 {
			ins = append(ins, i)
		}
		flowConcat(c, ins, c.Int("axis", 1))
	}})
	register("", "Split", Rule{Title: "sub-lists", Flow: flowSplit, Mend: mendSplit})
	register("", "Slice", Rule{Title: "sub-list", Flow: flowSlice, Mend: mendSlice})
	register("", "Gather", Rule{Title: "by constant indices", Flow: flowGather, Mend: mendGather})
	register("", "Pad", Rule{Title: "same; added elements are fixed", Flow: flowPad})
	register("", "Tile", Rule{Title: "repeated", Flow: flowTile, Mend: mendTile})
	register("", "Expand", Rule{Title: "same; repeated axes are free", Flow: flowExpand, Mend: mendExpand})
	register("", "ConstantOfShape", Rule{Title: "free", Flow: flowConstantOfShape, Mend: mendConstantOfShape})
}

// flowConcat appends the given inputs, all of them where ins is nil.
func flowConcat(c *Context, ins []int, axis int64) {
	if ins == nil {
		for i := range c.Node.Inputs {
			ins = append(ins, i)
		}
	}
	rank := c.OutInfo(0).Rank()
	if rank < 1 {
		c.Barrier("the rank of its output is not known")
		return
	}
	at := c.Axis(axis, rank)
	out := Fixed(rank)
	for k := range out {
		if k == at {
			continue
		}
		for j, i := range ins {
			a := c.In(i)
			if len(a) != rank {
				c.Barrier("its inputs have different ranks")
				return
			}
			if j == 0 {
				out[k] = a[k]
			} else {
				out[k] = c.Unify(out[k], a[k], "beside one another in a concatenation")
			}
		}
	}
	out[at] = c.append(ins, at)
	c.Out(0, out)
}

// append joins the labels of one axis of several inputs.
func (c *Context) append(ins []int, at int) atoms.Axis {
	labelled, known := false, true
	for _, i := range ins {
		labelled = labelled || !c.In(i)[at].Fixed()
		_, ok := c.Info(i).Fixed(at)
		known = known && ok
	}
	if !labelled {
		return atoms.Axis{Why: c.In(ins[0])[at].Why}
	}
	if !known {
		for _, i := range ins {
			c.Pin(c.In(i)[at], "%s appends it to something of unknown size", c.Node.Title())
		}
		return atoms.Axis{}
	}
	var ids []atoms.ID
	for _, i := range ins {
		a := c.In(i)[at]
		n, _ := c.Info(i).Fixed(at)
		if a.Fixed() && n > 0 {
			a = c.pinned(int(n), a.Why)
		}
		if !a.Fixed() {
			ids = append(ids, a.IDs...)
		}
	}
	return atoms.Axis{Array: c.Set.Wrap(ids)}
}

// pinned returns n atoms that can not go.
func (c *Context) pinned(n int, why *atoms.Reason) atoms.Axis {
	if why == nil {
		why = c.Reason("it belongs to a value without removable channels")
	}
	a := c.Set.New(n)
	c.Set.PinArray(a, why)
	return atoms.Axis{Array: a}
}

func flowSplit(c *Context) {
	c.Ignore("split", "num_outputs")
	x := c.In(0)
	at := c.Axis(c.Int("axis", 0), len(x))
	from := 0
	for i, v := range c.Node.Outputs {
		if v == nil { // its size still counts, but is declared nowhere: only an even split is certain
			if !x[at].Fixed() {
				c.Pin(x[at], "an output of %s is not used and has no known size", c.Node.Title())
			}
			continue
		}
		out := slices.Clone(x)
		n, ok := c.OutInfo(i).Fixed(at)
		switch {
		case x[at].Fixed():
		case !ok || from+int(n) > len(x[at].IDs):
			c.Barrier("the sizes of its outputs are not known")
			return
		default:
			out[at] = c.Take(x[at], span(from, from+int(n)))
		}
		from += int(n)
		c.Out(i, out)
	}
}

func span(from, to int) []int {
	out := make([]int, 0, to-from)
	for ; from < to; from++ {
		out = append(out, from)
	}
	return out
}

func mendSplit(m *Mend) {
	x := m.Shapes.Of(m.Node.Input(0))
	at := int(m.Node.Int("axis", 0))
	if at < 0 {
		at += x.Rank()
	}
	var want []int64
	any := false
	for i := range m.Node.Outputs {
		n, changed, ok := m.Out(i, at)
		if !ok {
			return
		}
		any = any || changed
		want = append(want, n)
	}
	if !any {
		return
	}
	if a := m.Node.Attr("split"); a != nil || m.Node.Version < 13 {
		m.Attr(onnxio.NewInts("split", want...))
		return
	}
	if m.Node.Input(1) == nil {
		m.SetAll(1, want)
		m.Drop("num_outputs")
		return
	}
	for k, n := range want {
		m.Demand(1, k, n)
	}
}

// slice is one axis of a Slice, in elements of the input: start, step, and how many come out.
type slice struct {
	axis        int
	start, step int64
	element     int // which element of starts, ends, axes and steps it is
}

// slicesOf puts starts and steps into elements of the input, axis by axis.
func (s *State) slicesOf(starts, ends, axes, steps []int64, rank int, dim func(int) (int64, bool)) ([]slice, bool) {
	var out []slice
	for k := range starts {
		at := int64(k)
		if axes != nil {
			at = axes[k]
		}
		if at < 0 {
			at += int64(rank)
		}
		sl := slice{axis: int(at), start: starts[k], step: 1, element: k}
		if steps != nil {
			sl.step = steps[k]
		}
		n, ok := dim(sl.axis)
		if ok {
			if sl.start < 0 {
				sl.start += n
			}
			if sl.step > 0 {
				sl.start = min(max(sl.start, 0), n)
			} else {
				sl.start = min(max(sl.start, 0), n-1)
			}
		}
		out = append(out, sl)
	}
	return out, true
}

// sliceOperands returns the operands of a Slice; any that is not known is nil, with ok false.
func (s *State) sliceOperands(c *Context) (starts, ends, axes, steps []int64, ok bool) {
	if c.Node.Version < 10 {
		starts, ok = c.Ints("starts")
		ends, _ = c.Ints("ends")
		if a, has := c.Ints("axes"); has {
			axes = a
		}
		return starts, ends, axes, nil, ok
	}
	starts, ok = c.Constants(1)
	if ends, _ = c.Constants(2); ends == nil {
		ok = false
	}
	for i, dst := range []*[]int64{&axes, &steps} {
		if c.Has(3 + i) {
			v, known := c.Constants(3 + i)
			if !known {
				ok = false
			}
			*dst = v
		}
	}
	return starts, ends, axes, steps, ok
}

func flowSlice(c *Context) {
	c.Ignore("starts", "ends", "axes")
	x := c.In(0)
	out := slices.Clone(x)
	starts, ends, axes, steps, ok := c.sliceOperands(c)
	if !ok {
		c.sliceUnknown(x, out)
		return
	}
	list, _ := c.slicesOf(starts, ends, axes, steps, len(x), c.Info(0).Fixed)
	for _, sl := range list {
		if sl.axis < 0 || sl.axis >= len(x) || x[sl.axis].Fixed() {
			continue
		}
		n, ok := c.OutInfo(0).Fixed(sl.axis)
		if !ok {
			c.Pin(x[sl.axis], "%s takes a part of unknown size", c.Node.Title())
			out[sl.axis] = atoms.Axis{}
			continue
		}
		if all := len(x[sl.axis].IDs); int(n) == all && sl.step == 1 {
			continue
		}
		if sl.step != 1 && sl.step != -1 {
			c.Pin(x[sl.axis], "%s takes every %d-th channel", c.Node.Title(), sl.step)
		}
		index := make([]int, n)
		for i := range index {
			index[i] = int(sl.start + int64(i)*sl.step)
			if index[i] < 0 || index[i] >= len(x[sl.axis].IDs) {
				c.Barrier("its bounds lie outside its input %v", c.Info(0))
				return
			}
		}
		out[sl.axis] = c.Take(x[sl.axis], index)
	}
	c.Out(0, out)
}

// sliceUnknown handles bounds that are computed at run time: axes that keep their extent pass, the others are pinned.
func (c *Context) sliceUnknown(x, out []atoms.Axis) {
	axes, known := c.Constants(3)
	for k := range x {
		touched := !known
		for _, a := range axes {
			touched = touched || int(a) == k || int(a)+len(x) == k
		}
		if touched {
			c.Pin(x[k], "%s takes a part of it whose bounds are computed at run time", c.Node.Title())
			out[k] = atoms.Axis{}
		}
	}
	c.Out(0, out)
}

func mendSlice(m *Mend) {
	c := NewContext(m.State, m.Node)
	starts, ends, axes, steps, ok := m.sliceOperands(c)
	if !ok {
		return
	}
	x := m.Axes(0)
	list, _ := m.slicesOf(starts, ends, axes, steps, len(x), c.Info(0).Fixed)
	newStarts, newEnds := slices.Clone(starts), slices.Clone(ends)
	changed := false
	for _, sl := range list {
		if x[sl.axis].Fixed() {
			continue
		}
		kept := m.Kept(x[sl.axis])
		count, _, ok := m.Out(0, sl.axis)
		if kept == nil || !ok {
			continue
		}
		old, _ := c.OutInfo(0).Fixed(sl.axis)
		if sl.step == 1 && old == int64(len(x[sl.axis].IDs)) {
			if e := ends[sl.element]; e >= 0 && e < old {
				continue
			}
		}
		start := int64(0) // kept channels before the first
		if sl.step > 0 {
			for _, k := range kept {
				if int64(k) < sl.start {
					start++
				}
			}
		} else {
			start = -1
			for _, k := range kept {
				if int64(k) <= sl.start {
					start++
				}
			}
		}
		s, e := start, start+count
		if sl.step < 0 {
			if e = start - count; e < 0 {
				e = -1 << 31
			}
		}
		if m.holds(sl, s, count, int64(len(kept))) {
			continue
		}
		newStarts[sl.element], newEnds[sl.element] = s, e
		changed = true
		if m.Node.Version >= 10 {
			m.Demand(1, sl.element, s)
			m.Demand(2, sl.element, e)
		}
	}
	if changed && m.Node.Version < 10 {
		m.Attr(onnxio.NewInts("starts", newStarts...))
		m.Attr(onnxio.NewInts("ends", newEnds...))
	}
}

// holds reports whether the bounds, as they will be after the cut, already give count channels from start on.
func (m *Mend) holds(sl slice, start, count, n int64) bool {
	if sl.step != 1 {
		return false
	}
	var s, e int64
	if m.Node.Version < 10 {
		a, b := m.Node.Attr("starts"), m.Node.Attr("ends")
		s, e = a.Ints[sl.element], b.Ints[sl.element]
	} else {
		var ok1, ok2 bool
		s, ok1 = m.Element(1, sl.element)
		e, ok2 = m.Element(2, sl.element)
		if !ok1 || !ok2 {
			return false
		}
	}
	if s < 0 {
		s += n
	}
	if e < 0 {
		e += n
	}
	return min(max(s, 0), n) == start && min(max(e, 0), n) == start+count
}

func flowGather(c *Context) {
	x := c.In(0)
	at := c.Axis(c.Int("axis", 0), len(x))
	ix := c.In(1)
	out := append(slices.Clone(x[:at]), ix...)
	out = append(out, x[at+1:]...)
	if x[at].Fixed() {
		for i := range ix {
			out[at+i] = ix[i]
		}
		c.Out(0, out)
		return
	}
	index, ok := c.Constants(1)
	if !ok {
		c.Pin(x[at], "%s picks from it by indices that are known only at run time", c.Node.Title())
		c.Out(0, out)
		return
	}
	take := make([]int, len(index))
	for i, k := range index {
		if k < 0 {
			k += int64(len(x[at].IDs))
		}
		if k < 0 || int(k) >= len(x[at].IDs) {
			c.Barrier("index %d is outside its input %v", k, c.Info(0))
			return
		}
		take[i] = int(k)
	}
	picked := c.Take(x[at], take)
	if len(ix) == 1 {
		out[at] = picked // the indices' own atoms take no part: the list is written anew
	} else {
		c.Pin(picked, "%s picks it by its index", c.Node.Title())
		for i := range ix {
			c.Pin(ix[i], "it is an axis of the indices of %s", c.Node.Title())
			out[at+i] = atoms.Axis{}
		}
	}
	c.Out(0, out)
}

func mendGather(m *Mend) {
	x := m.Axes(0)
	at := int(m.Node.Int("axis", 0))
	if at < 0 {
		at += len(x)
	}
	if at >= len(x) || x[at].Fixed() {
		return
	}
	kept := m.Kept(x[at])
	c := NewContext(m.State, m.Node)
	index, ok := c.Constants(1)
	if !ok || kept == nil {
		return
	}
	rank := map[int64]int64{}
	for i, k := range kept {
		rank[int64(k)] = int64(i)
	}
	var want []int64
	same := true
	for i, k := range index {
		if k < 0 {
			k += int64(len(x[at].IDs))
		}
		r, ok := rank[k]
		if !ok {
			same = false
			continue
		}
		same = same && r == index[i]
		want = append(want, r)
	}
	switch {
	case same:
	case c.Rank(1) == 0:
		m.SetScalar(1, want[0])
	case c.Rank(1) == 1:
		m.SetAll(1, want)
	default:
		for i, w := range want {
			m.Put(1, i, w)
		}
	}
}

func flowPad(c *Context) {
	mode := c.Text("mode", "constant")
	c.Ignore("value")
	x := c.In(0)
	pads, ok := c.Ints("pads")
	if !ok {
		pads, ok = c.Ints("paddings") // opset 1
	}
	if !ok {
		pads, ok = c.Constants(1)
	}
	var axes []int64
	if c.Has(3) {
		if axes, ok = c.Constants(3); axes == nil {
			pads = nil
		}
	}
	if pads == nil || !ok && !c.Has(1) {
		for _, a := range x {
			c.Pin(a, "%s pads it by amounts that are known only at run time", c.Node.Title())
		}
		return
	}
	if axes == nil {
		for k := range x {
			axes = append(axes, int64(k))
		}
	}
	out := slices.Clone(x)
	for i, a := range axes {
		k := c.Axis(a, len(x))
		if 2*len(axes) != len(pads) {
			c.Barrier("its pads %v do not fit its axes", pads)
			return
		}
		before, after := int(pads[i]), int(pads[i+len(axes)])
		if before == 0 && after == 0 || x[k].Fixed() {
			continue
		}
		if mode != "constant" || before < 0 || after < 0 {
			c.Pin(x[k], "%s pads it in mode %s", c.Node.Title(), mode)
			out[k] = atoms.Axis{}
			continue
		}
		index := append(repeat(-1, before), span(0, len(x[k].IDs))...)
		out[k] = c.Take(x[k], append(index, repeat(-1, after)...))
	}
	c.Out(0, out)
}

func repeat(v, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = v
	}
	return out
}

func flowTile(c *Context) {
	x := c.In(0)
	reps, ok := c.Constants(1)
	if ok && len(reps) != len(x) {
		c.Barrier("its repeats %v do not fit its input %v", reps, c.Info(0))
		return
	}
	out := Fixed(len(x))
	for k, a := range x {
		n, known := c.Info(0).Fixed(k)
		r, fixed := c.OutInfo(0).Fixed(k)
		switch {
		case c.Info(0).Dims[k].Equal(c.OutInfo(0).Dims[k]):
			out[k] = a
		case known && n == 1 && fixed:
			out[k] = c.Free(r)
		case a.Fixed():
		case !ok:
			c.Pin(a, "%s repeats it a number of times that is known only at run time", c.Node.Title())
		default:
			var ids []atoms.ID
			for range reps[k] {
				ids = append(ids, a.IDs...)
			}
			out[k] = atoms.Axis{Array: c.Set.Wrap(ids)}
		}
	}
	c.Out(0, out)
}

func mendTile(m *Mend) {
	info := m.Shapes.Of(m.Node.Input(0))
	for k := range info.Rank() {
		if n, ok := info.Fixed(k); ok && n == 1 {
			if want, changed, _ := m.Out(0, k); changed {
				m.Demand(1, k, want)
			}
		}
	}
}

func flowExpand(c *Context) {
	x := c.In(0)
	info := c.OutInfo(0)
	out := Fixed(info.Rank())
	offset := info.Rank() - len(x)
	for k := range out {
		if k >= offset {
			if c.Info(0).Dims[k-offset].Equal(info.Dims[k]) {
				out[k] = x[k-offset]
				continue
			}
			if n, ok := c.Info(0).Fixed(k - offset); !ok || n != 1 {
				c.Pin(x[k-offset], "%s repeats it a number of times that is known only at run time", c.Node.Title())
				continue
			}
		}
		if n, ok := info.Fixed(k); ok {
			out[k] = c.Free(n)
		}
	}
	c.Out(0, out)
}

func mendExpand(m *Mend) {
	info := m.Shapes.Of(m.Node.Output(0))
	target := m.Shapes.Of(m.Node.Input(1))
	n, ok := target.Fixed(0)
	if !ok {
		return
	}
	offset := info.Rank() - int(n)
	for k := max(offset, 0); k < info.Rank(); k++ {
		want, changed, _ := m.Out(0, k)
		if !changed {
			continue
		}
		if got, ok := m.Element(1, k-offset); ok && got == 1 {
			if in, _, ok := m.In(0, k-(info.Rank()-m.Shapes.Of(m.Node.Input(0)).Rank())); ok && in == want {
				continue
			}
		}
		m.Demand(1, k-offset, want)
	}
}

func flowConstantOfShape(c *Context) {
	c.Ignore("value")
	info := c.OutInfo(0)
	out := Fixed(info.Rank())
	for k := range out {
		if n, ok := info.Fixed(k); ok {
			out[k] = c.Free(n)
		}
	}
	c.Out(0, out)
}

func mendConstantOfShape(m *Mend) {
	for k := range m.Shapes.Of(m.Node.Output(0)).Rank() {
		if want, changed, _ := m.Out(0, k); changed {
			m.Demand(0, k, want)
		}
	}
}
