package selection_test

import (
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// The first 8 channels of b are those of a, which is cut first, to 4.
func TestAlignmentHoldsWhereAnEarlierCutTookChannels(t *testing.T) {
	for _, c := range []struct {
		what string
		own  int // channels of b alone
		kept map[string]int
	}{
		{"the rest goes from channels that the earlier cut did not rule over", 8, map[string]int{"a.weight": 4, "b.weight": 8}},
		{"nothing more goes where a multiple would empty an axis", 2, map[string]int{"a.weight": 4, "b.weight": 6}},
	} {
		t.Run(c.what, func(t *testing.T) { alignedCut(t, c.own, c.kept) })
	}
}

func alignedCut(t *testing.T, own int, want map[string]int) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	a, wide := b.Conv("a", x, 3, 8, 3), b.Conv("b", x, 3, 8+own, 3)
	parts := b.Split(wide, 1, 8, int64(own))
	y := b.Concat(1, b.Add(a, parts[0]), parts[1])
	b.Output(b.Conv("tail", y, 8+own, 5, 1), onnxio.Float, 1, 5, 8, 8)
	got := aligned(t, b, []string{"a.weight", "b.weight"}, 0.5)
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s keeps %d channels, want %d", name, got[name], n)
		}
	}
}

// aligned cuts to multiples of 4, and counts what stays of every weight.
func aligned(t *testing.T, b *testmodels.Builder, names []string, ratio float64) map[string]int {
	t.Helper()
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := channels.Analyze(g, s, channels.Options{})
	wants, _, err := selection.Resolve(n, names, []float64{ratio})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(n, wants, selection.Options{Align: 4})
	if err != nil {
		t.Fatal(err)
	}
	kept := map[string]int{}
	for _, p := range n.Params {
		for _, k := range n.Classes(p) {
			if !c.Removed[k] {
				kept[p.Name]++
			}
		}
	}
	return kept
}

// A plain convolution feeds one with four conv groups of 6 channels each: what stays of it must be a multiple of 4 in each of them.
func TestAlignmentHoldsInTheConvGroupsThatReadTheChannels(t *testing.T) {
	type B = testmodels.Builder
	for _, c := range []struct {
		what    string
		grouped func(b *B, x string) string
	}{
		{"a grouped convolution", func(b *B, x string) string { return b.Conv("g", x, 24, 12, 3, testmodels.Groups(4)) }},
		{"a grouped transposed convolution", func(b *B, x string) string {
			return b.ConvTranspose("g", x, 24, 12, 3, testmodels.Groups(4), testmodels.Pad(1), testmodels.Stride(1))
		}},
		{"a grouped convolution whose weight is dequantised", func(b *B, x string) string {
			q := b.ConstDims("g.int8", []int64{12, 6, 1, 1}, make([]int8, 72))
			w := b.Node("DequantizeLinear", []string{q, b.Const(float32(0.1))})
			return b.Node("Conv", []string{x, w}, testmodels.Attrs{"group": 4})
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			a := b.Conv("a", b.Input("x", onnxio.Float, 1, 3, 8, 8), 3, 24, 1)
			b.Output(b.Relu(c.grouped(b, a)), onnxio.Float, 1, 12, 8, 8)
			// of 6 in a conv group, 0.4 leaves 4; 0.2 would leave 5, which is no multiple of 4
			for ratio, want := range map[float64]int{0.4: 16, 0.2: 24} {
				if got := aligned(t, b, []string{"a.weight"}, ratio)["a.weight"]; got != want {
					t.Errorf("at %v, %d channels of a stay, want %d", ratio, got, want)
				}
			}
		})
	}
}
