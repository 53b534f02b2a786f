package channels_test

import (
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// row is the input of the cases with linear layers: ten places of sixteen features, through a free layer "a" of the given width.
func row(b *testmodels.Builder, width int) string {
	return b.MatMul("a", b.Input("x", onnxio.Float, 1, 10, 16), 16, width)
}

// tail ends a graph in a linear layer of its own.
func tail(b *testmodels.Builder, x string, in int) {
	b.Output(b.MatMul("tail", x, in, 3), onnxio.Float, 1, 10, 3)
}

// Each case is written as in TestChannelsPassThroughOperators.
func TestChannelsPassThroughFusedAndRareOperators(t *testing.T) {
	type B = testmodels.Builder
	type attrs = testmodels.Attrs
	weight := func(b *B, name string, dims ...int64) string { return b.Weight(name, dims...) }
	cases := []struct {
		what  string
		build func(b *B)
		want  string
	}{
		{"a fused product with a transposed weight sums over the weight's last axis", func(b *B) {
			x := b.Node("com.microsoft::FusedMatMul", []string{row(b, 8), weight(b, "w", 6, 8)}, attrs{"transB": 1, "alpha": 0.5})
			tail(b, x, 6)
		}, "a 8; w 6; a | w; tail: output"},
		{"a fused product without transposes is a product", func(b *B) {
			x := b.Node("com.microsoft::TransposeMatMul", []string{row(b, 8), weight(b, "w", 8, 6)})
			tail(b, x, 6)
		}, "a 8; w 6; a | w"},
		{"queries and keys in a fused product share their widths", func(b *B) {
			x := row(b, 8)
			q, k := b.MatMul("q", x, 8, 6), b.MatMul("k", x, 8, 6)
			p := b.Softmax(b.Node("com.microsoft::FusedMatMul", []string{q, k}, attrs{"transB": 1}), -1)
			b.Output(b.Node("MatMul", []string{p, b.MatMul("v", x, 8, 4)}), onnxio.Float, 1, 10, 4)
		}, "a 8; q 6; k 6; q + k; v: output"},
		{"a transposed batch is a barrier", func(b *B) {
			x := b.Node("com.microsoft::FusedMatMul", []string{row(b, 8), weight(b, "w", 8, 6)}, attrs{"transBatchA": 1})
			b.Output(x, onnxio.Float, 10, 1, 6)
		}, "a: batch"},
		{"an activation across channels in a fused product is a barrier", func(b *B) {
			x := b.Node("com.microsoft::FusedMatMulActivation", []string{row(b, 8), weight(b, "w", 8, 6)}, attrs{"activation": "Softmax"})
			tail(b, x, 6)
		}, "a: Softmax"},
		{"an activation by element in a fused product is none", func(b *B) {
			x := b.Node("com.microsoft::FusedMatMulActivation", []string{row(b, 8), weight(b, "w", 8, 6)}, attrs{"activation": "Tanh"})
			tail(b, x, 6)
		}, "a 8; w 6"},
		{"a product with Gelu carries its bias", func(b *B) {
			x := b.Node("com.microsoft::GemmFastGelu", []string{row(b, 8), weight(b, "w", 8, 6), b.Vector("bias", 6, 0, 1)})
			tail(b, x, 6)
		}, "a 8; w 6"},
		{"a gate's halves go together", func(b *B) {
			x := b.Node("com.microsoft::BiasSplitGelu", []string{row(b, 8), b.Vector("bias", 8, 0, 1)})
			tail(b, x, 4)
		}, "a 8; a/4"},
		{"the packed weight of a product by a few bits stays", func(b *B) {
			packed := b.ConstDims("w", []int64{6, 1, 4}, make([]uint8, 24))
			x := b.Node("com.microsoft::MatMulNBits", []string{row(b, 8), packed, b.Vector("scales", 6, 1, 0.1)},
				attrs{"K": 8, "N": 6, "bits": 4, "block_size": 16})
			tail(b, x, 6)
		}, "a: packed; w: packed"},
		{"attention as one node takes the width of its input, and keeps its heads", func(b *B) {
			x := b.Node("com.microsoft::Attention", []string{row(b, 8), weight(b, "qkv", 8, 36), b.Vector("bias", 36, 0, 1)}, attrs{"num_heads": 3})
			tail(b, x, 12)
		}, "a 8; qkv: heads"},
		{"attention of three inputs keeps all of them", func(b *B) {
			x := row(b, 8)
			y := b.Node("com.microsoft::MultiHeadAttention", []string{b.MatMul("q", x, 8, 6), b.MatMul("k", x, 8, 6), b.MatMul("v", x, 8, 6)}, attrs{"num_heads": 2})
			tail(b, y, 6)
		}, "a 8; q: heads; k: heads; v: heads"},
		{"group normalisation with channels last takes whole groups", func(b *B) {
			x := b.Transpose(b.Conv("a", image(b, 3), 3, 12, 3), 0, 2, 3, 1)
			x = b.Node("com.microsoft::GroupNorm", []string{x, b.Vector("gamma", 12, 1, 0), b.Vector("beta", 12, 0, 1)},
				attrs{"groups": 4, "epsilon": 1e-5, "activation": 1})
			head(b, b.Transpose(x, 0, 3, 1, 2), 12)
		}, "a 12; a/4"},
		{"a skip before group normalisation couples both branches", func(b *B) {
			in := image(b, 3)
			flat := func(x string) string { return b.Transpose(x, 0, 2, 3, 1) }
			x := flat(b.Conv("a", in, 3, 12, 3))
			y := flat(b.Conv("b", in, 3, 12, 3))
			x = b.Node("com.microsoft::SkipGroupNorm", []string{x, b.Vector("gamma", 12, 1, 0), b.Vector("beta", 12, 0, 1), y},
				attrs{"groups": 4, "activation": 0})
			head(b, b.Transpose(x, 0, 3, 1, 2), 12)
		}, "a 12; b 12; a + b; a/4"},
		{"a bias with a residual couples both", func(b *B) {
			x := row(b, 8)
			y := b.Node("com.microsoft::BiasAdd", []string{b.MatMul("w", x, 8, 8), b.Vector("bias", 8, 0, 1), x})
			tail(b, y, 8)
		}, "a 8; w 8; a + w"},
		{"an embedding with its normalisation runs across its width", func(b *B) {
			ids := b.Input("ids", onnxio.Int32, 1, 10)
			x := b.Node("com.microsoft::EmbedLayerNormalization", []string{ids, "", weight(b, "words", 50, 8), weight(b, "places", 20, 8), "",
				b.Vector("gamma", 8, 1, 0), b.Vector("beta", 8, 0, 1)})
			tail(b, b.MatMul("w", x, 8, 6), 6)
		}, "w 6"},
		{"an old crop passes channels", func(b *B) {
			x := b.Node("Crop", []string{b.Conv("a", image(b, 3), 3, 8, 3)}, attrs{"border": []int{1, 1, 1, 1}})
			head(b, x, 8)
		}, "a 8"},
		{"an old scaler with a number per channel keeps them", func(b *B) {
			x := b.Node("ImageScaler", []string{b.Conv("a", image(b, 3), 3, 3, 3)}, attrs{"scale": 2.0})
			head(b, x, 3)
		}, "a: position"},
		{"old element-wise operators pass", func(b *B) {
			x := b.Node("Affine", []string{b.Conv("a", image(b, 3), 3, 8, 3)}, attrs{"alpha": 2.0, "beta": 1.0})
			head(b, b.Node("ScaledTanh", []string{b.Node("ParametricSoftplus", []string{x})}), 8)
		}, "a 8"},
		{"slopes in a vector belong to the channels, where they fit no other axis", func(b *B) {
			x := b.Node("PRelu", []string{b.Conv("a", image(b, 3), 3, 6, 3), b.Vector("slope", 6, 0.2, 0.1)})
			head(b, x, 6)
		}, "a 6"},
		{"slopes as wide as the picture belong to its places", func(b *B) {
			x := b.Node("PRelu", []string{b.Conv("a", image(b, 3), 3, 8, 3), b.Vector("slope", 8, 0.2, 0.1)})
			head(b, x, 8)
		}, "a 8"},
		{"a recurrent layer with the batch first takes the width of its input", func(b *B) {
			x := b.NodeN("LSTM", []string{row(b, 8), weight(b, "w", 1, 20, 8), weight(b, "r", 1, 20, 5)}, 1, attrs{"hidden_size": 5, "layout": 1})[0]
			b.Output(x, onnxio.Float, 1, 10, 1, 5)
		}, "a 8; w: hidden"},
		{"a threshold works element by element", func(b *B) {
			x := b.Node("ai.onnx.ml::Binarizer", []string{b.Conv("a", image(b, 3), 3, 8, 3)}, attrs{"threshold": 0.5})
			head(b, x, 8)
		}, "a 8"},
		{"a scaler reads features by their position", func(b *B) {
			x := b.Gemm("a", b.Input("x", onnxio.Float, 4, 6), 6, 8)
			b.Output(b.Node("ai.onnx.ml::Scaler", []string{x}), onnxio.Float, 4, 8)
		}, "a: position"},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			c.build(b)
			check(t, analyse(t, b), c.want)
		})
	}
}

// Integers are weights too: what is quantised follows the channels of what it belongs to.
func TestChannelsPassThroughQuantisedFusedOperators(t *testing.T) {
	b := testmodels.New(17)
	zero, one := b.Const(uint8(0)), b.Const(float32(1))
	x := b.MatMul("a", b.Input("x", onnxio.Float, 10, 16), 16, 8)
	q := b.Node("QuantizeLinear", []string{x, one, zero})
	w := b.ConstDims("w", []int64{6, 8}, make([]uint8, 48))
	y := b.Node("com.microsoft::QGemm", []string{q, one, zero, w, b.Vector("scales", 6, 1, 0.1), b.ConstDims("zeros", []int64{6}, make([]uint8, 6)),
		b.ConstDims("bias", []int64{6}, make([]int32, 6))}, testmodels.Attrs{"transB": 1})
	v := b.ConstDims("v", []int64{6, 4}, make([]uint8, 24))
	y = b.Node("com.microsoft::DynamicQuantizeMatMul", []string{y, v, b.Vector("column_scales", 4, 1, 0.1)})
	b.Output(b.MatMul("tail", y, 4, 3), onnxio.Float, 10, 3)
	a := analyse(t, b)
	check(t, a, "a 8; w 6; v 4; a | w; w | v; tail: output")
	// a removed channel of what is quantised on the fly must be zero before it: nothing in the weight's place can say that
	for _, c := range a.State.Consumptions {
		if c.Node.Op == "DynamicQuantizeMatMul" && c.Weight >= 0 {
			t.Errorf("%s is masked in its weight", c.Node.Title())
		}
	}
}

// Before opset 7 a vector of slopes is one slope per channel, also where it would fit the width of the picture.
func TestSlopesBeforeOpset7BelongToChannels(t *testing.T) {
	b := testmodels.New(6)
	x := b.Node("PRelu", []string{b.Conv("a", image(b, 3), 3, 8, 3), b.Vector("slope", 8, 0.2, 0.1)})
	head(b, x, 8)
	a := analyse(t, b)
	check(t, a, "a 8")
	for _, g := range a.Groups {
		for _, m := range g.Members {
			if m.Source.Value.Name == "slope" && g.Reason == nil {
				return
			}
		}
	}
	t.Error("the slopes do not go with the channels")
}

// The short depthwise convolution of recurrent attention: its weight and bias go with the channels that flow in.
func TestACausalConvolutionCarriesItsWeightAlong(t *testing.T) {
	b := testmodels.New(27)
	x := b.Transpose(row(b, 8), 0, 2, 1)
	x = b.Node("CausalConvWithState", []string{x, b.Weight("w", 8, 1, 4), b.Vector("bias", 8, 0, 1)}, testmodels.Attrs{"activation": "silu"})
	tail(b, b.Transpose(x, 0, 2, 1), 8)
	check(t, analyse(t, b), "a 8; w 8; a + w")
}

// With AllowInexact the layers behind and before a normalisation across channels become prunable.
func TestInexactGroupsGoWhenTheyAreAskedFor(t *testing.T) {
	b := testmodels.New(17)
	x := b.Node("LayerNormalization", []string{row(b, 8), b.Vector("gamma", 8, 1, 0.1), b.Vector("beta", 8, 0, 1)})
	tail(b, x, 8)
	check(t, analyse(t, b), "a: LayerNormalization")
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := channels.Analyze(g, s, channels.Options{AllowInexact: true})
	check(t, a, "a 8; tail: output")
	for _, p := range a.Params {
		if p.Name == "a.weight" && !a.GroupOf(p.IDs[0]).Inexact {
			t.Error("the group does not say that it is inexact")
		}
	}
}
