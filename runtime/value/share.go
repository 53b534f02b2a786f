package value

import (
	"reflect"

	"onnxprune/onnxio"
)

// EachBuffer calls f for every counted piece of memory that v reads, once per tensor in it.
func EachBuffer(v Value, f func(*Buffer)) { each(v, f) }

// Retain counts one more reader of the memory.
func (b *Buffer) Retain() { b.readers.Add(1) }

// Release counts one reader less; the last one frees the memory.
func (b *Buffer) Release() {
	if b.readers.Add(-1) == 0 && b.free != nil {
		b.free()
	}
}

// Readers returns how many readers the memory has.
func (b *Buffer) Readers() int { return int(b.readers.Load()) }

// Clone returns a copy of v that shares no memory with it and is left to the garbage collector.
func Clone(v Value) Value {
	switch v := v.(type) {
	case *Tensor:
		c := &Tensor{Type: v.Type, Shape: append([]int{}, v.Shape...)}
		src := reflect.ValueOf(v.Data)
		dst := reflect.MakeSlice(src.Type(), src.Len(), src.Len())
		reflect.Copy(dst, src)
		c.Data = dst.Interface()
		return c
	case *Sequence:
		c := &Sequence{Elem: v.Elem, Items: make([]Value, len(v.Items))}
		for i, it := range v.Items {
			c.Items[i] = Clone(it)
		}
		return c
	case *Optional:
		c := &Optional{Elem: v.Elem}
		if v.Value != nil {
			c.Value = Clone(v.Value)
		}
		return c
	}
	return nil
}

// ManageWith is Manage with a second way out: escape runs in place of free when Escape takes the memory away.
func (t *Tensor) ManageWith(free, escape func()) {
	t.Manage(free)
	t.buf.escape = escape
}

// Escape takes the tensor out of its counted memory's care and leaves it to the garbage collector. Only the
// memory's one reader may do so. ok is false, and nothing changes, where the memory is not counted or has more readers.
func (t *Tensor) Escape() (out *Tensor, ok bool) {
	if t.buf == nil || t.buf.readers.Load() != 1 || t.buf.escape == nil {
		return nil, false
	}
	t.buf.escape()
	return &Tensor{Type: t.Type, Shape: append([]int{}, t.Shape...), Data: t.Data}, true
}

// TypeOf returns the element type that a declared type and a value share: of tensors theirs, of
// sequences and optionals that of what they hold; Undefined where it can not be known.
func TypeOf(v Value) onnxio.DataType {
	switch v := v.(type) {
	case *Tensor:
		return v.Type
	case *Sequence:
		if len(v.Items) > 0 {
			return TypeOf(v.Items[0])
		}
		return elemOf(v.Elem)
	case *Optional:
		if v.Value != nil {
			return TypeOf(v.Value)
		}
		return elemOf(v.Elem)
	}
	return onnxio.Undefined
}

func elemOf(t *onnxio.Type) onnxio.DataType {
	for ; t != nil; t = t.Of {
		if t.Kind == onnxio.KindTensor {
			return t.Elem
		}
	}
	return onnxio.Undefined
}
