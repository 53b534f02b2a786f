package channels_test

import (
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// A cut that the masked twin could not silence is refused when the model is analysed, not when the cut is verified.
func TestSumsOverIntegersThatCanNotBeSilencedStay(t *testing.T) {
	type B = testmodels.Builder
	quantised := func(b *B) string {
		x := b.MatMul("a", b.Input("x", onnxio.Float, 10, 16), 16, 8)
		return b.Node("QuantizeLinear", []string{x, b.Const(float32(1)), b.Const(uint8(0))})
	}
	product := func(zeros []uint8) func(b *B) {
		return func(b *B) {
			w := b.ConstDims("w", []int64{8, 4}, make([]uint8, 32))
			y := b.Node("MatMulInteger", []string{quantised(b), w, b.Const(uint8(0)), b.ConstDims("zeros", []int64{4}, zeros)})
			b.Output(b.MatMul("tail", b.Cast(y, onnxio.Float), 4, 3), onnxio.Float, 10, 3)
		}
	}
	for _, c := range []struct {
		what  string
		build func(b *B)
		want  string
	}{
		{"a weight with one zero point goes", product([]uint8{7, 7, 7, 7}), "a 8; w 4"},
		{"a weight whose zero points differ keeps its inputs", product([]uint8{7, 7, 8, 7}), "a: zero points differ; w 4"},
		{"a sum of integers over channels", func(b *B) {
			y := b.Node("ReduceSum", []string{b.Cast(quantised(b), onnxio.Int32), b.Const([]int64{1})})
			b.Output(y, onnxio.Int32, 10, 1)
		}, "a: can not be masked"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			c.build(b)
			check(t, analyse(t, b), c.want)
		})
	}
}
