// Tensors as plain Go data: type, shape, and the elements' bytes.

package onnxruntime

import (
	"encoding/binary"
	"fmt"
	"math"
)

// A Tensor is a value that goes into or comes out of a model. Exactly one of Data, Strings and Sequence is in use.
type Tensor struct {
	Type     int32     // ONNX TensorProto.DataType number
	Shape    []int64   // empty for a scalar
	Data     []byte    // row-major, little-endian; four- and two-bit types packed
	Strings  []string  // for the type String
	Sequence []*Tensor // not nil: the value is a sequence, and Shape, Data and Strings mean nothing
}

// FromFloat32 makes a tensor of type Float.
func FromFloat32(shape []int64, values []float32) *Tensor { return fromValues(Float, shape, values) }

// FromFloat64 makes a tensor of type Double.
func FromFloat64(shape []int64, values []float64) *Tensor { return fromValues(Double, shape, values) }

// FromInt32 makes a tensor of type Int32.
func FromInt32(shape []int64, values []int32) *Tensor { return fromValues(Int32, shape, values) }

// FromInt64 makes a tensor of type Int64.
func FromInt64(shape []int64, values []int64) *Tensor { return fromValues(Int64, shape, values) }

// FromUint8 makes a tensor of type Uint8.
func FromUint8(shape []int64, values []uint8) *Tensor { return fromValues(Uint8, shape, values) }

// FromBool makes a tensor of type Bool.
func FromBool(shape []int64, values []bool) *Tensor { return fromValues(Bool, shape, values) }

// FromStrings makes a tensor of type String.
func FromStrings(shape []int64, values []string) *Tensor {
	return &Tensor{Type: String, Shape: shape, Strings: values}
}

// Float32s gives the elements of a tensor of type Float.
func (t *Tensor) Float32s() ([]float32, error) { return toValues[float32](t, Float) }

// Float64s gives the elements of a tensor of type Double.
func (t *Tensor) Float64s() ([]float64, error) { return toValues[float64](t, Double) }

// Int32s gives the elements of a tensor of type Int32.
func (t *Tensor) Int32s() ([]int32, error) { return toValues[int32](t, Int32) }

// Int64s gives the elements of a tensor of type Int64.
func (t *Tensor) Int64s() ([]int64, error) { return toValues[int64](t, Int64) }

// Uint8s gives the elements of a tensor of type Uint8.
func (t *Tensor) Uint8s() ([]uint8, error) { return toValues[uint8](t, Uint8) }

// Bools gives the elements of a tensor of type Bool.
func (t *Tensor) Bools() ([]bool, error) { return toValues[bool](t, Bool) }

// Numbers gives the elements of a tensor of any real type of a byte or more as float64, exactly but for 64-bit
// integers beyond 2^53; a bool is 0 or 1.
func (t *Tensor) Numbers() ([]float64, error) {
	switch t.Type {
	case Float:
		return convert[float32](t)
	case Double:
		return convert[float64](t)
	case Uint8:
		return convert[uint8](t)
	case Int8:
		return convert[int8](t)
	case Uint16:
		return convert[uint16](t)
	case Int16:
		return convert[int16](t)
	case Uint32:
		return convert[uint32](t)
	case Int32:
		return convert[int32](t)
	case Uint64:
		return convert[uint64](t)
	case Int64:
		return convert[int64](t)
	case Bool:
		return convertBits(t, func(b uint8) float64 { return float64(min(b, 1)) })
	case Float16:
		return convertBits(t, float16Value)
	case Bfloat16:
		return convertBits(t, func(b uint16) float64 { return float64(math.Float32frombits(uint32(b) << 16)) })
	}
	return nil, fmt.Errorf("a tensor of %s has no plain numbers", TypeName(t.Type))
}

// float16Value is the value of an IEEE 754 binary16.
func float16Value(bits uint16) float64 {
	sign := 1.0
	if bits>>15 != 0 {
		sign = -1
	}
	exponent, fraction := int(bits>>10&0x1f), float64(bits&0x3ff)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 0x1f:
		if fraction != 0 {
			return math.NaN()
		}
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

type element interface {
	bool | uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64 | float32 | float64
}

type number interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64 | float32 | float64
}

func fromValues[T element](elemType int32, shape []int64, values []T) *Tensor {
	// Append fails only for types without a fixed size, which T excludes.
	data, _ := binary.Append(nil, binary.LittleEndian, values)
	return &Tensor{Type: elemType, Shape: shape, Data: data}
}

func toValues[T element](t *Tensor, want int32) ([]T, error) {
	if t.Sequence != nil {
		return nil, fmt.Errorf("a sequence is read as a tensor of %s", TypeName(want))
	}
	if t.Type != want {
		return nil, fmt.Errorf("a tensor of %s is read as %s", TypeName(t.Type), TypeName(want))
	}
	size, err := byteCount(t.Type, t.Shape)
	if err != nil {
		return nil, err
	}
	if int64(len(t.Data)) != size {
		return nil, fmt.Errorf("a tensor of %s %v has %d bytes, want %d", TypeName(t.Type), t.Shape, len(t.Data), size)
	}
	var zero T
	values := make([]T, len(t.Data)/binary.Size(zero))
	if _, err := binary.Decode(t.Data, binary.LittleEndian, values); err != nil {
		return nil, fmt.Errorf("reading a tensor of %s: %w", TypeName(t.Type), err)
	}
	return values, nil
}

func convert[T number](t *Tensor) ([]float64, error) {
	return convertBits(t, func(v T) float64 { return float64(v) })
}

func convertBits[T number](t *Tensor, value func(T) float64) ([]float64, error) {
	raw, err := toValues[T](t, t.Type)
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(raw))
	for i, v := range raw {
		out[i] = value(v)
	}
	return out, nil
}
