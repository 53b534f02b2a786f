package runtime

// Fusion: a convolution takes over the nodes behind it that only work on its result, so that the map is
// written once and not read and written again by each. In this order, each optional:
//
//	BatchNormalization   goes into weights and bias
//	Add                  of another value of the same shape
//	activation           Relu, LeakyRelu, Clip, Sigmoid, HardSigmoid, HardSwish, Tanh, Mish, or x*Sigmoid(x)
//
// What comes out is ONNX Runtime's own FusedConv. The result of a node that is also an output of the graph, or
// that someone else reads, stays.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
)

// fuser looks at a program whose steps are in order.
type fuser struct {
	*builder
	exact   bool
	known   map[int]value.Value
	readers map[int][]*step // nil stands for an output of the graph
	index   map[*step]int
}

// fuse replaces chains of steps.
func (b *builder) fuse(exact bool) {
	f := &fuser{builder: b, exact: exact, known: map[int]value.Value{}, readers: map[int][]*step{}, index: map[*step]int{}}
	for _, k := range b.constants {
		f.known[k.slot] = k.value
	}
	for i, s := range b.steps {
		f.index[s] = i
		for _, in := range s.in {
			if in >= 0 {
				f.readers[in] = append(f.readers[in], s)
			}
		}
	}
	for _, o := range b.outputs {
		f.readers[o.slot] = append(f.readers[o.slot], nil)
	}
	for slot := range b.taps {
		f.readers[slot] = append(f.readers[slot], nil)
	}
	for i := len(b.steps) - 1; i >= 0; i-- { // from the end: of two convolutions that are added, the later takes the sum
		if s := b.steps[i]; s != nil && s.domain == "" && s.op == "Conv" {
			f.convolution(s)
		}
	}
	b.steps = slices.DeleteFunc(b.steps, func(s *step) bool { return s == nil })
}

// chain is a convolution and what it takes over.
type chain struct {
	conv          *step
	weights, bias *value.Tensor // with the normalisation in them; nil while they are the node's own
	add           *step
	residual      int // slot of the other summand
	act           *step
	activation    string
	params        []float32
	taken         []*step // all steps that go, the last of them last
	out           int     // slot of the result so far
}

func (f *fuser) convolution(s *step) {
	if len(s.out) != 1 || s.out[0] < 0 {
		return
	}
	c := &chain{conv: s, residual: -1, out: s.out[0]}
	f.normalisation(c)
	f.sum(c)
	f.activate(c)
	if len(c.taken) == 0 {
		return
	}
	fused, err := f.build(c)
	if err != nil {
		return // the chain stays as it is
	}
	f.replace(c, fused)
}

// only returns the one step that reads the chain's result, nil where there are others.
func (f *fuser) only(c *chain) *step {
	rs := f.readers[c.out]
	if len(rs) != 1 || rs[0] == nil || rs[0].domain != "" || len(rs[0].bodies) > 0 || len(named(rs[0].out)) != 1 || rs[0].out[0] < 0 {
		return nil
	}
	return rs[0]
}

func named(slots []int) []int {
	return slices.DeleteFunc(slices.Clone(slots), func(s int) bool { return s < 0 })
}

func (c *chain) take(s *step) {
	c.taken = append(c.taken, s)
	c.out = s.out[0]
}

// floats returns a constant float32 input.
func (f *fuser) floats(s *step, input int) *value.Tensor {
	if input >= len(s.in) || s.in[input] < 0 {
		return nil
	}
	t, _ := f.known[s.in[input]].(*value.Tensor)
	if t == nil || t.Type != onnxio.Float {
		return nil
	}
	return t
}

// normalisation folds a BatchNormalization: y = (x - mean)*scale/sqrt(variance + epsilon) + shift.
func (f *fuser) normalisation(c *chain) {
	n := f.only(c)
	w := f.floats(c.conv, 1)
	if n == nil || n.op != "BatchNormalization" || n.in[0] != c.out || len(n.in) != 5 || w == nil || len(w.Shape) < 3 {
		return
	}
	epsilon := float32(1e-5)
	for _, a := range n.attrs {
		switch {
		case a.Name == "epsilon" && a.Type == onnxio.AttrFloat:
			epsilon = a.F
		case a.Name == "momentum", a.Name == "training_mode" && a.I == 0, a.Name == "spatial" && a.I == 1:
		default:
			return
		}
	}
	channels := w.Shape[0]
	var params [4][]float32 // scale, shift, mean, variance
	for i := range params {
		p := f.floats(n, 1+i)
		if p == nil || p.Len() != channels {
			return
		}
		params[i] = value.Of[float32](p)
	}
	bias := make([]float32, channels)
	if len(c.conv.in) > 2 && c.conv.in[2] >= 0 {
		b := f.floats(c.conv, 2)
		if b == nil || b.Len() != channels {
			return
		}
		copy(bias, value.Of[float32](b))
	}
	weights := slices.Clone(value.Of[float32](w))
	per := len(weights) / max(1, channels)
	for o := range channels {
		factor := float64(params[0][o]) / math.Sqrt(float64(params[3][o])+float64(epsilon))
		for i := range weights[o*per : (o+1)*per] {
			weights[o*per+i] = float32(float64(weights[o*per+i]) * factor)
		}
		bias[o] = float32((float64(bias[o])-float64(params[2][o]))*factor + float64(params[1][o]))
	}
	c.weights, c.bias = value.From(weights, w.Shape...), value.From(bias, channels)
	c.take(n)
}

// sum takes an Add of a value that is not constant. Whether the shapes are equal shows in the run.
func (f *fuser) sum(c *chain) {
	s := f.only(c)
	if s == nil || s.op != "Add" || s.version < 7 || len(s.in) != 2 || s.in[0] == s.in[1] {
		return
	}
	other := s.in[0] + s.in[1] - c.out
	if f.known[other] != nil {
		return
	}
	c.add, c.residual = s, other
	c.take(s)
}

// activate takes an activation.
func (f *fuser) activate(c *chain) {
	if s := f.only(c); s != nil && s.in[0] == c.out {
		if params, ok := f.activation(s); ok {
			c.act, c.activation, c.params = s, s.op, params
			c.take(s)
		}
		return
	}
	gate, product := f.gate(c)
	if gate == nil {
		return
	}
	params, _ := f.activation(gate)
	switch {
	case gate.op == "Sigmoid":
		c.activation = "SiLU"
	case gate.op == "HardSigmoid" && params[0] == float32(1.0/6) && params[1] == 0.5:
		c.activation = "HardSwish"
	default:
		return
	}
	if c.add != nil {
		return // the way back, for sums of unequal shapes, knows activations of one node only
	}
	c.taken = append(c.taken, gate)
	c.take(product)
}

// gate finds x*g(x): the result is read by g and by the product, and g's by the product alone.
func (f *fuser) gate(c *chain) (g, product *step) {
	rs := f.readers[c.out]
	if len(rs) != 2 || rs[0] == nil || rs[1] == nil {
		return nil, nil
	}
	for i, s := range rs {
		p := rs[1-i]
		if s.domain != "" || p.domain != "" || p.op != "Mul" || len(s.in) != 1 || len(s.out) != 1 || len(p.in) != 2 || len(p.out) != 1 {
			continue
		}
		if _, ok := f.activation(s); !ok || len(f.readers[s.out[0]]) != 1 || f.readers[s.out[0]][0] != p {
			continue
		}
		return s, p
	}
	return nil, nil
}

// activation returns the parameters of an activation that FusedConv knows.
func (f *fuser) activation(s *step) (params []float32, ok bool) {
	number := func(name string, def float32) float32 {
		for _, a := range s.attrs {
			if a.Name == name && a.Type == onnxio.AttrFloat {
				return a.F
			}
		}
		return def
	}
	switch s.op {
	case "Relu", "Sigmoid", "Tanh", "HardSwish", "Mish":
		return nil, true
	case "LeakyRelu":
		return []float32{number("alpha", 0.01)}, true
	case "HardSigmoid":
		return []float32{number("alpha", 0.2), number("beta", 0.5)}, true
	case "Clip":
		bounds := []float32{float32(math.Inf(-1)), float32(math.Inf(1))}
		if s.version < 11 {
			return []float32{number("min", -math.MaxFloat32), number("max", math.MaxFloat32)}, true
		}
		for i := range bounds {
			if 1+i < len(s.in) && s.in[1+i] >= 0 {
				t := f.floats(s, 1+i)
				if t == nil || t.Len() != 1 {
					return nil, false
				}
				bounds[i] = value.Of[float32](t)[0]
			}
		}
		return bounds, bounds[0] <= bounds[1]
	}
	return nil, false
}

// build makes the fused step.
func (f *fuser) build(c *chain) (*step, error) {
	s := &step{op: c.conv.op, path: c.conv.path, version: c.conv.version, attrs: c.conv.attrs, wide: true,
		out: []int{c.out}, names: c.taken[len(c.taken)-1].names}
	for _, t := range c.taken {
		s.op += "+" + t.op
	}
	s.in = slices.Clone(c.conv.in)
	if c.weights != nil {
		s.in = []int{s.in[0], f.slotOf(ref{known: c.weights}), f.slotOf(ref{known: c.bias})}
		f.known[s.in[1]], f.known[s.in[2]] = c.weights, c.bias
	}
	var err error
	if s.kernel, err = f.kernel("", "Conv", s.version, s.in, s.attrs); err != nil {
		return nil, err
	}
	if c.add != nil || c.activation != "" {
		if f.floats(s, 1) == nil { // other types have no fused form
			return nil, fmt.Errorf("its weights are not constant float32")
		}
		for c.residual >= 0 && len(s.in) < 3 {
			s.in = append(s.in, -1)
		}
		if c.residual >= 0 {
			s.in = append(s.in, c.residual)
		}
		attrs := slices.Clone(s.attrs)
		if c.activation != "" {
			attrs = append(attrs, onnxio.NewString("activation", c.activation))
			if len(c.params) > 0 {
				attrs = append(attrs, onnxio.NewFloats("activation_params", c.params...))
			}
		}
		if s.kernel, err = f.kernel("com.microsoft", "FusedConv", 1, s.in, attrs); err != nil {
			return nil, err
		}
	}
	if c.add != nil {
		fused, ok := s.kernel.(ops.Fused)
		if !ok {
			return nil, fmt.Errorf("its kernel can not leave the sum out")
		}
		sum := &summing{Fused: fused, first: fused.First(), add: c.add.kernel}
		if c.act != nil {
			sum.act = c.act.kernel
			for _, slot := range c.act.in[1:] {
				sum.args = append(sum.args, f.known[slot])
			}
		}
		s.kernel = sum
	}
	s.own = len(s.in)
	return s, nil
}

func (f *fuser) kernel(domain, op string, version int, in []int, attrs []*onnxio.Attribute) (ops.Kernel, error) {
	n := ops.NewNode(domain, op, version, attrs)
	n.Exact = f.exact
	for _, slot := range in {
		n.Inputs = append(n.Inputs, slot >= 0)
		t, _ := f.known[slot].(*value.Tensor)
		n.Constants = append(n.Constants, t)
	}
	n.Outputs = []bool{true}
	return ops.Build(n)
}

// replace puts the fused step where the last of the chain stood: all it reads is there by then.
func (f *fuser) replace(c *chain, fused *step) {
	last := f.index[c.conv]
	for _, s := range append(c.taken, c.conv) {
		last = max(last, f.index[s])
		f.steps[f.index[s]] = nil
		for _, in := range s.in {
			if in >= 0 {
				f.readers[in] = slices.DeleteFunc(f.readers[in], func(r *step) bool { return r == s })
			}
		}
	}
	f.steps[last] = fused
	f.index[fused] = last
	for _, in := range fused.in {
		if in >= 0 {
			f.readers[in] = append(f.readers[in], fused)
		}
	}
}

// summing is a convolution with a sum. Where that fails, above all because the summands' shapes differ and the sum
// broadcasts, it does one after the other what the nodes said.
type summing struct {
	ops.Fused
	first    ops.Kernel // the convolution alone
	add, act ops.Kernel // act is nil for none
	args     []value.Value
}

// Pack implements ops.Packer.
func (k *summing) Pack(p *ops.Packing, in []value.Value) []int {
	if packer, ok := k.Fused.(ops.Packer); ok {
		return packer.Pack(p, in)
	}
	return nil
}

func (k *summing) Run(c *ops.Context, in []value.Value) ([]value.Value, error) {
	out, err := k.Fused.Run(c, in)
	if err == nil {
		return out, nil
	}
	if out, err = k.first.Run(c, in); err != nil {
		return nil, err
	}
	y := out[0]
	if out, err = k.add.Run(c, []value.Value{y, in[len(in)-1]}); err != nil {
		return nil, err
	}
	c.Drop(y)
	if k.act == nil {
		return out, nil
	}
	y = out[0]
	if out, err = k.act.Run(c, append([]value.Value{y}, k.args...)); err != nil {
		return nil, err
	}
	c.Drop(y)
	return out, nil
}
