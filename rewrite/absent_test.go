package rewrite_test

import (
	"path/filepath"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// A call may leave inputs of its function out. Inside, each is absent wherever its name is read: as an operand of a node, of a
// node in a body of control flow, and of a call of another function.
func TestCallsMayLeaveInputsOut(t *testing.T) {
	type B = testmodels.Builder
	type attrs = testmodels.Attrs
	pads := attrs{"pads": []int{1, 1, 1, 1}}
	limits := []string{"v", "low", "high"}
	// clip ends the function in a Clip whose limits may be absent.
	clip := func(f *B, op string) {
		f.NodeTo("Conv", []string{f.Conv("c", "v", 3, 8, 3), f.Weight("d.weight", 4, 8, 3, 3)}, []string{"h"}, pads)
		f.NodeTo(op, []string{"h", "low", "high"}, []string{"w"})
	}
	fork := func(f *B, then, other func(c *B)) {
		a, b := f.Body("then"), f.Body("else")
		then(a)
		other(b)
		f.NodeTo("If", []string{f.Const(true)}, []string{"w"}, attrs{"then_branch": a, "else_branch": b})
	}
	for _, c := range []struct {
		what  string
		build func(b *B) // declares local::Block
	}{
		{"an operand of a node", func(b *B) {
			b.Function("local", "Block", limits, []string{"w"}, nil, func(f *B) { clip(f, "Clip") })
		}},
		{"the bias of a convolution, and a limit", func(b *B) {
			b.Function("local", "Block", []string{"v", "bias", "high"}, []string{"w"}, nil, func(f *B) {
				f.NodeTo("Conv", []string{f.Conv("c", "v", 3, 8, 3), f.Weight("d.weight", 4, 8, 3, 3), "bias"}, []string{"h"}, pads)
				f.NodeTo("Clip", []string{"h", "", "high"}, []string{"w"})
			})
		}},
		{"an operand of another function", func(b *B) {
			b.Function("local", "Limit", limits, []string{"r"}, nil, func(f *B) { f.NodeTo("Clip", limits, []string{"r"}) })
			b.Function("local", "Block", limits, []string{"w"}, nil, func(f *B) { clip(f, "local::Limit") })
		}},
		{"an operand of a node in a body", func(b *B) {
			b.Function("local", "Block", limits, []string{"w"}, nil, func(f *B) {
				f.NodeTo("Conv", []string{f.Conv("c", "v", 3, 8, 3), f.Weight("d.weight", 4, 8, 3, 3)}, []string{"h"}, pads)
				fork(f, func(c *B) { c.Output(c.Node("Clip", []string{"h", "low", "high"}), onnxio.Float, 1, 4, 8, 8) },
					func(c *B) { c.Output(c.Relu("h"), onnxio.Float, 1, 4, 8, 8) })
			})
		}},
		{"an operand of a function that is called in a body of a body", func(b *B) {
			b.Function("local", "Limit", limits, []string{"r"}, nil, func(f *B) { f.NodeTo("Clip", limits, []string{"r"}) })
			b.Function("local", "Block", limits, []string{"w"}, nil, func(f *B) {
				f.NodeTo("Conv", []string{f.Conv("c", "v", 3, 8, 3), f.Weight("d.weight", 4, 8, 3, 3)}, []string{"h"}, pads)
				fork(f, func(c *B) {
					inner, deep := c.Body("then"), c.Body("else")
					inner.Output(inner.Node("local::Limit", []string{"h", "low", "high"}), onnxio.Float, 1, 4, 8, 8)
					deep.Output(deep.Relu("h"), onnxio.Float, 1, 4, 8, 8)
					c.Output(c.Node("If", []string{c.Const(true)}, attrs{"then_branch": inner, "else_branch": deep}), onnxio.Float, 1, 4, 8, 8)
				}, func(c *B) { c.Output(c.Relu("h"), onnxio.Float, 1, 4, 8, 8) })
			})
		}},
	} {
		for _, call := range []struct {
			what   string
			inputs func(b *B) []string
		}{
			{"a trailing input", func(b *B) []string { return nil }},
			{"an input by the empty name", func(b *B) []string { return []string{"", b.Const(float32(0.5))} }},
			{"all by the empty name", func(b *B) []string { return []string{"", ""} }},
		} {
			t.Run(c.what+", "+call.what, func(t *testing.T) {
				b := testmodels.New(17)
				x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
				c.build(b)
				y := b.Node("local::Block", append([]string{x}, call.inputs(b)...))
				b.NodeTo("Relu", []string{b.Conv("after", y, 4, 6, 3)}, []string{"head"})
				b.Output(b.Conv("last", "head", 6, 5, 1), onnxio.Float, 1, 5, 8, 8)
				m := b.Model()
				halved(t, m, "after.weight", "last.weight")
				inside := 0
				for _, ts := range planned(t, m).Tensors {
					if len(ts.Shape) == 4 && ts.Name != "after.weight" && ts.Name != "last.weight" {
						inside++
					}
				}
				if inside != 2 {
					t.Errorf("%d weights inside of the call are cut, want 2", inside)
				}
				judged(t, m)
			})
		}
	}
}

// judged lets ONNX Runtime, where it is here, compare a model cut in half with its masked twin, and this runtime's answer to the
// original with its own.
func judged(t *testing.T, m *onnxio.Model) {
	t.Helper()
	if _, err := onnxruntime.Find(); err != nil {
		return // what ran before stands by itself
	}
	lib := oracle(t)
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := m.Clone().Save(path); err != nil {
		t.Fatal(err)
	}
	compare(t, lib, path, 0.5)
	s, err := lib.NewSession(path, onnxruntime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	in := feed("model", s)
	want, err := s.Run(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	x, err := tensor(in["x"])
	if err != nil {
		t.Fatal(err)
	}
	got, err := run(m, x, 1)
	if err != nil {
		t.Fatalf("the original does not run here: %v", err)
	}
	for name, w := range want {
		w, err := tensor(w)
		if err != nil {
			t.Fatal(err)
		}
		if err := near(got[name], w); err != nil {
			t.Errorf("output %s is not ONNX Runtime's: %v", name, err)
		}
	}
}

// tensor makes one of this runtime's tensors out of one of ONNX Runtime's, of floats.
func tensor(o *onnxruntime.Tensor) (*value.Tensor, error) {
	vs, err := o.Numbers()
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(o.Shape))
	for i, d := range o.Shape {
		shape[i] = int(d)
	}
	v := value.New(onnxio.Float, shape...)
	for i, x := range vs {
		v.Data.([]float32)[i] = float32(x)
	}
	return v, nil
}
