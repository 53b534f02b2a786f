package onnxio

import (
	"fmt"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file is the wire level: a message is a list of fields in file order. A field is
// either its own bytes, or a decoded child message, or a payload that is produced
// when it is written.

// maxDepth bounds how deep graphs, attributes and types may nest in one another. ONNX has no
// limit of its own; real models stay below 20.
const maxDepth = 120

// message is one protobuf message.
type message struct {
	raw    []byte // the message's bytes as read; nil when it was made here
	fields []field
	dirty  bool // this message's own fields differ from raw
}

// field is one field of a message: number, and exactly one of raw, child and body.
type field struct {
	num   protowire.Number
	raw   []byte  // the whole field, tag included
	child encoder // a decoded sub-message
	body  payload // a bytes field whose content is produced on writing
}

// encoder is a decoded sub-message that can be written again.
type encoder interface {
	msg() *message
}

// payload produces the content of a bytes field while it is written.
type payload interface {
	Len() int
	WriteTo(w io.Writer) (int64, error)
}

func (m *message) msg() *message { return m }

// changed reports whether the message or anything below it differs from what was read.
func (m *message) changed() bool {
	if m.dirty || m.raw == nil {
		return true
	}
	for i := range m.fields {
		if c := m.fields[i].child; c != nil && c.msg().changed() {
			return true
		}
	}
	return false
}

// sizes remembers the encoded size of every changed message, so that writing is one pass.
type sizes map[*message]int

func (s sizes) of(m *message) int {
	if n, ok := s[m]; ok {
		return n
	}
	n := 0
	if !m.changed() {
		n = len(m.raw)
	} else {
		for i := range m.fields {
			n += s.field(&m.fields[i])
		}
	}
	s[m] = n
	return n
}

func (s sizes) field(f *field) int {
	content := 0
	switch {
	case f.child != nil:
		content = s.of(f.child.msg())
	case f.body != nil:
		content = f.body.Len()
	default:
		return len(f.raw)
	}
	return protowire.SizeTag(f.num) + protowire.SizeBytes(content)
}

// write writes the message's bytes, without tag and length.
func (s sizes) write(w io.Writer, m *message) error {
	if !m.changed() {
		_, err := w.Write(m.raw)
		return err
	}
	for i := range m.fields {
		f := &m.fields[i]
		if f.child == nil && f.body == nil {
			if _, err := w.Write(f.raw); err != nil {
				return err
			}
			continue
		}
		n := 0
		if f.child != nil {
			n = s.of(f.child.msg())
		} else {
			n = f.body.Len()
		}
		head := protowire.AppendTag(nil, f.num, protowire.BytesType)
		head = protowire.AppendVarint(head, uint64(n))
		if _, err := w.Write(head); err != nil {
			return err
		}
		if f.child != nil {
			if err := s.write(w, f.child.msg()); err != nil {
				return err
			}
		} else if _, err := f.body.WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}

// readFields cuts b into fields. Their content is not looked at.
func readFields(b []byte) (message, error) {
	m := message{raw: b}
	if b == nil {
		m.raw = []byte{}
	}
	count := 0
	for rest := b; len(rest) > 0; count++ {
		num, typ, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return m, fmt.Errorf("broken field tag at byte %d of the message", len(b)-len(rest))
		}
		l := protowire.ConsumeFieldValue(num, typ, rest[n:])
		if l < 0 {
			return m, fmt.Errorf("field %d is cut off or malformed at byte %d of the message", num, len(b)-len(rest))
		}
		rest = rest[n+l:]
	}
	m.fields = make([]field, 0, count)
	for rest := b; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		l := protowire.ConsumeFieldValue(num, typ, rest[n:])
		m.fields = append(m.fields, field{num: num, raw: rest[: n+l : n+l]})
		rest = rest[n+l:]
	}
	return m, nil
}

// value returns the wire type of a raw field and the bytes behind its tag.
func (f *field) value() (protowire.Type, []byte) {
	_, typ, n := protowire.ConsumeTag(f.raw)
	if n < 0 {
		return -1, nil
	}
	return typ, f.raw[n:]
}

// bytes returns the content of a length-delimited field.
func (f *field) bytes() ([]byte, error) {
	typ, v := f.value()
	if typ != protowire.BytesType {
		return nil, fmt.Errorf("field %d has wire type %d, want bytes", f.num, typ)
	}
	b, n := protowire.ConsumeBytes(v)
	if n < 0 {
		return nil, fmt.Errorf("field %d is cut off", f.num)
	}
	return b, nil
}

func (f *field) varint() (uint64, error) {
	typ, v := f.value()
	if typ != protowire.VarintType {
		return 0, fmt.Errorf("field %d has wire type %d, want varint", f.num, typ)
	}
	x, n := protowire.ConsumeVarint(v)
	if n < 0 {
		return 0, fmt.Errorf("field %d is cut off", f.num)
	}
	return x, nil
}

// varints appends the values of a repeated integer field, packed or not.
func (f *field) varints(dst []int64) ([]int64, error) {
	typ, v := f.value()
	switch typ {
	case protowire.VarintType:
		x, n := protowire.ConsumeVarint(v)
		if n < 0 {
			return nil, fmt.Errorf("field %d is cut off", f.num)
		}
		return append(dst, int64(x)), nil
	case protowire.BytesType:
		b, n := protowire.ConsumeBytes(v)
		if n < 0 {
			return nil, fmt.Errorf("field %d is cut off", f.num)
		}
		for len(b) > 0 {
			x, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return nil, fmt.Errorf("field %d holds a broken integer", f.num)
			}
			dst = append(dst, int64(x))
			b = b[n:]
		}
		return dst, nil
	}
	return nil, fmt.Errorf("field %d has wire type %d, want integers", f.num, typ)
}

// fixed appends the bytes of a repeated fixed-width field (width 4 or 8), packed or not.
func (f *field) fixed(dst []byte, width int) ([]byte, error) {
	typ, v := f.value()
	switch {
	case typ == protowire.Fixed32Type && width == 4, typ == protowire.Fixed64Type && width == 8:
		return append(dst, v[:width]...), nil
	case typ == protowire.BytesType:
		b, n := protowire.ConsumeBytes(v)
		if n < 0 || len(b)%width != 0 {
			return nil, fmt.Errorf("field %d holds %d bytes, not a multiple of %d", f.num, len(b), width)
		}
		return append(dst, b...), nil
	}
	return nil, fmt.Errorf("field %d has wire type %d, want numbers of %d bytes", f.num, typ, width)
}

// set replaces all fields of number num by fs, where the first of them stood; where
// there was none they go to the end.
func (m *message) set(num protowire.Number, fs ...field) {
	at := slices.IndexFunc(m.fields, func(f field) bool { return f.num == num })
	if at < 0 {
		at = len(m.fields)
	}
	rest := slices.DeleteFunc(m.fields, func(f field) bool { return f.num == num })
	m.fields = slices.Insert(rest, min(at, len(rest)), fs...)
	m.dirty = true
}

// insert puts f before the i-th field of its number, or behind the last.
func (m *message) insert(i int, f field) {
	at, seen := len(m.fields), 0
	for j := range m.fields {
		if m.fields[j].num != f.num {
			continue
		}
		if seen == i {
			at = j
			break
		}
		seen++
		at = j + 1
	}
	m.fields = slices.Insert(m.fields, at, f)
	m.dirty = true
}

// remove deletes the field that holds child.
func (m *message) remove(child encoder) {
	m.fields = slices.DeleteFunc(m.fields, func(f field) bool { return f.child == child })
	m.dirty = true
}

func varintField(num protowire.Number, v int64) field {
	return field{num: num, raw: protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), uint64(v))}
}

func bytesField(num protowire.Number, b []byte) field {
	return field{num: num, raw: protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)}
}

func stringField(num protowire.Number, s string) field { return bytesField(num, []byte(s)) }

func stringFields(num protowire.Number, ss []string) []field {
	fs := make([]field, len(ss))
	for i, s := range ss {
		fs[i] = stringField(num, s)
	}
	return fs
}

func packedField(num protowire.Number, vs []int64) field {
	var b []byte
	for _, v := range vs {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return bytesField(num, b)
}

func childField(num protowire.Number, c encoder) field { return field{num: num, child: c} }

// plain is a message made here out of fields that are all bytes already.
func plain(fs ...field) []byte {
	var b []byte
	for _, f := range fs {
		b = append(b, f.raw...)
	}
	return b
}
