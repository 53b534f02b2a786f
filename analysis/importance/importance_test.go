package importance_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Scores of weights of a few elements, worked out by hand.

// param returns the weight "w" of a model.
func param(t *testing.T, b *testmodels.Builder) *channels.Param {
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
		if p.Name == "w" {
			return p
		}
	}
	t.Fatal("the model has no weight w")
	return nil
}

func close(a, b []float64) bool {
	return slices.EqualFunc(a, b, func(x, y float64) bool { return math.Abs(x-y) <= 1e-12*(1+math.Abs(y)) })
}

func TestScoresByHand(t *testing.T) {
	type B = testmodels.Builder
	// filters (3,-4), (0,0), (3,0)
	conv := func(elem func(b *B)) func(b *B) {
		return func(b *B) {
			elem(b)
			x := b.Input("x", onnxio.Float, "N", 2, 8, 8)
			b.Output(b.Conv("head", b.Node("Conv", []string{x, "w"}), 3, 5, 1), onnxio.Float, "N", 5, 8, 8)
		}
	}
	plain := conv(func(b *B) { b.ConstDims("w", []int64{3, 2, 1, 1}, []float32{3, -4, 0, 0, 3, 0}) })
	constant := conv(func(b *B) {
		b.Constants = true
		b.ConstDims("w", []int64{3, 2, 1, 1}, []float32{3, -4, 0, 0, 3, 0})
	})
	// numbers that float16 holds exactly
	half := func(b *B) {
		x := b.Input("x", onnxio.Float16, "N", 2, 8, 8)
		b.ConstDims("w", []int64{3, 2, 1, 1}, testmodels.Float16s{3, -4, 0, 0, 3, 0})
		y := b.Node("Conv", []string{x, "w"})
		b.Output(b.Node("Conv", []string{y, b.WeightOf(onnxio.Float16, "head", 5, 3, 1, 1)}), onnxio.Float16, "N", 5, 8, 8)
	}
	// [in 2, out 3, 1, 1]: filters (3,-4), (0,0), (3,0) as columns
	transposed := func(b *B) {
		x := b.Input("x", onnxio.Float, "N", 2, 8, 8)
		b.ConstDims("w", []int64{2, 3, 1, 1}, []float32{3, 0, 3, -4, 0, 0})
		b.Output(b.Conv("head", b.Node("ConvTranspose", []string{x, "w"}), 3, 5, 1), onnxio.Float, "N", 5, 8, 8)
	}
	linear := func(op string, dims []int64, vs []float32, attrs testmodels.Attrs) func(b *B) {
		return func(b *B) {
			x := b.Input("x", onnxio.Float, "N", 2)
			b.ConstDims("w", dims, vs)
			b.Output(b.MatMul("head", b.Node(op, []string{x, "w"}, attrs), 3, 5), onnxio.Float, "N", 5)
		}
	}
	columns := []float32{3, 0, 3, -4, 0, 0}
	l1, l2 := []float64{7, 0, 3}, []float64{5, 0, 3}
	median := []float64{5 + 4, 5 + 3, 4 + 3} // distances: 5 of the first two, 4 of first and last, 3 of the last two
	for _, c := range []struct {
		what      string
		build     func(b *B)
		criterion importance.Criterion
		want      []float64
	}{
		{"l1 of a convolution", plain, importance.L1Norm, l1},
		{"l2 of a convolution", plain, importance.L2Norm, l2},
		{"geometry median of a convolution", plain, importance.GeometryMedian, median},
		{"a weight in a Constant node", constant, importance.L1Norm, l1},
		{"a float16 weight", half, importance.L1Norm, l1},
		{"the median of a float16 weight", half, importance.GeometryMedian, median},
		{"a transposed convolution has its outputs on axis 1", transposed, importance.L1Norm, l1},
		{"the median of a transposed convolution", transposed, importance.GeometryMedian, median},
		{"a matrix product has its outputs last", linear("MatMul", []int64{2, 3}, columns, nil), importance.L2Norm, l2},
		{"Gemm has its outputs last", linear("Gemm", []int64{2, 3}, columns, nil), importance.L1Norm, l1},
		{"Gemm with transB has its outputs first", linear("Gemm", []int64{3, 2}, []float32{3, -4, 0, 0, 3, 0}, testmodels.Attrs{"transB": 1}), importance.L1Norm, l1},
		{"the median of Gemm's columns", linear("Gemm", []int64{2, 3}, columns, nil), importance.GeometryMedian, median},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			c.build(b)
			got, err := importance.Scores(c.criterion, param(t, b), 0)
			if err != nil || !close(got, c.want) {
				t.Errorf("got %v, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestBatchNormScale(t *testing.T) {
	build := func(norm bool) *testmodels.Builder {
		b := testmodels.New(17)
		x := b.Input("x", onnxio.Float, "N", 2, 8, 8)
		y := b.Node("Conv", []string{x, b.Weight("w", 3, 2, 1, 1)})
		if norm {
			y = b.Node("BatchNormalization", []string{y, b.NamedConst("gamma", []float32{0.5, -2, 1}), b.Vector("beta", 3, 0, 1), b.Vector("mean", 3, 0, 1), b.Vector("var", 3, 1, 0.1)})
		}
		b.Output(b.Conv("head", b.Relu(y), 3, 5, 1), onnxio.Float, "N", 5, 8, 8)
		return b
	}
	got, err := importance.Scores(importance.BNScale, param(t, build(true)), 0)
	if want := []float64{0.5, 2, 1}; err != nil || !close(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	_, err = importance.Scores(importance.BNScale, param(t, build(false)), 0)
	if err == nil || !strings.Contains(err.Error(), "bn_scale") || !strings.Contains(err.Error(), "of w;") {
		t.Errorf("without a batch norm: %v, want an error that names the criterion and the weight", err)
	}
}

func TestRandomScoresDependOnSeedAndNameAlone(t *testing.T) {
	score := func(name string, out int64, seed uint64) []float64 {
		vs, err := importance.Scores(importance.Random, &channels.Param{Name: name, Out: out}, seed)
		if err != nil || int64(len(vs)) != out {
			t.Fatalf("%d scores, %v; want %d", len(vs), err, out)
		}
		return vs
	}
	first := score("w", 8, 1)
	if !slices.Equal(first, score("w", 8, 1)) {
		t.Error("the same seed and name give other scores")
	}
	if slices.Equal(first, score("w", 8, 2)) {
		t.Error("another seed gives the same scores")
	}
	if slices.Equal(first, score("v", 8, 1)) {
		t.Error("another name gives the same scores")
	}
}

func TestParseNamesTheCriteria(t *testing.T) {
	for _, name := range []string{"l1_norm", "l2_norm", "geometry_median", "bn_scale", "random"} {
		if c, err := importance.Parse(name); err != nil || string(c) != name {
			t.Errorf("%s: got %q, %v", name, c, err)
		}
	}
	if _, err := importance.Parse("l3_norm"); err == nil || !strings.Contains(err.Error(), "l3_norm") || !strings.Contains(err.Error(), "l1_norm") {
		t.Errorf("l3_norm: got %v, want an error that names it and what there is", err)
	}
}

// A weight that the graph computes is scored as the layer uses it, whatever the constants look like that it comes from, and the other
// way round: by index of the constant's own axis.
func TestComputedWeightsAreScoredAsTheyAreUsed(t *testing.T) {
	type B = testmodels.Builder
	model := func(weight func(b *B) string) *B {
		b := testmodels.New(13)
		x := b.Input("x", onnxio.Float, 1, 2, 8, 8)
		b.ConstDims("w", []int64{3, 2, 1, 1}, []float32{30, -40, 0.3, 0.4, 6, 8}) // of lengths 50, 0.5 and 10
		y := b.Node("Conv", []string{x, weight(b)})
		b.Output(b.Conv("head", y, 3, 5, 1), onnxio.Float, 1, 5, 8, 8)
		return b
	}
	// g*w/|w| with g of 1, 10 and 2: filters (0.6,-0.8), (6,8) and (1.2,1.6)
	normed := func(b *B) string {
		norm := b.Node("ReduceL2", []string{"w"}, testmodels.Attrs{"axes": []int{1, 2, 3}})
		return b.Mul(b.ConstDims("g", []int64{3, 1, 1, 1}, []float32{1, 10, 2}), b.Div("w", norm))
	}
	apart := func(x, y []float64) float64 { return math.Hypot(x[0]-y[0], x[1]-y[1]) }
	a, b, c := []float64{0.6, -0.8}, []float64{6, 8}, []float64{1.2, 1.6}
	for _, e := range []struct {
		what      string
		weight    func(b *B) string
		criterion importance.Criterion
		want      []float64
	}{
		{"sums of magnitudes", normed, importance.L1Norm, []float64{1.4, 14, 2.8}},
		{"lengths", normed, importance.L2Norm, []float64{1, 10, 2}},
		{"distances", normed, importance.GeometryMedian, []float64{apart(a, b) + apart(a, c), apart(a, b) + apart(b, c), apart(a, c) + apart(b, c)}},
		{"filters in another order", func(b *B) string {
			return b.Gather(normed(b), b.Const([]int64{2, 0, 1}), 0)
		}, importance.L2Norm, []float64{1, 10, 2}},
		{"a weight that is only moved is read where it lies", func(b *B) string {
			return b.Reshape(b.Reshape("w", 6), 3, 2, 1, 1)
		}, importance.L1Norm, []float64{70, float64(float32(0.3)) + float64(float32(0.4)), 14}},
	} {
		t.Run(e.what, func(t *testing.T) {
			got, err := importance.Scores(e.criterion, param(t, model(e.weight)), 0)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, e.want, func(x, y float64) bool { return math.Abs(x-y) <= 1e-6*(1+math.Abs(y)) }) {
				t.Errorf("%v, want %v", got, e.want)
			}
		})
	}
	if _, err := importance.Scores("l3_norm", param(t, model(normed)), 0); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("an unknown criterion: %v", err)
	}
}
