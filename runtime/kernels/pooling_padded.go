package kernels

// Pooling of float32 planes through a padded copy, as depthwise convolution
// does it: every window is whole there, so that rows of outputs are maxima or
// sums of runs of memory.

import "math"

// paddedMax computes MaxPool if the elements are float32 and the tier is not the
// reference.
func (g *windows) paddedMax(p *Pool, x, y any) bool {
	in, isFloat := x.([]float32)
	t := current.Load()
	if !isFloat || t.reference() {
		return false
	}
	lowest := float32(math.Inf(-1))
	return g.padded(p, t, in, y.([]float32), lowest, func(s *depthwiseSums, padded, y []float32) {
		s.bias, s.lo, s.hi = lowest, lowest, -lowest
		s.plane(y, padded, t.maxima)
	})
}

// paddedAverage computes AveragePool under the same conditions.
func (g *windows) paddedAverage(p *Pool, x, y any, countIncludePad bool) bool {
	in, isFloat := x.([]float32)
	t := current.Load()
	if !isFloat || t.reference() || g.outSize == 0 {
		return false
	}
	counts := g.counts(countIncludePad)
	return g.padded(p, t, in, y.([]float32), 0, func(s *depthwiseSums, padded, y []float32) {
		none := bare(false)
		s.bias, s.lo, s.hi = 0, none.Lo, none.Hi
		s.plane(y, padded, t.depthwise)
		Div(y, y, counts)
	})
}

// counts is what each output's sum is divided by; 1 where a window is empty.
func (g *windows) counts(countIncludePad bool) []float32 {
	counts := make([]float32, g.outSize)
	walk := newWindowWalk(g)
	for o := range counts {
		n := 0
		walk.visit(o, func(_, length, _ int) { n += length })
		if countIncludePad {
			n = walk.paddedCount()
		}
		counts[o] = float32(max(n, 1))
	}
	return counts
}

// padded calls f for every plane with its padded copy, and unit weights in s. It
// returns false, having done nothing, if such copies would be too large.
func (g *windows) padded(p *Pool, t *tier, x, y []float32, padding float32, f func(s *depthwiseSums, padded, y []float32)) bool {
	if g.planes == 0 || g.outSize == 0 {
		return true
	}
	c := &Conv{Kernel: g.Kernel, Strides: g.Strides, Dilations: g.Dilations, PadsBegin: g.PadsBegin}
	layout := newPhaseLayout(c, g.in, g.out)
	if layout == nil {
		return false
	}
	weights := make([]float32, len(layout.taps))
	for i := range weights {
		weights[i] = 1
	}
	p.Do(g.planes, grainFor(g.outSize*len(weights)), func(lo, hi int) {
		buffer := borrow(layout.size)
		defer giveBack(buffer)
		for i := range *buffer {
			(*buffer)[i] = padding
		}
		s := newDepthwiseSums(layout)
		s.weights = weights
		for plane := lo; plane < hi; plane++ {
			layout.fill(t, *buffer, x[plane*g.inSize:(plane+1)*g.inSize])
			f(s, *buffer, y[plane*g.outSize:(plane+1)*g.outSize])
		}
	})
	return true
}
