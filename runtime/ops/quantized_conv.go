package ops

// Convolutions of 8-bit integers: ConvInteger and QLinearConv. Zero points are taken away first, so padding is zero;
// then whole numbers are convolved exactly.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "ConvInteger", buildConvInteger, 10)
	Register("", "QLinearConv", buildQLinearConv, 10)
	Register("com.microsoft", "QLinearConv", buildQLinearConv, 1)
}

// byteConv is a convolution of X with W, their zero points at given inputs. Plans are kept where W and its zero point
// are constant.
type byteConv struct {
	*convolution
	plans planCache[*kernels.ConvIntPlan]
}

func readByteConv(n *Node, w, zeroW int) (*byteConv, error) {
	conv, err := readConvolution(n)
	if err != nil {
		return nil, err
	}
	k := &byteConv{convolution: conv}
	k.plans.keep = n.Constant(w) != nil && (!n.HasInput(zeroW) || n.Constant(zeroW) != nil)
	return k, nil
}

// sums convolves. zeroX and zeroW are the zero points' inputs; bias one number per output channel, or nil.
func (k *byteConv) sums(c *Context, x, w *value.Tensor, in []*value.Tensor, zeroX, zeroW int, bias []int32) (*value.Tensor, *convShapes, error) {
	s, err := k.shapes(x, w)
	if err != nil {
		return nil, nil, err
	}
	plan, err := k.plans.get(slices.Concat(s.begin, s.end), func() (*kernels.ConvIntPlan, error) { return k.plan(s, w, in, zeroW) })
	if err != nil {
		return nil, nil, err
	}
	zero, err := signedZeros(in, zeroX, x)
	if err != nil {
		return nil, nil, err
	}
	if len(zero) != 1 {
		return nil, nil, fmt.Errorf("%d zero points of the input", len(zero))
	}
	out, err := c.New(onnxio.Int32, s.output()...)
	if err != nil {
		return nil, nil, err
	}
	y := value.Of[int32](out)
	switch x.Type {
	case onnxio.Int8:
		err = kernels.RunConvInt(plan, c.Pool, value.Of[int8](x), zero[0], s.batch, s.in, y)
	case onnxio.Uint8:
		err = kernels.RunConvInt(plan, c.Pool, value.Of[uint8](x), uint8(zero[0])^0x80, s.batch, s.in, y)
	default:
		err = fmt.Errorf("%v is not of 8-bit integers", x)
	}
	if err != nil {
		return nil, nil, err
	}
	size := product(s.out)
	for i := 0; i < s.batch*s.outChannels && bias != nil; i++ {
		row := y[i*size : (i+1)*size]
		kernels.AddScalar(row, row, bias[i%s.outChannels])
	}
	return out, s, nil
}

func (k *byteConv) plan(s *convShapes, w *value.Tensor, in []*value.Tensor, zeroW int) (*kernels.ConvIntPlan, error) {
	weights, err := signedBytes(w)
	if err != nil {
		return nil, err
	}
	zeros, err := signedZeros(in, zeroW, w)
	if err != nil {
		return nil, err
	}
	return kernels.NewConvInt(k.describe(s), weights, zeros)
}

func buildConvInteger(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 4); err != nil {
		return nil, err
	}
	k, err := readByteConv(n, 1, 3)
	if err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		y, _, err := k.sums(c, in[0], in[1], in, 2, 3, nil)
		return oneOutput(y, err)
	}), nil
}

// buildQLinearConv reads x, scale, zero, w, scale, zero, y's scale and zero, and the bias.
func buildQLinearConv(n *Node) (Kernel, error) {
	if err := n.CheckInputs(8, 9); err != nil {
		return nil, err
	}
	k, err := readByteConv(n, 3, 5)
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
	return oneOutput(requantized(c, value.Of[int32](sums), s.output(), in[7], product(s.out), func(row, _ int) float32 {
		if len(w) == 1 {
			return x[0] * w[0] / y[0]
		}
		return x[0] * w[row%s.outChannels] / y[0]
	}))
}
