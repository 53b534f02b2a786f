package ops

// Operators that change the shape and leave the elements where they are: Reshape, Flatten, Squeeze and Unsqueeze. Their
// outputs share the memory of their input.

import (
	"fmt"
	"slices"

	"onnxprune/runtime/value"
)

func init() {
	Register("", "Reshape", buildReshape, 1, 5, 13, 14, 19, 21, 23, 24, 25)
	Register("", "Flatten", buildFlatten, 1, 9, 11, 13, 21, 23, 24, 25)
	Register("", "Squeeze", axesOperator(squeezed), 1, 11, 13, 21, 23, 24, 25)
	Register("", "Unsqueeze", axesOperator(unsqueezed), 1, 11, 13, 21, 23, 24, 25)
}

func buildReshape(n *Node) (Kernel, error) {
	if n.Since < 5 {
		n.Ignore("consumed_inputs") // a hint about memory
		want := n.Ints("shape")
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		return TensorFunc(func(_ *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			return reshape(in[0], want, false)
		}), nil
	}
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	allowZero := n.Since >= 14 && n.Bool("allowzero", false)
	return TensorFunc(func(_ *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		want, err := intsOf(in[1], "the shape")
		if err != nil {
			return nil, err
		}
		return reshape(in[0], want, allowZero)
	}), nil
}

func reshape(t *value.Tensor, want []int, allowZero bool) ([]*value.Tensor, error) {
	shape, err := reshapedTo(t.Shape, want, allowZero)
	if err != nil {
		return nil, fmt.Errorf("cannot reshape %v to %v: %w", t, want, err)
	}
	return []*value.Tensor{t.View(shape...)}, nil
}

// reshapedTo resolves a requested shape: 0 keeps the dimension (unless allowZero), one -1 is worked out.
func reshapedTo(from, want []int, allowZero bool) ([]int, error) {
	shape := slices.Clone(want)
	open := -1
	for i, d := range shape {
		switch {
		case d == -1 && open >= 0:
			return nil, fmt.Errorf("more than one dimension is -1")
		case d == -1:
			open = i
			shape[i] = 1
		case d == 0 && !allowZero && i >= len(from):
			return nil, fmt.Errorf("dimension %d is 0, and there is none to keep", i)
		case d == 0 && !allowZero:
			shape[i] = from[i]
		}
	}
	rest, err := value.CheckedCount(shape)
	if err != nil {
		return nil, err
	}
	size := value.Count(from)
	if open >= 0 {
		if rest == 0 || size%rest != 0 {
			return nil, fmt.Errorf("no size of dimension %d fits %d elements", open, size)
		}
		shape[open] = size / rest
		rest *= shape[open]
	}
	if rest != size {
		return nil, fmt.Errorf("%d elements are not %d", size, rest)
	}
	return shape, nil
}

func buildFlatten(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	axis := int(n.Int("axis", 1))
	if n.Since < 11 && axis < 0 {
		return nil, fmt.Errorf("axis %d: negative axes came with opset 11", axis)
	}
	return TensorFunc(func(_ *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		shape, at := in[0].Shape, axis
		if at < 0 {
			at += len(shape)
		}
		if at < 0 || at > len(shape) {
			return nil, fmt.Errorf("axis %d does not exist in %v", axis, in[0])
		}
		return []*value.Tensor{in[0].View(value.Count(shape[:at]), value.Count(shape[at:]))}, nil
	}), nil
}

// axesOperator builds an operator whose axes are an attribute before opset 13 and an input since.
func axesOperator(shape func(from, axes []int, given bool) ([]int, error)) Builder {
	return func(n *Node) (Kernel, error) {
		if n.Since >= 13 {
			if err := n.CheckInputs(1, 2); err != nil {
				return nil, err
			}
		} else if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		var axes []int
		given := false
		if n.Since < 13 {
			axes, given = n.Ints("axes"), n.Has("axes")
		}
		return TensorFunc(func(_ *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			axes, given := axes, given
			if len(in) > 1 && in[1] != nil {
				var err error
				if axes, err = intsOf(in[1], "the axes input"); err != nil {
					return nil, err
				}
				given = true
			}
			s, err := shape(in[0].Shape, axes, given)
			if err != nil {
				return nil, fmt.Errorf("%v with axes %v: %w", in[0], axes, err)
			}
			return []*value.Tensor{in[0].View(s...)}, nil
		}), nil
	}
}

func squeezed(from, axes []int, given bool) ([]int, error) {
	if given {
		var err error
		if axes, err = axesIn(axes, len(from)); err != nil {
			return nil, err
		}
	}
	shape := []int{}
	for d, n := range from {
		switch {
		case !given && n == 1:
		case given && slices.Contains(axes, d):
			if n != 1 {
				return nil, fmt.Errorf("dimension %d is %d, not 1", d, n)
			}
		default:
			shape = append(shape, n)
		}
	}
	return shape, nil
}

func unsqueezed(from, axes []int, given bool) ([]int, error) {
	if !given {
		return nil, fmt.Errorf("axes are missing")
	}
	rank := len(from) + len(axes)
	axes, err := axesIn(axes, rank)
	if err != nil {
		return nil, err
	}
	shape := make([]int, 0, rank)
	for d := range rank {
		if slices.Contains(axes, d) {
			shape = append(shape, 1)
		} else {
			shape = append(shape, from[0])
			from = from[1:]
		}
	}
	return shape, nil
}
