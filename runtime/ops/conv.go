package ops

// Conv, and com.microsoft.FusedConv, which adds a residual and an activation. float32 and the 16-bit types run on
// the convolution kernels with weights packed once where they are constant; float64 is a plain matrix product
// of patches.

import (
	"fmt"
	"slices"
	"sync"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Conv", buildConv, 1, 11, 22)
	Register("com.microsoft", "FusedConv", buildFusedConv, 1)
}

// convolution is a Conv node: inputs X, W, optionally B, and for FusedConv the residual Z.
type convolution struct {
	sliding
	kernel []int // of the attribute; nil: that of the weights
	groups int
	act    kernels.Activation
	exact  bool
	packed *kernels.ConvPlan // without pads; nil before the weights are packed
	plans  planCache[*kernels.ConvPlan]
}

func buildConv(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 3); err != nil {
		return nil, err
	}
	k, err := readConvolution(n)
	if err != nil {
		return nil, err
	}
	return packing{k.run, k.pack}, nil
}

func buildFusedConv(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 4); err != nil {
		return nil, err
	}
	k, err := readConvolution(n)
	if err != nil {
		return nil, err
	}
	if k.act, err = readFusedActivation(n); err != nil {
		return nil, err
	}
	return fusedConv{packing{k.run, k.pack}, k}, nil
}

// fusedConv is the kernel of FusedConv.
type fusedConv struct {
	packing
	conv *convolution
}

// First implements Fused: the convolution with neither residual nor activation.
func (f fusedConv) First() Kernel {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return f.conv.compute(c, in[:min(len(in), 3)], kernels.Activation{})
	})
}

func readConvolution(n *Node) (*convolution, error) {
	k := &convolution{sliding: readSliding(n, true), kernel: n.Ints("kernel_shape"), groups: int(n.Int("group", 1))}
	if k.groups < 1 {
		return nil, fmt.Errorf("attribute group is %d", k.groups)
	}
	k.plans.keep = n.Constant(1) != nil && (!n.HasInput(2) || n.Constant(2) != nil)
	k.exact = n.Exact || !k.plans.keep // transforming weights pays only where it is done once
	return k, nil
}

// readFusedActivation reads what FusedConv applies to its result. Beside the functions that ONNX Runtime fuses,
// those of the convolution's epilogue are known.
func readFusedActivation(n *Node) (kernels.Activation, error) {
	name, params := n.Text("activation", ""), n.Floats("activation_params")
	kinds := map[string]struct {
		kind   kernels.ActivationKind
		params int
	}{
		"": {kernels.NoActivation, 0}, "Relu": {kernels.Relu, 0}, "Sigmoid": {kernels.Sigmoid, 0}, "Tanh": {kernels.Tanh, 0},
		"LeakyRelu": {kernels.LeakyRelu, 1}, "Clip": {kernels.Clip, 2}, "HardSigmoid": {kernels.HardSigmoid, 2},
		"HardSwish": {kernels.HardSwish, 0}, "SiLU": {kernels.SiLU, 0}, "Mish": {kernels.Mish, 0}, "Gelu": {kernels.Gelu, 0},
	}
	k, ok := kinds[name]
	if !ok {
		return kernels.Activation{}, fmt.Errorf("attribute activation is %q, which is not known", name)
	}
	if len(params) < k.params {
		return kernels.Activation{}, fmt.Errorf("attribute activation_params has %d numbers, %s needs %d", len(params), name, k.params)
	}
	act := kernels.Activation{Kind: k.kind, Exact: n.Exact}
	if k.params > 0 {
		act.Alpha = params[0]
	}
	if k.params > 1 {
		act.Beta = params[1]
	}
	return act, nil
}

// planCache keeps the plans of constant weights, one for each set of pads: auto_pad makes these depend on the input.
type planCache[P any] struct {
	keep  bool
	mu    sync.Mutex
	pads  [][]int
	plans []P
}

// get returns the plan for these pads, made by build where it is not kept yet.
func (c *planCache[P]) get(pads []int, build func() (P, error)) (P, error) {
	if !c.keep {
		return build()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, have := range c.pads {
		if slices.Equal(have, pads) {
			return c.plans[i], nil
		}
	}
	p, err := build()
	if err == nil {
		c.pads, c.plans = append(c.pads, pads), append(c.plans, p)
	}
	return p, err
}

// convShapes are the sizes of one run.
type convShapes struct {
	*placement
	batch, channels, outChannels int
}

func (s *convShapes) output() []int { return append([]int{s.batch, s.outChannels}, s.out...) }

// shapes checks X against W and finds the output's size.
func (k *convolution) shapes(x, w *value.Tensor) (*convShapes, error) {
	batch, channels, spatial, err := splitSpatial(x.Shape)
	if err != nil {
		return nil, err
	}
	if len(w.Shape) != len(x.Shape) {
		return nil, fmt.Errorf("weights of shape %v for an input of shape %v", w.Shape, x.Shape)
	}
	kernel := k.kernel
	if kernel == nil {
		kernel = w.Shape[2:]
	}
	if !slices.Equal(kernel, w.Shape[2:]) {
		return nil, fmt.Errorf("kernel_shape %v for weights of shape %v", kernel, w.Shape)
	}
	if w.Shape[1]*k.groups != channels || w.Shape[0]%k.groups != 0 {
		return nil, fmt.Errorf("input of shape %v, weights of shape %v and %d groups do not fit", x.Shape, w.Shape, k.groups)
	}
	p, err := k.place(kernel, spatial)
	if err != nil {
		return nil, err
	}
	return &convShapes{placement: p, batch: batch, channels: channels, outChannels: w.Shape[0]}, nil
}

// convKey tells packed convolutions apart.
type convKey struct {
	weights, bias *value.Tensor
	conv          string
}

// pack packs constant weights. Mistakes in the node are left to the run to find.
func (k *convolution) pack(p *Packing, in []*value.Tensor) []int {
	w := in[1]
	if !k.plans.keep || w.Type != onnxio.Float || len(w.Shape) < 3 || k.kernel != nil && !slices.Equal(k.kernel, w.Shape[2:]) {
		return nil
	}
	b, err := optionalFloats[float32](in, 2)
	if err != nil {
		return nil
	}
	var bias *value.Tensor
	if len(in) > 2 {
		bias = in[2]
	}
	conv := kernels.Conv{Kernel: w.Shape[2:], Strides: k.strides, Dilations: k.dilations, Groups: k.groups,
		InChannels: w.Shape[1] * k.groups, OutChannels: w.Shape[0], Exact: k.exact}
	k.packed, err = packedOnce(p, convKey{w, bias, fmt.Sprint(conv)}, func() (*kernels.ConvPlan, error) {
		return kernels.NewConvOn(p.Pool, conv, value.Of[float32](w), b)
	})
	if err != nil {
		return nil
	}
	return []int{1, 2}
}

func (k *convolution) run(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
	return k.compute(c, in, k.act)
}

func (k *convolution) compute(c *Context, in []*value.Tensor, act kernels.Activation) ([]*value.Tensor, error) {
	x, w := in[0], in[1]
	s, err := k.shapes(x, w)
	if err != nil {
		return nil, err
	}
	if x.Type == onnxio.Double {
		if k.packed != nil {
			return nil, fmt.Errorf("input %v and weights %v have different element types", x, w)
		}
		return oneOutput(k.runDouble(c, s, in))
	}
	plan, err := k.plans.get(slices.Concat(s.begin, s.end), func() (*kernels.ConvPlan, error) { return k.plan(c.Pool, s, in) })
	if err != nil {
		return nil, err
	}
	xs, err := floatElements[float32](x)
	if err != nil {
		return nil, err
	}
	residual, err := k.residual(s, in)
	if err != nil {
		return nil, err
	}
	y, err := newFloatOutput[float32](c, x.Type, s.output()...)
	if err != nil {
		return nil, err
	}
	if err := plan.RunAdd(c.Pool, xs, s.batch, s.in, residual, y.data, act); err != nil {
		return nil, err
	}
	return []*value.Tensor{y.done()}, nil
}

// residual returns the elements of FusedConv's Z.
func (k *convolution) residual(s *convShapes, in []*value.Tensor) ([]float32, error) {
	if len(in) < 4 || in[3] == nil {
		return nil, nil
	}
	if !slices.Equal(in[3].Shape, s.output()) {
		return nil, fmt.Errorf("residual of shape %v for an output of shape %v", in[3].Shape, s.output())
	}
	return floatElements[float32](in[3])
}

func (k *convolution) plan(p *kernels.Pool, s *convShapes, in []*value.Tensor) (*kernels.ConvPlan, error) {
	if k.packed != nil {
		return k.packed.WithPads(s.begin, s.end)
	}
	w, err := floatElements[float32](in[1])
	if err != nil {
		return nil, err
	}
	b, err := optionalFloats[float32](in, 2)
	if err != nil {
		return nil, err
	}
	return kernels.NewConvOn(p, k.describe(s), w, b)
}

func (k *convolution) describe(s *convShapes) kernels.Conv {
	return kernels.Conv{Kernel: s.kernel, Strides: s.strides, Dilations: s.dilations, PadsBegin: s.begin, PadsEnd: s.end,
		Groups: k.groups, InChannels: s.channels, OutChannels: s.outChannels, Exact: k.exact}
}

// doubleOperands reads the input, the weight and the bias of a convolution of float64; the bias is nil where there is none.
func doubleOperands(in []*value.Tensor, outChannels int) (x, w, b []float64, err error) {
	if x, err = floatElements[float64](in[0]); err != nil {
		return nil, nil, nil, err
	}
	if w, err = floatElements[float64](in[1]); err != nil {
		return nil, nil, nil, err
	}
	if b, err = optionalFloats[float64](in, 2); err != nil {
		return nil, nil, nil, err
	}
	if b != nil && len(b) != outChannels {
		return nil, nil, nil, fmt.Errorf("bias of shape %v for %d output channels", in[2].Shape, outChannels)
	}
	return x, w, b, nil
}

// runDouble computes in float64.
func (k *convolution) runDouble(c *Context, s *convShapes, in []*value.Tensor) (*value.Tensor, error) {
	if k.act.Kind != kernels.NoActivation || len(in) > 3 && in[3] != nil {
		return nil, fmt.Errorf("a fused convolution of %v is not known", in[0].Type)
	}
	x, w, b, err := doubleOperands(in, s.outChannels)
	if err != nil {
		return nil, err
	}
	y, err := newFloatOutput[float64](c, onnxio.Double, s.output()...)
	if err != nil {
		return nil, err
	}
	eachPatchBand(c, s, k.groups, x, 0, func(patches []float64, group, image, lo, hi int) {
		rows, size, terms := s.outChannels/k.groups, product(s.out), s.channels/k.groups*product(s.kernel)
		out := y.data[(image*s.outChannels+group*rows)*size+lo:]
		kernels.Gemm64(nil, false, false, rows, hi-lo, terms, 1, w[group*rows*terms:], terms, patches, hi-lo, 0, out, size)
		for r := 0; r < rows && b != nil; r++ {
			kernels.AddScalar(out[r*size:][:hi-lo], out[r*size:][:hi-lo], b[group*rows+r])
		}
	})
	return y.done(), nil
}

// bandPositions is how many output positions' patches are gathered at a time.
const bandPositions = 1024

// eachPatchBand calls f with the patches of every band lo to hi of output positions, for each group of each image,
// spread over the pool. pad stands for padding. x may have elements of any type.
func eachPatchBand[T any](c *Context, s *convShapes, groups int, x []T, pad T,
	f func(patches []T, group, image, lo, hi int)) {
	size, channels := product(s.out), s.channels/groups
	bands := (size + bandPositions - 1) / bandPositions
	plane := product(s.in)
	c.Pool.Do(s.batch*groups*bands, 1, func(from, to int) {
		patches := make([]T, channels*product(s.kernel)*min(bandPositions, size))
		for i := from; i < to; i++ {
			image, group, band := i/bands/groups, i/bands%groups, i%bands
			lo, hi := band*bandPositions, min((band+1)*bandPositions, size)
			fillPatches(patches, x[(image*s.channels+group*channels)*plane:], channels, s.placement, lo, hi, pad)
			f(patches, group, image, lo, hi)
		}
	})
}
