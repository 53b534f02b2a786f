// Package cost counts what a model costs to run and to store: multiply-accumulates (MACs), parameters, bytes.
//
// One multiply and its addition count as one MAC, as PaddleSlim's "FLOPs" do: of a convolution
// outputs * input channels per group * kernel elements, without the bias. Linear and recurrent layers and transposed convolutions are
// counted by the same rule, and each kind also by itself. What is computed from constants only costs nothing: it is the same in every
// run. Layers inside control-flow bodies are counted apart: how often they run is
// known only at run time.
package cost

import (
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
)

// Kind is a kind of layer.
type Kind string

// The kinds of layers that have MACs.
const (
	Conv          Kind = "conv"
	ConvTranspose Kind = "conv_transpose"
	Linear        Kind = "linear" // recurrent layers and the projections of attentions too
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
	static := g.Static()
	for _, n := range g.Nodes {
		l, ok := layer(n, shapes, static)
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
	r.parameters(g, shapes, static)
	return r
}
