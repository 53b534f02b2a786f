package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/onnxio"
)

// Operators that add or repeat elements: Pad, Tile, Expand, ConstantOfShape. What they repeat or add is the same at every index, so it can
// be cut anywhere: the shortcut of a ResNet that pads with channels of zeros loses as many of them as the branch that it meets.

func init() {
	register("", "Pad", Rule{Title: "same; added elements are free", Flow: flowPad, Mend: mendPad})
	register("", "Tile", Rule{Title: "repeated", Flow: flowTile, Mend: mendTile})
	register("", "Expand", Rule{Title: "same; repeated axes are free", Flow: flowExpand, Mend: mendExpand})
	register("", "ConstantOfShape", Rule{Title: "free", Flow: flowConstantOfShape, Mend: mendConstantOfShape})
}

// padding is what a Pad adds to one axis.
type padding struct {
	axis, before, after int
	first, second       int // where pads says so
}

// paddings reads the amounts; ok is false where they are known only at run time.
func (c *Context) paddings() (list []padding, ok bool) {
	rank := c.Rank(0)
	pads, ok := c.Ints("pads")
	if !ok {
		pads, ok = c.Ints("paddings") // opset 1
	}
	if !ok {
		pads, ok = c.Constants(1)
	}
	var axes []int64
	if c.Has(3) {
		known := false
		axes, known = c.Constants(3)
		ok = ok && known
	} else {
		for k := range rank {
			axes = append(axes, int64(k))
		}
	}
	if !ok {
		return nil, false
	}
	if 2*len(axes) != len(pads) {
		c.Barrier("its pads %v do not fit its axes", pads)
		return nil, true
	}
	for i, a := range axes {
		list = append(list, padding{c.Axis(a, rank), int(pads[i]), int(pads[i+len(axes)]), i, i + len(axes)})
	}
	return list, true
}

func flowPad(c *Context) {
	mode := c.Text("mode", "constant")
	c.Ignore("value", "pads", "paddings")
	x := c.In(0)
	list, ok := c.paddings()
	if !ok {
		for _, a := range x {
			c.Pin(a, "%s pads it by amounts that are known only at run time", c.Node.Title())
		}
		return
	}
	out := slices.Clone(x)
	for _, p := range list {
		k := p.axis
		if p.before == 0 && p.after == 0 || k >= len(x) || x[k].Fixed() {
			continue
		}
		if mode != "constant" || p.before < 0 || p.after < 0 {
			c.Pin(x[k], "%s pads it in mode %s", c.Node.Title(), mode)
			out[k] = atoms.Axis{}
			continue
		}
		added := c.Set.New(p.before + p.after).IDs
		out[k] = atoms.Axis{Array: c.Set.Wrap(slices.Concat(added[:p.before], x[k].IDs, added[p.before:]))}
	}
	c.Out(0, out)
}

func mendPad(m *Mend) {
	c := NewContext(m.State, m.Node)
	x, out := m.Axes(0), m.OutAxes(0)
	list, _ := c.paddings()
	var changed []padding
	for _, p := range list {
		if p.axis >= len(x) || x[p.axis].Fixed() || out[p.axis].Fixed() || p.before == 0 && p.after == 0 {
			continue
		}
		kept := m.Kept(out[p.axis])
		if kept == nil {
			continue
		}
		from, to := p.before, p.before+len(x[p.axis].IDs)
		p.before, p.after = 0, 0
		for _, k := range kept {
			if k < from {
				p.before++
			} else if k >= to {
				p.after++
			}
		}
		changed = append(changed, p)
	}
	if m.Node.Version >= 11 {
		for _, p := range changed {
			m.Demand(1, p.first, int64(p.before))
			m.Demand(1, p.second, int64(p.after))
		}
		return
	}
	name := "pads"
	pads, ok := m.Node.Ints(name)
	if !ok {
		name = "paddings"
		pads, _ = m.Node.Ints(name)
	}
	pads = slices.Clone(pads)
	for _, p := range changed {
		pads[p.first], pads[p.second] = int64(p.before), int64(p.after)
	}
	if changed != nil {
		m.Attr(onnxio.NewInts(name, pads...))
	}
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
