package kernels

// Convolution of any spatial rank, with groups, strides, dilations and
// asymmetric padding. A plan holds what depends on the weights alone; running
// it chooses nothing any more but how to cut the work.
//
// Paths: depthwise layers are computed directly, row by row; 1x1 layers are a
// matrix product on the input as it lies; all others are a matrix product whose
// right factor, the input's patches, is packed tile by tile as it is needed
// (implicit GEMM), so that the memory used does not grow with the map.

import (
	"fmt"
	"slices"
)

// Conv says what convolution is meant. Kernel has one length per spatial axis
// and gives the rank. Of the other slices each has the same length, or is nil:
// strides and dilations of 1, pads of 0. Negative pads crop.
//
// Weights are OutChannels x InChannels/Groups x Kernel.
type Conv struct {
	Kernel, Strides, Dilations []int
	PadsBegin, PadsEnd         []int
	Groups                     int // 0 means 1
	InChannels, OutChannels    int
	// Exact rules out transforms that trade accuracy for speed (Winograd):
	// each output is then the plain sum of its products in float32.
	Exact bool
}

// withDefaults returns the convolution with every slice filled in, or what is
// wrong with it.
func (c Conv) withDefaults() (Conv, error) {
	rank := len(c.Kernel)
	c.Strides = filled(c.Strides, rank, 1)
	c.Dilations = filled(c.Dilations, rank, 1)
	c.PadsBegin = filled(c.PadsBegin, rank, 0)
	c.PadsEnd = filled(c.PadsEnd, rank, 0)
	if c.Groups == 0 {
		c.Groups = 1
	}
	switch {
	case len(c.Strides) != rank || len(c.Dilations) != rank || len(c.PadsBegin) != rank || len(c.PadsEnd) != rank:
		return c, fmt.Errorf("convolution: kernel %v, strides %v, dilations %v, pads %v %v differ in length",
			c.Kernel, c.Strides, c.Dilations, c.PadsBegin, c.PadsEnd)
	case slices.ContainsFunc(c.Kernel, negative):
		return c, fmt.Errorf("convolution: negative kernel %v", c.Kernel)
	case slices.ContainsFunc(c.Strides, notPositive) || slices.ContainsFunc(c.Dilations, notPositive):
		return c, fmt.Errorf("convolution: strides %v and dilations %v must be positive", c.Strides, c.Dilations)
	case c.Groups < 1 || c.InChannels < 0 || c.OutChannels < 0:
		return c, fmt.Errorf("convolution: %d channels to %d in %d groups", c.InChannels, c.OutChannels, c.Groups)
	case c.InChannels%c.Groups != 0 || c.OutChannels%c.Groups != 0:
		return c, fmt.Errorf("convolution: %d input and %d output channels cannot be cut into %d groups",
			c.InChannels, c.OutChannels, c.Groups)
	}
	return c, nil
}

func filled(s []int, n, value int) []int {
	if s != nil {
		return s
	}
	s = make([]int, n)
	for i := range s {
		s[i] = value
	}
	return s
}

func negative(v int) bool    { return v < 0 }
func notPositive(v int) bool { return v <= 0 }

// OutSpatial is the size of the output for an input of the given size.
func (c Conv) OutSpatial(in []int) ([]int, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(in) != len(c.Kernel) {
		return nil, fmt.Errorf("convolution: input of spatial shape %v for a kernel %v", in, c.Kernel)
	}
	out := make([]int, len(in))
	for d := range out {
		if in[d] < 0 {
			return nil, fmt.Errorf("convolution: negative input size %v", in)
		}
		span := in[d] + c.PadsBegin[d] + c.PadsEnd[d] - reach(c.Kernel[d], c.Dilations[d])
		if span >= 0 {
			out[d] = span/c.Strides[d] + 1
		}
	}
	return out, nil
}

// reach is how many input positions a dilated kernel spans.
func reach(kernel, dilation int) int { return (kernel-1)*dilation + 1 }

// product of sizes; 1 for none.
func volume(sizes []int) int {
	v := 1
	for _, s := range sizes {
		v *= s
	}
	return v
}

// ConvPlan is a convolution with its weights packed. It can run from many
// goroutines at a time.
type ConvPlan struct {
	conv Conv
	tier *tier
	bias []float32 // OutChannels long, or nil
	path convPath
}

// convPath computes one layer.
type convPath interface {
	run(p *Pool, g convGeometry)
}

// NewConv packs weights for a convolution. bias has OutChannels elements, or
// none. Neither is kept.
func NewConv(c Conv, weights, bias []float32) (*ConvPlan, error) {
	return NewConvOn(nil, c, weights, bias)
}

// NewConvOn is NewConv with the work spread over a pool.
func NewConvOn(p *Pool, c Conv, weights, bias []float32) (*ConvPlan, error) {
	if tierProblem != nil {
		return nil, tierProblem
	}
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if want := c.OutChannels * (c.InChannels / c.Groups) * volume(c.Kernel); len(weights) != want {
		return nil, fmt.Errorf("convolution: %d weights, want %d", len(weights), want)
	}
	if len(bias) != 0 && len(bias) != c.OutChannels {
		return nil, fmt.Errorf("convolution: %d biases for %d output channels", len(bias), c.OutChannels)
	}
	plan := &ConvPlan{conv: c, tier: current.Load()}
	if len(bias) != 0 {
		plan.bias = slices.Clone(bias)
	}
	plan.path = choosePath(p, plan, weights)
	return plan, nil
}

// WithPads returns the convolution with other pads, on the same packed weights.
func (c *ConvPlan) WithPads(begin, end []int) (*ConvPlan, error) {
	other := *c
	other.conv.PadsBegin, other.conv.PadsEnd = begin, end
	var err error
	if other.conv, err = other.conv.withDefaults(); err != nil {
		return nil, err
	}
	if g, ok := c.path.(*gemmPath); ok {
		other.path = &gemmPath{tier: g.tier, weights: g.weights, pointwise: other.conv.pointwise()}
	}
	return &other, nil
}

func choosePath(p *Pool, plan *ConvPlan, weights []float32) convPath {
	c := &plan.conv
	switch {
	case plan.tier.reference():
		return &referencePath{weights: slices.Clone(weights)}
	case c.InChannels == c.Groups && len(c.Kernel) > 0 && volume(c.Kernel) > 0:
		return newDepthwisePath(plan, slices.Clone(weights))
	}
	direct := newGemmPath(p, plan, weights)
	if w := newWinogradPath(plan, direct); w != nil {
		return w
	}
	return direct
}

// Run computes y (n x OutChannels x OutSpatial) from x (n x InChannels x
// inSpatial), then applies act. x and y must not overlap.
func (c *ConvPlan) Run(p *Pool, x []float32, n int, inSpatial []int, y []float32, act Activation) error {
	return c.RunAdd(p, x, n, inSpatial, nil, y, act)
}

// RunAdd is Run with a residual of the shape of y, if not nil, added before the
// activation. The residual may be y itself.
func (c *ConvPlan) RunAdd(p *Pool, x []float32, n int, inSpatial []int, residual, y []float32, act Activation) error {
	out, err := c.conv.OutSpatial(inSpatial)
	if err != nil {
		return err
	}
	g := convGeometry{
		conv: &c.conv, x: x, n: n, in: inSpatial, out: out, y: y,
		inSize: volume(inSpatial), outSize: volume(out),
		epilogue: epilogue{rowBias: c.bias, residual: residual, act: act},
	}
	switch want := n * c.conv.InChannels * g.inSize; {
	case n < 0 || len(x) != want:
		return fmt.Errorf("convolution: input of %d elements, want %d", len(x), want)
	case len(y) != n*c.conv.OutChannels*g.outSize:
		return fmt.Errorf("convolution: output of %d elements, want %d", len(y), n*c.conv.OutChannels*g.outSize)
	case residual != nil && len(residual) != len(y):
		return fmt.Errorf("convolution: residual of %d elements, want %d", len(residual), len(y))
	}
	if len(y) == 0 {
		return nil
	}
	if residual != nil && &residual[0] == &y[0] {
		g.residual = slices.Clone(residual)
	}
	c.path.run(p, g)
	return nil
}

// OutSpatial is the size of the output for an input of the given size.
func (c *ConvPlan) OutSpatial(in []int) ([]int, error) { return c.conv.OutSpatial(in) }

// convGeometry is one run of a convolution: its data and sizes.
type convGeometry struct {
	conv            *Conv
	x, y            []float32
	n               int
	in, out         []int
	inSize, outSize int // of one plane
	epilogue
}
