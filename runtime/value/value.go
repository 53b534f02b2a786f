// Package value holds what flows along the edges of a running model: tensors of every ONNX element
// type, sequences and optionals.
//
// A tensor is dense and row-major. Its elements are a plain Go slice, so that kernels work
// on []float32 and not on bytes:
//
//	float32, float64, int8 … uint64, bool, string, complex64, complex128   the Go type of that name
//	float16, bfloat16                                                    []uint16, the bits
//	float8 (all four), float8e8m0                                         []uint8, the bits
//	uint4, uint2, float4e2m1                                              []uint8, one element each, low bits
//	int4, int2                                                            []int8, one element each
package value

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// Value is a *Tensor, a *Sequence or an *Optional.
type Value interface{ String() string }

// Tensor is a dense tensor. Shape may hold zeros; a scalar has an empty shape.
type Tensor struct {
	Type  onnxio.DataType
	Shape []int
	Data  any // a slice, see the package comment; its length is the product of Shape

	buf *Buffer // counts the readers of Data; nil for memory that is left to the garbage collector
}

// Sequence is an ordered list of tensors (or of sequences or optionals).
type Sequence struct {
	Elem  *onnxio.Type // may be nil where it is not known
	Items []Value
}

// Optional holds a value or nothing.
type Optional struct {
	Elem  *onnxio.Type // may be nil where it is not known
	Value Value        // nil: empty
}

func (t *Tensor) String() string { return fmt.Sprintf("%v%v", t.Type, t.Shape) }

func (s *Sequence) String() string { return fmt.Sprintf("sequence of %d", len(s.Items)) }

func (o *Optional) String() string {
	if o.Value == nil {
		return "empty optional"
	}
	return "optional " + o.Value.String()
}

// Elem is any Go type that a tensor's elements can have.
type Elem interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool | string | complex64 | complex128
}

// Len returns the number of elements.
func (t *Tensor) Len() int { return Count(t.Shape) }

// Count returns the product of a shape.
func Count(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// CheckedCount is Count for shapes that come from data: negative dimensions and products
// that overflow are errors.
func CheckedCount(shape []int) (int, error) {
	n := 1
	for _, d := range shape {
		if d < 0 {
			return 0, fmt.Errorf("shape %v has a negative dimension", shape)
		}
		if d > 0 && n > math.MaxInt64/64/d {
			return 0, fmt.Errorf("shape %v is too large", shape)
		}
		n *= d
	}
	return n, nil
}

// Make returns a zeroed slice for n elements of a type, as any; nil for a type that does not exist.
func Make(t onnxio.DataType, n int) any {
	switch t {
	case onnxio.Float:
		return make([]float32, n)
	case onnxio.Double:
		return make([]float64, n)
	case onnxio.Int8, onnxio.Int4, onnxio.Int2:
		return make([]int8, n)
	case onnxio.Int16:
		return make([]int16, n)
	case onnxio.Int32:
		return make([]int32, n)
	case onnxio.Int64:
		return make([]int64, n)
	case onnxio.Uint16, onnxio.Float16, onnxio.BFloat16:
		return make([]uint16, n)
	case onnxio.Uint32:
		return make([]uint32, n)
	case onnxio.Uint64:
		return make([]uint64, n)
	case onnxio.Bool:
		return make([]bool, n)
	case onnxio.String:
		return make([]string, n)
	case onnxio.Complex64:
		return make([]complex64, n)
	case onnxio.Complex128:
		return make([]complex128, n)
	case onnxio.Uint8, onnxio.Uint4, onnxio.Uint2, onnxio.Float4E2M1, onnxio.Float8E8M0,
		onnxio.Float8E4M3FN, onnxio.Float8E4M3FNUZ, onnxio.Float8E5M2, onnxio.Float8E5M2FNUZ:
		return make([]uint8, n)
	}
	return nil
}

// New returns a zeroed tensor outside of any allocator. Inside an operator use Context.New.
func New(t onnxio.DataType, shape ...int) *Tensor {
	return &Tensor{Type: t, Shape: append([]int{}, shape...), Data: Make(t, Count(shape))}
}

// From wraps elements in a tensor of the type that belongs to T (uint16 and uint8 are plain integers;
// set Type for the small floats).
func From[T Elem](data []T, shape ...int) *Tensor {
	return &Tensor{Type: typeOf[T](), Shape: append([]int{}, shape...), Data: data}
}

// Scalar wraps one element.
func Scalar[T Elem](v T) *Tensor { return From([]T{v}) }

func typeOf[T Elem]() onnxio.DataType {
	switch any(*new(T)).(type) {
	case float32:
		return onnxio.Float
	case float64:
		return onnxio.Double
	case int8:
		return onnxio.Int8
	case int16:
		return onnxio.Int16
	case int32:
		return onnxio.Int32
	case int64:
		return onnxio.Int64
	case uint8:
		return onnxio.Uint8
	case uint16:
		return onnxio.Uint16
	case uint32:
		return onnxio.Uint32
	case uint64:
		return onnxio.Uint64
	case bool:
		return onnxio.Bool
	case string:
		return onnxio.String
	case complex64:
		return onnxio.Complex64
	}
	return onnxio.Complex128
}

// Of returns the elements as []T. It panics when T is not the element type's Go type: callers switch on Type first.
func Of[T Elem](t *Tensor) []T { return t.Data.([]T) }

// View returns a tensor with the same elements and another shape of the same size. It shares
// the memory, and keeps it alive.
func (t *Tensor) View(shape ...int) *Tensor {
	v := &Tensor{Type: t.Type, Shape: append([]int{}, shape...), Data: t.Data, buf: t.buf}
	return v
}

// Ints returns the elements of an integer or bool tensor as int64; ok is false for other types.
func (t *Tensor) Ints() (vs []int64, ok bool) {
	switch d := t.Data.(type) {
	case []int64:
		return d, true
	case []int32:
		return widen(d), true
	case []int16:
		return widen(d), true
	case []int8:
		return widen(d), true
	case []uint8:
		return widen(d), t.Type == onnxio.Uint8 || t.Type == onnxio.Uint4 || t.Type == onnxio.Uint2
	case []uint16:
		return widen(d), t.Type == onnxio.Uint16
	case []uint32:
		return widen(d), true
	case []uint64:
		return widen(d), true
	case []bool:
		vs = make([]int64, len(d))
		for i, b := range d {
			if b {
				vs[i] = 1
			}
		}
		return vs, true
	}
	return nil, false
}

func widen[T int8 | int16 | int32 | uint8 | uint16 | uint32 | uint64](d []T) []int64 {
	out := make([]int64, len(d))
	for i, v := range d {
		out[i] = int64(v)
	}
	return out
}

// Floats returns the elements of any numeric tensor as float64; ok is false for strings, complex
// numbers and types below 16 bits that are not integers.
func (t *Tensor) Floats() (vs []float64, ok bool) {
	switch d := t.Data.(type) {
	case []float32:
		vs = make([]float64, len(d))
		for i, v := range d {
			vs[i] = float64(v)
		}
		return vs, true
	case []float64:
		return d, true
	case []uint16:
		if t.Type == onnxio.Uint16 {
			break
		}
		widen := onnxio.Float16ToFloat32
		if t.Type == onnxio.BFloat16 {
			widen = onnxio.BFloat16ToFloat32
		}
		vs = make([]float64, len(d))
		for i, v := range d {
			vs[i] = float64(widen(v))
		}
		return vs, true
	}
	is, ok := t.Ints()
	if !ok {
		return nil, false
	}
	vs = make([]float64, len(is))
	for i, v := range is {
		vs[i] = float64(v)
	}
	return vs, true
}
