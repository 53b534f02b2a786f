package plan_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/testmodels"
)

// A plan survives its JSON form, and the same request gives the same bytes.

func planOf(t *testing.T, b *testmodels.Builder, name string) *plan.Plan {
	t.Helper()
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := channels.Analyze(g, s, channels.Options{})
	wants, _, err := selection.Resolve(a, []string{name}, []float64{0.5})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(a, wants, selection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(a, c.Removed)
	if err != nil {
		t.Fatal(err)
	}
	p.Cuts = c.Cuts
	return p
}

func written(t *testing.T, p *plan.Plan) string {
	t.Helper()
	var w bytes.Buffer
	if err := p.Write(&w); err != nil {
		t.Fatal(err)
	}
	return w.String()
}

func TestAPlanSurvivesJSON(t *testing.T) {
	p := planOf(t, testmodels.SixConvolutions(), "conv4_weights")
	p.Source = plan.Source{File: "größe <1>.onnx", SHA256: "00ff", Bytes: 1 << 40}
	p.Request = plan.Request{Params: []string{"conv4_weights"}, Ratios: []float64{0.1}, Criterion: "random", Vote: "sum", Align: 8, Seed: 1<<64 - 1, Inexact: true}
	five := int64(5)
	p.Attributes = append(p.Attributes, plan.Attribute{Node: "n", Name: "group", Int: &five}, plan.Attribute{Node: "n", Name: "shape", Ints: []int64{0, -1}})
	p.Operands = append(p.Operands, plan.Operand{Use: plan.Use{Node: "n", Input: 1}, Elements: map[int]int64{1: 1 << 53}, Size: 4, Type: 7})
	p.Freezes = append(p.Freezes, plan.Freeze{Value: "v", Type: 1, Shape: []int64{2}, Elements: map[int]float64{0: 0.1}})
	text := written(t, p)
	q, err := plan.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(p, q) {
		t.Errorf("read back %+v, want %+v", q, p)
	}
	if again := written(t, q); again != text {
		t.Error("written again it differs")
	}
}

func TestTheSameRequestGivesTheSameBytes(t *testing.T) {
	first := written(t, planOf(t, testmodels.SixConvolutions(), "conv4_weights"))
	for range 5 {
		if written(t, planOf(t, testmodels.SixConvolutions(), "conv4_weights")) != first {
			t.Fatal("two plans of one request differ")
		}
	}
}

// Six convolutions of 8 filters: conv1, conv2 and conv4 hang together, so what reads them loses inputs.
func TestAPlanListsWhatIsCut(t *testing.T) {
	p := planOf(t, testmodels.SixConvolutions(), "conv4_weights")
	want := map[string][]int{ // by weight: the axes that lose half of 8
		"conv1_weights": {0}, "conv2_weights": {0, 1}, "conv3_weights": {1}, "conv4_weights": {0}, "conv5_weights": {1},
	}
	for _, e := range p.Tensors {
		if !strings.HasSuffix(e.Name, "_weights") {
			continue
		}
		axes, ok := want[e.Name]
		if !ok || len(e.Keep) != len(axes) {
			t.Errorf("%s loses %v, want axes %v", e.Name, e.Keep, axes)
			continue
		}
		for _, k := range axes {
			if len(e.Keep[k]) != 4 {
				t.Errorf("axis %d of %s keeps %v, want 4 of 8", k, e.Name, e.Keep[k])
			}
		}
		delete(want, e.Name)
	}
	if len(want) > 0 {
		t.Errorf("nothing is cut of %v", want)
	}
}

func TestWhatIsNoPlanIsRefused(t *testing.T) {
	for _, c := range []struct{ what, text, want string }{
		{"a field that is not known", `{"format":"onnxprune-plan","version":1,"surprise":1}`, "surprise"},
		{"another format", `{"format":"something-else","version":1}`, "something-else"},
		{"no format", `{}`, "format"},
		{"another version", `{"format":"onnxprune-plan","version":2}`, "version 2"},
		{"a text that breaks off", `{"format":"onnxprune-plan"`, "not a plan"},
		{"nothing", ``, "not a plan"},
		{"no object", `[1]`, "not a plan"},
	} {
		if p, err := plan.Read(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, %v; want an error that says %q", c.what, p, err, c.want)
		}
	}
}

func TestAPlanTellsWhatStaysOfEveryValue(t *testing.T) {
	b := testmodels.SixConvolutions()
	p := planOf(t, b, "conv4_weights")
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := channels.Analyze(g, s, channels.Options{})
	removed, err := plan.Removed(a, p)
	if err != nil {
		t.Fatal(err)
	}
	var keep []int
	for _, e := range p.Tensors {
		if e.Name == "conv4_weights" {
			keep = e.Keep[0]
		}
	}
	kept := plan.Kept(a, removed)
	for _, c := range []struct {
		value string
		cut   bool
	}{{"conv_1", true}, {"conv_2", true}, {"conv_3", false}, {"conv_4", true}, {"conv_5", false}} {
		if got := kept[c.value]; c.cut != reflect.DeepEqual(got, map[int][]int{1: keep}) || !c.cut && got != nil {
			t.Errorf("of %s stays %v; cut is %v, with %v of axis 1", c.value, got, c.cut, keep)
		}
	}
	for _, c := range []struct {
		what   string
		change func(*plan.Tensor)
		want   string
	}{
		{"a tensor that is not there", func(e *plan.Tensor) { e.Name = "nothing" }, `axis 0 of tensor "nothing" carries no channels there`},
		{"an index that is not there", func(e *plan.Tensor) { e.Keep = map[int][]int{0: {8}} }, "it keeps index 8 of axis 0"},
	} {
		q := planOf(t, b, "conv4_weights")
		c.change(&q.Tensors[0])
		if _, err := plan.Removed(a, q); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want an error that says %q", c.what, err, c.want)
		}
	}
}
