package heads

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// The operator NonMaxSuppression is held to ONNX's own cases and to ONNX Runtime in runtime/ops; suppress is held to the operator.
func TestSuppressionEqualsONNXsOperator(t *testing.T) {
	const boxes, classes, iou, score = 200, 3, .45, .2
	b := testmodels.New(13)
	bs, ss := b.Input("boxes", onnxio.Float, 1, boxes, 4), b.Input("scores", onnxio.Float, 1, classes, boxes)
	most, iouT, scoreT := b.Input("most", onnxio.Int64, 1), b.Input("iou", onnxio.Float, 1), b.Input("score", onnxio.Float, 1)
	b.NodeTo("NonMaxSuppression", []string{bs, ss, most, iouT, scoreT}, []string{"selected"})
	b.Output("selected", onnxio.Int64, "n", 3)
	s, err := runtime.Compile(b.Model(), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		bt, st := value.New(onnxio.Float, 1, boxes, 4), value.New(onnxio.Float, 1, classes, boxes)
		var all []candidate
		rows := make([]detection.Box, boxes)
		for i := range rows {
			x, y := float32(r.IntN(100)), float32(r.IntN(100))
			copy(value.Of[float32](bt)[4*i:], []float32{x, y, x + float32(1+r.IntN(60)), y + float32(1+r.IntN(60))})
			v := value.Of[float32](bt)[4*i:]
			rows[i] = detection.Box{X0: float64(v[0]), Y0: float64(v[1]), X1: float64(v[2]), Y1: float64(v[3])}
			for k := range classes {
				p := float32(r.IntN(50)) / 50 // many are equal
				value.Of[float32](st)[k*boxes+i] = p
				if float64(p) > float64(float32(score)) {
					all = append(all, candidate{detection.Detection{Class: k, Score: float64(p), Box: rows[i]}, i})
				}
			}
		}
		out, err := s.Run(context.Background(), map[string]value.Value{"boxes": bt, "scores": st, "most": value.From([]int64{boxes}, 1),
			"iou": value.From([]float32{iou}, 1), "score": value.From([]float32{score}, 1)})
		if err != nil {
			t.Fatal(err)
		}
		var want, got [][2]int // class and box, by class and score
		sel, _ := out["selected"].(*value.Tensor).Ints()
		for i := 0; i < len(sel); i += 3 {
			want = append(want, [2]int{int(sel[i+1]), int(sel[i+2])})
		}
		slices.SortStableFunc(all, better)
		kept := suppress(all, Limits{IoU: iou})
		slices.SortStableFunc(kept, func(a, b candidate) int { return a.Class - b.Class })
		for _, c := range kept {
			got = append(got, [2]int{c.Class, c.row})
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v, the operator selects %v", seed, got, want)
		}
	}
}

func TestLimitsOfSuppression(t *testing.T) {
	at := func(x float64) detection.Box { return detection.Box{X0: x, Y0: 0, X1: x + 10, Y1: 10} }
	all := []candidate{ // best first; the second overlaps the first by 9/11, the fourth the first by 1
		{detection.Detection{Class: 0, Score: .9, Box: at(0)}, 0},
		{detection.Detection{Class: 0, Score: .8, Box: at(1)}, 1},
		{detection.Detection{Class: 0, Score: .7, Box: at(50)}, 2},
		{detection.Detection{Class: 1, Score: .6, Box: at(0)}, 3},
		{detection.Detection{Class: 1, Score: .5, Box: at(80)}, 4},
	}
	for _, c := range []struct {
		name   string
		limits Limits
		want   []int
	}{
		{"each class by itself", Limits{IoU: .5}, []int{0, 2, 3, 4}},
		{"all classes together", Limits{IoU: .5, Agnostic: true}, []int{0, 2, 4}},
		{"an IoU that is not higher", Limits{IoU: 9. / 11}, []int{0, 1, 2, 3, 4}},
		{"at most two", Limits{IoU: .5, Detections: 2}, []int{0, 2}},
		{"three candidates", Limits{IoU: .5, Candidates: 3}, []int{0, 2}},
		{"two candidates of a class", Limits{IoU: .5, ClassCandidates: 2}, []int{0, 3, 4}},
	} {
		var got []int
		for _, k := range suppress(all, c.limits) {
			got = append(got, k.row)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
