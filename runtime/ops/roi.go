package ops

// RoiAlign and MaxRoiPool: fixed-size cut-outs of a feature map for boxes of any size.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "RoiAlign", buildRoiAlign, 10, 16, 22)
	Register("", "MaxRoiPool", buildMaxRoiPool, 1, 22)
}

type roiAlign struct {
	height, width int // of the output
	ratio         int // samples per output bin and axis; 0: as many as the bin has pixels
	scale         float64
	halfPixel     bool
	max           bool
}

func buildRoiAlign(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	r := &roiAlign{
		height: int(n.Int("output_height", 1)),
		width:  int(n.Int("output_width", 1)),
		ratio:  int(n.Int("sampling_ratio", 0)),
		scale:  float64(n.Float("spatial_scale", 1)),
		max:    n.OneOf("mode", "avg", "max") == "max",
	}
	if n.Since >= 16 {
		r.halfPixel = n.OneOf("coordinate_transformation_mode", "half_pixel", "output_half_pixel") == "half_pixel"
	}
	if r.height < 0 || r.width < 0 || r.ratio < 0 {
		return nil, fmt.Errorf("output %d x %d with sampling ratio %d", r.height, r.width, r.ratio)
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if in[0].Type == onnxio.Double {
			return oneOutput(roiAligned[float64](c, r, in))
		}
		return oneOutput(roiAligned[float32](c, r, in))
	}), nil
}

func roiAligned[T kernels.Float](c *Context, r *roiAlign, in []*value.Tensor) (*value.Tensor, error) {
	x, rois := in[0], in[1]
	if len(x.Shape) != 4 || len(rois.Shape) != 2 || rois.Shape[1] != 4 {
		return nil, fmt.Errorf("regions %v of %v", rois, x)
	}
	batch, err := intsOf(in[2], "the batch indices")
	if err != nil {
		return nil, err
	}
	if len(batch) != rois.Shape[0] {
		return nil, fmt.Errorf("%d batch indices for regions %v", len(batch), rois)
	}
	for _, b := range batch {
		if b < 0 || b >= x.Shape[0] {
			return nil, fmt.Errorf("batch index %d is outside of %v", b, x)
		}
	}
	src, err := floatElements[T](x)
	if err != nil {
		return nil, err
	}
	boxes, err := floatElements[float64](rois)
	if err != nil {
		return nil, fmt.Errorf("regions: %w", err)
	}
	channels, h, w := x.Shape[1], x.Shape[2], x.Shape[3]
	out, err := newFloatOutput[T](c, x.Type, len(batch), channels, r.height, r.width)
	if err != nil {
		return nil, err
	}
	bins := r.height * r.width
	for i := range batch {
		if err := r.checkSamples(boxes[4*i:4*i+4], h, w); err != nil {
			return nil, fmt.Errorf("region %d of %v: %w", i, rois, err)
		}
	}
	c.Pool.Do(len(batch), 1, func(lo, hi int) {
		var points []roiPoint
		for i := lo; i < hi; i++ {
			for bin := range bins {
				points = r.points(points[:0], boxes[4*i:4*i+4], bin, h, w)
				for ch := range channels {
					plane := src[(batch[i]*channels+ch)*h*w:][:h*w]
					out.data[(i*channels+ch)*bins+bin] = pooledPoints(plane, points, r.max)
				}
			}
		}
	})
	return out.done(), nil
}

// roiPoint is one sample: four pixels and their weights, all zero outside of the map.
type roiPoint struct {
	at      [4]int
	weights [4]float64
}

// frame returns a box's corner and size on the map, and the samples of a bin.
func (r *roiAlign) frame(box []float64) (y0, x0, binH, binW float64, gridH, gridW int) {
	offset := 0.0
	if r.halfPixel {
		offset = 0.5
	}
	x0, y0 = box[0]*r.scale-offset, box[1]*r.scale-offset
	width, height := box[2]*r.scale-offset-x0, box[3]*r.scale-offset-y0
	if !r.halfPixel { // boxes are at least one pixel large
		width, height = max(width, 1), max(height, 1)
	}
	binH, binW = height/float64(r.height), width/float64(r.width)
	gridH, gridW = r.ratio, r.ratio
	if r.ratio == 0 {
		gridH, gridW = int(math.Ceil(min(binH, 1<<30))), int(math.Ceil(min(binW, 1<<30)))
	}
	if gridH <= 0 || gridW <= 0 {
		gridH, gridW = 0, 0
	}
	return y0, x0, binH, binW, gridH, gridW
}

// maxRoiSamples bounds the work that one bin of a box may ask for.
const maxRoiSamples = 1 << 22

func (r *roiAlign) checkSamples(box []float64, h, w int) error {
	if !finite(box) {
		return fmt.Errorf("box %v is not finite", box)
	}
	if _, _, _, _, gridH, gridW := r.frame(box); gridH > 0 && gridW > maxRoiSamples/gridH {
		return fmt.Errorf("box %v takes %d x %d samples per bin on a map of %d x %d", box, gridH, gridW, h, w)
	}
	return nil
}

func finite(vs []float64) bool {
	for _, v := range vs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// points appends the samples of one bin of a box.
func (r *roiAlign) points(points []roiPoint, box []float64, bin, h, w int) []roiPoint {
	y0, x0, binH, binW, gridH, gridW := r.frame(box)
	by, bx := float64(bin/r.width), float64(bin%r.width)
	for iy := range gridH {
		y := y0 + by*binH + (float64(iy)+0.5)*binH/float64(gridH)
		for ix := range gridW {
			x := x0 + bx*binW + (float64(ix)+0.5)*binW/float64(gridW)
			points = append(points, bilinearPoint(y, x, h, w))
		}
	}
	return points
}

func bilinearPoint(y, x float64, h, w int) (p roiPoint) {
	if y < -1 || y > float64(h) || x < -1 || x > float64(w) || h == 0 || w == 0 {
		return p
	}
	place := func(v float64, n int) (lo, hi int, f float64) {
		v = max(v, 0)
		if lo = int(v); lo >= n-1 {
			return n - 1, n - 1, 0
		}
		return lo, lo + 1, v - float64(lo)
	}
	y0, y1, fy := place(y, h)
	x0, x1, fx := place(x, w)
	p.at = [4]int{y0*w + x0, y0*w + x1, y1*w + x0, y1*w + x1}
	p.weights = [4]float64{(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}
	return p
}

// pooledPoints averages the samples of a bin. Its maximum is, in the standard's own definition, that of the weighted
// pixels, not of the interpolated samples.
func pooledPoints[T kernels.Float](plane []T, points []roiPoint, largest bool) T {
	if len(points) == 0 || len(plane) == 0 {
		return 0
	}
	sum, top := 0.0, math.Inf(-1)
	for i := range points {
		p := &points[i]
		for k, at := range p.at {
			v := p.weights[k] * float64(plane[at])
			sum += v
			top = max(top, v)
		}
	}
	if largest {
		return T(top)
	}
	return T(sum / float64(len(points)))
}

func buildMaxRoiPool(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	size, scale := n.Ints("pooled_shape"), float64(n.Float("spatial_scale", 1))
	if len(size) != 2 || size[0] < 1 || size[1] < 1 {
		return nil, fmt.Errorf("attribute pooled_shape is %v, want two sizes", size)
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if in[0].Type == onnxio.Double {
			return oneOutput(roiPooled[float64](c, in, size, scale))
		}
		return oneOutput(roiPooled[float32](c, in, size, scale))
	}), nil
}

func roiPooled[T kernels.Float](c *Context, in []*value.Tensor, size []int, scale float64) (*value.Tensor, error) {
	x, rois := in[0], in[1]
	if len(x.Shape) != 4 || len(rois.Shape) != 2 || rois.Shape[1] != 5 {
		return nil, fmt.Errorf("regions %v of %v", rois, x)
	}
	src, err := floatElements[T](x)
	if err != nil {
		return nil, err
	}
	boxes, err := floatElements[float64](rois)
	if err != nil {
		return nil, fmt.Errorf("regions: %w", err)
	}
	channels, h, w := x.Shape[1], x.Shape[2], x.Shape[3]
	out, err := newFloatOutput[T](c, x.Type, rois.Shape[0], channels, size[0], size[1])
	if err != nil {
		return nil, err
	}
	for i := range rois.Shape[0] {
		box := boxes[5*i : 5*i+5]
		b := int(box[0])
		if b < 0 || b >= x.Shape[0] || !finite(box) {
			return nil, fmt.Errorf("region %v is not one of %v", box, x)
		}
		rows, cols := roiBins(box[2]*scale, box[4]*scale, size[0], h), roiBins(box[1]*scale, box[3]*scale, size[1], w)
		for ch := range channels {
			plane := src[(b*channels+ch)*h*w:][:h*w]
			dst := out.data[(i*channels+ch)*size[0]*size[1]:]
			for r, row := range rows {
				for k, col := range cols {
					dst[r*size[1]+k] = largestIn(plane, w, row, col)
				}
			}
		}
	}
	return out.done(), nil
}

// roiBins cuts the pixels from start to end, both included, into bins that may overlap by a pixel.
func roiBins(start, end float64, bins, n int) [][2]int {
	first := math.Round(start)
	step := max(math.Round(end)-first+1, 1) / float64(bins)
	clamp := func(v float64) int { return int(min(max(v+first, 0), float64(n))) }
	out := make([][2]int, bins)
	for i := range out {
		out[i] = [2]int{clamp(math.Floor(float64(i) * step)), clamp(math.Ceil(float64(i+1) * step))}
	}
	return out
}

// largestIn is the maximum of a rectangle, zero when it is empty.
func largestIn[T kernels.Float](plane []T, w int, rows, cols [2]int) T {
	if rows[1] <= rows[0] || cols[1] <= cols[0] {
		return 0
	}
	top := plane[rows[0]*w+cols[0]]
	for r := rows[0]; r < rows[1]; r++ {
		for _, v := range plane[r*w+cols[0] : r*w+cols[1]] {
			top = max(top, v)
		}
	}
	return top
}
