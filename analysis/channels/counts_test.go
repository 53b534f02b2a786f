package channels_test

import (
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// A count of elements that the model computes with keeps its old value after a cut. One that is only known at run time has
// no old value to be written down, so what it counts stays.
func TestWhatIsCountedForArithmeticStaysWhereTheCountIsUnknown(t *testing.T) {
	type B = testmodels.Builder
	size := func(b *B, x string) string { return b.Node("Size", []string{x}) }
	product := func(b *B, x string) string {
		return b.Node("ReduceProd", []string{b.Shape(x)}, testmodels.Attrs{"keepdims": 0})
	}
	extent := func(b *B, x string, axis int64) string { return b.Gather(b.Shape(x), b.Const(axis), 0) }
	scaled := func(b *B, x, count string) string { return b.Div(x, b.Cast(count, onnxio.Float)) }
	for _, c := range []struct {
		what  string
		batch any
		build func(b *B, x string) string
		want  string
	}{
		{"a division by a count with an open batch", "N", func(b *B, x string) string { return scaled(b, x, size(b, x)) }, "a: not known before the run"},
		{"a division by a product of a shape with an open batch", "N", func(b *B, x string) string { return scaled(b, x, product(b, x)) }, "a: not known before the run"},
		{"a division by a batch times its channels", "N", func(b *B, x string) string {
			return scaled(b, x, b.Mul(extent(b, x, 0), extent(b, x, 1)))
		}, "a: not known before the run"},
		{"a division by a batch plus its channels, as floats", "N", func(b *B, x string) string {
			return b.Div(x, b.Add(b.Cast(extent(b, x, 1), onnxio.Float), b.Cast(extent(b, x, 0), onnxio.Float)))
		}, "a: not known before the run"},
		{"a division by a batch times its rows", "N", func(b *B, x string) string {
			return scaled(b, x, b.Mul(extent(b, x, 0), extent(b, x, 2)))
		}, "a 8"},
		{"a division by the number of channels with an open batch", "N", func(b *B, x string) string {
			return scaled(b, x, b.Mul(extent(b, x, 1), extent(b, x, 2)))
		}, "a 8"},
		{"a division by a count that is known", 2, func(b *B, x string) string { return scaled(b, x, size(b, x)) }, "a 8"},
		{"a division by a product of a known shape", 2, func(b *B, x string) string { return scaled(b, x, product(b, x)) }, "a 8"},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			x := b.Conv("a", b.Input("x", onnxio.Float, c.batch, 3, 8, 8), 3, 8, 3)
			head(b, c.build(b, x), 8)
			check(t, analyse(t, b), c.want)
		})
	}
}
