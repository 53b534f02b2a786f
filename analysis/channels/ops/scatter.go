package ops

import "onnxprune/analysis/channels/atoms"

// Gathering and scattering by indices that are known only at run time: the axes that are picked from are pinned, the others
// pass.

func init() {
	register("", "GatherElements", Rule{Title: "other axes pass", Flow: func(c *Context) {
		x, ix := c.In(0), c.In(1)
		at := c.Axis(c.Int("axis", 0), len(x))
		out := Fixed(len(x))
		for k := range x {
			if k == at || len(ix) != len(x) || !c.Info(0).Dims[k].Equal(c.Info(1).Dims[k]) {
				c.Pin(x[k], "%s picks from it by indices", c.Node.Title())
				if k < len(ix) {
					c.Pin(ix[k], "%s picks by it", c.Node.Title())
				}
				continue
			}
			out[k] = c.Unify(x[k], ix[k], "beside its indices")
		}
		c.Out(0, out)
	}})
	for _, op := range []string{"ScatterElements", "Scatter"} {
		register("", op, Rule{Title: "other axes pass", Flow: func(c *Context) {
			c.Ignore("reduction")
			x := c.In(0)
			at := c.Axis(c.Int("axis", 0), len(x))
			for k := range x {
				same := k != at
				for _, i := range []int{1, 2} {
					same = same && c.Rank(i) == len(x) && c.Info(0).Dims[k].Equal(c.Info(i).Dims[k])
				}
				for _, i := range []int{1, 2} {
					if ax := c.In(i); same {
						c.Unify(x[k], ax[k], "beside its indices")
					} else if k < len(ax) {
						c.Pin(ax[k], "%s writes by it", c.Node.Title())
					}
				}
				if !same {
					c.Pin(x[k], "%s writes into it by indices", c.Node.Title())
				}
			}
			c.Out(0, x)
		}})
	}
	register("", "GatherND", Rule{Title: "axes behind the indexed ones pass", Flow: func(c *Context) {
		batch := int(c.Int("batch_dims", 0))
		x := c.In(0)
		q, ok := c.Info(1).Fixed(c.Rank(1) - 1)
		c.PinAll(1, "it holds the indices of %s", c.Node.Title())
		n := c.OutInfo(0).Rank()
		first := batch + int(q)
		if !ok || first > len(x) || n < len(x)-first {
			c.PinAll(0, "%s picks from it by indices", c.Node.Title())
			return
		}
		out := Fixed(n)
		for k, a := range x {
			if k < first {
				c.Pin(a, "%s picks from it by indices", c.Node.Title())
			} else {
				out[n-len(x)+k] = a
			}
		}
		c.Out(0, out)
	}})
	register("", "ScatterND", Rule{Title: "axes behind the indexed ones pass", Flow: func(c *Context) {
		c.Ignore("reduction")
		x, updates := c.In(0), c.In(2)
		q, ok := c.Info(1).Fixed(c.Rank(1) - 1)
		c.PinAll(1, "it holds the indices of %s", c.Node.Title())
		if !ok || int(q) > len(x) || len(updates) < len(x)-int(q) {
			c.PinAll(0, "%s writes into it by indices", c.Node.Title())
			c.PinAll(2, "%s writes it by indices", c.Node.Title())
			return
		}
		for k, a := range x {
			if k < int(q) {
				c.Pin(a, "%s writes into it by indices", c.Node.Title())
			} else {
				c.Unify(a, updates[len(updates)-len(x)+k], "as what is written")
			}
		}
		for k := range len(updates) - (len(x) - int(q)) {
			c.Pin(updates[k], "%s writes it by indices", c.Node.Title())
		}
		c.Out(0, x)
	}})
	register("", "TensorScatter", Rule{Title: "axes without positions pass", Flow: func(c *Context) {
		c.Ignore("mode")
		x := c.In(0)
		at := c.Axis(c.Int("axis", -2), len(x))
		for k, a := range x {
			if k == at || k == 0 {
				c.Pin(a, "%s writes into it by positions", c.Node.Title())
				c.Pin(c.In(1)[k], "%s writes it by positions", c.Node.Title())
			} else {
				c.Unify(a, c.In(1)[k], "as what is written")
			}
		}
		c.PinAll(2, "it holds the positions of %s", c.Node.Title())
		c.Out(0, x)
	}})
	register("", "ReverseSequence", Rule{Title: "other axes pass", Flow: func(c *Context) {
		x := c.In(0)
		for k, a := range x {
			if k == int(c.Int("time_axis", 0)) || k == int(c.Int("batch_axis", 1)) {
				c.Pin(a, "%s turns it around", c.Node.Title())
			}
		}
		c.PinAll(1, "it holds the lengths of %s", c.Node.Title())
		c.Out(0, x)
	}})
	register("", "Compress", Rule{Title: "other axes pass", Flow: func(c *Context) {
		x := c.In(0)
		c.PinAll(1, "it is the condition of %s", c.Node.Title())
		if c.Attr("axis") == nil {
			c.PinAll(0, "%s picks from it by a condition", c.Node.Title())
			return
		}
		at := c.Axis(c.Int("axis", 0), len(x))
		c.Pin(x[at], "%s picks from it by a condition", c.Node.Title())
		out := append([]atoms.Axis{}, x...)
		out[at] = atoms.Axis{}
		c.Out(0, out)
	}})
}
