package ops

// Kernels of this package know float32 and float64. float16 and bfloat16 are computed in float32 and rounded once, by
// the one wrapper here, so that no kernel has to know them.

import (
	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// isHalf reports whether t is a 16-bit floating-point type.
func isHalf(t onnxio.DataType) bool { return t == onnxio.Float16 || t == onnxio.BFloat16 }

// viaFloat32 lets a kernel for float32 and float64 work on 16-bit floats too: where the first input that is there has
// such a type, all inputs of 16-bit floats are widened, and outputs of float32 are rounded to that type.
func viaFloat32(f TensorFunc) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		half := onnxio.Undefined
		for _, t := range in {
			if t != nil {
				half = t.Type
				break
			}
		}
		if !isHalf(half) {
			return f(c, in)
		}
		wide := make([]*value.Tensor, len(in))
		for i, t := range in {
			wide[i] = t
			if t != nil && isHalf(t.Type) {
				wide[i] = widened(c, t)
			}
		}
		out, err := f(c, wide)
		if err != nil {
			return nil, err
		}
		for i, t := range out {
			if t == nil || t.Type != onnxio.Float {
				continue
			}
			if out[i], err = rounded(c, t, half); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
}

// widened returns a 16-bit float tensor as float32.
func widened(c *Context, t *value.Tensor) *value.Tensor {
	w := value.New(onnxio.Float, t.Shape...)
	src, dst := t.Data.([]uint16), w.Data.([]float32)
	widen, _ := widening(t.Type)
	c.Pool.Do(len(dst), elementGrain, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dst[i] = widen(src[i])
		}
	})
	return w
}

// rounded returns a float32 tensor as a 16-bit float one.
func rounded(c *Context, t *value.Tensor, half onnxio.DataType) (*value.Tensor, error) {
	r, err := c.New(half, t.Shape...)
	if err != nil {
		return nil, err
	}
	src, dst := t.Data.([]float32), r.Data.([]uint16)
	narrow := onnxio.Float32ToFloat16
	if half == onnxio.BFloat16 {
		narrow = onnxio.Float32ToBFloat16
	}
	c.Pool.Do(len(dst), elementGrain, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			dst[i] = narrow(src[i])
		}
	})
	return r, nil
}
