package importance_test

import (
	"math"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Scores of quantised weights, worked out by hand: a 2 x 4 weight of MatMul, its output axis the last.
func TestScoresOfQuantisedWeightsUseTheScaleOfEachElement(t *testing.T) {
	w := []int8{1, 2, 3, 4, 5, 6, 7, 8}
	for _, c := range []struct {
		what   string
		dims   []int64
		scales []float32
		attrs  testmodels.Attrs
		want   []float64
	}{
		{"one scale for each output channel", []int64{4}, []float32{1, 10, 100, 1000}, testmodels.Attrs{"axis": 1}, []float64{6, 80, 1000, 12000}},
		{"the axis counted from the end", []int64{4}, []float32{1, 10, 100, 1000}, testmodels.Attrs{"axis": -1}, []float64{6, 80, 1000, 12000}},
		{"one scale for each input channel", []int64{2}, []float32{1, 10}, testmodels.Attrs{"axis": 0}, []float64{51, 62, 73, 84}},
		{"blocks along the output axis", []int64{2, 2}, []float32{1, 10, 100, 1000}, testmodels.Attrs{"axis": 1, "block_size": 2}, []float64{501, 602, 7030, 8040}},
		{"blocks along the input axis", []int64{1, 4}, []float32{1, 10, 100, 1000}, testmodels.Attrs{"axis": 0, "block_size": 2}, []float64{6, 80, 1000, 12000}},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(21)
			x := b.Input("x", onnxio.Float, 3, 2)
			d := b.Node("DequantizeLinear", []string{b.ConstDims("w", []int64{2, 4}, w), b.ConstDims("s", c.dims, c.scales)}, c.attrs)
			b.Output(b.MatMul("tail", b.Node("MatMul", []string{x, d}), 4, 2), onnxio.Float, 3, 2)
			checkScores(t, b, "w", importance.L1Norm, c.want)
		})
	}
}

func TestScoresByBatchNormLookThroughIdentity(t *testing.T) {
	b := testmodels.New(17)
	y := b.Node("Identity", []string{b.Conv("a", b.Input("x", onnxio.Float, 1, 3, 8, 8), 3, 2, 3)})
	gamma := b.Node("Identity", []string{b.Node("Identity", []string{b.ConstDims("gamma", []int64{2}, []float32{-3, 2})})})
	rest := func(name string) string { return b.ConstDims(name, []int64{2}, []float32{1, 1}) }
	y = b.Node("BatchNormalization", []string{y, gamma, rest("beta"), rest("mean"), rest("var")})
	b.Output(b.Conv("tail", y, 2, 2, 1), onnxio.Float, 1, 2, 8, 8)
	checkScores(t, b, "a.weight", importance.BNScale, []float64{3, 2})
}

func checkScores(t *testing.T, b *testmodels.Builder, name string, c importance.Criterion, want []float64) {
	t.Helper()
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range channels.Analyze(g, s, channels.Options{}).Params {
		if p.Name != name {
			continue
		}
		got, err := importance.Scores(c, p, 0)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if len(got) != len(want) || math.Abs(got[i]-want[i]) > 1e-6*want[i] {
				t.Fatalf("scores %v, want %v", got, want)
			}
		}
		return
	}
	t.Fatalf("there is no weight %s", name)
}
