package runtime_test

import (
	"math"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// Verification compares small probabilities as shares of their range, so an exact session computes them to the last digits, whether the
// logistic function is a node or the end of a convolution.
func TestSmallProbabilitiesOfAnExactSessionAreAccurate(t *testing.T) {
	xs := make([]float32, 64)
	for i := range xs {
		xs[i] = -10 - float32(i)/8
	}
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	silu := func(x float64) float64 { return x * sigmoid(x) }
	type B = testmodels.Builder
	one := func(b *B, x string) string { // a convolution that changes nothing
		return b.Node("Conv", []string{x, b.ConstDims("w", []int64{1, 1, 1, 1}, []float32{1})})
	}
	for _, c := range []struct {
		what  string
		build func(b *B, x string) string
		want  func(x float64) float64
	}{
		{"Sigmoid", func(b *B, x string) string { return b.Sigmoid(x) }, sigmoid},
		{"Conv and Sigmoid", func(b *B, x string) string { return b.Sigmoid(one(b, x)) }, sigmoid},
		{"Swish", func(b *B, x string) string { return b.Node("Swish", []string{x}) }, silu},
		{"Conv, Sigmoid and Mul", func(b *B, x string) string { y := one(b, x); return b.Mul(y, b.Sigmoid(y)) }, silu},
		{"FusedConv", func(b *B, x string) string {
			w := b.ConstDims("w", []int64{1, 1, 1, 1}, []float32{1})
			return b.Node("com.microsoft::FusedConv", []string{x, w}, testmodels.Attrs{"activation": "Sigmoid"})
		}, sigmoid},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(24)
			b.Import("com.microsoft", 1)
			b.Output(c.build(b, b.Input("x", onnxio.Float, 1, 1, 8, 8)), onnxio.Float, 1, 1, 8, 8)
			onBoth(t, b.Model(), runtime.Options{Exact: true}, func(t *testing.T, s *runtime.Session) {
				for name, v := range run(t, s, values{"x": value.From(xs, 1, 1, 8, 8)}) {
					for i, got := range v.(*value.Tensor).Data.([]float32) {
						if want := c.want(float64(xs[i])); math.Abs(float64(got)-want) > 1e-6*math.Abs(want) {
							t.Fatalf("%s of %v is %v, want %v", name, xs[i], got, want)
						}
					}
				}
			})
		})
	}
}
