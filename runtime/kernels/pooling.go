package kernels

// Pooling over windows of any rank. The caller gives the output's size, as
// rounding up ("ceil mode") and automatic padding are decided there; a window
// that sticks out of the input sees only what is inside.

import (
	"fmt"
	"math"
)

// Window is the shape of a pooling window and how it moves. Strides and
// Dilations may be nil (1), the pads too (0).
type Window struct {
	Kernel, Strides, Dilations []int
	PadsBegin, PadsEnd         []int
}

// MaxPool sets y (planes x out) to the maxima over windows of x (planes x in).
// If indices is not nil it receives the position of each maximum, the first of
// equals in window order, counted over the whole of x in row-major order; with
// columnMajor, positions within a plane count column-major, the first spatial
// axis fastest. NaN is never a maximum. A window with nothing else inside gives
// -Inf, or the least integer, and the position of its first element, or -1.
func MaxPool[T Number](p *Pool, w Window, x []T, planes int, in, out []int, y []T, indices []int64, columnMajor bool) error {
	g, err := newWindows(w, len(x), planes, in, out, len(y))
	if err != nil {
		return err
	}
	if indices != nil && len(indices) != len(y) {
		return fmt.Errorf("max pool: %d indices for %d outputs", len(indices), len(y))
	}
	if indices == nil && g.paddedMax(p, x, y) {
		return nil
	}
	lowest := lowestOf[T]()
	g.each(p, func(plane int, walk *windowWalk) {
		px, py := x[plane*g.inSize:(plane+1)*g.inSize], y[plane*g.outSize:(plane+1)*g.outSize]
		for o := range py {
			best, where := lowest, -1
			walk.visit(o, func(from, length, step int) {
				for i := from; length > 0; i, length = i+step, length-1 {
					if v := px[i]; v > best {
						best, where = v, i
					} else if where < 0 {
						where = i
					}
				}
			})
			py[o] = best
			if indices != nil {
				indices[plane*g.outSize+o] = g.index(plane, where, columnMajor)
			}
		}
	})
	return nil
}

// lowestOf is the identity of max: -Inf, or the least integer.
func lowestOf[T Number]() T {
	var zero T
	switch any(zero).(type) {
	case float32:
		return any(float32(math.Inf(-1))).(T)
	case float64:
		return any(math.Inf(-1)).(T)
	case int8:
		return any(int8(math.MinInt8)).(T)
	case int16:
		return any(int16(math.MinInt16)).(T)
	case int32:
		return any(int32(math.MinInt32)).(T)
	case int64:
		return any(int64(math.MinInt64)).(T)
	}
	return zero
}

// AveragePool sets y (planes x out) to the means over windows of x (planes x
// in). A mean counts the positions inside the input, or with countIncludePad
// also those in the padding; what lies even beyond the padding never counts.
func AveragePool[T Float](p *Pool, w Window, x []T, planes int, in, out []int, y []T, countIncludePad bool) error {
	g, err := newWindows(w, len(x), planes, in, out, len(y))
	if err != nil {
		return err
	}
	if g.paddedAverage(p, x, y, countIncludePad) {
		return nil
	}
	g.each(p, func(plane int, walk *windowWalk) {
		px, py := x[plane*g.inSize:(plane+1)*g.inSize], y[plane*g.outSize:(plane+1)*g.outSize]
		for o := range py {
			var sum T
			inside := 0
			walk.visit(o, func(from, length, step int) {
				inside += length
				for i := from; length > 0; i, length = i+step, length-1 {
					sum += px[i]
				}
			})
			if countIncludePad {
				inside = walk.paddedCount()
			}
			py[o] = 0
			if inside > 0 {
				py[o] = sum / T(inside)
			}
		}
	})
	return nil
}

// LpPool sets y (planes x out) to (sum |x|^order)^(1/order) over windows of x
// (planes x in).
func LpPool[T Float](p *Pool, w Window, order int, x []T, planes int, in, out []int, y []T) error {
	g, err := newWindows(w, len(x), planes, in, out, len(y))
	if err != nil {
		return err
	}
	if order < 1 {
		return fmt.Errorf("lp pool: norm of order %d", order)
	}
	g.each(p, func(plane int, walk *windowWalk) {
		px, py := x[plane*g.inSize:(plane+1)*g.inSize], y[plane*g.outSize:(plane+1)*g.outSize]
		for o := range py {
			var sum float64
			walk.visit(o, func(from, length, step int) {
				for i := from; length > 0; i, length = i+step, length-1 {
					sum += power(float64(px[i]), order)
				}
			})
			py[o] = T(root(sum, order))
		}
	})
	return nil
}

func power(v float64, order int) float64 {
	switch order {
	case 1:
		return math.Abs(v)
	case 2:
		return v * v
	}
	return math.Pow(math.Abs(v), float64(order))
}

func root(sum float64, order int) float64 {
	switch order {
	case 1:
		return sum
	case 2:
		return math.Sqrt(sum)
	}
	return math.Pow(sum, 1/float64(order))
}

// GlobalAveragePool sets each of y's elements to the mean of size elements of x.
func GlobalAveragePool[T Float](p *Pool, x []T, planes, size int, y []T) {
	p.Do(planes, grainFor(size), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			y[i] = T(Sum(x[i*size:(i+1)*size]) / float64(size))
		}
	})
}

// GlobalMaxPool sets each of y's elements to the maximum of size elements of x.
func GlobalMaxPool[T Number](p *Pool, x []T, planes, size int, y []T) {
	lowest := lowestOf[T]()
	floats, isFloat := any(x).([]float32)
	p.Do(planes, grainFor(size), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if isFloat {
				y[i] = T(MaxOf(floats[i*size : (i+1)*size]))
				continue
			}
			best := lowest
			for _, v := range x[i*size : (i+1)*size] {
				if v > best {
					best = v
				}
			}
			y[i] = best
		}
	})
}

// GlobalLpPool sets each of y's elements to the norm of size elements of x.
func GlobalLpPool[T Float](p *Pool, order int, x []T, planes, size int, y []T) {
	p.Do(planes, grainFor(size), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			var sum float64
			for _, v := range x[i*size : (i+1)*size] {
				sum += power(float64(v), order)
			}
			y[i] = T(root(sum, order))
		}
	})
}
