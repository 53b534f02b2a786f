package rewrite_test

import (
	"os"
	"testing"

	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/testmodels"
)

// block is a function with weights of its own: a convolution, a Reshape that writes the width down, and an If whose bodies capture what the
// function computes, read its attribute, use names of the main graph, and hand a value of the function out as it is.
func block(f *testmodels.Builder) {
	a := f.Relu(f.Conv("c", "v", 3, 8, 3))
	f.NodeTo("Reshape", []string{a, f.Const([]int64{1, 8, 64})}, []string{"flat"})
	wide := f.Reshape("flat", 1, 8, 8, 8)
	f.NodeTo("Conv", []string{wide, f.Weight("d.weight", 4, 8, 3, 3)}, []string{"h"}, testmodels.Attrs{"pads": []int{1, 1, 1, 1}})
	then, other := f.Body("then"), f.Body("else")
	then.NodeTo("LeakyRelu", []string{"h"}, []string{"head"}, testmodels.Attrs{"alpha": testmodels.Ref{Name: "slope", Type: onnxio.AttrFloat}})
	then.NodeTo("Add", []string{"head", "h"}, []string{"t"})
	then.Output("t", onnxio.Float, 1, 4, 8, 8)
	other.NodeTo("Neg", []string{"h"}, []string{"head"})
	other.Output("head", onnxio.Float, 1, 4, 8, 8)
	f.NodeTo("If", []string{"cond"}, []string{"w"}, testmodels.Attrs{"then_branch": then, "else_branch": other})
}

func TestCallsOfFunctionsArePrunedInside(t *testing.T) {
	type B = testmodels.Builder
	type attrs = testmodels.Attrs
	declare := func(b *B, write func(f *B)) {
		b.Function("local", "Block", []string{"v", "cond"}, []string{"w"}, []string{"slope"}, write)
	}
	for _, c := range []struct {
		what  string
		build func(b *B, x, cond string) string
		cut   int // constants inside of calls that must lose channels
	}{
		{"a function that is called once", func(b *B, x, cond string) string {
			declare(b, block)
			return b.Node("local::Block", []string{x, cond}, attrs{"slope": 0.5})
		}, 2},
		{"a function that is called twice, with another attribute", func(b *B, x, cond string) string {
			declare(b, block)
			no := b.Const(false)
			return b.Add(b.Node("local::Block", []string{x, cond}, attrs{"slope": 0.5}), b.Node("local::Block", []string{x, no}, attrs{"slope": 2.0}))
		}, 4},
		{"a body that hands a value of the function out as it is", func(b *B, x, cond string) string {
			declare(b, func(f *B) {
				f.NodeTo("Conv", []string{f.Conv("c", "v", 3, 8, 3), f.Weight("d.weight", 4, 8, 3, 3)}, []string{"h"}, attrs{"pads": []int{1, 1, 1, 1}})
				then, other := f.Body("then"), f.Body("else")
				then.Output("h", onnxio.Float, 1, 4, 8, 8)
				other.Output(other.Relu("h"), onnxio.Float, 1, 4, 8, 8)
				f.NodeTo("If", []string{"cond"}, []string{"w"}, attrs{"then_branch": then, "else_branch": other})
			})
			return b.Node("local::Block", []string{x, cond})
		}, 2},
		{"a function that calls another inside, and in a body", func(b *B, x, cond string) string {
			b.Function("local", "Leak", []string{"v"}, []string{"head"}, []string{"by"}, func(f *B) {
				f.NodeTo("LeakyRelu", []string{"v"}, []string{"head"}, attrs{"alpha": testmodels.Ref{Name: "by", Type: onnxio.AttrFloat}})
			})
			by := attrs{"by": testmodels.Ref{Name: "slope", Type: onnxio.AttrFloat}}
			declare(b, func(f *B) {
				f.NodeTo("local::Leak", []string{f.Conv("c", "v", 3, 8, 3)}, []string{"y"}, by)
				f.NodeTo("Conv", []string{"y", f.Weight("d.weight", 4, 8, 3, 3)}, []string{"h"}, attrs{"pads": []int{1, 1, 1, 1}})
				then, other := f.Body("then"), f.Body("else")
				then.Output(then.Node("local::Leak", []string{"h"}, by), onnxio.Float, 1, 4, 8, 8)
				inner, deep := other.Body("then"), other.Body("else")
				inner.Output(inner.Node("Neg", []string{"h"}), onnxio.Float, 1, 4, 8, 8)
				deep.Output(deep.Node("local::Leak", []string{"h"}, by), onnxio.Float, 1, 4, 8, 8)
				other.Output(other.Node("If", []string{"cond"}, attrs{"then_branch": inner, "else_branch": deep}), onnxio.Float, 1, 4, 8, 8)
				f.NodeTo("If", []string{"cond"}, []string{"i"}, attrs{"then_branch": then, "else_branch": other})
				f.NodeTo("local::Leak", []string{"i"}, []string{"w"}, by)
			})
			b.NodeTo("Relu", []string{x}, []string{"y"}) // the main graph uses a name of the function
			return b.Node("local::Block", []string{"y", cond}, attrs{"slope": 0.5})
		}, 2},
		{"a function that returns one value twice", func(b *B, x, cond string) string {
			b.Function("local", "Pair", []string{"v"}, []string{"r", "s", "r"}, nil, func(f *B) {
				f.NodeTo("Conv", []string{f.Conv("c", "v", 3, 8, 3), f.Weight("d.weight", 4, 8, 3, 3)}, []string{"r"}, attrs{"pads": []int{1, 1, 1, 1}})
				f.NodeTo("Neg", []string{"r"}, []string{"s"})
			})
			out := b.NodeN("local::Pair", []string{x}, 3)
			then, other := b.Body("then"), b.Body("else")
			then.Output(then.Node("Neg", []string{out[2]}), onnxio.Float, 1, 4, 8, 8)
			other.Output(other.Node("Abs", []string{out[2]}), onnxio.Float, 1, 4, 8, 8)
			i := b.Node("If", []string{cond}, attrs{"then_branch": then, "else_branch": other})
			return b.Add(i, b.Add(out[0], b.Mul(out[1], out[2])))
		}, 2},
	} {
		for _, cond := range []bool{true, false} {
			name := c.what + ", then"
			if !cond {
				name = c.what + ", else"
			}
			t.Run(name, func(t *testing.T) {
				b := testmodels.New(17)
				x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
				y := c.build(b, x, b.Const(cond))
				b.NodeTo("Relu", []string{b.Conv("after", y, 4, 6, 3)}, []string{"head"})
				b.Output(b.Conv("last", "head", 6, 5, 1), onnxio.Float, 1, 5, 8, 8)
				m := b.Model()
				halved(t, m)
				p := planned(t, m)
				inside := 0
				for _, ts := range p.Tensors {
					if ts.Name != "after.weight" && ts.Name != "after.bias" && ts.Name != "last.weight" && len(ts.Shape) == 4 {
						inside++
					}
				}
				if inside != c.cut {
					t.Errorf("%d weights inside of calls are cut, want %d: %+v", inside, c.cut, p.Tensors)
				}
				loads(t, m, p)
			})
		}
	}
}

// planned is the plan that removes half of all channels.
func planned(t *testing.T, m *onnxio.Model) *plan.Plan {
	t.Helper()
	a, err := analysed(m)
	if err != nil {
		t.Fatal(err)
	}
	wants, _, err := selection.Resolve(a, []string{"*"}, []float64{0.5})
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
	return p
}

// loads checks that ONNX Runtime accepts the pruned model and its masked twin.
func loads(t *testing.T, m *onnxio.Model, p *plan.Plan) {
	t.Helper()
	if os.Getenv("ONNXRUNTIME_LIB") == "" {
		return
	}
	lib := oracle(t)
	if s, err := lib.NewSessionFromBytes(m.Bytes(), onnxruntime.Options{}); err != nil {
		t.Logf("ONNX Runtime refuses the original too, so it can not judge: %v", err) // a function that names one output twice
		return
	} else {
		s.Close()
	}
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := rewrite.MaskedTwin(m, p)
	if err != nil {
		t.Fatal(err)
	}
	for what, m := range map[string]*onnxio.Model{"pruned model": pruned, "masked twin": twin} {
		s, err := lib.NewSessionFromBytes(m.Bytes(), onnxruntime.Options{})
		if err != nil {
			t.Errorf("ONNX Runtime refuses the %s: %v", what, err)
			continue
		}
		s.Close()
	}
}
