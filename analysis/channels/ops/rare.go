package ops

import "onnxprune/analysis/channels/atoms"

// Operators that are seldom met: experimental ones of the first opsets, features of ai.onnx.ml, training, and the control-flow
// operators, which the walk itself looks after before any rule is asked.

// opaqueRare says why the operands of an operator are pinned, domain by domain.
var opaqueRare = map[string]map[string]string{
	"": {
		"ConstantFill": "takes its shape from it", "GivenTensorFill": "takes its shape from it", "DynamicSlice": "takes a part of it whose bounds are computed at run time",
		"GRUUnit": "reads gates of it by their position", "ATen": "runs code of another library on it", "LinearAttention": "splits it into heads",
	},
	"ai.onnx.preview":          {"FlexAttention": "splits it into heads"},
	"ai.onnx.preview.training": {"Adagrad": "trains it", "Adam": "trains it", "Momentum": "trains it", "Gradient": "takes gradients of it"},
	"ai.onnx.ml": {
		"ArrayFeatureExtractor": "picks features of it by their position", "Imputer": "fills features of it by their position",
		"Scaler": "scales features of it by their position", "Normalizer": "normalises over its features", "CastMap": "reads features of it by their position",
		"CategoryMapper": "maps words of it", "DictVectorizer": "reads features of it by their names", "FeatureVectorizer": "joins features of it by their position",
		"LinearClassifier": "reads features of it by their position", "LinearRegressor": "reads features of it by their position",
		"OneHotEncoder": "turns values into places", "SVMClassifier": "reads features of it by their position", "SVMRegressor": "reads features of it by their position",
		"TreeEnsemble": "reads features of it by their position", "TreeEnsembleClassifier": "reads features of it by their position",
		"TreeEnsembleRegressor": "reads features of it by their position", "ZipMap": "names features of it",
	},
}

func init() {
	for domain, list := range opaqueRare {
		for op, why := range list {
			register(domain, op, pinned(why))
		}
	}
	for op, attrs := range map[string][]string{"Affine": {"alpha", "beta"}, "ParametricSoftplus": {"alpha", "beta"}, "Scale": {"scale"}} {
		register("", op, Rule{Title: "same", Flow: func(c *Context) { c.Ignore(attrs...); c.Out(0, c.In(0)) }})
	}
	register("ai.onnx.ml", "Binarizer", Rule{Title: "same", Flow: func(c *Context) { c.Ignore("threshold"); c.Out(0, c.In(0)) }})
	register("ai.onnx.ml", "LabelEncoder", Rule{Title: "same", Flow: func(c *Context) { c.IgnoreAll(); c.Out(0, c.In(0)) }})
	register("", "Crop", Rule{Title: "batch and channels pass", Flow: func(c *Context) {
		c.Ignore("border", "scale")
		passChannels(c, 1, true)
	}})
	register("", "ImageScaler", Rule{Title: "same; channels are pinned", Flow: func(c *Context) {
		c.Ignore("bias", "scale")
		x := c.In(0)
		if len(x) > 1 {
			c.Pin(x[1], "%s adds a number to each channel by its position", c.Node.Title())
		}
		c.Out(0, x)
	}})
	register("", "SimplifiedLayerNormalization", Rule{Title: "same; vectors unified", Inexact: acrossChannels, Flow: flowLayerNorm})
	register("", "CausalConvWithState", Rule{Title: "same; weight, bias and past unified", Flow: flowCausalConv, Weights: []int{1}})
	for _, op := range []string{"If", "Loop", "Scan", "SequenceMap"} {
		register("", op, Rule{Title: "pinned: what enters, leaves or is captured by a body", Flow: func(c *Context) { c.Barrier("it has no body") }})
	}
}

// flowCausalConv is a depthwise convolution over X [batch, channels, length] that carries the last places of its input along: weight
// [channels, 1, k], bias [channels], past and present [batch, channels, k-1].
func flowCausalConv(c *Context) {
	c.Ignore("activation")
	x, w := c.In(0), c.In(1)
	if len(x) != 3 || len(w) != 3 {
		c.Barrier("its input has rank %d and its weight rank %d", len(x), len(w))
		return
	}
	c.pinSpatial(0, 2)
	c.pinSpatial(1, 2)
	batch, channels := x[0], c.Unify(x[1], w[0], "as the input of a depthwise convolution")
	c.vector(channels, 2)
	if past := c.In(3); len(past) == 3 {
		c.pinSpatial(3, 2)
		batch = c.Unify(batch, past[0], "as the batch of its past")
		channels = c.Unify(channels, past[1], "as the past of a depthwise convolution")
	}
	c.Parameter(1, 0)
	for i := range c.Node.Outputs {
		c.Out(i, []atoms.Axis{batch, channels, {}})
	}
}
