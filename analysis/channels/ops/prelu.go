package ops

// PRelu: the slope broadcasts to the input. Before opset 7 a vector of slopes is one per channel instead, and some exporters
// write it so in later ones.

func init() {
	register("", "PRelu", Rule{Title: "slope unified, broadcasting; a vector per channel before opset 7", Flow: func(c *Context) {
		c.Ignore("consumed_inputs")
		x, slope := c.In(0), c.In(1)
		n, known := c.Info(1).Fixed(0)
		if len(slope) != 1 || len(x) < 2 || known && n == 1 {
			c.Out(0, c.broadcast(0, 1))
			return
		}
		last, fixed := c.Info(0).Fixed(len(x) - 1)
		switch {
		case c.Node.Version < 7 || known && fixed && last != n:
			c.Unify(x[1], slope[0], "as the slopes of channels")
			c.Out(0, x)
		case known && fixed:
			c.Out(0, c.broadcast(0, 1))
		default:
			c.Barrier("it is not certain which axis its slopes %v belong to", c.Info(1))
		}
	}})
}
