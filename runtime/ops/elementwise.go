package ops

// Operators that combine two tensors element by element, with broadcasting: arithmetic, comparison, logic and bits.
//
// Before opset 7 broadcasting had to be asked for with the attribute broadcast, and the smaller second input was
// aligned with the axes of the first from the attribute axis on, or with its last axes.

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	for _, op := range []string{"Add", "Sub", "Mul", "Div"} {
		Register("", op, buildBinary(op, numbers), 1, 6, 7, 13, 14)
	}
	for _, op := range []string{"Max", "Min"} {
		Register("", op, buildFold(op), 1, 6, 8, 12, 13)
	}
	for _, op := range []string{"Sum", "Mean"} {
		Register("", op, buildFold(op), 1, 6, 8, 13)
	}
	Register("", "Mod", buildMod, 10, 13)
	Register("", "Pow", buildPow, 1, 7, 12, 13, 15)
	Register("", "Equal", buildBinary("Equal", comparisons), 1, 7, 11, 13, 19)
	for _, op := range []string{"Greater", "Less"} {
		Register("", op, buildBinary(op, comparisons), 1, 7, 9, 13)
	}
	for _, op := range []string{"GreaterOrEqual", "LessOrEqual"} {
		Register("", op, buildBinary(op, comparisons), 12, 16)
	}
	for _, op := range []string{"And", "Or", "Xor"} {
		Register("", op, buildBinary(op, logic), 1, 7)
	}
	Register("", "BitShift", buildBitShift, 11)
	for _, op := range []string{"BitwiseAnd", "BitwiseOr", "BitwiseXor"} {
		Register("", op, buildBinary(op, bitwise), 18)
	}
}

// binary combines two tensors of one element type into out, which has the broadcast shape already. It reports false for
// a type that the operator does not have.
type binary func(c *Context, op string, w *broadcast, out, a, b *value.Tensor) (ok bool, err error)

// buildBinary makes an operator of two inputs. how also says what type comes out.
func buildBinary(op string, how binaryFamily) Builder {
	return func(n *Node) (Kernel, error) {
		if err := n.CheckInputs(2, 2); err != nil {
			return nil, err
		}
		align := readAlignment(n)
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			a, b := in[0], in[1]
			b, err := align(a, b)
			if err != nil {
				return nil, err
			}
			return oneOutput(how.apply(c, op, a, b))
		}), nil
	}
}

// binaryFamily is a group of operators that treat types alike.
type binaryFamily struct {
	compute binary
	bool    bool // the result is bool, not the inputs' type
}

var (
	numbers     = binaryFamily{compute: arithmetic}
	comparisons = binaryFamily{compute: compare, bool: true}
	logic       = binaryFamily{compute: combineBools, bool: true}
	bitwise     = binaryFamily{compute: combineBits}
)

func (f binaryFamily) apply(c *Context, op string, a, b *value.Tensor) (*value.Tensor, error) {
	if a.Type != b.Type {
		return nil, fmt.Errorf("inputs %v and %v have different element types", a, b)
	}
	w, err := newBroadcast(a.Shape, b.Shape)
	if err != nil {
		return nil, err
	}
	typ := a.Type
	if f.bool {
		typ = onnxio.Bool
	}
	out, err := c.New(typ, w.shape...)
	if err != nil {
		return nil, err
	}
	ok, err := f.compute(c, op, w, out, a, b)
	if !ok && err == nil {
		err = fmt.Errorf("it has no meaning for %v", a.Type)
	}
	return out, err
}

// ignoreMemoryHint skips an attribute that element-wise operators had before opset 6: which inputs may be overwritten.
func ignoreMemoryHint(n *Node) {
	if n.Domain == "" && n.Version < 6 {
		n.Ignore("consumed_inputs")
	}
}

// readAlignment returns how the second input is laid under the first.
func readAlignment(n *Node) func(a, b *value.Tensor) (*value.Tensor, error) {
	if n.Since >= 7 {
		return func(_, b *value.Tensor) (*value.Tensor, error) { return b, nil }
	}
	ignoreMemoryHint(n)
	broadcasts := n.Bool("broadcast", false)
	hasAxis, axis := n.Has("axis"), int(n.Int("axis", 0))
	return func(a, b *value.Tensor) (*value.Tensor, error) {
		if !broadcasts {
			if !slices.Equal(a.Shape, b.Shape) {
				return nil, fmt.Errorf("shapes %v and %v differ, and broadcast is not set", a.Shape, b.Shape)
			}
			return b, nil
		}
		start := len(a.Shape) - len(b.Shape)
		if hasAxis {
			start = axis
			if start < 0 {
				start += len(a.Shape)
			}
		}
		if start < 0 || start+len(b.Shape) > len(a.Shape) {
			return nil, fmt.Errorf("shape %v does not fit into %v from axis %d on", b.Shape, a.Shape, start)
		}
		shape := slices.Clone(b.Shape)
		for len(shape) < len(a.Shape)-start {
			shape = append(shape, 1)
		}
		if len(shape) > 0 {
			full, err := broadcastShape(a.Shape, shape)
			if err != nil || !slices.Equal(full, a.Shape) {
				return nil, fmt.Errorf("shape %v does not broadcast to %v from axis %d on", b.Shape, a.Shape, start)
			}
		}
		return b.View(shape...), nil
	}
}

func arithmetic(c *Context, op string, w *broadcast, out, a, b *value.Tensor) (bool, error) {
	switch x := a.Data.(type) {
	case []float32:
		return zipLoop(c, w, out, x, b, floatLoop[float32](op)), nil
	case []float64:
		return zipLoop(c, w, out, x, b, floatLoop[float64](op)), nil
	}
	if a.Type.Bits() < 8 {
		return false, nil
	}
	switch x := a.Data.(type) {
	case []int8:
		return zipInts(c, op, w, out, x, b)
	case []int16:
		return zipInts(c, op, w, out, x, b)
	case []int32:
		return zipInts(c, op, w, out, x, b)
	case []int64:
		return zipInts(c, op, w, out, x, b)
	case []uint8:
		if a.Type == onnxio.Uint8 {
			return zipInts(c, op, w, out, x, b)
		}
	case []uint16:
		return zipInts(c, op, w, out, x, b)
	case []uint32:
		return zipInts(c, op, w, out, x, b)
	case []uint64:
		return zipInts(c, op, w, out, x, b)
	}
	return false, nil
}

func zipLoop[R, T any](c *Context, w *broadcast, out *value.Tensor, a []T, b *value.Tensor, loop func(dst []R, a, b []T)) bool {
	if loop == nil {
		return false
	}
	zip2(c, w, elementGrain, out.Data.([]R), a, b.Data.([]T), loop)
	return true
}

func zipInts[T kernels.Integer](c *Context, op string, w *broadcast, out *value.Tensor, a []T, b *value.Tensor) (bool, error) {
	divides := op == "Div" || op == "Mod" || op == "Fmod"
	if divides && w.size > 0 && slices.Contains(b.Data.([]T), 0) {
		return false, fmt.Errorf("integer division of %v by zero", out)
	}
	return zipLoop(c, w, out, a, b, intLoop[T](op)), nil
}

func floatLoop[T kernels.Float](op string) func(dst, a, b []T) {
	switch op {
	case "Div":
		return kernels.Div[T]
	case "Max":
		return maxFloats[T]
	case "Min":
		return minFloats[T]
	case "Fmod":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = T(math.Mod(float64(a[i]), float64(b[i])))
			}
		}
	}
	return numberLoop[T](op)
}

func intLoop[T kernels.Integer](op string) func(dst, a, b []T) {
	switch op {
	case "Div":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] / b[i]
			}
		}
	case "Mod": // the sign of the divisor
		return func(dst, a, b []T) {
			for i := range dst {
				r := a[i] % b[i]
				if r != 0 && (r < 0) != (b[i] < 0) {
					r += b[i]
				}
				dst[i] = r
			}
		}
	case "Fmod": // the sign of the dividend
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = a[i] % b[i]
			}
		}
	case "Max":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = max(a[i], b[i])
			}
		}
	case "Min":
		return func(dst, a, b []T) {
			for i := range dst {
				dst[i] = min(a[i], b[i])
			}
		}
	}
	return numberLoop[T](op)
}

func numberLoop[T kernels.Number](op string) func(dst, a, b []T) {
	switch op {
	case "Add", "Sum", "Mean":
		return kernels.Add[T]
	case "Sub":
		return kernels.Sub[T]
	case "Mul":
		return kernels.Mul[T]
	}
	return nil
}

// maxFloats and minFloats let NaN through, as NumPy and ONNX Runtime do.
func maxFloats[T kernels.Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i, v := range a {
		dst[i] = max(v, b[i])
	}
}

func minFloats[T kernels.Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i, v := range a {
		dst[i] = min(v, b[i])
	}
}

func compare(c *Context, op string, w *broadcast, out, a, b *value.Tensor) (bool, error) {
	switch x := a.Data.(type) {
	case []float32:
		return zipLoop(c, w, out, x, b, compareLoop[float32](op)), nil
	case []float64:
		return zipLoop(c, w, out, x, b, compareLoop[float64](op)), nil
	case []int8:
		return zipLoop(c, w, out, x, b, compareLoop[int8](op)), nil
	case []int16:
		return zipLoop(c, w, out, x, b, compareLoop[int16](op)), nil
	case []int32:
		return zipLoop(c, w, out, x, b, compareLoop[int32](op)), nil
	case []int64:
		return zipLoop(c, w, out, x, b, compareLoop[int64](op)), nil
	case []uint8:
		if a.Type == onnxio.Uint8 {
			return zipLoop(c, w, out, x, b, compareLoop[uint8](op)), nil
		}
	case []uint16:
		return zipLoop(c, w, out, x, b, compareLoop[uint16](op)), nil
	case []uint32:
		return zipLoop(c, w, out, x, b, compareLoop[uint32](op)), nil
	case []uint64:
		return zipLoop(c, w, out, x, b, compareLoop[uint64](op)), nil
	case []bool:
		return op == "Equal" && zipLoop(c, w, out, x, b, equalLoop[bool]), nil
	case []string:
		return op == "Equal" && zipLoop(c, w, out, x, b, equalLoop[string]), nil
	}
	return false, nil
}

func equalLoop[T comparable](dst []bool, a, b []T) {
	for i := range dst {
		dst[i] = a[i] == b[i]
	}
}

func compareLoop[T cmp.Ordered](op string) func(dst []bool, a, b []T) {
	switch op {
	case "Equal":
		return equalLoop[T]
	case "Greater":
		return func(dst []bool, a, b []T) {
			for i := range dst {
				dst[i] = a[i] > b[i]
			}
		}
	case "GreaterOrEqual":
		return func(dst []bool, a, b []T) {
			for i := range dst {
				dst[i] = a[i] >= b[i]
			}
		}
	case "Less":
		return func(dst []bool, a, b []T) {
			for i := range dst {
				dst[i] = a[i] < b[i]
			}
		}
	}
	return func(dst []bool, a, b []T) {
		for i := range dst {
			dst[i] = a[i] <= b[i]
		}
	}
}

func combineBools(c *Context, op string, w *broadcast, out, a, b *value.Tensor) (bool, error) {
	x, ok := a.Data.([]bool)
	if !ok {
		return false, nil
	}
	loop := func(dst, a, b []bool) {
		for i := range dst {
			dst[i] = a[i] != b[i]
		}
	}
	switch op {
	case "And":
		loop = func(dst, a, b []bool) {
			for i := range dst {
				dst[i] = a[i] && b[i]
			}
		}
	case "Or":
		loop = func(dst, a, b []bool) {
			for i := range dst {
				dst[i] = a[i] || b[i]
			}
		}
	}
	return zipLoop(c, w, out, x, b, loop), nil
}
