package ops

import "onnxprune/runtime/value"

// Recycler is an Allocator that can take a kernel's temporary values back before the kernel returns.
// Whatever a kernel made and neither returns nor drops is taken back when it returns.
type Recycler interface {
	Allocator
	// Drop says that the kernel will not read v any more. Values that the kernel did not make
	// (its inputs) are left alone.
	Drop(v value.Value)
}

// Drop gives a temporary value of the kernel back early. It may do nothing.
func (c *Context) Drop(v value.Value) {
	if r, ok := c.Alloc.(Recycler); ok && v != nil {
		r.Drop(v)
	}
}
