package runtime_test

import (
	"context"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// twoInputs is y = (a + a) * 2 + b, z = b + b; "sum" names a + a.
func twoInputs() *onnxio.Model {
	b := testmodels.New(17)
	x, w := b.Input("a", onnxio.Float, 2), b.Input("b", onnxio.Float, 2)
	b.NodeTo("Add", []string{x, x}, []string{"sum"})
	b.Output(b.Add(b.Node("Mul", []string{"sum", b.Const([]float32{2, 2})}), w), onnxio.Float, 2)
	b.Output(b.Add(w, w), onnxio.Float, 2)
	return b.Model()
}

func TestARunBeginsAtValuesThatAreGiven(t *testing.T) {
	m := twoInputs()
	y, z := m.Graph.Outputs[0].Name, m.Graph.Outputs[1].Name
	onBoth(t, m, runtime.Options{From: []string{"sum"}}, func(t *testing.T, s *runtime.Session) {
		out := run(t, s, map[string]value.Value{"sum": value.From([]float32{10, 20}, 2), "b": value.From([]float32{1, 2}, 2)})
		wantFloats(t, out[y], 21, 42)
		wantFloats(t, out[z], 2, 4)
		if n := s.Inputs(); len(n) != 2 || n[0].Name != "b" || n[1].Name != "sum" {
			t.Errorf("the inputs are %v, want b and sum: nothing reads a any more", n)
		}
		_, err := s.Run(context.Background(), map[string]value.Value{"b": value.From([]float32{1, 2}, 2)})
		if err == nil || !strings.Contains(err.Error(), "sum") {
			t.Errorf("a run without sum: %v", err)
		}
	})
}

func TestARunEndsAtValuesThatAreNamed(t *testing.T) {
	onBoth(t, twoInputs(), runtime.Options{To: []string{"sum"}}, func(t *testing.T, s *runtime.Session) {
		out := run(t, s, map[string]value.Value{"a": value.From([]float32{1, 2}, 2), "b": value.From([]float32{0, 0}, 2)})
		if len(out) != 1 {
			t.Errorf("%d values are returned, want sum alone", len(out))
		}
		wantFloats(t, out["sum"], 2, 4)
	})
}

func TestARunBetweenValuesThatAreNotThereIsRefused(t *testing.T) {
	for _, o := range []runtime.Options{{From: []string{"nothing"}}, {To: []string{"nothing"}}, {From: []string{"a"}}} {
		if s, err := runtime.Compile(twoInputs(), o); err == nil {
			s.Close()
			t.Errorf("%+v compiles", o)
		}
	}
}
