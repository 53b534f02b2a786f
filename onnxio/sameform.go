package onnxio

import (
	"encoding/binary"
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// Edits that keep the form in which a thing was stored: typed or raw elements, packed or not, where it stood. Undoing such an edit by another
// one gives the bytes that were there before.

// Restore replaces dims and elements (little-endian, row-major) and keeps the form in which they are stored. External data becomes
// raw_data.
func (t *Tensor) Restore(dims []int64, raw []byte) error {
	if err := (&Tensor{Name: t.Name, DataType: t.DataType, Dims: dims}).fits(raw); err != nil {
		return err
	}
	num, width := t.typedField()
	at := slices.IndexFunc(t.fields, func(f field) bool { return f.num == num })
	stored := slices.ContainsFunc(t.fields, func(f field) bool { return f.num == 9 })
	switch {
	case t.External == nil && stored:
		return t.keepingDims(dims, func() error {
			t.set(9, field{num: 9, body: rawPayload(raw)})
			t.view = &Slices{whole: raw}
			return nil
		})
	case t.External != nil || t.view != nil || at < 0:
		return t.keepingDims(dims, func() error { return t.SetRaw(dims, raw) })
	}
	return t.keepingDims(dims, func() error {
		single := t.fields[at].wireType() != protowire.BytesType
		t.set(num, typedFields(num, width, raw, single)...)
		return nil
	})
}

// fits reports elements whose number of bytes is not what type and dims say.
func (t *Tensor) fits(raw []byte) error {
	n, err := t.elements()
	if err != nil {
		return err
	}
	if want, ok := t.DataType.Bytes(n); !ok || want != int64(len(raw)) {
		return fmt.Errorf("tensor %q: %d bytes for %v%v, want %d", t.Name, len(raw), t.DataType, t.Dims, want)
	}
	return nil
}

// keepingDims lets change replace the elements, and writes the dims as they were written before.
func (t *Tensor) keepingDims(dims []int64, change func() error) error {
	was := slices.Clone(t.fields)
	same := slices.Equal(dims, t.Dims)
	if err := change(); err != nil {
		return err
	}
	fs := slices.DeleteFunc(was, func(f field) bool { return f.num != 1 })
	if !same {
		fs = intFields(1, dims, len(fs) > 0 && fs[0].wireType() != protowire.BytesType)
	}
	t.set(1, fs...)
	t.Dims = slices.Clone(dims)
	return nil
}

// typedField returns the field that holds elements of the tensor's type one by one, and the bytes that an element has in raw form.
func (t *Tensor) typedField() (num protowire.Number, width int) {
	width = max(1, t.DataType.Bits()/8)
	switch t.DataType {
	case Float, Complex64:
		return 4, width
	case Int64:
		return 7, width
	case Double, Complex128:
		return 10, width
	case Uint32, Uint64:
		return 11, width
	}
	return 5, width
}

// typedFields writes raw elements as a typed field: as single fields, or packed into one.
func typedFields(num protowire.Number, width int, raw []byte, single bool) []field {
	if num == 4 || num == 10 { // fixed-width numbers
		size, typ := 4, protowire.Fixed32Type
		if num == 10 {
			size, typ = 8, protowire.Fixed64Type
		}
		if !single {
			return []field{bytesField(num, raw)}
		}
		var fs []field
		for at := 0; at < len(raw); at += size {
			fs = append(fs, field{num: num, raw: append(protowire.AppendTag(nil, num, typ), raw[at:at+size]...)})
		}
		return fs
	}
	var vs []int64
	for at := 0; at+width <= len(raw); at += width {
		v := int64(0)
		switch width {
		case 1:
			v = int64(int8(raw[at]))
		case 2:
			v = int64(int16(binary.LittleEndian.Uint16(raw[at:])))
		case 4:
			v = int64(int32(binary.LittleEndian.Uint32(raw[at:])))
		default:
			v = int64(binary.LittleEndian.Uint64(raw[at:]))
		}
		vs = append(vs, v)
	}
	return intFields(num, vs, single)
}

// intFields writes integers as single fields, or packed into one.
func intFields(num protowire.Number, vs []int64, single bool) []field {
	if !single {
		if len(vs) == 0 {
			return nil
		}
		return []field{packedField(num, vs)}
	}
	fs := make([]field, len(vs))
	for i, v := range vs {
		fs[i] = varintField(num, v)
	}
	return fs
}

// wireType is that of a field that is its own bytes; fields that are made on writing hold bytes.
func (f *field) wireType() protowire.Type {
	if f.raw == nil {
		return protowire.BytesType
	}
	_, typ, _ := protowire.ConsumeTag(f.raw)
	return typ
}

// SetInts replaces the integers of a list, in the form in which they are stored.
func (a *Attribute) SetInts(vs []int64) {
	at := slices.IndexFunc(a.fields, func(f field) bool { return f.num == 8 })
	a.Ints = slices.Clone(vs)
	a.set(8, intFields(8, vs, at < 0 || a.fields[at].wireType() != protowire.BytesType)...)
}

// SetExtents replaces extents of a declared tensor that are numbers, and leaves everything else of the declaration as it is stored.
func (v *ValueInfo) SetExtents(extents map[int]int64) error {
	if v.Type == nil || v.Type.Kind != KindTensor || !v.Type.HasShape {
		return fmt.Errorf("value %q is declared as %v: it has no extents that could be set", v.Name, v.Type)
	}
	at := slices.IndexFunc(v.fields, func(f field) bool { return f.num == 2 })
	if at < 0 || v.fields[at].raw == nil {
		return fmt.Errorf("value %q: its declaration is not stored as bytes", v.Name)
	}
	t := *v.Type
	t.Shape = slices.Clone(t.Shape)
	for k, n := range extents {
		if k < 0 || k >= len(t.Shape) || !t.Shape[k].Known {
			return fmt.Errorf("value %q: axis %d of %v is no number", v.Name, k, v.Type)
		}
		t.Shape[k].Value = n
	}
	body, err := v.fields[at].bytes()
	if err != nil {
		return err
	}
	axis := 0
	// TypeProto.tensor_type (1), Tensor.shape (2), TensorShapeProto.dim (1), Dimension.dim_value (1)
	out, err := rewriteField(body, 1, func(b []byte) ([]byte, error) {
		return rewriteField(b, 2, func(b []byte) ([]byte, error) {
			return rewriteField(b, 1, func(b []byte) ([]byte, error) {
				n, change := extents[axis]
				axis++
				if !change {
					return b, nil
				}
				m, err := readFields(b)
				if err != nil {
					return nil, err
				}
				m.set(1, varintField(1, n))
				return plain(m.fields...), nil
			})
		})
	})
	if err != nil {
		return err
	}
	v.Type = &t
	v.set(2, bytesField(2, out))
	return nil
}

// rewriteField replaces the content of every field of a number in a message of bytes.
func rewriteField(b []byte, num protowire.Number, change func([]byte) ([]byte, error)) ([]byte, error) {
	m, err := readFields(b)
	if err != nil {
		return nil, err
	}
	for i := range m.fields {
		if m.fields[i].num != num {
			continue
		}
		in, err := m.fields[i].bytes()
		if err != nil {
			return nil, err
		}
		if in, err = change(in); err != nil {
			return nil, err
		}
		m.fields[i] = bytesField(num, in)
	}
	return plain(m.fields...), nil
}

// ReplaceMetadata replaces the value of an entry of metadata_props, where the entry stands. A model without the key stays as it is.
func (m *Model) ReplaceMetadata(key, value string) {
	var fs []field
	for i := range m.fields {
		f := m.fields[i]
		if f.num != 14 {
			continue
		}
		if k, _ := metadata(&f); k == key {
			f = bytesField(14, plain(stringField(1, key), stringField(2, value)))
		}
		fs = append(fs, f)
	}
	m.set(14, fs...)
}
