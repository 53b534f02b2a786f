package testmodels

import (
	"math"

	"onnxprune/onnxio"
)

// This file is the arithmetic on boxes of the R-CNNs: anchors, decoding, clipping, suppression. Boxes are x0, y0, x1, y1 in
// pixels, and a box from 3 to 3 is one pixel wide, as in PaddleDetection's box_coder without normalisation.

// anchors returns the anchors [H*W*15,4] of every cell of the features: sizes 32 to 512 at three ratios of
// height to width.
func (r *rcnn) anchors() string {
	b := r.b
	shape := b.Shape(r.features)
	h, w := b.Gather(shape, b.constant(2), 0), b.Gather(shape, b.constant(3), 0)
	grid := b.Concat(0, b.Unsqueeze(h, 0), b.Unsqueeze(w, 0))
	along := func(count string, dims ...int64) string { // pixel where each cell starts
		steps := b.Node("Range", []string{b.constant(float32(0)), b.Cast(count, onnxio.Float), b.constant(float32(1))})
		return b.Node("Expand", []string{b.Reshape(b.Mul(steps, b.constant(float32(16))), dims...), grid})
	}
	x, y := along(w, 1, -1), along(h, -1, 1)
	cells := b.Reshape(b.stack(-1, x, y, x, y), -1, 1, 4)
	return b.Reshape(b.Add(cells, b.Constant(onnxio.NewFloats32("", []int64{1, 15, 4}, baseAnchors()))), -1, 4)
}

// baseAnchors are the anchors of the first cell, as Paddle's anchor_generator computes them.
func baseAnchors() []float32 {
	var out []float32
	const stride = 16.0
	for _, ratio := range []float64{0.5, 1, 2} {
		for _, size := range []float64{32, 64, 128, 256, 512} {
			baseW := math.Round(math.Sqrt(stride * stride / ratio))
			baseH := math.Round(baseW * ratio)
			w, h := size/stride*baseW, size/stride*baseH
			center := (stride - 1) / 2
			out = append(out, float32(center-(w-1)/2), float32(center-(h-1)/2), float32(center+(w-1)/2), float32(center+(h-1)/2))
		}
	}
	return out
}

// coordinate takes one of x0, y0, x1, y1 along the last axis.
func (r *rcnn) coordinate(boxes string, axis, i int) string {
	return r.b.Gather(boxes, r.b.constant(i), axis)
}

// extent is the width (i = 0) or height (1) of boxes [K,4].
func (r *rcnn) extent(boxes string, i int) string {
	return r.b.Add(r.b.Sub(r.coordinate(boxes, 1, i+2), r.coordinate(boxes, 1, i)), r.b.constant(float32(1)))
}

// decode moves and stretches boxes [K,4] by deltas, whose last axis is 4: [K,4], or [K,C,4] with axis 2.
func (r *rcnn) decode(boxes, deltas string, axis int, variance [4]float32) string {
	b := r.b
	half, one := b.constant(float32(0.5)), b.constant(float32(1))
	limit := b.constant(float32(math.Log(1000.0 / 16))) // of a box's growth
	var low, high [2]string
	for i := range 2 {
		extent := r.extent(boxes, i)
		center := b.Add(r.coordinate(boxes, 1, i), b.Mul(extent, half))
		if axis == 2 {
			extent, center = b.Unsqueeze(extent, 1), b.Unsqueeze(center, 1)
		}
		shift := b.Mul(r.coordinate(deltas, axis, i), b.constant(variance[i]))
		growth := b.Mul(r.coordinate(deltas, axis, i+2), b.constant(variance[i+2]))
		center = b.Add(center, b.Mul(shift, extent))
		growth = b.Node("Exp", []string{b.Node("Clip", []string{growth, "", limit})})
		reach := b.Mul(b.Mul(growth, extent), half)
		low[i], high[i] = b.Sub(center, reach), b.Sub(b.Add(center, reach), one)
	}
	return b.stack(-1, low[0], low[1], high[0], high[1])
}

// clip moves the corners into the picture, whose height and width are the first elements of size [1,3].
func (r *rcnn) clip(boxes, size string, axis int) string {
	b := r.b
	row := b.Gather(size, b.constant(0), 0)
	zero := b.constant(float32(0))
	last := func(i int) string { return b.Sub(b.Gather(row, b.constant(i), 0), b.constant(float32(1))) }
	right, bottom := last(1), last(0)
	corner := func(i int, limit string) string {
		return b.Node("Max", []string{b.Node("Min", []string{r.coordinate(boxes, axis, i), limit}), zero})
	}
	return b.stack(-1, corner(0, right), corner(1, bottom), corner(2, right), corner(3, bottom))
}

// nonZero returns the indices of what is true in a vector.
func (r *rcnn) nonZero(mask string) string {
	return r.b.Squeeze(r.b.Transpose(r.b.Node("NonZero", []string{mask}), 1, 0), 1)
}

// suppress returns the indices of the boxes [K,4] that non-maximum suppression keeps, at most keep.
func (r *rcnn) suppress(boxes, scores string, threshold float32, keep int) string {
	b := r.b
	chosen := b.Node("NonMaxSuppression", []string{b.Unsqueeze(boxes, 0), b.Unsqueeze(scores, 0, 1),
		b.constant([]int64{math.MaxInt64}), b.constant([]float32{threshold})})
	return b.Slice(b.Squeeze(b.Gather(chosen, b.constant([]int{2}), 1), 1), 0, 0, int64(keep))
}

// detections turns class scores and box changes of the regions into "bbox" [K,6]. Suppression is by class: boxes of
// different classes are moved apart for it.
func (r *rcnn) detections(regions, class, deltas string) string {
	b := r.b
	scale := b.Gather(b.Gather(r.info, b.constant(0), 0), b.constant(2), 0)
	boxes := r.decode(b.Div(regions, scale), b.Reshape(deltas, -1, rcnnClasses, 4), 2, [4]float32{0.1, 0.1, 0.2, 0.2})
	boxes = r.clip(boxes, "im_shape", 2)

	labels := make([]int64, rcnnClasses-1)
	for i := range labels {
		labels[i] = int64(i + 1)
	}
	scores := b.Reshape(b.Slice(class, 1, 1, math.MaxInt64), -1)
	boxes = b.Reshape(b.Slice(boxes, 1, 1, math.MaxInt64), -1, 4)
	count := b.Concat(0, b.Slice(b.Shape(class), 0, 0, 1), b.constant([]int{rcnnClasses - 1}))
	label := b.Reshape(b.Node("Expand", []string{b.Constant(onnxio.NewInts64("", []int64{1, rcnnClasses - 1}, labels)), count}), -1)

	likely := r.nonZero(b.Node("Greater", []string{scores, b.constant(float32(0.05))}))
	scores, boxes, label = b.Gather(scores, likely, 0), b.Gather(boxes, likely, 0), b.Cast(b.Gather(label, likely, 0), onnxio.Float)
	apart := b.Add(boxes, b.Unsqueeze(b.Mul(label, b.constant(float32(4096))), 1))
	kept := r.suppress(apart, scores, 0.5, r.o.Keep)
	b.NodeTo("Concat", []string{b.Unsqueeze(b.Gather(label, kept, 0), 1), b.Unsqueeze(b.Gather(scores, kept, 0), 1), b.Gather(boxes, kept, 0)},
		[]string{"bbox"}, Attrs{"axis": 1})
	return "bbox"
}
