package value

import "sync/atomic"

// Buffer counts how many tensors still read a piece of memory, so that it can be used again as soon
// as the last of them is gone, long before the garbage collector would see it.
type Buffer struct {
	readers atomic.Int32
	free    func()
}

// Manage puts t's memory under a reader count that starts at one; free runs when it falls to zero.
func (t *Tensor) Manage(free func()) {
	t.buf = &Buffer{free: free}
	t.buf.readers.Store(1)
}

// Managed reports whether t's memory is counted, and how many readers it has.
func (t *Tensor) Managed() (readers int, ok bool) {
	if t.buf == nil {
		return 0, false
	}
	return int(t.buf.readers.Load()), true
}

// Retain counts one more reader of v's memory (of every tensor in it).
func Retain(v Value) { each(v, func(b *Buffer) { b.readers.Add(1) }) }

// Release counts one reader less; the last one frees the memory.
func Release(v Value) {
	each(v, func(b *Buffer) {
		if b.readers.Add(-1) == 0 && b.free != nil {
			b.free()
		}
	})
}

func each(v Value, f func(*Buffer)) {
	switch v := v.(type) {
	case *Tensor:
		if v != nil && v.buf != nil {
			f(v.buf)
		}
	case *Sequence:
		for _, it := range v.Items {
			each(it, f)
		}
	case *Optional:
		each(v.Value, f)
	}
}
