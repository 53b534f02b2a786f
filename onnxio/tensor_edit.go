package onnxio

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file makes tensors and replaces their content. What is made here keeps its elements in one raw_data
// field, whichever way they were stored before.

// NewTensor makes a tensor out of little-endian bytes; raw must have the size that type and dims say.
func NewTensor(name string, dtype DataType, dims []int64, raw []byte) *Tensor {
	t := newTensor(name, dtype, dims)
	t.fields = append(t.fields, field{num: 9, body: rawPayload(raw)})
	t.view = &Slices{whole: raw}
	return t
}

func newTensor(name string, dtype DataType, dims []int64) *Tensor {
	t := &Tensor{Name: name, DataType: dtype, Dims: slices.Clone(dims)}
	if len(dims) > 0 {
		t.fields = append(t.fields, packedField(1, dims))
	}
	t.fields = append(t.fields, varintField(2, int64(dtype)))
	if name != "" {
		t.fields = append(t.fields, stringField(8, name))
	}
	return t
}

// NewFloats32 makes a float32 tensor.
func NewFloats32(name string, dims []int64, vs []float32) *Tensor {
	b := make([]byte, 0, 4*len(vs))
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return NewTensor(name, Float, dims, b)
}

// NewInts64 makes an int64 tensor.
func NewInts64(name string, dims []int64, vs []int64) *Tensor {
	return NewIntTensor(name, Int64, dims, vs)
}

// NewIntTensor makes a tensor of an integer type of 8 bits or more (or bool) out of vs.
func NewIntTensor(name string, dtype DataType, dims []int64, vs []int64) *Tensor {
	var b []byte
	for _, v := range vs {
		b = appendInt(b, v, max(1, dtype.Bits()/8))
	}
	return NewTensor(name, dtype, dims, b)
}

// NewStringTensor makes a tensor of strings.
func NewStringTensor(name string, dims []int64, vs []string) *Tensor {
	t := newTensor(name, String, dims)
	t.fields = append(t.fields, stringFields(6, vs)...)
	return t
}

// SetName renames the tensor.
func (t *Tensor) SetName(name string) {
	t.Name = name
	t.set(8, stringField(8, name))
}

// SetRaw replaces dims and elements; the element type stays.
func (t *Tensor) SetRaw(dims []int64, raw []byte) error {
	n, err := (&Tensor{Name: t.Name, Dims: dims}).elements()
	if err != nil {
		return err
	}
	want, ok := t.DataType.Bytes(n)
	if !ok {
		return fmt.Errorf("tensor %q: %v has no raw form", t.Name, t.DataType)
	}
	if want != int64(len(raw)) {
		return fmt.Errorf("tensor %q: %d bytes for %v%v, want %d", t.Name, len(raw), t.DataType, dims, want)
	}
	t.replaceData(dims, field{num: 9, body: rawPayload(raw)}, &Slices{whole: raw})
	return nil
}

// replaceData drops every stored form of the elements and puts one raw_data field in their place.
func (t *Tensor) replaceData(dims []int64, data field, view *Slices) {
	data.num = 9
	for _, num := range []protowire.Number{4, 5, 6, 7, 10, 11, 13, 14} {
		if slices.ContainsFunc(t.fields, func(f field) bool { return f.num == num }) {
			t.set(num)
		}
	}
	t.set(9, data)
	if len(dims) > 0 || len(t.Dims) > 0 {
		var fs []field
		if len(dims) > 0 {
			fs = []field{packedField(1, dims)}
		}
		t.set(1, fs...)
	}
	t.Dims, t.External, t.view = slices.Clone(dims), nil, view
}

// rawPayload is a payload that is in memory already.
type rawPayload []byte

func (p rawPayload) Len() int { return len(p) }

func (p rawPayload) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(p)
	return int64(n), err
}
