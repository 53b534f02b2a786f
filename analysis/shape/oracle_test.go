package shape

import (
	"fmt"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
	"onnxprune/runtime/onnxruntime"
	tm "onnxprune/testmodels"
)

// What the conformance suite does not hold, older versions and com.microsoft's operators above all, is held against ONNX
// Runtime: type and shape of every output, inferred from fixed extents and, evaluated, from symbolic ones.

type oracleCase struct {
	name   string
	opset  int64
	inputs [][]int64 // extents of x; every one is tried
	write  func(b *tm.Builder, x string) []string
}

func one(name string) []string { return []string{name} }

func list(v ...int64) []int64 { return v }

func quantised(b *tm.Builder, x string) string {
	return b.Node("QuantizeLinear", []string{x, b.Const(float32(0.1)), b.Const(uint8(128))})
}

var images = [][]int64{{1, 4, 8, 8}, {2, 4, 7, 9}, {3, 4, 12, 5}}
var rows = [][]int64{{1, 5, 8}, {2, 3, 8}}

var oracleCases = []oracleCase{
	{"Squeeze and Unsqueeze by attribute", 11, images, func(b *tm.Builder, x string) []string {
		y := b.Node("Unsqueeze", one(x), tm.Attrs{"axes": list(0, -1)})
		return []string{y, b.Node("Squeeze", one(y), tm.Attrs{"axes": list(0)}), b.Node("Squeeze", one(b.Node("Unsqueeze", one(x), tm.Attrs{"axes": list(2)})), tm.Attrs{"axes": list(2)})}
	}},
	{"Slice by attribute", 9, images, func(b *tm.Builder, x string) []string {
		return []string{
			b.Node("Slice", one(x), tm.Attrs{"starts": list(1, -3), "ends": list(3, 1<<40), "axes": list(1, 3)}),
			b.Node("Slice", one(x), tm.Attrs{"starts": list(0, 1, 2, 0), "ends": list(9, 4, -1, 3)})}
	}},
	{"Slice with steps", 13, images, func(b *tm.Builder, x string) []string {
		slice := func(start, end, axis, step int64) string {
			return b.Node("Slice", []string{x, b.Const(list(start)), b.Const(list(end)), b.Const(list(axis)), b.Const(list(step))})
		}
		return []string{slice(0, 100, 2, 2), slice(1, 100, 3, 2), slice(-1, -100, 2, -1), slice(-1, -100, 3, -3), slice(5, 1, 3, -2), slice(100, 0, 2, -1), slice(3, 1, 2, 1)}
	}},
	{"TopK by attribute", 9, images, func(b *tm.Builder, x string) []string {
		return b.NodeN("TopK", one(x), 2, tm.Attrs{"k": 3, "axis": 2})
	}},
	{"Pad by attribute", 10, images, func(b *tm.Builder, x string) []string {
		return one(b.Node("Pad", one(x), tm.Attrs{"pads": list(0, 0, 1, 2, 0, 0, 3, -1)}))
	}},
	{"Pad by input with axes", 18, images, func(b *tm.Builder, x string) []string {
		return one(b.Node("Pad", []string{x, b.Const(list(1, 2, 3, 4)), "", b.Const(list(-1, 2))}))
	}},
	{"Upsample by attribute", 8, images, func(b *tm.Builder, x string) []string {
		return one(b.Node("Upsample", one(x), tm.Attrs{"scales": []float32{1, 1, 2, 2}}))
	}},
	{"Upsample by input", 9, images, func(b *tm.Builder, x string) []string {
		return one(b.Node("Upsample", []string{x, b.Const([]float32{1, 1, 3, 2})}))
	}},
	{"Resize of opset 10", 10, images, func(b *tm.Builder, x string) []string {
		return []string{b.Node("Resize", []string{x, b.Const([]float32{1, 1, 0.5, 1.5})}), b.Node("Resize", []string{x, b.Const([]float32{1, 1, 2.25, 0.75})})}
	}},
	{"Resize of opset 11", 11, images, func(b *tm.Builder, x string) []string {
		none := b.Const([]float32{})
		return []string{b.Node("Resize", []string{x, none, b.Const([]float32{1, 1, 0.6, 1.7})}), b.Node("Resize", []string{x, none, none, b.Const(list(1, 4, 20, 3))})}[:1]
	}},
	{"Resize of opset 18 with axes and policies", 18, images, func(b *tm.Builder, x string) []string {
		by := func(policy string) string {
			return b.Node("Resize", []string{x, "", "", b.Const(list(17, 11))}, tm.Attrs{"axes": list(2, 3), "keep_aspect_ratio_policy": policy})
		}
		return []string{by("stretch"), by("not_larger"), by("not_smaller"), b.Node("Resize", []string{x, "", b.Const([]float32{2, 0.5})}, tm.Attrs{"axes": list(3, 2)})}
	}},
	{"Split by attribute and in equal parts", 11, images, func(b *tm.Builder, x string) []string {
		return append(b.NodeN("Split", one(x), 2, tm.Attrs{"axis": 1, "split": list(1, 3)}), b.NodeN("Split", one(x), 2, tm.Attrs{"axis": 1})...)
	}},
	{"Split in parts that do not come out", 18, images, func(b *tm.Builder, x string) []string {
		return append(b.NodeN("Split", one(x), 3, tm.Attrs{"axis": 2, "num_outputs": 3}), b.NodeN("Split", one(x), 2, tm.Attrs{"axis": 3, "num_outputs": 2})...)
	}},
	{"reductions by attribute", 11, images, func(b *tm.Builder, x string) []string {
		return []string{b.Node("ReduceSum", one(x), tm.Attrs{"axes": list(2, -1)}), b.Node("ReduceMax", one(x), tm.Attrs{"axes": list(1), "keepdims": 0}), b.Node("ReduceMean", one(x)), b.Node("ReduceL2", one(x), tm.Attrs{"keepdims": 0})}
	}},
	{"Clip, Dropout and Cast of old", 8, images, func(b *tm.Builder, x string) []string {
		y := b.Node("Clip", one(x), tm.Attrs{"min": 0.0, "max": 6.0})
		return append(b.NodeN("Dropout", one(y), 1, tm.Attrs{"ratio": 0.5}), b.Node("Cast", one(y), tm.Attrs{"to": 7}))
	}},
	{"Dropout with a mask", 10, images, func(b *tm.Builder, x string) []string { return b.NodeN("Dropout", one(x), 2) }},
	{"BatchNormalization of opset 8", 8, images, func(b *tm.Builder, x string) []string {
		v := b.Const([]float32{1, 2, 3, 4})
		return one(b.Node("BatchNormalization", []string{x, v, v, v, v}))
	}},
	{"pools whose last window would start in the padding", 12, images, func(b *tm.Builder, x string) []string {
		pool := func(op string, kernel, stride, pad, ceil int64) string {
			return b.Node(op, one(x), tm.Attrs{"kernel_shape": list(kernel, kernel), "strides": list(stride, stride), "pads": list(pad, pad, pad, pad), "ceil_mode": ceil})
		}
		return []string{pool("MaxPool", 3, 2, 1, 1), pool("MaxPool", 2, 3, 1, 1), pool("AveragePool", 3, 2, 1, 1), pool("AveragePool", 2, 2, 0, 1), pool("MaxPool", 3, 1, 1, 0), pool("AveragePool", 2, 3, 1, 1)}
	}},
	{"pools with auto_pad and indices", 12, images, func(b *tm.Builder, x string) []string {
		out := b.NodeN("MaxPool", one(x), 2, tm.Attrs{"kernel_shape": list(3, 2), "strides": list(2, 2), "auto_pad": "SAME_LOWER"})
		return append(out, b.Node("AveragePool", one(x), tm.Attrs{"kernel_shape": list(3, 2), "strides": list(2, 1), "auto_pad": "VALID"}), b.Node("MaxPool", one(x), tm.Attrs{"kernel_shape": list(2, 2), "dilations": list(2, 3)}), b.Node("LpPool", one(x), tm.Attrs{"kernel_shape": list(2, 2)}))
	}},
	{"convolutions", 11, images, func(b *tm.Builder, x string) []string {
		w := b.Weight("w", 6, 2, 3, 2)
		return []string{
			b.Node("Conv", []string{x, w}, tm.Attrs{"group": 2, "strides": list(2, 3), "pads": list(1, 0, 2, 1)}),
			b.Node("Conv", []string{x, w}, tm.Attrs{"group": 2, "auto_pad": "SAME_LOWER", "strides": list(3, 2)}),
			b.Node("Conv", []string{x, w}, tm.Attrs{"group": 2, "auto_pad": "VALID", "dilations": list(2, 2)})}
	}},
	{"transposed convolutions", 11, images, func(b *tm.Builder, x string) []string {
		w := b.Weight("w", 4, 3, 3, 4)
		return []string{
			b.Node("ConvTranspose", []string{x, w}, tm.Attrs{"strides": list(2, 3), "pads": list(1, 0, 1, 2), "output_padding": list(1, 2)}),
			b.Node("ConvTranspose", []string{x, w}, tm.Attrs{"strides": list(2, 2), "auto_pad": "SAME_UPPER"}),
			b.Node("ConvTranspose", []string{x, w}, tm.Attrs{"group": 2, "dilations": list(2, 1)})}
	}},
	{"ConvTranspose with output_shape", 11, images[:1], func(b *tm.Builder, x string) []string {
		return one(b.Node("ConvTranspose", []string{x, b.Weight("w", 4, 3, 3, 3)}, tm.Attrs{"strides": list(2, 2), "output_shape": list(18, 17)}))
	}},
	{"Flatten by every axis", 13, images, func(b *tm.Builder, x string) []string {
		var out []string
		for _, a := range []int{0, 1, 2, 4, -1, -4} {
			out = append(out, b.Node("Flatten", one(x), tm.Attrs{"axis": a}))
		}
		return out
	}},
	{"Gather by scalars and lists", 13, images, func(b *tm.Builder, x string) []string {
		return []string{b.Node("Gather", []string{x, b.Const(int64(-1))}, tm.Attrs{"axis": 1}), b.Node("Gather", []string{x, b.ConstDims("i", list(2, 2), list(0, 1, 2, 3))}, tm.Attrs{"axis": 2})}
	}},
	{"DepthToSpace and SpaceToDepth", 13, [][]int64{{1, 4, 8, 8}, {2, 4, 6, 4}}, func(b *tm.Builder, x string) []string {
		return []string{b.Node("DepthToSpace", one(x), tm.Attrs{"blocksize": 2}), b.Node("SpaceToDepth", one(x), tm.Attrs{"blocksize": 2})}
	}},
	{"shape arithmetic in floats", 13, images, func(b *tm.Builder, x string) []string {
		s := b.Node("Cast", one(b.Node("Shape", one(x))), tm.Attrs{"to": onnxio.Float})
		half := b.Node("Cast", one(b.Node("Ceil", one(b.Node("Mul", []string{s, b.Const([]float32{1, 1, 0.5, 0.5})})))), tm.Attrs{"to": onnxio.Int64})
		third := b.Node("Cast", one(b.Node("Div", []string{s, b.Const([]float32{1, 1, 3, 3})})), tm.Attrs{"to": onnxio.Int64})
		return []string{b.Node("ConstantOfShape", one(half)), b.Node("ConstantOfShape", one(third)), b.Node("Expand", []string{b.Const(float32(1)), half})}
	}},
	{"shape arithmetic in integers", 13, images, func(b *tm.Builder, x string) []string {
		s := b.Node("Shape", one(x))
		a := b.Node("Div", []string{b.Node("Add", []string{s, b.Const(list(0, 0, 3, 5))}), b.Const(list(1, 1, 4, 2))})
		m := b.Node("Mod", []string{s, b.Const(list(5, 5, 3, 4))})
		n := b.Node("Min", []string{b.Node("Max", []string{a, m}), b.Const(list(9, 9, 2, 9))})
		return []string{b.Node("ConstantOfShape", one(a)), b.Node("ConstantOfShape", one(m)), b.Node("ConstantOfShape", one(n)), b.Node("Tile", []string{x, m})}
	}},
	{"Range over an extent", 13, images, func(b *tm.Builder, x string) []string {
		h := b.Node("Gather", []string{b.Node("Shape", one(x)), b.Const(int64(2))})
		return []string{b.Node("Range", []string{b.Const(int64(0)), h, b.Const(int64(1))}), b.Node("Range", []string{b.Const(int64(1)), h, b.Const(int64(3))}), b.Node("Range", []string{h, b.Const(int64(0)), b.Const(int64(-2))})}
	}},
	{"quantised operators", 13, images, func(b *tm.Builder, x string) []string {
		q := quantised(b, x)
		w := b.Tensor(onnxio.NewIntTensor("wq", onnxio.Int8, list(6, 4, 1, 1), make([]int64, 24)))
		s, z, zw := b.Const(float32(0.2)), b.Const(uint8(3)), b.Const(int8(0))
		return []string{b.Node("DequantizeLinear", []string{q, s, z}), b.Node("QLinearConv", []string{q, s, z, w, s, zw, s, z}), b.Node("ConvInteger", []string{q, b.Tensor(onnxio.NewIntTensor("wu", onnxio.Uint8, list(6, 4, 1, 1), make([]int64, 24)))}), b.NodeN("DynamicQuantizeLinear", one(x), 3)[0]}
	}},
	{"quantised operators of com.microsoft", 13, images, func(b *tm.Builder, x string) []string {
		q := quantised(b, x)
		s, z := b.Const(float32(0.2)), b.Const(uint8(3))
		return []string{
			b.Node("com.microsoft::QLinearAdd", []string{q, s, z, q, s, z, s, z}),
			b.Node("com.microsoft::QLinearMul", []string{q, s, z, q, s, z, s, z}),
			b.Node("com.microsoft::QLinearConcat", []string{s, z, q, s, z, q, s, z}, tm.Attrs{"axis": 1}),
			b.Node("com.microsoft::QLinearGlobalAveragePool", []string{q, s, z, s, z}),
			b.Node("com.microsoft::QLinearAveragePool", []string{q, s, z, s, z}, tm.Attrs{"kernel_shape": list(2, 2)}),
			b.Node("com.microsoft::QLinearSigmoid", []string{q, s, z, s, z}),
			b.Node("com.microsoft::QLinearLeakyRelu", []string{q, s, z, s, z}),
			b.Node("com.microsoft::QuantizeLinear", []string{x, s, z})}
	}},
	{"fused operators of com.microsoft", 13, images, func(b *tm.Builder, x string) []string {
		flat := b.Node("ReduceMean", one(x), tm.Attrs{"axes": list(2, 3), "keepdims": 0})
		return []string{
			b.Node("com.microsoft::FusedConv", []string{x, b.Weight("w", 6, 4, 3, 3), b.Weight("bias", 6)}, tm.Attrs{"activation": "Relu", "strides": list(2, 2), "pads": list(1, 1, 1, 1)}),
			b.Node("com.microsoft::FusedGemm", []string{flat, b.Weight("g", 5, 4)}, tm.Attrs{"transB": 1, "activation": "Relu"}),
			b.Node("com.microsoft::FusedMatMul", []string{x, x}, tm.Attrs{"transA": 1}),
			b.Node("com.microsoft::Gelu", one(x)), b.Node("com.microsoft::QuickGelu", one(x))}
	}},
	{"transformers of com.microsoft", 13, rows, func(b *tm.Builder, x string) []string {
		v := b.Const([]float32{1, 1, 1, 1, 1, 1, 1, 1})
		return []string{
			b.Node("com.microsoft::SkipLayerNormalization", []string{x, x, v, v}),
			b.Node("com.microsoft::SkipSimplifiedLayerNormalization", []string{x, x, v}),
			b.Node("com.microsoft::BiasGelu", []string{x, v}), b.Node("com.microsoft::FastGelu", []string{x, v}),
			b.Node("com.microsoft::Attention", []string{x, b.Weight("qkv", 8, 24), b.Weight("qkvb", 24)}, tm.Attrs{"num_heads": 2}),
			b.Node("com.microsoft::MultiHeadAttention", []string{x, x, x}, tm.Attrs{"num_heads": 2}),
			b.Node("com.microsoft::FusedMatMul", []string{x, b.Weight("m", 8, 3)})}
	}},
	{"integer products", 13, rows, func(b *tm.Builder, x string) []string {
		q := quantised(b, x)
		w := b.Tensor(onnxio.NewIntTensor("wq", onnxio.Uint8, list(8, 6), make([]int64, 48)))
		s, z := b.Const(float32(0.2)), b.Const(uint8(3))
		return []string{b.Node("MatMulInteger", []string{q, w}), b.Node("QLinearMatMul", []string{q, s, z, w, s, z, s, z}),
			b.Node("com.microsoft::MatMulIntegerToFloat", []string{q, w, s, s, z, z}), b.Node("com.microsoft::DynamicQuantizeMatMul", []string{x, w, s, z})}
	}},
	{"recurrent layers", 13, rows, func(b *tm.Builder, x string) []string {
		out := b.NodeN("LSTM", []string{x, b.Weight("w", 2, 12, 8), b.Weight("r", 2, 12, 3)}, 3, tm.Attrs{"hidden_size": 3, "direction": "bidirectional"})
		out = append(out, b.NodeN("GRU", []string{x, b.Weight("gw", 1, 9, 8), b.Weight("gr", 1, 9, 3)}, 2, tm.Attrs{"hidden_size": 3})...)
		return append(out, b.NodeN("RNN", []string{x, b.Weight("nw", 1, 3, 8), b.Weight("nr", 1, 3, 3)}, 2, tm.Attrs{"hidden_size": 3})...)
	}},
	{"layer normalisation with its statistics", 17, rows, func(b *tm.Builder, x string) []string {
		return b.NodeN("LayerNormalization", []string{x, b.Weight("s", 8), b.Weight("bias", 8)}, 3, tm.Attrs{"axis": -1})
	}},
	{"Einsum", 13, rows, func(b *tm.Builder, x string) []string {
		w := b.Weight("w", 8, 3)
		return []string{b.Node("Einsum", []string{x, w}, tm.Attrs{"equation": "blc,co->bol"}), b.Node("Einsum", []string{x, x}, tm.Attrs{"equation": "bic,bjc->bij"}), b.Node("Einsum", []string{x, w}, tm.Attrs{"equation": "...c,cd"}), b.Node("Einsum", one(x), tm.Attrs{"equation": "ijk->k"})}
	}},
	{"OneHot, NonZero and Compress", 11, rows, func(b *tm.Builder, x string) []string {
		i := b.Node("Cast", one(x), tm.Attrs{"to": onnxio.Int64})
		return []string{b.Node("OneHot", []string{i, b.Const(int64(5)), b.Const([]float32{0, 1})}, tm.Attrs{"axis": 1}), b.Node("Compress", []string{x, b.Const([]bool{true, false, true})}, tm.Attrs{"axis": 2})}
	}},
	{"Scan over the second axis", 11, rows, func(b *tm.Builder, x string) []string {
		body := b.Body("body")
		state := body.Input("state", onnxio.Float, -1)
		step := body.Input("step", onnxio.Float, -1, -1)
		sum := body.Node("ReduceMax", one(step), tm.Attrs{"axes": list(0), "keepdims": 0})
		next := body.Node("Add", []string{state, sum})
		body.Output(next, onnxio.Float, -1)
		body.Output(body.Node("Identity", one(step)), onnxio.Float, -1, -1)
		return b.NodeN("Scan", []string{b.Weight("start", 8), x}, 2, tm.Attrs{"body": body, "num_scan_inputs": 1, "scan_input_axes": list(1), "scan_output_axes": list(-1)})
	}},
	{"sequences", 13, rows, func(b *tm.Builder, x string) []string {
		s := b.Node("SplitToSequence", []string{x, b.Const(list(3, 5))}, tm.Attrs{"axis": 2})
		c := b.Node("SequenceConstruct", []string{x, x})
		return []string{b.Node("SequenceAt", []string{c, b.Const(int64(1))}), b.Node("ConcatFromSequence", one(c), tm.Attrs{"axis": 1}), b.Node("ConcatFromSequence", one(c), tm.Attrs{"axis": -1, "new_axis": 1}), b.Node("SequenceAt", []string{s, b.Const(int64(0))}), b.Node("SequenceLength", one(s))}
	}},
}

func TestShapesAreThoseOfONNXRuntime(t *testing.T) {
	path, err := onnxruntime.Find()
	if err != nil {
		t.Skip(err)
	}
	lib, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range oracleCases {
		for _, extents := range c.inputs {
			t.Run(fmt.Sprintf("%s %v", c.name, extents), func(t *testing.T) { c.check(t, lib, extents) })
		}
	}
}

// check infers and runs the case for one shape of x.
func (c *oracleCase) check(t *testing.T, lib *onnxruntime.Library, extents []int64) {
	names := []any{"N", extents[1], "H", "W"}[:len(extents)]
	values := map[string]int64{"N": extents[0]}
	if len(extents) == 3 {
		names, values["L"] = []any{"N", "L", extents[2]}, extents[1]
	} else {
		values["H"], values["W"] = extents[2], extents[3]
	}
	b := tm.New(c.opset)
	x := b.Input("x", onnxio.Float, names...)
	outputs := c.write(b, x)
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	symbolic, err := Infer(g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fixed, err := Infer(g, Options{Inputs: map[string][]int64{"x": extents}})
	if err != nil {
		t.Fatal(err)
	}
	for _, y := range outputs {
		b.Output(y, fixed.Of(g.Main.Lookup(y)).Elem)
	}
	s, err := lib.NewSessionFromBytes(b.Bytes(), onnxruntime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := int64(1)
	for _, d := range extents {
		n *= d
	}
	got, err := s.Run(map[string]*onnxruntime.Tensor{"x": onnxruntime.FromFloat32(extents, make([]float32, n))}, outputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, y := range outputs {
		want := got[y]
		v := g.Main.Lookup(y)
		for i, in := range []*Info{fixed.Of(v), symbolic.Of(v)} {
			if !in.Known || len(in.Dims) != len(want.Shape) || int32(in.Elem) != want.Type {
				t.Errorf("%s: inferred %v, ONNX Runtime gives type %d %v", v.Producer.Title(), in, want.Type, want.Shape)
				continue
			}
			for a, d := range in.Dims {
				k, ok := d.at(values)
				if ok && k != want.Shape[a] || !ok && i == 0 && !d.bornInside(0) {
					t.Errorf("%s: inferred %v, ONNX Runtime gives %v", v.Producer.Title(), in, want.Shape)
				}
				if !ok {
					t.Logf("%s: not evaluated: axis %d of %v", v.Producer.Title(), a, in)
				}
			}
		}
	}
}
