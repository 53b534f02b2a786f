package ops

import (
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Operators through which channels do not pass: what they compute depends on the number, the order or the values of all that
// flows in, so their operands are pinned, each for its reason. Recurrent layers take their input's channels and keep
// their hidden state as it is.

// opaque says why the operands of an operator are pinned; the result carries no channels.
var opaque = map[string]string{
	"NonMaxSuppression": "selects boxes by their values", "NonZero": "returns places that depend on the values", "Unique": "returns what depends on the values",
	"OneHot": "turns values into places", "Range": "counts", "Multinomial": "draws indices along it", "Bernoulli": "draws at random",
	"RandomNormalLike": "takes its shape", "RandomUniformLike": "takes its shape", "EyeLike": "takes its shape", "Det": "is a determinant of it",
	"STFT": "transforms it", "DFT": "transforms it", "MelWeightMatrix": "takes its numbers", "HannWindow": "takes its size", "HammingWindow": "takes its size",
	"BlackmanWindow": "takes its size", "MaxUnpool": "places it by indices that count all channels", "Col2Im": "folds columns of it", "CenterCropPad": "crops it",
	"AffineGrid": "takes its numbers", "ImageDecoder": "decodes it", "StringNormalizer": "reads its words", "TfIdfVectorizer": "counts its words",
	"StringConcat": "joins its strings", "StringSplit": "cuts its strings", "RegexFullMatch": "reads its strings", "Attention": "splits it into heads",
	"RotaryEmbedding": "turns pairs of it", "SequenceConstruct": "puts it into a sequence", "SequenceInsert": "puts it into a sequence",
	"ConcatFromSequence": "takes it from a sequence", "SplitToSequence": "cuts it into a sequence", "SequenceAt": "takes it from a sequence",
	"SequenceErase": "takes it from a sequence", "SequenceLength": "counts it", "SequenceEmpty": "makes a sequence", "Optional": "wraps it",
	"OptionalGetElement": "unwraps it", "OptionalHasElement": "tests it", "NegativeLogLikelihoodLoss": "is a loss over it",
	"SoftmaxCrossEntropyLoss": "is a loss over it", "RandomNormal": "draws at random", "RandomUniform": "draws at random",
}

func init() {
	for op, why := range opaque {
		register("", op, Rule{Title: "pinned: " + why, Flow: func(c *Context) {
			c.IgnoreAll()
			for i := range c.Node.Inputs {
				c.PinAll(i, "%s %s", c.Node.Title(), why)
			}
		}})
	}
	// the numbers they return are mended where they are used
	all(Rule{Title: "returns sizes", Flow: flowSize}, "Shape", "Size")
	register("", "Constant", Rule{Title: "own channels", Flow: func(c *Context) { c.IgnoreAll() }})
	for _, op := range []string{"LSTM", "GRU", "RNN"} {
		register("", op, Rule{Title: "input axis of W unified; hidden sizes pinned", Flow: flowRecurrent})
	}
}

// flowSize pins what is counted where the count is part of the model's arithmetic and is not known before the run: the old
// count can then not be written down in its place, as is done with a known one. A product of all of a shape is such a count too.
func flowSize(c *Context) {
	c.IgnoreAll()
	counts := []*graph.Value{c.Node.Output(0)}
	if v := counts[0]; v != nil && c.Node.Op == "Shape" {
		counts = nil
		for _, u := range v.Uses {
			if u.Node.Op == "ReduceProd" && u.Input == 0 && u.Node.Scope == v.Scope {
				counts = append(counts, u.Node.Output(0))
			}
		}
	}
	for _, v := range counts {
		if v != nil && !constant(c.Shapes.Of(v)) && c.asNumber(v, map[*graph.Value]bool{}) {
			c.PinAll(0, "%s counts its elements, a number that is not known before the run and that the model computes with", c.Node.Title())
		}
	}
}

// constant reports whether a single number is known before the run.
func constant(in *shape.Info) bool {
	if len(in.Nums) != 1 {
		return false
	}
	_, ok := in.Nums[0].Float()
	return ok
}

// asNumber reports whether a number that counts elements ends anywhere but in operands that say how long something is.
func (c *Context) asNumber(v *graph.Value, seen map[*graph.Value]bool) bool {
	if seen[v] {
		return false
	}
	if seen[v] = true; v.Output || v.Returned {
		return true
	}
	for _, u := range v.Uses {
		n := u.Node
		if n.Scope != v.Scope || len(n.Bodies) > 0 {
			return true
		}
		switch n.Op {
		case "Reshape", "Expand", "Tile", "Slice", "Pad", "ConstantOfShape", "Resize", "Upsample", "Split":
			if u.Input > 0 || n.Op == "ConstantOfShape" {
				continue
			}
		}
		for _, out := range n.Outputs {
			if out == nil {
				continue
			}
			if elem := c.Shapes.Of(out).Elem; elem != onnxio.Int64 && elem != onnxio.Int32 || c.asNumber(out, seen) {
				return true
			}
		}
	}
	return false
}

// IgnoreAll marks every attribute as understood: none of them can make a difference.
func (c *Context) IgnoreAll() {
	for _, a := range c.Node.Attrs {
		c.Ignore(a.Name)
	}
}

// flowRecurrent handles X [seq, batch, input] and W [directions, gates*hidden, input].
func flowRecurrent(c *Context) {
	c.IgnoreAll()
	x, w := c.In(0), c.In(1)
	if len(x) != 3 || len(w) != 3 {
		c.Barrier("its input has rank %d and its weight rank %d", len(x), len(w))
		return
	}
	c.Unify(x[2], w[2], "as the input of a recurrent layer")
	c.Consume(0, 2, 1, 2)
	for _, k := range []int{0, 1} {
		c.Pin(x[k], "it is a sequence or batch axis of %s", c.Node.Title())
		c.Pin(w[k], "it is a hidden size of %s", c.Node.Title())
	}
	for i := 2; i < len(c.Node.Inputs); i++ {
		c.PinAll(i, "it is a hidden size of %s", c.Node.Title())
	}
	c.Parameter(1, 1)
}
