package ops

// Concat and Split: joining tensors along an axis and cutting one up. Each part is one strided copy.

import (
	"fmt"
	"slices"

	"onnxprune/runtime/value"
)

func init() {
	Register("", "Concat", buildConcat, 1, 4, 11, 13)
	Register("", "Split", buildSplit, 1, 2, 11, 13, 18)
}

func buildConcat(n *Node) (Kernel, error) {
	if err := n.CheckInputs(len(n.Inputs), -1); err != nil {
		return nil, err
	}
	if len(n.Inputs) == 0 {
		return nil, fmt.Errorf("it has no inputs")
	}
	if n.Since >= 4 && !n.Has("axis") {
		return nil, fmt.Errorf("attribute axis is missing")
	}
	axis := int(n.Int("axis", 1)) // the default is of opset 1
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return oneOutput(concatenated(c, in, axis))
	}), nil
}

// concatenated joins tensors that agree in everything but the size of one axis.
func concatenated(c *Context, in []*value.Tensor, axis int) (*value.Tensor, error) {
	axis, err := axisIn(axis, len(in[0].Shape))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", in[0], err)
	}
	shape := slices.Clone(in[0].Shape)
	for i, t := range in[1:] {
		same := t.Type == in[0].Type && len(t.Shape) == len(shape)
		for d := 0; same && d < len(shape); d++ {
			same = d == axis || t.Shape[d] == shape[d]
		}
		if !same {
			return nil, fmt.Errorf("input %d is %v, which cannot be joined to %v along axis %d", i+1, t, in[0], axis)
		}
		shape[axis] += t.Shape[axis]
	}
	if len(in) == 1 {
		return in[0].View(shape...), nil
	}
	out, err := c.New(in[0].Type, shape...)
	if err != nil {
		return nil, err
	}
	strides, at := stridesOf(shape), 0
	for _, t := range in {
		moverOf(out).box(c.Pool, t.Shape, at, strides, moverOf(t), 0, stridesOf(t.Shape))
		at += t.Shape[axis] * strides[axis]
	}
	return out, nil
}

func buildSplit(n *Node) (Kernel, error) {
	most := 2 // opset 1 and opset 13 have the sizes as a second input
	if n.Since >= 2 && n.Since < 13 {
		most = 1
	}
	if err := n.CheckInputs(1, most); err != nil {
		return nil, err
	}
	axis, parts := int(n.Int("axis", 0)), len(n.Outputs)
	var attribute []int
	if n.Since < 13 {
		attribute = n.Ints("split")
	}
	uneven := n.Since >= 18 && n.Has("num_outputs")
	if uneven {
		parts = int(n.Int("num_outputs", 0))
		if parts != len(n.Outputs) || n.HasInput(1) {
			return nil, fmt.Errorf("attribute num_outputs is %d; it has %d outputs, and sizes: %v", parts, len(n.Outputs), n.HasInput(1))
		}
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		axis, err := axisIn(axis, len(in[0].Shape))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", in[0], err)
		}
		sizes := attribute
		if len(in) > 1 && in[1] != nil {
			if sizes, err = intsOf(in[1], "the split input"); err != nil {
				return nil, err
			}
		}
		if sizes == nil {
			if sizes, err = evenSizes(in[0].Shape[axis], parts, uneven); err != nil {
				return nil, fmt.Errorf("%v along axis %d: %w", in[0], axis, err)
			}
		}
		if len(sizes) != parts {
			return nil, fmt.Errorf("sizes %v for %d outputs", sizes, parts)
		}
		return splitInto(c, in[0], axis, sizes)
	}), nil
}

// evenSizes cuts a dimension into parts of the same size; where that may be uneven, the last part is smaller.
func evenSizes(dim, parts int, uneven bool) ([]int, error) {
	if parts < 1 || dim%parts != 0 && !uneven {
		return nil, fmt.Errorf("%d cannot be cut into %d equal parts", dim, parts)
	}
	sizes := make([]int, parts)
	size := (dim + parts - 1) / parts
	for i := range sizes {
		sizes[i] = min(size, max(dim-i*size, 0))
	}
	return sizes, nil
}

func splitInto(c *Context, t *value.Tensor, axis int, sizes []int) ([]*value.Tensor, error) {
	total := 0
	for _, s := range sizes {
		if s < 0 || s > t.Shape[axis] {
			total = -1
			break
		}
		total += s
	}
	if total != t.Shape[axis] {
		return nil, fmt.Errorf("sizes %v do not add up to axis %d of %v", sizes, axis, t)
	}
	strides, from := stridesOf(t.Shape), 0
	out := make([]*value.Tensor, len(sizes))
	for i, s := range sizes {
		shape := slices.Clone(t.Shape)
		shape[axis] = s
		part, err := c.New(t.Type, shape...)
		if err != nil {
			return nil, err
		}
		moverOf(part).box(c.Pool, shape, 0, stridesOf(shape), moverOf(t), from, strides)
		from += s * strides[axis]
		out[i] = part
	}
	return out, nil
}
