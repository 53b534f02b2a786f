// Package cost counts what a model costs to run and to store: multiply-accumulates (MACs), parameters, bytes.
//
// One multiply and its addition count as one MAC, as PaddleSlim's "FLOPs" do: of a convolution
// outputs * input channels per group * kernel elements, without the bias. Linear layers and transposed convolutions are counted by the
// same rule, and each kind also by itself. Layers inside control-flow bodies are counted apart: how often they run is
// known only at run time.
package cost

import (
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Kind is a kind of layer.
type Kind string

// The kinds of layers that have MACs.
const (
	Conv          Kind = "conv"
	ConvTranspose Kind = "conv_transpose"
	Linear        Kind = "linear"
)

// Layer is one convolution or linear layer.
type Layer struct {
	Node   *graph.Node
	Kind   Kind
	MACs   int64 // of one run at the shapes that were inferred
	Open   bool  // an extent of the output is known only at run time (a number of boxes): it counts as one
	InBody bool  // it lies in a control-flow body
}

// Report is what a model costs.
type Report struct {
	Layers        []Layer
	ConvMACs      int64
	TransposeMACs int64
	LinearMACs    int64
	BodyMACs      int64 // of layers in control-flow bodies, not in the others
	Open          int   // layers whose extents are known only at run time
	Params        int64 // elements of weights, biases and normalisation vectors
	ParamTensors  int
	WeightBytes   int64 // bytes of all constant tensors
}

// MACs returns the sum over all layers outside of bodies.
func (r *Report) MACs() int64 { return r.ConvMACs + r.TransposeMACs + r.LinearMACs }

// Of counts a model. Extents that the shapes leave open (a symbolic batch, height or width) count as one: give
// shape.Infer the input shapes first.
func Of(g *graph.Graph, shapes *shape.Result) *Report {
	r := &Report{}
	for _, n := range g.Nodes {
		l, ok := layer(n, shapes)
		if !ok {
			continue
		}
		l.InBody = n.InBody()
		r.Layers = append(r.Layers, l)
		if l.Open {
			r.Open++
		}
		switch {
		case l.InBody:
			r.BodyMACs += l.MACs
		case l.Kind == Conv:
			r.ConvMACs += l.MACs
		case l.Kind == ConvTranspose:
			r.TransposeMACs += l.MACs
		default:
			r.LinearMACs += l.MACs
		}
	}
	r.parameters(g, shapes)
	return r
}

// layer counts one node; ok is false for nodes without MACs.
func layer(n *graph.Node, s *shape.Result) (Layer, bool) {
	l := Layer{Node: n}
	w := 1
	switch n.Op {
	case "Conv", "ConvInteger", "QLinearConv", "FusedConv", "DeformConv":
		if n.Op == "QLinearConv" {
			w = 3
		}
		l.Kind = Conv
		l.MACs = l.product(s.Of(n.Output(0)), 0) * l.product(s.Of(n.Input(w)), 1)
	case "ConvTranspose":
		l.Kind = ConvTranspose
		l.MACs = l.product(s.Of(n.Input(0)), 0) * l.product(s.Of(n.Input(1)), 1)
	case "Gemm", "FusedGemm":
		l.Kind = Linear
		a := s.Of(n.Input(0))
		k := 1 - int(n.Int("transA", 0))
		l.MACs = l.product(s.Of(n.Output(0)), 0) * l.extent(a, k)
	case "MatMul", "MatMulInteger", "QLinearMatMul":
		if n.Op == "QLinearMatMul" {
			w = 3
		}
		if !weight(n.Input(w)) && !weight(n.Input(0)) { // two activations, as in attention: no layer
			return l, false
		}
		l.Kind = Linear
		a := s.Of(n.Input(0))
		l.MACs = l.product(s.Of(n.Output(0)), 0) * l.extent(a, a.Rank()-1)
	default:
		return l, false
	}
	return l, true
}

// weight reports whether a value is a constant, or computed from constants by nodes of one input.
func weight(v *graph.Value) bool {
	for v != nil {
		if v.Constant() {
			return true
		}
		if v.Producer == nil || v.Producer.Input(0) == nil || len(v.Producer.Bodies) > 0 {
			return false
		}
		for _, in := range v.Producer.Inputs[1:] {
			if in != nil && !in.Constant() {
				return false
			}
		}
		v = v.Producer.Inputs[0]
	}
	return false
}

func (l *Layer) extent(in *shape.Info, axis int) int64 {
	n, ok := in.Fixed(axis)
	if !ok {
		l.Open = true
		return 1
	}
	return n
}

// product multiplies the extents from an axis on.
func (l *Layer) product(in *shape.Info, from int) int64 {
	n := int64(1)
	if !in.Known {
		l.Open = true
		return n
	}
	for k := from; k < in.Rank(); k++ {
		n *= l.extent(in, k)
	}
	return n
}

// parameters counts the floating-point or quantised constants that layers and normalisations read as weights, biases and
// vectors over channels, and the bytes of all constants.
func (r *Report) parameters(g *graph.Graph, s *shape.Result) {
	for _, v := range g.Weights() {
		r.WeightBytes += v.Tensor.Size()
		if v.Tensor.DataType == onnxio.Int64 || v.Tensor.DataType == onnxio.Bool || v.Tensor.DataType == onnxio.String {
			continue
		}
		for _, u := range v.Uses {
			if parameter(u, s) {
				r.Params += v.Tensor.Len()
				r.ParamTensors++
				break
			}
		}
	}
}

// normalisations lists operators whose further inputs are vectors over channels.
var normalisations = map[string]bool{"BatchNormalization": true, "InstanceNormalization": true, "LayerNormalization": true,
	"GroupNormalization": true, "RMSNormalization": true, "PRelu": true, "LSTM": true, "GRU": true, "RNN": true}

// parameter reports whether a constant is read as a weight, bias or vector over channels: by a layer, by a normalisation, or by a Mul
// or Add with one value per channel of an activation (a frozen batch norm).
func parameter(u graph.Use, s *shape.Result) bool {
	n := u.Node
	switch n.Op {
	case "Conv", "ConvTranspose", "ConvInteger", "FusedConv", "DeformConv", "Gemm", "FusedGemm", "MatMul", "MatMulInteger":
		return u.Input <= 2
	case "QLinearConv", "QLinearMatMul":
		return u.Input == 3 || u.Input == 8
	case "DequantizeLinear", "Identity", "Transpose", "Cast", "Reshape", "Unsqueeze", "Squeeze":
		v := n.Output(0)
		if u.Input != 0 || v == nil {
			return false
		}
		for _, next := range v.Uses {
			if parameter(next, s) {
				return true
			}
		}
		return false
	case "Add", "Mul", "Sub", "Div":
		other := n.Input(1 - u.Input)
		return perChannel(s.Of(n.Inputs[u.Input]), s.Of(other)) && ofLayer(other, 4)
	}
	return normalisations[n.Op] && u.Input > 0
}

// ofLayer reports whether a value comes out of a convolution, perhaps through a few element-wise nodes.
func ofLayer(v *graph.Value, steps int) bool {
	if v == nil || v.Producer == nil || steps == 0 {
		return false
	}
	switch p := v.Producer; p.Op {
	case "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "FusedConv", "DeformConv":
		return true
	case "Add", "Mul", "Sub", "Div", "Cast":
		return ofLayer(p.Input(0), steps-1) || ofLayer(p.Input(1), steps-1)
	}
	return false
}

// perChannel reports whether c holds one value for each channel of x, [C,1,1] or [1,C,1,1] against [N,C,H,W].
func perChannel(c, x *shape.Info) bool {
	if !c.Known || x.Rank() < 3 {
		return false
	}
	channels, ok := x.Fixed(1)
	for k := range c.Dims {
		n, fixed := c.Fixed(k)
		at := x.Rank() - c.Rank() + k
		if !fixed || at == 1 && n != channels || at != 1 && n != 1 {
			return false
		}
	}
	return ok && channels > 1 && c.Rank() >= x.Rank()-1
}
