package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/onnxio"
)

// Slice takes a range of channels: its bounds move with what is cut before and inside of them.

func init() {
	register("", "Slice", Rule{Title: "sub-list", Flow: flowSlice, Mend: mendSlice})
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
			m.Settle(1, sl.element)
			m.Settle(2, sl.element)
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
