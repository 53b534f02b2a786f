package ops

// Operators along one axis. A tensor is seen as outer x n x inner; a lane is the n elements along the axis. Functions of
// a lane get it contiguous: where inner is more than one, a few neighbouring lanes are gathered at a time, so that each
// cache line is read once.

import "onnxprune/runtime/value"

// lanesAtOnce is how many neighbouring lanes are gathered together: a cache line of float32.
const lanesAtOnce = 16

// axisLanes is a tensor cut along an axis.
type axisLanes struct{ outer, n, inner int }

// lanesAlong cuts a shape along an axis, which may be negative. A scalar is one lane of one element.
func lanesAlong(shape []int, axis int) (axisLanes, error) {
	if len(shape) == 0 {
		shape = []int{1}
	}
	a, err := axisIn(axis, len(shape))
	if err != nil {
		return axisLanes{}, err
	}
	outer, inner := splitAt(shape, a)
	return axisLanes{outer, shape[a], inner}, nil
}

// lanesFrom coerces a shape to two dimensions: what is before the axis, and a lane of all that follows.
func lanesFrom(shape []int, axis int) (axisLanes, error) {
	if axis == len(shape) {
		return axisLanes{value.Count(shape), 1, 1}, nil
	}
	a, err := axisIn(axis, len(shape))
	if err != nil {
		return axisLanes{}, err
	}
	return axisLanes{value.Count(shape[:a]), value.Count(shape[a:]), 1}, nil
}

// grain is how many lanes are worth a thread where one element costs so many nanoseconds.
func (a axisLanes) grain(cost int) int { return max(1, elementGrain/max(1, a.n*cost)) }

// readLanes calls f for every lane of x. Lanes are counted in the order of the output without the axis.
func readLanes[T any](c *Context, a axisLanes, cost int, x []T, f func(lane int, x []T)) {
	c.Pool.Do(a.outer*a.inner, a.grain(cost), func(lo, hi int) {
		if a.inner == 1 {
			for l := lo; l < hi; l++ {
				f(l, x[l*a.n:(l+1)*a.n])
			}
			return
		}
		block := make([]T, min(lanesAtOnce, a.inner)*a.n)
		a.blocks(lo, hi, func(lane, at, width int) {
			gatherLanes(block, x, at, a.n, a.inner, width)
			for i := range width {
				f(lane+i, block[i*a.n:(i+1)*a.n])
			}
		})
	})
}

// mapLanes fills dst, laid out as x, with f of every lane.
func mapLanes[R, T any](c *Context, a axisLanes, cost int, dst []R, x []T, f func(dst []R, x []T)) {
	c.Pool.Do(a.outer*a.inner, a.grain(cost), func(lo, hi int) {
		if a.inner == 1 {
			for l := lo; l < hi; l++ {
				f(dst[l*a.n:(l+1)*a.n], x[l*a.n:(l+1)*a.n])
			}
			return
		}
		block := make([]T, min(lanesAtOnce, a.inner)*a.n)
		result := make([]R, a.n)
		a.blocks(lo, hi, func(_, at, width int) {
			gatherLanes(block, x, at, a.n, a.inner, width)
			for i := range width {
				f(result, block[i*a.n:(i+1)*a.n])
				for r, v := range result {
					dst[at+i+r*a.inner] = v
				}
			}
		})
	})
}

// blocks cuts lanes lo..hi into groups of neighbours. at is where the first element of the group's first lane lies.
func (a axisLanes) blocks(lo, hi int, f func(lane, at, width int)) {
	for l := lo; l < hi; {
		o, j := l/a.inner, l%a.inner
		width := min(lanesAtOnce, a.inner-j, hi-l)
		f(l, o*a.n*a.inner+j, width)
		l += width
	}
}

// gatherLanes copies width lanes of n elements, which are inner apart, one behind the other.
func gatherLanes[T any](block, x []T, at, n, inner, width int) {
	for r := range n {
		to := r
		for _, v := range x[at+r*inner : at+r*inner+width] {
			block[to] = v
			to += n
		}
	}
}
