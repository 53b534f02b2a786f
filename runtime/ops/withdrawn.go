package ops

import (
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// Operators that ONNX 1.0 had as experiments and withdrew with opset 10; converters of that time (CoreML's) still wrote them at opset 7.
// They mean what ONNX Runtime makes of them.

func init() {
	Register("", "ImageScaler", buildImageScaler, 1)
	Register("", "Crop", buildCrop, 1)
}

// buildImageScaler is x*scale + bias[channel] on [N,C,H,W].
func buildImageScaler(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	scale, bias := n.Float("scale", 1), n.Floats("bias")
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if x.Type != onnxio.Float || len(x.Shape) != 4 || len(bias) != x.Shape[1] {
			return nil, fmt.Errorf("input %v for %d biases, want float32[N,%d,H,W]", x, len(bias), len(bias))
		}
		y, err := c.New(x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		src, dst, plane := value.Of[float32](x), value.Of[float32](y), x.Shape[2]*x.Shape[3]
		for i, v := range src {
			dst[i] = v*scale + bias[i/plane%len(bias)]
		}
		return []*value.Tensor{y}, nil
	}), nil
}

// buildCrop takes a border off the picture's edges, left, top, right and bottom; a scale [height, width] says how much
// stays behind left and top instead.
func buildCrop(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	border, scale := n.Ints("border"), n.Ints("scale")
	if len(border) != 4 || len(scale) != 0 && len(scale) != 2 {
		return nil, fmt.Errorf("border %v and scale %v, want four and two numbers", border, scale)
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if x.Type != onnxio.Float || len(x.Shape) != 4 {
			return nil, fmt.Errorf("input %v, want float32[N,C,H,W]", x)
		}
		h, w := x.Shape[2], x.Shape[3]
		left, top, right, bottom := border[0], border[1], w-border[2], h-border[3]
		if len(scale) == 2 {
			right, bottom = left+scale[1], top+scale[0]
		}
		if left < 0 || top < 0 || right > w || bottom > h || left > right || top > bottom {
			return nil, fmt.Errorf("border %v and scale %v do not fit the input %v", border, scale, x)
		}
		y, err := c.New(x.Type, x.Shape[0], x.Shape[1], bottom-top, right-left)
		if err != nil {
			return nil, err
		}
		src, dst := value.Of[float32](x), value.Of[float32](y)
		for p := range x.Shape[0] * x.Shape[1] {
			for r := top; r < bottom; r++ {
				dst = dst[copy(dst, src[(p*h+r)*w+left:(p*h+r)*w+right]):]
			}
		}
		return []*value.Tensor{y}, nil
	}), nil
}
