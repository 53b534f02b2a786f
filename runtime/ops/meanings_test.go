// What ONNX's suite does not ask: meanings of old operator sets, refusals, small types, and random numbers. Expected values
// are worked out by hand, or are NumPy's where a comment says so.

package ops

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func floats(vs ...float32) *value.Tensor { return value.From(vs, len(vs)) }

// tiny makes a vector of a type whose elements are bits.
func tiny[T value.Elem](typ onnxio.DataType, vs ...T) *value.Tensor {
	return &value.Tensor{Type: typ, Shape: []int{len(vs)}, Data: vs}
}

func TestMeaningsOfOperators(t *testing.T) {
	i, f, s := onnxio.NewInt, onnxio.NewFloat, onnxio.NewString
	attrs := func(as ...*onnxio.Attribute) []*onnxio.Attribute { return as }
	in := func(ts ...*value.Tensor) []*value.Tensor { return ts }
	cube := floats(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11).View(2, 3, 2)
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct {
		name string
		oracleCase
		want *value.Tensor // nil: refused
		says string        // part of the error
	}{
		{"opset 6 broadcasts the second input from an axis on",
			oracleCase{op: "Add", opset: 6, attrs: attrs(i("broadcast", 1), i("axis", 1)), in: in(cube, floats(100, 200, 300))},
			floats(100, 101, 202, 203, 304, 305, 106, 107, 208, 209, 310, 311).View(2, 3, 2), ""},
		{"opset 6 counts a negative axis from the end",
			oracleCase{op: "Sub", opset: 6, attrs: attrs(i("broadcast", 1), i("axis", -2)), in: in(cube, floats(0, 2, 4))},
			floats(0, 1, 0, 1, 0, 1, 6, 7, 6, 7, 6, 7).View(2, 3, 2), ""},
		{"opset 6 broadcasts along the last axes without one",
			oracleCase{op: "Mul", opset: 6, attrs: attrs(i("broadcast", 1)), in: in(cube, floats(1, 10))},
			floats(0, 10, 2, 30, 4, 50, 6, 70, 8, 90, 10, 110).View(2, 3, 2), ""},
		{"opset 6 broadcasts a single element",
			oracleCase{op: "Add", opset: 6, attrs: attrs(i("broadcast", 1)), in: in(floats(1, 2), floats(5))}, floats(6, 7), ""},
		{"opset 6 does not broadcast when not asked",
			oracleCase{op: "Add", opset: 6, in: in(cube, floats(1, 10))}, nil, "broadcast is not set"},
		{"opset 6 refuses what does not fit at the axis",
			oracleCase{op: "Add", opset: 6, attrs: attrs(i("broadcast", 1), i("axis", 0)), in: in(cube, floats(1, 2, 3))}, nil, "[3]"},
		{"opset 7 knows no attribute broadcast",
			oracleCase{op: "Add", opset: 7, attrs: attrs(i("broadcast", 1)), in: in(cube, floats(1, 10))}, nil, "attribute broadcast"},
		{"opset 1 knows a hint about memory",
			oracleCase{op: "Add", opset: 1, attrs: attrs(onnxio.NewInts("consumed_inputs", 0, 0)), in: in(floats(1), floats(2))}, floats(3), ""},
		{"opset 1 compares with an axis",
			oracleCase{op: "Greater", opset: 1, attrs: attrs(i("broadcast", 1), i("axis", 0)), in: in(floats(1, 2, 3, 4).View(2, 2), floats(1, 3))},
			value.From([]bool{false, true, false, true}, 2, 2), ""},
		{"opset 6 sums only equal shapes", oracleCase{op: "Sum", opset: 6, in: in(floats(1, 2), floats(1))}, nil, "[2] and [1]"},
		{"the maximum of integers exists since opset 12", oracleCase{op: "Max", opset: 12, in: in(value.From([]int8{-3, 4}, 2), value.From([]int8{1}, 1))},
			value.From([]int8{1, 4}, 2), ""},
		{"the maximum of NaN is NaN", oracleCase{op: "Max", opset: 13, in: in(floats(1, nan), floats(nan, 1))}, floats(nan, nan), ""},

		{"softmax before opset 13 is over all axes from the given one on",
			oracleCase{op: "Softmax", opset: 11, in: in(value.From([]float64{0, 0, 0, 0, 0, math.Log(3), 0, 0}, 2, 2, 2))},
			value.From([]float64{.25, .25, .25, .25, 1. / 6, .5, 1. / 6, 1. / 6}, 2, 2, 2), ""},
		{"softmax since opset 13 is over the last axis",
			oracleCase{op: "Softmax", opset: 13, in: in(value.From([]float64{0, 0, 0, 0, 0, math.Log(3), 0, 0}, 2, 2, 2))},
			value.From([]float64{.5, .5, .5, .5, .25, .75, .5, .5}, 2, 2, 2), ""},
		{"hardmax before opset 13 gives one one for all axes from the given one on",
			oracleCase{op: "Hardmax", opset: 11, in: in(floats(1, 5, 5, 2).View(1, 2, 2))}, floats(0, 1, 0, 0).View(1, 2, 2), ""},
		{"softmax of a column of -Inf is NaN",
			oracleCase{op: "Softmax", opset: 13, attrs: attrs(i("axis", 0)), in: in(floats(-inf, 0, -inf, 0).View(2, 2))}, floats(nan, .5, nan, .5).View(2, 2), ""},

		{"clip had attributes before opset 11",
			oracleCase{op: "Clip", opset: 6, attrs: attrs(f("min", -1), f("max", 2)), in: in(floats(-3, 0, 5))}, floats(-1, 0, 2), ""},
		{"clip of opset 6 limits to finite numbers", oracleCase{op: "Clip", opset: 6, in: in(floats(-inf, inf))}, floats(-math.MaxFloat32, math.MaxFloat32), ""},
		{"clip since opset 11 knows no attributes", oracleCase{op: "Clip", opset: 11, attrs: attrs(f("min", -1)), in: in(floats(1))}, nil, "attribute min"},
		{"clip to the upper limit where limits cross", oracleCase{op: "Clip", opset: 13, in: in(floats(-3, 0, 5), value.Scalar(float32(2)), value.Scalar(float32(1)))}, floats(1, 1, 1), ""},
		{"the slope of opset 6 stands along the channels",
			oracleCase{op: "PRelu", opset: 6, in: in(floats(-1, -1, 1, -1).View(1, 2, 2), floats(2, 3))}, floats(-2, -2, 1, -3).View(1, 2, 2), ""},
		{"the slope of opset 7 stands along the last axis",
			oracleCase{op: "PRelu", opset: 7, in: in(floats(-1, -1, 1, -1).View(1, 2, 2), floats(2, 3))}, floats(-2, -3, 1, -3).View(1, 2, 2), ""},
		{"selu of opset 1 has rounded constants", oracleCase{op: "Selu", opset: 1, in: in(floats(1))}, floats(1.0507), ""},

		{"gemm of opset 6 broadcasts C when asked",
			oracleCase{op: "Gemm", opset: 6, attrs: attrs(i("broadcast", 1)), in: in(floats(1, 2).View(1, 2), floats(1, 0, 0, 1).View(2, 2), floats(10, 20))},
			floats(11, 22).View(1, 2), ""},
		{"gemm of opset 6 does not broadcast C when not asked",
			oracleCase{op: "Gemm", opset: 6, in: in(floats(1, 2).View(1, 2), floats(1, 0, 0, 1).View(2, 2), floats(10, 20))}, nil, "C of shape [2]"},
		{"gemm before opset 11 needs C",
			oracleCase{op: "Gemm", opset: 9, in: in(floats(1, 2).View(1, 2), floats(1, 0, 0, 1).View(2, 2))}, nil, "input 2 is missing"},
		{"gemm of an empty sum is C",
			oracleCase{op: "Gemm", opset: 13, constant: true, in: in(value.New(onnxio.Float, 2, 0), value.New(onnxio.Float, 0, 2), floats(3, 4))},
			floats(3, 4, 3, 4).View(2, 2), ""},
		{"gemm takes a scalar C beside a weight of one column",
			oracleCase{op: "Gemm", opset: 13, constant: true, in: in(floats(1, 2, 3, 4).View(2, 2), floats(1, 1).View(2, 1), value.Scalar(float32(10)))},
			floats(13, 17).View(2, 1), ""},
		{"a matrix product names its shapes", oracleCase{op: "MatMul", opset: 13, in: in(cube, cube)}, nil, "[2 3 2] and [2 3 2]"},

		{"dropout of opset 6 in test mode passes on",
			oracleCase{op: "Dropout", opset: 6, attrs: attrs(i("is_test", 1)), in: in(floats(1, 2))}, floats(1, 2), ""},
		{"cast of opset 1 names its type", oracleCase{op: "Cast", opset: 1, attrs: attrs(s("to", "INT32")), in: in(floats(-1.7, 2.9))}, value.From([]int32{-1, 2}, 2), ""},
		{"cast of opset 1 refuses other names", oracleCase{op: "Cast", opset: 1, attrs: attrs(s("to", "FLOAT8")), in: in(floats(1))}, nil, "FLOAT8"},
		{"saturate is not known before opset 19", oracleCase{op: "Cast", opset: 13, attrs: attrs(i("to", 1), i("saturate", 1)), in: in(floats(1))}, nil, "attribute saturate"},

		{"axes were an attribute before opset 13",
			oracleCase{op: "ReduceSum", opset: 11, attrs: attrs(onnxio.NewInts("axes", 0, -1), i("keepdims", 0)), in: in(cube)}, floats(14, 22, 30), ""},
		{"axes are an input since", oracleCase{op: "ReduceSum", opset: 13, attrs: attrs(onnxio.NewInts("axes", 0)), in: in(cube)}, nil, "attribute axes"},
		{"axes of the other reductions are an input since opset 18",
			oracleCase{op: "ReduceMax", opset: 18, attrs: attrs(i("keepdims", 0)), in: in(cube, value.From([]int64{1}, 1))}, floats(4, 5, 10, 11).View(2, 2), ""},
		{"an axis that does not exist is refused", oracleCase{op: "ReduceMax", opset: 18, in: in(cube, value.From([]int64{3}, 1))}, nil, "axis 3"},
		{"without axes, and none meant, squares are still taken",
			oracleCase{op: "ReduceSumSquare", opset: 18, attrs: attrs(i("noop_with_empty_axes", 1)), in: in(floats(1, 2, -3))}, floats(1, 4, 9), ""},
		{"the minimum of nothing is infinite", oracleCase{op: "ReduceMin", opset: 20, in: in(value.New(onnxio.Float, 0, 2), value.From([]int64{0}, 1))}, floats(inf, inf).View(1, 2), ""},
		{"the maximum of no integers is the least", oracleCase{op: "ReduceMax", opset: 20, attrs: attrs(i("keepdims", 0)), in: in(value.New(onnxio.Int8, 0))}, value.Scalar(int8(-128)), ""},
		{"the mean of no integers is refused", oracleCase{op: "ReduceMean", opset: 18, in: in(value.New(onnxio.Int32, 0))}, nil, "mean of no integers"},
		{"the place in an empty axis is refused", oracleCase{op: "ArgMax", opset: 13, in: in(value.New(onnxio.Float, 0, 2))}, nil, "no elements"},
		{"of equals the last where asked", oracleCase{op: "ArgMin", opset: 12, attrs: attrs(i("select_last_index", 1)), in: in(floats(1, 0, 0))}, value.From([]int64{2}, 1), ""},
		{"of equals the last is not known before", oracleCase{op: "ArgMin", opset: 11, attrs: attrs(i("select_last_index", 1)), in: in(floats(1, 0, 0))}, nil, "select_last_index"},

		{"a remainder has the sign of the divisor", oracleCase{op: "Mod", opset: 13, in: in(value.From([]int32{-7, 7, -7, 6}, 4), value.From([]int32{3, -3, -3, 3}, 4))},
			value.From([]int32{2, -2, -1, 0}, 4), ""},
		{"with fmod, that of the dividend", oracleCase{op: "Mod", opset: 13, attrs: attrs(i("fmod", 1)), in: in(value.From([]int32{-7, 7, -7, 6}, 4), value.From([]int32{3, -3, -3, 3}, 4))},
			value.From([]int32{-1, 1, -1, 0}, 4), ""},
		{"floats need fmod", oracleCase{op: "Mod", opset: 13, in: in(floats(1), floats(2))}, nil, "no meaning for float32"},
		{"integer division by zero is refused", oracleCase{op: "Div", opset: 14, in: in(value.From([]int32{1}, 1), value.From([]int32{0}, 1))}, nil, "by zero"},
		{"integers wrap around", oracleCase{op: "Add", opset: 14, in: in(value.From([]uint8{250, 1}, 2), value.From([]uint8{10}, 1))}, value.From([]uint8{4, 11}, 2), ""},
		{"the smallest integer divided by -1 wraps around", oracleCase{op: "Div", opset: 14, in: in(value.From([]int8{-128}, 1), value.From([]int8{-1}, 1))}, value.From([]int8{-128}, 1), ""},
		{"an integer to a negative power", oracleCase{op: "Pow", opset: 15, in: in(value.From([]int32{2, 1, -1, -1}, 4), value.From([]int32{-1, -5, -2, -3}, 4))},
			value.From([]int32{0, 1, 1, -1}, 4), ""},
		{"unknown types of elements are refused by name", oracleCase{op: "Exp", opset: 13, in: in(value.From([]int32{1}, 1))}, nil, "int32[1]"},
		{"mixed types of elements are refused", oracleCase{op: "Add", opset: 13, in: in(value.From([]int32{1}, 1), floats(1))}, nil, "different element types"},
		{"shapes that do not broadcast are refused", oracleCase{op: "Add", opset: 13, in: in(cube, floats(1, 2, 3))}, nil, "[2 3 2] [3]"},

		// float16: 1+2^-10 is 0x3c01; half of the last place is a tie, which goes to the even 0x3c02
		{"half floats are rounded once, to even", oracleCase{op: "Add", opset: 14, in: in(tiny(onnxio.Float16, uint16(0x3c01)), tiny(onnxio.Float16, uint16(0x1000)))}, tiny(onnxio.Float16, uint16(0x3c02)), ""},
		{"too large for a half float is infinite", oracleCase{op: "Mul", opset: 14, in: in(tiny(onnxio.Float16, uint16(0x7bff)), tiny(onnxio.Float16, uint16(0x4000)))}, tiny(onnxio.Float16, uint16(0x7c00)), ""},
		{"a scale is rounded up", oracleCase{op: "Cast", opset: 24, attrs: attrs(i("to", int64(onnxio.Float8E8M0))), in: in(floats(1, 1.1, 3))}, tiny(onnxio.Float8E8M0, uint8(127), 128, 129), ""},
		{"a scale is rounded down where asked", oracleCase{op: "Cast", opset: 24, attrs: attrs(i("to", int64(onnxio.Float8E8M0)), s("round_mode", "down")), in: in(floats(1, 1.1, 3))},
			tiny(onnxio.Float8E8M0, uint8(127), 127, 128), ""},
		{"a scale is rounded to the nearest where asked", oracleCase{op: "Cast", opset: 24, attrs: attrs(i("to", int64(onnxio.Float8E8M0)), s("round_mode", "nearest")), in: in(floats(1, 1.4, 1.5, 3))},
			tiny(onnxio.Float8E8M0, uint8(127), 127, 128, 129), ""},
		// float8e4m3fn: largest 448 = 0x7e; 464 is the tie to the next, which would be NaN
		{"a small float saturates", oracleCase{op: "Cast", opset: 19, attrs: attrs(i("to", int64(onnxio.Float8E4M3FN))), in: in(floats(464, 465, -1000))}, tiny(onnxio.Float8E4M3FN, uint8(0x7e), 0x7e, 0xfe), ""},
		{"a small float becomes NaN where it must not saturate", oracleCase{op: "Cast", opset: 19, attrs: attrs(i("to", int64(onnxio.Float8E4M3FN)), i("saturate", 0)), in: in(floats(464, 465))},
			tiny(onnxio.Float8E4M3FN, uint8(0x7e), 0x7f), ""},
		{"bits of booleans", oracleCase{op: "BitCast", opset: 26, attrs: attrs(i("to", int64(onnxio.Uint8))), in: in(value.From([]bool{true, false}, 2))}, value.From([]uint8{1, 0}, 2), ""},
		{"bits of another width are refused", oracleCase{op: "BitCast", opset: 26, attrs: attrs(i("to", int64(onnxio.Uint8))), in: in(floats(1))}, nil, "float32[1]"},
		{"words are no numbers", oracleCase{op: "Cast", opset: 13, attrs: attrs(i("to", 1)), in: in(value.From([]string{"1", "one"}, 2))}, nil, `"one"`},

		// NumPy: RandomState(0).random_sample(3), RandomState(0).standard_normal(3)
		{"uniform numbers are those of NumPy", oracleCase{op: "RandomUniform", opset: 22, attrs: attrs(onnxio.NewInts("shape", 3), f("seed", 0))}, floats(0.5488135, 0.71518937, 0.60276338), ""},
		{"normal numbers are those of NumPy", oracleCase{op: "RandomNormal", opset: 22, attrs: attrs(onnxio.NewInts("shape", 3), f("seed", 0))}, floats(1.76405235, 0.40015721, 0.97873798), ""},
		{"classes to draw from are a matrix",
			oracleCase{op: "Multinomial", opset: 22, attrs: attrs(i("sample_size", 4), f("seed", 3)), in: in(floats(-inf, 0, -inf))}, nil, "matrix"},
		{"of one class all samples are",
			oracleCase{op: "Multinomial", opset: 22, attrs: attrs(i("sample_size", 4), f("seed", 3)), in: in(floats(-inf, 0, -inf).View(1, 3))}, value.From([]int32{1, 1, 1, 1}, 1, 4), ""},
		{"a probability above one is refused", oracleCase{op: "Bernoulli", opset: 22, in: in(floats(0.5, 1.5))}, nil, "1.5"},
		{"a negative dimension is refused", oracleCase{op: "RandomUniform", opset: 22, attrs: attrs(onnxio.NewInts("shape", -3))}, nil, "[-3]"},
		{"a label beyond the classes is refused",
			oracleCase{op: "NegativeLogLikelihoodLoss", opset: 13, in: in(floats(1, 2).View(1, 2), value.From([]int64{2}, 1))}, nil, "label 2"},
		{"a letter must not repeat in the output", oracleCase{op: "Einsum", opset: 12, attrs: attrs(s("equation", "ij->ii")), in: in(floats(1, 2, 3, 4).View(2, 2))}, nil, "ij->ii"},
		{"terms must fit the axes", oracleCase{op: "Einsum", opset: 12, attrs: attrs(s("equation", "ijk->i")), in: in(floats(1, 2, 3, 4).View(2, 2))}, nil, `"ijk"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := c.ours(nil)
			switch {
			case c.want == nil && (err == nil || !strings.Contains(err.Error(), c.says)):
				t.Errorf("got %v and error %v, want an error that says %q", out, err, c.says)
			case c.want != nil && err != nil:
				t.Error(err)
			case c.want != nil:
				if err := sameTensor(out[0].(*value.Tensor), c.want, 1e-6, 1e-9); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestResultsDoNotDependOnThreads(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	x := randomTensor(r, onnxio.Float, 4, 33, 57, 61)
	half := randomTensor(r, onnxio.Float16, 3, 200, 300)
	axis := func(a int64) []*onnxio.Attribute { return []*onnxio.Attribute{onnxio.NewInt("axis", a)} }
	ints := func(v ...int64) *value.Tensor { return value.From(v, len(v)) }
	for _, c := range []oracleCase{
		{op: "Add", opset: 14, in: []*value.Tensor{x, randomTensor(r, onnxio.Float, 33, 1, 1)}},
		{op: "Mul", opset: 14, in: []*value.Tensor{randomTensor(r, onnxio.Float, 20000, 3), randomTensor(r, onnxio.Float, 3)}},
		{op: "Mul", opset: 14, in: []*value.Tensor{half, randomTensor(r, onnxio.Float16, 200, 1)}},
		{op: "Sigmoid", opset: 13, in: []*value.Tensor{x}}, {op: "Gelu", opset: 20, in: []*value.Tensor{x}}, {op: "Softplus", opset: 22, in: []*value.Tensor{half}},
		{op: "Where", opset: 16, in: []*value.Tensor{randomTensor(r, onnxio.Bool, 57, 61), x, value.Scalar(float32(3))}},
		{op: "Softmax", opset: 13, attrs: axis(1), in: []*value.Tensor{x}}, {op: "Softmax", opset: 13, in: []*value.Tensor{x}}, {op: "LogSoftmax", opset: 13, attrs: axis(2), in: []*value.Tensor{x}},
		{op: "ReduceMean", opset: 18, in: []*value.Tensor{x, ints(2, 3)}}, {op: "ReduceSum", opset: 13, in: []*value.Tensor{x}}, {op: "ReduceL2", opset: 18, in: []*value.Tensor{x, ints(1, 3)}},
		{op: "ArgMax", opset: 13, attrs: axis(1), in: []*value.Tensor{x}}, {op: "CumSum", opset: 14, in: []*value.Tensor{x, ints(2)}},
		{op: "MatMul", opset: 13, in: []*value.Tensor{randomTensor(r, onnxio.Float, 6, 70, 90), randomTensor(r, onnxio.Float, 6, 90, 50)}},
		{op: "MatMul", opset: 13, constant: true, in: []*value.Tensor{randomTensor(r, onnxio.Float, 6, 70, 90), randomTensor(r, onnxio.Float, 90, 250)}},
		{op: "Gemm", opset: 13, in: []*value.Tensor{randomTensor(r, onnxio.Float, 70, 900), randomTensor(r, onnxio.Float, 900, 50)}},
		{op: "Einsum", opset: 12, attrs: []*onnxio.Attribute{onnxio.NewString("equation", "bchw,bdhw->bcd")}, in: []*value.Tensor{x, x}},
		{op: "Cast", opset: 13, attrs: []*onnxio.Attribute{onnxio.NewInt("to", int64(onnxio.Float16))}, in: []*value.Tensor{x}},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			var first []value.Value
			for _, threads := range []int{1, 2, 5} {
				pool := kernels.NewPool(threads)
				defer pool.Close()
				out, err := c.ours(pool)
				if err != nil {
					t.Fatal(err)
				}
				if first == nil {
					first = out
				} else if err := sameTensor(out[0].(*value.Tensor), first[0].(*value.Tensor), 0, 0); err != nil {
					t.Errorf("%d threads: %v", threads, err)
				}
			}
		})
	}
}
