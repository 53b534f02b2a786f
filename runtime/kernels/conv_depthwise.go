package kernels

// Depthwise convolution: each output channel sees one input channel. There is
// no matrix in it, so it is computed directly: the plane is copied into a padded
// one, where every tap of a row of outputs is a plain run of memory, and rows of
// outputs are sums of weighted runs. With a stride of s the copy is split into s
// planes of every s-th column, so that runs stay contiguous.

// depthwisePath has the weights in the order in which they came, one kernel per
// output channel.
type depthwisePath struct {
	tier    *tier
	weights []float32
}

func newDepthwisePath(plan *ConvPlan, weights []float32) *depthwisePath {
	return &depthwisePath{tier: plan.tier, weights: weights}
}

func (d *depthwisePath) run(p *Pool, g convGeometry) {
	c := g.conv
	layout := newPhaseLayout(c, g.in, g.out)
	if layout == nil {
		(&referencePath{weights: d.weights}).run(p, g)
		return
	}
	taps := volume(c.Kernel)
	multiplier := c.OutChannels / c.Groups
	p.Do(g.n*c.Groups, grainFor(g.outSize*taps*multiplier), func(lo, hi int) {
		buffer := borrow(layout.size)
		defer giveBack(buffer)
		clear(*buffer)
		sums := newDepthwiseSums(layout)
		for i := lo; i < hi; i++ {
			layout.fill(d.tier, *buffer, g.x[i*g.inSize:(i+1)*g.inSize])
			for m := range multiplier {
				oc := i*multiplier + m
				channel := oc % c.OutChannels
				var bias float32
				if g.rowBias != nil {
					bias = g.rowBias[channel]
				}
				y := g.y[oc*g.outSize : (oc+1)*g.outSize]
				sums.weights, sums.bias = d.weights[channel*taps:(channel+1)*taps], bias
				if g.fits() {
					sums.lo, sums.hi, _ = g.act.bounds()
					sums.plane(y, *buffer, d.tier.depthwise)
					continue
				}
				none := bare(false)
				sums.lo, sums.hi = none.Lo, none.Hi
				sums.plane(y, *buffer, d.tier.depthwise)
				if g.residual != nil {
					Add(y, y, g.residual[oc*g.outSize:(oc+1)*g.outSize])
				}
				g.act.Apply(y)
			}
		}
	})
}

// plane computes one output plane within the bounds. Along the last axis it is
// cut into strips as wide as a vector; a strip's vectors lie one below the other
// where there are rows, and side by side where there is only one.
func (s *depthwiseSums) plane(y, padded []float32, strip depthwiseStrip) {
	size := s.rows * s.width
	for i := 0; i*size < len(y); i++ {
		start := 0
		if outer := len(s.out) - 2; outer > 0 {
			unravel(i, s.out[:outer], s.at[:outer])
			start = s.rowStart(s.at)
		}
		s.y, s.x = y[i*size:(i+1)*size], padded[start:]
		strip(s)
	}
}

// depthwiseSums is rows of outputs, width long and adjoining in y; those of x
// are pitch apart. y = bias + sum over t of weights[t] * x[taps[t]+...], kept
// within lo and hi.
type depthwiseSums struct {
	*phaseLayout
	y, x         []float32
	weights      []float32
	bias, lo, hi float32
	rows, width  int
	pitch        int
	at           []int // coordinates of the first row
}

func newDepthwiseSums(l *phaseLayout) *depthwiseSums {
	last := len(l.out) - 1
	s := &depthwiseSums{phaseLayout: l, width: l.out[last], rows: 1, at: make([]int, last+1)}
	if last > 0 {
		s.rows = l.out[last-1]
		s.pitch = l.conv.Strides[last-1] * l.rowSize
	}
	return s
}

// depthwiseStrip computes such sums. It may read, not use, up to a vector more
// of x.
type depthwiseStrip func(s *depthwiseSums)

func stripGo(s *depthwiseSums) {
	for row := range s.rows {
		y, x := s.y[row*s.width:(row+1)*s.width], s.x[row*s.pitch:]
		for i := range y {
			y[i] = s.bias
		}
		for t, w := range s.weights {
			run := x[s.taps[t]:]
			run = run[:len(y)]
			for i, v := range run {
				y[i] += w * v
			}
		}
		ClipSlice(y, y, s.lo, s.hi)
	}
}

// stripMaximaGo sets y to the maxima of bias and the taps.
func stripMaximaGo(s *depthwiseSums) {
	for row := range s.rows {
		y, x := s.y[row*s.width:(row+1)*s.width], s.x[row*s.pitch:]
		for i := range y {
			y[i] = s.bias
		}
		for _, t := range s.taps {
			run := x[t:]
			run = run[:len(y)]
			for i, v := range run {
				if v > y[i] {
					y[i] = v
				}
			}
		}
	}
}
