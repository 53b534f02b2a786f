package ops

import (
	"onnxprune/analysis/channels/atoms"
	"onnxprune/onnxio"
)

// Convolutions. The output's channels are those of the weight's output axis, the input's are those of its input axis.
//
// A grouped convolution relates them block by block: input channel (q, p) and output channel (q, r) belong to conv group q.
// What stays must be a rectangle, so either whole groups go (q, on both sides), or the same position in every
// group (p on one side, r on the other). Both are expressed by splitting the axes into (group, position): the links decide.
// A depthwise convolution has one position, and so only whole groups.

func init() {
	conv := Rule{Title: "output axis of the weight; input unified with its input axis; groups whole or by position", Flow: flowConv, Mend: mendConv, Weights: []int{1}}
	register("", "Conv", conv)
	register("", "ConvInteger", conv)
	register("com.microsoft", "FusedConv", conv)
	register("", "DeformConv", conv)
	quantised := conv
	quantised.Weights = []int{3}
	register("", "QLinearConv", quantised)
	register("", "ConvTranspose", Rule{Title: "output axis of the weight; input unified with its input axis", Flow: flowConvTranspose, Mend: mendConv, Weights: []int{1}})
}

// operands says at which inputs an operator of the Conv family has what; -1 for none.
type operands struct {
	x, w, bias int
	perChannel []int // vectors over the output channels, or scalars
	pinned     []int
}

func convOperands(op string) operands {
	switch op {
	case "QLinearConv":
		return operands{0, 3, 8, []int{4, 5}, []int{1, 2, 6, 7}}
	case "ConvInteger":
		return operands{0, 1, -1, []int{3}, []int{2}}
	case "DeformConv":
		return operands{0, 1, 3, nil, []int{2, 4}}
	}
	return operands{0, 1, 2, nil, nil}
}

func flowConv(c *Context) {
	c.Ignore("auto_pad", "dilations", "kernel_shape", "pads", "strides", "activation", "activation_params")
	g := int(c.Int("group", 1))
	o := convOperands(c.Node.Op)
	x, w := c.In(o.x), c.In(o.w)
	if len(x) < 3 || len(w) != len(x) {
		c.Barrier("its input has rank %d and its weight rank %d", len(x), len(w))
		return
	}
	if c.Int("offset_group", 1) != 1 {
		c.Pin(x[1], "%s shifts it in groups of channels", c.Node.Title())
	}
	c.pinSpatial(o.x, 2)
	c.pinSpatial(o.w, 2)
	for _, i := range o.pinned {
		c.PinAll(i, "it is an operand of %s that does not follow its channels", c.Node.Title())
	}
	m, ok1 := c.Info(o.w).Fixed(0)
	per, ok2 := c.Info(o.w).Fixed(1)
	if !ok1 || !ok2 || g < 1 || int(m)%g != 0 {
		c.Barrier("its weight has the shape %v for %d groups", c.Info(o.w), g)
		return
	}
	if g == 1 {
		c.Unify(x[1], w[1], "as the input of a convolution")
	} else {
		in := c.Set.Split(x[1], []int{g, int(per)}, c.Node)
		out := c.Set.Split(w[0], []int{g, int(m) / g}, c.Node)
		c.Unify(in[0], out[0], "as the groups of a convolution")
		c.Unify(in[1], w[1], "as the input of a grouped convolution")
	}
	if per > 1 || g == 1 {
		c.Consume(o.x, 1, o.w, 1)
	}
	c.convBias(o, w[0])
	if c.Node.Op == "FusedConv" && c.Has(3) { // a residual that is added before the activation
		c.Unify(w[0], c.In(3)[1], "as the residual of a convolution")
	}
	c.Parameter(o.w, 0)
	out := Fixed(len(x))
	out[0], out[1] = x[0], w[0]
	c.Out(0, out)
}

// convBias unifies bias and per-channel vectors with the output channels.
func (c *Context) convBias(o operands, out atoms.Axis) {
	for _, i := range append([]int{o.bias}, o.perChannel...) {
		if i >= 0 && c.Has(i) && c.Rank(i) == 1 {
			if n, ok := c.Info(i).Fixed(0); ok && n > 1 {
				c.Unify(out, c.In(i)[0], "as a vector over the channels")
			}
		}
	}
}

// pinSpatial pins the axes of an input from first on: they are places, not channels.
func (c *Context) pinSpatial(i, first int) {
	axes := c.In(i)
	for k := first; k < len(axes); k++ {
		c.Pin(axes[k], "it is a spatial axis of %s", c.Node.Title())
	}
}

// mendConv sets the number of groups after whole groups went: what is left of the input's channels over the channels of one
// group.
func mendConv(m *Mend) {
	g := m.Node.Int("group", 1)
	if g == 1 {
		return
	}
	o := convOperands(m.Node.Op)
	all, _, ok := m.In(o.x, 1)
	per, _, _ := m.In(o.w, 1)
	if m.Node.Op == "ConvTranspose" {
		out, _, _ := m.Out(0, 1)
		if per > 0 && ok && out/per != g {
			m.Attr(onnxio.NewInt("group", out/per))
		}
		return
	}
	if !ok { // the input's size is not known: the weight's output side tells as much
		return
	}
	if per > 0 && all/per != g {
		m.Attr(onnxio.NewInt("group", all/per))
	}
}

func flowConvTranspose(c *Context) {
	c.Ignore("auto_pad", "dilations", "kernel_shape", "pads", "strides", "output_padding", "output_shape")
	g := int(c.Int("group", 1))
	x, w := c.In(0), c.In(1)
	if len(x) < 3 || len(w) != len(x) {
		c.Barrier("its input has rank %d and its weight rank %d", len(x), len(w))
		return
	}
	c.pinSpatial(0, 2)
	c.pinSpatial(1, 2)
	c.Unify(x[1], w[0], "as the input of a transposed convolution")
	c.Consume(0, 1, 1, 0)
	outAxis := w[1]
	if g > 1 {
		n, ok := c.Info(1).Fixed(0)
		per, ok2 := c.Info(1).Fixed(1)
		if !ok || !ok2 || int(n)%g != 0 {
			c.Barrier("its weight has the shape %v for %d groups", c.Info(1), g)
			return
		}
		in := c.Set.Split(w[0], []int{g, int(n) / g}, c.Node)
		outAxis = c.Set.Merge([]atoms.Axis{in[0], w[1]}, []int{g, int(per)}, c.Node)
	}
	c.convBias(operands{bias: 2}, outAxis)
	c.Parameter(1, 1)
	out := Fixed(len(x))
	out[0], out[1] = x[0], outAxis
	c.Out(0, out)
}
