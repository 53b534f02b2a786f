package ops

// Expand and Tile: repeating a tensor. Expand walks with steps of zero, Tile with an axis of repeats beside every axis.

import (
	"fmt"
	"slices"

	"onnxprune/runtime/value"
)

func init() {
	Register("", "Expand", buildExpand, 8, 13)
	Register("", "Tile", buildTile, 1, 6, 13)
}

func buildExpand(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		want, err := intsOf(in[1], "the shape")
		if err != nil {
			return nil, err
		}
		return oneOutput(expanded(c, in[0], want))
	}), nil
}

// expanded broadcasts t and a shape against each other.
func expanded(c *Context, t *value.Tensor, want []int) (*value.Tensor, error) {
	shape, err := broadcastShape(t.Shape, want)
	if err != nil {
		return nil, fmt.Errorf("expanding %v to %v: %w", t, want, err)
	}
	if slices.Equal(shape, t.Shape) {
		return t.View(shape...), nil
	}
	out, err := c.New(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	steps := make([]int, len(shape))
	lead := len(shape) - len(t.Shape)
	for d, s := range stridesOf(t.Shape) {
		if t.Shape[d] != 1 {
			steps[lead+d] = s
		}
	}
	moverOf(out).box(c.Pool, shape, 0, stridesOf(shape), moverOf(t), 0, steps)
	return out, nil
}

func buildTile(n *Node) (Kernel, error) {
	if n.Since < 6 {
		return buildTileAlong(n)
	}
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		repeats, err := intsOf(in[1], "the repeats")
		if err != nil {
			return nil, err
		}
		return oneOutput(tiled(c, in[0], repeats))
	}), nil
}

// buildTileAlong is Tile of opset 1: a number of tiles, and the axis along which they are laid, both inputs.
func buildTileAlong(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		var what [2]int
		for i, name := range []string{"tiles", "axis"} {
			v, ok := in[i+1].Floats()
			if !ok || len(v) != 1 {
				return nil, fmt.Errorf("%s is %v, want one number", name, in[i+1])
			}
			what[i] = int(v[0])
		}
		axis, err := axisIn(what[1], len(in[0].Shape))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", in[0], err)
		}
		repeats := slices.Repeat([]int{1}, len(in[0].Shape))
		repeats[axis] = what[0]
		return oneOutput(tiled(c, in[0], repeats))
	}), nil
}

func tiled(c *Context, t *value.Tensor, repeats []int) (*value.Tensor, error) {
	if len(repeats) != len(t.Shape) {
		return nil, fmt.Errorf("repeats %v for %v", repeats, t)
	}
	var shape, box, to, steps []int
	for d, r := range repeats {
		if r < 0 {
			return nil, fmt.Errorf("repeats %v for %v", repeats, t)
		}
		n, err := value.CheckedCount([]int{t.Shape[d], r})
		if err != nil {
			return nil, err
		}
		shape = append(shape, n)
	}
	out, err := c.New(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	strides := stridesOf(t.Shape)
	for d, s := range stridesOf(shape) {
		box = append(box, repeats[d], t.Shape[d])
		to = append(to, s*t.Shape[d], s)
		steps = append(steps, 0, strides[d])
	}
	moverOf(out).box(c.Pool, box, 0, to, moverOf(t), 0, steps)
	return out, nil
}
