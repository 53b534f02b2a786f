package fold_test

import (
	"context"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

type (
	builder = testmodels.Builder
	attrs   = testmodels.Attrs
)

// cases has every operator that package fold knows, with the attributes and operands that change what it does: each is computed from
// constants, at every opset that is named, and the first output counts unless there are several.
var cases = map[string][]struct {
	opsets []int64
	make   func(b *builder) []string
}{
	"Identity": {{[]int64{13}, one("Identity")}}, "Abs": {{[]int64{13}, one("Abs")}}, "Neg": {{[]int64{13}, one("Neg")}},
	"Sqrt": {{[]int64{13}, func(b *builder) []string { return list(b.Node("Sqrt", []string{positive(b)})) }}},
	"Log":  {{[]int64{13}, func(b *builder) []string { return list(b.Node("Log", []string{positive(b)})) }}},
	"Exp":  {{[]int64{13}, one("Exp")}}, "Reciprocal": {{[]int64{13}, one("Reciprocal")}}, "Tanh": {{[]int64{13}, one("Tanh")}},
	"Erf": {{[]int64{13}, one("Erf")}}, "Relu": {{[]int64{13}, one("Relu")}}, "Sigmoid": {{[]int64{13}, one("Sigmoid")}},
	"Floor": {{[]int64{13}, one("Floor")}}, "Ceil": {{[]int64{13}, one("Ceil")}}, "Sign": {{[]int64{13}, one("Sign")}}, "Softplus": {{[]int64{13}, one("Softplus")}},
	"Round": {{[]int64{13}, func(b *builder) []string {
		return list(b.Node("Round", []string{b.Const([]float32{-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.2})}))
	}}},
	"Cast": {{[]int64{9, 13}, func(b *builder) []string {
		x := b.Const([]float32{-3.7, -0.5, 0, 0.5, 2.9, 100.1})
		return list(b.Cast(b.Cast(x, onnxio.Int32), onnxio.Float), b.Cast(b.Cast(x, onnxio.Float16), onnxio.Float), b.Cast(b.Cast(x, onnxio.Bool), onnxio.Float))
	}}},
	"CastLike": {{[]int64{15, 21}, func(b *builder) []string {
		return list(b.Cast(b.Node("CastLike", []string{weight(b), b.Const([]float64{1})}), onnxio.Float))
	}}},
	"Clip": {
		{[]int64{9}, func(b *builder) []string {
			return list(b.Node("Clip", []string{weight(b)}, attrs{"min": -0.2, "max": 0.3}))
		}},
		{[]int64{11, 13}, func(b *builder) []string {
			return list(b.Node("Clip", []string{weight(b), b.Const(float32(-0.2)), b.Const(float32(0.3))}), b.Node("Clip", []string{weight(b), "", b.Const(float32(0.3))}))
		}},
	},
	"Add": {{[]int64{9, 14}, two("Add")}}, "Sub": {{[]int64{9, 14}, two("Sub")}}, "Mul": {{[]int64{9, 14}, two("Mul")}}, "Div": {{[]int64{9, 14}, two("Div")}},
	"Min": {{[]int64{9, 13}, two("Min")}}, "Max": {{[]int64{9, 13}, two("Max")}}, "Sum": {{[]int64{9, 13}, two("Sum")}},
	"Pow": {{[]int64{9, 13}, func(b *builder) []string {
		return list(b.Node("Pow", []string{positive(b), b.Const([]float32{2, 0.5, -1})}))
	}}},
	"Equal": {{[]int64{13}, compared("Equal")}}, "Greater": {{[]int64{13}, compared("Greater")}}, "Less": {{[]int64{13}, compared("Less")}},
	"GreaterOrEqual": {{[]int64{16}, compared("GreaterOrEqual")}}, "LessOrEqual": {{[]int64{16}, compared("LessOrEqual")}},
	"Where": {{[]int64{9, 16}, func(b *builder) []string {
		return list(b.Node("Where", []string{b.Const([]bool{true, false, true}), weight(b), b.Weight("other", 2, 1, 3)}))
	}}},
	"DequantizeLinear": {{[]int64{13, 19}, func(b *builder) []string {
		q := b.ConstDims("q", []int64{2, 3}, []int8{-128, -3, 0, 5, 90, 127})
		per := []string{b.Const([]float32{0.1, 0.2, 0.3}), b.Const([]int8{1, -2, 3})}
		return list(b.Node("DequantizeLinear", []string{q, b.Const(float32(0.1)), b.Const(int8(3))}), b.Node("DequantizeLinear", []string{q, b.Const(float32(0.1))}),
			b.Node("DequantizeLinear", append([]string{q}, per...)), b.Node("DequantizeLinear", []string{q, b.Const([]float32{0.5, 2})}, attrs{"axis": 0}))
	}}},
	"QuantizeLinear": {{[]int64{13, 19}, func(b *builder) []string {
		x := b.ConstDims("x", []int64{2, 3}, []float32{-30, -0.25, 0, 0.25, 1.05, 30})
		q := b.Node("QuantizeLinear", []string{x, b.Const([]float32{0.1, 0.5}), b.Const([]int8{1, -2})}, attrs{"axis": 0})
		u := b.Node("QuantizeLinear", []string{x, b.Const(float32(0.1))})
		return list(b.Cast(q, onnxio.Float), b.Cast(u, onnxio.Float))
	}}},

	"Reshape":   {{[]int64{9, 14}, func(b *builder) []string { return list(b.Reshape(weight(b), 0, -1)) }}},
	"Flatten":   {{[]int64{9, 13}, func(b *builder) []string { return list(b.Node("Flatten", []string{weight(b)}, attrs{"axis": 2})) }}},
	"Squeeze":   {{[]int64{9, 13}, func(b *builder) []string { return list(b.Squeeze(b.Weight("thin", 2, 1, 3), 1)) }}},
	"Unsqueeze": {{[]int64{9, 13}, func(b *builder) []string { return list(b.Unsqueeze(weight(b), 0, 2)) }}},
	"Transpose": {{[]int64{9, 13}, func(b *builder) []string {
		return list(b.Transpose(weight(b), 2, 0, 1), b.Node("Transpose", []string{weight(b)}))
	}}},
	"Expand": {{[]int64{9, 13}, func(b *builder) []string {
		return list(b.Node("Expand", []string{b.Weight("thin", 2, 1, 3), b.Const([]int64{4, 1, 5, 1})}))
	}}},
	"Tile": {{[]int64{9, 13}, func(b *builder) []string { return list(b.Node("Tile", []string{weight(b), b.Const([]int64{2, 1, 3})})) }}},
	"Concat": {{[]int64{9, 13}, func(b *builder) []string {
		return list(b.Concat(1, weight(b), b.Weight("other", 2, 1, 3)), b.Concat(-1, weight(b), weight(b), b.Weight("third", 2, 4, 2)))
	}}},
	"Split": {
		{[]int64{9}, func(b *builder) []string {
			return b.NodeN("Split", []string{weight(b)}, 2, attrs{"axis": 1, "split": []int{1, 3}})
		}},
		{[]int64{13, 18}, func(b *builder) []string {
			return b.NodeN("Split", []string{weight(b), b.Const([]int64{3, 1})}, 2, attrs{"axis": -2})
		}},
	},
	"Slice": {
		{[]int64{9}, func(b *builder) []string {
			return list(b.Node("Slice", []string{weight(b)}, attrs{"axes": []int{1, 2}, "starts": []int{1, -2}, "ends": []int{9, 3}}))
		}},
		{[]int64{10, 13}, func(b *builder) []string {
			at := func(vs ...int64) string { return b.Const(vs) }
			return list(b.Node("Slice", []string{weight(b), at(-1, 0), at(-9, 3), at(1, 2), at(-2, 2)}), b.Node("Slice", []string{weight(b), at(1), at(2)}))
		}},
	},
	"Gather": {{[]int64{9, 13}, func(b *builder) []string {
		ix := b.ConstDims("ix", []int64{2, 2}, []int64{1, -1, 0, 3})
		return list(b.Node("Gather", []string{weight(b), ix}, attrs{"axis": 1}), b.Gather(weight(b), b.Const(int64(1)), 0))
	}}},
	"Pad": {
		{[]int64{9}, func(b *builder) []string {
			return list(b.Node("Pad", []string{weight(b)}, attrs{"pads": []int{0, 1, 0, 1, 0, -1}, "value": 0.5}))
		}},
		{[]int64{11, 13}, func(b *builder) []string {
			return list(b.Node("Pad", []string{weight(b), b.Const([]int64{0, 1, -1, 1, 0, 2}), b.Const(float32(0.5))}), b.Node("Pad", []string{weight(b), b.Const([]int64{0, 1, 1, 1, 0, 2})}))
		}},
		{[]int64{18}, func(b *builder) []string {
			return list(b.Node("Pad", []string{weight(b), b.Const([]int64{1, 2, 0, 1}), "", b.Const([]int64{2, -2})}))
		}},
	},
	"ConstantOfShape": {{[]int64{9, 20}, func(b *builder) []string {
		return list(b.Node("ConstantOfShape", []string{b.Const([]int64{2, 3})}, attrs{"value": testmodels.NewTensor("", []float32{0.5})}), b.Node("ConstantOfShape", []string{b.Const([]int64{2})}))
	}}},

	"ReduceSum":       {{[]int64{9}, reductions("ReduceSum")}, {[]int64{13, 18}, reductionsByOperand("ReduceSum")}},
	"ReduceMean":      {{[]int64{9, 13}, reductions("ReduceMean")}, {[]int64{18}, reductionsByOperand("ReduceMean")}},
	"ReduceMax":       {{[]int64{9, 13}, reductions("ReduceMax")}, {[]int64{18}, reductionsByOperand("ReduceMax")}},
	"ReduceMin":       {{[]int64{9, 13}, reductions("ReduceMin")}, {[]int64{18}, reductionsByOperand("ReduceMin")}},
	"ReduceProd":      {{[]int64{9, 13}, reductions("ReduceProd")}, {[]int64{18}, reductionsByOperand("ReduceProd")}},
	"ReduceL1":        {{[]int64{9, 13}, reductions("ReduceL1")}, {[]int64{18}, reductionsByOperand("ReduceL1")}},
	"ReduceL2":        {{[]int64{9, 13}, reductions("ReduceL2")}, {[]int64{18}, reductionsByOperand("ReduceL2")}},
	"ReduceLogSum":    {{[]int64{9, 13}, reductions("ReduceLogSum")}, {[]int64{18}, reductionsByOperand("ReduceLogSum")}},
	"ReduceLogSumExp": {{[]int64{9, 13}, reductions("ReduceLogSumExp")}, {[]int64{18}, reductionsByOperand("ReduceLogSumExp")}},
	"ReduceSumSquare": {{[]int64{9, 13}, reductions("ReduceSumSquare")}, {[]int64{18}, reductionsByOperand("ReduceSumSquare")}},
	"Softmax": {{[]int64{9, 13}, func(b *builder) []string {
		return list(b.Softmax(weight(b), 1), b.Node("Softmax", []string{weight(b)}))
	}}},
	"LogSoftmax": {{[]int64{9, 13}, func(b *builder) []string { return list(b.Node("LogSoftmax", []string{weight(b)}, attrs{"axis": 1})) }}},
	"LpNormalization": {{[]int64{9, 22}, func(b *builder) []string {
		return list(b.Node("LpNormalization", []string{weight(b)}), b.Node("LpNormalization", []string{weight(b)}, attrs{"axis": 1, "p": 1}))
	}}},
	"MeanVarianceNormalization": {{[]int64{9, 13}, func(b *builder) []string {
		x := b.Weight("picture", 2, 4, 3, 5)
		return list(b.Node("MeanVarianceNormalization", []string{x}), b.Node("MeanVarianceNormalization", []string{x}, attrs{"axes": []int{1, 3}}))
	}}},
	"LayerNormalization": {{[]int64{17}, func(b *builder) []string {
		x := b.Weight("picture", 2, 4, 3, 5)
		return list(b.Node("LayerNormalization", []string{x, b.Weight("s", 3, 5), b.Weight("t", 3, 5)}, attrs{"axis": 2, "epsilon": 0.01}), b.Node("LayerNormalization", []string{x, b.Weight("u", 5)}))
	}}},
	"InstanceNormalization": {{[]int64{9, 22}, func(b *builder) []string {
		return list(b.Node("InstanceNormalization", []string{weight(b), b.Weight("s", 4), b.Weight("t", 4)}, attrs{"epsilon": 0.01}))
	}}},
	"BatchNormalization": {
		{[]int64{9, 15}, func(b *builder) []string {
			return list(b.Node("BatchNormalization", []string{weight(b), b.Vector("s", 4, 1, 0.2), b.Vector("t", 4, 0, 0.2), b.Vector("m", 4, 0, 0.2), b.Vector("v", 4, 1, 0.2)}))
		}},
		{[]int64{14, 15}, func(b *builder) []string {
			return b.NodeN("BatchNormalization", []string{weight(b), b.Vector("s", 4, 1, 0.2), b.Vector("t", 4, 0, 0.2), b.Vector("m", 4, 0, 0.2), b.Vector("v", 4, 1, 0.2)}, 3,
				attrs{"training_mode": 1, "epsilon": 0.01})[:1]
		}},
	},

	"MatMul": {{[]int64{9, 13}, func(b *builder) []string {
		a, c := b.Weight("stack", 2, 1, 4, 3), b.Weight("square", 5, 3, 2)
		v := b.Weight("v", 3)
		return list(b.Node("MatMul", []string{a, c}), b.Node("MatMul", []string{a, v}), b.Node("MatMul", []string{v, c}), b.Node("MatMul", []string{v, v}))
	}}},
	"Gemm": {{[]int64{9, 13}, func(b *builder) []string {
		return list(b.Node("Gemm", []string{b.Weight("a", 4, 3), b.Weight("c", 3, 2), b.Weight("d", 2)}, attrs{"alpha": 0.5, "beta": 2.0}),
			b.Node("Gemm", []string{b.Weight("at", 3, 4), b.Weight("ct", 2, 3), b.Weight("e", 4, 1)}, attrs{"transA": 1, "transB": 1}))
	}}},
	"Einsum": {{[]int64{12}, func(b *builder) []string {
		x, y := b.Weight("x", 2, 4, 3), b.Weight("y", 4, 5)
		return list(b.Node("Einsum", []string{x, y}, attrs{"equation": "ijk,jl->kil"}), b.Node("Einsum", []string{x, y}, attrs{"equation": "ijk, jl"}),
			b.Node("Einsum", []string{x}, attrs{"equation": "ijk->j"}))
	}}},
	"Conv": {{[]int64{9, 11}, func(b *builder) []string {
		x := b.Weight("x", 2, 4, 7, 6)
		return list(b.Node("Conv", []string{x, b.Weight("w", 6, 4, 3, 2), b.Weight("bias", 6)}, attrs{"pads": []int{1, 0, 2, 1}, "strides": []int{2, 1}, "dilations": []int{1, 2}}),
			b.Node("Conv", []string{x, b.Weight("g", 4, 2, 1, 1)}, attrs{"group": 2}), b.Node("Conv", []string{b.Weight("line", 1, 4, 9), b.Weight("l", 3, 4, 2)}))
	}}},
}

func list(ys ...string) []string { return ys }

// weight is [2,4,3], positive is too.
func weight(b *builder) string {
	if slices.ContainsFunc(b.Graph().Initializers, func(t *onnxio.Tensor) bool { return t.Name == "w" }) {
		return "w"
	}
	return b.Weight("w", 2, 4, 3)
}

func positive(b *builder) string {
	return b.Add(b.Node("Abs", []string{weight(b)}), b.Const(float32(0.01)))
}

func one(op string) func(b *builder) []string {
	return func(b *builder) []string { return list(b.Node(op, []string{weight(b)})) }
}

func two(op string) func(b *builder) []string {
	return func(b *builder) []string {
		return list(b.Node(op, []string{weight(b), b.Weight("column", 4, 1)}), b.Node(op, []string{b.Const(float32(2)), weight(b)}))
	}
}

func compared(op string) func(b *builder) []string {
	return func(b *builder) []string {
		return list(b.Cast(b.Node(op, []string{weight(b), b.Node("Identity", []string{weight(b)})}), onnxio.Float), b.Cast(b.Node(op, []string{weight(b), b.Weight("column", 4, 1)}), onnxio.Float))
	}
}

func reductions(op string) func(b *builder) []string {
	return func(b *builder) []string {
		x := positive(b)
		return list(b.Node(op, []string{x}, attrs{"axes": []int{0, -1}, "keepdims": 0}), b.Node(op, []string{x}, attrs{"axes": []int{1}}), b.Node(op, []string{x}))
	}
}

func reductionsByOperand(op string) func(b *builder) []string {
	return func(b *builder) []string {
		x := positive(b)
		return list(b.Node(op, []string{x, b.Const([]int64{0, -1})}, attrs{"keepdims": 0}), b.Node(op, []string{x, b.Const([]int64{1})}), b.Node(op, []string{x}),
			b.Node(op, []string{x}, attrs{"noop_with_empty_axes": 1}))
	}
}

// Every operator gives what the embedded runtime gives, and what ONNX Runtime gives where it is here.
func TestWhatIsWorkedOutIsWhatARunGives(t *testing.T) {
	for _, op := range fold.Operators() {
		if len(cases[op]) == 0 {
			t.Errorf("%s has no case", op)
		}
	}
	lib := library(t)
	for op, list := range cases {
		if !slices.Contains(fold.Operators(), op) {
			t.Errorf("%s is not known", op)
		}
		t.Run(op, func(t *testing.T) {
			for _, c := range list {
				for _, opset := range c.opsets {
					b := testmodels.New(opset)
					for _, y := range c.make(b) {
						b.Output(y, onnxio.Float)
					}
					check(t, b, lib)
				}
			}
		})
	}
}

func library(t *testing.T) *onnxruntime.Library {
	path, err := onnxruntime.Find()
	if err != nil {
		return nil
	}
	lib, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

func check(t *testing.T, b *builder, lib *onnxruntime.Library) {
	t.Helper()
	m := b.Model()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	values := fold.New(g, s)
	session, err := runtime.Compile(m, runtime.Options{Engine: runtime.Walk, Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	ran, err := session.Run(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	judges := map[string]func(name string) []float64{"the embedded runtime": func(name string) []float64 {
		t := ran[name].(*value.Tensor)
		if fs, ok := t.Floats(); ok {
			return fs
		}
		is, _ := t.Ints()
		var out []float64
		for _, v := range is {
			out = append(out, float64(v))
		}
		return out
	}}
	if lib != nil {
		judges["ONNX Runtime"] = underONNXRuntime(t, lib, m)
	}
	for _, v := range g.Main.Outputs {
		if !values.Can(v) {
			t.Errorf("opset %d: %q can not be worked out", b.Opset(), v.Name)
			continue
		}
		got, err := values.Of(v)
		if err != nil {
			t.Errorf("opset %d: %v", b.Opset(), err)
			continue
		}
		for who, run := range judges {
			if want := run(v.Name); !alike(got.Data, want) {
				t.Errorf("opset %d: %q is %v, %s gives %v", b.Opset(), v.Name, got.Data, who, want)
			}
		}
		if back, err := got.Proto(v.Name).Raw(); err != nil || len(back) != len(got.Data)*got.Type.Bits()/8 {
			t.Errorf("opset %d: %q is stored in %d bytes (%v)", b.Opset(), v.Name, len(back), err)
		}
	}
}

func underONNXRuntime(t *testing.T, lib *onnxruntime.Library, m *onnxio.Model) func(name string) []float64 {
	t.Helper()
	path := filepath.Join(t.TempDir(), "constants.onnx")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	session, err := lib.NewSession(path, onnxruntime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	out, err := session.Run(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return func(name string) []float64 {
		vs, err := out[name].Numbers()
		if err != nil {
			t.Fatal(err)
		}
		return vs
	}
}

func alike(got, want []float64) bool {
	if len(got) != len(want) {
		return false
	}
	for i, w := range want {
		if math.Abs(got[i]-w) > 2e-6*(1+math.Abs(w)) {
			return false
		}
	}
	return true
}
