package ops

// Convolutions of 8-bit integers: ConvInteger and QLinearConv. Zero points are taken away first, so padding is zero;
// then patches of the input are multiplied exactly.

import (
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "ConvInteger", buildConvInteger, 10)
	Register("", "QLinearConv", buildQLinearConv, 10)
	Register("com.microsoft", "QLinearConv", buildQLinearConv, 1)
}

// byteConv is a convolution of X with W, their zero points at given inputs.
type byteConv struct {
	*convolution
}

func readByteConv(n *Node) (*byteConv, error) {
	conv, err := readConvolution(n)
	if err != nil {
		return nil, err
	}
	return &byteConv{convolution: conv}, nil
}

// sums convolves. zeroX and zeroW are the zero points' inputs; bias one number per output channel, or nil.
func (k *byteConv) sums(c *Context, x, w *value.Tensor, in []*value.Tensor, zeroX, zeroW int, bias []int32) ([]int32, *convShapes, error) {
	s, err := k.shapes(x, w)
	if err != nil {
		return nil, nil, err
	}
	xs, err := signedBytes(x)
	if err != nil {
		return nil, nil, err
	}
	ws, err := signedBytes(w)
	if err != nil {
		return nil, nil, err
	}
	xz, err := signedZeros(in, zeroX, x)
	if err != nil {
		return nil, nil, err
	}
	wz, err := signedZeros(in, zeroW, w)
	if err != nil {
		return nil, nil, err
	}
	if len(xz) != 1 || len(wz) != 1 && len(wz) != s.outChannels {
		return nil, nil, fmt.Errorf("%d zero points of the input and %d of the weights for %d output channels", len(xz), len(wz), s.outChannels)
	}
	rows, size, terms := s.outChannels/k.groups, product(s.out), s.channels/k.groups*product(s.kernel)
	y := make([]int32, product(s.output()))
	plain, weights := zerosTaken(xs, 1, xz, false), zerosTaken(ws, terms, wz, false)
	eachPatchBand(c, s, k.groups, plain, 0, func(patches []float32, group, image, lo, hi int) {
		out := y[(image*s.outChannels+group*rows)*size+lo:]
		exactProduct(nil, rows, hi-lo, terms, weights[group*rows*terms:], terms, patches, hi-lo, out, size)
		for r := 0; r < rows && bias != nil; r++ {
			kernels.AddScalar(out[r*size:][:hi-lo], out[r*size:][:hi-lo], bias[group*rows+r])
		}
	})
	return y, s, nil
}

func buildConvInteger(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 4); err != nil {
		return nil, err
	}
	k, err := readByteConv(n)
	if err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		sums, s, err := k.sums(c, in[0], in[1], in, 2, 3, nil)
		if err != nil {
			return nil, err
		}
		y, err := c.New(onnxio.Int32, s.output()...)
		if err != nil {
			return nil, err
		}
		copy(value.Of[int32](y), sums)
		return []*value.Tensor{y}, nil
	}), nil
}

// buildQLinearConv reads x, scale, zero, w, scale, zero, y's scale and zero, and the bias.
func buildQLinearConv(n *Node) (Kernel, error) {
	if err := n.CheckInputs(8, 9); err != nil {
		return nil, err
	}
	k, err := readByteConv(n)
	if err != nil {
		return nil, err
	}
	if n.Domain != "" && n.Bool("channels_last", false) {
		return nil, fmt.Errorf("channels_last is not known")
	}
	return TensorFunc(k.quantized), nil
}

func (k *byteConv) quantized(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
	var bias []int32
	if len(in) > 8 && in[8] != nil {
		var ok bool
		if bias, ok = in[8].Data.([]int32); !ok || len(bias) != in[3].Shape[0] {
			return nil, fmt.Errorf("bias %v for weights of shape %v", in[8], in[3].Shape)
		}
	}
	sums, s, err := k.sums(c, in[0], in[3], in, 2, 5, bias)
	if err != nil {
		return nil, err
	}
	var scales [3][]float32
	for i, at := range []int{1, 4, 6} {
		if scales[i], err = scaleElements(in[at]); err != nil {
			return nil, fmt.Errorf("input %d: %w", at, err)
		}
	}
	x, w, y := scales[0], scales[1], scales[2]
	if len(x) != 1 || len(y) != 1 || len(w) != 1 && len(w) != s.outChannels {
		return nil, fmt.Errorf("scales of shapes %v, %v and %v for %d output channels", in[1].Shape, in[4].Shape, in[6].Shape, s.outChannels)
	}
	return oneOutput(requantized(c, sums, s.output(), in[7], product(s.out), func(row, _ int) float32 {
		if len(w) == 1 {
			return x[0] * w[0] / y[0]
		}
		return x[0] * w[row%s.outChannels] / y[0]
	}))
}
