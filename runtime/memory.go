package runtime

// Memory of intermediate values. A block goes back to the session's free list when the last reader
// of its tensor is done, and serves the next tensor that fits, of whatever element type: blocks are
// plain words. The list keeps only what helps: before new memory is taken from Go, free blocks that did
// not fit are given up as far as they would push the total over the most that was ever in use.

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// smallest is the size in bytes from which memory is counted and kept; less is left to the garbage collector.
const smallest = 512

// memory is the allocator of a session.
type memory struct {
	limit int64

	mu   sync.Mutex
	free []block // by size
	held int64   // bytes in free
	live int64   // bytes in use
	peak int64   // most bytes in use
}

type block []uint64

func (b block) bytes() int64 { return int64(len(b)) * 8 }

// LimitError says that a run would need more memory than it may take.
type LimitError struct {
	Type               onnxio.DataType
	Shape              []int
	Need, InUse, Limit int64 // bytes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("a tensor %v%v of %s would pass the memory limit of %s (%s in use)", e.Type, e.Shape,
		bytesText(e.Need), bytesText(e.Limit), bytesText(e.InUse))
}

func bytesText(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}

// width returns the bytes of one element in a Go slice.
func width(t onnxio.DataType) int64 {
	switch t {
	case onnxio.String:
		return int64(unsafe.Sizeof(""))
	case onnxio.Undefined:
		return 0
	}
	return max(1, int64(t.Bits())/8)
}

// new returns a zeroed tensor with one reader.
func (m *memory) new(t onnxio.DataType, shape []int) (*value.Tensor, error) {
	n, err := value.CheckedCount(shape)
	if err != nil {
		return nil, err
	}
	w := width(t)
	if w == 0 || t < 0 || t.Bits() == 0 && t != onnxio.String {
		return nil, fmt.Errorf("%v is not an element type", t)
	}
	size := int64(n) * w // CheckedCount leaves room for 64 bytes per element
	out := &value.Tensor{Type: t, Shape: slices.Clone(shape)}
	if size < smallest {
		out.Data = value.Make(t, n)
		return out, nil
	}
	if t == onnxio.String { // strings hold pointers: their memory can not be reused as words
		if err := m.take(t, shape, size); err != nil {
			return nil, err
		}
		out.Data = make([]string, n)
		out.ManageWith(func() { m.give(nil, size) }, func() { m.give(nil, size) })
		return out, nil
	}
	b, err := m.block(t, shape, size)
	if err != nil {
		return nil, err
	}
	out.Data = cast(t, unsafe.Pointer(unsafe.SliceData(b)), n)
	out.ManageWith(func() { m.give(b, b.bytes()) }, func() { m.give(nil, b.bytes()) })
	return out, nil
}

// take counts memory as in use, or refuses.
func (m *memory) take(t onnxio.DataType, shape []int, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.takeLocked(t, shape, size)
}

func (m *memory) takeLocked(t onnxio.DataType, shape []int, size int64) error {
	if size > m.limit-m.live {
		return &LimitError{t, slices.Clone(shape), size, m.live, m.limit}
	}
	m.live += size
	m.peak = max(m.peak, m.live)
	return nil
}

// block returns zeroed memory of at least size bytes.
func (m *memory) block(t onnxio.DataType, shape []int, size int64) (block, error) {
	words := int((size + 7) / 8)
	m.mu.Lock()
	i, _ := slices.BinarySearchFunc(m.free, words, func(b block, n int) int { return len(b) - n })
	if i < len(m.free) && len(m.free[i])-words <= words/4 {
		b := m.free[i]
		if err := m.takeLocked(t, shape, b.bytes()); err != nil {
			m.mu.Unlock()
			return nil, err
		}
		m.free = slices.Delete(m.free, i, i+1)
		m.held -= b.bytes()
		m.mu.Unlock()
		clear(b[:words])
		return b, nil
	}
	words = roundUp(words)
	err := m.takeLocked(t, shape, int64(words)*8)
	if err == nil {
		m.shrink()
	}
	m.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return make(block, words), nil
}

// roundUp makes sizes that differ by little the same: eight steps from one power of two to the next.
func roundUp(words int) int {
	unit := 1
	for unit*16 <= words {
		unit *= 2
	}
	return (words + unit - 1) / unit * unit
}

// shrink gives up free blocks, the smallest first, until use and list together are no more than the peak.
func (m *memory) shrink() {
	n := 0
	for n < len(m.free) && m.live+m.held > m.peak {
		m.held -= m.free[n].bytes()
		n++
	}
	m.free = slices.Delete(m.free, 0, n)
}

// give takes memory back. b is nil where it can not be used again: strings, and what now belongs to a caller.
func (m *memory) give(b block, size int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live -= size
	if b == nil {
		return
	}
	i, _ := slices.BinarySearchFunc(m.free, len(b), func(b block, n int) int { return len(b) - n })
	m.free = slices.Insert(m.free, i, b)
	m.held += b.bytes()
}

// Memory is what the intermediate values of a session take, in bytes.
type Memory struct {
	InUse int64 // by runs that are going on
	Peak  int64 // the most that was ever in use at one time
	Kept  int64 // free, kept for the next run
}

func (m *memory) stats() Memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Memory{m.live, m.peak, m.held}
}

// trim gives all free blocks up.
func (m *memory) trim() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free, m.held = nil, 0
}

// cast gives n elements at p the Go type of t.
func cast(t onnxio.DataType, p unsafe.Pointer, n int) any {
	switch value.Make(t, 0).(type) {
	case []float32:
		return unsafe.Slice((*float32)(p), n)
	case []float64:
		return unsafe.Slice((*float64)(p), n)
	case []int8:
		return unsafe.Slice((*int8)(p), n)
	case []int16:
		return unsafe.Slice((*int16)(p), n)
	case []int32:
		return unsafe.Slice((*int32)(p), n)
	case []int64:
		return unsafe.Slice((*int64)(p), n)
	case []uint8:
		return unsafe.Slice((*uint8)(p), n)
	case []uint16:
		return unsafe.Slice((*uint16)(p), n)
	case []uint32:
		return unsafe.Slice((*uint32)(p), n)
	case []uint64:
		return unsafe.Slice((*uint64)(p), n)
	case []bool:
		return unsafe.Slice((*bool)(p), n)
	case []complex64:
		return unsafe.Slice((*complex64)(p), n)
	}
	return unsafe.Slice((*complex128)(p), n)
}

// arena is what one step of a run allocates from. It remembers which readers of which memory the step holds, so
// that whatever its kernel made and does not return is given back.
type arena struct {
	memory *memory
	run    *run // nil while constants are folded

	mu    sync.Mutex
	owned []*value.Buffer // one entry per reader
}

// New implements ops.Allocator.
func (a *arena) New(t onnxio.DataType, shape []int) (*value.Tensor, error) {
	out, err := a.memory.new(t, shape)
	if err != nil {
		return nil, err
	}
	a.adopt(out)
	return out, nil
}

// adopt makes the step the holder of one reader of everything in v.
func (a *arena) adopt(v value.Value) {
	a.mu.Lock()
	value.EachBuffer(v, func(b *value.Buffer) { a.owned = append(a.owned, b) })
	a.mu.Unlock()
}

// Drop implements ops.Recycler.
func (a *arena) Drop(v value.Value) {
	value.EachBuffer(v, func(b *value.Buffer) {
		if a.disown(b) {
			b.Release()
		}
	})
}

// disown forgets one reader that the step holds; false when it holds none.
func (a *arena) disown(b *value.Buffer) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.owned) - 1; i >= 0; i-- { // what is dropped was mostly made just before
		if a.owned[i] == b {
			a.owned = slices.Delete(a.owned, i, i+1)
			return true
		}
	}
	return false
}

// hand gives one reader of everything in v away to whoever takes the step's output.
func (a *arena) hand(v value.Value) {
	value.EachBuffer(v, func(b *value.Buffer) {
		if !a.disown(b) {
			b.Retain()
		}
	})
}

// end gives back what is left.
func (a *arena) end() {
	a.mu.Lock()
	left := a.owned
	a.owned = nil
	a.mu.Unlock()
	for _, b := range left {
		b.Release()
	}
}
