package ops

// What neither ONNX's suite nor ONNX Runtime can say: the meanings of the oldest opsets, errors, empty tensors and
// sequences. Expected values are worked out by hand.

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func TestMovingOperators(t *testing.T) {
	rows := value.From([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	sequence := &value.Sequence{Items: inputs(vector[int64](1), vector[int64](2, 3))}
	empty := value.New(onnxio.Float, 0, 3)
	cases := []struct {
		nodeCase
		want []value.Value
	}{
		{nodeCase{name: "takes the shape from an attribute", op: "Reshape", opset: 1, attrs: attributes(intsAttr("shape", 3, -1), intsAttr("consumed_inputs", 0)), in: inputs(rows)},
			inputs(value.From([]float32{1, 2, 3, 4, 5, 6}, 3, 2))},
		{nodeCase{name: "joins along axis 1 by default", op: "Concat", opset: 1, in: inputs(rows, rows)},
			inputs(value.From([]float32{1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6}, 2, 6))},
		{nodeCase{name: "joins an empty tensor", op: "Concat", opset: 13, attrs: attributes(intAttr("axis", 0)), in: inputs(empty, rows)},
			inputs(rows)},
		{nodeCase{name: "takes the sizes from an input", op: "Split", opset: 1, attrs: attributes(intAttr("axis", 1)), in: inputs(rows, i64s(1, 2)), outputs: 2},
			inputs(value.From([]float32{1, 4}, 2, 1), value.From([]float32{2, 3, 5, 6}, 2, 2))},
		{nodeCase{name: "leaves nothing for the last part", op: "Split", opset: 18, attrs: attributes(intAttr("num_outputs", 4), intAttr("axis", 1)), in: inputs(rows), outputs: 4},
			inputs(value.From([]float32{1, 4}, 2, 1), value.From([]float32{2, 5}, 2, 1), value.From([]float32{3, 6}, 2, 1), value.New(onnxio.Float, 2, 0))},
		{nodeCase{name: "lays tiles along an axis", op: "Tile", opset: 1, in: inputs(rows, value.Scalar(float32(2)), value.Scalar(float32(0)))},
			inputs(value.From([]float32{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6}, 4, 3))},
		{nodeCase{name: "has its pads in paddings", op: "Pad", opset: 1, attrs: attributes(intsAttr("paddings", 0, 1, 0, 0), floatAttr("value", 9)), in: inputs(rows)},
			inputs(value.From([]float32{9, 1, 2, 3, 9, 4, 5, 6}, 2, 4))},
		{nodeCase{name: "reflects again and again", op: "Pad", opset: 13, attrs: attributes(textAttr("mode", "reflect")), in: inputs(vector[int32](1, 2, 3), i64s(5, 0))},
			inputs(vector[int32](2, 1, 2, 3, 2, 1, 2, 3))},
		{nodeCase{name: "wraps more than once", op: "Pad", opset: 19, attrs: attributes(textAttr("mode", "wrap")), in: inputs(vector[int32](1, 2, 3), i64s(4, 1))},
			inputs(vector[int32](3, 1, 2, 3, 1, 2, 3, 1))},
		{nodeCase{name: "crops before it repeats the edge", op: "Pad", opset: 13, attrs: attributes(textAttr("mode", "edge")), in: inputs(vector[int32](1, 2, 3), i64s(-1, 2))},
			inputs(vector[int32](2, 3, 3, 3))},
		{nodeCase{name: "takes no negative index", op: "OneHot", opset: 9, in: inputs(i64s(-1, 1), value.Scalar(float32(2)), vector[int32](0, 7))},
			inputs(value.From([]int32{0, 0, 0, 7}, 2, 2))},
		{nodeCase{name: "has no batch dimensions", op: "GatherND", opset: 11, in: inputs(rows, value.From([]int64{1, -1}, 1, 2))},
			inputs(vector[float32](6))},
		{nodeCase{name: "of a scalar has no coordinates", op: "NonZero", opset: 13, in: inputs(value.Scalar(true))},
			inputs(value.New(onnxio.Int64, 0, 1))},
		{nodeCase{name: "clamps start and end", op: "Shape", opset: 15, attrs: attributes(intAttr("start", -9), intAttr("end", -1)), in: inputs(rows)},
			inputs(i64s(2))},
		{nodeCase{name: "counts the elements of an empty tensor", op: "Size", opset: 13, in: inputs(empty)},
			inputs(value.Scalar(int64(0)))},
		{nodeCase{name: "reads coordinates of sparse values", op: "Constant", opset: 11, attrs: attributes(sparse(value.From([]int64{1, 2, 0, 1}, 2, 2))), in: nil},
			inputs(value.From([]float32{0, 8, 0, 0, 0, 7}, 2, 3))},
		{nodeCase{name: "reads linear positions of sparse values", op: "Constant", opset: 13, attrs: attributes(sparse(i64s(3, 0))), in: nil},
			inputs(value.From([]float32{8, 0, 0, 7, 0, 0}, 2, 3))},
		{nodeCase{name: "holds strings", op: "Constant", opset: 12, attrs: attributes(onnxio.NewStrings("value_strings", "a", "b")), in: nil},
			inputs(vector("a", "b"))},
		{nodeCase{name: "has rows of bits", op: "Transpose", opset: 24, in: inputs(&value.Tensor{Type: onnxio.Float8E4M3FN, Shape: []int{2, 2}, Data: []uint8{1, 2, 3, 4}})},
			inputs(&value.Tensor{Type: onnxio.Float8E4M3FN, Shape: []int{2, 2}, Data: []uint8{1, 3, 2, 4}})},
		{nodeCase{name: "resizes nothing to nothing", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "linear")), in: inputs(value.New(onnxio.Float, 0, 1, 2, 2), nil, vector[float32](1, 1, 2, 2))},
			inputs(value.New(onnxio.Float, 0, 1, 4, 4))},
		{nodeCase{name: "antialiases negative bytes", op: "Resize", opset: 18, attrs: attributes(textAttr("mode", "linear"), intAttr("antialias", 1)),
			in: inputs(value.From([]int8{-100, -50, 0, 50}, 1, 4), nil, vector[float32](1, 0.5))}, // -100/2 - 50*3/8 and 50/2 - 50/8
			inputs(value.From([]int8{-69, 19}, 1, 2))},
		{nodeCase{name: "merges NaN and keeps first places", op: "Unique", opset: 11, attrs: attributes(intAttr("sorted", 0)),
			in: inputs(vector(3, math.NaN(), 3, math.NaN())), outputs: 4},
			inputs(vector(3, math.NaN()), i64s(0, 1), i64s(0, 1, 0, 1), i64s(2, 2))},
		{nodeCase{name: "inserts at a negative position", op: "SequenceInsert", opset: 11, in: []value.Value{sequence, i64s(9), value.Scalar(int64(-1))}},
			[]value.Value{&value.Sequence{Items: inputs(i64s(1), i64s(9), i64s(2, 3))}}},
		{nodeCase{name: "erases the last item", op: "SequenceErase", opset: 11, in: []value.Value{sequence}},
			[]value.Value{&value.Sequence{Items: inputs(i64s(1))}}},
		{nodeCase{name: "takes an item from the end", op: "SequenceAt", opset: 11, in: []value.Value{sequence, value.Scalar(int32(-1))}},
			inputs(i64s(2, 3))},
		{nodeCase{name: "joins items of different length", op: "ConcatFromSequence", opset: 11, attrs: attributes(intAttr("axis", -1)), in: []value.Value{sequence}},
			inputs(i64s(1, 2, 3))},
		{nodeCase{name: "splits into vectors", op: "SplitToSequence", opset: 11, attrs: attributes(intAttr("keepdims", 0)), in: inputs(rows)},
			[]value.Value{&value.Sequence{Items: inputs(vector[float32](1, 2, 3), vector[float32](4, 5, 6))}}},
		{nodeCase{name: "splits into pairs and a rest", op: "SplitToSequence", opset: 11, attrs: attributes(intAttr("axis", 1)), in: inputs(rows, value.Scalar(int64(2)))},
			[]value.Value{&value.Sequence{Items: inputs(value.From([]float32{1, 2, 4, 5}, 2, 2), value.From([]float32{3, 6}, 2, 1))}}},
		{nodeCase{name: "without input has nothing", op: "OptionalHasElement", opset: 18, in: nil},
			inputs(value.Scalar(false))},
		{nodeCase{name: "keeps the rest after the last cut", op: "StringSplit", opset: 20, attrs: attributes(intAttr("maxsplit", 1)), in: inputs(vector(" a  b c ", "")), outputs: 2},
			inputs(value.From([]string{"a", "b c ", "", ""}, 2, 2), i64s(2, 0))},
		{nodeCase{name: "matches the whole string only", op: "RegexFullMatch", opset: 20, attrs: attributes(textAttr("pattern", "a|ab")), in: inputs(vector("ab", "abc", "a\n"))},
			inputs(vector(true, false, false))},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s of opset %d %s", c.op, c.opset, c.name), func(t *testing.T) {
			got, err := c.run(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range c.want {
				if err := sameValue(got[i], c.want[i]); err != nil {
					t.Errorf("output %d: %v", i, err)
				}
			}
		})
	}
}

// sparse is a sparse_value attribute of shape [2 3] that holds 7 and 8.
func sparse(indices *value.Tensor) *onnxio.Attribute {
	return &onnxio.Attribute{Name: "sparse_value", Type: onnxio.AttrSparseTensor, Sparse: &onnxio.SparseTensor{
		Values: vector[float32](7, 8).ToProto(""), Indices: indices.ToProto(""), Dims: []int64{2, 3}}}
}

func TestMovingOperatorsRefuse(t *testing.T) {
	rows := value.From([]float32{1, 2, 3, 4, 5, 6}, 2, 3)
	for _, c := range []struct {
		nodeCase
		want string
	}{
		{nodeCase{name: "an index behind the end", op: "Gather", opset: 13, in: inputs(rows, i64s(2))}, "index 2 is outside"},
		{nodeCase{name: "an index before the start", op: "GatherND", opset: 13, in: inputs(rows, value.From([]int64{0, -4}, 1, 2))}, "index -4 is outside"},
		{nodeCase{name: "an index behind the end", op: "ScatterElements", opset: 13, in: inputs(rows, value.From([]int64{5}, 1, 1), value.From([]float32{1}, 1, 1))}, "index 5 is outside"},
		{nodeCase{name: "updates of a wrong shape", op: "ScatterND", opset: 13, in: inputs(rows, value.From([]int64{0}, 1, 1), value.From([]float32{1}, 1, 1))}, "want shape [1 3]"},
		{nodeCase{name: "an axis too many", op: "Transpose", opset: 13, attrs: attributes(intsAttr("perm", 0, 1, 2)), in: inputs(rows)}, "axis 2 does not exist"},
		{nodeCase{name: "an axis twice", op: "Unsqueeze", opset: 13, in: inputs(rows, i64s(0, -4))}, "named twice"},
		{nodeCase{name: "an axis that is not one", op: "Squeeze", opset: 13, in: inputs(rows, i64s(1))}, "dimension 1 is 3"},
		{nodeCase{name: "two open dimensions", op: "Reshape", opset: 13, in: inputs(rows, i64s(-1, -1))}, "more than one"},
		{nodeCase{name: "a size that does not divide", op: "Reshape", opset: 13, in: inputs(rows, i64s(4, -1))}, "float32[2 3]"},
		{nodeCase{name: "an attribute of a later opset", op: "Reshape", opset: 13, attrs: attributes(intAttr("allowzero", 1)), in: inputs(rows, i64s(6))}, "allowzero is not known"},
		{nodeCase{name: "a shape without end", op: "ConstantOfShape", opset: 9, in: inputs(i64s(1<<40, 1<<40))}, "too large"},
		{nodeCase{name: "repeats without end", op: "Tile", opset: 13, in: inputs(rows, i64s(1<<40, 1<<40))}, "too large"},
		{nodeCase{name: "a negative dimension", op: "Expand", opset: 13, in: inputs(rows, i64s(-1, 2, 3))}, "negative dimension"},
		{nodeCase{name: "parts that do not add up", op: "Split", opset: 13, in: inputs(rows, i64s(1, 2)), outputs: 2}, "do not add up"},
		{nodeCase{name: "uneven parts before opset 18", op: "Split", opset: 13, in: inputs(rows), outputs: 3}, "cannot be cut"},
		{nodeCase{name: "more than there is", op: "TopK", opset: 11, in: inputs(rows, i64s(4)), outputs: 2}, "the top 4"},
		{nodeCase{name: "a step of zero", op: "Slice", opset: 13, in: inputs(rows, i64s(0), i64s(1), i64s(0), i64s(0))}, "step along axis 0 is 0"},
		{nodeCase{name: "a scale of zero", op: "Resize", opset: 13, in: inputs(rows, nil, vector[float32](1, 0))}, "scale 0"},
		{nodeCase{name: "a mode that does not exist", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "area")), in: inputs(rows, nil, vector[float32](1, 2))}, `"area"`},
		{nodeCase{name: "a JPEG without content", op: "ImageDecoder", opset: 20, in: inputs(vector[uint8](0xff, 0xd8, 0xff))}, "the JPEG ends early"},
		{nodeCase{name: "an item that is not there", op: "SequenceAt", opset: 11, in: []value.Value{&value.Sequence{}, value.Scalar(int64(0))}}, "position 0"},
		{nodeCase{name: "a step that never arrives", op: "Range", opset: 11, in: inputs(value.Scalar(int64(0)), value.Scalar(int64(1)), value.Scalar(int64(0)))}, "no usable length"},
		{nodeCase{name: "a batch that is not there", op: "RoiAlign", opset: 16, in: inputs(value.New(onnxio.Float, 1, 1, 2, 2), value.New(onnxio.Float, 1, 4), i64s(1))}, "batch index 1"},
	} {
		t.Run(fmt.Sprintf("%s of opset %d refuses %s", c.op, c.opset, c.name), func(t *testing.T) {
			_, err := c.run(nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one with %q", err, c.want)
			}
		})
	}
}
