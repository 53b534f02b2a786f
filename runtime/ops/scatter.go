package ops

// Operators that write elements by index into a copy of their data: ScatterElements (once called Scatter), ScatterND and
// TensorScatter. Updates are applied in order, so the last of several to one place wins.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Scatter", buildScatterElements, 9, 11)
	Register("", "ScatterElements", buildScatterElements, 11, 13, 16, 18)
	Register("", "ScatterND", buildScatterND, 11, 13, 16, 18)
	Register("", "TensorScatter", buildTensorScatter, 24)
}

// reductionOf reads the attribute that says how an update is joined to what is there.
func reductionOf(n *Node) string {
	switch {
	case n.Op == "Scatter" || n.Since < 16:
		return "none"
	case n.Since < 18:
		return n.OneOf("reduction", "none", "add", "mul")
	}
	return n.OneOf("reduction", "none", "add", "mul", "max", "min")
}

func buildScatterElements(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	axis, reduction := int(n.Int("axis", 0)), reductionOf(n)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if !slices.Equal(in[1].Shape, in[2].Shape) {
			return nil, fmt.Errorf("updates %v do not match indices %v", in[2], in[1])
		}
		offsets, err := elementOffsets(in[0].Shape, in[1], axis)
		if err != nil {
			return nil, err
		}
		return oneOutput(updated(c, in[0], in[2], offsets, 1, reduction))
	}), nil
}

func buildScatterND(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	reduction := reductionOf(n)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t, indices, updates := in[0], in[1], in[2]
		offsets, block, err := tupleOffsets(t.Shape, indices, 0)
		if err != nil {
			return nil, err
		}
		last := len(indices.Shape) - 1
		if want := slices.Concat(indices.Shape[:last], t.Shape[indices.Shape[last]:]); !slices.Equal(updates.Shape, want) {
			return nil, fmt.Errorf("updates %v for indices %v into %v, want shape %v", updates, indices, t, want)
		}
		return oneOutput(updated(c, t, updates, offsets, block, reduction))
	}), nil
}

// updated returns a copy of t with blocks of updates at the given offsets.
func updated(c *Context, t, updates *value.Tensor, offsets []int, block int, reduction string) (*value.Tensor, error) {
	if updates.Type != t.Type {
		return nil, fmt.Errorf("updates %v for data %v", updates, t)
	}
	out, err := copyOf(c, t)
	if err != nil {
		return nil, err
	}
	if reduction == "none" {
		moverOf(out).scatter(moverOf(updates), offsets, block)
		return out, nil
	}
	return out, reduceInto(out, updates, offsets, block, reduction)
}

func reduceInto(out, updates *value.Tensor, offsets []int, block int, reduction string) error {
	switch d := out.Data.(type) {
	case []float32:
		reduceNumbers(d, updates.Data.([]float32), offsets, block, reduction)
	case []float64:
		reduceNumbers(d, updates.Data.([]float64), offsets, block, reduction)
	case []int8:
		reduceNumbers(d, updates.Data.([]int8), offsets, block, reduction)
	case []int16:
		reduceNumbers(d, updates.Data.([]int16), offsets, block, reduction)
	case []int32:
		reduceNumbers(d, updates.Data.([]int32), offsets, block, reduction)
	case []int64:
		reduceNumbers(d, updates.Data.([]int64), offsets, block, reduction)
	case []uint8:
		if out.Type != onnxio.Uint8 {
			return fmt.Errorf("reduction %s of %v is not defined", reduction, out.Type)
		}
		reduceNumbers(d, updates.Data.([]uint8), offsets, block, reduction)
	case []uint16:
		reduceHalves(out, updates, offsets, block, reduction)
	case []uint32:
		reduceNumbers(d, updates.Data.([]uint32), offsets, block, reduction)
	case []uint64:
		reduceNumbers(d, updates.Data.([]uint64), offsets, block, reduction)
	case []bool:
		reduceBools(d, updates.Data.([]bool), offsets, block, reduction)
	default:
		return fmt.Errorf("reduction %s of %v is not defined", reduction, out.Type)
	}
	return nil
}

func reduceNumbers[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | float32 | float64](
	dst, src []T, offsets []int, block int, reduction string) {
	join := map[string]func(a, b T) T{
		"add": func(a, b T) T { return a + b },
		"mul": func(a, b T) T { return a * b },
		"max": func(a, b T) T { return max(a, b) },
		"min": func(a, b T) T { return min(a, b) },
	}[reduction]
	reduceWith(dst, src, offsets, block, join)
}

func reduceWith[T any](dst, src []T, offsets []int, block int, join func(a, b T) T) {
	for i, o := range offsets {
		d, s := dst[o:o+block], src[i*block:(i+1)*block]
		for k, v := range s {
			d[k] = join(d[k], v)
		}
	}
}

// reduceHalves is reduceNumbers for 16-bit floats, rounded at every step, and for uint16.
func reduceHalves(out, updates *value.Tensor, offsets []int, block int, reduction string) {
	d, s := value.Of[uint16](out), value.Of[uint16](updates)
	widen, ok := widening(out.Type)
	if !ok {
		reduceNumbers(d, s, offsets, block, reduction)
		return
	}
	narrow := onnxio.Float32ToFloat16
	if out.Type == onnxio.BFloat16 {
		narrow = onnxio.Float32ToBFloat16
	}
	reduceWith(d, s, offsets, block, func(a, b uint16) uint16 {
		v := []float32{widen(a)}
		reduceNumbers(v, []float32{widen(b)}, []int{0}, 1, reduction)
		return narrow(v[0])
	})
}

// reduceBools adds as or, and multiplies as and.
func reduceBools(dst, src []bool, offsets []int, block int, reduction string) {
	join := func(a, b bool) bool { return a || b }
	if reduction == "mul" || reduction == "min" {
		join = func(a, b bool) bool { return a && b }
	}
	reduceWith(dst, src, offsets, block, join)
}

// buildTensorScatter is the update of a key-value cache: a run of the update's entries per batch, written at a position
// of its own into the sequence axis.
func buildTensorScatter(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 3); err != nil {
		return nil, err
	}
	given, circular := int(n.Int("axis", -2)), n.OneOf("mode", "linear", "circular") == "circular"
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		cache, update := in[0], in[1]
		axis, err := axisIn(given, len(cache.Shape))
		if err == nil && axis == 0 {
			err = fmt.Errorf("axis 0 is the batch")
		}
		if err != nil {
			return nil, fmt.Errorf("%v: %w", cache, err)
		}
		fits := cache.Type == update.Type && len(update.Shape) == len(cache.Shape)
		for d := 0; fits && d < len(cache.Shape); d++ {
			fits = update.Shape[d] == cache.Shape[d] || d == axis && update.Shape[d] < cache.Shape[d]
		}
		if !fits {
			return nil, fmt.Errorf("update %v does not fit into cache %v along axis %d", update, cache, axis)
		}
		starts := make([]int, cache.Shape[0])
		if len(in) > 2 && in[2] != nil {
			if starts, err = intsOf(in[2], "the write indices"); err != nil {
				return nil, err
			}
		}
		offsets, block, err := cacheOffsets(cache.Shape, update.Shape[axis], axis, starts, circular)
		if err != nil {
			return nil, fmt.Errorf("write indices %v for update %v and cache %v: %w", starts, update, cache, err)
		}
		return oneOutput(updated(c, cache, update, offsets, block, "none"))
	}), nil
}

func cacheOffsets(shape []int, length, axis int, starts []int, circular bool) (offsets []int, block int, err error) {
	if len(starts) != shape[0] {
		return nil, 0, fmt.Errorf("there are %d of them", len(starts))
	}
	outer, block := splitAt(shape, axis)
	size := shape[axis]
	for o := range outer {
		start := starts[o/(outer/shape[0])]
		if start < 0 || start >= max(size, 1) || !circular && start > size-length {
			return nil, 0, fmt.Errorf("%d is outside of the cache", start)
		}
		for i := range length {
			offsets = append(offsets, (o*size+(start+i)%size)*block)
		}
	}
	return offsets, block, nil
}
