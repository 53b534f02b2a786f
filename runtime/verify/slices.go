package verify

import (
	"math"

	"onnxprune/onnxio"
)

// Many tensors hold unlike quantities side by side: boxes in pixels and scores in 0..1, loud channels and quiet ones. A share of the range of the whole
// would hide the quiet ones. So a tensor is taken apart along one axis, and each slice has a range of its own.
//
// The axis is the one whose slices differ most in range, among those with a moderate number of slices of a few elements each: that is the axis
// with a meaning. Places (pixels, anchors, rows) have about the same range everywhere, channels, coordinates and scores have not. Ties go
// to the first axis. Everything follows from the reference's elements.

const (
	maxSlices   = 1024 // more than the channels of usual networks, fewer than their anchors
	minSliceLen = 4    // elements: the range of fewer says nothing
	zeroDeficit = 24   // bits that a slice of zeros counts as smaller than the largest: float32's precision
)

// slicing takes a row-major tensor apart along an axis.
type slicing struct {
	axis  int // -1: the whole is one slice
	n     int // slices
	inner int // elements next to one another in one slice

}

func whole(elements int) slicing { return slicing{-1, 1, max(1, elements)} }

// sliced chooses the axis of a tensor of a shape.
func sliced[T float32 | float64](shape []int, elements []T) slicing {
	best, deficit := whole(len(elements)), 0.0
	inner := len(elements)
	for axis, n := range shape {
		if n == 0 {
			return best
		}
		inner /= n
		if n < 2 || n > maxSlices || len(elements)/n < minSliceLen {
			continue
		}
		s := slicing{axis, n, inner}
		if d := spread(ranges(s, elements)); d > deficit {
			best, deficit = s, d
		}
	}
	return best
}

// ranges returns the largest finite magnitude of every slice.
func ranges[T float32 | float64](s slicing, elements []T) []float64 {
	out := make([]float64, s.n)
	for at, k := 0, 0; at < len(elements); at += s.inner {
		var top T
		for _, v := range elements[at:min(at+s.inner, len(elements))] {
			if v < 0 {
				v = -v
			}
			if v > top && float64(v) <= math.MaxFloat64 {
				top = v
			}
		}
		out[k] = max(out[k], float64(top))
		if k++; k == s.n {
			k = 0
		}
	}
	return out
}

// spread is by how many bits slices fall short of the largest, in the mean.
func spread(ranges []float64) float64 {
	top, sum := 0.0, 0.0
	for _, r := range ranges {
		top = max(top, r)
	}
	if top == 0 {
		return 0
	}
	for _, r := range ranges {
		sum += min(zeroDeficit, math.Log2(top/max(r, math.SmallestNonzeroFloat64)))
	}
	return sum / float64(len(ranges))
}

// step is the distance of neighbouring numbers of a type near v. Two sums that differ in their last bits may be rounded to neighbours. Where
// a type is so coarse that this matters, it is 0 for all others.
func step(t onnxio.DataType, v float64) float64 {
	bits, least := 0, 0
	switch t {
	case onnxio.Float16:
		bits, least = 10, -14
	case onnxio.BFloat16:
		bits, least = 7, -126
	default:
		return 0
	}
	_, exp := math.Frexp(v) // v is in [2^(exp-1), 2^exp)
	return math.Ldexp(1, max(exp-1, least)-bits)
}
