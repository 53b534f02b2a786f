package ops

// The cases of TestMovingOperatorsAgainstOnnxRuntime.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// Attributes and tensors in few words.
func intAttr(name string, v int64) *onnxio.Attribute      { return onnxio.NewInt(name, v) }
func textAttr(name, v string) *onnxio.Attribute           { return onnxio.NewString(name, v) }
func intsAttr(name string, vs ...int64) *onnxio.Attribute { return onnxio.NewInts(name, vs...) }
func floatAttr(name string, v float32) *onnxio.Attribute  { return onnxio.NewFloat(name, v) }
func i64s(vs ...int64) *value.Tensor                      { return vector(vs...) }
func ties(shape ...int) *value.Tensor {
	t := floats32(shape...)
	for i, v := range value.Of[float32](t) {
		value.Of[float32](t)[i] = float32(math.Round(float64(v)))
	}
	return t
}

func pickingCases() []*nodeCase {
	x := floats32(3, 4, 5)
	cases := []*nodeCase{
		{name: "with axes as attribute", op: "Squeeze", opset: 11, attrs: attributes(intsAttr("axes", -1, 0)), in: inputs(floats32(1, 3, 1))},
		{name: "without axes", op: "Squeeze", opset: 9, in: inputs(floats32(1, 3, 1))},
		{name: "with axes as attribute", op: "Unsqueeze", opset: 11, attrs: attributes(intsAttr("axes", 3, -4)), in: inputs(floats32(2, 3))},
		{name: "with starts as attributes", op: "Slice", opset: 9, attrs: attributes(intsAttr("starts", -3, 1), intsAttr("ends", 99, -1), intsAttr("axes", 2, 0)), in: inputs(x)},
		{name: "backwards", op: "Slice", opset: 13, in: inputs(x, i64s(99, -2), i64s(-99, 0), i64s(1, 2), i64s(-2, -1))},
		{name: "backwards to the last but one", op: "Slice", opset: 11, in: inputs(x, i64s(-1), i64s(-4), i64s(-1), i64s(-1))},
		{name: "of nothing", op: "Slice", opset: 13, in: inputs(x, i64s(2), i64s(1), i64s(1))},
		{name: "with a huge step", op: "Slice", opset: 13, in: inputs(x, i64s(1), i64s(math.MaxInt64), i64s(1), i64s(math.MaxInt64))},
		{name: "of strings", op: "Slice", opset: 13, in: inputs(vector("a", "b", "c"), i64s(-1), i64s(math.MinInt64), i64s(0), i64s(-1))},
		{name: "with sizes as attribute", op: "Split", opset: 11, attrs: attributes(intAttr("axis", -1), intsAttr("split", 1, 4)), in: inputs(x), outputs: 2},
		{name: "in equal parts", op: "Split", opset: 7, attrs: attributes(intAttr("axis", 1)), in: inputs(x), outputs: 2},
		{name: "in uneven parts", op: "Split", opset: 18, attrs: attributes(intAttr("axis", 2), intAttr("num_outputs", 3)), in: inputs(x), outputs: 3},
		{name: "keeping and filling", op: "Reshape", opset: 13, in: inputs(x, i64s(0, -1, 2))},
		{name: "of nothing", op: "Reshape", opset: 14, attrs: attributes(intAttr("allowzero", 1)), in: inputs(floats32(0, 3), i64s(3, 0))},
		{name: "to an axis of zero", op: "Flatten", opset: 9, attrs: attributes(intAttr("axis", 0)), in: inputs(x)},
		{name: "with the default order", op: "Transpose", opset: 13, in: inputs(x)},
		{name: "of bytes", op: "Transpose", opset: 13, attrs: attributes(intsAttr("perm", 0, 2, 3, 1)), in: inputs(counting[uint8](2, 3, 17, 33))},
		{name: "with negative indices", op: "Gather", opset: 11, attrs: attributes(intAttr("axis", -2)), in: inputs(x, value.From([]int32{-1, 0, 3, -4}, 2, 2))},
		{name: "by a scalar", op: "Gather", opset: 13, attrs: attributes(intAttr("axis", 1)), in: inputs(x, value.Scalar(int64(2)))},
		{name: "along the middle", op: "GatherElements", opset: 13, attrs: attributes(intAttr("axis", 1)), in: inputs(x, value.From([]int64{3, -1, 0, 1, 2, 3}, 2, 1, 3))},
		{name: "with batches", op: "GatherND", opset: 13, attrs: attributes(intAttr("batch_dims", 1)), in: inputs(x, value.From([]int64{3, 0, -2, 1, 0, -1}, 3, 2, 1))},
		{name: "with duplicates added", op: "ScatterElements", opset: 16, attrs: attributes(textAttr("reduction", "add"), intAttr("axis", 2)),
			in: inputs(x, value.From([]int64{1, 1, -1, 0}, 1, 2, 2), floats32(1, 2, 2))},
		{name: "with the largest", op: "ScatterND", opset: 18, attrs: attributes(textAttr("reduction", "max")),
			in: inputs(x, value.From([]int64{0, 1, 2, -1, 0, 1}, 3, 2), floats32(3, 5))},
		{name: "of opset 9", op: "Scatter", opset: 9, attrs: attributes(intAttr("axis", 1)), in: inputs(x, value.From([]int64{1, 3}, 1, 2, 1), floats32(1, 2, 1))},
		{name: "in both directions", op: "Expand", opset: 8, in: inputs(floats32(3, 1), i64s(2, 1, 6))},
		{name: "of three axes", op: "Tile", opset: 6 + 1, in: inputs(x, i64s(2, 1, 3))},
		{name: "with a value", op: "Pad", opset: 10, attrs: attributes(intsAttr("pads", 0, 1, 2, 1, 0, 3), floatAttr("value", 2.5)), in: inputs(x)},
		{name: "that crops", op: "Pad", opset: 13, in: inputs(x, i64s(-1, 2, -1, 1, -1, 0), value.Scalar(float32(7)))},
		{name: "of bytes at the edge", op: "Pad", opset: 18, attrs: attributes(textAttr("mode", "edge")), in: inputs(counting[uint8](3, 4), i64s(2, 3), nil, i64s(-1))},
		{name: "reflected", op: "Pad", opset: 11, attrs: attributes(textAttr("mode", "reflect")), in: inputs(x, i64s(2, 3, 0, 0, 1, 4))},
		{name: "wrapped", op: "Pad", opset: 19, attrs: attributes(textAttr("mode", "wrap")), in: inputs(floats32(3, 4), i64s(2, 4, 1, 3))},
		{name: "of doubles", op: "Range", opset: 11, in: inputs(value.Scalar(0.5), value.Scalar(-3.0), value.Scalar(-0.7))},
		{name: "of strings with a negative index", op: "OneHot", opset: 11, attrs: attributes(intAttr("axis", 0)), in: inputs(i64s(1, -1, 5), value.Scalar(int64(3)), vector("off", "on"))},
		{name: "of floats", op: "NonZero", opset: 13, in: inputs(ties(3, 4))},
		{name: "with k as attribute and ties", op: "TopK", opset: 9, attrs: attributes(intAttr("k", 3)), in: inputs(ties(4, 7)), outputs: 2},
		{name: "of few out of many with ties", op: "TopK", opset: 11, attrs: attributes(intAttr("axis", 0)), in: inputs(ties(300, 3), i64s(7)), outputs: 2},
		{name: "smallest with ties", op: "TopK", opset: 11, attrs: attributes(intAttr("largest", 0), intAttr("axis", 1)), in: inputs(ties(3, 200, 2), i64s(9)), outputs: 2},
		{name: "smallest of integers", op: "TopK", opset: 10 + 1, attrs: attributes(intAttr("largest", 0)), in: inputs(i64s(5, 1, 1, 3), i64s(4)), outputs: 2},
		{name: "of rows", op: "Unique", opset: 11, attrs: attributes(intAttr("axis", 0)), in: inputs(ties(40, 2)), outputs: 4},
		{name: "of strings unsorted", op: "Unique", opset: 11, attrs: attributes(intAttr("sorted", 0)), in: inputs(vector("b", "a", "b", "c", "a")), outputs: 4},
		{name: "without axis", op: "Compress", opset: 9, in: inputs(x, vector(false, true, true, false, true))},
		{name: "along an axis", op: "Compress", opset: 11, attrs: attributes(intAttr("axis", -1)), in: inputs(x, vector(false, true, true))},
		{name: "by batch", op: "ReverseSequence", opset: 10, attrs: attributes(intAttr("batch_axis", 0), intAttr("time_axis", 1)), in: inputs(x, i64s(1, 4, 2))},
		{name: "column first", op: "DepthToSpace", opset: 13, attrs: attributes(intAttr("blocksize", 2), textAttr("mode", "CRD")), in: inputs(floats32(2, 8, 3, 2))},
		{name: "of opset 1", op: "DepthToSpace", opset: 10, attrs: attributes(intAttr("blocksize", 2)), in: inputs(floats32(2, 8, 3, 2))},
		{name: "of blocks of three", op: "SpaceToDepth", opset: 13, attrs: attributes(intAttr("blocksize", 3)), in: inputs(floats32(1, 2, 6, 3))},
		{name: "of opset 7 along a negative axis", op: "Concat", opset: 11, attrs: attributes(intAttr("axis", -1)), in: inputs(x, floats32(3, 4, 0), floats32(3, 4, 2))},
	}
	return cases
}

func resizeCases() []*nodeCase {
	image := floats32(2, 3, 7, 9)
	none := vector[float32]()
	var cases []*nodeCase
	for _, mode := range []string{"nearest", "linear"} {
		cases = append(cases,
			&nodeCase{name: "up by " + mode, op: "Upsample", opset: 7, attrs: attributes(textAttr("mode", mode), onnxio.NewFloats("scales", 1, 1, 2, 3)), in: inputs(image)},
			&nodeCase{name: "up by " + mode, op: "Upsample", opset: 9, attrs: attributes(textAttr("mode", mode)), in: inputs(image, vector[float32](1, 1, 1.7, 2))},
			&nodeCase{name: "down by " + mode, op: "Resize", opset: 10, attrs: attributes(textAttr("mode", mode)), in: inputs(image, vector[float32](1, 1, 0.6, 0.4))},
			&nodeCase{name: "up by " + mode, op: "Resize", opset: 10, attrs: attributes(textAttr("mode", mode)), in: inputs(image, vector[float32](1, 1, 1.3, 2.6))})
	}
	for _, coordinates := range []string{"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"} {
		for _, nearest := range []string{"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"} {
			for _, size := range [][]int64{{2, 3, 14, 18}, {2, 3, 10, 4}, {2, 3, 3, 1}} {
				cases = append(cases, &nodeCase{name: fmt.Sprintf("%s %s to %v", coordinates, nearest, size), op: "Resize", opset: 11,
					attrs: attributes(textAttr("coordinate_transformation_mode", coordinates), textAttr("nearest_mode", nearest)),
					in:    inputs(image, none, none, i64s(size...))})
			}
		}
		for _, mode := range []string{"linear", "cubic"} {
			for _, size := range [][]int64{{2, 3, 14, 18}, {2, 3, 10, 4}, {2, 3, 3, 1}} {
				cases = append(cases, &nodeCase{name: fmt.Sprintf("%s %s to %v", coordinates, mode, size), op: "Resize", opset: 11,
					attrs: attributes(textAttr("coordinate_transformation_mode", coordinates), textAttr("mode", mode)),
					in:    inputs(image, none, none, i64s(size...))})
			}
		}
	}
	for _, mode := range []string{"linear", "cubic"} {
		for _, exclude := range []int64{0, 1} {
			cases = append(cases, &nodeCase{name: fmt.Sprintf("antialiased %s, exclude outside %d", mode, exclude), op: "Resize", opset: 18,
				attrs: attributes(textAttr("mode", mode), intAttr("antialias", 1), intAttr("exclude_outside", exclude)),
				in:    inputs(image, nil, vector[float32](1, 1, 0.45, 0.8))})
		}
		cases = append(cases, &nodeCase{name: mode + " by fractional scales", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", mode)),
			in: inputs(image, nil, vector[float32](1, 1, 1.37, 0.83))})
	}
	roi := vector[float32](0, 0, 0.2, -0.3, 1, 1, 0.9, 1.2)
	for _, mode := range []string{"nearest", "linear", "cubic"} {
		cases = append(cases, &nodeCase{name: "cropped, " + mode, op: "Resize", opset: 13,
			attrs: attributes(textAttr("mode", mode), textAttr("coordinate_transformation_mode", "tf_crop_and_resize"), floatAttr("extrapolation_value", 9)),
			in:    inputs(image, roi, nil, i64s(2, 3, 5, 11))})
	}
	return append(cases,
		&nodeCase{name: "symmetric", op: "Resize", opset: 19, attrs: attributes(textAttr("mode", "linear"), textAttr("coordinate_transformation_mode", "half_pixel_symmetric")),
			in: inputs(image, nil, vector[float32](1, 1, 1.37, 0.83))},
		&nodeCase{name: "of bytes, linear", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "linear")), in: inputs(counting[uint8](1, 2, 7, 9), nil, vector[float32](1, 1, 2.5, 0.5))},
		&nodeCase{name: "of bytes, antialiased", op: "Resize", opset: 18, attrs: attributes(textAttr("mode", "linear"), intAttr("antialias", 1)), in: inputs(counting[uint8](1, 2, 7, 9), nil, vector[float32](1, 1, 0.6, 0.5))},
		&nodeCase{name: "of bytes, antialiased cubic", op: "Resize", opset: 18, attrs: attributes(textAttr("mode", "cubic"), intAttr("antialias", 1)), in: inputs(noise[uint8](1, 2, 17, 19), nil, vector[float32](1, 1, 0.6, 1.5))},
		&nodeCase{name: "of int32, antialiased", op: "Resize", opset: 18, attrs: attributes(textAttr("mode", "linear"), intAttr("antialias", 1)), in: inputs(noise[int32](1, 2, 17, 19), nil, vector[float32](1, 1, 0.6, 0.7))},
		&nodeCase{name: "of int8, linear", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "linear")), in: inputs(noise[int8](1, 2, 7, 9), nil, vector[float32](1, 1, 2.5, 0.5))},
		&nodeCase{name: "of int32, linear", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "linear")), in: inputs(counting[int32](1, 2, 7, 9), nil, vector[float32](1, 1, 2.5, 0.5))},
		&nodeCase{name: "of halves, linear", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "linear")), in: inputs(halves(image), nil, vector[float32](1, 1, 2, 2))},
		&nodeCase{name: "of three axes, linear", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "linear")), in: inputs(floats32(1, 2, 4, 5, 6), nil, nil, i64s(1, 2, 7, 3, 12))},
		&nodeCase{name: "of the last axis last, linear", op: "Resize", opset: 13, attrs: attributes(textAttr("mode", "linear")), in: inputs(floats32(1, 5, 6, 3), nil, vector[float32](1, 2, 1.5, 1))},
		&nodeCase{name: "not larger", op: "Resize", opset: 18, attrs: attributes(textAttr("keep_aspect_ratio_policy", "not_larger"), intsAttr("axes", 2, 3), textAttr("mode", "linear")), in: inputs(image, nil, nil, i64s(16, 12))},
		&nodeCase{name: "not smaller", op: "Resize", opset: 18, attrs: attributes(textAttr("keep_aspect_ratio_policy", "not_smaller"), intsAttr("axes", 3, 2)), in: inputs(image, nil, nil, i64s(5, 12))},
	)
}

func samplingCases() []*nodeCase {
	image := floats32(2, 3, 5, 7)
	var cases []*nodeCase
	for _, padding := range []string{"zeros", "border", "reflection"} {
		for corners := range int64(2) {
			for _, mode := range []string{"linear", "nearest", "cubic"} {
				cases = append(cases, &nodeCase{name: fmt.Sprintf("%s %s corners %d", mode, padding, corners), op: "GridSample", opset: 20,
					attrs: attributes(textAttr("mode", mode), textAttr("padding_mode", padding), intAttr("align_corners", corners)), in: inputs(image, floats32(2, 6, 4, 2))})
			}
			for _, mode := range []string{"linear", "nearest"} {
				cases = append(cases, &nodeCase{name: fmt.Sprintf("of a volume %s %s corners %d", mode, padding, corners), op: "GridSample", opset: 20,
					attrs: attributes(textAttr("mode", mode), textAttr("padding_mode", padding), intAttr("align_corners", corners)), in: inputs(floats32(2, 3, 4, 5, 6), floats32(2, 3, 2, 4, 3))})
			}
			cases = append(cases, &nodeCase{name: fmt.Sprintf("bicubic %s corners %d", padding, corners), op: "GridSample", opset: 16,
				attrs: attributes(textAttr("mode", "bicubic"), textAttr("padding_mode", padding), intAttr("align_corners", corners)), in: inputs(image, floats32(2, 6, 4, 2))})
		}
	}
	rois := value.From([]float32{1, 0.5, 9, 7, -2, -1, 3, 3, 4, 4, 4.5, 4.2, 0, 0, 20, 20}, 4, 4)
	batch := i64s(0, 1, 1, 0)
	for _, mode := range []string{"avg", "max"} {
		for _, ratio := range []int64{0, 2} {
			attrs := attributes(textAttr("mode", mode), intAttr("sampling_ratio", ratio), intAttr("output_height", 3), intAttr("output_width", 2), floatAttr("spatial_scale", 0.5))
			cases = append(cases, &nodeCase{name: fmt.Sprintf("%s ratio %d", mode, ratio), op: "RoiAlign", opset: 10, attrs: attrs, in: inputs(image, rois, batch)},
				&nodeCase{name: fmt.Sprintf("half pixel %s ratio %d", mode, ratio), op: "RoiAlign", opset: 16, attrs: attrs, in: inputs(image, rois, batch)})
		}
	}
	pooled := value.From([]float32{0, 1, 0.5, 9, 7, 1, -2, -1, 3, 3, 1, 4, 4, 4.5, 4.2, 0, 20, 20, 30, 30}, 4, 5)
	boxes := value.New(onnxio.Float, 2, 60, 4)
	for i, v := range value.Of[float32](floats32(2, 60, 4)) {
		value.Of[float32](boxes)[i] = v
	}
	return append(cases,
		&nodeCase{name: "of boxes", op: "MaxRoiPool", opset: 7, attrs: attributes(intsAttr("pooled_shape", 2, 3), floatAttr("spatial_scale", 0.7)), in: inputs(image, pooled)},
		&nodeCase{name: "with ties", op: "NonMaxSuppression", opset: 10, in: inputs(boxes, ties(2, 3, 60), i64s(20), vector[float32](0.3), vector[float32](-1.5))},
		&nodeCase{name: "of centres", op: "NonMaxSuppression", opset: 11, attrs: attributes(intAttr("center_point_box", 1)), in: inputs(boxes, floats32(2, 3, 60), i64s(100), vector[float32](0.1))},
		&nodeCase{name: "without a number of boxes", op: "NonMaxSuppression", opset: 11, in: inputs(boxes, floats32(2, 3, 60))},
		&nodeCase{name: "in three dimensions", op: "AffineGrid", opset: 20, in: inputs(floats32(2, 3, 4), i64s(2, 1, 3, 4, 5))},
		&nodeCase{name: "with all attributes", op: "Col2Im", opset: 18, attrs: attributes(intsAttr("pads", 1, 0, 2, 1), intsAttr("strides", 2, 1), intsAttr("dilations", 1, 2)),
			in: inputs(floats32(2, 12, 16), i64s(5, 5), i64s(2, 2))},
		&nodeCase{name: "two lengths of words", op: "TfIdfVectorizer", opset: 9, attrs: attributes(textAttr("mode", "TFIDF"), intAttr("min_gram_length", 1), intAttr("max_gram_length", 2), intAttr("max_skip_count", 2),
			intsAttr("ngram_counts", 0, 2), intsAttr("ngram_indexes", 1, 0, 4, 2), intsAttr("pool_int64s", 1, 2, 1, 2, 2, 1), onnxio.NewFloats("weights", 1, 2, 3, 4)),
			in: inputs(value.From([]int64{1, 2, 3, 1, 2, 2, 2, 1, 1, 2, 2, 9}, 2, 6))},
	)
}
