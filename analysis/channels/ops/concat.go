package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/onnxio"
)

// Concat puts lists of channels together and Split takes them apart: the sizes that they have written down change with the channels.

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
		why = c.Reason("%s puts it beside something of which nothing can be removed", c.Node.Title())
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
