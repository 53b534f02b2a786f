package ops

// DynamicQuantizeLinear chooses scale and zero point from the numbers themselves.

import (
	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "DynamicQuantizeLinear", buildDynamicQuantize, 11) }

func buildDynamicQuantize(n *Node) (Kernel, error) {
	return forOutputs(n, func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x, err := floatElements[float32](in[0])
		if err != nil {
			return nil, err
		}
		scale, zero := dynamicRange(x)
		y, err := c.New(onnxio.Uint8, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		quantizeBytes(c, value.Of[uint8](y), x, scale, int32(zero))
		return []*value.Tensor{y, value.Scalar(scale), value.Scalar(zero)}, nil
	}), n.CheckInputs(1, 1)
}

// dynamicRange chooses scale and zero point so that uint8 covers all of x, and zero exactly.
func dynamicRange(x []float32) (scale float32, zero uint8) {
	lo, hi := kernels.Extent(x)
	if lo == hi {
		return 1, 0
	}
	scale = (hi - lo) / 255
	return scale, uint8(saturate(-lo/scale, 0, 0, 255))
}

// quantizeBytes quantizes with one scale.
func quantizeBytes(c *Context, dst []uint8, x []float32, scale float32, zero int32) {
	g := &granules{size: len(x), axis: 1, inner: len(x), count: 1}
	quantizeRuns(c, g, dst, x, []float32{scale}, []int32{zero}, nil, 0, 255)
}
