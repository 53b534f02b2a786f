package verify_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/verify"
	"onnxprune/testmodels"
)

// twoLayers is conv1 - bn1 - relu - conv2.
func twoLayers() *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 16, 16)
	y := b.ConvBNRelu("one", x, 3, 8, 3)
	b.NodeTo("Identity", []string{b.Conv("two.conv", y, 8, 4, 3, testmodels.Bias())}, []string{"y"})
	b.Output("y", onnxio.Float, 1, 4, 16, 16)
	return b.Model()
}

// pruneAt takes channels of one parameter by the project's own way.
func pruneAt(t *testing.T, m *onnxio.Model, name string, channel ...int) (twin, pruned *onnxio.Model, kept map[string]map[int][]int) {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := channels.Analyze(g, s, channels.Options{})
	removed := removedOf(t, a, name, channel)
	p, err := plan.Build(a, removed)
	if err != nil {
		t.Fatal(err)
	}
	if pruned, err = rewrite.Apply(m, p); err != nil {
		t.Fatal(err)
	}
	if twin, err = rewrite.MaskedTwin(m, p); err != nil {
		t.Fatal(err)
	}
	return twin, pruned, plan.Kept(a, removed)
}

func weight(t *testing.T, m *onnxio.Model, name string) *onnxio.Tensor {
	t.Helper()
	i := slices.IndexFunc(m.Graph.Initializers, func(w *onnxio.Tensor) bool { return w.Name == name })
	if i < 0 {
		t.Fatalf("there is no weight %q", name)
	}
	return m.Graph.Initializers[i]
}

// edit changes the elements of a float weight of a clone.
func edit(t *testing.T, m *onnxio.Model, name string, change func(vs []float32)) *onnxio.Model {
	t.Helper()
	c := m.Clone()
	w := weight(t, c, name)
	vs, err := w.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	vs = slices.Clone(vs)
	change(vs)
	raw, err := onnxio.NewFloats32("", w.Dims, vs).Raw()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.SetRaw(w.Dims, raw); err != nil {
		t.Fatal(err)
	}
	return c
}

func compare(t *testing.T, a, b *onnxio.Model, opt verify.Options) *verify.Report {
	t.Helper()
	r, err := verify.Compare(context.Background(), a, b, opt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Errorf("the report can not be written as JSON: %v", err)
	}
	return r
}

func find(t *testing.T, r *verify.Report, name string) verify.Output {
	t.Helper()
	for _, o := range r.Outputs {
		if o.Name == name {
			return o
		}
	}
	t.Fatalf("the report has no %q: %+v", name, r.Outputs)
	return verify.Output{}
}

func TestAPrunedModelIsProvenAndAWrongOneIsNot(t *testing.T) {
	const name = "one.conv.weight"
	m := twoLayers()
	twin, pruned, kept := pruneAt(t, m, name, 2, 5)
	_, shifted, _ := pruneAt(t, m, name, 2, 4)
	swap := func(n int) func([]float32) {
		return func(vs []float32) {
			for i := range n {
				vs[i], vs[i+n] = vs[i+n], vs[i]
			}
		}
	}
	for _, c := range []struct {
		title     string
		candidate *onnxio.Model
		pass      bool
	}{
		{"the right channels are gone", pruned, true},
		{"one kept index is shifted by one", shifted, false},
		{"two channels of the batch normalisation's mean are swapped", edit(t, pruned, "one.bn.running_mean", swap(1)), false},
		{"two channels of its scale are swapped", edit(t, pruned, "one.bn.weight", swap(1)), false},
		{"two input slices of the consumer are swapped", edit(t, pruned, "two.conv.weight", swap(9)), false},
		{"one element of the bias is off by a hundredth of the range", edit(t, pruned, "two.conv.bias", func(vs []float32) { vs[1] += 0.05 }), false},
		{"a weight is not a number", edit(t, pruned, "two.conv.weight", func(vs []float32) { vs[0] = float32(math.NaN()) }), false},
	} {
		t.Run(c.title, func(t *testing.T) {
			r := compare(t, twin, c.candidate, verify.Options{Runs: 2, Kept: kept})
			o := find(t, r, "y")
			if r.Pass != c.pass || o.Pass != c.pass {
				t.Errorf("pass is %v, want %v: %s %+v", r.Pass, c.pass, r.Decided, o)
			}
			if !c.pass && !strings.Contains(r.Decided, `"y"`) {
				t.Errorf("the verdict does not name the output: %s", r.Decided)
			}
		})
	}
}

func TestTheFiguresAreThoseOfTheDifference(t *testing.T) {
	build := func(vs ...float32) *onnxio.Model {
		b := testmodels.New(17)
		x := b.Input("x", onnxio.Float, 1)
		zero := b.Mul(x, b.Const(float32(0)))
		b.NodeTo("Add", []string{zero, b.Const(vs)}, []string{"y"})
		b.Output("y", onnxio.Float, len(vs))
		return b.Model()
	}
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		title      string
		want, got  []float32
		pass       bool
		abs, rel   float64
		mean, rtol float64 // rtol at atol 0.25, which is fixed below
		problem    string
	}{
		{"within rtol of the range", []float32{4, -8}, []float32{4.5, -8}, true, 0.5, 0.125, 0.25, 0.03125, ""},
		{"beyond it", []float32{4, -8}, []float32{5, -8}, false, 1, 0.25, 0.5, 0.09375, ""},
		{"within atol", []float32{4, -8}, []float32{4.25, -8}, true, 0.25, 0.0625, 0.125, 0, ""},
		{"a NaN where the reference has a number", []float32{4, -8}, []float32{nan, -8}, false, 0, 0, 0, 0, "element 0 is NaN, the reference gives 4"},
		{"an infinity where the reference has a number", []float32{4, -8}, []float32{4, -inf}, false, 0, 0, 0, 0, "element 1 is -Inf, the reference gives -8"},
		{"a number where the reference has none", []float32{nan, -8}, []float32{4, -8}, true, 0, 0, 0, 0, ""},
		{"the same infinity", []float32{inf, -8}, []float32{inf, -8}, true, 0, 0, 0, 0, ""},
		{"another infinity", []float32{inf, -8}, []float32{-inf, -8}, false, 0, 0, 0, 0, "element 0 is -Inf, the reference gives +Inf"},
		{"no number in the reference", []float32{nan, nan}, []float32{1, 2}, false, 0, 0, 0, 0, "the reference gives no number at all (every element is NaN): nothing can be proven with these inputs"},
		{"a number where the reference is zero everywhere", []float32{0, 0}, []float32{0, 3}, false, 3, 0, 1.5, 0, "the reference is zero everywhere, it is up to 3"},
	} {
		t.Run(c.title, func(t *testing.T) {
			r := compare(t, build(c.want...), build(c.got...), verify.Options{RTol: 1.0 / 16, ATol: 0.25})
			o := find(t, r, "y")
			if o.Pass != c.pass || o.MaxAbs != c.abs || o.MaxRel != c.rel || o.Mean != c.mean || o.NeedATol != c.abs || o.NeedRTol != c.rtol || o.Problem != c.problem {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func TestShapesAndTypesThatDifferAreNamed(t *testing.T) {
	build := func(elem onnxio.DataType, n int) *onnxio.Model {
		b := testmodels.New(17)
		x := b.Input("x", onnxio.Float, 1, 4)
		b.NodeTo("Cast", []string{b.Slice(x, 1, 0, int64(n))}, []string{"y"}, testmodels.Attrs{"to": elem})
		b.Output("y", elem, 1, n)
		return b.Model()
	}
	for _, c := range []struct {
		candidate *onnxio.Model
		problem   string
	}{
		{build(onnxio.Float, 3), "it has the shape [1 3], the reference gives [1 4]"},
		{build(onnxio.Double, 4), "it has type float64, the reference gives float32"},
	} {
		r := compare(t, build(onnxio.Float, 4), c.candidate, verify.Options{})
		if o := find(t, r, "y"); r.Pass || o.Problem != c.problem {
			t.Errorf("got %v %q, want %q", r.Pass, o.Problem, c.problem)
		}
	}
}

// ranked picks the two highest of four scores, which are a convolution's output plus offsets.
func ranked(offsets ...float32) *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 4)
	scores := b.Add(b.Mul(x, b.Const(float32(0))), b.Const(offsets))
	b.Named("best").NodeTo("TopK", []string{scores, b.Const([]int64{2})}, []string{"values", "indices"})
	b.Output("values", onnxio.Float, 1, 2)
	b.Output("indices", onnxio.Int64, 1, 2)
	return b.Model()
}

func TestNearEqualScoresThatSwapAreDecidedByTheValuesBefore(t *testing.T) {
	r := compare(t, ranked(1, 3, 3, 2), ranked(1, 3, 3.000001, 2), verify.Options{})
	if !r.Pass || !strings.HasPrefix(r.Decided, "decided node by node") || find(t, r, "indices").Pass {
		t.Errorf("got %v: %s", r.Pass, r.Decided)
	}
	r = compare(t, ranked(1, 3, 3, 2), ranked(1, 3, 3.1, 2), verify.Options{})
	if r.Pass || !strings.HasPrefix(r.Decided, `the models differ first at Add that makes "add_1"`) {
		t.Errorf("got %v: %s", r.Pass, r.Decided)
	}
}

// twoStage picks two of four rows by score and puts them through a second stage.
func twoStage(third float32, weights ...float32) *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 4)
	zero := b.Mul(x, b.Const(float32(0)))
	scores := b.Reshape(b.Add(zero, b.Const([]float32{1, 3, third, 2})), 4)
	rows := b.Reshape(b.Add(zero, b.Const([]float32{5, 6, 7, 8})), 4, 1)
	b.Named("best").NodeTo("TopK", []string{scores, b.Const([]int64{2})}, []string{"top", "which"})
	b.NodeTo("Mul", []string{b.Gather(rows, "which", 0), b.Const(weights)}, []string{"y"})
	b.Output("y", onnxio.Float, 2, 3)
	return b.Model()
}

func TestASecondStageIsProvenThoughThePicksDiffer(t *testing.T) {
	const third, ahead = 3, 3.000001
	r := compare(t, twoStage(third, 1, 2, 4), twoStage(ahead, 1, 2, 4.000001), verify.Options{})
	if !r.Pass || !strings.HasPrefix(r.Decided, "decided node by node") {
		t.Errorf("a right second stage: got %v: %s", r.Pass, r.Decided)
	}
	r = compare(t, twoStage(third, 1, 2, 4), twoStage(ahead, 1, 4, 2), verify.Options{})
	if r.Pass || !strings.Contains(r.Decided, `"y"`) {
		t.Errorf("a wrong second stage: got %v: %s", r.Pass, r.Decided)
	}
}

// detector is boxes and scores with offsets, NonMaxSuppression, and the boxes that it picks.
func detector(scores ...float32) *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 1, 3)
	s := b.Add(b.Mul(x, b.Const(float32(0))), b.Const(scores))
	boxes := b.Const([]float32{0, 0, 10, 10, 20, 20, 30, 30, 40, 40, 50, 50})
	boxes = b.Reshape(boxes, 1, 3, 4)
	s = b.Reshape(s, 1, 1, 3)
	b.Named("nms").NodeTo("NonMaxSuppression", []string{boxes, s, b.Const([]int64{3}), b.Const(float32(0.5)), b.Const(float32(0.4))}, []string{"picked"})
	b.Output("picked", onnxio.Int64, -1, 3)
	return b.Model()
}

func TestNothingIsProvenByAnEmptyOutputAlone(t *testing.T) {
	r := compare(t, detector(0.1, 0.2, 0.3), detector(0.1, 0.2, 0.3), verify.Options{})
	if !r.Pass || r.Decided != "the models are the same, node by node and weight by weight" {
		t.Errorf("a model and itself: got %v: %s", r.Pass, r.Decided)
	}
	r = compare(t, detector(0.1, 0.2, 0.3), detector(0.1, 0.2, 0.3000001), verify.Options{})
	if !r.Pass || !strings.HasSuffix(r.Decided, `"picked" is empty or zero with these inputs`) || r.Values.Worst == nil || r.Values.Worst.MaxAbs == 0 {
		t.Errorf("scores that agree: got %v: %s", r.Pass, r.Decided)
	}
	r = compare(t, detector(0.1, 0.2, 0.3), detector(0.3, 0.2, 0.1), verify.Options{})
	if r.Pass {
		t.Errorf("scores that are swapped, though no box passes the threshold: passed: %s", r.Decided)
	}
	r = compare(t, detector(0.1, 0.39999998, 0.7), detector(0.1, 0.40000004, 0.7), verify.Options{})
	if !r.Pass || find(t, r, "picked").Pass {
		t.Errorf("a box that is pushed over the threshold: got %v: %s", r.Pass, r.Decided)
	}
}

// counted picks what is above a threshold, and returns how much that is; doubled counts it twice.
func counted(offset float32, doubled bool) *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 4)
	y := b.Add(b.Mul(x, b.Const(float32(0))), b.Const([]float32{1, 2, 3, offset}))
	picked := b.Node("NonZero", []string{b.Node("Greater", []string{y, b.Const(float32(1.5))})})
	if doubled {
		picked = b.Node("Concat", []string{picked, picked}, testmodels.Attrs{"axis": 1})
	}
	b.NodeTo("Shape", []string{picked}, []string{"n"})
	b.Output("n", onnxio.Int64, 2)
	return b.Model()
}

func TestAnOutputBehindAPickMustBeRightWhereThePicksAreTheSame(t *testing.T) {
	const above, below = 1.5000001, 1.5
	if r := compare(t, counted(below, false), counted(above, false), verify.Options{}); !r.Pass || find(t, r, "n").Pass {
		t.Errorf("a pick more or less: got %v: %s", r.Pass, r.Decided)
	}
	if r := compare(t, counted(below, false), counted(above, true), verify.Options{}); r.Pass {
		t.Errorf("twice as many: passed: %s", r.Decided)
	}
}

func TestAnOperatorWithoutAKernelIsNamed(t *testing.T) {
	b := testmodels.New(17)
	b.Output(b.Node("some.domain::Strange", []string{b.Input("x", onnxio.Float, 1)}), onnxio.Float, 1)
	m := b.Model()
	_, err := verify.Compare(context.Background(), m, m, verify.Options{})
	var lacks *verify.CannotRunError
	if !errors.As(err, &lacks) || !slices.Equal(lacks.Operators, []string{"some.domain.Strange"}) {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := verify.Load(context.Background(), path); !errors.As(err, &lacks) {
		t.Errorf("got %v", err)
	}
}

func TestLoadChecksAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := twoLayers().Save(path); err != nil {
		t.Fatal(err)
	}
	if err := verify.Load(context.Background(), path); err != nil {
		t.Error(err)
	}
	if err := verify.Load(context.Background(), path+"x"); err == nil {
		t.Error("a file that is not there was loaded")
	}
}

func TestACancelledComparisonEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	steps := 0
	_, err := verify.Compare(ctx, twoLayers(), twoLayers(), verify.Options{Progress: func(done, total int, what string) {
		if steps++; done > total || what == "" {
			t.Errorf("progress %d of %d: %q", done, total, what)
		}
		cancel()
	}})
	if !errors.Is(err, context.Canceled) || steps != 1 {
		t.Errorf("got %v after %d steps", err, steps)
	}
}

// removedOf is the set of classes that the channels of a parameter belong to.
func removedOf(t *testing.T, a *channels.Analysis, name string, channel []int) map[atoms.ID]bool {
	t.Helper()
	for _, p := range a.Params {
		if p.Name == name {
			out := map[atoms.ID]bool{}
			classes := a.Classes(p)
			for _, k := range channel {
				out[classes[k]] = true
			}
			return out
		}
	}
	t.Fatalf("there is no parameter %q", name)
	return nil
}
