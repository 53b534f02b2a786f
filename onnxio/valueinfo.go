package onnxio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind says what sort of value a Type describes.
type Kind int

// The kinds of values that ONNX knows.
const (
	KindUnknown Kind = iota
	KindTensor
	KindSequence
	KindOptional
	KindMap
	KindSparse
)

// Dim is one dimension of a declared shape: a number, a name such as "batch", or
// neither (unknown).
type Dim struct {
	Known bool
	Value int64
	Param string
}

func (d Dim) String() string {
	switch {
	case d.Known:
		return strconv.FormatInt(d.Value, 10)
	case d.Param != "":
		return d.Param
	}
	return "?"
}

// Extent returns the size that a dimension of a model's input fixes. Exporters declare 0 or -1 where a size is open, so those fix nothing.
func (d Dim) Extent() (n int64, fixed bool) { return d.Value, d.Known && d.Value > 0 }

// Fixed returns a dimension of a known size.
func Fixed(n int64) Dim { return Dim{Known: true, Value: n} }

// Named returns a dimension that is known by a name only.
func Named(s string) Dim { return Dim{Param: s} }

// Type is a TypeProto.
type Type struct {
	Kind     Kind
	Elem     DataType // of tensors; of maps: the key's type
	HasShape bool
	Shape    []Dim
	Of       *Type // element of a sequence or optional, value of a map
}

// TensorType describes a tensor of a known rank.
func TensorType(elem DataType, shape ...Dim) *Type {
	return &Type{Kind: KindTensor, Elem: elem, HasShape: true, Shape: shape}
}

func (t *Type) String() string {
	if t == nil {
		return "unknown type"
	}
	switch t.Kind {
	case KindTensor, KindSparse:
		if !t.HasShape {
			return t.Elem.String() + "[...]"
		}
		ds := make([]string, len(t.Shape))
		for i, d := range t.Shape {
			ds[i] = d.String()
		}
		return t.Elem.String() + "[" + strings.Join(ds, ",") + "]"
	case KindSequence:
		return "sequence of " + t.Of.String()
	case KindOptional:
		return "optional " + t.Of.String()
	case KindMap:
		return "map from " + t.Elem.String() + " to " + t.Of.String()
	}
	return "unknown type"
}

// ValueInfo is a ValueInfoProto: a value's name and declared type. Type is nil where
// none is declared.
type ValueInfo struct {
	message
	Name string
	Type *Type
}

func parseValueInfo(p parser, b []byte) (*ValueInfo, error) {
	v := &ValueInfo{}
	var err error
	if v.message, err = readFields(b); err != nil {
		return nil, fmt.Errorf("value info: %w", err)
	}
	for i := range v.fields {
		switch f := &v.fields[i]; f.num {
		case 1:
			err = f.str(&v.Name)
		case 2:
			var tb []byte
			if tb, err = f.bytes(); err == nil {
				v.Type, err = parseType(p, tb)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("value info %q: %w", v.Name, err)
		}
	}
	return v, nil
}

func parseType(p parser, b []byte) (*Type, error) {
	p, err := p.deeper()
	if err != nil {
		return nil, err
	}
	m, err := readFields(b)
	if err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	t := &Type{}
	for i := range m.fields {
		f := &m.fields[i]
		kind := map[int32]Kind{1: KindTensor, 4: KindSequence, 5: KindMap, 8: KindSparse, 9: KindOptional}[int32(f.num)]
		if kind == KindUnknown {
			continue
		}
		t.Kind = kind
		in, err := f.bytes()
		if err != nil {
			return nil, err
		}
		if err := t.parseKind(p, in); err != nil {
			return nil, fmt.Errorf("type: %w", err)
		}
	}
	return t, nil
}

func (t *Type) parseKind(p parser, b []byte) error {
	m, err := readFields(b)
	if err != nil {
		return err
	}
	for i := range m.fields {
		f := &m.fields[i]
		switch {
		case f.num == 1 && t.Kind != KindSequence && t.Kind != KindOptional: // elem_type, key_type
			var v int64
			if err := f.int(&v); err != nil {
				return err
			}
			t.Elem = DataType(v)
		case f.num == 1, f.num == 2 && t.Kind == KindMap: // elem_type as a type, value_type
			in, err := f.bytes()
			if err != nil {
				return err
			}
			if t.Of, err = parseType(p, in); err != nil {
				return err
			}
		case f.num == 2: // shape
			in, err := f.bytes()
			if err != nil {
				return err
			}
			t.HasShape = true
			if t.Shape, err = parseShape(in); err != nil {
				return err
			}
		}
	}
	return nil
}

func parseShape(b []byte) ([]Dim, error) {
	m, err := readFields(b)
	if err != nil {
		return nil, err
	}
	shape := make([]Dim, 0, len(m.fields))
	for i := range m.fields {
		if m.fields[i].num != 1 {
			continue
		}
		in, err := m.fields[i].bytes()
		if err != nil {
			return nil, err
		}
		dm, err := readFields(in)
		if err != nil {
			return nil, err
		}
		var d Dim
		for j := range dm.fields {
			switch f := &dm.fields[j]; f.num {
			case 1:
				d.Known = true
				err = f.int(&d.Value)
			case 2:
				err = f.str(&d.Param)
			}
			if err != nil {
				return nil, err
			}
		}
		shape = append(shape, d)
	}
	return shape, nil
}

func (t *Type) encode() []byte {
	if t == nil { // a sequence of nothing known
		return nil
	}
	switch t.Kind {
	case KindTensor, KindSparse:
		b := varintField(1, int64(t.Elem)).raw
		if t.HasShape {
			var dims []byte
			for _, d := range t.Shape {
				var in []byte
				if d.Known {
					in = varintField(1, d.Value).raw
				} else if d.Param != "" {
					in = stringField(2, d.Param).raw
				}
				dims = append(dims, bytesField(1, in).raw...)
			}
			b = append(b, bytesField(2, dims).raw...)
		}
		if t.Kind == KindSparse {
			return bytesField(8, b).raw
		}
		return bytesField(1, b).raw
	case KindSequence:
		return bytesField(4, bytesField(1, t.Of.encode()).raw).raw
	case KindOptional:
		return bytesField(9, bytesField(1, t.Of.encode()).raw).raw
	case KindMap:
		return bytesField(5, plain(varintField(1, int64(t.Elem)), bytesField(2, t.Of.encode()))).raw
	}
	return nil
}

// NewValueInfo makes a value info. A nil type declares the name alone.
func NewValueInfo(name string, t *Type) *ValueInfo {
	v := &ValueInfo{Name: name, Type: t}
	v.fields = []field{stringField(1, name)}
	if t != nil {
		v.fields = append(v.fields, bytesField(2, t.encode()))
	}
	return v
}

// SetShape declares a tensor's shape anew; denotations and other details of the old shape go.
func (v *ValueInfo) SetShape(shape []Dim) error {
	if v.Type == nil || v.Type.Kind != KindTensor {
		return fmt.Errorf("value %q is declared as %v, not as a tensor: its shape can not be set", v.Name, v.Type)
	}
	t := *v.Type
	t.HasShape, t.Shape = true, slices.Clone(shape)
	v.Type = &t
	v.set(2, bytesField(2, t.encode()))
	return nil
}
