package ops

// Pooling over windows: MaxPool, AveragePool, LpPool. What a window sees is the kernels' business; here the
// attributes become sizes and pads.

import (
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "MaxPool", buildMaxPool, 1, 8, 10, 11, 12, 22)
	Register("", "AveragePool", buildAveragePool, 1, 7, 10, 11, 19, 22)
	Register("", "LpPool", buildLpPool, 1, 2, 11, 18, 22)
}

// pooling is what the three operators have in common.
type pooling struct {
	sliding
	kernel []int
}

// readPooling reads the window. ceil_mode and dilations came with later versions.
func readPooling(n *Node, ceilSince, dilationsSince int) (*pooling, error) {
	p := &pooling{sliding: readSliding(n, n.Since >= dilationsSince), kernel: n.Ints("kernel_shape")}
	if n.Since >= ceilSince {
		p.ceil = n.Bool("ceil_mode", false)
	}
	if p.kernel == nil {
		return nil, fmt.Errorf("attribute kernel_shape is missing")
	}
	return p, n.CheckInputs(1, 1)
}

// poolingShapes are the sizes of one run.
type poolingShapes struct {
	*placement
	shape  []int // of the output
	planes int
}

func (p *pooling) shapes(x *value.Tensor) (*poolingShapes, error) {
	batch, channels, spatial, err := splitSpatial(x.Shape)
	if err != nil {
		return nil, err
	}
	place, err := p.place(p.kernel, spatial)
	if err != nil {
		return nil, err
	}
	return &poolingShapes{placement: place, shape: append([]int{batch, channels}, place.out...), planes: batch * channels}, nil
}

func (s *poolingShapes) window() kernels.Window {
	return kernels.Window{Kernel: s.kernel, Strides: s.strides, Dilations: s.dilations, PadsBegin: s.begin, PadsEnd: s.end}
}

func buildMaxPool(n *Node) (Kernel, error) {
	p, err := readPooling(n, 10, 10)
	if err != nil {
		return nil, err
	}
	columnMajor := n.Since >= 8 && n.Int("storage_order", 0) != 0
	indices := n.HasOutput(1)
	return forOutputs(n, func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		switch in[0].Type {
		case onnxio.Double:
			return maxPoolFloat[float64](c, p, in[0], indices, columnMajor)
		case onnxio.Int8:
			return maxPoolInt[int8](c, p, in[0], indices, columnMajor)
		case onnxio.Uint8:
			return maxPoolInt[uint8](c, p, in[0], indices, columnMajor)
		}
		return maxPoolFloat[float32](c, p, in[0], indices, columnMajor)
	}), nil
}

func maxPoolFloat[T kernels.Float](c *Context, p *pooling, x *value.Tensor, indices, columnMajor bool) ([]*value.Tensor, error) {
	s, err := p.shapes(x)
	if err != nil {
		return nil, err
	}
	xs, err := floatElements[T](x)
	if err != nil {
		return nil, err
	}
	y, err := newFloatOutput[T](c, x.Type, s.shape...)
	if err != nil {
		return nil, err
	}
	where, err := maxPool(c, s, xs, y.data, indices, columnMajor)
	return []*value.Tensor{y.done(), where}, err
}

func maxPoolInt[T int8 | uint8](c *Context, p *pooling, x *value.Tensor, indices, columnMajor bool) ([]*value.Tensor, error) {
	s, err := p.shapes(x)
	if err != nil {
		return nil, err
	}
	y, err := c.New(x.Type, s.shape...)
	if err != nil {
		return nil, err
	}
	where, err := maxPool(c, s, value.Of[T](x), value.Of[T](y), indices, columnMajor)
	return []*value.Tensor{y, where}, err
}

func maxPool[T kernels.Number](c *Context, s *poolingShapes, x, y []T, indices, columnMajor bool) (*value.Tensor, error) {
	var where *value.Tensor
	var positions []int64
	if indices {
		var err error
		if where, err = c.New(onnxio.Int64, s.shape...); err != nil {
			return nil, err
		}
		positions = value.Of[int64](where)
	}
	return where, kernels.MaxPool(c.Pool, s.window(), x, s.planes, s.in, s.out, y, positions, columnMajor)
}

func buildAveragePool(n *Node) (Kernel, error) {
	p, err := readPooling(n, 10, 19)
	if err != nil {
		return nil, err
	}
	padded := n.Since >= 7 && n.Bool("count_include_pad", false)
	return byFloat(averagePool[float32](p, padded), averagePool[float64](p, padded)), nil
}

func averagePool[T kernels.Float](p *pooling, countIncludePad bool) TensorFunc {
	return floatPool(p, func(c *Context, s *poolingShapes, x, y []T) error {
		return kernels.AveragePool(c.Pool, s.window(), x, s.planes, s.in, s.out, y, countIncludePad)
	})
}

func buildLpPool(n *Node) (Kernel, error) {
	p, err := readPooling(n, 18, 18)
	if err != nil {
		return nil, err
	}
	order, err := readOrder(n)
	if err != nil {
		return nil, err
	}
	return byFloat(lpPool[float32](p, order), lpPool[float64](p, order)), nil
}

func lpPool[T kernels.Float](p *pooling, order int) TensorFunc {
	return floatPool(p, func(c *Context, s *poolingShapes, x, y []T) error {
		return kernels.LpPool(c.Pool, s.window(), order, x, s.planes, s.in, s.out, y)
	})
}

// readOrder reads the order p of a norm, a float in version 1.
func readOrder(n *Node) (int, error) {
	if n.Since > 1 {
		return int(n.Int("p", 2)), nil
	}
	p := n.Float("p", 2)
	if p != float32(int(p)) {
		return 0, fmt.Errorf("attribute p is %v, only whole numbers are known", p)
	}
	return int(p), nil
}

// floatPool is a pooling kernel of floating-point tensors.
func floatPool[T kernels.Float](p *pooling, pool func(c *Context, s *poolingShapes, x, y []T) error) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		s, err := p.shapes(in[0])
		if err != nil {
			return nil, err
		}
		x, err := floatElements[T](in[0])
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, in[0].Type, s.shape...)
		if err != nil {
			return nil, err
		}
		if err := pool(c, s, x, y.data); err != nil {
			return nil, err
		}
		return []*value.Tensor{y.done()}, nil
	}
}
