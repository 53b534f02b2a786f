package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/onnxio"
)

// Operators of com.microsoft that ONNX Runtime's optimiser and quantiser write: quantised twins of operators of
// ai.onnx, biases fused with what follows them, normalisations of diffusion models and transformers.

// opaqueMicrosoft says why the operands of an operator are pinned.
var opaqueMicrosoft = map[string]string{
	"MultiHeadAttention": "splits it into heads", "GroupQueryAttention": "splits it into heads", "PackedAttention": "splits it into heads",
	"PackedMultiHeadAttention": "splits it into heads", "DecoderMaskedMultiHeadAttention": "splits it into heads", "QAttention": "splits it into heads",
	"SparseAttention": "splits it into heads", "LongformerAttention": "splits it into heads", "RotaryEmbedding": "turns pairs of it",
	"Rfft": "transforms it", "Irfft": "transforms it", "Range": "counts", "MatMulBnb4": "keeps it packed in blocks", "MatMulFpQ4": "keeps it packed in blocks",
	"GatherBlockQuantized": "keeps it packed in blocks",
}

func init() {
	microsoft := func(op string, r Rule) { register("com.microsoft", op, r) }
	for op, why := range opaqueMicrosoft {
		microsoft(op, pinned(why))
	}
	for _, op := range []string{"GatherND", "GridSample", "Trilu"} {
		microsoft(op, sameRule(op))
	}
	microsoft("QLinearConv", Rule{Title: "output axis of the weight; input unified with its input axis; groups whole or by position",
		Flow: func(c *Context) {
			if c.Int("channels_last", 0) != 0 {
				c.Barrier("its channels come last")
				return
			}
			flowConv(c)
		}, Mend: mendConv, Weights: []int{3}})
	microsoft("QLinearConvTranspose", pinned("has no shape that is known before the run"))
	microsoft("QLinearWhere", Rule{Title: "unify, broadcasting", Flow: func(c *Context) { c.Out(0, c.broadcast(0, 1, 4)) }})
	microsoft("QLinearSoftmax", Rule{Title: "same; the axis is pinned", Flow: flowQLinearSoftmax})
	microsoft("QLinearReduceMean", Rule{Title: "kept axes pass", Inexact: "a mean over channels changes when one goes", Flow: flowQLinearReduceMean})
	microsoft("ReduceSumInteger", Rule{Title: "kept axes pass; summed axes are exact", Flow: func(c *Context) { flowReduce(c, true) }})
	microsoft("BiasAdd", Rule{Title: "unify, broadcasting", Flow: func(c *Context) { c.Out(0, c.broadcastAll()) }})
	microsoft("BiasDropout", Rule{Title: "unify, broadcasting", Flow: flowBiasDropout})
	microsoft("BitmaskDropout", Rule{Title: "same; pinned where the packed mask is used", Flow: flowBitmaskDropout})
	microsoft("BiasSoftmax", pinned("is added to it, with an axis of its own, before a softmax"))
	microsoft("BiasSplitGelu", Rule{Title: "both halves unified", Flow: flowSplitGelu})
	microsoft("ExpandDims", Rule{Title: "axes of one come", Flow: func(c *Context) { c.reshape() }})
	microsoft("Inverse", Rule{Title: "same; the last two axes are pinned", Flow: func(c *Context) {
		x := c.In(0)
		for k := max(len(x)-2, 0); k < len(x); k++ {
			c.Pin(x[k], "%s inverts matrices of it", c.Node.Title())
		}
		c.Out(0, x)
	}})
	microsoft("GroupNorm", Rule{Title: "whole normalisation groups", Flow: flowGroupNormMicrosoft, Mend: mendGroupNormMicrosoft})
	microsoft("SkipGroupNorm", Rule{Title: "whole normalisation groups", Flow: flowGroupNormMicrosoft, Mend: mendGroupNormMicrosoft})
	microsoft("EmbedLayerNormalization", Rule{Title: "widths of the tables and vectors unified", Inexact: acrossChannels, Flow: flowEmbedNorm})
	microsoft("DynamicQuantizeLSTM", Rule{Title: "pinned: the input is quantised by the range of all its elements", Weights: []int{1}, Flow: func(c *Context) {
		c.IgnoreAll()
		for i := range c.Node.Inputs {
			c.PinAll(i, "%s quantises it as a whole", c.Node.Title())
		}
		if len(c.In(1)) == 3 { // directions x inputs x gates*hidden
			c.Parameter(1, 2)
		}
	}})
}

// pinned is the rule of an operator through which nothing passes.
func pinned(why string) Rule {
	return Rule{Title: "pinned: " + why, Flow: func(c *Context) {
		c.IgnoreAll()
		for i := range c.Node.Inputs {
			c.PinAll(i, "%s %s", c.Node.Title(), why)
		}
	}}
}

// sameRule is the rule of the operator of that name in ai.onnx.
func sameRule(op string) Rule {
	return Rule{Title: "as " + op + " of ai.onnx", Flow: func(c *Context) {
		r, _ := Lookup("", op, 1)
		r.Flow(c)
	}}
}

func flowQLinearSoftmax(c *Context) {
	x := c.In(0)
	through := c.Int("opset", 13) < 13 // then the input is a matrix of the axes before and from axis on
	at := c.Axis(c.Int("axis", -1), len(x))
	for k := at; k < len(x) && (k == at || through); k++ {
		c.Pin(x[k], "%s runs over it", c.Node.Title())
	}
	c.Out(0, x)
}

func flowQLinearReduceMean(c *Context) {
	x := c.In(0)
	axes, ok := c.Ints("axes")
	over := map[int]bool{}
	for k := range x {
		over[k] = !ok || len(axes) == 0
	}
	for _, a := range axes {
		over[c.Axis(a, len(x))] = true
	}
	for k, a := range x {
		if over[k] {
			c.PinInexact(a, "%s runs over it", c.Node.Title())
		}
	}
	c.reduced(over, c.Int("keepdims", 1) != 0)
}

// flowBiasDropout: data, bias, residual; then ratio and training mode. The mask has the shape of the data.
func flowBiasDropout(c *Context) {
	c.Ignore("seed")
	ins := []int{0, 1}
	if c.Has(2) {
		ins = append(ins, 2)
	}
	out := c.broadcast(ins...)
	c.Out(0, out)
	if c.Node.Output(1) != nil {
		c.Out(1, out)
	}
}

func flowBitmaskDropout(c *Context) {
	c.Ignore("seed")
	x := c.In(0)
	if v := c.Node.Output(1); v != nil && (len(v.Uses) > 0 || v.Output) {
		c.PinAll(0, "%s packs a mask of all elements into bits", c.Node.Title())
	}
	c.Out(0, x)
}

// flowSplitGelu: X [batch, length, 2*width] plus a bias; the left half is multiplied by Gelu of the right half.
func flowSplitGelu(c *Context) {
	x := c.In(0)
	if len(x) == 0 {
		c.Barrier("its input is a scalar")
		return
	}
	last := x[len(x)-1]
	c.vector(last, 1)
	out := slices.Clone(x)
	if !last.Fixed() {
		half := len(last.IDs) / 2
		left, right := c.Take(last, span(0, half)), c.Take(last, span(half, 2*half))
		out[len(x)-1] = c.Unify(left, right, "as the halves of a gate")
	}
	c.Out(0, out)
}

// groupNormAxis returns the axis of channels.
func groupNormAxis(channelsLast int64, rank int) int {
	if channelsLast != 0 {
		return rank - 1
	}
	return 1
}

// flowGroupNormMicrosoft: X, gamma, beta; with a skip that is added first: also skip and bias, and the sum as second output.
func flowGroupNormMicrosoft(c *Context) {
	c.Ignore("epsilon", "activation")
	g := int(c.Int("groups", 0))
	x := slices.Clone(c.In(0))
	at := groupNormAxis(c.Int("channels_last", 1), len(x))
	n, ok := c.Info(0).Fixed(at)
	if len(x) < 3 || !ok || g < 1 || int(n)%g != 0 {
		c.Barrier("its input has the shape %v for %d groups", c.Info(0), g)
		return
	}
	if c.Node.Op == "SkipGroupNorm" {
		if c.Rank(3) == len(x) {
			x = c.broadcast(0, 3)
		} else { // [batch, channels]
			c.vector(x[at], 3)
		}
		c.vector(x[at], 4)
	}
	parts := c.Set.Split(x[at], []int{g, int(n) / g}, c.Node)
	c.PinInexact(parts[1], "%s normalises over it, group by group", c.Node.Title())
	for k := 1; k < len(x); k++ {
		if k != at {
			c.PinInexact(x[k], "%s normalises over it", c.Node.Title())
		}
	}
	c.vector(x[at], 1)
	c.vector(x[at], 2)
	for i := range c.Node.Outputs {
		c.Out(i, x)
	}
}

func mendGroupNormMicrosoft(m *Mend) {
	g := int(m.Node.Int("groups", 1))
	x := m.Axes(0)
	at := groupNormAxis(m.Node.Int("channels_last", 1), len(x))
	n, _ := m.Shapes.Of(m.Node.Input(0)).Fixed(at)
	if g < 1 || at >= len(x) || x[at].Fixed() {
		return
	}
	if kept := m.Kept(m.Set.Split(x[at], []int{g, int(n) / g}, m.Node)[0]); kept != nil && len(kept) != g {
		m.Attr(onnxio.NewInt("groups", int64(len(kept))))
	}
}

// flowEmbedNorm: ids of words and segments, tables of words, positions and segments, scale and bias, mask, ids of positions. The rows of
// the tables are picked by ids.
func flowEmbedNorm(c *Context) {
	c.Ignore("epsilon", "mask_index_type")
	words := c.In(2)
	if len(words) != 2 {
		c.Barrier("its table of words has rank %d", len(words))
		return
	}
	width := words[1]
	for _, i := range []int{2, 3, 4} {
		if !c.Has(i) {
			continue
		}
		table := c.In(i)
		if len(table) != 2 {
			c.Barrier("a table of it has rank %d", len(table))
			return
		}
		c.Pin(table[0], "%s picks rows of it by ids", c.Node.Title())
		width = c.Unify(width, table[1], "in an embedding")
	}
	for _, i := range []int{0, 1, 7, 8} {
		c.PinAll(i, "it holds the ids or the mask of %s", c.Node.Title())
	}
	c.vector(width, 5)
	c.vector(width, 6)
	c.PinInexact(width, "%s normalises over it", c.Node.Title())
	for _, i := range []int{0, 2} {
		if c.Node.Output(i) != nil {
			c.Out(i, []atoms.Axis{{}, {}, width})
		}
	}
}
