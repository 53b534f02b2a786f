package ops

// Resize and Upsample. A resize is separable: for each axis a table says from which input positions, with which weights, each output
// position is made. This file reads the node and works out sizes and scales; resize_axis.go makes the
// tables, resize_pass.go applies them. Where the standard leaves rounding open it is ONNX Runtime's: coordinates
// are float32.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Resize", buildResize, 10, 11, 13, 18, 19)
	Register("", "Upsample", buildUpsample, 7, 9)
}

// resizer is what the attributes say.
type resizer struct {
	mode           string // nearest, linear or cubic
	coordinates    string
	nearest        string // how nearest rounds
	cubicA         float32
	excludeOutside bool
	extrapolation  float32
	antialias      bool
	policy         string
	axes           []int
	hasAxes        bool
}

// resizing is one run: for every axis of the input its output size, its scale and its part of the region of interest.
type resizing struct {
	*resizer
	from, to []int
	bySize   bool // the sizes were given, not the scales
	scales   []float32
	starts   []float32
	ends     []float32
	between  func(row []float32) // what is done with the result of one axis before the next
}

func buildUpsample(n *Node) (Kernel, error) {
	r := &resizer{mode: readResizeMode(n, "nearest", "linear"), coordinates: "asymmetric", nearest: "simple"}
	if n.Since < 9 {
		scales := n.Floats("scales")
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		return r.kernel(func(z *resizing, in []*value.Tensor) error { return z.byScales(scales) }), nil
	}
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	return r.kernel(func(z *resizing, in []*value.Tensor) error { return z.byInputs(in[1], nil) }), nil
}

// readResizeMode reads the mode, in which old exporters write linear as bilinear.
func readResizeMode(n *Node, known ...string) string {
	mode := n.OneOf("mode", append(known, "bilinear", "trilinear")...)
	if mode == "bilinear" || mode == "trilinear" {
		return "linear"
	}
	return mode
}

func buildResize(n *Node) (Kernel, error) {
	if n.Since < 11 {
		if err := n.CheckInputs(2, 2); err != nil {
			return nil, err
		}
		r := &resizer{mode: readResizeMode(n, "nearest", "linear"), coordinates: "asymmetric", nearest: "simple"}
		return r.kernel(func(z *resizing, in []*value.Tensor) error { return z.byInputs(in[1], nil) }), nil
	}
	if err := n.CheckInputs(1, 4); err != nil {
		return nil, err
	}
	r := &resizer{
		mode:           n.OneOf("mode", "nearest", "linear", "cubic"),
		nearest:        n.OneOf("nearest_mode", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
		cubicA:         n.Float("cubic_coeff_a", -0.75),
		excludeOutside: n.Bool("exclude_outside", false),
		extrapolation:  n.Float("extrapolation_value", 0),
	}
	// tf_half_pixel_for_nn left the standard with opset 13; exporters still write it
	known := []string{"half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize", "tf_half_pixel_for_nn"}
	if n.Since >= 19 {
		known = append(known, "half_pixel_symmetric")
	}
	r.coordinates = n.OneOf("coordinate_transformation_mode", known...)
	if n.Since >= 18 {
		r.antialias = n.Bool("antialias", false)
		r.policy = n.OneOf("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller")
		r.axes, r.hasAxes = n.Ints("axes"), n.Has("axes")
	}
	crops := r.coordinates == "tf_crop_and_resize"
	return r.kernel(func(z *resizing, in []*value.Tensor) error {
		at := func(i int) *value.Tensor {
			if i < len(in) && in[i] != nil && in[i].Len() > 0 {
				return in[i]
			}
			return nil
		}
		if crops {
			if err := z.regionOf(at(1)); err != nil {
				return err
			}
		}
		return z.byInputs(at(2), at(3))
	}), nil
}

// kernel returns a kernel whose sizes are worked out by measure.
func (r *resizer) kernel(measure func(z *resizing, in []*value.Tensor) error) Kernel {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[0]
		z := &resizing{resizer: r, from: t.Shape, to: slices.Clone(t.Shape), scales: slices.Repeat([]float32{1}, len(t.Shape))}
		if err := measure(z, in); err != nil {
			return nil, fmt.Errorf("%v: %w", t, err)
		}
		if r.mode == "nearest" {
			return oneOutput(z.nearestNeighbours(c, t))
		}
		return oneOutput(z.interpolated(c, t))
	})
}

// resized lists the axes that scales, sizes and the region speak of.
func (z *resizing) resized() ([]int, error) {
	if z.hasAxes {
		return axesIn(z.axes, len(z.from))
	}
	all := make([]int, len(z.from))
	for d := range all {
		all[d] = d
	}
	return all, nil
}

func (z *resizing) byInputs(scales, sizes *value.Tensor) error {
	switch {
	case (scales == nil) == (sizes == nil):
		return fmt.Errorf("it needs either scales or sizes")
	case scales != nil:
		v, err := floatElements[float32](scales)
		if err != nil {
			return fmt.Errorf("scales: %w", err)
		}
		return z.byScales(v)
	}
	v, err := intsOf(sizes, "the sizes")
	if err != nil {
		return err
	}
	return z.bySizes(v)
}

func (z *resizing) byScales(scales []float32) error {
	axes, err := z.resized()
	if err != nil {
		return err
	}
	if len(scales) != len(axes) {
		return fmt.Errorf("scales %v for %d axes", scales, len(axes))
	}
	for i, d := range axes {
		to := math.Floor(float64(scales[i] * float32(z.from[d])))
		if !(scales[i] > 0) || to > math.MaxInt32 {
			return fmt.Errorf("scale %v for axis %d", scales[i], d)
		}
		z.to[d], z.scales[d] = int(to), scales[i]
	}
	return nil
}

func (z *resizing) bySizes(sizes []int) error {
	axes, err := z.resized()
	if err != nil {
		return err
	}
	if len(sizes) != len(axes) {
		return fmt.Errorf("sizes %v for %d axes", sizes, len(axes))
	}
	z.bySize = true
	for i, d := range axes {
		if sizes[i] < 0 || z.from[d] == 0 && sizes[i] > 0 {
			return fmt.Errorf("size %d for axis %d", sizes[i], d)
		}
		z.to[d] = sizes[i]
		if z.from[d] > 0 {
			z.scales[d] = float32(sizes[i]) / float32(z.from[d])
		}
	}
	if z.policy == "" || z.policy == "stretch" || len(axes) == 0 {
		return nil
	}
	scale := z.scales[axes[0]]
	for _, d := range axes[1:] {
		if z.policy == "not_larger" {
			scale = min(scale, z.scales[d])
		} else {
			scale = max(scale, z.scales[d])
		}
	}
	for _, d := range axes {
		z.to[d], z.scales[d] = int(math.Round(float64(scale*float32(z.from[d])))), scale
	}
	return nil
}

// regionOf reads the region of interest: all starts, then all ends, in units of the axis's length.
func (z *resizing) regionOf(roi *value.Tensor) error {
	axes, err := z.resized()
	if err != nil {
		return err
	}
	if roi == nil || roi.Len() != 2*len(axes) {
		return fmt.Errorf("the region of interest is %v, want %d numbers", roi, 2*len(axes))
	}
	v, err := floatElements[float32](roi)
	if err != nil {
		return fmt.Errorf("region of interest: %w", err)
	}
	z.starts, z.ends = make([]float32, len(z.from)), slices.Repeat([]float32{1}, len(z.from))
	for i, d := range axes {
		z.starts[d], z.ends[d] = v[i], v[len(axes)+i]
	}
	return nil
}

// nearestNeighbours is a lookup with one table per axis, for elements of any type.
func (z *resizing) nearestNeighbours(c *Context, t *value.Tensor) (*value.Tensor, error) {
	out, err := c.New(t.Type, z.to...)
	if err != nil || out.Len() == 0 {
		return out, err
	}
	tables, same := make([][]int, len(z.from)), true
	for d, stride := range stridesOf(z.from) {
		if z.from[d] == 0 {
			return nil, fmt.Errorf("%v: axis %d is empty", t, d)
		}
		tables[d] = z.nearestTable(d)
		for i, at := range tables[d] {
			same = same && at == i
			tables[d][i] = max(at*stride, -1)
		}
	}
	if same && slices.Equal(z.from, z.to) {
		return t.View(z.to...), nil
	}
	if z.starts != nil && z.extrapolation != 0 {
		fill, err := scalarLike(c, t, float64(z.extrapolation))
		if err != nil {
			return nil, err
		}
		moverOf(out).fill(c.Pool, moverOf(fill))
	}
	moverOf(out).lookup(c.Pool, z.to, moverOf(t), tables)
	return out, nil
}

// scalarLike returns a number as a tensor of t's type.
func scalarLike(c *Context, t *value.Tensor, v float64) (*value.Tensor, error) {
	if t.Type.IsFloat() {
		o, err := newFloatOutput[float64](c, t.Type)
		if err != nil {
			return nil, err
		}
		o.data[0] = v
		return o.done(), nil
	}
	out, err := c.New(t.Type)
	if err != nil {
		return nil, err
	}
	return out, storeIntegers(out, []float64{v}, math.Trunc)
}

// interpolated is linear or cubic interpolation. Integers are interpolated in float32, and cut off, or with antialiasing rounded.
func (z *resizing) interpolated(c *Context, t *value.Tensor) (*value.Tensor, error) {
	for d, n := range z.from {
		if n == 0 && z.to[d] > 0 {
			return nil, fmt.Errorf("%v: axis %d is empty", t, d)
		}
	}
	switch {
	case t.Type == onnxio.Double:
		return interpolateFloats[float64](c, z, t)
	case t.Type.IsFloat():
		return interpolateFloats[float32](c, z, t)
	}
	out, err := c.New(t.Type, z.to...)
	if err != nil || out.Len() == 0 {
		return out, err
	}
	return out, z.interpolateIntegers(c, t, out)
}

func interpolateFloats[T kernels.Float](c *Context, z *resizing, t *value.Tensor) (*value.Tensor, error) {
	x, err := floatElements[T](t)
	if err != nil {
		return nil, err
	}
	y, err := newFloatOutput[T](c, t.Type, z.to...)
	if err != nil {
		return nil, err
	}
	if len(y.data) > 0 {
		resizePasses(c, z, x, y.data)
	}
	return y.done(), nil
}

// interpolateIntegers is interpolation in float32. Antialiasing rounds after every axis, as image libraries do.
func (z *resizing) interpolateIntegers(c *Context, t, out *value.Tensor) error {
	wide, ok := t.Floats()
	if !ok {
		return fmt.Errorf("interpolation of %v is not defined", t)
	}
	y := make([]float32, out.Len())
	round := math.Trunc
	if z.antialias {
		round = math.Round
		if lo, hi := byteRange(t.Type); lo < hi {
			round = func(v float64) float64 { return min(max(math.Floor(v+0.5), lo), hi) }
		}
		z.between = func(row []float32) {
			for i, v := range row {
				row[i] = float32(round(float64(v)))
			}
		}
	}
	resizePasses(c, z, convertFloats[float32](wide), y)
	return storeIntegers(out, convertFloats[float64](y), round)
}

// byteRange returns the smallest and the largest value of a type of 8 bits; equal for others.
func byteRange(t onnxio.DataType) (lo, hi float64) {
	switch t {
	case onnxio.Uint8:
		return 0, math.MaxUint8
	case onnxio.Int8:
		return math.MinInt8, math.MaxInt8
	}
	return 0, 0
}

// storeIntegers rounds numbers into an integer tensor; those that do not fit become its largest or smallest.
func storeIntegers(out *value.Tensor, vs []float64, round func(float64) float64) error {
	switch d := out.Data.(type) {
	case []uint8:
		storeRounded(d, vs, round, 0, math.MaxUint8)
	case []int8:
		storeRounded(d, vs, round, math.MinInt8, math.MaxInt8)
	case []uint16:
		storeRounded(d, vs, round, 0, math.MaxUint16)
	case []int16:
		storeRounded(d, vs, round, math.MinInt16, math.MaxInt16)
	case []uint32:
		storeRounded(d, vs, round, 0, math.MaxUint32)
	case []int32:
		storeRounded(d, vs, round, math.MinInt32, math.MaxInt32)
	case []int64:
		storeRounded(d, vs, round, math.MinInt64, 1<<63-1024)
	case []uint64:
		storeRounded(d, vs, round, 0, 1<<64-2048)
	default:
		return fmt.Errorf("a number cannot be stored in %v", out)
	}
	return nil
}

func storeRounded[T kernels.Integer](dst []T, vs []float64, round func(float64) float64, lo, hi float64) {
	for i, v := range vs {
		if v = round(v); v != v {
			v = 0
		}
		dst[i] = T(min(max(v, lo), hi))
	}
}
