package kernels

// Convolution of 8-bit integers, exact, on the float32 kernels. How many products
// float32 adds exactly depends on the weights: as long as 255 times the sum of their
// absolute values is at most 2^24, every partial sum is, in any order. Real weights
// are small, and most layers are one convolution; the others are cut into parts
// of their terms, whose sums are added as 32-bit integers.

import "fmt"

// exactWeight is how much absolute weight one output may sum in float32 when the
// inputs are differences of 8-bit numbers.
const exactWeight = 1 << 24 / 255

// ConvIntPlan is a convolution of whole numbers with its weights packed.
type ConvIntPlan struct {
	conv  Conv
	parts []convIntPart
}

// convIntPart is some input channels of each group.
type convIntPart struct {
	first, count int
	plan         *ConvPlan
}

// NewConvInt packs weights less their zero points: wZero has no element (zero),
// one, or one per output channel.
func NewConvInt[W int8 | uint8](c Conv, weights, wZero []W) (*ConvIntPlan, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	c.Exact = true
	perGroup, taps := c.InChannels/c.Groups, volume(c.Kernel)
	terms := perGroup * taps
	switch {
	case len(weights) != c.OutChannels*terms:
		return nil, fmt.Errorf("integer convolution: %d weights, want %d", len(weights), c.OutChannels*terms)
	case len(wZero) > 1 && len(wZero) != c.OutChannels:
		return nil, fmt.Errorf("integer convolution: %d zero points for %d output channels", len(wZero), c.OutChannels)
	}
	wide := make([]float32, len(weights))
	for oc := range c.OutChannels {
		Widen(wide[oc*terms:(oc+1)*terms], weights[oc*terms:], zeroPoint(wZero, oc))
	}
	plan := &ConvIntPlan{conv: c}
	for lo := 0; lo < terms; {
		hi := exactEnd(wide, terms, taps, lo)
		part, err := newConvIntPart(c, wide, lo, hi)
		if err != nil {
			return nil, err
		}
		plan.parts = append(plan.parts, part)
		lo = hi
	}
	return plan, nil
}

// exactEnd is how far the terms from lo on can be summed exactly for every output
// channel: whole input channels if at least one fits.
func exactEnd(wide []float32, terms, taps, lo int) int {
	end := terms
	for row := 0; row < len(wide); row += terms {
		var sum float32
		for t := lo; t < end; t++ {
			sum += max(wide[row+t], -wide[row+t])
			if sum > exactWeight {
				end = t
			}
		}
	}
	if whole := end - end%taps; whole > lo {
		return whole
	}
	return end
}

// newConvIntPart packs the terms lo to hi: the channels that they lie in, with other
// terms' weights zero.
func newConvIntPart(c Conv, wide []float32, lo, hi int) (convIntPart, error) {
	taps := volume(c.Kernel)
	terms := c.InChannels / c.Groups * taps
	first := lo / taps
	part := convIntPart{first: first, count: (hi+taps-1)/taps - first}
	weights := make([]float32, c.OutChannels*part.count*taps)
	for oc := range c.OutChannels {
		copy(weights[oc*part.count*taps+lo-first*taps:], wide[oc*terms+lo:oc*terms+hi])
	}
	c.InChannels = part.count * c.Groups
	var err error
	part.plan, err = NewConv(c, weights, nil)
	return part, err
}

// Run computes y (n x OutChannels x OutSpatial) from x (n x InChannels x inSpatial),
// whole numbers from -255 to 255: 8-bit numbers less their zero point.
func (c *ConvIntPlan) Run(p *Pool, x []float32, n int, inSpatial []int, y []int32) error {
	out, err := c.conv.OutSpatial(inSpatial)
	if err != nil {
		return err
	}
	size := volume(inSpatial)
	switch {
	case n < 0 || len(x) != n*c.conv.InChannels*size:
		return fmt.Errorf("integer convolution: input of %d elements, want %d", len(x), n*c.conv.InChannels*size)
	case len(y) != n*c.conv.OutChannels*volume(out):
		return fmt.Errorf("integer convolution: output of %d elements, want %d", len(y), n*c.conv.OutChannels*volume(out))
	}
	if len(c.parts) == 0 {
		clear(y)
	}
	sums := borrow(len(y))
	defer giveBack(sums)
	for i, part := range c.parts {
		input, done := part.input(&c.conv, x, n, size)
		err := part.plan.Run(p, input, n, inSpatial, *sums, Activation{})
		done()
		if err != nil {
			return err
		}
		p.Do(len(y), sumGrain, func(lo, hi int) {
			if i == 0 {
				setIntegers(y[lo:hi], (*sums)[lo:hi])
			} else {
				addIntegers(y[lo:hi], (*sums)[lo:hi])
			}
		})
	}
	return nil
}

// RunConvInt is Run for 8-bit numbers, from which zero is taken away.
func RunConvInt[X int8 | uint8](c *ConvIntPlan, p *Pool, x []X, zero X, n int, inSpatial []int, y []int32) error {
	plain := borrow(len(x))
	defer giveBack(plain)
	p.Do(len(x), sumGrain, func(lo, hi int) { Widen((*plain)[lo:hi], x[lo:hi], int32(zero)) })
	return c.Run(p, *plain, n, inSpatial, y)
}

// sumGrain is how many elements are worth handing to another thread.
const sumGrain = 1 << 15

// input is the part's channels of x, a copy unless they lie together. done ends its use.
func (part *convIntPart) input(c *Conv, x []float32, n, size int) (channels []float32, done func()) {
	perGroup, length := c.InChannels/c.Groups, part.count*size
	switch {
	case part.count == perGroup:
		return x, func() {}
	case n*c.Groups == 1:
		return x[part.first*size:][:length], func() {}
	}
	b := borrow(n * c.Groups * length)
	for i := range n * c.Groups {
		copy((*b)[i*length:(i+1)*length], x[(i*perGroup+part.first)*size:])
	}
	return *b, func() { giveBack(b) }
}
