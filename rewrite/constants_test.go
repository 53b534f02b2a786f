package rewrite_test

import (
	"math/rand/v2"
	"testing"

	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// Each case is a graph in which a number depends on the width of the convolution "a". Half of everything that can go is cut; the
// pruned model must equal its masked twin, and "a" must have lost channels.
func TestNumbersThatDependOnAWidth(t *testing.T) {
	type B = testmodels.Builder
	width := func(b *B, x string) string { // [1]: the number of channels of x
		return b.Gather(b.Shape(x), b.Const([]int64{1}), 0)
	}
	cases := []struct {
		what  string
		build func(b *B, a string) // a: [1, 8, 8, 8]
	}{
		{"a slice of another axis is bounded by the width", func(b *B, a string) {
			other := b.Conv("other", "x", 3, 8, 1)
			s := b.Node("Slice", []string{b.Relu(other), b.Const([]int64{0}), b.Node("Div", []string{width(b, a), b.Const([]int64{2})}), b.Const([]int64{3})})
			b.Output(s, onnxio.Float, 1, 8, 8, 4)
		}},
		{"a picture is expanded to as many rows as there are channels", func(b *B, a string) {
			row := b.Conv("row", b.Node("GlobalAveragePool", []string{"x"}), 3, 1, 1)
			s := b.Concat(0, b.Const([]int64{1, 1}), width(b, a), b.Const([]int64{1}))
			b.Output(b.Node("Expand", []string{row, s}), onnxio.Float, 1, 1, 8, 1)
		}},
		{"a tile repeats as often as there are channels", func(b *B, a string) {
			b.Output(b.Node("Tile", []string{"x", b.Concat(0, b.Const([]int64{1, 1}), width(b, a), b.Const([]int64{1}))}), onnxio.Float, 1, 3, 64, 8)
		}},
		{"a table is read at the width", func(b *B, a string) {
			table := b.Const([]float32{0, 1, 2, 3, 4, 5, 6, 7, 8})
			b.Output(b.Gather(table, width(b, a), 0), onnxio.Float, 1)
		}},
		{"a tensor of constants has as many rows as there are channels", func(b *B, a string) {
			b.Output(b.Node("ConstantOfShape", []string{width(b, a)}), onnxio.Float, 8)
		}},
		{"the width is an output and also a part of a Reshape", func(b *B, a string) {
			w := width(b, a)
			b.Output(b.Node("Identity", []string{w}), onnxio.Int64, 1)
			b.Output(w, onnxio.Int64, 1)
			y := b.Node("Reshape", []string{a, b.Concat(0, b.Const([]int64{1}), w, b.Const([]int64{64}))})
			b.Output(b.Node("ReduceSum", []string{y, b.Const([]int64{1})}, testmodels.Attrs{"keepdims": 0}), onnxio.Float, 1, 64)
		}},
		{"a body reads the width and a Reshape does too", func(b *B, a string) {
			w := width(b, a)
			body := func(name, op string) *B {
				s := b.Body(name)
				s.Output(s.Node(op, []string{w, w}), onnxio.Int64, 1)
				return s
			}
			b.Output(b.Node("If", []string{b.Const(true)}, testmodels.Attrs{"then_branch": body("then", "Add"), "else_branch": body("else", "Mul")}), onnxio.Int64, 1)
			y := b.Node("Reshape", []string{a, b.Concat(0, b.Const([]int64{1}), w, b.Const([]int64{64}))})
			b.Output(b.Node("ReduceSum", []string{y, b.Const([]int64{1})}, testmodels.Attrs{"keepdims": 0}), onnxio.Float, 1, 64)
		}},
		{"a body hands the width out", func(b *B, a string) {
			w := width(b, a)
			then, other := b.Body("then"), b.Body("else")
			then.Output(w, onnxio.Int64, 1)
			other.Output(other.Node("Add", []string{w, w}), onnxio.Int64, 1)
			b.Output(b.Node("If", []string{b.Const(true)}, testmodels.Attrs{"then_branch": then, "else_branch": other}), onnxio.Int64, 1)
		}},
		{"a body hands a vector out that a batch norm reads", func(b *B, a string) {
			v := b.Vector("shared", 8, 1, 0.1)
			n := b.Node("BatchNormalization", []string{a, v, b.Vector("bias", 8, 0, 0.1), b.Vector("mean", 8, 0, 0.1), b.Const([]float32{1, 1, 1, 1, 1, 1, 1, 1})})
			then, other := b.Body("then"), b.Body("else")
			then.Output(v, onnxio.Float, 8)
			other.Output(other.Const([]float32{1, 1, 1, 1, 1, 1, 1, 1}), onnxio.Float, 8)
			b.Output(b.Node("If", []string{b.Const(true)}, testmodels.Attrs{"then_branch": then, "else_branch": other}), onnxio.Float, 8)
			b.Output(b.Conv("last", n, 8, 2, 1), onnxio.Float, 1, 2, 8, 8)
		}},
		{"bounds of 32 bits are computed", func(b *B, a string) {
			half := b.Cast(b.Node("Div", []string{width(b, a), b.Const([]int64{2})}), onnxio.Int32)
			s := b.Node("Slice", []string{a, b.Const([]int32{0}), half, b.Const([]int32{1})})
			b.Output(b.Conv("part", s, 4, 2, 1), onnxio.Float, 1, 2, 8, 8)
		}},
		{"an Expand to a computed shape of which only some elements are constants", func(b *B, a string) {
			p := b.GlobalAveragePool(a)
			rest := b.Slice(b.Shape("x"), 0, 2, 4)
			y := b.Node("Expand", []string{p, b.Concat(0, b.Cast(b.Cast(b.Const([]int64{1, 8}), onnxio.Int32), onnxio.Int64), rest)})
			b.Output(b.Conv("part", y, 8, 2, 1), onnxio.Float, 1, 2, 8, 8)
		}},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
			a := b.Relu(b.Conv("a", x, 3, 8, 3))
			c.build(b, a)
			b.Output(b.Conv("head", a, 8, 5, 1), onnxio.Float, 1, 5, 8, 8)
			halved(t, b.Model(), "a.weight")
		})
	}
}

// halved prunes half of all channels, compares with the masked twin, and checks that the named weights became smaller.
func halved(t *testing.T, m *onnxio.Model, names ...string) {
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
	for _, name := range names {
		cut := false
		for _, ts := range p.Tensors {
			cut = cut || ts.Name == name
		}
		if !cut {
			t.Errorf("%s is not cut", name)
		}
	}
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		t.Fatal(err)
	}
	if err := proven(a, p, pruned); err != nil {
		t.Error(err)
	}
	if _, err := analysed(pruned); err != nil {
		t.Fatalf("the pruned model is not valid: %v", err)
	}
	twin, err := rewrite.MaskedTwin(m, p)
	if err != nil {
		t.Fatal(err)
	}
	x := value.New(onnxio.Float, 1, 3, 8, 8)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range x.Data.([]float32) {
		x.Data.([]float32)[i] = float32(r.NormFloat64())
	}
	want, err := run(twin, x, 1)
	if err != nil {
		t.Fatalf("the masked twin does not run: %v", err)
	}
	got, err := run(pruned, x, 1)
	if err != nil {
		t.Fatalf("the pruned model does not run: %v", err)
	}
	if err := allNear(got, want); err != nil {
		t.Error(err)
	}
}

// A count of elements is part of the model's arithmetic: after a cut it is what it was.
func TestACountThatIsComputedWithKeepsItsOldValue(t *testing.T) {
	for _, c := range []struct {
		what  string
		count func(b *testmodels.Builder, x string) string
	}{
		{"all elements", func(b *testmodels.Builder, x string) string { return b.Node("Size", []string{x}) }},
		{"a product of the shape", func(b *testmodels.Builder, x string) string {
			return b.Node("ReduceProd", []string{b.Shape(x)}, testmodels.Attrs{"keepdims": 0})
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			x := b.Conv("a", b.Input("x", onnxio.Float, 1, 3, 8, 8), 3, 8, 3)
			n := b.Cast(c.count(b, x), onnxio.Float)
			b.Output(b.Conv("head", b.Div(b.Mul(x, b.Node("Log", []string{n})), n), 8, 4, 1), onnxio.Float, 1, 4, 8, 8)
			halved(t, b.Model(), "a.weight")
		})
	}
}
