package kernels

// Depthwise convolution: each output channel sees one input channel. There is
// no matrix in it, so it is computed directly: the plane is copied into a padded
// one, where every tap of a row of outputs is a plain run of memory, and rows of
// outputs are sums of weighted runs. With a stride of s the copy is split into s
// planes of every s-th column, so that runs stay contiguous.

// depthwisePath keeps the weights as they came, one kernel per output channel.
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
	taps := volume(c.Kernel)
	multiplier := c.OutChannels / c.Groups
	p.Do(g.n*c.Groups, grainFor(g.outSize*taps*multiplier), func(lo, hi int) {
		buffer := borrow(layout.size)
		defer giveBack(buffer)
		clear(*buffer)
		at := make([]int, len(g.in))
		for i := lo; i < hi; i++ {
			layout.fill(*buffer, g.x[i*g.inSize:(i+1)*g.inSize], at)
			for m := range multiplier {
				oc := i*multiplier + m
				channel := oc % c.OutChannels
				var bias float32
				if g.rowBias != nil {
					bias = g.rowBias[channel]
				}
				y := g.y[oc*g.outSize : (oc+1)*g.outSize]
				d.plane(y, *buffer, layout, d.weights[channel*taps:(channel+1)*taps], bias, at)
				if g.residual != nil {
					Add(y, y, g.residual[oc*g.outSize:(oc+1)*g.outSize])
				}
				g.act.Apply(y)
			}
		}
	})
}

func (d *depthwisePath) plane(y, padded []float32, l *phaseLayout, weights []float32, bias float32, at []int) {
	width := l.out[len(l.out)-1]
	for row := 0; row*width < len(y); row++ {
		unravel(row, l.out[:len(l.out)-1], at[:len(l.out)-1])
		weightedRuns(y[row*width:(row+1)*width], padded[l.rowStart(at):], l.taps, weights, bias)
	}
}

// weightedRuns sets y[i] = bias + sum over t of weights[t] * x[taps[t]+i].
func weightedRuns(y, x []float32, taps []int, weights []float32, bias float32) {
	for i := range y {
		y[i] = bias
	}
	for t, w := range weights {
		run := x[taps[t]:]
		run = run[:len(y)]
		for i, v := range run {
			y[i] += w * v
		}
	}
}

// phaseLayout is the padded copy of a plane: rows of the input with the padding
// around them, each row split by column modulo stride.
type phaseLayout struct {
	conv    *Conv
	in, out []int
	rows    []int // padded sizes of all axes but the last
	phase   int   // length of one phase of a row
	size    int
	taps    []int // place of each tap relative to an output row's start
}

func newPhaseLayout(c *Conv, in, out []int) *phaseLayout {
	last := len(in) - 1
	l := &phaseLayout{conv: c, in: in, out: out, rows: make([]int, last)}
	span := func(d int) int { return max(0, (out[d]-1)*c.Strides[d]+reach(c.Kernel[d], c.Dilations[d])) }
	stride := c.Strides[last]
	l.phase = (span(last) + stride - 1) / stride
	l.size = l.phase * stride
	for d := range l.rows {
		l.rows[d] = span(d)
		l.size *= l.rows[d]
	}
	at := make([]int, len(in))
	for tap := range volume(c.Kernel) {
		unravel(tap, c.Kernel, at)
		flat := 0
		for d, size := range l.rows {
			flat = flat*size + at[d]*c.Dilations[d]
		}
		column := at[last] * c.Dilations[last]
		l.taps = append(l.taps, (flat*stride+column%stride)*l.phase+column/stride)
	}
	return l
}

// rowStart is where the first output of a row, given by its coordinates without
// the last, finds its first tap.
func (l *phaseLayout) rowStart(at []int) int {
	flat := 0
	for d, size := range l.rows {
		flat = flat*size + at[d]*l.conv.Strides[d]
	}
	return flat * l.conv.Strides[len(l.rows)] * l.phase
}

// fill copies a plane into its place. What is padding is never written: it
// stays zero from plane to plane.
func (l *phaseLayout) fill(padded, plane []float32, at []int) {
	last := len(l.rows)
	width, stride := l.in[last], l.conv.Strides[last]
	shift := l.conv.PadsBegin[last]
	lo, hi := max(0, -shift), min(width, l.phase*stride-shift)
	for row := range volume(l.rows) {
		unravel(row, l.rows, at[:last])
		from, inside := 0, true
		for d := range l.rows {
			i := at[d] - l.conv.PadsBegin[d]
			inside = inside && i >= 0 && i < l.in[d]
			from = from*l.in[d] + i
		}
		if !inside || hi <= lo {
			continue
		}
		dst := padded[row*stride*l.phase : (row+1)*stride*l.phase]
		src := plane[from*width : (from+1)*width]
		if stride == 1 {
			copy(dst[lo+shift:], src[lo:hi])
			continue
		}
		for i := lo; i < hi; i++ {
			column := i + shift
			dst[column%stride*l.phase+column/stride] = src[i]
		}
	}
}
