package ops

// Clip, for every numeric type. Its limits were attributes before opset 11 and are inputs since.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "Clip", buildClip, 1, 6, 11, 12, 13) }

// buildClip makes Clip, whose limits were attributes before opset 11.
func buildClip(n *Node) (Kernel, error) {
	if n.Since < 11 {
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		ignoreMemoryHint(n)
		lo := value.Scalar(n.Float("min", -math.MaxFloat32))
		hi := value.Scalar(n.Float("max", math.MaxFloat32))
		if n.Since < 6 { // no defaults
			if !n.Has("min") {
				lo = nil
			}
			if !n.Has("max") {
				hi = nil
			}
		}
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			if in[0].Type == onnxio.Double {
				return oneOutput(clip(c, in[0], asDouble(lo), asDouble(hi)))
			}
			return oneOutput(clip(c, in[0], lo, hi))
		}), nil
	}
	if err := n.CheckInputs(1, 3); err != nil {
		return nil, err
	}
	limited := viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return oneOutput(clip(c, in[0], in[1], in[2]))
	})
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		all := make([]*value.Tensor, 3)
		copy(all, in)
		lowest, largest := finiteRange(in[0].Type)
		if all[1] == nil {
			all[1] = lowest
		}
		if all[2] == nil {
			all[2] = largest
		}
		return limited(c, all)
	}), nil
}

// finiteRange returns the smallest and the largest finite number of a floating-point type, which limit Clip where nothing
// else does; nil for integers.
func finiteRange(t onnxio.DataType) (lowest, largest *value.Tensor) {
	half := func(bits uint16) *value.Tensor {
		return &value.Tensor{Type: t, Shape: []int{}, Data: []uint16{bits}}
	}
	switch t {
	case onnxio.Float:
		return value.Scalar(float32(-math.MaxFloat32)), value.Scalar(float32(math.MaxFloat32))
	case onnxio.Double:
		return value.Scalar(-math.MaxFloat64), value.Scalar(math.MaxFloat64)
	case onnxio.Float16:
		return half(0xfbff), half(0x7bff)
	case onnxio.BFloat16:
		return half(0xff7f), half(0x7f7f)
	}
	return nil, nil
}

func asDouble(t *value.Tensor) *value.Tensor {
	if t == nil {
		return nil
	}
	return value.Scalar(float64(t.Data.([]float32)[0]))
}

// clip limits x from below, then from above; either limit may be nil.
func clip(c *Context, x, lo, hi *value.Tensor) (*value.Tensor, error) {
	for _, limit := range []*value.Tensor{lo, hi} {
		if limit != nil && (limit.Type != x.Type || limit.Len() != 1) {
			return nil, fmt.Errorf("limit %v is not one element of the type of %v", limit, x)
		}
	}
	out, err := c.New(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	switch x.Type {
	case onnxio.Float:
		clipLoop[float32](c, out, x, lo, hi)
	case onnxio.Double:
		clipLoop[float64](c, out, x, lo, hi)
	case onnxio.Int8:
		clipLoop[int8](c, out, x, lo, hi)
	case onnxio.Int16:
		clipLoop[int16](c, out, x, lo, hi)
	case onnxio.Int32:
		clipLoop[int32](c, out, x, lo, hi)
	case onnxio.Int64:
		clipLoop[int64](c, out, x, lo, hi)
	case onnxio.Uint8:
		clipLoop[uint8](c, out, x, lo, hi)
	case onnxio.Uint16:
		clipLoop[uint16](c, out, x, lo, hi)
	case onnxio.Uint32:
		clipLoop[uint32](c, out, x, lo, hi)
	case onnxio.Uint64:
		clipLoop[uint64](c, out, x, lo, hi)
	default:
		return nil, fmt.Errorf("it has no meaning for %v", x)
	}
	return out, nil
}

func clipLoop[T kernels.Number](c *Context, out, x, lo, hi *value.Tensor) {
	limit := func(t *value.Tensor) (T, bool) {
		if t == nil {
			return 0, false
		}
		return t.Data.([]T)[0], true
	}
	least, below := limit(lo)
	most, above := limit(hi)
	mapLoop(c, out, x, func(dst, x []T) {
		x = x[:len(dst)]
		narrow, is32 := any(x).([]float32)
		switch {
		case below && above && is32:
			kernels.ClipSlice(any(dst).([]float32), narrow, float32(least), float32(most))
		case below && above:
			for i, v := range x {
				if v < least {
					v = least
				}
				if v > most {
					v = most
				}
				dst[i] = v
			}
		case below:
			for i, v := range x {
				if v < least {
					v = least
				}
				dst[i] = v
			}
		case above:
			for i, v := range x {
				if v > most {
					v = most
				}
				dst[i] = v
			}
		default:
			copy(dst, x)
		}
	})
}
