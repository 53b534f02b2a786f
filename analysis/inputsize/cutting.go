package inputsize

import (
	"math"
	"slices"

	"onnxprune/analysis/shape"
)

// Operators that take a part of an axis: which part, is written down as positions.

// position brings a boundary between two indices of an axis to the new size: it must lie at an end or between two pieces, or at the same
// share of a single map.
func position(a Axis, n int64) (int64, bool) {
	old, now := int64(0), int64(0)
	if n == 0 {
		return 0, true
	}
	for _, p := range a {
		old, now = old+p.old(), now+p.new()
		if n == old {
			return now, true
		}
	}
	if f, single := a.single(); single && f.Kind != Fixed && f.Old > 0 && n*f.New%f.Old == 0 && n > 1 {
		return n * f.New / f.Old, true
	}
	return 0, false
}

// taken returns what is left of an axis between two indices at the old size.
func taken(a Axis, start, end int64) (Axis, bool) {
	old := int64(0)
	var out Axis
	for _, p := range a {
		from, to := old, old+p.old()
		old = to
		switch {
		case to <= start || from >= end:
		case from >= start && to <= end:
			out = append(out, p)
		default:
			if f, single := (Axis{p}).single(); single {
				s, ok1 := position(Axis{p}, max(start-from, 0))
				e, ok2 := position(Axis{p}, min(end-from, p.old()))
				if ok1 && ok2 {
					out = append(out, Piece{{min(end, to) - max(start, from), e - s, f.Kind}})
					continue
				}
			}
			return nil, false
		}
	}
	return out, out != nil
}

// cut is one axis that a Slice cuts.
type cut struct {
	axis             int
	start, end, step int64 // as they are written
}

// cuts reads the bounds of a Slice; ok is false where they are not all written down.
func (x *visit) cuts() (list []cut, ok bool) {
	in := x.in(0)
	var starts, ends, axes, steps []int64
	if x.node.Version < 10 {
		starts, _ = x.node.Ints("starts")
		ends, _ = x.node.Ints("ends")
		axes, _ = x.node.Ints("axes")
	} else {
		var ok1, ok2 bool
		starts, ok1 = x.written(1)
		ends, ok2 = x.written(2)
		if !ok1 || !ok2 {
			return nil, false
		}
		for i, to := range map[int]*[]int64{3: &axes, 4: &steps} {
			if x.node.Input(i) == nil {
				continue
			}
			vs, ok := x.written(i)
			if !ok {
				return nil, false
			}
			*to = vs
		}
	}
	for i := range starts {
		c := cut{i, starts[i], ends[i], 1}
		if axes != nil {
			c.axis = at(axes[i], len(in))
		}
		if steps != nil {
			c.step = steps[i]
		}
		if c.axis < 0 || c.axis >= len(in) {
			return nil, false
		}
		list = append(list, c)
	}
	return list, true
}

// bounds returns start and end of a forward cut as indices at the old size.
func (c cut) bounds(n int64) (start, end int64) {
	start, end = c.start, c.end
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	return min(max(start, 0), n), min(max(end, 0), n)
}

func sliceBounds(x *visit) error {
	list, ok := x.cuts()
	in := x.in(0)
	if !ok || !varies(in) {
		return nil
	}
	starts, ends := make([]int64, len(list)), make([]int64, len(list))
	newStarts, newEnds := make([]int64, len(list)), make([]int64, len(list))
	for i, c := range list {
		starts[i], ends[i] = c.start, c.end
		newStarts[i], newEnds[i] = c.start, c.end
		a := in[c.axis]
		if !a.Varies() {
			continue
		}
		if c.step != 1 {
			if c.step > 1 && c.start >= 0 && c.start < c.step && c.end >= a.Old() { // every second row or column
				if c.end == a.Old() {
					newEnds[i] = a.New()
				}
				continue
			}
			return x.fail(0, "it takes every %d. element of axis %d, from %d to %d, which can not be told at another size", c.step, c.axis, c.start, c.end)
		}
		start, end := c.bounds(a.Old())
		s, ok1 := position(a, start)
		e, ok2 := position(a, end)
		if !ok1 || !ok2 {
			if start < 16 && end == a.Old() && len(a) == 1 { // a border is left out
				continue
			}
			return x.fail(0, "it takes the elements %d to %d of axis %d, which is %v: that is no border between maps", start, end, c.axis, a)
		}
		if c.start > 0 {
			newStarts[i] = s
		}
		if c.end > 0 && c.end < math.MaxInt32 && !(c.end >= a.Old() && c.end >= a.New()) || c.end == a.Old() {
			newEnds[i] = e
		}
	}
	if x.node.Version < 10 {
		if !slices.Equal(starts, newStarts) {
			x.setInts("starts", newStarts)
		}
		if !slices.Equal(ends, newEnds) {
			x.setInts("ends", newEnds)
		}
		return nil
	}
	x.setOperand(1, starts, newStarts)
	x.setOperand(2, ends, newEnds)
	return nil
}

func slice(x *visit) error {
	in := x.in(0)
	if !varies(in) {
		return numbersOnly(x)
	}
	list, ok := x.cuts()
	if !ok {
		return sliceComputed(x, in)
	}
	out := slices.Clone(in)
	for _, c := range list {
		a := in[c.axis]
		if a == nil {
			continue
		}
		start, end := c.bounds(a.Old())
		switch {
		case !a.Varies():
			n, known := x.base.Of(x.node.Output(0)).Fixed(c.axis)
			if !known {
				return nil
			}
			out[c.axis] = fixed(n)
		case c.step > 1 || start < 16 && end == a.Old() && len(a) == 1 && start > 0:
			f, single := a.single()
			old, k1 := x.base.Of(x.node.Output(0)).Fixed(c.axis)
			now, k2 := x.now.Of(x.node.Output(0)).Fixed(c.axis)
			if !single || !k1 || !k2 {
				return x.fail(0, "it takes every %d. element of axis %d, which is %v", c.step, c.axis, a)
			}
			out[c.axis] = Axis{{{old, now, f.Kind}}}
		default:
			part, ok := taken(a, start, end)
			if !ok {
				return x.fail(0, "it takes the elements %d to %d of axis %d, which is %v: that is no border between maps", start, end, c.axis, a)
			}
			out[c.axis] = part
		}
	}
	x.out(0, out)
	return nil
}

// sliceComputed is for bounds that are computed from the size: what they leave of a single map is known by its extent.
func sliceComputed(x *visit, in []Axis) error {
	o := x.node.Output(0)
	out := make([]Axis, len(in))
	for a := range out {
		old, k1 := x.base.Of(o).Fixed(a)
		now, k2 := x.now.Of(o).Fixed(a)
		switch {
		case !k1 || !k2 || in[a] == nil:
		case in[a].Old() == old && in[a].New() == now:
			out[a] = in[a]
		case !in[a].Varies():
			out[a] = Axis{{{old, now, Open}}}
			if old == now {
				out[a] = fixed(old)
			}
		default:
			if f, single := in[a].single(); single {
				out[a] = Axis{{{old, now, f.Kind}}}
				break
			}
			part, ok := x.takenBetween(in[a], a)
			if !ok {
				return x.fail(0, "computed bounds cut axis %d, which is %v: that is no border between maps", a, in[a])
			}
			out[a] = part
		}
	}
	x.out(0, out)
	return nil
}

// takenBetween returns what a Slice leaves of one axis of several maps, between bounds that are computed and known at both sizes.
func (x *visit) takenBetween(a Axis, axis int) (Axis, bool) {
	bounds := func(r *shape.Result, n int64) (start, end int64, ok bool) {
		var list [4][]int64
		for i := 1; i <= 4; i++ {
			v := x.node.Input(i)
			if v == nil && i > 2 {
				continue
			}
			if list[i-1], ok = r.Of(v).Ints(); !ok {
				return 0, 0, false
			}
		}
		for i := range list[0] {
			c := cut{axis: i, start: list[0][i], end: list[1][i]}
			if list[2] != nil {
				c.axis = at(list[2][i], len(x.in(0)))
			}
			if list[3] != nil && list[3][i] != 1 {
				return 0, 0, false
			}
			if c.axis == axis {
				start, end = c.bounds(n)
				return start, end, true
			}
		}
		return 0, n, true
	}
	start, end, ok := bounds(x.base, a.Old())
	from, to, also := bounds(x.now, a.New())
	if !ok || !also {
		return nil, false
	}
	s, ok1 := position(a, start)
	e, ok2 := position(a, end)
	if !ok1 || !ok2 || s != from || e != to {
		return nil, false
	}
	return taken(a, start, end)
}

// splitSizes mends the sizes of a Split along an axis of cells.
func splitSizes(x *visit) error {
	in := x.in(0)
	k := at(x.node.Int("axis", 0), len(in))
	if k < 0 || k >= len(in) || !in[k].Varies() {
		return nil
	}
	sizes, written := x.splitWritten()
	if !written {
		return nil
	}
	is := make([]int64, len(sizes))
	from := int64(0)
	for i, n := range sizes {
		part, ok := taken(in[k], from, from+n)
		if !ok {
			return x.fail(0, "part %d takes the elements %d to %d of axis %d, which is %v: that is no border between maps", i, from, from+n, k, in[k])
		}
		is[i] = part.New()
		from += n
	}
	if _, attribute := x.node.Ints("split"); attribute {
		if !slices.Equal(is, sizes) {
			x.setInts("split", is)
		}
		return nil
	}
	x.setOperand(1, sizes, is)
	return nil
}

// splitWritten returns the sizes of a Split's parts where they are written down.
func (x *visit) splitWritten() ([]int64, bool) {
	if sizes, ok := x.node.Ints("split"); ok {
		return sizes, true
	}
	if x.node.Input(1) == nil {
		return nil, false
	}
	return x.written(1)
}

func split(x *visit) error {
	in := x.in(0)
	k := at(x.node.Int("axis", 0), len(in))
	from := int64(0)
	for i, o := range x.node.Outputs {
		if o == nil {
			continue
		}
		n, known := x.base.Of(o).Fixed(k)
		if !known {
			return nil
		}
		out := slices.Clone(in)
		if in[k].Varies() {
			part, ok := taken(in[k], from, from+n)
			if !ok {
				return x.fail(0, "part %d takes the elements %d to %d of axis %d, which is %v: that is no border between maps", i, from, from+n, k, in[k])
			}
			out[k] = part
		} else {
			out[k] = fixed(n)
		}
		from += n
		x.out(i, out)
	}
	return nil
}

// gatherIndices refuses positions of cells that are written down, but for the first and the last.
func gatherIndices(x *visit) error {
	in := x.in(0)
	k := at(x.node.Int("axis", 0), len(in))
	if k < 0 || k >= len(in) || !in[k].Varies() {
		return nil
	}
	list, ok := x.written(1)
	if !ok {
		if x.isConstant(x.node.Input(1)) {
			return x.fail(1, "it names cells of axis %d, which is %v, by their positions", k, in[k])
		}
		return nil
	}
	if slices.ContainsFunc(list, func(n int64) bool { return n > 0 || n < -1 }) {
		return x.fail(1, "it names cells of axis %d, which is %v, by their positions %v", k, in[k], list)
	}
	return nil
}

func gather(x *visit) error {
	in, index := x.in(0), x.in(1)
	if x.now.Of(x.node.Input(0)).Rank() <= 1 && !varies(in) && !varies(index) {
		return numbersOnly(x)
	}
	k := at(x.node.Int("axis", 0), len(in))
	if k < 0 || k >= len(in) {
		return nil
	}
	out := slices.Clone(in[:k])
	out = append(out, index...)
	out = append(out, in[k+1:]...)
	x.out(0, out)
	return nil
}

func gatherElements(x *visit) error {
	x.out(0, x.in(1))
	return nil
}

// topKCount refuses a TopK of more than the new size has.
func topKCount(x *visit) error {
	in := x.in(0)
	k := at(x.node.Int("axis", -1), len(in))
	count, ok := x.written(1)
	if k < 0 || k >= len(in) || !in[k].Varies() || !ok || len(count) != 1 {
		return nil
	}
	switch {
	case count[0] == in[k].Old(): // a sort of all
		x.setOperand(1, count, []int64{in[k].New()})
	case count[0] > in[k].New():
		return x.fail(1, "it takes the best %d of axis %d, which would have %d: a larger input is needed", count[0], k, in[k].New())
	}
	return nil
}

func topK(x *visit) error {
	in := x.in(0)
	k := at(x.node.Int("axis", -1), len(in))
	for i, o := range x.node.Outputs {
		if o == nil {
			continue
		}
		out := slices.Clone(in)
		n, known := x.base.Of(o).Fixed(k)
		m, also := x.now.Of(o).Fixed(k)
		switch {
		case !known || !also:
			out[k] = nil
		case n == m:
			out[k] = fixed(n)
		default:
			out[k] = Axis{{{n, m, Open}}}
		}
		x.out(i, out)
	}
	return nil
}
