package value

import (
	"encoding/binary"
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// FromProto decodes a TensorProto into memory of its own.
func FromProto(p *onnxio.Tensor) (*Tensor, error) {
	shape := make([]int, len(p.Dims))
	for i, d := range p.Dims {
		shape[i] = int(d)
	}
	t := &Tensor{Type: p.DataType, Shape: shape}
	if p.DataType == onnxio.String {
		ss, err := p.Strings()
		t.Data = ss
		return t, err
	}
	raw, err := p.Raw()
	if err != nil {
		return nil, err
	}
	n := t.Len()
	if t.Data = Make(t.Type, n); t.Data == nil {
		return nil, fmt.Errorf("tensor %q has %v, which does not exist", p.Name, p.DataType)
	}
	decode(t, raw)
	return t, nil
}

// decode fills t.Data from little-endian bytes of the right length.
func decode(t *Tensor, b []byte) {
	le := binary.LittleEndian
	switch d := t.Data.(type) {
	case []float32:
		for i := range d {
			d[i] = math.Float32frombits(le.Uint32(b[4*i:]))
		}
	case []float64:
		for i := range d {
			d[i] = math.Float64frombits(le.Uint64(b[8*i:]))
		}
	case []int16:
		for i := range d {
			d[i] = int16(le.Uint16(b[2*i:]))
		}
	case []uint16:
		for i := range d {
			d[i] = le.Uint16(b[2*i:])
		}
	case []int32:
		for i := range d {
			d[i] = int32(le.Uint32(b[4*i:]))
		}
	case []uint32:
		for i := range d {
			d[i] = le.Uint32(b[4*i:])
		}
	case []int64:
		for i := range d {
			d[i] = int64(le.Uint64(b[8*i:]))
		}
	case []uint64:
		for i := range d {
			d[i] = le.Uint64(b[8*i:])
		}
	case []complex64:
		for i := range d {
			d[i] = complex(math.Float32frombits(le.Uint32(b[8*i:])), math.Float32frombits(le.Uint32(b[8*i+4:])))
		}
	case []complex128:
		for i := range d {
			d[i] = complex(math.Float64frombits(le.Uint64(b[16*i:])), math.Float64frombits(le.Uint64(b[16*i+8:])))
		}
	case []bool:
		for i := range d {
			d[i] = b[i] != 0
		}
	case []int8:
		if bits := t.Type.Bits(); bits < 8 {
			for i := range d { // sign-extend from the top
				d[i] = int8(b[i*bits/8]>>(i*bits%8)<<(8-bits)) >> (8 - bits)
			}
			return
		}
		for i := range d {
			d[i] = int8(b[i])
		}
	case []uint8:
		if bits := t.Type.Bits(); bits < 8 {
			for i := range d {
				d[i] = b[i*bits/8] >> (i * bits % 8) & (1<<bits - 1)
			}
			return
		}
		copy(d, b)
	}
}

// ToProto encodes a tensor as a TensorProto with raw data (strings as string data).
func (t *Tensor) ToProto(name string) *onnxio.Tensor {
	dims := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = int64(d)
	}
	if t.Type == onnxio.String {
		return onnxio.NewStringTensor(name, dims, t.Data.([]string))
	}
	return onnxio.NewTensor(name, t.Type, dims, t.Raw())
}

// Raw returns the elements as little-endian bytes, types below 8 bits packed; nil for strings.
func (t *Tensor) Raw() []byte {
	size, _ := t.Type.Bytes(int64(t.Len()))
	b := make([]byte, 0, size)
	le := binary.LittleEndian
	switch d := t.Data.(type) {
	case []float32:
		for _, v := range d {
			b = le.AppendUint32(b, math.Float32bits(v))
		}
	case []float64:
		for _, v := range d {
			b = le.AppendUint64(b, math.Float64bits(v))
		}
	case []int16:
		for _, v := range d {
			b = le.AppendUint16(b, uint16(v))
		}
	case []uint16:
		for _, v := range d {
			b = le.AppendUint16(b, v)
		}
	case []int32:
		for _, v := range d {
			b = le.AppendUint32(b, uint32(v))
		}
	case []uint32:
		for _, v := range d {
			b = le.AppendUint32(b, v)
		}
	case []int64:
		for _, v := range d {
			b = le.AppendUint64(b, uint64(v))
		}
	case []uint64:
		for _, v := range d {
			b = le.AppendUint64(b, v)
		}
	case []complex64:
		for _, v := range d {
			b = le.AppendUint32(b, math.Float32bits(real(v)))
			b = le.AppendUint32(b, math.Float32bits(imag(v)))
		}
	case []complex128:
		for _, v := range d {
			b = le.AppendUint64(b, math.Float64bits(real(v)))
			b = le.AppendUint64(b, math.Float64bits(imag(v)))
		}
	case []bool:
		for _, v := range d {
			if v {
				b = append(b, 1)
			} else {
				b = append(b, 0)
			}
		}
	case []int8:
		b = packSmall(b[:size], t.Type.Bits(), len(d), func(i int) byte { return byte(d[i]) })
	case []uint8:
		b = packSmall(b[:size], t.Type.Bits(), len(d), func(i int) byte { return d[i] })
	}
	return b
}

func packSmall(b []byte, bits, n int, at func(int) byte) []byte {
	for i := range n {
		b[i*bits/8] |= at(i) & (1<<bits - 1) << (i * bits % 8)
	}
	return b
}
