package ops

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
		register("", op, Rule{Title: "input axis of W unified; hidden sizes pinned", Flow: flowRecurrent, Weights: []int{1}})
	}
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
