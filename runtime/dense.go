package runtime

// The edge with gorgonia's tensors: *tensor.Dense in, *tensor.Dense out.

import (
	"context"
	"fmt"

	"gorgonia.org/tensor"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// RunDense is Run on gorgonia's dense tensors. The inputs are read in place and not changed. An output of a type that
// *tensor.Dense does not have (float16, bfloat16, float8, the integers below 8 bits, sequences, optionals) or that is empty
// is an error; Run gives those.
func (s *Session) RunDense(ctx context.Context, inputs map[string]*tensor.Dense, outputs ...string) (map[string]*tensor.Dense, error) {
	in := map[string]value.Value{}
	for name, d := range inputs {
		t, err := FromDense(d)
		if err != nil {
			return nil, &InputError{name, err}
		}
		in[name] = t
	}
	got, err := s.Run(ctx, in, outputs...)
	if err != nil {
		return nil, err
	}
	out := map[string]*tensor.Dense{}
	for name, v := range got {
		t, ok := v.(*value.Tensor)
		if !ok {
			return nil, fmt.Errorf("output %q is a %v, which *tensor.Dense can not hold; use Run", name, v)
		}
		if out[name], err = ToDense(t); err != nil {
			return nil, fmt.Errorf("output %q: %w", name, err)
		}
	}
	return out, nil
}

// FromDense returns a tensor over the memory of d (a copy of it where d is a view or not row-major). Go's int and
// uint become int64 and uint64.
func FromDense(d *tensor.Dense) (*value.Tensor, error) {
	if d == nil {
		return nil, fmt.Errorf("it is nil")
	}
	if d.IsMasked() {
		return nil, fmt.Errorf("masked tensors have no counterpart in ONNX")
	}
	if d.RequiresIterator() || !d.DataOrder().IsRowMajor() || !d.DataOrder().IsContiguous() {
		c, ok := d.Materialize().(*tensor.Dense)
		if !ok || c.DataOrder().IsColMajor() {
			return nil, fmt.Errorf("a tensor with data order %v can not be read; copy it row by row first", d.DataOrder())
		}
		d = c
	}
	shape := append([]int{}, d.Shape()...)
	switch v := d.Data().(type) {
	case []float32:
		return value.From(v, shape...), nil
	case []float64:
		return value.From(v, shape...), nil
	case []int8:
		return value.From(v, shape...), nil
	case []int16:
		return value.From(v, shape...), nil
	case []int32:
		return value.From(v, shape...), nil
	case []int64:
		return value.From(v, shape...), nil
	case []int:
		return value.From(convert[int, int64](v), shape...), nil
	case []uint8:
		return value.From(v, shape...), nil
	case []uint16:
		return value.From(v, shape...), nil
	case []uint32:
		return value.From(v, shape...), nil
	case []uint64:
		return value.From(v, shape...), nil
	case []uint:
		return value.From(convert[uint, uint64](v), shape...), nil
	case []bool:
		return value.From(v, shape...), nil
	case []string:
		return value.From(v, shape...), nil
	case []complex64:
		return value.From(v, shape...), nil
	case []complex128:
		return value.From(v, shape...), nil
	}
	return scalar(d)
}

// scalar reads a tensor without axes, whose Data is the element itself.
func scalar(d *tensor.Dense) (*value.Tensor, error) {
	switch v := d.Data().(type) {
	case float32:
		return value.Scalar(v), nil
	case float64:
		return value.Scalar(v), nil
	case int8:
		return value.Scalar(v), nil
	case int16:
		return value.Scalar(v), nil
	case int32:
		return value.Scalar(v), nil
	case int64:
		return value.Scalar(v), nil
	case int:
		return value.Scalar(int64(v)), nil
	case uint8:
		return value.Scalar(v), nil
	case uint16:
		return value.Scalar(v), nil
	case uint32:
		return value.Scalar(v), nil
	case uint64:
		return value.Scalar(v), nil
	case uint:
		return value.Scalar(uint64(v)), nil
	case bool:
		return value.Scalar(v), nil
	case string:
		return value.Scalar(v), nil
	case complex64:
		return value.Scalar(v), nil
	case complex128:
		return value.Scalar(v), nil
	}
	return nil, fmt.Errorf("elements of type %v have no counterpart in ONNX", d.Dtype())
}

func convert[From int | uint, To int64 | uint64](v []From) []To {
	out := make([]To, len(v))
	for i, x := range v {
		out[i] = To(x)
	}
	return out
}

// ToDense returns a dense tensor over the memory of t.
func ToDense(t *value.Tensor) (d *tensor.Dense, err error) {
	switch {
	case t.Type == onnxio.Float16, t.Type == onnxio.BFloat16, t.Type.Bits() < 8 && t.Type != onnxio.String,
		t.Type >= onnxio.Float8E4M3FN && t.Type <= onnxio.Float8E5M2FNUZ, t.Type == onnxio.Float8E8M0:
		return nil, fmt.Errorf("*tensor.Dense has no elements of type %v; use Run", t.Type)
	case t.Len() == 0:
		return nil, fmt.Errorf("*tensor.Dense can not be empty, but it is %v; use Run", t)
	}
	defer func() {
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("gorgonia's tensor: %v", p)
		}
	}()
	return tensor.New(tensor.WithShape(t.Shape...), tensor.WithBacking(t.Data)), nil
}
