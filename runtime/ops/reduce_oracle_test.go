package ops

import (
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func TestReductionsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	shapes := [][]int{{2, 3, 4, 5}, {7}, {3, 1, 40}, {1, 1}, {}}
	var cases []oracleCase
	ints := func(v ...int64) *value.Tensor { return value.From(v, len(v)) }
	for _, op := range []string{"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
		"ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"} {
		for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.Int8, onnxio.Int32, onnxio.Int64, onnxio.Uint8, onnxio.Bool} {
			if op == "ReduceLogSumExp" && !typ.IsFloat() {
				continue // ONNX Runtime cuts the fraction off before it adds the largest element
			}
			for _, shape := range shapes {
				x := randomTensor(r, typ, shape...)
				if op == "ReduceProd" && !typ.IsFloat() { // of ones and zeros: where it overflows, ONNX Runtime does not wrap around
					x, _ = castTensor(&Context{}, randomTensor(r, onnxio.Bool, shape...), typ, castOptions{})
				}
				var lists [][]int64
				for d := range shape {
					lists = append(lists, []int64{int64(d - len(shape)*(d%2))})
				}
				if len(shape) == 4 {
					lists = append(lists, []int64{2, 3}, []int64{0, 2}, []int64{1, 3}, []int64{0, 1, 2, 3}, []int64{3, 1}, []int64{0, 3})
				}
				if typ != onnxio.Float && typ != onnxio.Int64 && len(shape) == 4 {
					lists = lists[4:7]
				}
				for i, version := range []int{11, 13, 18, 20} {
					inputs := version >= 18 || op == "ReduceSum" && version >= 13
					for _, keep := range []int64{int64(len(cases)+i) % 2} {
						attrs := []*onnxio.Attribute{onnxio.NewInt("keepdims", keep)}
						cases = append(cases, oracleCase{op: op, opset: version, attrs: attrs, in: []*value.Tensor{x}})
						if inputs {
							noop := append(attrs[:1:1], onnxio.NewInt("noop_with_empty_axes", 1))
							cases = append(cases, oracleCase{op: op, opset: version, attrs: noop, in: []*value.Tensor{x}},
								oracleCase{op: op, opset: version, attrs: attrs, in: []*value.Tensor{x, ints()}, constant: true})
						}
						for _, axes := range lists {
							c := oracleCase{op: op, opset: version, attrs: attrs, in: []*value.Tensor{x}}
							if inputs {
								c.in, c.constant = append(c.in, ints(axes...)), true
							} else {
								c.attrs = append(attrs[:1:1], onnxio.NewInts("axes", axes...))
							}
							cases = append(cases, c)
						}
					}
				}
			}
		}
	}
	compareWithOracle(t, cases)
}

func TestOperatorsAlongAnAxisAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var cases []oracleCase
	for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.Int8, onnxio.Int32, onnxio.Int64, onnxio.Uint8} {
		for _, shape := range [][]int{{2, 3, 4, 5}, {6}, {3, 300}, {2, 5, 300}, {4, 0}, {0, 4}} {
			x := randomTensor(r, typ, shape...)
			for axis := -len(shape); axis < len(shape); axis++ {
				attrs := []*onnxio.Attribute{onnxio.NewInt("axis", int64(axis))}
				for _, op := range []string{"Softmax", "LogSoftmax", "Hardmax"} {
					for _, version := range []int{1, 11, 13} {
						cases = append(cases, oracleCase{op: op, opset: version, attrs: attrs, in: []*value.Tensor{x}})
					}
				}
				for p := int64(1); p < 3; p++ {
					cases = append(cases, oracleCase{op: "LpNormalization", opset: 1, attrs: append(attrs[:1:1], onnxio.NewInt("p", p)), in: []*value.Tensor{x}})
				}
				if value.Count(shape) == 0 || value.Count(shape) > 200 {
					continue // ONNX Runtime's float32 sums lose digits, and its ArgMax keeps empty axes
				}
				for mode := range int64(4) {
					a, b := mode&1, mode>>1
					running := []*onnxio.Attribute{onnxio.NewInt("exclusive", a), onnxio.NewInt("reverse", b)}
					cases = append(cases,
						oracleCase{op: "CumSum", opset: 14, attrs: running, in: []*value.Tensor{x, value.Scalar(int64(axis))}},
						oracleCase{op: "CumSum", opset: 11, attrs: running, in: []*value.Tensor{x, value.Scalar(int32(axis))}})
					choice := append(attrs[:1:1], onnxio.NewInt("keepdims", a))
					for _, op := range []string{"ArgMax", "ArgMin"} {
						cases = append(cases, oracleCase{op: op, opset: 11, attrs: choice, in: []*value.Tensor{x}},
							oracleCase{op: op, opset: 13, attrs: append(choice[:2:2], onnxio.NewInt("select_last_index", b)), in: []*value.Tensor{x}})
					}
				}
			}
		}
	}
	compareWithOracle(t, cases)
}
