package runtime

import (
	"slices"
	"sync"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// arena is what one step of a run allocates from. It remembers which readers of which memory the step holds, so
// that whatever its kernel made and does not return is given back.
type arena struct {
	memory *memory
	run    *run

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
