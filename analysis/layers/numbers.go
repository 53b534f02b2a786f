package layers

import (
	"encoding/binary"
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// numbers returns the elements of a tensor of floats or integers as float64.
func numbers(t *onnxio.Tensor) ([]float64, error) {
	if t.DataType == onnxio.Double {
		raw, err := t.Raw()
		if err != nil {
			return nil, err
		}
		out := make([]float64, t.Len())
		for i := range out {
			out[i] = math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
		}
		return out, nil
	}
	if t.DataType.IsFloat() {
		fs, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		out := make([]float64, len(fs))
		for i, f := range fs {
			out[i] = float64(f)
		}
		return out, nil
	}
	is, err := t.Ints()
	if err != nil {
		return nil, err
	}
	out := make([]float64, len(is))
	for i, n := range is {
		out[i] = float64(n)
	}
	return out, nil
}

// integerRange returns the least and greatest number of an integer type of 8 to 32 bits.
func integerRange(t onnxio.DataType) (lo, hi float64, ok bool) {
	switch t {
	case onnxio.Int8:
		return math.MinInt8, math.MaxInt8, true
	case onnxio.Uint8:
		return 0, math.MaxUint8, true
	case onnxio.Int16:
		return math.MinInt16, math.MaxInt16, true
	case onnxio.Uint16:
		return 0, math.MaxUint16, true
	case onnxio.Int32:
		return math.MinInt32, math.MaxInt32, true
	}
	return 0, 0, false
}

// encode writes numbers as little-endian bytes of a type. A finite number that becomes infinite there is an error.
func encode(name string, t onnxio.DataType, vs []float64) ([]byte, error) {
	le := binary.LittleEndian
	var raw []byte
	for i, v := range vs {
		back := v
		switch t {
		case onnxio.Float:
			back = float64(float32(v))
			raw = le.AppendUint32(raw, math.Float32bits(float32(v)))
		case onnxio.Double:
			raw = le.AppendUint64(raw, math.Float64bits(v))
		case onnxio.Float16:
			h := onnxio.Float32ToFloat16(float32(v))
			back = float64(onnxio.Float16ToFloat32(h))
			raw = le.AppendUint16(raw, h)
		case onnxio.BFloat16:
			h := onnxio.Float32ToBFloat16(float32(v))
			back = float64(onnxio.BFloat16ToFloat32(h))
			raw = le.AppendUint16(raw, h)
		case onnxio.Int8, onnxio.Uint8:
			raw = append(raw, byte(int64(v)))
		case onnxio.Int16, onnxio.Uint16:
			raw = le.AppendUint16(raw, uint16(int64(v)))
		case onnxio.Int32:
			raw = le.AppendUint32(raw, uint32(int64(v)))
		default:
			return nil, fmt.Errorf("%q: numbers can not be written as %v", name, t)
		}
		if math.IsInf(back, 0) {
			return nil, fmt.Errorf("%q: element %d, %g, is too large for %v", name, i, v, t)
		}
	}
	return raw, nil
}

// NewConstant makes a tensor of a float type out of numbers, which must be finite in that type. It returns its bytes too.
func NewConstant(name string, t onnxio.DataType, shape []int, vs []float64) (*onnxio.Tensor, []byte, error) {
	for i, v := range vs {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, nil, fmt.Errorf("%q: element %d would not be finite", name, i)
		}
	}
	raw, err := encode(name, t, vs)
	if err != nil {
		return nil, nil, err
	}
	made, err := FromBytes(name, t, shape, raw)
	return made, raw, err
}

// FromBytes makes a tensor out of little-endian bytes.
func FromBytes(name string, t onnxio.DataType, shape []int, raw []byte) (*onnxio.Tensor, error) {
	dims := make([]int64, len(shape))
	for k, d := range shape {
		dims[k] = int64(d)
	}
	if want, ok := t.Bytes(int64(count(shape))); !ok || want != int64(len(raw)) {
		return nil, fmt.Errorf("%q: %d bytes for %v%v", name, len(raw), t, shape)
	}
	return onnxio.NewTensor(name, t, dims, raw), nil
}
