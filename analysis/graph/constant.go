package graph

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
)

// readConstant sets the value that a Constant node holds, whichever attribute it stands in.
func (v *Value) readConstant(n *Node) error {
	for _, a := range n.Attrs {
		switch a.Name {
		case "value":
			v.Tensor = a.Tensor
		case "sparse_value":
			v.Sparse = a.Sparse
		case "value_float":
			v.Tensor = onnxio.NewFloats32("", nil, []float32{a.F})
		case "value_floats":
			v.Tensor = onnxio.NewFloats32("", []int64{int64(len(a.Floats))}, a.Floats)
		case "value_int":
			v.Tensor = onnxio.NewInts64("", nil, []int64{a.I})
		case "value_ints":
			v.Tensor = onnxio.NewInts64("", []int64{int64(len(a.Ints))}, a.Ints)
		case "value_string":
			v.Tensor = onnxio.NewStringTensor("", nil, []string{string(a.S)})
		case "value_strings":
			ss := make([]string, len(a.Strings))
			for i, s := range a.Strings {
				ss[i] = string(s)
			}
			v.Tensor = onnxio.NewStringTensor("", []int64{int64(len(ss))}, ss)
		default:
			return fmt.Errorf("attribute %s is not known", a.Name)
		}
	}
	if !v.Constant() {
		return fmt.Errorf("it holds no value")
	}
	return nil
}

// drawn lists the operators whose outputs are not decided by their inputs; Dropout is among them, as it drops at random in training.
var drawn = []string{"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"}

// Static tells, by Value.ID, which values nodes compute from constants only: what they hold is the same in every run. Constants
// themselves are not among them.
func (g *Graph) Static() []bool {
	out := make([]bool, len(g.Values))
	for _, n := range g.Nodes {
		static := len(n.Inputs) > 0 && len(n.Bodies) == 0 && !slices.Contains(drawn, n.Op)
		for _, v := range n.Inputs {
			static = static && (v == nil || v.Constant() || out[v.ID])
		}
		for _, v := range n.Outputs {
			if v != nil {
				out[v.ID] = static
			}
		}
	}
	return out
}
