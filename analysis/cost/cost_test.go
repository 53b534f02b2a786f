package cost_test

import (
	"testing"

	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// MACs of single layers, worked out by hand: of a convolution, outputs * input channels per group * kernel elements.
func TestMACsByHand(t *testing.T) {
	type B = testmodels.Builder
	image := func(b *B, n any, c int) string { return b.Input("x", onnxio.Float, n, c, 8, 8) }
	out := func(b *B, y string) { b.Output(y, onnxio.Float) }
	for _, c := range []struct {
		what                             string
		build                            func(b *B)
		conv, transposed, linear, bodies int64
		open                             int
	}{
		{"a convolution", func(b *B) { out(b, b.Conv("c", image(b, 1, 4), 4, 6, 3)) }, 6 * 64 * 4 * 9, 0, 0, 0, 0},
		{"its bias costs nothing", func(b *B) { out(b, b.Conv("c", image(b, 1, 4), 4, 6, 3, testmodels.Bias())) }, 6 * 64 * 4 * 9, 0, 0, 0, 0},
		{"a stride of 2 leaves a quarter", func(b *B) { out(b, b.Conv("c", image(b, 1, 4), 4, 6, 3, testmodels.Stride(2))) }, 6 * 16 * 4 * 9, 0, 0, 0, 0},
		{"a batch of 3", func(b *B) { out(b, b.Conv("c", image(b, 3, 4), 4, 6, 3)) }, 3 * 6 * 64 * 4 * 9, 0, 0, 0, 0},
		{"two groups", func(b *B) { out(b, b.Conv("c", image(b, 1, 4), 4, 6, 3, testmodels.Groups(2))) }, 6 * 64 * 2 * 9, 0, 0, 0, 0},
		{"depthwise", func(b *B) { out(b, b.Conv("c", image(b, 1, 4), 4, 4, 3, testmodels.Groups(4))) }, 4 * 64 * 9, 0, 0, 0, 0},
		{"transposed: by inputs", func(b *B) {
			out(b, b.ConvTranspose("c", image(b, 1, 4), 4, 6, 2, testmodels.Stride(2)))
		}, 0, 4 * 64 * 6 * 4, 0, 0, 0},
		{"transposed in two groups", func(b *B) {
			out(b, b.ConvTranspose("c", image(b, 1, 4), 4, 6, 2, testmodels.Stride(2), testmodels.Groups(2)))
		}, 0, 4 * 64 * 3 * 4, 0, 0, 0},
		{"Gemm", func(b *B) { out(b, b.Gemm("c", b.Input("x", onnxio.Float, 5, 7), 7, 3)) }, 0, 0, 5 * 7 * 3, 0, 0},
		{"Gemm of a transposed input", func(b *B) {
			out(b, b.Node("Gemm", []string{b.Input("x", onnxio.Float, 7, 5), b.Weight("w", 7, 3)}, testmodels.Attrs{"transA": 1}))
		}, 0, 0, 5 * 7 * 3, 0, 0},
		{"MatMul of a stack", func(b *B) { out(b, b.MatMul("c", b.Input("x", onnxio.Float, 2, 5, 7), 7, 3)) }, 0, 0, 2 * 5 * 7 * 3, 0, 0},
		{"MatMul of two activations is no layer", func(b *B) {
			out(b, b.Node("MatMul", []string{b.Input("x", onnxio.Float, 2, 3), b.Input("y", onnxio.Float, 3, 2)}))
		}, 0, 0, 0, 0, 0},
		{"an open batch counts as one", func(b *B) { out(b, b.Conv("c", image(b, "N", 4), 4, 6, 3)) }, 6 * 64 * 4 * 9, 0, 0, 0, 1},
		{"an open height and width count as one", func(b *B) {
			out(b, b.Conv("c", b.Input("x", onnxio.Float, 1, 4, "H", "W"), 4, 6, 3))
		}, 6 * 4 * 9, 0, 0, 0, 1},
		{"bodies are counted apart", func(b *B) {
			x := b.Conv("c", image(b, 1, 4), 4, 6, 3)
			then, other := b.Body("then"), b.Body("else")
			then.Output(then.Conv("inner", x, 6, 2, 1), onnxio.Float)
			other.Output(other.Conv("outer", x, 6, 2, 3), onnxio.Float)
			out(b, b.Node("If", []string{b.Input("flag", onnxio.Bool)}, testmodels.Attrs{"then_branch": then, "else_branch": other}))
		}, 6 * 64 * 4 * 9, 0, 0, 2*64*6 + 2*64*6*9, 0},
		{"PaddleSlim's six convolutions", func(b *B) { *b = *testmodels.SixConvolutions() }, 792576, 0, 0, 0, 6},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			c.build(b)
			g, err := graph.Build(b.Model())
			if err != nil {
				t.Fatal(err)
			}
			s, err := shape.Infer(g, shape.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r := cost.Of(g, s)
			if r.ConvMACs != c.conv || r.TransposeMACs != c.transposed || r.LinearMACs != c.linear || r.BodyMACs != c.bodies || r.Open != c.open {
				t.Errorf("conv %d, transposed %d, linear %d, bodies %d, open %d; want %d, %d, %d, %d, %d",
					r.ConvMACs, r.TransposeMACs, r.LinearMACs, r.BodyMACs, r.Open, c.conv, c.transposed, c.linear, c.bodies, c.open)
			}
			if want := c.conv + c.transposed + c.linear; r.MACs() != want {
				t.Errorf("MACs %d, want %d", r.MACs(), want)
			}
		})
	}
}
