package ops

// Operators on the bits of integers.

import (
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func buildBitShift(n *Node) (Kernel, error) {
	direction := n.OneOf("direction", "", "LEFT", "RIGHT")
	if direction == "" {
		return nil, fmt.Errorf("attribute direction is missing")
	}
	return buildBinary(direction, binaryFamily{compute: shiftBits})(n)
}

func shiftBits(c *Context, op string, w *broadcast, out, a, b *value.Tensor) (bool, error) {
	switch a.Type {
	case onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64:
		return combineBits(c, op, w, out, a, b)
	}
	return false, nil
}

func combineBits(c *Context, op string, w *broadcast, out, a, b *value.Tensor) (bool, error) {
	switch a.Type {
	case onnxio.Int8:
		return zipBits[int8](c, op, w, out, a, b), nil
	case onnxio.Int16:
		return zipBits[int16](c, op, w, out, a, b), nil
	case onnxio.Int32:
		return zipBits[int32](c, op, w, out, a, b), nil
	case onnxio.Int64:
		return zipBits[int64](c, op, w, out, a, b), nil
	case onnxio.Uint8:
		return zipBits[uint8](c, op, w, out, a, b), nil
	case onnxio.Uint16:
		return zipBits[uint16](c, op, w, out, a, b), nil
	case onnxio.Uint32:
		return zipBits[uint32](c, op, w, out, a, b), nil
	case onnxio.Uint64:
		return zipBits[uint64](c, op, w, out, a, b), nil
	}
	return false, nil
}

func zipBits[T kernels.Integer](c *Context, op string, w *broadcast, out, a, b *value.Tensor) bool {
	return zipLoop(c, w, out, a.Data.([]T), b, bitLoop[T](op))
}

func bitLoop[T kernels.Integer](op string) func(dst, a, b []T) {
	switch op {
	case "BitwiseAnd":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] & b[i]
			}
		}
	case "BitwiseOr":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] | b[i]
			}
		}
	case "BitwiseXor":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] ^ b[i]
			}
		}
	case "LEFT":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] << uint64(b[i])
			}
		}
	case "RIGHT":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] >> uint64(b[i])
			}
		}
	}
	return nil
}
