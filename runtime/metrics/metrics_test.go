package metrics_test

import (
	"math"
	"testing"

	"onnxprune/runtime/detection"
	"onnxprune/runtime/metrics"
)

// The published example of github.com/rafaelpadilla/Object-Detection-Metrics: 24 detections of 15 objects, of which those at ranks
// 1, 3, 10, 12, 13, 14 and 23 are right: 24.56 % by area (the sum of four truncated terms, here as fractions), 26.84 % with 11 points.
func TestVOCAgainstAPublishedExample(t *testing.T) {
	right := map[int]bool{1: true, 3: true, 10: true, 12: true, 13: true, 14: true, 23: true}
	cell := func(i int) box { return rect(float64(i)*20, 0, float64(i)*20+10, 10) }
	v := metrics.NewVOC(1, .5)
	n := 0
	for rank := 1; rank <= 24; rank++ { // one picture for each detection
		var objects []object
		if right[rank] {
			objects = []object{thing(cell(0))}
			n++
		}
		v.Add(25-rank, objects, []found{at(1-float64(rank)/100, cell(0))})
	}
	for ; n < 15; n++ {
		v.Add(100+n, []object{thing(cell(0))}, nil)
	}
	r := v.Result()
	area := 1./15 + 2./3*1/15 + 3./7*4/15 + 7./23*1/15
	points := (1 + 2./3 + 3*3./7) / 11
	if !near(r.AP, area, 1e-12) || !near(r.AP11, points, 1e-12) {
		t.Errorf("area %.5f, 11 points %.5f; published are %.5f and %.5f", r.AP, r.AP11, area, points)
	}
}

func TestVOCByHand(t *testing.T) {
	a, b := rect(0, 0, 10, 10), rect(50, 50, 60, 60)
	hard := thing(b)
	hard.Difficult = true
	for _, c := range []struct {
		name         string
		objects      []object
		found        []found
		area, points float64
	}{
		{"a difficult object is neither missed nor found", []object{thing(a), hard}, []found{at(.9, b), at(.8, a)}, 1, 1},
		{"a second detection of one object is false", []object{thing(a), thing(b)}, []found{at(.9, a), at(.8, a), at(.7, b)}, .5 + .5*2/3, (6 + 5*2./3) / 11},
		{"an IoU of exactly 1/2 is a hit", []object{thing(a)}, []found{at(.9, rect(0, 0, 10, 5))}, 1, 1},
		{"less is none", []object{thing(a)}, []found{at(.9, rect(0, 0, 10, 4.9))}, 0, 0},
		{"difficult objects alone give no figure", []object{hard}, []found{at(.9, b)}, -1, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := metrics.NewVOC(1, .5)
			v.Add(0, c.objects, c.found)
			if r := v.Result(); !near(r.AP, c.area, 1e-12) || !near(r.AP11, c.points, 1e-12) {
				t.Errorf("area %v, 11 points %v; want %v and %v", r.AP, r.AP11, c.area, c.points)
			}
		})
	}
}

func TestAccuracy(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		name       string
		scores     []float64
		label      int
		top1, top5 float64
	}{
		{"the best", []float64{1, 3, 2}, 1, 1, 1},
		{"the fifth", []float64{9, 8, 7, 6, 5, 4}, 4, 0, 1},
		{"the sixth", []float64{9, 8, 7, 6, 5, 4}, 5, 0, 0},
		{"of equal ones the first", []float64{2, 2}, 0, 1, 1},
		{"of equal ones the second", []float64{2, 2}, 1, 0, 1},
		{"a score that is no number", []float64{nan, 1}, 0, 0, 0},
		{"a number among none", []float64{nan, 1, nan}, 1, 1, 1},
		{"a label that the model does not have", []float64{1, 2}, 2, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a metrics.Accuracy
			a.Add(c.scores, c.label)
			if r := a.Result(); r.Top1 != c.top1 || r.Top5 != c.top5 || r.Pictures != 1 {
				t.Errorf("got %+v, want %v and %v", r, c.top1, c.top5)
			}
		})
	}
	if r := new(metrics.Accuracy).Result(); r.Top1 != -1 {
		t.Errorf("without pictures top-1 is %v, want -1", r.Top1)
	}
}

func TestFidelity(t *testing.T) {
	f := metrics.NewFidelity()
	a, b := rect(0, 0, 10, 10), rect(50, 50, 60, 60)
	f.Detections(0, []detection.Detection{at(.9, a), at(.29, b)}, []detection.Detection{at(.5, a)})
	f.Classes([]float64{1, 2}, []float64{0, 5})
	f.Classes([]float64{1, 2}, []float64{5, 0})
	// two heads: (3, 4) against (3, 0) with (2) against (0): error 16 + 4; and then equal ones
	if err := f.Outputs(1, [][]float32{{3, 4}, {2}}, [][]float32{{3, 0}, {0}}); err != nil {
		t.Fatal(err)
	}
	inf := float32(math.Inf(1))
	if err := f.Outputs(0, [][]float32{{1, inf}, {inf}}, [][]float32{{1, inf}, {1}}); err != nil {
		t.Fatal(err)
	}
	r := f.Result()
	if r.Detections.AP != 1 {
		t.Errorf("AP against the original's detections is %v, want 1: one of a score below .3 is no object", r.Detections.AP)
	}
	if *r.Top1 != .5 {
		t.Errorf("top-1 agreement is %v, want 1/2", *r.Top1)
	}
	cosine := (1 + 9/(math.Sqrt(29)*3)) / 2
	if o := r.Outputs; o.Squared != 10 || !near(o.Relative, 20./30, 1e-15) || !near(o.Cosine, cosine, 1e-15) || o.NonFinite != 1 {
		t.Errorf("got %+v, want a squared error of 10, 2/3 of the energy, cosine %v, and one that is not finite", o, cosine)
	}
	if err := f.Outputs(2, [][]float32{{1}}, [][]float32{{1, 2}}); err == nil {
		t.Error("outputs of unlike sizes are compared")
	}
}
