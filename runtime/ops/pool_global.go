package ops

// Pooling over whole planes, and MaxUnpool, which undoes MaxPool.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "GlobalAveragePool", buildGlobalAveragePool, 1, 22)
	Register("", "GlobalMaxPool", buildGlobalMaxPool, 1, 22)
	Register("", "GlobalLpPool", buildGlobalLpPool, 1, 2, 22)
	Register("", "MaxUnpool", buildMaxUnpool, 9, 11, 22)
}

func buildGlobalAveragePool(n *Node) (Kernel, error) {
	return byFloat(globalPool(globalAverage[float32]), globalPool(globalAverage[float64])), n.CheckInputs(1, 1)
}

func globalAverage[T kernels.Float](c *Context, x []T, planes, size int, y []T) {
	kernels.GlobalAveragePool(c.Pool, x, planes, size, y)
}

func buildGlobalMaxPool(n *Node) (Kernel, error) {
	return byFloat(globalPool(globalMax[float32]), globalPool(globalMax[float64])), n.CheckInputs(1, 1)
}

func globalMax[T kernels.Float](c *Context, x []T, planes, size int, y []T) {
	kernels.GlobalMaxPool(c.Pool, x, planes, size, y)
}

func buildGlobalLpPool(n *Node) (Kernel, error) {
	order, err := readOrder(n)
	if err == nil {
		err = n.CheckInputs(1, 1)
	}
	if err == nil && order < 1 {
		err = fmt.Errorf("attribute p is %d", order)
	}
	return byFloat(globalPool(globalLp[float32](order)), globalPool(globalLp[float64](order))), err
}

func globalLp[T kernels.Float](order int) func(c *Context, x []T, planes, size int, y []T) {
	return func(c *Context, x []T, planes, size int, y []T) {
		kernels.GlobalLpPool(c.Pool, order, x, planes, size, y)
	}
}

// globalPool makes a kernel that turns every plane into one number.
func globalPool[T kernels.Float](pool func(c *Context, x []T, planes, size int, y []T)) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if len(x.Shape) < 2 {
			return nil, fmt.Errorf("input of shape %v, want batch, channels and spatial axes", x.Shape)
		}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		shape := slices.Concat(x.Shape[:2], slices.Repeat([]int{1}, len(x.Shape)-2))
		y, err := newFloatOutput[T](c, x.Type, shape...)
		if err != nil {
			return nil, err
		}
		pool(c, xs, product(shape), product(x.Shape[2:]), y.data)
		return []*value.Tensor{y.done()}, nil
	}
}

func buildMaxUnpool(n *Node) (Kernel, error) {
	s := sliding{autoPad: "NOTSET", strides: n.Ints("strides"), pads: n.Ints("pads")}
	kernel := n.Ints("kernel_shape")
	if kernel == nil {
		return nil, fmt.Errorf("attribute kernel_shape is missing")
	}
	u := &maxUnpool{s, kernel}
	return byFloat(unpoolTo[float32](u), unpoolTo[float64](u)), n.CheckInputs(2, 3)
}

type maxUnpool struct {
	sliding
	kernel []int
}

// sizes returns the spatial sizes that the indices count in, and those of the output.
func (u *maxUnpool) sizes(in []*value.Tensor) (counted, out []int, err error) {
	x := in[0]
	_, _, spatial, err := splitSpatial(x.Shape)
	if err != nil {
		return nil, nil, err
	}
	p, err := u.start(u.kernel, spatial)
	if err != nil {
		return nil, nil, err
	}
	for d := range spatial {
		counted = append(counted, max(0, (spatial[d]-1)*p.strides[d]+u.kernel[d]-p.begin[d]-p.end[d]))
	}
	if len(in) < 3 || in[2] == nil {
		return counted, counted, nil
	}
	asked, ok := in[2].Ints()
	if !ok || len(asked) != len(x.Shape) {
		return nil, nil, fmt.Errorf("output_shape %v for an input of shape %v", in[2], x.Shape)
	}
	for d := range x.Shape {
		if d < 2 && int(asked[d]) != x.Shape[d] {
			return nil, nil, fmt.Errorf("output_shape %v for an input of shape %v", asked, x.Shape)
		}
		if d >= 2 {
			out = append(out, int(asked[d]))
		}
	}
	return counted, out, nil
}

func unpoolTo[T kernels.Float](u *maxUnpool) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		counted, out, err := u.sizes(in)
		if err != nil {
			return nil, err
		}
		where, ok := in[1].Data.([]int64)
		if in[1].Type != onnxio.Int64 || !ok || !slices.Equal(in[1].Shape, x.Shape) {
			return nil, fmt.Errorf("indices are %v for an input %v", in[1], x)
		}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, x.Type, append(slices.Clone(x.Shape[:2]), out...)...)
		if err != nil {
			return nil, err
		}
		from := append(slices.Clone(x.Shape[:2]), counted...)
		at := make([]int, len(from))
		for i, w := range where {
			if w < 0 || w >= int64(product(from)) {
				return nil, fmt.Errorf("index %d lies outside of the shape %v", w, from)
			}
			unravelIndex(int(w), from, at)
			flat, inside := 0, true
			for d, a := range at {
				inside = inside && a < y.tensor.Shape[d]
				flat = flat*y.tensor.Shape[d] + a
			}
			if inside {
				y.data[flat] = xs[i]
			}
		}
		return []*value.Tensor{y.done()}, nil
	}
}
