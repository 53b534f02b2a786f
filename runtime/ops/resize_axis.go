package ops

// The tables of a resize, one axis at a time: where an output position lies in the input, by each coordinate
// transformation of the standard, and the input positions and weights that make it.

import "math"

// coordinate returns the position in the input, in samples, of output position i. The arithmetic is float32, and in ONNX
// Runtime's order, since the rounding of nearest depends on the last bit.
func (z *resizing) coordinate(d, i int) float32 {
	x, scale := float32(i), z.scales[d]
	from, to := float32(z.from[d]), float32(z.to[d])
	if scale == 1 && z.from[d] == z.to[d] && z.coordinates != "tf_crop_and_resize" {
		return x
	}
	switch z.coordinates {
	case "half_pixel":
		return (x+0.5)/scale - 0.5
	case "half_pixel_symmetric": // the part of a pixel that the size was rounded by is cut off at both ends
		adjustment := to / (scale * from)
		return from/2*(1-adjustment) + (x+0.5)/scale - 0.5
	case "pytorch_half_pixel":
		if z.to[d] > 1 {
			return (x+0.5)/scale - 0.5
		}
		return 0
	case "align_corners":
		if z.to[d] == 1 {
			return 0
		}
		return x * (from - 1) / (z.length(d) - 1)
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / scale
	case "tf_crop_and_resize":
		start, end := z.starts[d], z.ends[d]
		if z.to[d] > 1 {
			return start*(from-1) + x*(end-start)*(from-1)/(to-1)
		}
		return 0.5 * (start + end) * (from - 1)
	}
	return x / scale // asymmetric
}

// length is an axis's output size before it was rounded down. ONNX's own cases align corners with it, where ONNX Runtime
// takes the rounded one; only scales that do not divide show the difference.
func (z *resizing) length(d int) float32 {
	if z.bySize {
		return float32(z.to[d])
	}
	return z.scales[d] * float32(z.from[d])
}

// outside reports whether a coordinate lies outside of the axis and is to be extrapolated.
func (z *resizing) outside(d int, x float32) bool {
	return z.starts != nil && !(x >= 0 && x <= float32(z.from[d]-1))
}

// nearestTable returns for every output position of an axis the input position, -1 where it is extrapolated.
func (z *resizing) nearestTable(d int) []int {
	table := make([]int, z.to[d])
	for i := range table {
		x := z.coordinate(d, i)
		if z.outside(d, x) {
			table[i] = -1
			continue
		}
		r := min(max(z.round(float64(x), z.scales[d] < 1), 0), float64(z.from[d]-1))
		table[i] = int(r)
	}
	return table
}

func (z *resizing) round(x float64, shrinks bool) float64 {
	switch z.nearest {
	case "floor":
		return math.Floor(x)
	case "ceil":
		return math.Ceil(x)
	case "round_prefer_ceil":
		return math.Floor(x + 0.5)
	case "simple": // before opset 11 there was no choice
		if shrinks {
			return math.Ceil(x)
		}
		return math.Trunc(x)
	}
	return math.Ceil(x - 0.5) // round_prefer_floor
}

// axisTaps says how the positions of one axis are interpolated: each output position is the weighted sum of count
// input positions.
type axisTaps struct {
	axis    int
	count   int
	at      []int     // count input positions for every output position
	weights []float64 // and as many weights
	outside []bool    // output positions that are extrapolated; nil if there are none
}

// taps makes the table of one axis; nil where the axis stays as it is.
func (z *resizing) taps(d int) *axisTaps {
	if z.from[d] == z.to[d] && z.scales[d] == 1 && z.starts == nil {
		return nil
	}
	reach, kernel := 1.0, linearKernel
	if z.mode == "cubic" {
		reach, kernel = 2, cubicKernel(float64(z.cubicA))
	}
	stretch := 1.0
	if z.antialias && z.scales[d] < 1 { // the filter covers as much of the input as an output sample does
		stretch = float64(z.scales[d])
	}
	first := int(math.Floor(-reach/stretch)) + 1
	t := &axisTaps{axis: d, count: 2 - 2*first}
	if z.starts != nil {
		t.outside = make([]bool, z.to[d])
	}
	t.at, t.weights = make([]int, t.count*z.to[d]), make([]float64, t.count*z.to[d])
	for i := range z.to[d] {
		x := z.coordinate(d, i)
		if z.outside(d, x) {
			t.outside[i] = true
		}
		t.place(i, float64(x), first, stretch, kernel, z.from[d], z.excludeOutside)
	}
	return t
}

// place computes the taps of output position i, which lies at x. Positions outside of the axis read its border,
// or, with exclude, have no weight.
func (t *axisTaps) place(i int, x float64, first int, stretch float64, kernel func(float64) float64, size int, exclude bool) {
	x = min(max(x, -float64(t.count)), float64(size+t.count)) // far outside it is all border
	base := math.Floor(x)
	at, weights := t.at[i*t.count:(i+1)*t.count], t.weights[i*t.count:(i+1)*t.count]
	sum := 0.0
	for k := range at {
		p := int(base) + first + k
		w := kernel(stretch * (float64(p) - x))
		if exclude && (p < 0 || p >= size) {
			w = 0
		}
		at[k], weights[k] = min(max(p, 0), size-1), w
		sum += w
	}
	if sum != 0 {
		for k := range weights {
			weights[k] /= sum
		}
	}
}

func linearKernel(x float64) float64 { return max(1-math.Abs(x), 0) }

// cubicKernel is the convolution kernel of R. Keys, "Cubic Convolution Interpolation for Digital Image Processing" (1981).
func cubicKernel(a float64) func(float64) float64 {
	return func(x float64) float64 {
		x = math.Abs(x)
		switch {
		case x <= 1:
			return ((a+2)*x-(a+3))*x*x + 1
		case x < 2:
			return ((a*x-5*a)*x+8*a)*x - 4*a
		}
		return 0
	}
}
