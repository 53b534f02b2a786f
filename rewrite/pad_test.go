package rewrite_test

import (
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// A shortcut that is padded with channels meets a branch with as many: those that the Pad adds go with those of the branch.
func TestChannelsThatAPadAddsGoWithTheBranchThatTheyMeet(t *testing.T) {
	type B = testmodels.Builder
	around := []int64{0, 2, 0, 0, 0, 3, 0, 0} // 2 channels before, 3 behind
	cases := []struct {
		what  string
		opset int64
		pad   func(b *B, a string) string
	}{
		{"pads are an attribute", 7, func(b *B, a string) string {
			return b.Node("Pad", []string{a}, testmodels.Attrs{"pads": around, "value": float32(0.5)})
		}},
		{"pads are a constant", 13, func(b *B, a string) string {
			return b.Node("Pad", []string{a, b.Const(around), b.Const(float32(0.5))})
		}},
		{"pads of the channel axis only", 18, func(b *B, a string) string {
			return b.Node("Pad", []string{a, b.Const([]int64{2, 3}), "", b.Const([]int64{-3})})
		}},
		{"the amount is computed from widths", 13, func(b *B, a string) string {
			width := func(v string) string { return b.Gather(b.Shape(v), b.Const([]int64{1}), 0) }
			missing := b.Node("Sub", []string{width("wide"), width(a)})
			return b.Node("Pad", []string{a, b.Concat(0, b.Const([]int64{0, 0, 0, 0, 0}), missing, b.Const([]int64{0, 0}))})
		}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(c.opset)
			x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
			a := b.Relu(b.Conv("a", x, 3, 8, 3))
			b.NodeTo("Relu", []string{b.Conv("branch", a, 8, 13, 1)}, []string{"wide"})
			sum := b.Add("wide", c.pad(b, a))
			b.Output(b.Conv("head", sum, 13, 5, 1), onnxio.Float, 1, 5, 8, 8)
			halved(t, b.Model(), "a.weight", "branch.weight")
		})
	}
}
