package kernels

// Scratch memory, so that a layer does not allocate on every run. Buffers are
// kept by size class, powers of two: a large layer's buffer is not spent on a
// small one, and is still there when the large layer runs again.

import (
	"math/bits"
	"sync"
)

var scratch [48]sync.Pool

// borrow returns a buffer of n floats with arbitrary contents.
func borrow(n int) *[]float32 {
	class := bits.Len(uint(max(n, 1) - 1))
	if b, ok := scratch[class].Get().(*[]float32); ok {
		*b = (*b)[:n]
		return b
	}
	b := make([]float32, n, 1<<class)
	return &b
}

// giveBack ends the use of a buffer.
func giveBack(b *[]float32) { scratch[bits.Len(uint(cap(*b)-1))].Put(b) }
