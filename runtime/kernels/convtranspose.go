package kernels

// Transposed convolution: every input position adds its value, times the
// kernel, to the outputs that a convolution would have read it from. It runs as
// a matrix product (output channels x taps of every input position) followed by
// adding the columns into the image (col2im), a band of positions at a time.

import (
	"fmt"
	"slices"
)

// ConvTranspose says what transposed convolution is meant; see Conv for the
// defaults. Weights are InChannels x OutChannels/Groups x Kernel.
type ConvTranspose struct {
	Kernel, Strides, Dilations []int
	PadsBegin, PadsEnd         []int
	OutputPadding              []int // added at the end of each axis; nil means 0
	Groups                     int   // 0 means 1
	InChannels, OutChannels    int
}

func (c ConvTranspose) withDefaults() (ConvTranspose, error) {
	mirror, err := c.mirror().withDefaults()
	if err != nil {
		return c, fmt.Errorf("transposed %w", err)
	}
	c.Strides, c.Dilations, c.Groups = mirror.Strides, mirror.Dilations, mirror.Groups
	c.PadsBegin, c.PadsEnd = mirror.PadsBegin, mirror.PadsEnd
	c.OutputPadding = filled(c.OutputPadding, len(c.Kernel), 0)
	if len(c.OutputPadding) != len(c.Kernel) || slices.ContainsFunc(c.OutputPadding, negative) {
		return c, fmt.Errorf("transposed convolution: output padding %v for kernel %v", c.OutputPadding, c.Kernel)
	}
	return c, nil
}

// mirror is the convolution that goes the other way.
func (c *ConvTranspose) mirror() Conv {
	return Conv{Kernel: c.Kernel, Strides: c.Strides, Dilations: c.Dilations, PadsBegin: c.PadsBegin,
		PadsEnd: c.PadsEnd, Groups: c.Groups, InChannels: c.OutChannels, OutChannels: c.InChannels}
}

// OutSpatial is the size of the output for an input of the given size.
func (c ConvTranspose) OutSpatial(in []int) ([]int, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if len(in) != len(c.Kernel) {
		return nil, fmt.Errorf("transposed convolution: input of spatial shape %v for a kernel %v", in, c.Kernel)
	}
	out := make([]int, len(in))
	for d := range out {
		if in[d] == 0 {
			continue
		}
		out[d] = max(0, (in[d]-1)*c.Strides[d]+reach(c.Kernel[d], c.Dilations[d])+
			c.OutputPadding[d]-c.PadsBegin[d]-c.PadsEnd[d])
	}
	return out, nil
}

// ConvTransposePlan is a transposed convolution with its weights packed.
type ConvTransposePlan struct {
	conv     ConvTranspose
	tier     *tier
	bias     []float32
	weights  []float32 // as given, for the reference tier
	channels int       // output channels per chunk
	chunks   []transposeChunk
}

// transposeChunk is some output channels of one group: (channels*taps) x
// (input channels of the group).
type transposeChunk struct {
	group, first, count int // first counts from the group's first
	weights             *PackedA
}

// transposeRows is about how many rows one chunk's product has: enough to make
// up for packing the input once per chunk.
const transposeRows = 96

// transposeBand is how many input positions are multiplied at a time.
const transposeBand = 1024

// NewConvTranspose packs weights, for runs on the pool. bias has OutChannels elements, or none.
func NewConvTranspose(p *Pool, c ConvTranspose, weights, bias []float32) (*ConvTransposePlan, error) {
	if tierProblem != nil {
		return nil, tierProblem
	}
	return newConvTranspose(p, current.Load(), c, weights, bias)
}

func newConvTranspose(p *Pool, t *tier, c ConvTranspose, weights, bias []float32) (*ConvTransposePlan, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	taps := volume(c.Kernel)
	perGroupIn, perGroupOut := c.InChannels/c.Groups, c.OutChannels/c.Groups
	if want := c.InChannels * perGroupOut * taps; len(weights) != want {
		return nil, fmt.Errorf("transposed convolution: %d weights, want %d", len(weights), want)
	}
	if len(bias) != 0 && len(bias) != c.OutChannels {
		return nil, fmt.Errorf("transposed convolution: %d biases for %d output channels", len(bias), c.OutChannels)
	}
	plan := &ConvTransposePlan{conv: c, tier: t, weights: weights}
	if len(bias) != 0 {
		plan.bias = bias
	}
	if t.reference() {
		return plan, nil
	}
	plan.channels = max(1, transposeRows/max(taps, 1))
	for group := range c.Groups {
		for first := 0; first < perGroupOut; first += plan.channels {
			count := min(plan.channels, perGroupOut-first)
			packed := newPackedA(t, count*taps, perGroupIn, p.depthBlock(perGroupIn))
			packed.data = make([]float32, packed.m*packed.k)
			if len(packed.data) > 0 {
				from := (group*perGroupIn*perGroupOut + first) * taps
				packed.fill(nil, true, 1, weights[from:], perGroupOut*taps)
			}
			plan.chunks = append(plan.chunks, transposeChunk{group: group, first: first, count: count, weights: packed})
		}
	}
	return plan, nil
}

// OutSpatial is the size of the output for an input of the given size.
func (c *ConvTransposePlan) OutSpatial(in []int) ([]int, error) { return c.conv.OutSpatial(in) }

// Run computes y (n x OutChannels x OutSpatial) from x (n x InChannels x
// inSpatial), then applies act. x and y must not overlap.
func (c *ConvTransposePlan) Run(p *Pool, x []float32, n int, inSpatial []int, y []float32, act Activation) error {
	out, err := c.conv.OutSpatial(inSpatial)
	if err != nil {
		return err
	}
	g := transposeRun{plan: c, x: x, y: y, in: inSpatial, out: out, inSize: volume(inSpatial), outSize: volume(out), act: act}
	if want := n * c.conv.InChannels * g.inSize; n < 0 || len(x) != want {
		return fmt.Errorf("transposed convolution: input of %d elements, want %d", len(x), want)
	}
	if want := n * c.conv.OutChannels * g.outSize; len(y) != want {
		return fmt.Errorf("transposed convolution: output of %d elements, want %d", len(y), want)
	}
	if len(y) == 0 {
		return nil
	}
	if c.tier.reference() {
		g.reference(n)
		return nil
	}
	p.Do(n*len(c.chunks), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			g.chunk(i/len(c.chunks), &c.chunks[i%len(c.chunks)])
		}
	})
	return nil
}

// ConvTransposeReference computes a transposed convolution directly.
func ConvTransposeReference(c ConvTranspose, weights, bias, x []float32, n int, inSpatial []int, y []float32, act Activation) error {
	plan, err := newConvTranspose(nil, tiers[0], c, weights, bias)
	if err != nil {
		return err
	}
	return plan.Run(nil, x, n, inSpatial, y, act)
}

// transposeRun is one run of a plan: its data and sizes.
type transposeRun struct {
	plan            *ConvTransposePlan
	x, y            []float32
	in, out         []int
	inSize, outSize int
	act             Activation
}

// outputPlane is a plane of y, and its bias.
func (g *transposeRun) outputPlane(image, channel int) ([]float32, float32) {
	at := (image*g.plan.conv.OutChannels + channel) * g.outSize
	var bias float32
	if g.plan.bias != nil {
		bias = g.plan.bias[channel]
	}
	return g.y[at : at+g.outSize], bias
}

func (g *transposeRun) reference(n int) {
	c := &g.plan.conv
	taps := volume(c.Kernel)
	perGroupIn, perGroupOut := c.InChannels/c.Groups, c.OutChannels/c.Groups
	inAt, tapAt := make([]int, len(g.in)), make([]int, len(g.in))
	for i := range n * c.OutChannels {
		image, channel := i/c.OutChannels, i%c.OutChannels
		y, bias := g.outputPlane(image, channel)
		group := channel / perGroupOut
		clear(y)
		for ic := group * perGroupIn; ic < (group+1)*perGroupIn; ic++ {
			w := g.plan.weights[(ic*perGroupOut+channel%perGroupOut)*taps:]
			for q, v := range g.x[(image*c.InChannels+ic)*g.inSize:][:g.inSize] {
				unravel(q, g.in, inAt)
				for tap := range taps {
					unravel(tap, c.Kernel, tapAt)
					if o, inside := c.outputAt(inAt, tapAt, g.out); inside {
						y[o] += v * w[tap]
					}
				}
			}
		}
		AddScalar(y, y, bias)
		g.act.Apply(y)
	}
}

// outputAt is the flat position that an input position adds to through a tap,
// and whether it lies inside the output.
func (c *ConvTranspose) outputAt(in, tap, out []int) (flat int, inside bool) {
	for d := range out {
		o := in[d]*c.Strides[d] - c.PadsBegin[d] + tap[d]*c.Dilations[d]
		if o < 0 || o >= out[d] {
			return 0, false
		}
		flat = flat*out[d] + o
	}
	return flat, true
}

// chunk computes some output channels of one image.
func (g *transposeRun) chunk(image int, chunk *transposeChunk) {
	c := &g.plan.conv
	perGroupIn, perGroupOut := c.InChannels/c.Groups, c.OutChannels/c.Groups
	first := chunk.group*perGroupOut + chunk.first
	for i := range chunk.count {
		y, bias := g.outputPlane(image, first+i)
		for j := range y {
			y[j] = bias
		}
	}
	x := g.x[(image*c.InChannels+chunk.group*perGroupIn)*g.inSize:]
	rows := chunk.weights.m
	columns := borrow(rows * min(transposeBand, g.inSize))
	defer giveBack(columns)
	for q0 := 0; q0 < g.inSize && rows*perGroupIn > 0; q0 += transposeBand {
		width := min(transposeBand, g.inSize-q0)
		band := product{a: chunk.weights, n: width, c: *columns, ldc: width,
			b: &rowSource{tier: g.plan.tier, b: x[q0:], ld: g.inSize}}
		for j := 0; j < width; j += tileColumns {
			band.tile(0, rows, j, min(j+tileColumns, width))
		}
		g.scatter(image, first, chunk.count, *columns, q0, width)
	}
	for i := range chunk.count {
		y, _ := g.outputPlane(image, first+i)
		g.act.Apply(y)
	}
}

// scatter adds the columns of input positions q0..q0+width to the output.
func (g *transposeRun) scatter(image, first, channels int, columns []float32, q0, width int) {
	c := &g.plan.conv
	taps := volume(c.Kernel)
	inAt, tapAt := make([]int, len(g.in)), make([]int, len(g.in))
	for tap := range taps {
		unravel(tap, c.Kernel, tapAt)
		for q := 0; q < width; {
			unravel(q0+q, g.in, inAt)
			from, skip, length, step, covered := c.landing(inAt, tapAt, g.in, g.out, width-q)
			for i := 0; i < channels && length > 0; i++ {
				y, _ := g.outputPlane(image, first+i)
				row := columns[(i*taps+tap)*width+q+skip:]
				for j, v := range row[:length] {
					y[from+j*step] += v
				}
			}
			q += covered
		}
	}
}

// landing tells where a run of input positions lands through a tap. The run
// starts at the given coordinates and covers the rest of its row, or limit
// positions; of these, length ones from skip on land inside the output, at flat
// position from, step apart.
func (c *ConvTranspose) landing(in, tap, inSize, out []int, limit int) (from, skip, length, step, covered int) {
	last := len(in) - 1
	if last < 0 {
		return 0, 0, 1, 1, 1
	}
	covered, step = min(limit, inSize[last]-in[last]), c.Strides[last]
	for d := range last {
		o := in[d]*c.Strides[d] - c.PadsBegin[d] + tap[d]*c.Dilations[d]
		if o < 0 || o >= out[d] {
			return 0, 0, 0, step, covered
		}
		from = from*out[d] + o
	}
	start := in[last]*step - c.PadsBegin[last] + tap[last]*c.Dilations[last]
	if start < 0 {
		skip = (-start + step - 1) / step
	}
	end := covered
	if start+(end-1)*step >= out[last] {
		end = 0
		if start < out[last] {
			end = (out[last]-1-start)/step + 1
		}
	}
	return from*out[last] + start + skip*step, skip, end - skip, step, covered
}
