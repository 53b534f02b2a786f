package kernels

// Convolution by its definition: for each output the sum over channels and
// kernel positions, in float32, in that order. All other paths are tested
// against it.

type referencePath struct{ weights []float32 }

func (r *referencePath) run(p *Pool, g convGeometry) {
	p.Do(g.n*g.conv.OutChannels, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			referencePlane(&g, r.weights, i/g.conv.OutChannels, i%g.conv.OutChannels)
			at := i * g.outSize
			g.apply(g.y[at:at+g.outSize], i%g.conv.OutChannels, 0, at)
		}
	})
}

// ConvReference computes a convolution directly: see Conv for the layout. It is
// slow, and the measure for all other implementations.
func ConvReference(c Conv, weights, bias, x []float32, n int, inSpatial []int, y []float32, act Activation) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	plan := &ConvPlan{conv: c, tier: tiers[0]}
	if len(bias) != 0 {
		plan.bias = bias
	}
	plan.path = &referencePath{weights: weights}
	return plan.Run(nil, x, n, inSpatial, y, act)
}

func referencePlane(g *convGeometry, weights []float32, image, channel int) {
	c := g.conv
	perGroup := c.InChannels / c.Groups
	first := channel / (c.OutChannels / c.Groups) * perGroup
	taps := volume(c.Kernel)
	y := g.y[(image*c.OutChannels+channel)*g.outSize:]
	outAt, tapAt := make([]int, len(g.out)), make([]int, len(g.out))
	type term struct{ tap, input int }
	terms := make([]term, 0, taps)
	for o := range g.outSize {
		unravel(o, g.out, outAt)
		terms = terms[:0]
		for tap := range taps {
			unravel(tap, c.Kernel, tapAt)
			if i, inside := c.inputAt(outAt, tapAt, g.in); inside {
				terms = append(terms, term{tap, i})
			}
		}
		var sum float32
		for ic := range perGroup {
			x := g.x[(image*c.InChannels+first+ic)*g.inSize:]
			w := weights[(channel*perGroup+ic)*taps:]
			for _, t := range terms {
				sum += x[t.input] * w[t.tap]
			}
		}
		y[o] = sum
	}
}

// inputAt is the flat position that a kernel position sees from an output
// position, and whether it lies inside the input.
func (c *Conv) inputAt(out, tap, in []int) (flat int, inside bool) {
	for d := range in {
		i := out[d]*c.Strides[d] - c.PadsBegin[d] + tap[d]*c.Dilations[d]
		if i < 0 || i >= in[d] {
			return 0, false
		}
		flat = flat*in[d] + i
	}
	return flat, true
}

// unravel writes the coordinates of a flat row-major position.
func unravel(flat int, shape, at []int) {
	for d := len(shape) - 1; d >= 0; d-- {
		at[d] = flat % shape[d]
		flat /= shape[d]
	}
}
