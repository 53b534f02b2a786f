package cost_test

import (
	"testing"

	"onnxprune/analysis/channels"
	axisrules "onnxprune/analysis/channels/ops"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

type builder = testmodels.Builder

// layerCase is an operator with a weight, on small operands, and what it costs by hand.
type layerCase struct {
	opset  int64
	inputs func(b *builder) []string
	attrs  testmodels.Attrs
	macs   int64
	params int64 // weight and bias
}

// floats is an activation of floats, bytes one of int8.
func floats(b *builder, dims ...any) string { return b.Input("x", onnxio.Float, dims...) }

func bytes(b *builder, dims ...any) string { return b.Input("x", onnxio.Int8, dims...) }

func weight(b *builder, dims ...int64) string { return b.Weight("w", dims...) }

func byteWeight(b *builder, dims ...int64) string { return integers(b, onnxio.Int8, "w", dims...) }

// integers is a weight of zeros.
func integers(b *builder, t onnxio.DataType, name string, dims ...int64) string {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	return b.Tensor(onnxio.NewIntTensor(name, t, dims, make([]int64, n)))
}

// scale and zero are those of a quantised tensor.
func scale(b *builder) string { return b.Const(float32(0.1)) }

func zero(b *builder) string { return b.Const(int8(0)) }

// layerCases has every operator with a weight. Matrix products are of [2,5,7] or [5,7] by [7,3].
var layerCases = map[string]layerCase{
	"::Conv": {17, func(b *builder) []string {
		return []string{floats(b, 1, 4, 8, 8), weight(b, 6, 4, 3, 3), b.Weight("bias", 6)}
	}, testmodels.Attrs{"pads": []int{1, 1, 1, 1}}, 6 * 64 * 4 * 9, 6*4*9 + 6},
	"com.microsoft::FusedConv": {17, func(b *builder) []string {
		return []string{floats(b, 1, 4, 8, 8), weight(b, 6, 4, 1, 1), b.Weight("bias", 6)}
	}, testmodels.Attrs{"activation": "Relu"}, 6 * 64 * 4, 6*4 + 6},
	"::ConvInteger": {17, func(b *builder) []string { return []string{bytes(b, 1, 4, 8, 8), byteWeight(b, 6, 4, 1, 1)} }, nil, 6 * 64 * 4, 6 * 4},
	"::DeformConv": {19, func(b *builder) []string {
		return []string{floats(b, 1, 4, 8, 8), weight(b, 6, 4, 1, 1), b.Weight("offset", 1, 2, 8, 8), b.Weight("bias", 6)}
	}, nil, 6 * 64 * 4, 6*4 + 6},
	"::QLinearConv":              {17, quantisedConv, nil, 6 * 64 * 4, 6*4 + 6},
	"com.microsoft::QLinearConv": {17, quantisedConv, nil, 6 * 64 * 4, 6*4 + 6},
	"::CausalConvWithState": {27, func(b *builder) []string {
		return []string{floats(b, 1, 4, 10), weight(b, 4, 1, 3), b.Weight("bias", 4)}
	}, nil, 4 * 10 * 3, 4*3 + 4},
	"::ConvTranspose": {17, func(b *builder) []string {
		return []string{floats(b, 1, 4, 8, 8), weight(b, 4, 6, 2, 2), b.Weight("bias", 6)}
	}, testmodels.Attrs{"strides": []int{2, 2}}, 4 * 64 * 6 * 4, 4*6*4 + 6},

	"::Gemm":                      {17, linearWithBias, nil, 5 * 7 * 3, 7*3 + 3},
	"com.microsoft::FusedGemm":    {17, linearWithBias, testmodels.Attrs{"activation": "Relu"}, 5 * 7 * 3, 7*3 + 3},
	"com.microsoft::GemmFastGelu": {17, linearWithBias, nil, 5 * 7 * 3, 7*3 + 3},
	"com.microsoft::QGemm": {17, func(b *builder) []string {
		return []string{bytes(b, 5, 7), scale(b), zero(b), byteWeight(b, 7, 3), scale(b), zero(b), integers(b, onnxio.Int32, "bias", 3), scale(b), zero(b)}
	}, nil, 5 * 7 * 3, 7*3 + 3},

	"::MatMul":                             {17, stack, nil, 2 * 5 * 7 * 3, 7 * 3},
	"com.microsoft::FusedMatMul":           {17, stackTurned, testmodels.Attrs{"transA": 1, "transB": 1}, 2 * 5 * 7 * 3, 7 * 3},
	"com.microsoft::TransposeMatMul":       {17, stackTurned, testmodels.Attrs{"transA": 1, "transB": 1}, 2 * 5 * 7 * 3, 7 * 3},
	"com.microsoft::FusedMatMulActivation": {17, stackTurned, testmodels.Attrs{"transA": 1, "transB": 1, "activation": "Relu"}, 2 * 5 * 7 * 3, 7 * 3},
	"::MatMulInteger":                      {17, stackOfBytes, nil, 2 * 5 * 7 * 3, 7 * 3},
	"com.microsoft::MatMulInteger16": {17, func(b *builder) []string {
		return []string{b.Input("x", onnxio.Int16, 2, 5, 7), integers(b, onnxio.Int16, "w", 7, 3)}
	}, nil, 2 * 5 * 7 * 3, 7 * 3},
	"com.microsoft::MatMulIntegerToFloat": {17, func(b *builder) []string {
		return []string{bytes(b, 2, 5, 7), byteWeight(b, 7, 3), scale(b), scale(b), zero(b), zero(b), b.Weight("bias", 3)}
	}, nil, 2 * 5 * 7 * 3, 7*3 + 3},
	"com.microsoft::DynamicQuantizeMatMul": {17, func(b *builder) []string {
		return []string{floats(b, 2, 5, 7), byteWeight(b, 7, 3), scale(b), zero(b), b.Weight("bias", 3)}
	}, nil, 2 * 5 * 7 * 3, 7*3 + 3},
	"::QLinearMatMul":              {17, quantisedProduct, nil, 2 * 5 * 7 * 3, 7 * 3},
	"com.microsoft::QLinearMatMul": {17, quantisedProduct, nil, 2 * 5 * 7 * 3, 7 * 3},
	"com.microsoft::MatMulNBits": {17, func(b *builder) []string { // 4 bits each: 3 rows of 1 block of 16 bytes
		return []string{floats(b, 2, 5, 32), integers(b, onnxio.Uint8, "w", 3, 1, 16), b.Weight("scales", 3)}
	}, testmodels.Attrs{"K": 32, "N": 3, "bits": 4, "block_size": 32}, 2 * 5 * 32 * 3, 32 * 3},
	"::Einsum": {17, func(b *builder) []string { return []string{floats(b, 2, 7, 4, 4), weight(b, 7, 3)} },
		testmodels.Attrs{"equation": "n...hw,...d->ndhw"}, 2 * 7 * 16 * 3, 7 * 3},
	"com.microsoft::Attention": {17, func(b *builder) []string {
		return []string{floats(b, 2, 5, 8), weight(b, 8, 24), b.Weight("bias", 24)}
	}, testmodels.Attrs{"num_heads": 2}, 2 * 5 * 8 * 24, 8*24 + 24},

	"::LSTM": {17, recurrent(4), testmodels.Attrs{"hidden_size": 3}, 5 * 2 * (4*3*7 + 4*3*3), 4*3*7 + 4*3*3 + 8*3},
	"::GRU":  {17, recurrent(3), testmodels.Attrs{"hidden_size": 3}, 5 * 2 * (3*3*7 + 3*3*3), 3*3*7 + 3*3*3 + 6*3},
	"::RNN":  {17, recurrent(1), testmodels.Attrs{"hidden_size": 3}, 5 * 2 * (3*7 + 3*3), 3*7 + 3*3 + 2*3},
	"com.microsoft::DynamicQuantizeLSTM": {17, func(b *builder) []string {
		return []string{floats(b, 5, 2, 7), byteWeight(b, 1, 7, 12), integers(b, onnxio.Int8, "r", 1, 3, 12), b.Weight("bias", 1, 24), "", "", "", "",
			b.Vector("ws", 1, 1, 0), integers(b, onnxio.Int8, "wz", 1), b.Vector("rs", 1, 1, 0), integers(b, onnxio.Int8, "rz", 1)}
	}, testmodels.Attrs{"hidden_size": 3}, 5 * 2 * (7*12 + 3*12), 7*12 + 3*12 + 24},
}

func quantisedConv(b *builder) []string {
	return []string{bytes(b, 1, 4, 8, 8), scale(b), zero(b), byteWeight(b, 6, 4, 1, 1), scale(b), zero(b), scale(b), zero(b), integers(b, onnxio.Int32, "bias", 6)}
}

func quantisedProduct(b *builder) []string {
	return []string{bytes(b, 2, 5, 7), scale(b), zero(b), byteWeight(b, 7, 3), scale(b), zero(b), scale(b), zero(b)}
}

func linearWithBias(b *builder) []string {
	return []string{floats(b, 5, 7), weight(b, 7, 3), b.Weight("bias", 3)}
}

func stack(b *builder) []string { return []string{floats(b, 2, 5, 7), weight(b, 7, 3)} }

func stackTurned(b *builder) []string { return []string{floats(b, 2, 7, 5), weight(b, 3, 7)} }

func stackOfBytes(b *builder) []string { return []string{bytes(b, 2, 5, 7), byteWeight(b, 7, 3)} }

// recurrent has X [5,2,7], W [1,gates*3,7], R [1,gates*3,3] and B [1,2*gates*3].
func recurrent(gates int64) func(b *builder) []string {
	return func(b *builder) []string {
		return []string{floats(b, 5, 2, 7), weight(b, 1, 3*gates, 7), b.Weight("r", 1, 3*gates, 3), b.Weight("bias", 1, 6*gates)}
	}
}

// Every operator whose axis rule has a weight counts: its weight is listed, its MACs are those of the operands worked out by hand, and
// weight and bias are parameters.
func TestEveryOperatorWithAWeightCounts(t *testing.T) {
	for _, s := range axisrules.Table() {
		for _, i := range s.Rule.Weights {
			for k := range 9 {
				if (i == k || i == axisrules.AnyInput) && !cost.HoldsWeight(s.Domain, s.Op, k) {
					t.Errorf("%s::%s has a weight at input %d that costs nothing", s.Domain, s.Op, k)
				}
			}
		}
		if len(s.Rule.Weights) == 0 {
			continue
		}
		name := s.Domain + "::" + s.Op
		c, ok := layerCases[name]
		if !ok {
			t.Errorf("%s has a weight, but no case here", name)
			continue
		}
		t.Run(name, func(t *testing.T) { c.check(t, name) })
	}
}

func (c layerCase) check(t *testing.T, name string) {
	b := testmodels.New(c.opset)
	in := c.inputs(b)
	op := name
	if name[:2] == "::" {
		op = name[2:]
	}
	b.Output(b.Node(op, in, c.attrs), onnxio.Float)
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := channels.Analyze(g, s, channels.Options{})
	if len(a.Params) != 1 || a.Params[0].Name != "w" {
		t.Errorf("its weight is not listed, or others are: %d weights", len(a.Params))
	}
	r := cost.Of(g, s)
	if r.MACs() != c.macs || r.Params != c.params || r.Open != 0 {
		t.Errorf("%d MACs and %d parameters, %d layers open; by hand %d and %d", r.MACs(), r.Params, r.Open, c.macs, c.params)
	}
}
