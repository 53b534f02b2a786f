package ops

// ONNX Runtime's operators on 8-bit integers with a scale and a zero point: sums, products, functions of one number,
// softmax, concatenation. Functions of one number are tables of 256 entries.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("com.microsoft", "QLinearAdd", buildQLinearAdd, 1)
	Register("com.microsoft", "QLinearMul", buildQLinearMul, 1)
	Register("com.microsoft", "QLinearSigmoid", buildQLinearSigmoid, 1)
	Register("com.microsoft", "QLinearLeakyRelu", buildQLinearLeakyRelu, 1)
	Register("com.microsoft", "QLinearSoftmax", buildQLinearSoftmax, 1)
	Register("com.microsoft", "QLinearConcat", buildQLinearConcat, 1)
}

// levels is what the integers of a tensor stand for: (q - zero) * scale.
type levels struct {
	scale       float32
	zero        int32
	least, most int32
}

// readLevels reads a scalar scale and a zero point of a type; an absent zero point is zero.
func readLevels(in []*value.Tensor, scale, zero int, t onnxio.DataType) (levels, error) {
	l := levels{most: 255}
	switch t {
	case onnxio.Uint8:
	case onnxio.Int8:
		l.least, l.most = -128, 127
	default:
		return l, fmt.Errorf("%v is not a type of 8-bit integers", t)
	}
	s, err := floatElements[float32](in[scale])
	if err != nil || len(s) != 1 {
		return l, fmt.Errorf("input %d is %v, want a single scale", scale, in[scale])
	}
	l.scale = s[0]
	z, err := zeroPoints(in, zero, t, 1)
	if z != nil {
		l.zero = z[0]
	}
	return l, err
}

func (l levels) real(q int32) float32 { return float32(q-l.zero) * l.scale }

func (l levels) quantized(v float32) int32 { return saturate(v/l.scale, l.zero, l.least, l.most) }

// binaryLevels are A, B and C of a sum or product; inputs are A, scale, zero, B, scale, zero, C's scale and zero.
func binaryLevels(in []*value.Tensor) (a, b, c levels, err error) {
	if in[0].Type != in[3].Type {
		return a, b, c, fmt.Errorf("inputs are %v and %v, want the same type", in[0], in[3])
	}
	if a, err = readLevels(in, 1, 2, in[0].Type); err != nil {
		return a, b, c, err
	}
	if b, err = readLevels(in, 4, 5, in[3].Type); err != nil {
		return a, b, c, err
	}
	c, err = readLevels(in, 6, 7, in[0].Type)
	return a, b, c, err
}

func buildQLinearAdd(n *Node) (Kernel, error) {
	return quantizedBinary(n, func(a, b, c levels) func(x, y int32) int32 {
		// one multiplication per operand, and all constants in one: as ONNX Runtime computes it
		ra, rb := a.scale/c.scale, b.scale/c.scale
		fixed := float32(c.zero) - (ra*float32(a.zero) + rb*float32(b.zero))
		return func(x, y int32) int32 {
			sum := fixed + ra*float32(x)
			return saturate(sum+rb*float32(y), 0, c.least, c.most)
		}
	})
}

func buildQLinearMul(n *Node) (Kernel, error) {
	return quantizedBinary(n, func(a, b, c levels) func(x, y int32) int32 {
		factor := a.scale * b.scale / c.scale
		return func(x, y int32) int32 {
			return saturate(float32((x-a.zero)*(y-b.zero))*factor, c.zero, c.least, c.most)
		}
	})
}

func quantizedBinary(n *Node, function func(a, b, c levels) func(x, y int32) int32) (Kernel, error) {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		la, lb, lc, err := binaryLevels(in)
		if err != nil {
			return nil, err
		}
		w, err := newBroadcast(in[0].Shape, in[3].Shape)
		if err != nil {
			return nil, err
		}
		y, err := c.New(in[0].Type, w.shape...)
		if err != nil {
			return nil, err
		}
		f := function(la, lb, lc)
		if in[0].Type == onnxio.Int8 {
			combineBytes[int8](c, w, y, in[0], in[3], f)
		} else {
			combineBytes[uint8](c, w, y, in[0], in[3], f)
		}
		return []*value.Tensor{y}, nil
	}), n.CheckInputs(7, 8)
}

func combineBytes[T int8 | uint8](c *Context, w *broadcast, y, a, b *value.Tensor, f func(x, y int32) int32) {
	zip2(c, w, functionGrain, value.Of[T](y), value.Of[T](a), value.Of[T](b), func(dst, a, b []T) {
		for i := range dst {
			dst[i] = T(f(int32(a[i]), int32(b[i])))
		}
	})
}

func buildQLinearSigmoid(n *Node) (Kernel, error) {
	return quantizedFunction(n, func(v float64) float64 {
		x := []float32{float32(v)}
		kernels.LogisticSlice(x, x)
		return float64(x[0])
	})
}

func buildQLinearLeakyRelu(n *Node) (Kernel, error) {
	alpha := float64(n.Float("alpha", 0.01))
	return quantizedFunction(n, func(v float64) float64 { return leaky(v, alpha, 0) })
}

// quantizedFunction reads X, its scale and zero, and Y's.
func quantizedFunction(n *Node, f func(float64) float64) (Kernel, error) {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		from, err := readLevels(in, 1, 2, in[0].Type)
		if err != nil {
			return nil, err
		}
		to, err := readLevels(in, 3, 4, in[0].Type)
		if err != nil {
			return nil, err
		}
		var table [256]uint8 // by the bits of the input
		for i := range table {
			q := int32(i)
			if in[0].Type == onnxio.Int8 {
				q = int32(int8(i))
			}
			table[i] = uint8(to.quantized(float32(f(float64(from.real(q))))))
		}
		y, err := c.New(in[0].Type, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		switch x := in[0].Data.(type) {
		case []uint8:
			for i, d := 0, value.Of[uint8](y); i < len(d); i++ {
				d[i] = table[x[i]]
			}
		case []int8:
			for i, d := 0, value.Of[int8](y); i < len(d); i++ {
				d[i] = int8(table[uint8(x[i])])
			}
		}
		return []*value.Tensor{y}, nil
	}), n.CheckInputs(4, 5)
}

// buildQLinearSoftmax reads X, scale, zero, Y's scale and zero. opset tells which Softmax is meant: before 13 everything
// from axis on is one row.
func buildQLinearSoftmax(n *Node) (Kernel, error) {
	axis, opset := int(n.Int("axis", -1)), n.Int("opset", 13)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		from, err := readLevels(in, 1, 2, x.Type)
		if err != nil {
			return nil, err
		}
		to, err := readLevels(in, 3, 4, x.Type)
		if err != nil {
			return nil, err
		}
		at := axis
		if at < 0 {
			at += len(x.Shape)
		}
		if at < 0 || at >= len(x.Shape) {
			return nil, fmt.Errorf("axis %d for an input of shape %v", axis, x.Shape)
		}
		size, inner := product(x.Shape[at:]), 1
		if opset >= 13 {
			size, inner = x.Shape[at], product(x.Shape[at+1:])
		}
		y, err := c.New(x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		if x.Type == onnxio.Int8 {
			softmaxBytes(c, value.Of[int8](y), value.Of[int8](x), size, inner, from, to)
		} else {
			softmaxBytes(c, value.Of[uint8](y), value.Of[uint8](x), size, inner, from, to)
		}
		return []*value.Tensor{y}, nil
	}), n.CheckInputs(5, 5)
}

func softmaxBytes[T int8 | uint8](c *Context, y, x []T, size, inner int, from, to levels) {
	if len(x) == 0 {
		return
	}
	c.Pool.Do(len(x)/size, max(1, functionGrain/size), func(lo, hi int) {
		weights := make([]float64, size)
		for i := lo; i < hi; i++ {
			base := i/inner*size*inner + i%inner
			top := x[base]
			for k := range size {
				top = max(top, x[base+k*inner])
			}
			var sum float64
			for k := range weights {
				weights[k] = math.Exp(float64(int32(x[base+k*inner])-int32(top)) * float64(from.scale))
				sum += weights[k]
			}
			for k, w := range weights {
				y[base+k*inner] = T(to.quantized(float32(w / sum)))
			}
		}
	})
}

// buildQLinearConcat reads Y's scale and zero, then any number of tensors with scale and zero.
func buildQLinearConcat(n *Node) (Kernel, error) {
	if !n.Has("axis") {
		return nil, fmt.Errorf("attribute axis is missing")
	}
	if len(n.Inputs) < 5 || len(n.Inputs)%3 != 2 {
		return nil, fmt.Errorf("it has %d inputs, want two and three for each tensor", len(n.Inputs))
	}
	axis := int(n.Int("axis", 0))
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[2].Type
		to, err := readLevels(in, 0, 1, t)
		if err != nil {
			return nil, err
		}
		var parts []*value.Tensor
		for i := 2; i < len(in); i += 3 {
			if in[i].Type != t {
				return nil, fmt.Errorf("inputs are %v and %v, want the same type", in[2], in[i])
			}
			from, err := readLevels(in, i+1, i+2, t)
			if err != nil {
				return nil, err
			}
			parts = append(parts, relevelled(in[i], from, to))
		}
		at := axis
		if at < 0 {
			at += len(in[2].Shape)
		}
		return oneOutput(concatenated(c, parts, at))
	}), nil
}

// relevelled brings integers to other levels.
func relevelled(t *value.Tensor, from, to levels) *value.Tensor {
	if from == to {
		return t
	}
	out := value.New(t.Type, t.Shape...)
	switch x := t.Data.(type) {
	case []uint8:
		for i, d := 0, value.Of[uint8](out); i < len(d); i++ {
			d[i] = uint8(to.quantized(from.real(int32(x[i]))))
		}
	case []int8:
		for i, d := 0, value.Of[int8](out); i < len(d); i++ {
			d[i] = int8(to.quantized(from.real(int32(x[i]))))
		}
	}
	return out
}
