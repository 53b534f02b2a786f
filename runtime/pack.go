package runtime

// Weights lie in memory once. The compiler reads them where they lie in the model's file; convolutions and matrix products
// pack them; then the program keeps no more of them than type and shape, and the file's pages are given back.

import (
	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
)

// unloadAfter is how many bytes are packed before the file's pages are given back.
const unloadAfter = 16 << 20

// pack lets the kernels of a program pack their constant inputs, and drops the constants that nothing else reads.
func (c *compiler) pack(p *program) {
	known := make(map[int]value.Value, len(p.constants))
	for _, k := range p.constants {
		known[k.slot] = k.value
	}
	unpacked := append([]int32(nil), p.readers...) // per slot: readers that need its elements
	for _, s := range p.steps {
		kernel, ok := s.kernel.(ops.Packer)
		if !ok {
			continue
		}
		in := make([]value.Value, len(s.in))
		for i, slot := range s.in {
			if slot >= 0 {
				in[i] = known[slot]
			}
		}
		for _, i := range kernel.Pack(&c.packing, in) {
			if i < len(s.in) && s.in[i] >= 0 {
				unpacked[s.in[i]]--
				c.unload(in[i])
			}
		}
	}
	for i := range p.constants {
		k := &p.constants[i]
		if t, ok := k.value.(*value.Tensor); ok && unpacked[k.slot] == 0 {
			k.value = &value.Tensor{Type: t.Type, Shape: t.Shape, Data: value.Make(t.Type, 0)}
		}
	}
}

// packStep packs the constants of a single step, and returns what it reads of them, by input.
func (c *compiler) packStep(s *step, known []value.Value) []value.Value {
	in := make([]value.Value, len(s.in))
	for i, slot := range s.in {
		if slot >= 0 {
			in[i] = known[slot]
		}
	}
	kernel, ok := s.kernel.(ops.Packer)
	if !ok {
		return in
	}
	for _, i := range kernel.Pack(&c.packing, in) {
		if t, ok := in[i].(*value.Tensor); ok {
			in[i] = &value.Tensor{Type: t.Type, Shape: t.Shape, Data: value.Make(t.Type, 0)}
		}
	}
	return in
}

// unload counts a packed weight, and gives the file's pages back from time to time.
func (c *compiler) unload(v value.Value) {
	if t, ok := v.(*value.Tensor); ok {
		c.packed += int64(t.Len()) * width(t.Type)
	}
	if c.packed >= unloadAfter {
		c.packed = 0
		c.model.Unload()
	}
}
