package ops

import (
	"testing"

	"onnxprune/onnxio"
)

// movingBenchmarks are the moves that detectors spend time on, at their usual sizes, on one thread.
var movingBenchmarks = []nodeCase{
	{name: "ResizeLinear2x", op: "Resize", opset: 13, attrs: []*onnxio.Attribute{textAttr("mode", "linear")}, in: inputs(floats32(1, 64, 80, 80), nil, vector[float32](1, 1, 2, 2))},
	{name: "ResizeLinearHalf", op: "Resize", opset: 13, attrs: []*onnxio.Attribute{textAttr("mode", "linear")}, in: inputs(floats32(1, 64, 160, 160), nil, vector[float32](1, 1, 0.5, 0.5))},
	{name: "ResizeNearest2x", op: "Resize", opset: 13, attrs: []*onnxio.Attribute{textAttr("coordinate_transformation_mode", "asymmetric"), textAttr("nearest_mode", "floor")},
		in: inputs(floats32(1, 256, 40, 40), nil, vector[float32](1, 1, 2, 2))},
	{name: "ResizeCubic2x", op: "Resize", opset: 13, attrs: []*onnxio.Attribute{textAttr("mode", "cubic")}, in: inputs(floats32(1, 16, 80, 80), nil, vector[float32](1, 1, 2, 2))},
	{name: "TransposeToNHWC", op: "Transpose", opset: 13, attrs: []*onnxio.Attribute{intsAttr("perm", 0, 2, 3, 1)}, in: inputs(floats32(1, 128, 80, 80))},
	{name: "TransposeHeads", op: "Transpose", opset: 13, attrs: []*onnxio.Attribute{intsAttr("perm", 0, 2, 1, 3)}, in: inputs(floats32(1, 400, 8, 64))},
	{name: "ConcatChannels", op: "Concat", opset: 13, attrs: []*onnxio.Attribute{intAttr("axis", 1)}, in: inputs(floats32(1, 128, 80, 80), floats32(1, 128, 80, 80))},
	{name: "ConcatLast", op: "Concat", opset: 13, attrs: []*onnxio.Attribute{intAttr("axis", -1)}, in: inputs(floats32(1, 8400, 4), floats32(1, 8400, 80))},
	{name: "SliceEveryOther", op: "Slice", opset: 13, in: inputs(floats32(1, 3, 640, 640), i64s(0, 0), i64s(9999, 9999), i64s(2, 3), i64s(2, 2))},
	{name: "SliceChannels", op: "Slice", opset: 13, in: inputs(floats32(1, 128, 80, 80), i64s(0), i64s(64), i64s(1))},
	{name: "PadImage", op: "Pad", opset: 13, in: inputs(floats32(1, 64, 80, 80), i64s(0, 0, 1, 1, 0, 0, 1, 1))},
	{name: "TopK300", op: "TopK", opset: 11, in: inputs(floats32(1, 8400*80), i64s(300)), outputs: 2},
	{name: "GatherRows", op: "Gather", opset: 13, in: inputs(floats32(8400, 84), counting[int64](300))},
	{name: "GridSample", op: "GridSample", opset: 16, in: inputs(floats32(1, 64, 40, 40), floats32(1, 100, 100, 2))},
	{name: "ExpandRows", op: "Expand", opset: 13, in: inputs(floats32(1, 64, 1, 1), i64s(1, 64, 80, 80))},
	{name: "DepthToSpace", op: "DepthToSpace", opset: 13, attrs: []*onnxio.Attribute{intAttr("blocksize", 2)}, in: inputs(floats32(1, 256, 80, 80))},
}

func BenchmarkMovingOperators(b *testing.B) {
	for _, c := range movingBenchmarks {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.run(nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
