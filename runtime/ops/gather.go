package ops

// Operators that pick elements by index: Gather, GatherElements, GatherND and Compress. Each works out where its blocks
// lie in the data, and has them copied.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Gather", buildGather, 1, 11, 13)
	Register("", "GatherElements", buildGatherElements, 11, 13)
	Register("", "GatherND", buildGatherND, 11, 12, 13)
	Register("", "Compress", buildCompress, 9, 11)
}

// indicesInto returns the elements of an index tensor, negative ones counted from the end of a dimension of n.
func indicesInto(t *value.Tensor, n int) ([]int, error) {
	ix, err := intsOf(t, "the index tensor")
	if err != nil {
		return nil, err
	}
	for i, v := range ix {
		if v < -n || v >= n {
			return nil, fmt.Errorf("index %d is outside of a dimension of %d", v, n)
		}
		if v < 0 {
			ix[i] += n
		}
	}
	return ix, nil
}

func buildGather(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	given := int(n.Int("axis", 0))
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[0]
		axis, err := axisIn(given, len(t.Shape))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", t, err)
		}
		ix, err := indicesInto(in[1], t.Shape[axis])
		if err != nil {
			return nil, fmt.Errorf("%v along axis %d: %w", t, axis, err)
		}
		out, err := c.New(t.Type, slices.Concat(t.Shape[:axis], in[1].Shape, t.Shape[axis+1:])...)
		if err != nil {
			return nil, err
		}
		gatherAlong(c, out, t, axis, ix)
		return []*value.Tensor{out}, nil
	}), nil
}

func buildGatherElements(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	axis := int(n.Int("axis", 0))
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		offsets, err := elementOffsets(in[0].Shape, in[1], axis)
		if err != nil {
			return nil, err
		}
		out, err := c.New(in[0].Type, in[1].Shape...)
		if err != nil {
			return nil, err
		}
		moverOf(out).gather(c.Pool, moverOf(in[0]), offsets, 1)
		return []*value.Tensor{out}, nil
	}), nil
}

// elementOffsets returns where each element of an index tensor points to in data of the given shape: its own
// position, with the coordinate along the axis replaced by its value.
func elementOffsets(shape []int, indices *value.Tensor, axis int) ([]int, error) {
	axis, err := axisIn(axis, len(shape))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", shape, err)
	}
	fits := len(indices.Shape) == len(shape)
	for d := 0; fits && d < len(shape); d++ {
		fits = d == axis || indices.Shape[d] <= shape[d]
	}
	if !fits {
		return nil, fmt.Errorf("indices %v do not fit data of shape %v along axis %d", indices, shape, axis)
	}
	ix, err := indicesInto(indices, shape[axis])
	if err != nil || len(ix) == 0 {
		return nil, err
	}
	strides := stridesOf(shape)
	along := strides[axis]
	strides[axis] = 0
	o := newOdometer(indices.Shape, 0, strides, strides)
	for i, v := range ix {
		ix[i] = o.at + v*along
		o.next()
	}
	return ix, nil
}

func buildGatherND(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	batch := 0
	if n.Since >= 12 {
		batch = int(n.Int("batch_dims", 0))
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t, indices := in[0], in[1]
		if batch < 0 || batch >= len(indices.Shape) || batch > len(t.Shape) || !slices.Equal(t.Shape[:batch], indices.Shape[:batch]) {
			return nil, fmt.Errorf("%v and indices %v do not share %d batch dimensions", t, indices, batch)
		}
		offsets, block, err := tupleOffsets(t.Shape, indices, batch)
		if err != nil {
			return nil, err
		}
		depth := indices.Shape[len(indices.Shape)-1]
		out, err := c.New(t.Type, slices.Concat(indices.Shape[:len(indices.Shape)-1], t.Shape[batch+depth:])...)
		if err != nil {
			return nil, err
		}
		moverOf(out).gather(c.Pool, moverOf(t), offsets, block)
		return []*value.Tensor{out}, nil
	}), nil
}

// tupleOffsets reads the last dimension of an index tensor as coordinates in data of the given shape, behind
// its batch dimensions, and returns the offset and the common size of the blocks they name.
func tupleOffsets(shape []int, indices *value.Tensor, batch int) (offsets []int, block int, err error) {
	if len(indices.Shape) == 0 {
		return nil, 0, fmt.Errorf("the index tensor is a scalar")
	}
	depth := indices.Shape[len(indices.Shape)-1]
	if batch+depth > len(shape) {
		return nil, 0, fmt.Errorf("indices %v have more coordinates than data of shape %v", indices, shape)
	}
	ix, err := intsOf(indices, "the index tensor")
	if err != nil {
		return nil, 0, err
	}
	count := value.Count(indices.Shape[:len(indices.Shape)-1])
	batches := value.Count(shape[:batch])
	if batches == 0 {
		count = 0
	}
	strides := stridesOf(shape)
	dims := shape[batch : batch+depth]
	block = value.Count(shape[batch+depth:])
	offsets = make([]int, count)
	for i := range offsets {
		at := i / (count / batches) * value.Count(shape[batch:])
		for d, v := range ix[i*depth : (i+1)*depth] {
			if v < -dims[d] || v >= dims[d] {
				return nil, 0, fmt.Errorf("index %d is outside of dimension %d of shape %v", v, batch+d, shape)
			}
			if v < 0 {
				v += dims[d]
			}
			at += v * strides[batch+d]
		}
		offsets[i] = at
	}
	return offsets, block, nil
}

func buildCompress(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	given, flat := int(n.Int("axis", 0)), !n.Has("axis")
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[0]
		if flat {
			t = t.View(t.Len())
		}
		axis, err := axisIn(given, len(t.Shape))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", t, err)
		}
		if in[1].Type != onnxio.Bool || len(in[1].Shape) != 1 || in[1].Len() > t.Shape[axis] {
			return nil, fmt.Errorf("condition %v for axis %d of %v", in[1], axis, t)
		}
		var kept []int
		for i, keep := range value.Of[bool](in[1]) {
			if keep {
				kept = append(kept, i)
			}
		}
		return oneOutput(selected(c, t, axis, kept))
	}), nil
}

// selected takes the given indices of one axis.
func selected(c *Context, t *value.Tensor, axis int, kept []int) (*value.Tensor, error) {
	shape := slices.Clone(t.Shape)
	shape[axis] = len(kept)
	out, err := c.New(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	gatherAlong(c, out, t, axis, kept)
	return out, nil
}

// gatherAlong fills out with the given indices of one axis of t.
func gatherAlong(c *Context, out, t *value.Tensor, axis int, indices []int) {
	if out.Len() == 0 {
		return
	}
	outer, inner := splitAt(t.Shape, axis)
	offsets := make([]int, 0, outer*len(indices))
	for o := range outer {
		for _, i := range indices {
			offsets = append(offsets, (o*t.Shape[axis]+i)*inner)
		}
	}
	moverOf(out).gather(c.Pool, moverOf(t), offsets, inner)
}
