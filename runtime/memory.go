package runtime

// Memory of intermediate values. A session has a few slabs of plain words, from which tensors of all element types take
// spans; a span goes back, and joins its free neighbours, when the last reader of its tensor is done. The smallest span
// that is large enough is taken. So a run takes little more than what is in use at its peak, and the next
// run takes nothing new.

import (
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

const (
	smallest  = 512      // bytes: less is left to the garbage collector, and not counted
	line      = 8        // words: spans are cut in cache lines
	smallSlab = 64 << 10 // words: no slab is smaller than 512 KiB
)

// memory is the allocator of a session.
type memory struct {
	limit int64

	mu    sync.Mutex
	slabs []*slab
	live  int64 // bytes in use
	peak  int64 // most bytes in use
}

// slab is one piece of Go's memory.
type slab struct {
	words []uint64
	free  []span // by place; no two of them touch
}

// span is a part of a slab, in words.
type span struct{ at, n int }

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
	if t == onnxio.String { // strings hold pointers: they can not lie in words
		if err := m.take(t, shape, size); err != nil {
			return nil, err
		}
		out.Data = make([]string, n)
		out.Manage(func() { m.release(size) })
		return out, nil
	}
	words := (int((size+7)/8) + line - 1) / line * line
	s, at, err := m.place(t, shape, words)
	if err != nil {
		return nil, err
	}
	part := s.words[at : at+words]
	clear(part)
	out.Data = cast(t, unsafe.Pointer(unsafe.SliceData(part)), n)
	out.Manage(func() { m.giveBack(s, span{at, words}) })
	return out, nil
}

// take counts memory as in use, or refuses.
func (m *memory) take(t onnxio.DataType, shape []int, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.count(t, shape, size)
}

func (m *memory) count(t onnxio.DataType, shape []int, size int64) error {
	if size > m.limit-m.live {
		return &LimitError{t, slices.Clone(shape), size, m.live, m.limit}
	}
	m.live += size
	m.peak = max(m.peak, m.live)
	return nil
}

func (m *memory) release(size int64) {
	m.mu.Lock()
	m.live -= size
	m.mu.Unlock()
}

// place finds room for some words.
func (m *memory) place(t onnxio.DataType, shape []int, words int) (*slab, int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.count(t, shape, int64(words)*8); err != nil {
		return nil, 0, err
	}
	var in *slab
	best := -1
	for _, s := range m.slabs {
		for i, f := range s.free {
			if f.n >= words && (in == nil || f.n < in.free[best].n) {
				in, best = s, i
			}
		}
	}
	if in == nil {
		in, best = m.grow(words), 0
	}
	f := &in.free[best]
	at := f.at
	if f.at, f.n = f.at+words, f.n-words; f.n == 0 {
		in.free = slices.Delete(in.free, best, best+1)
	}
	return in, at, nil
}

// grow adds a slab, in place of those that are empty and too small.
func (m *memory) grow(words int) *slab {
	m.slabs = slices.DeleteFunc(m.slabs, (*slab).empty)
	have := 0
	for _, s := range m.slabs {
		have += len(s.words)
	}
	n := max(words, have/4, min(smallSlab, int(m.limit/8)))
	s := &slab{words: make([]uint64, n), free: []span{{0, n}}}
	m.slabs = append(m.slabs, s)
	return s
}

func (s *slab) empty() bool { return len(s.free) == 1 && s.free[0].n == len(s.words) }

// giveBack joins a span with its free neighbours.
func (m *memory) giveBack(s *slab, f span) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.live -= int64(f.n) * 8
	i, _ := slices.BinarySearchFunc(s.free, f.at, func(x span, at int) int { return x.at - at })
	if i < len(s.free) && s.free[i].at == f.at+f.n {
		f.n += s.free[i].n
		s.free = slices.Delete(s.free, i, i+1)
	}
	if i > 0 && s.free[i-1].at+s.free[i-1].n == f.at {
		s.free[i-1].n += f.n
	} else {
		s.free = slices.Insert(s.free, i, f)
	}
	if m.live == 0 {
		m.settle()
	}
}

// settle runs when nothing is in use: slabs that have come to much more than the peak are given up for
// one that the next run will need.
func (m *memory) settle() {
	total := int64(0)
	for _, s := range m.slabs {
		total += int64(len(s.words)) * 8
	}
	if len(m.slabs) > 1 && total > m.peak*3/2 {
		n := int(m.peak/8)*9/8 + smallSlab/8
		m.slabs = []*slab{{words: make([]uint64, n), free: []span{{0, n}}}}
	}
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
	kept := int64(0)
	for _, s := range m.slabs {
		for _, f := range s.free {
			kept += int64(f.n) * 8
		}
	}
	return Memory{m.live, m.peak, kept}
}

// trim gives slabs up that are not in use.
func (m *memory) trim() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.slabs = slices.DeleteFunc(m.slabs, (*slab).empty)
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
