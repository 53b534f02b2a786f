package ops

// The Gelus of com.microsoft that add a bias first. It stands along the last axis.

import (
	"fmt"

	"onnxprune/runtime/value"
)

func init() {
	Register("com.microsoft", "BiasGelu", buildBiasGelu, 1)
	Register("com.microsoft", "FastGelu", buildFastGelu, 1)
}

func buildBiasGelu(n *Node) (Kernel, error) {
	return addThen(fixedGelu(n)), n.CheckInputs(2, 2)
}

// buildFastGelu makes the approximation by tanh; the bias is optional.
func buildFastGelu(n *Node) (Kernel, error) {
	return addThen(pointwise{f: geluTanh, loop: geluTanhLoop}), n.CheckInputs(1, 2)
}

func addThen(p pointwise) Kernel {
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if len(in) > 1 && in[1] != nil {
			if len(in[1].Shape) != 1 {
				return nil, fmt.Errorf("the bias is %v, want one axis", in[1])
			}
			sum, err := numbers.apply(c, "Add", x, in[1])
			if err != nil {
				return nil, err
			}
			x = sum
		}
		return oneOutput(p.apply(c, x))
	})
}
