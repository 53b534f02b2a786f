package ops

// Operators that take a rectangular piece of a tensor, possibly backwards: Slice, CenterCropPad and ReverseSequence.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/runtime/value"
)

func init() {
	Register("", "Slice", buildSlice, 1, 10, 11, 13)
	Register("", "CenterCropPad", buildCenterCropPad, 18)
	Register("", "ReverseSequence", buildReverseSequence, 10)
}

func buildSlice(n *Node) (Kernel, error) {
	if n.Since < 10 {
		starts, ends, axes, given := n.Ints("starts"), n.Ints("ends"), n.Ints("axes"), n.Has("axes")
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		if !given {
			axes = nil
		}
		return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			return oneOutput(sliced(c, in[0], starts, ends, axes, nil))
		}), nil
	}
	if err := n.CheckInputs(3, 5); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		var parts [5][]int
		for i, name := range []string{"the data", "starts", "ends", "axes", "steps"} {
			if i == 0 || i >= len(in) || in[i] == nil {
				continue
			}
			var err error
			if parts[i], err = intsOf(in[i], name); err != nil {
				return nil, err
			}
		}
		return oneOutput(sliced(c, in[0], parts[1], parts[2], parts[3], parts[4]))
	}), nil
}

// sliced takes t[start:end:step] on the given axes. Nil axes are the first ones, nil steps are ones.
func sliced(c *Context, t *value.Tensor, starts, ends, axes, steps []int) (*value.Tensor, error) {
	if axes == nil {
		for d := range starts {
			axes = append(axes, d)
		}
	}
	if steps == nil {
		steps = slices.Repeat([]int{1}, len(starts))
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, fmt.Errorf("starts %v, ends %v, axes %v and steps %v differ in length", starts, ends, axes, steps)
	}
	where, err := axesIn(axes, len(t.Shape))
	if err != nil {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	shape, strides, from := slices.Clone(t.Shape), stridesOf(t.Shape), 0
	whole := true
	for i, d := range where {
		if steps[i] == 0 {
			return nil, fmt.Errorf("the step along axis %d is 0", d)
		}
		first, count := sliceRange(starts[i], ends[i], steps[i], t.Shape[d])
		whole = whole && count == t.Shape[d] && steps[i] == 1
		shape[d] = count
		from += first * strides[d]
		if count > 1 { // a huge step is legal, and takes one element
			strides[d] *= steps[i]
		}
	}
	if whole {
		return t.View(shape...), nil
	}
	out, err := c.New(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	moverOf(out).box(c.Pool, shape, 0, stridesOf(shape), moverOf(t), from, strides)
	return out, nil
}

// sliceRange clamps a slice of a dimension as ONNX says: to [0, n] forwards, to [-1, n-1] backwards.
func sliceRange(start, end, step, n int) (first, count int) {
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	if step > 0 {
		start, end = min(max(start, 0), n), min(max(end, 0), n)
		if end <= start {
			return 0, 0
		}
		return start, (end-start-1)/step + 1
	}
	start, end = min(max(start, 0), n-1), min(max(end, -1), n-1)
	if start <= end {
		return 0, 0
	}
	if step == math.MinInt {
		return start, 1
	}
	return start, (start-end-1)/-step + 1
}

func buildCenterCropPad(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	axes, given := n.Ints("axes"), n.Has("axes")
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t, axes := in[0], axes
		want, err := intsOf(in[1], "the shape")
		if err != nil {
			return nil, err
		}
		if !given {
			axes = nil
			for d := range t.Shape {
				axes = append(axes, d)
			}
		}
		if axes, err = axesIn(axes, len(t.Shape)); err == nil && len(axes) != len(want) {
			err = fmt.Errorf("%d axes", len(axes))
		}
		if err != nil {
			return nil, fmt.Errorf("shape %v for %v: %w", want, t, err)
		}
		return oneOutput(centerCropPad(c, t, axes, want))
	}), nil
}

// centerCropPad keeps the middle of axes that are too long, and puts those too short into the middle of zeros.
func centerCropPad(c *Context, t *value.Tensor, axes, want []int) (*value.Tensor, error) {
	shape, box := slices.Clone(t.Shape), slices.Clone(t.Shape)
	for i, d := range axes {
		shape[d] = want[i]
		box[d] = min(want[i], t.Shape[d])
	}
	out, err := c.New(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	at, from := 0, 0
	to, strides := stridesOf(shape), stridesOf(t.Shape)
	for d := range shape {
		at += (shape[d] - box[d]) / 2 * to[d]
		from += (t.Shape[d] - box[d]) / 2 * strides[d]
	}
	moverOf(out).box(c.Pool, box, at, to, moverOf(t), from, strides)
	return out, nil
}

func buildReverseSequence(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	batch, time := int(n.Int("batch_axis", 1)), int(n.Int("time_axis", 0))
	if batch != 0 && batch != 1 || time != 1-batch {
		return nil, fmt.Errorf("batch_axis %d and time_axis %d must be 0 and 1, in either order", batch, time)
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[0]
		lengths, err := intsOf(in[1], "the sequence lengths")
		if err != nil {
			return nil, err
		}
		if len(t.Shape) < 2 || len(lengths) != t.Shape[batch] {
			return nil, fmt.Errorf("%d sequence lengths for %v with batch axis %d", len(lengths), t, batch)
		}
		out, err := copyOf(c, t)
		if err != nil {
			return nil, err
		}
		strides := stridesOf(t.Shape)
		inner := value.Count(t.Shape[2:])
		for b, length := range lengths {
			if length < 0 || length > t.Shape[time] {
				return nil, fmt.Errorf("sequence length %d of %v with time axis %d", length, t, time)
			}
			first := b * strides[batch]
			moverOf(out).box(c.Pool, []int{length, inner}, first, []int{strides[time], 1},
				moverOf(t), first+(length-1)*strides[time], []int{-strides[time], 1})
		}
		return []*value.Tensor{out}, nil
	}), nil
}
