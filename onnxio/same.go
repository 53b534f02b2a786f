package onnxio

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file compares messages without decoding them, for whoever has to know that nothing was changed.

// Same reports whether two messages of one kind hold the same fields in the same order, byte for byte. Data in files of their own is not
// looked at; a part of a tensor that was cut counts as different, whatever it holds.
func Same(a, b encoder) bool { return sameMessage(a.msg(), b.msg()) }

// SameBesides is Same for the fields of two messages whose numbers are not listed.
func SameBesides(a, b encoder, numbers ...int) bool {
	x, y := a.msg().fields, b.msg().fields
	next := func(fs []field) []field { // from the first field on that counts
		for len(fs) > 0 && slices.Contains(numbers, int(fs[0].num)) {
			fs = fs[1:]
		}
		return fs
	}
	for {
		if x, y = next(x), next(y); len(x) == 0 || len(y) == 0 {
			return len(x) == len(y)
		}
		if !sameField(x[0], y[0]) {
			return false
		}
		x, y = x[1:], y[1:]
	}
}

func sameMessage(a, b *message) bool {
	if !a.changed() && !b.changed() {
		return sameBytes(a.raw, b.raw)
	}
	return sameFields(a.fields, b.fields)
}

func sameFields(a, b []field) bool { return slices.EqualFunc(a, b, sameField) }

func sameField(a, b field) bool {
	switch {
	case a.num != b.num || a.body != nil || b.body != nil:
		return false
	case a.child != nil && b.child != nil:
		return sameMessage(a.child.msg(), b.child.msg())
	}
	return a.child == nil && b.child == nil && sameBytes(a.raw, b.raw)
}

// sameBytes compares bytes, and does not read them where both are the same memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

// Entry is one pair of metadata_props.
type Entry struct{ Key, Value string }

// Entries returns the model's metadata_props in the order of the file.
func (m *Model) Entries() []Entry {
	var out []Entry
	for i := range m.fields {
		if m.fields[i].num == protowire.Number(14) {
			k, v := metadata(&m.fields[i])
			out = append(out, Entry{k, v})
		}
	}
	return out
}

// Pieces calls emit with the tensor's elements as Raw has them, in one or several pieces: what is a part of another tensor comes as
// the runs of bytes that it is written from, without a copy. The pieces may alias the mapped file.
func (t *Tensor) Pieces(emit func([]byte) error) error {
	if t.view != nil && t.view.kept != nil {
		return t.view.runs(emit)
	}
	raw, err := t.Raw()
	if err != nil {
		return err
	}
	return emit(raw)
}

// SameElements reports whether two tensors have the same type, shape and elements, however these are stored. Names do not matter; nil is the
// same as nil alone, and what can not be read is the same as nothing else.
func SameElements(a, b *Tensor) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	if a.DataType != b.DataType || !slices.Equal(a.Dims, b.Dims) {
		return false
	}
	if a.DataType == String {
		x, err1 := a.Strings()
		y, err2 := b.Strings()
		return err1 == nil && err2 == nil && slices.Equal(x, y)
	}
	x, err1 := a.Raw()
	y, err2 := b.Raw()
	return err1 == nil && err2 == nil && bytes.Equal(x, y)
}
