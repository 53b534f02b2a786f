package ops

// Operators that make tensors out of attributes and shapes: Constant, ConstantOfShape, Shape, Size and Range.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Constant", buildConstant, 1, 9, 11, 12, 13, 19, 21, 23, 24, 25)
	Register("", "ConstantOfShape", buildConstantOfShape, 9, 20, 21, 23, 24, 25)
	Register("", "Shape", buildShape, 1, 13, 15, 19, 21, 23, 24, 25)
	Register("", "Size", buildSize, 1, 13, 19, 21, 23, 24, 25)
	Register("", "Range", buildRange, 11)
}

func buildConstant(n *Node) (Kernel, error) {
	if err := n.CheckInputs(0, 0); err != nil {
		return nil, err
	}
	t, err := constantValue(n)
	if err != nil {
		return nil, err
	}
	return TensorFunc(func(*Context, []*value.Tensor) ([]*value.Tensor, error) {
		return []*value.Tensor{t.View(t.Shape...)}, nil
	}), nil
}

// constantForms are the attributes that can hold a constant's value, each with the version that brought it.
var constantForms = []struct {
	name  string
	since int
	read  func(n *Node, name string) (*value.Tensor, error)
}{
	{"value", 1, func(n *Node, name string) (*value.Tensor, error) { return n.Tensor(name), nil }},
	{"sparse_value", 11, sparseConstant},
	{"value_float", 12, func(n *Node, name string) (*value.Tensor, error) { return value.Scalar(n.Float(name, 0)), nil }},
	{"value_floats", 12, func(n *Node, name string) (*value.Tensor, error) { return list(n.Floats(name)), nil }},
	{"value_int", 12, func(n *Node, name string) (*value.Tensor, error) { return value.Scalar(n.Int(name, 0)), nil }},
	{"value_ints", 12, func(n *Node, name string) (*value.Tensor, error) { return list(n.Attr(name).Ints), nil }},
	{"value_string", 12, func(n *Node, name string) (*value.Tensor, error) { return value.Scalar(n.Text(name, "")), nil }},
	{"value_strings", 12, func(n *Node, name string) (*value.Tensor, error) { return list(n.Texts(name)), nil }},
}

func constantValue(n *Node) (*value.Tensor, error) {
	var t *value.Tensor
	for _, f := range constantForms {
		if n.Since < f.since || !n.Has(f.name) {
			continue
		}
		if t != nil {
			return nil, fmt.Errorf("it has two values, one of them in %s", f.name)
		}
		var err error
		if t, err = f.read(n, f.name); err != nil {
			return nil, fmt.Errorf("attribute %s: %w", f.name, err)
		}
		if t == nil {
			return nil, fmt.Errorf("attribute %s holds no tensor", f.name)
		}
	}
	if t == nil {
		return nil, fmt.Errorf("it has no value")
	}
	return t, nil
}

// list wraps a slice, which may be nil for an empty attribute, in a tensor of one dimension.
func list[T value.Elem](vs []T) *value.Tensor {
	if vs == nil {
		vs = []T{}
	}
	return value.From(vs, len(vs))
}

// sparseConstant makes a sparse tensor dense. Its indices are linear, or one row of coordinates per value.
func sparseConstant(n *Node, name string) (*value.Tensor, error) {
	a := n.Attr(name)
	if a.Sparse == nil || a.Sparse.Values == nil {
		return nil, fmt.Errorf("it holds no sparse tensor")
	}
	vs, err := value.FromProto(a.Sparse.Values)
	if err != nil {
		return nil, err
	}
	shape := make([]int, len(a.Sparse.Dims))
	for i, d := range a.Sparse.Dims {
		shape[i] = int(d)
	}
	out, err := (&Context{}).New(vs.Type, shape...)
	if err != nil {
		return nil, err
	}
	offsets, err := sparseOffsets(a.Sparse.Indices, shape, vs.Len())
	if err != nil {
		return nil, err
	}
	moverOf(out).scatter(moverOf(vs), offsets, 1)
	return out, nil
}

func sparseOffsets(indices *onnxio.Tensor, shape []int, count int) ([]int, error) {
	if indices == nil {
		if count == 0 {
			return nil, nil
		}
		return nil, fmt.Errorf("%d sparse values have no indices", count)
	}
	t, err := value.FromProto(indices)
	if err != nil {
		return nil, err
	}
	ix, err := intsOf(t, "the index tensor")
	if err != nil {
		return nil, err
	}
	steps, dims := []int{1}, []int{value.Count(shape)}
	if len(t.Shape) == 2 {
		steps, dims = stridesOf(shape), shape
	}
	if len(ix) != count*len(steps) {
		return nil, fmt.Errorf("%d sparse values of shape %v have indices %v", count, shape, t)
	}
	offsets := make([]int, count)
	for i, v := range ix {
		d := i % len(steps)
		if v < 0 || v >= dims[d] {
			return nil, fmt.Errorf("sparse index %d is outside of shape %v", v, shape)
		}
		offsets[i/len(steps)] += v * steps[d]
	}
	return offsets, nil
}

func buildConstantOfShape(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	v := n.Tensor("value")
	if v == nil {
		v = value.Scalar(float32(0))
	}
	if v.Len() != 1 {
		return nil, fmt.Errorf("attribute value is %v, want one element", v)
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		shape, err := intsOf(in[0], "the shape")
		if err != nil {
			return nil, err
		}
		out, err := c.New(v.Type, shape...)
		if err != nil {
			return nil, err
		}
		moverOf(out).fill(c.Pool, moverOf(v))
		return []*value.Tensor{out}, nil
	}), nil
}

func buildShape(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	start, end := 0, math.MaxInt
	if n.Since >= 15 {
		start, end = int(n.Int("start", 0)), int(n.Int("end", math.MaxInt64))
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		shape := in[0].Shape
		lo, hi := clampIndex(start, len(shape)), clampIndex(end, len(shape))
		out, err := c.New(onnxio.Int64, max(hi-lo, 0))
		if err != nil {
			return nil, err
		}
		for i := range out.Len() {
			value.Of[int64](out)[i] = int64(shape[lo+i])
		}
		return []*value.Tensor{out}, nil
	}), nil
}

// clampIndex resolves a possibly negative index and clamps it to [0, n].
func clampIndex(i, n int) int {
	if i < 0 {
		i += n
	}
	return min(max(i, 0), n)
}

func buildSize(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return TensorFunc(func(_ *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return []*value.Tensor{value.Scalar(int64(in[0].Len()))}, nil
	}), nil
}

func buildRange(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		for _, t := range in {
			if t.Type != in[0].Type || t.Len() != 1 {
				return nil, fmt.Errorf("start, limit and delta are %v, %v and %v, want three scalars of one type", in[0], in[1], in[2])
			}
		}
		switch in[0].Data.(type) {
		case []float32:
			return oneOutput(ramp[float32](c, in))
		case []float64:
			return oneOutput(ramp[float64](c, in))
		case []int16:
			return oneOutput(ramp[int16](c, in))
		case []int32:
			return oneOutput(ramp[int32](c, in))
		case []int64:
			return oneOutput(ramp[int64](c, in))
		}
		if in[0].Type == onnxio.Float16 || in[0].Type == onnxio.BFloat16 {
			return oneOutput(smallRamp(c, in))
		}
		return nil, fmt.Errorf("a range of %v is not defined", in[0].Type)
	}), nil
}

// ramp is start + i*delta for as many i as lie before the limit.
func ramp[T float32 | float64 | int16 | int32 | int64](c *Context, in []*value.Tensor) (*value.Tensor, error) {
	start, limit, delta := value.Of[T](in[0])[0], value.Of[T](in[1])[0], value.Of[T](in[2])[0]
	n, err := rampLength(float64(start), float64(limit), float64(delta))
	if err != nil {
		return nil, err
	}
	out, err := c.New(in[0].Type, n)
	if err != nil {
		return nil, err
	}
	d := value.Of[T](out)
	for i := range d {
		d[i] = start + T(i)*delta
	}
	return out, nil
}

func rampLength(start, limit, delta float64) (int, error) {
	n := math.Ceil((limit - start) / delta)
	if delta == 0 || math.IsNaN(n) || n > math.MaxInt32*256 {
		return 0, fmt.Errorf("a range from %v to %v in steps of %v has no usable length", start, limit, delta)
	}
	return max(int(n), 0), nil
}

func smallRamp(c *Context, in []*value.Tensor) (*value.Tensor, error) {
	widen, narrow := onnxio.Float16ToFloat32, onnxio.Float32ToFloat16
	if in[0].Type == onnxio.BFloat16 {
		widen, narrow = onnxio.BFloat16ToFloat32, onnxio.Float32ToBFloat16
	}
	var v [3]float32
	for i, t := range in {
		v[i] = widen(value.Of[uint16](t)[0])
	}
	n, err := rampLength(float64(v[0]), float64(v[1]), float64(v[2]))
	if err != nil {
		return nil, err
	}
	out, err := c.New(in[0].Type, n)
	if err != nil {
		return nil, err
	}
	for i := range n {
		value.Of[uint16](out)[i] = narrow(v[0] + float32(i)*v[2])
	}
	return out, nil
}
