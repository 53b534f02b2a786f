package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
)

// Operators that add or repeat elements: Pad, Tile, Expand, ConstantOfShape. What they repeat is the same at every index, so it can be cut
// anywhere; what Pad adds beside channels stays.

func init() {
	register("", "Pad", Rule{Title: "same; added elements are fixed", Flow: flowPad})
	register("", "Tile", Rule{Title: "repeated", Flow: flowTile, Mend: mendTile})
	register("", "Expand", Rule{Title: "same; repeated axes are free", Flow: flowExpand, Mend: mendExpand})
	register("", "ConstantOfShape", Rule{Title: "free", Flow: flowConstantOfShape, Mend: mendConstantOfShape})
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
				m.Settle(1, k-offset)
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
