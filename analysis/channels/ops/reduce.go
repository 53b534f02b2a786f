package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
)

// Reductions keep the axes that they do not run over. A sum over channels is exact, since a removed channel is a zero in it;
// a mean, a maximum or a product is not. What depends on the order or number of channels (ArgMax, Softmax, TopK, CumSum)
// pins them.

func init() {
	for _, op := range []string{"ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"} {
		register("", op, Rule{Title: "kept axes pass; summed axes are exact", Flow: func(c *Context) { flowReduce(c, true) }})
	}
	for _, op := range []string{"ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceLogSumExp"} {
		register("", op, Rule{Title: "kept axes pass", Inexact: "a mean, extreme or product over channels changes when one goes",
			Flow: func(c *Context) { flowReduce(c, false) }})
	}
	for _, op := range []string{"ArgMax", "ArgMin"} {
		register("", op, Rule{Title: "kept axes pass", Flow: func(c *Context) {
			c.Ignore("select_last_index")
			at := c.Axis(c.Int("axis", 0), c.Rank(0))
			c.Pin(c.In(0)[at], "%s takes an index along it", c.Node.Title())
			c.reduced(map[int]bool{at: true}, c.Int("keepdims", 1) != 0)
		}})
	}
	for _, op := range []string{"Softmax", "LogSoftmax", "Hardmax"} {
		register("", op, Rule{Title: "same; the axis is pinned", Flow: func(c *Context) {
			def, through := int64(-1), false
			if c.Node.Version < 13 { // the input is taken as a matrix of the axes before and from axis on
				def, through = 1, true
			}
			x := c.In(0)
			if len(x) == 0 {
				return
			}
			at := c.Axis(c.Int("axis", def), len(x))
			for k := at; k < len(x) && (k == at || through); k++ {
				c.PinAcross(x[k], "%s runs over it", c.Node.Title())
			}
			c.Out(0, x)
		}})
	}
	for _, op := range []string{"CumSum", "CumProd"} {
		register("", op, Rule{Title: "same; the axis is pinned", Flow: func(c *Context) {
			c.Ignore("exclusive", "reverse")
			x := c.In(0)
			axis, ok := c.Constants(1)
			for k := range x {
				if !ok || len(axis) == 1 && c.Axis(axis[0], len(x)) == k {
					c.Pin(x[k], "%s runs along it", c.Node.Title())
				}
			}
			c.Out(0, x)
		}})
	}
	register("", "TopK", Rule{Title: "same; the axis is pinned", Flow: func(c *Context) {
		c.Ignore("largest", "sorted", "k")
		x := slices.Clone(c.In(0))
		at := c.Axis(c.Int("axis", -1), len(x))
		c.Pin(x[at], "%s sorts along it", c.Node.Title())
		x[at] = atoms.Axis{}
		c.Out(0, x)
		c.Out(1, x)
	}})
	register("", "Trilu", Rule{Title: "same; the last two axes are pinned", Flow: func(c *Context) {
		c.Ignore("upper")
		x := c.In(0)
		for k := max(len(x)-2, 0); k < len(x); k++ {
			c.Pin(x[k], "%s cuts a triangle out of it", c.Node.Title())
		}
		c.Out(0, x)
	}})
}

// flowReduce reads the axes (an attribute, later an operand) and passes the others.
func flowReduce(c *Context, exact bool) {
	keep := c.Int("keepdims", 1) != 0
	noop := c.Int("noop_with_empty_axes", 0) != 0
	x := c.In(0)
	axes, ok := c.Ints("axes")
	known := true
	if !ok && c.Has(1) {
		axes, known = c.Constants(1)
	}
	if !known {
		for _, a := range x {
			c.Pin(a, "%s runs over axes that are known only at run time", c.Node.Title())
		}
		return
	}
	over := map[int]bool{}
	for _, a := range axes {
		over[c.Axis(a, len(x))] = true
	}
	if len(axes) == 0 && !noop {
		for k := range x {
			over[k] = true
		}
	}
	for k := range x { // in order: the plan lists what is consumed as it comes
		switch {
		case !over[k] || x[k].Fixed():
		case exact:
			c.Consume(0, k, -1, 0)
		default:
			c.PinInexact(x[k], "%s runs over it", c.Node.Title())
		}
	}
	c.reduced(over, keep)
}

// reduced labels the output of a reduction over some axes.
func (c *Context) reduced(over map[int]bool, keep bool) {
	var out []atoms.Axis
	for k, a := range c.In(0) {
		switch {
		case !over[k]:
			out = append(out, a)
		case keep:
			out = append(out, atoms.Axis{})
		}
	}
	c.Out(0, out)
}
