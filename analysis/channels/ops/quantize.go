package ops

// Quantisation: elements pass one by one; scales and zero points per axis follow that axis.

func init() {
	for _, domain := range []string{"", "com.microsoft"} {
		for _, op := range []string{"QuantizeLinear", "DequantizeLinear"} {
			register(domain, op, Rule{Title: "same; per-axis scales unified", Flow: flowQuantize})
		}
	}
	register("", "DynamicQuantizeLinear", Rule{Title: "same; removed channels are zero before it", Flow: func(c *Context) {
		// The scale spans all elements and zero. A channel that is removed counts as zero here, so it never moves
		// the scale, and the cut is exact if the twin is masked at this place.
		x := c.In(0)
		for k, a := range x {
			if !a.Fixed() {
				c.Consume(0, k, -1, 0)
			}
		}
		c.Out(0, x)
	}})
}

func flowQuantize(c *Context) {
	c.Ignore("saturate", "output_dtype", "precision")
	axis, block := c.Int("axis", 1), c.Int("block_size", 0)
	x := c.In(0)
	for i := 1; i < len(c.Node.Inputs); i++ {
		if !c.Has(i) {
			continue
		}
		s := c.In(i)
		if len(s) == 1 && len(x) > 0 {
			if n, ok := c.Info(i).Fixed(0); ok && n > 1 {
				c.Unify(x[c.Axis(axis, len(x))], s[0], "as scales of a quantisation")
			}
			continue
		}
		if block == 0 || len(s) != len(x) {
			c.PinAll(i, "it is an operand of %s that does not follow its channels", c.Node.Title())
			continue
		}
		for k := range s { // blocked: one scale for block_size elements along the axis
			if k == c.Axis(axis, len(x)) {
				c.Pin(x[k], "%s scales it in blocks of %d", c.Node.Title(), block)
				c.Pin(s[k], "%s scales it in blocks of %d", c.Node.Title(), block)
			} else {
				c.Unify(x[k], s[k], "as scales of a quantisation")
			}
		}
	}
	c.Out(0, x)
}
