package rewrite_test

import (
	"fmt"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/testmodels"
)

// Shape operands of which a part is computed in a way that the cut does not reach are put together anew. Every opset has operators
// for that: Where from 9 on, Slice and Concat before, which took floats alone until 4.
func TestPartlyComputedOperandsAreMendedAtEveryOpset(t *testing.T) {
	type B = testmodels.Builder
	part := func(b *B, x string, from, to int) string {
		if b.Opset() >= 10 {
			return b.Slice(x, 0, int64(from), int64(to))
		}
		return b.Node("Slice", []string{x}, testmodels.Attrs{"axes": []int{0}, "starts": []int{from}, "ends": []int{to}})
	}
	// batch is [N], as the model's input has it.
	batch := func(b *B) string { return part(b, b.Shape("x"), 0, 1) }
	ints := func(b *B, vs ...int64) string { return b.Const(vs) }
	for _, c := range []struct {
		what  string
		since int64
		build func(b *B, a string) // a: [N, 8, 8, 8]
	}{
		{"a Reshape to a part of a longer vector", 5, func(b *B, a string) {
			to := part(b, b.Concat(0, batch(b), ints(b, 8, 64, 99)), 0, 3)
			y := b.Node("Reshape", []string{a, to})
			b.Output(b.Node("ReduceSum", []string{y}, testmodels.Attrs{"axes": []int{1}, "keepdims": 0}), onnxio.Float, "N", 64)
		}},
		{"a Reshape to a product", 7, func(b *B, a string) {
			to := b.Mul(b.Concat(0, batch(b), ints(b, 4, 64)), ints(b, 1, 2, 1))
			y := b.Node("Reshape", []string{a, to})
			b.Output(b.Node("ReduceSum", []string{y}, testmodels.Attrs{"axes": []int{1}, "keepdims": 0}), onnxio.Float, "N", 64)
		}},
		{"an Expand to a part of a longer vector", 8, func(b *B, a string) {
			to := part(b, b.Concat(0, batch(b), ints(b, 8, 8, 8, 99)), 0, 4)
			y := b.Node("Expand", []string{b.GlobalAveragePool(a), to})
			b.Output(b.Conv("part", y, 8, 2, 1), onnxio.Float, "N", 2, 8, 8)
		}},
		{"a shape that is an output", 3, func(b *B, a string) {
			b.Output(b.Shape(a), onnxio.Int64, 4)
		}},
		{"a table of shapes that is an output", 3, func(b *B, a string) {
			b.Output(b.Node("Unsqueeze", []string{b.Shape(a)}, testmodels.Attrs{"axes": []int{0}}), onnxio.Int64, 1, 4)
		}},
		{"a shape that is read as numbers", 6, func(b *B, a string) {
			b.Output(b.Node("Exp", []string{b.Cast(b.Shape(a), onnxio.Float)}), onnxio.Float, 4)
		}},
		{"a shape that a body reads", 7, func(b *B, a string) {
			s := b.Shape(a)
			then, other := b.Body("then"), b.Body("else")
			then.Output(then.Add(s, s), onnxio.Int64, 4)
			other.Output(other.Mul(s, s), onnxio.Int64, 4)
			b.Output(b.Node("If", []string{b.Const(true)}, testmodels.Attrs{"then_branch": then, "else_branch": other}), onnxio.Int64, 4)
		}},
	} {
		for _, opset := range []int64{3, 5, 6, 7, 8, 9, 10} {
			if opset < c.since {
				continue
			}
			t.Run(fmt.Sprintf("%s, opset %d", c.what, opset), func(t *testing.T) {
				b := testmodels.New(opset)
				x := b.Input("x", onnxio.Float, "N", 3, 8, 8)
				a := b.Relu(b.Conv("a", x, 3, 8, 3))
				c.build(b, a)
				b.Output(b.Conv("head", a, 8, 5, 1), onnxio.Float, "N", 5, 8, 8)
				m := b.Model()
				halved(t, m, "a.weight")
				p := planned(t, m)
				pruned, err := rewrite.Apply(m, p)
				if err != nil {
					t.Fatal(err)
				}
				ops := map[string]bool{}
				for _, n := range pruned.Graph.Nodes {
					ops[n.OpType] = true
				}
				if opset >= 9 && !ops["Where"] || opset < 9 && (ops["Where"] || !ops["Concat"]) {
					t.Errorf("the pruned model has the operators %v", ops)
				}
				if opset >= 7 { // what ONNX Runtime promises to run
					judged(t, m)
				}
			})
		}
	}
}

// Where the sum over channels is one of two activations, the twin masks an activation. Until opset 7 a product had to ask for broadcasting.
func TestActivationsAreMaskedAtEveryOpset(t *testing.T) {
	for _, opset := range []int64{6, 7, 13} {
		t.Run(fmt.Sprint("opset ", opset), func(t *testing.T) {
			b := testmodels.New(opset)
			x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
			a := b.Reshape(b.Relu(b.Conv("a", x, 3, 8, 3)), 1, 8, 64)
			b.Output(b.Node("MatMul", []string{b.Transpose(a, 0, 2, 1), a}), onnxio.Float, 1, 64, 64)
			m := b.Model()
			halved(t, m, "a.weight")
			if opset >= 7 {
				judged(t, m)
			}
		})
	}
}
