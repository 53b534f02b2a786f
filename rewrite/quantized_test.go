package rewrite_test

import (
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// A channel of an integer weight is silent where it holds the weight's zero point, not where it holds 0: the twin must be masked
// with that.
func TestIntegerWeightsAreMaskedWithTheirZeroPoint(t *testing.T) {
	type B = testmodels.Builder
	bytes := func(n int) []uint8 {
		out := make([]uint8, n)
		for i := range out {
			out[i] = uint8(37 * i)
		}
		return out
	}
	for _, c := range []struct {
		what  string
		layer func(b *B, q, scale, zero string) string
	}{
		{"a quantised Gemm", func(b *B, q, scale, zero string) string {
			w := b.ConstDims("w", []int64{6, 8}, bytes(48))
			return b.Node("com.microsoft::QGemm", []string{q, scale, zero, w, b.Const(float32(0.01)), b.Const(uint8(90)), ""}, testmodels.Attrs{"transB": 1})
		}},
		{"a product of integers that returns floats", func(b *B, q, scale, zero string) string {
			w := b.ConstDims("w", []int64{8, 6}, bytes(48))
			return b.Node("com.microsoft::MatMulIntegerToFloat", []string{q, w, scale, b.Const(float32(0.01)), zero, b.Const(uint8(90))})
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			x := b.Reshape(b.Input("x", onnxio.Float, 1, 3, 8, 8), 12, 16)
			scale, zero := b.Const(float32(0.05)), b.Const(uint8(120))
			q := b.Node("QuantizeLinear", []string{b.MatMul("a", x, 16, 8), scale, zero})
			b.Output(b.MatMul("tail", c.layer(b, q, scale, zero), 6, 3), onnxio.Float, 12, 3)
			halved(t, b.Model(), "a.weight")
		})
	}
}
