package onnxio

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
)

// Tensor is a TensorProto: an initializer, or the value of an attribute.
type Tensor struct {
	message
	Name     string
	Dims     []int64
	DataType DataType
	External *External // where the data lies when it lies in another file

	file *source
	view *Slices // what NewSliced set: the data is a part of another tensor's
}

// External is the place of a tensor's data in a file beside the model.
type External struct {
	Location string // relative to the model's folder
	Offset   int64
	Length   int64 // -1: to be worked out from type and dims
}

// SparseTensor is a SparseTensorProto: values and their indices in a dense shape.
type SparseTensor struct {
	message
	Values, Indices *Tensor
	Dims            []int64
}

// Name returns the name of the sparse initializer, which is that of its values.
func (s *SparseTensor) Name() string {
	if s.Values == nil {
		return ""
	}
	return s.Values.Name
}

func parseSparse(p parser, b []byte) (*SparseTensor, error) {
	s := &SparseTensor{}
	var err error
	if s.message, err = readFields(b); err != nil {
		return nil, fmt.Errorf("sparse tensor: %w", err)
	}
	for i := range s.fields {
		f := &s.fields[i]
		switch f.num {
		case 1:
			err = parseSingle(p, f, &s.Values, parseTensor)
		case 2:
			err = parseSingle(p, f, &s.Indices, parseTensor)
		case 3:
			s.Dims, err = f.varints(s.Dims)
		}
		if err != nil {
			return nil, fmt.Errorf("sparse tensor %q: %w", s.Name(), err)
		}
	}
	return s, nil
}

func parseTensor(p parser, b []byte) (*Tensor, error) {
	t := &Tensor{file: p.file}
	var err error
	if t.message, err = readFields(b); err != nil {
		return nil, fmt.Errorf("tensor: %w", err)
	}
	var location int64
	ext := External{Length: -1}
	for i := range t.fields {
		f := &t.fields[i]
		switch f.num {
		case 1:
			t.Dims, err = f.varints(t.Dims)
		case 2:
			var v int64
			err = f.int(&v)
			t.DataType = DataType(v)
		case 8:
			err = f.str(&t.Name)
		case 13:
			err = ext.entry(f)
		case 14:
			err = f.int(&location)
		}
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
		}
	}
	if location == 1 {
		t.External = &ext
	}
	if _, err := t.elements(); err != nil {
		return nil, err
	}
	return t, nil
}

// entry reads one key-value pair of external_data.
func (e *External) entry(f *field) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	k, v, err := keyValue(b)
	if err != nil {
		return err
	}
	switch k {
	case "location":
		e.Location = v
	case "offset":
		e.Offset, err = strconv.ParseInt(v, 10, 64)
	case "length":
		e.Length, err = strconv.ParseInt(v, 10, 64)
	}
	if err != nil {
		return fmt.Errorf("external data: %s %q is not a number", k, v)
	}
	return nil
}

// elements returns the product of the dims, checked for sign and overflow.
func (t *Tensor) elements() (int64, error) {
	n := int64(1)
	for _, d := range t.Dims {
		if d < 0 {
			return 0, fmt.Errorf("tensor %q: dimension %d is negative", t.Name, d)
		}
		if d > 0 && n > math.MaxInt64/256/d {
			return 0, fmt.Errorf("tensor %q: dims %v overflow", t.Name, t.Dims)
		}
		n *= d
	}
	return n, nil
}

// Len returns the number of elements.
func (t *Tensor) Len() int64 {
	n, _ := t.elements()
	return n
}

// Size returns the bytes that the elements take when densely packed; strings count as 0.
func (t *Tensor) Size() int64 {
	n, _ := t.DataType.Bytes(t.Len())
	return n
}

// Raw returns the elements as little-endian bytes in row-major order, densely packed, wherever and
// however they are stored. The result may alias the mapped file: it must not be changed.
// Types below 8 bits are packed, low bits first. Strings have no raw form.
func (t *Tensor) Raw() ([]byte, error) {
	want, ok := t.DataType.Bytes(t.Len())
	if !ok {
		return nil, fmt.Errorf("tensor %q: %v has no raw form", t.Name, t.DataType)
	}
	b, err := t.stored(want)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", t.Name, err)
	}
	if int64(len(b)) != want {
		return nil, fmt.Errorf("tensor %q holds %d bytes, but %v%v needs %d", t.Name, len(b), t.DataType, t.Dims, want)
	}
	return b, nil
}

func (t *Tensor) stored(want int64) ([]byte, error) {
	if t.view != nil {
		return t.view.bytes(), nil
	}
	if t.External != nil {
		if t.file == nil {
			return nil, fmt.Errorf("its data is external, but the model was not read from a file")
		}
		n := t.External.Length
		if n < 0 {
			n = want
		}
		return t.file.external(t.External.Location, t.External.Offset, n)
	}
	if raw := t.rawBytes(9); len(raw) > 0 && (len(raw[len(raw)-1]) > 0 || want == 0) {
		return raw[len(raw)-1], nil
	}
	return t.typed()
}

// typed decodes float_data, int32_data, int64_data, double_data or uint64_data.
func (t *Tensor) typed() ([]byte, error) {
	num, width := protowire.Number(5), max(1, t.DataType.Bits()/8)
	switch t.DataType {
	case Float, Complex64:
		num = 4
	case Int64:
		num = 7
	case Double, Complex128:
		num = 10
	case Uint32, Uint64:
		num = 11
	}
	var out []byte
	for i := range t.fields {
		f := &t.fields[i]
		if f.num != num {
			continue
		}
		var err error
		if num == 4 || num == 10 {
			if out, err = f.fixed(out, map[protowire.Number]int{4: 4, 10: 8}[num]); err != nil {
				return nil, err
			}
			continue
		}
		vs, err := f.varints(nil)
		if err != nil {
			return nil, err
		}
		for _, v := range vs {
			out = appendInt(out, v, width)
		}
	}
	return out, nil
}

func appendInt(b []byte, v int64, width int) []byte {
	switch width {
	case 1:
		return append(b, byte(v))
	case 2:
		return binary.LittleEndian.AppendUint16(b, uint16(v))
	case 4:
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return binary.LittleEndian.AppendUint64(b, uint64(v))
}

// Strings returns the elements of a string tensor.
func (t *Tensor) Strings() ([]string, error) {
	if t.DataType != String {
		return nil, fmt.Errorf("tensor %q holds %v, not strings", t.Name, t.DataType)
	}
	bs := t.rawBytes(6)
	if int64(len(bs)) != t.Len() {
		return nil, fmt.Errorf("tensor %q holds %d strings, but its dims are %v", t.Name, len(bs), t.Dims)
	}
	out := make([]string, len(bs))
	for i, b := range bs {
		out[i] = string(b)
	}
	return out, nil
}

// Float32s returns the elements of a floating-point tensor, widened or rounded to float32.
func (t *Tensor) Float32s() ([]float32, error) {
	b, err := t.Raw()
	if err != nil {
		return nil, err
	}
	out := make([]float32, t.Len())
	le := binary.LittleEndian
	switch t.DataType {
	case Float:
		for i := range out {
			out[i] = math.Float32frombits(le.Uint32(b[4*i:]))
		}
	case Double:
		for i := range out {
			out[i] = float32(math.Float64frombits(le.Uint64(b[8*i:])))
		}
	case Float16:
		for i := range out {
			out[i] = Float16ToFloat32(le.Uint16(b[2*i:]))
		}
	case BFloat16:
		for i := range out {
			out[i] = BFloat16ToFloat32(le.Uint16(b[2*i:]))
		}
	default:
		return nil, fmt.Errorf("tensor %q holds %v, not floating-point numbers", t.Name, t.DataType)
	}
	return out, nil
}

// Ints returns the elements of an integer or bool tensor of 8 bits or more.
func (t *Tensor) Ints() ([]int64, error) {
	b, err := t.Raw()
	if err != nil {
		return nil, err
	}
	out := make([]int64, t.Len())
	le := binary.LittleEndian
	for i := range out {
		switch t.DataType {
		case Int64, Uint64:
			out[i] = int64(le.Uint64(b[8*i:]))
		case Int32:
			out[i] = int64(int32(le.Uint32(b[4*i:])))
		case Uint32:
			out[i] = int64(le.Uint32(b[4*i:]))
		case Int16:
			out[i] = int64(int16(le.Uint16(b[2*i:])))
		case Uint16:
			out[i] = int64(le.Uint16(b[2*i:]))
		case Int8:
			out[i] = int64(int8(b[i]))
		case Uint8, Bool:
			out[i] = int64(b[i])
		default:
			return nil, fmt.Errorf("tensor %q holds %v, not integers", t.Name, t.DataType)
		}
	}
	return out, nil
}
