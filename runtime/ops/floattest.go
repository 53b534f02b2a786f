package ops

// Tests of floating-point numbers, which give booleans: NaN and infinity.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "IsNaN", buildIsNaN, 9, 13, 20)
	Register("", "IsInf", buildIsInf, 10, 20)
}

func buildIsNaN(n *Node) (Kernel, error) {
	return buildFloatTest(n, func(x float64) bool { return x != x }, (*tinyFloat).isNaN)
}

func buildIsInf(n *Node) (Kernel, error) {
	negative, positive := n.Bool("detect_negative", true), n.Bool("detect_positive", true)
	test := func(x float64) bool {
		return positive && math.IsInf(x, 1) || negative && math.IsInf(x, -1)
	}
	return buildFloatTest(n, test, func(f *tinyFloat, bits uint8) bool { return test(float64(f.decode(bits))) })
}

// buildFloatTest makes an operator that asks something of every float, those of 8 bits included.
func buildFloatTest(n *Node, test func(float64) bool, tiny func(*tinyFloat, uint8) bool) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		out, err := c.New(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		format, isTiny := tinyFloats[in[0].Type]
		switch {
		case in[0].Type == onnxio.Float:
			mapLoop(c, out, in[0], testLoop[float32](test))
		case in[0].Type == onnxio.Double:
			mapLoop(c, out, in[0], testLoop[float64](test))
		case isTiny:
			mapLoop(c, out, in[0], func(dst []bool, x []uint8) {
				for i, v := range x {
					dst[i] = tiny(format, v)
				}
			})
		default:
			return nil, fmt.Errorf("it has no meaning for %v", in[0])
		}
		return []*value.Tensor{out}, nil
	}), nil
}

func testLoop[T kernels.Float](test func(float64) bool) func(dst []bool, x []T) {
	return func(dst []bool, x []T) {
		for i, v := range x {
			dst[i] = test(float64(v))
		}
	}
}
