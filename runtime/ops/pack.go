package ops

// Weights are packed once, after the graph has been rewritten and before the first run. Then no run reads them as the model
// has them, and the runtime lets go of that copy.

import (
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// Packer is a Kernel that can keep constant inputs in a form of its own.
type Packer interface {
	Kernel
	// Pack makes that form. in holds the inputs that are constant, nil for the others. It returns the positions of those
	// whose elements no run will read: all that Run needs of them is type and shape. It must be called before the first Run,
	// or not at all.
	Pack(p *Packing, in []value.Value) (packed []int)
}

// Packing is what the kernels of a model share while they pack: nodes with the same weights, such as the heads of a detector
// on each level of its pyramid, have one packed form of them. The zero value is ready for use.
type Packing struct {
	Pool *kernels.Pool // spreads the work; nil does it serially
	made map[any]any
}

// packedOnce returns what make made for the first caller with an equal key.
func packedOnce[P any](p *Packing, key any, make func() (P, error)) (P, error) {
	if have, ok := p.made[key].(P); ok {
		return have, nil
	}
	have, err := make()
	if err != nil {
		return have, err
	}
	if p.made == nil {
		p.made = map[any]any{}
	}
	p.made[key] = have
	return have, nil
}

// packing is a TensorFunc with weights to pack.
type packing struct {
	TensorFunc
	pack func(p *Packing, in []*value.Tensor) []int
}

// Pack implements Packer.
func (k packing) Pack(p *Packing, in []value.Value) []int {
	ts := make([]*value.Tensor, len(in))
	for i, v := range in {
		ts[i], _ = v.(*value.Tensor)
	}
	return k.pack(p, ts)
}

// Fused is a Kernel that computes several nodes in one.
type Fused interface {
	Kernel
	// First computes the first of them alone, from the same inputs and the same packed weights.
	First() Kernel
}
