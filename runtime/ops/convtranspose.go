package ops

// ConvTranspose. float32 and the 16-bit types run on its kernel, float64 adds value by value.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "ConvTranspose", buildConvTranspose, 1, 11, 22) }

// transposedConv is a ConvTranspose node: inputs X, W and optionally B.
type transposedConv struct {
	sliding
	kernel        []int
	outputPadding []int
	outputShape   []int // spatial sizes, asked for instead of pads
	groups        int
	plans         planCache[*kernels.ConvTransposePlan]
}

func buildConvTranspose(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 3); err != nil {
		return nil, err
	}
	k := &transposedConv{sliding: readSliding(n, true), kernel: n.Ints("kernel_shape"), groups: int(n.Int("group", 1)),
		outputPadding: n.Ints("output_padding"), outputShape: n.Ints("output_shape")}
	if k.groups < 1 {
		return nil, fmt.Errorf("attribute group is %d", k.groups)
	}
	k.plans.keep = n.Constant(1) != nil && (!n.HasInput(2) || n.Constant(2) != nil)
	return TensorFunc(k.run), nil
}

// transposedShapes are the sizes of one run.
type transposedShapes struct {
	*placement
	outputPadding                []int
	batch, channels, outChannels int
}

func (k *transposedConv) shapes(x, w *value.Tensor) (*transposedShapes, error) {
	batch, channels, spatial, err := splitSpatial(x.Shape)
	if err != nil {
		return nil, err
	}
	if len(w.Shape) != len(x.Shape) || w.Shape[0] != channels || channels%k.groups != 0 {
		return nil, fmt.Errorf("input of shape %v, weights of shape %v and %d groups do not fit", x.Shape, w.Shape, k.groups)
	}
	kernel := k.kernel
	if kernel == nil {
		kernel = w.Shape[2:]
	}
	if !slices.Equal(kernel, w.Shape[2:]) {
		return nil, fmt.Errorf("kernel_shape %v for weights of shape %v", kernel, w.Shape)
	}
	p, err := k.start(kernel, spatial)
	if err != nil {
		return nil, err
	}
	s := &transposedShapes{placement: p, batch: batch, channels: channels, outChannels: w.Shape[1] * k.groups}
	return s, k.size(s)
}

// size finds the output's size and the pads.
func (k *transposedConv) size(s *transposedShapes) error {
	rank := len(s.in)
	asked := k.outputShape
	if len(asked) == rank+2 { // some exporters write the whole shape
		asked = asked[2:]
	}
	padding := k.outputPadding
	if padding == nil {
		padding = make([]int, rank)
	}
	if len(padding) != rank || asked != nil && len(asked) != rank {
		return fmt.Errorf("output_padding %v and output_shape %v do not fit %d spatial axes", k.outputPadding, k.outputShape, rank)
	}
	s.outputPadding = make([]int, rank)
	for d := range rank {
		if s.in[d] == 0 && asked == nil {
			continue
		}
		full := (s.in[d]-1)*s.strides[d] + s.span(d) + padding[d]
		switch {
		case asked != nil:
			s.out[d] = asked[d]
			s.begin[d], s.end[d] = k.shareOutput(max(0, full-asked[d]))
		case k.same():
			s.out[d] = s.in[d] * s.strides[d]
			s.begin[d], s.end[d] = k.shareOutput(max(0, full-s.out[d]))
			s.out[d] = full - s.begin[d] - s.end[d]
		default:
			s.out[d] = full - s.begin[d] - s.end[d]
		}
		s.outputPadding[d] = s.out[d] - (full - padding[d] - s.begin[d] - s.end[d])
		if s.out[d] < 0 || s.outputPadding[d] < 0 {
			return fmt.Errorf("input of spatial shape %v with pads %v %v and output padding %v has no output", s.in, s.begin, s.end, padding)
		}
	}
	return nil
}

// shareOutput splits padding in two: the odd one goes to the end for SAME_UPPER only.
func (k *transposedConv) shareOutput(total int) (begin, end int) {
	if k.autoPad == "SAME_UPPER" {
		return total / 2, total - total/2
	}
	return total - total/2, total / 2
}

func (k *transposedConv) run(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
	s, err := k.shapes(in[0], in[1])
	if err != nil {
		return nil, err
	}
	if in[0].Type == onnxio.Double {
		return oneOutput(k.runDouble(c, s, in))
	}
	plan, err := k.plans.get(slices.Concat(s.begin, s.end, s.outputPadding), func() (*kernels.ConvTransposePlan, error) {
		return k.plan(c.Pool, s, in)
	})
	if err != nil {
		return nil, err
	}
	x, err := floatElements[float32](in[0])
	if err != nil {
		return nil, err
	}
	y, err := newFloatOutput[float32](c, in[0].Type, append([]int{s.batch, s.outChannels}, s.out...)...)
	if err != nil {
		return nil, err
	}
	if err := plan.Run(c.Pool, x, s.batch, s.in, y.data, kernels.Activation{}); err != nil {
		return nil, err
	}
	return []*value.Tensor{y.done()}, nil
}

func (k *transposedConv) plan(p *kernels.Pool, s *transposedShapes, in []*value.Tensor) (*kernels.ConvTransposePlan, error) {
	w, err := floatElements[float32](in[1])
	if err != nil {
		return nil, err
	}
	b, err := optionalFloats[float32](in, 2)
	if err != nil {
		return nil, err
	}
	return kernels.NewConvTranspose(p, kernels.ConvTranspose{Kernel: s.kernel, Strides: s.strides, Dilations: s.dilations,
		PadsBegin: s.begin, PadsEnd: s.end, OutputPadding: s.outputPadding, Groups: k.groups,
		InChannels: s.channels, OutChannels: s.outChannels}, w, b)
}

func (k *transposedConv) runDouble(c *Context, s *transposedShapes, in []*value.Tensor) (*value.Tensor, error) {
	x, w, b, err := doubleOperands(in, s.outChannels)
	if err != nil {
		return nil, err
	}
	y, err := newFloatOutput[float64](c, onnxio.Double, append([]int{s.batch, s.outChannels}, s.out...)...)
	if err != nil {
		return nil, err
	}
	size := product(s.out)
	c.Pool.Do(s.batch*s.outChannels, 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			plane := y.data[i*size : (i+1)*size]
			if b != nil {
				kernels.AddScalar(plane, plane, b[i%s.outChannels])
			}
			s.addInputs(plane, x, w, i/s.outChannels, i%s.outChannels, k.groups)
		}
	})
	return y.done(), nil
}

// addInputs adds every input value, times the kernel, to one output plane.
func (s *transposedShapes) addInputs(plane, x, w []float64, image, channel, groups int) {
	perGroupIn, perGroupOut := s.channels/groups, s.outChannels/groups
	inSize, taps := product(s.in), product(s.kernel)
	at, tapAt := make([]int, len(s.in)), make([]int, len(s.in))
	first := channel / perGroupOut * perGroupIn
	for ic := first; ic < first+perGroupIn; ic++ {
		weights := w[(ic*perGroupOut+channel%perGroupOut)*taps:]
		for q, v := range x[(image*s.channels+ic)*inSize:][:inSize] {
			unravelIndex(q, s.in, at)
			for tap := range taps {
				unravelIndex(tap, s.kernel, tapAt)
				to, inside := 0, true
				for d := range at {
					o := at[d]*s.strides[d] - s.begin[d] + tapAt[d]*s.dilations[d]
					inside = inside && o >= 0 && o < s.out[d]
					to = to*s.out[d] + o
				}
				if inside {
					plane[to] += v * weights[tap]
				}
			}
		}
	}
}
