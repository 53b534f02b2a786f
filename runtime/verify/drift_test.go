package verify_test

import (
	"context"
	"math"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
	"onnxprune/runtime/verify"
	"onnxprune/testmodels"
)

// outputOf runs a model alone on the inputs that a comparison with the same seed makes.
func outputOf(t *testing.T, m *onnxio.Model, name string) []float32 {
	t.Helper()
	ins, err := feed.Make(m, feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := runtime.Compile(m, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), feed.Values(ins))
	if err != nil {
		t.Fatal(err)
	}
	return out[name].(*value.Tensor).Data.([]float32)
}

func TestTheReportTellsHowFarTheOriginalIs(t *testing.T) {
	m := twoLayers()
	twin, pruned, kept := pruneAt(t, m, "one.conv.weight", 2, 5)
	r := compare(t, twin, pruned, verify.Options{Kept: kept, Original: m})
	if !r.Pass || r.Original == nil || len(r.Original.Outputs) != 1 {
		t.Fatalf("got %v: %s, %+v", r.Pass, r.Decided, r.Original)
	}
	was, is := outputOf(t, m, "y"), outputOf(t, pruned, "y")
	var dot, ww, gg, most, top float64
	for i := range was {
		w, g := float64(was[i]), float64(is[i])
		dot, ww, gg = dot+w*g, ww+w*w, gg+g*g
		most, top = max(most, math.Abs(w-g)), max(top, math.Abs(w))
	}
	o := r.Original.Outputs[0]
	if want := dot / math.Sqrt(ww*gg); math.Abs(o.Cosine-want) > 1e-6 || want > 0.999 {
		t.Errorf("cosine %v, want %v", o.Cosine, want)
	}
	if math.Abs(o.MaxAbs-most) > 1e-5*top || math.Abs(o.Range-top) > 1e-5*top {
		t.Errorf("by up to %v of %v, want %v of %v", o.MaxAbs, o.Range, most, top)
	}
	if s := r.Original.String(); !strings.HasPrefix(s, `against the original itself, outputs differ: "y" cosine `) {
		t.Errorf("it says %q", s)
	}

	dead := edit(t, m, "two.conv.weight", func(vs []float32) { // it reads nothing of the two channels that go
		for out := range 4 {
			for _, in := range []int{2, 5} {
				clear(vs[(out*8+in)*9 : (out*8+in+1)*9])
			}
		}
	})
	twin, pruned, kept = pruneAt(t, dead, "one.conv.weight", 2, 5)
	r = compare(t, twin, pruned, verify.Options{Kept: kept, Original: dead})
	if o := r.Original.Outputs[0]; !r.Pass || o.Cosine < 1-1e-9 || o.MaxAbs > 1e-5*o.Range {
		t.Errorf("channels that nothing reads: %+v", o)
	}
}

// boxesAndScores is a detector's head: four coordinates and two scores for each of 64 places, joined.
func boxesAndScores() *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	y := b.ConvBNRelu("stem", x, 3, 8, 3)
	boxes := b.Mul(b.Conv("boxes", y, 8, 4, 1, testmodels.Bias()), b.Const(float32(1000)))
	scores := b.Node("Sigmoid", []string{b.Conv("scores", y, 8, 2, 1, testmodels.Bias())})
	joined := b.Node("Concat", []string{boxes, scores}, testmodels.Attrs{"axis": 1})
	b.NodeTo("Reshape", []string{joined, b.Const([]int64{1, 6, 64})}, []string{"y"})
	b.Output("y", onnxio.Float, 1, 6, 64)
	return b.Model()
}

func TestPartsOfAnOutputAreToldApart(t *testing.T) {
	m := boxesAndScores()
	twin, pruned, kept := pruneAt(t, m, "stem.conv.weight", 1)
	r := compare(t, twin, pruned, verify.Options{Kept: kept, Original: m})
	if !r.Pass || r.Outputs[0].Axis != 1 {
		t.Fatalf("got %v: %s", r.Pass, r.Decided)
	}
	parts := r.Original.Outputs[0].Parts
	if len(parts) != 2 || parts[0].First != 0 || parts[0].Last != 3 || parts[1].Last != 5 || !strings.HasPrefix(parts[0].From, "Mul ") ||
		!strings.HasPrefix(parts[1].From, "Sigmoid ") || parts[0].Range < 100*parts[1].Range || parts[1].Range > 1 {
		t.Errorf("its parts are %+v", parts)
	}
	spoilt := edit(t, pruned, "scores.bias", func(vs []float32) { vs[1] += 1e-3 })
	r = compare(t, twin, spoilt, verify.Options{Kept: kept, Original: m})
	if r.Pass || r.Original != nil || !strings.Contains(r.Decided, "the models differ first at Conv") || !strings.Contains(r.Decided, `it is seen in "y", slice 5 of axis 1 (from Sigmoid `) {
		t.Errorf("a bias of a score that is off by a thousandth: got %v: %s", r.Pass, r.Decided)
	}
}
