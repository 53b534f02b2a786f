package ops

import (
	"fmt"

	"onnxprune/analysis/graph"
)

// Role says in words what an axis of an operand is to the node that reads it.
func Role(n *graph.Node, input, axis int) string {
	at := func(what string) string { return what + " of " + n.Title() }
	switch n.Op {
	case "Conv", "FusedConv", "ConvInteger", "QLinearConv", "DeformConv":
		o := convOperands(n.Op)
		switch {
		case input == o.w && axis == 0:
			return at("output channels")
		case input == o.w && axis == 1:
			return at("input channels")
		case input == o.bias:
			return at("bias")
		}
	case "ConvTranspose":
		switch {
		case input == 1 && axis == 1:
			return at("output channels")
		case input == 1 && axis == 0:
			return at("input channels")
		case input == 2:
			return at("bias")
		}
	case "Gemm", "FusedGemm":
		tb := int(n.Int("transB", 0))
		switch {
		case input == 1 && axis == 1-tb:
			return at("output features")
		case input == 1 && axis == tb:
			return at("input features")
		case input == 2:
			return at("bias")
		}
	case "MatMul", "MatMulInteger", "QLinearMatMul":
		if input == 1 || input == 3 && n.Op == "QLinearMatMul" {
			rank := len(n.Inputs[input].Data().Dims)
			if axis == rank-1 {
				return at("output features")
			}
			if axis == rank-2 {
				return at("input features")
			}
		}
	case "BatchNormalization":
		if names := []string{"", "scale", "bias", "mean", "variance"}; input > 0 && input < len(names) {
			return at(names[input])
		}
	case "InstanceNormalization", "GroupNormalization", "LayerNormalization":
		if names := []string{"", "scale", "bias"}; input > 0 && input < len(names) {
			return at(names[input])
		}
	case "PRelu":
		if input == 1 {
			return at("slope")
		}
	case "LSTM", "GRU", "RNN":
		if input == 1 && axis == 2 {
			return at("input features")
		}
	}
	return at(fmt.Sprintf("operand %d", input))
}
