package ops

// The passes of a resize: one axis after the other, each a weighted sum of rows. Axes that shrink come first and from
// the outside, axes that grow last and from the inside, so that the arithmetic happens on the smallest tensors.

import (
	"slices"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// resizePasses interpolates x into y.
func resizePasses[T kernels.Float](c *Context, z *resizing, x, y []T) {
	var order []*axisTaps
	for d := range z.from {
		if t := z.taps(d); t != nil {
			order = append(order, t)
		}
	}
	slices.SortStableFunc(order, func(a, b *axisTaps) int {
		if z.between != nil { // rounding shows the order: the last axis comes first
			return b.axis - a.axis
		}
		growsA, growsB := z.to[a.axis] > z.from[a.axis], z.to[b.axis] > z.from[b.axis]
		switch {
		case growsA != growsB && growsA:
			return 1
		case growsA != growsB:
			return -1
		case growsA:
			return b.axis - a.axis
		}
		return a.axis - b.axis
	})
	if len(order) == 0 {
		copy(y, x)
		return
	}
	// the axes before the first resized one are planes, each resized by itself while it is in the cache
	lead := len(z.from)
	for _, t := range order {
		lead = min(lead, t.axis)
	}
	planes := value.Count(z.from[:lead])
	in, out := value.Count(z.from[lead:]), value.Count(z.to[lead:])
	if planes < c.Pool.Threads() {
		for i := range planes {
			resizePlane(c.Pool, z, order, lead, x[i*in:(i+1)*in], y[i*out:(i+1)*out], make([][]T, len(order)))
		}
		return
	}
	c.Pool.Do(planes, moveGrain/(8*out)+1, func(lo, hi int) {
		scratch := make([][]T, len(order))
		for i := lo; i < hi; i++ {
			resizePlane(nil, z, order, lead, x[i*in:(i+1)*in], y[i*out:(i+1)*out], scratch)
		}
	})
}

// resizePlane runs all passes over what lies behind the leading axes. scratch keeps the tensors between two passes.
func resizePlane[T kernels.Float](p *kernels.Pool, z *resizing, order []*axisTaps, lead int, x, y []T, scratch [][]T) {
	shape := slices.Clone(z.from[lead:])
	for k, t := range order {
		axis := t.axis - lead
		outer, inner := splitAt(shape, axis)
		from := shape[axis]
		shape[axis] = z.to[t.axis]
		dst := y
		if k < len(order)-1 {
			if scratch[k] == nil {
				scratch[k] = make([]T, value.Count(shape))
			}
			dst = scratch[k]
		}
		resizeAxis(p, t, x, dst, outer, from, shape[axis], inner, T(z.extrapolation))
		if row, ok := any(dst).([]float32); ok && z.between != nil {
			z.between(row)
		}
		x = dst
	}
}

// resizeAxis applies one axis's table to a tensor seen as [outer, from, inner].
func resizeAxis[T kernels.Float](p *kernels.Pool, t *axisTaps, x, y []T, outer, from, to, inner int, extrapolation T) {
	weights := convertFloats[T](t.weights)
	if inner == 1 {
		p.Do(outer, moveGrain/(4*to)+1, func(lo, hi int) {
			for o := lo; o < hi; o++ {
				resizeRow(t, weights, x[o*from:(o+1)*from], y[o*to:(o+1)*to], extrapolation)
			}
		})
		return
	}
	p.Do(outer*to, moveGrain/(4*inner)+1, func(lo, hi int) {
		scratch := make([]T, inner)
		for i := lo; i < hi; i++ {
			o, k := i/to, i%to
			row := y[i*inner : (i+1)*inner]
			if t.outside != nil && t.outside[k] {
				for j := range row {
					row[j] = extrapolation
				}
				continue
			}
			blendRows(row, scratch, x[o*from*inner:(o+1)*from*inner], t.at[k*t.count:(k+1)*t.count], weights[k*t.count:(k+1)*t.count])
		}
	})
}

// resizeRow interpolates within one row.
func resizeRow[T kernels.Float](t *axisTaps, weights, x, y []T, extrapolation T) {
	if t.count == 2 {
		at, w := t.at, weights[:2*len(y)]
		at = at[:2*len(y)]
		for i := range y {
			y[i] = x[at[2*i]]*w[2*i] + x[at[2*i+1]]*w[2*i+1]
		}
	} else {
		for i := range y {
			var sum T
			for k := i * t.count; k < (i+1)*t.count; k++ {
				sum += x[t.at[k]] * weights[k]
			}
			y[i] = sum
		}
	}
	for i, out := range t.outside {
		if out {
			y[i] = extrapolation
		}
	}
}

// blendRows sets dst to the weighted sum of rows of x, which are as long as dst. scratch is as long, too.
func blendRows[T kernels.Float](dst, scratch, x []T, at []int, weights []T) {
	n := len(dst)
	if n < 16 { // pixels with their channels last
		for i := range dst {
			var sum T
			for k, w := range weights {
				sum += w * x[at[k]*n+i]
			}
			dst[i] = sum
		}
		return
	}
	empty := true
	for k, w := range weights {
		row := x[at[k]*n : (at[k]+1)*n]
		switch {
		case w == 0:
		case empty:
			scaleRow(dst, row, w)
			empty = false
		default:
			kernels.MulScalar(scratch, row, w)
			kernels.Add(dst, dst, scratch)
		}
	}
	if empty {
		clear(dst)
	}
}

func scaleRow[T kernels.Float](dst, src []T, s T) {
	if s == 1 {
		copy(dst, src)
		return
	}
	kernels.MulScalar(dst, src, s)
}
