package ops

import (
	"onnxprune/analysis/channels/atoms"
	"onnxprune/onnxio"
)

// Normalisations. Where statistics belong to one channel (BatchNormalization at inference, InstanceNormalization) channels
// pass exactly. Where they run across channels a removal changes the statistics: inexact.

const acrossChannels = "statistics run across the channels"

func init() {
	register("", "BatchNormalization", Rule{Title: "same; vectors unified", Flow: flowBatchNorm})
	register("", "InstanceNormalization", Rule{Title: "same; vectors unified", Flow: func(c *Context) {
		c.Ignore("epsilon", "consumed_inputs")
		x := c.In(0)
		if len(x) < 2 {
			c.Barrier("its input has rank %d", len(x))
			return
		}
		for _, i := range []int{1, 2} {
			c.vector(x[1], i)
		}
		for k := 2; k < len(x); k++ {
			c.PinInexact(x[k], "%s normalises over it", c.Node.Title())
		}
		c.Out(0, x)
	}})
	for _, op := range []string{"LayerNormalization", "RMSNormalization"} {
		register("", op, Rule{Title: "same; vectors unified", Inexact: acrossChannels, Flow: flowLayerNorm})
	}
	for _, op := range []string{"LayerNormalization", "SimplifiedLayerNormalization"} {
		register("com.microsoft", op, Rule{Title: "same; vectors unified", Inexact: acrossChannels, Flow: flowLayerNorm})
	}
	for _, op := range []string{"SkipLayerNormalization", "SkipSimplifiedLayerNormalization"} {
		register("com.microsoft", op, Rule{Title: "same; vectors unified", Inexact: acrossChannels, Flow: flowSkipLayerNorm})
	}
	register("", "GroupNormalization", Rule{Title: "whole normalisation groups", Flow: flowGroupNorm, Mend: mendGroupNorm})
	register("", "LRN", Rule{Title: "same", Inexact: "the window runs over neighbouring channels", Flow: func(c *Context) {
		c.Ignore("alpha", "beta", "bias", "size")
		x := c.In(0)
		if len(x) > 1 {
			c.PinInexact(x[1], "%s normalises over neighbouring channels", c.Node.Title())
		}
		c.Out(0, x)
	}})
	register("", "LpNormalization", Rule{Title: "same", Inexact: acrossChannels, Flow: func(c *Context) {
		c.Ignore("p")
		normalised(c, []int64{c.Int("axis", -1)})
	}})
	register("", "MeanVarianceNormalization", Rule{Title: "same", Inexact: acrossChannels, Flow: func(c *Context) {
		axes, ok := c.Ints("axes")
		if !ok {
			axes = []int64{0, 2, 3}
		}
		normalised(c, axes)
	}})
}

// normalised passes the input and pins the axes that statistics run over.
func normalised(c *Context, axes []int64) {
	x := c.In(0)
	for _, a := range axes {
		if int(a) < len(x) {
			c.PinInexact(x[c.Axis(a, len(x))], "%s normalises over it", c.Node.Title())
		}
	}
	c.Out(0, x)
}

// vector unifies an axis with a vector operand, if the operand is there.
func (c *Context) vector(a atoms.Axis, i int) {
	if !c.Has(i) {
		return
	}
	axes := c.In(i)
	for k, v := range axes {
		if k == len(axes)-1 {
			c.Unify(a, v, "as a vector over the channels")
		} else {
			c.Pin(v, "it is an operand of %s that does not follow its channels", c.Node.Title())
		}
	}
}

func flowBatchNorm(c *Context) {
	c.Ignore("epsilon", "momentum", "training_mode", "is_test", "consumed_inputs")
	x := c.In(0)
	if len(x) < 2 || c.Int("spatial", 1) != 1 {
		c.Barrier("it normalises every place by itself")
		return
	}
	for i := 1; i <= 4; i++ {
		c.vector(x[1], i)
	}
	if c.training() { // statistics of what flows in, over all but the channels
		for k, a := range x {
			if k != 1 {
				c.PinInexact(a, "%s normalises over it", c.Node.Title())
			}
		}
	}
	c.Out(0, x)
	for i := 1; i < len(c.Node.Outputs); i++ { // running statistics of training mode
		if c.Node.Output(i) != nil && c.OutInfo(i).Rank() == 1 {
			c.Out(i, []atoms.Axis{x[1]})
		}
	}
}

// training reports whether a batch norm takes the statistics of what flows in. Before opset 14 a node that names further outputs does,
// unless is_test, before opset 7, says otherwise.
func (c *Context) training() bool {
	if c.Node.Version >= 14 {
		return c.Int("training_mode", 0) != 0
	}
	for i := 1; i < len(c.Node.Outputs); i++ {
		if c.Node.Output(i) != nil {
			return c.Int("is_test", 0) == 0
		}
	}
	return false
}

func flowLayerNorm(c *Context) {
	c.Ignore("epsilon", "stash_type")
	x := c.In(0)
	first := c.Axis(c.Int("axis", -1), len(x))
	for i := 1; i < len(c.Node.Inputs); i++ {
		if !c.Has(i) {
			continue
		}
		for k, v := range c.In(i) {
			if n, ok := c.Info(i).Fixed(k); ok && n == 1 {
				continue
			}
			c.Unify(x[len(x)-c.Rank(i)+k], v, "as scale or bias of a normalisation")
		}
	}
	for _, a := range x[first:] {
		c.PinInexact(a, "%s normalises over it", c.Node.Title())
	}
	c.Out(0, x)
	for i := 1; i < len(c.Node.Outputs); i++ {
		if c.Node.Output(i) != nil {
			c.Out(i, append(append([]atoms.Axis{}, x[:first]...), Fixed(len(x)-first)...))
		}
	}
}

func flowSkipLayerNorm(c *Context) {
	c.Ignore("epsilon")
	x := c.broadcast(0, 1)
	last := x[len(x)-1]
	for i := 2; i < len(c.Node.Inputs); i++ {
		c.vector(last, i)
	}
	c.PinInexact(last, "%s normalises over it", c.Node.Title())
	c.Out(0, x)
	if c.Node.Output(3) != nil {
		c.Out(3, x)
	}
}

func flowGroupNorm(c *Context) {
	c.Ignore("epsilon", "stash_type")
	g := int(c.Int("num_groups", 0))
	x := c.In(0)
	n, ok := c.Info(0).Fixed(1)
	if len(x) < 2 || !ok || g < 1 || int(n)%g != 0 {
		c.Barrier("its input has the shape %v for %d groups", c.Info(0), g)
		return
	}
	parts := c.Set.Split(x[1], []int{g, int(n) / g}, c.Node)
	c.PinInexact(parts[1], "%s normalises over it, group by group", c.Node.Title())
	for _, i := range []int{1, 2} {
		if k, _ := c.Info(i).Fixed(0); c.Node.Version < 21 && int(k) == g {
			c.vector(parts[0], i)
		} else {
			c.vector(x[1], i)
		}
	}
	c.Out(0, x)
}

func mendGroupNorm(m *Mend) {
	g := int(m.Node.Int("num_groups", 1))
	n, _ := m.Shapes.Of(m.Node.Input(0)).Fixed(1)
	x := m.Axes(0)
	if g < 1 || len(x) < 2 || x[1].Fixed() {
		return
	}
	if kept := m.Kept(m.Set.Split(x[1], []int{g, int(n) / g}, m.Node)[0]); kept != nil && len(kept) != g {
		m.Attr(onnxio.NewInt("num_groups", int64(len(kept))))
	}
}
