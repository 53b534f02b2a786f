package ops

// OneHot and NonZero: from indices to indicators and back.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "OneHot", buildOneHot, 9, 11)
	Register("", "NonZero", buildNonZero, 9, 13)
}

func buildOneHot(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	given, negative := int(n.Int("axis", -1)), n.Since >= 11
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		indices, values := in[0], in[2]
		d, ok := in[1].Floats()
		if !ok || len(d) != 1 || !(d[0] >= 0 && d[0] < 1<<40) || values.Len() != 2 {
			return nil, fmt.Errorf("depth %v and values %v for indices %v", in[1], values, indices)
		}
		ix, ok := indices.Floats()
		if !ok {
			return nil, fmt.Errorf("indices are %v, want numbers", indices)
		}
		axis, err := axisIn(given, len(indices.Shape)+1)
		if err != nil {
			return nil, fmt.Errorf("indices %v: %w", indices, err)
		}
		return oneOutput(oneHot(c, indices.Shape, ix, int(d[0]), axis, values, negative))
	}), nil
}

// oneHot puts the second of two values where the index along a new axis is the one that is given, the first everywhere
// else. Before opset 11 a negative index was outside, since then it counts from the end.
func oneHot(c *Context, from []int, indices []float64, depth, axis int, values *value.Tensor, negative bool) (*value.Tensor, error) {
	shape := slices.Insert(slices.Clone(from), axis, depth)
	out, err := c.New(values.Type, shape...)
	if err != nil || out.Len() == 0 {
		return out, err
	}
	outer, inner := splitAt(shape, axis)
	var offsets []int
	for o := range outer {
		for i, v := range indices[o*inner : (o+1)*inner] {
			k := -1
			if v > -float64(depth)-1 && v < float64(depth) {
				k = int(v)
			}
			if k < 0 && negative && v < 0 {
				k += depth
			}
			if k >= 0 && (v >= 0 || negative) && v >= -float64(depth) {
				offsets = append(offsets, (o*depth+k)*inner+i)
			}
		}
	}
	moverOf(out).fill(c.Pool, moverOf(values))
	on, err := c.New(values.Type, len(offsets))
	if err != nil || len(offsets) == 0 {
		return out, err
	}
	moverOf(on).box(nil, []int{len(offsets)}, 0, []int{1}, moverOf(values), 1, []int{0})
	moverOf(out).scatter(moverOf(on), offsets, 1)
	return out, nil
}

func buildNonZero(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[0]
		found, err := nonZero(t)
		if err != nil {
			return nil, err
		}
		out, err := c.New(onnxio.Int64, len(t.Shape), len(found))
		if err != nil {
			return nil, err
		}
		d := value.Of[int64](out)
		for axis, stride := range stridesOf(t.Shape) {
			for i, f := range found {
				d[axis*len(found)+i] = int64(f / stride % t.Shape[axis])
			}
		}
		return []*value.Tensor{out}, nil
	}), nil
}

// nonZero returns the positions of the elements that are not zero; NaN is not.
func nonZero(t *value.Tensor) ([]int, error) {
	switch d := t.Data.(type) {
	case []float32:
		return others(d, 0), nil
	case []float64:
		return others(d, 0), nil
	case []bool:
		return others(d, false), nil
	case []string:
		return others(d, ""), nil
	case []complex64:
		return others(d, 0), nil
	case []complex128:
		return others(d, 0), nil
	case []uint8:
		if t.Type == onnxio.Uint8 || t.Type == onnxio.Uint4 || t.Type == onnxio.Uint2 {
			return others(d, 0), nil
		}
		return nil, fmt.Errorf("which elements of %v are zero is not defined", t)
	case []uint16:
		if isHalf(t.Type) { // the sign of zero does not count
			var found []int
			for i, v := range d {
				if v&0x7fff != 0 {
					found = append(found, i)
				}
			}
			return found, nil
		}
		return others(d, 0), nil
	case []int8:
		return others(d, 0), nil
	case []int16:
		return others(d, 0), nil
	case []int32:
		return others(d, 0), nil
	case []int64:
		return others(d, 0), nil
	case []uint32:
		return others(d, 0), nil
	}
	return others(value.Of[uint64](t), 0), nil
}

func others[T comparable](d []T, zero T) []int {
	count := 0
	for _, v := range d {
		if v != zero {
			count++
		}
	}
	found := make([]int, 0, count) // growing would take several times as much
	for i, v := range d {
		if v != zero {
			found = append(found, i)
		}
	}
	return found
}
