package ops

// Operators on floating-point tensors are written once, for a Go type T. float64 is computed as it is;
// float32, float16 and bfloat16 are computed in float32, and the 16-bit types are rounded once, at the end.

import (
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// floatElements returns the elements of a floating-point tensor as T: its own memory where it holds T, else a copy.
func floatElements[T kernels.Float](t *value.Tensor) ([]T, error) {
	switch d := t.Data.(type) {
	case []T:
		return d, nil
	case []float32:
		return convertFloats[T](d), nil
	case []float64:
		return convertFloats[T](d), nil
	case []uint16:
		widen, ok := widening(t.Type)
		if !ok {
			break
		}
		out := make([]T, len(d))
		for i, v := range d {
			out[i] = T(widen(v))
		}
		return out, nil
	}
	return nil, fmt.Errorf("%v is not a floating-point tensor of 16 bits or more", t)
}

func convertFloats[T, S kernels.Float](src []S) []T {
	out := make([]T, len(src))
	for i, v := range src {
		out[i] = T(v)
	}
	return out
}

func widening(t onnxio.DataType) (widen func(uint16) float32, ok bool) {
	switch t {
	case onnxio.Float16:
		return onnxio.Float16ToFloat32, true
	case onnxio.BFloat16:
		return onnxio.BFloat16ToFloat32, true
	}
	return nil, false
}

// optionalFloats is floatElements for an input that may be absent: nil then.
func optionalFloats[T kernels.Float](in []*value.Tensor, i int) ([]T, error) {
	if i >= len(in) || in[i] == nil {
		return nil, nil
	}
	v, err := floatElements[T](in[i])
	if err != nil {
		return nil, fmt.Errorf("input %d: %w", i, err)
	}
	return v, nil
}

// floatOutput is an output while it is computed: data holds T, tensor is what it becomes.
type floatOutput[T kernels.Float] struct {
	tensor *value.Tensor
	data   []T
}

// newFloatOutput makes a zeroed output of a floating-point type.
func newFloatOutput[T kernels.Float](c *Context, t onnxio.DataType, shape ...int) (floatOutput[T], error) {
	if !t.IsFloat() {
		return floatOutput[T]{}, fmt.Errorf("%v is not a floating-point type of 16 bits or more", t)
	}
	tensor, err := c.New(t, shape...)
	if err != nil {
		return floatOutput[T]{}, err
	}
	o := floatOutput[T]{tensor: tensor}
	if d, ok := tensor.Data.([]T); ok {
		o.data = d
	} else {
		o.data = make([]T, tensor.Len())
	}
	return o, nil
}

// done rounds what was computed to the tensor's type.
func (o floatOutput[T]) done() *value.Tensor {
	switch d := o.tensor.Data.(type) {
	case []T:
	case []float32:
		copy(d, convertFloats[float32](o.data))
	case []float64:
		copy(d, convertFloats[float64](o.data))
	case []uint16:
		narrow := onnxio.Float32ToFloat16
		if o.tensor.Type == onnxio.BFloat16 {
			narrow = onnxio.Float32ToBFloat16
		}
		for i, v := range o.data {
			d[i] = narrow(float32(v))
		}
	}
	return o.tensor
}

// byFloat is a kernel that has one function for float64 inputs and one for all narrower types; which one runs is
// decided by the type of the first input.
func byFloat(narrow, double TensorFunc) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if in[0].Type == onnxio.Double {
			return double(c, in)
		}
		return narrow(c, in)
	}
}

// oneOutput makes a kernel's result of a single tensor.
func oneOutput(t *value.Tensor, err error) ([]*value.Tensor, error) {
	if err != nil {
		return nil, err
	}
	return []*value.Tensor{t}, nil
}

// forOutputs makes a kernel give exactly the outputs that the node names: what f has more is left out, what it
// has less is nil.
func forOutputs(n *Node, f TensorFunc) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		out, err := f(c, in)
		if err != nil {
			return nil, err
		}
		named := make([]*value.Tensor, len(n.Outputs))
		for i := range min(len(named), len(out)) {
			if n.Outputs[i] {
				named[i] = out[i]
			}
		}
		return named, nil
	}
}
