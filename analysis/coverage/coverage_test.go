package coverage

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// save writes a graph to a file of its own.
func save(t *testing.T, dir, name string, b *testmodels.Builder) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// halves is a network whose figures can be worked out by hand: on 4x4 pictures a 1x1 convolution of 2 to 6 channels, the first 2 of which
// pass a softmax, another of 6 to 8, and one of 8 to 3 that is the output.
func halves() *testmodels.Builder {
	b := testmodels.New(17)
	x := b.Conv("a", b.Input("x", onnxio.Float, 1, 2, 4, 4), 2, 6, 1)
	s := b.Split(x, 1, 2, 4)
	x = b.Concat(1, b.Softmax(s[0], 1), s[1])
	x = b.Relu(b.Conv("b", x, 6, 8, 1))
	b.Output(b.Conv("c", x, 8, 3, 1), onnxio.Float, 1, 3, 4, 4)
	return b
}

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestSharesOfANetworkWorkedOutByHand(t *testing.T) {
	verified := 0
	m, err := Measure(context.Background(), save(t, t.TempDir(), "halves.onnx", halves()), Options{
		Ratios: []float64{0.5},
		Verify: func(_ context.Context, original *onnxio.Model, p *plan.Plan) (float64, string, error) {
			verified++
			return 0.25, "by hand", nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	// a: 12 weights, 4 of 6 outputs free; b: 48, all outputs free; c: 24, all inputs free. Each weight runs at 16 places.
	if m.Params != 84 || m.MACs != 84*16 || !near(m.FreeParams, (12*4./6+48+24)/84) || !near(m.FreeMACs, m.FreeParams) {
		t.Errorf("%d weights, %v free, %d MACs, %v free", m.Params, m.FreeParams, m.MACs, m.FreeMACs)
	}
	if want := (12*4./6 + 48) / 60; !near(m.FreeMACsWithoutLast, want) {
		t.Errorf("%v of the MACs are free without the last layer, want %v", m.FreeMACsWithoutLast, want)
	}
	if m.Weights != 3 || m.Convolutions != 3 || m.Touched != 3 || m.Groups != 2 || m.Classes != 12 {
		t.Errorf("%d weights, %d of %d convolutions, %d groups, %d classes", m.Weights, m.Touched, m.Convolutions, m.Groups, m.Classes)
	}
	want := []Reason{{"Softmax runs over it", 1}, {"it is an axis of the model's output", 1}}
	if !slices.Equal(m.Reasons, want) {
		t.Errorf("reasons %v, want %v", m.Reasons, want)
	}
	// half of a is 3 of its 6 channels, half of b 4 of 8: 2*3 + 3*4 + 4*3 = 30 MACs at each of 16 places
	c := m.Cuts[0]
	if c.Error != "" || c.MACs != 30*16 || c.Params != 30 || !near(c.OfMACs, 30./84) || verified != 1 || *c.Difference != 0.25 || c.How != "by hand" {
		t.Errorf("the cut is %+v", c)
	}
}

// A mean over channels is inexact: it counts only where that is asked for, and says so.
func TestInexactChannelsCountWhenTheyAreAskedFor(t *testing.T) {
	b := testmodels.New(17)
	x := b.Conv("a", b.Input("x", onnxio.Float, 1, 2, 4, 4), 2, 6, 1)
	b.Output(b.ReduceMean(x, 1), onnxio.Float, 1, 1, 4, 4)
	path := save(t, t.TempDir(), "mean.onnx", b)
	for _, inexact := range []bool{false, true} {
		m, err := Measure(context.Background(), path, Options{Ratios: []float64{0.5}, AllowInexact: inexact})
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]float64{false: 0, true: 1}[inexact]
		if m.FreeMACs != want || len(m.Cuts[0].Inexact) > 0 != inexact {
			t.Errorf("inexact %v: %v of the MACs are free, and the cut says %q", inexact, m.FreeMACs, m.Cuts[0].Inexact)
		}
	}
}

func TestKindsLeaveNamesAndShapesOut(t *testing.T) {
	for text, want := range map[string]string{
		`it is an axis of the model's output "y"`:                                                                     "it is an axis of the model's output",
		`captured by If "choice \"of\" two"`:                                                                          "captured by If",
		`Softmax "/model/Softmax" runs over it`:                                                                       "Softmax runs over it",
		`Reshape "r" mixes it with other axes: from float32[1,6,4] to float32[1,24]`:                                  "Reshape mixes it with other axes",
		`it is fixed by the model's input "x"; it meets that in an element-wise operation in Add "Add_1"`:             "it is fixed by the model's input",
		`channels can not be followed through DeformConv "d": its weight has the shape float32[8,4,3,3] for 3 groups`: "channels can not be followed through DeformConv: its weight has the shape for n groups",
		`it is the fixed part of an axis that Reshape "r" splits into [2 58]`:                                         "it is the fixed part of an axis that Reshape splits into",
		`the weight of com.microsoft.MatMulNBits "m" is packed in blocks along it`:                                    "the weight of com.microsoft.MatMulNBits is packed in blocks along it",
	} {
		if got := kind(text); got != want {
			t.Errorf("%s\nbecomes %q\nwant    %q", text, got, want)
		}
	}
}

func TestAWalkGoesOnAfterAModelThatFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	save(t, filepath.Join(dir, "sub"), "good.onnx", halves())
	if err := os.WriteFile(filepath.Join(dir, "bad.onnx"), []byte("no | model"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var seen []string
	r, err := Walk(context.Background(), dir, Options{Ratios: []float64{0.5}, Progress: func(done, total int, path string) {
		seen = append(seen, filepath.ToSlash(path))
		if total != 2 {
			t.Errorf("there are %d models", total)
		}
	}, Verify: func(context.Context, *onnxio.Model, *plan.Plan) (float64, string, error) {
		return 0, "", errors.New("no runtime")
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []string{"bad.onnx", "sub/good.onnx", ""}) {
		t.Errorf("progress told of %q", seen)
	}
	if len(r.Models) != 2 || r.Models[0].Error == "" || r.Models[1].Error != "" || r.Models[1].Cuts[0].Error != "verifying: no runtime" {
		t.Fatalf("the rows are %+v", r.Models)
	}
	var md, js bytes.Buffer
	if err := errors.Join(r.Markdown(&md), r.JSON(&js)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| bad.onnx | refused: ", "| sub/good.onnx | 95.2 % | 95.2 % | 93.3 % | 3/3 | 2 | 12 |", "35.7 %, 35.7 %; verifying: no runtime",
		"- **sub/good.onnx**: 1 Softmax runs over it; 1 it is an axis of the model's output"} {
		if !strings.Contains(md.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, md.String())
		}
	}
	var back Report
	if err := json.Unmarshal(js.Bytes(), &back); err != nil || len(back.Models) != 2 {
		t.Errorf("reading the JSON back: %v", err)
	}
}

func TestAWalkStopsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	save(t, dir, "a.onnx", halves())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Walk(ctx, dir, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("the walk ended with %v", err)
	}
}
