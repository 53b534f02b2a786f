package value

import "reflect"

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
