package ops

// ONNX Runtime's average poolings of 8-bit integers. Sums are exact integers; the mean is requantized once.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("com.microsoft", "QLinearGlobalAveragePool", buildQLinearGlobalAveragePool, 1)
	Register("com.microsoft", "QLinearAveragePool", buildQLinearAveragePool, 1)
}

// quantizedPool reads X, its scale and zero, and Y's; pool gives means of dequantized planes, and their shape.
func quantizedPool(n *Node, channelsLast bool, pool func(c *Context, x *value.Tensor) (*value.Tensor, error)) (Kernel, error) {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		from, err := readLevels(in, 1, 2, x.Type)
		if err != nil {
			return nil, err
		}
		to, err := readLevels(in, 3, 4, x.Type)
		if err != nil {
			return nil, err
		}
		if len(x.Shape) < 3 {
			return nil, fmt.Errorf("input of shape %v, want batch, channels and at least one spatial axis", x.Shape)
		}
		counts, _ := x.Ints()
		plain := value.New(onnxio.Float, x.Shape...)
		for i, d := 0, value.Of[float32](plain); i < len(d); i++ {
			d[i] = float32(int32(counts[i]) - from.zero) // whole numbers: sums of up to 65536 of them are exact
		}
		if channelsLast {
			plain = moveChannels(plain, true)
		}
		means, err := pool(c, plain)
		if err != nil {
			return nil, err
		}
		if channelsLast {
			means = moveChannels(means, false)
		}
		y, err := c.New(x.Type, means.Shape...)
		if err != nil {
			return nil, err
		}
		ratio := from.scale / to.scale
		for i, m := range value.Of[float32](means) {
			q := saturate(m*ratio, to.zero, to.least, to.most)
			switch d := y.Data.(type) {
			case []uint8:
				d[i] = uint8(q)
			case []int8:
				d[i] = int8(q)
			}
		}
		return []*value.Tensor{y}, nil
	}), n.CheckInputs(4, 5)
}

// moveChannels brings the channels, which lie last, to where they usually are, or back.
func moveChannels(t *value.Tensor, front bool) *value.Tensor {
	last := len(t.Shape) - 1
	perm := []int{0, last}
	for d := 1; d < last; d++ {
		perm = append(perm, d)
	}
	if !front {
		back := make([]int, len(perm))
		for i, p := range perm {
			back[p] = i
		}
		perm = back
	}
	shape := make([]int, len(perm))
	for i, p := range perm {
		shape[i] = t.Shape[p]
	}
	out := value.New(t.Type, shape...)
	_ = kernels.Transpose(nil, value.Of[float32](out), value.Of[float32](t), t.Shape, perm)
	return out
}

func buildQLinearGlobalAveragePool(n *Node) (Kernel, error) {
	return quantizedPool(n, n.Bool("channels_last", false), func(c *Context, x *value.Tensor) (*value.Tensor, error) {
		shape := slices.Concat(x.Shape[:2], slices.Repeat([]int{1}, len(x.Shape)-2))
		y := value.New(onnxio.Float, shape...)
		kernels.GlobalAveragePool(c.Pool, value.Of[float32](x), product(shape), product(x.Shape[2:]), value.Of[float32](y))
		return y, nil
	})
}

func buildQLinearAveragePool(n *Node) (Kernel, error) {
	p := &pooling{sliding: readSliding(n, false), kernel: n.Ints("kernel_shape")}
	p.ceil = n.Bool("ceil_mode", false)
	padded := n.Bool("count_include_pad", false)
	if p.kernel == nil {
		return nil, fmt.Errorf("attribute kernel_shape is missing")
	}
	return quantizedPool(n, n.Bool("channels_last", false), func(c *Context, x *value.Tensor) (*value.Tensor, error) {
		s, err := p.shapes(x)
		if err != nil {
			return nil, err
		}
		y := value.New(onnxio.Float, s.shape...)
		for d := range s.out { // here a mean counts the whole window, even where it leaves the padding
			s.end[d] = max(s.end[d], (s.out[d]-1)*s.strides[d]+s.span(d)-s.in[d]-s.begin[d])
		}
		return y, kernels.AveragePool(c.Pool, s.window(), value.Of[float32](x), s.planes, s.in, s.out, value.Of[float32](y), padded)
	})
}
