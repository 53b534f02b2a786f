package ops

// Element-wise operators that are not a plain combination of two tensors: folds over any number of inputs,
// remainders, powers with a type of their own for the exponent, and selection.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Where", buildWhere, 9, 16)
}

// buildFold makes Sum, Mean, Max and Min, which take any number of inputs; before opset 8 all of one shape.
func buildFold(op string) Builder {
	return func(n *Node) (Kernel, error) {
		if err := n.CheckInputs(max(1, len(n.Inputs)), -1); err != nil {
			return nil, err
		}
		ignoreMemoryHint(n)
		broadcasts := n.Since >= 8
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			sum := in[0]
			for i, t := range in[1:] {
				if !broadcasts && !slices.Equal(sum.Shape, t.Shape) {
					return nil, fmt.Errorf("shapes %v and %v differ, which opset %d does not allow", sum.Shape, t.Shape, n.Version)
				}
				next, err := numbers.apply(c, op, sum, t)
				if err != nil {
					return nil, fmt.Errorf("input %d: %w", i+1, err)
				}
				if i > 0 {
					c.Drop(sum)
				}
				sum = next
			}
			if len(in) == 1 {
				return []*value.Tensor{sum.View(sum.Shape...)}, nil
			}
			if op == "Mean" {
				switch d := sum.Data.(type) {
				case []float32:
					scaleInPlace(c, d, float32(len(in)))
				case []float64:
					scaleInPlace(c, d, float64(len(in)))
				default:
					return nil, fmt.Errorf("it has no meaning for %v", sum.Type)
				}
			}
			return []*value.Tensor{sum}, nil
		}), nil
	}
}

func scaleInPlace[T kernels.Float](c *Context, x []T, divisor T) {
	c.Pool.Do(len(x), elementGrain, func(lo, hi int) {
		for i := range x[lo:hi] {
			x[lo+i] /= divisor
		}
	})
}

func buildMod(n *Node) (Kernel, error) {
	if n.Bool("fmod", false) {
		return buildBinary("Fmod", numbers)(n)
	}
	// without fmod, floats are not allowed; intLoop knows Mod, floatLoop does not
	return buildBinary("Mod", numbers)(n)
}

// buildPow makes Pow, whose exponent may have another type since opset 12; the result has the base's.
func buildPow(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	align := readAlignment(n)
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		y, err := align(x, in[1])
		if err != nil {
			return nil, err
		}
		return oneOutput(power(c, x, y))
	}), nil
}

func power(c *Context, x, y *value.Tensor) (*value.Tensor, error) {
	w, err := newBroadcast(x.Shape, y.Shape)
	if err != nil {
		return nil, err
	}
	out, err := c.New(x.Type, w.shape...)
	if err != nil {
		return nil, err
	}
	if f, ok := x.Data.([]float32); ok && len(f) == w.size && y.Len() == 1 {
		exponent, ok := y.Floats()
		if ok && powConstant(c, out.Data.([]float32), f, exponent[0]) {
			return out, nil
		}
	}
	switch d := x.Data.(type) {
	case []float32:
		return out, powFloats(c, w, out.Data.([]float32), d, y)
	case []float64:
		return out, powFloats(c, w, out.Data.([]float64), d, y)
	case []int32:
		return out, powInts(c, w, out.Data.([]int32), d, y)
	case []int64:
		return out, powInts(c, w, out.Data.([]int64), d, y)
	}
	return nil, fmt.Errorf("it has no meaning for a base of %v", x.Type)
}

// powConstant handles the exponents that normalizations and activations use.
func powConstant(c *Context, dst, x []float32, exponent float64) bool {
	var loop func(dst, x []float32)
	switch exponent {
	case 1:
		loop = func(dst, x []float32) { copy(dst, x) }
	case 2:
		loop = func(dst, x []float32) { kernels.Mul(dst, x, x) }
	case 3:
		loop = func(dst, x []float32) {
			for i, v := range x {
				dst[i] = v * v * v
			}
		}
	case 0.5:
		loop = func(dst, x []float32) {
			for i, v := range x {
				dst[i] = float32(math.Pow(float64(v), 0.5))
			}
		}
	case -1:
		loop = func(dst, x []float32) {
			for i, v := range x {
				dst[i] = 1 / v
			}
		}
	default:
		return false
	}
	c.Pool.Do(len(dst), elementGrain, func(lo, hi int) { loop(dst[lo:hi], x[lo:hi]) })
	return true
}

func powFloats[T kernels.Float](c *Context, w *broadcast, dst, x []T, y *value.Tensor) error {
	exponents, ok := y.Floats()
	if !ok || y.Type == onnxio.Bool {
		return fmt.Errorf("it has no meaning for an exponent of %v", y.Type)
	}
	zip2(c, w, functionGrain, dst, x, exponents, func(dst, x []T, y []float64) {
		for i := range dst {
			dst[i] = T(math.Pow(float64(x[i]), y[i]))
		}
	})
	return nil
}

func powInts[T int32 | int64](c *Context, w *broadcast, dst, x []T, y *value.Tensor) error {
	if whole, ok := y.Ints(); ok && y.Type != onnxio.Bool {
		zip2(c, w, functionGrain, dst, x, whole, func(dst, x []T, y []int64) {
			for i := range dst {
				dst[i] = powInt(x[i], y[i])
			}
		})
		return nil
	}
	exponents, ok := y.Floats()
	if !ok || y.Type == onnxio.Bool {
		return fmt.Errorf("it has no meaning for an exponent of %v", y.Type)
	}
	zip2(c, w, functionGrain, dst, x, exponents, func(dst, x []T, y []float64) {
		for i := range dst {
			dst[i] = floatToInt[T](math.Pow(float64(x[i]), y[i]))
		}
	})
	return nil
}

// powInt is x to the y, wrapping around. Negative exponents give the whole part of the fraction.
func powInt[T int32 | int64](x T, y int64) T {
	if y < 0 {
		switch {
		case x == 1 || x == -1 && y%2 == 0:
			return 1
		case x == -1:
			return -1
		}
		return 0
	}
	p := T(1)
	for ; y > 0; y >>= 1 {
		if y&1 == 1 {
			p *= x
		}
		x *= x
	}
	return p
}

// buildWhere makes Where, which moves elements of any type.
func buildWhere(n *Node) (Kernel, error) {
	if err := n.CheckInputs(3, 3); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		condition, ok := in[0].Data.([]bool)
		if !ok {
			return nil, fmt.Errorf("the condition is %v, want bool", in[0])
		}
		x, y := in[1], in[2]
		if x.Type != y.Type {
			return nil, fmt.Errorf("inputs %v and %v have different element types", x, y)
		}
		w, err := newBroadcast(in[0].Shape, x.Shape, y.Shape)
		if err != nil {
			return nil, err
		}
		out, err := c.New(x.Type, w.shape...)
		if err != nil {
			return nil, err
		}
		switch a := x.Data.(type) {
		case []float32:
			choose(c, w, out, condition, a, y)
		case []float64:
			choose(c, w, out, condition, a, y)
		case []int8:
			choose(c, w, out, condition, a, y)
		case []int16:
			choose(c, w, out, condition, a, y)
		case []int32:
			choose(c, w, out, condition, a, y)
		case []int64:
			choose(c, w, out, condition, a, y)
		case []uint8:
			choose(c, w, out, condition, a, y)
		case []uint16:
			choose(c, w, out, condition, a, y)
		case []uint32:
			choose(c, w, out, condition, a, y)
		case []uint64:
			choose(c, w, out, condition, a, y)
		case []bool:
			choose(c, w, out, condition, a, y)
		case []string:
			choose(c, w, out, condition, a, y)
		case []complex64:
			choose(c, w, out, condition, a, y)
		case []complex128:
			choose(c, w, out, condition, a, y)
		}
		return []*value.Tensor{out}, nil
	}), nil
}

func choose[T any](c *Context, w *broadcast, out *value.Tensor, condition []bool, x []T, y *value.Tensor) {
	zip3(c, w, elementGrain, out.Data.([]T), condition, x, y.Data.([]T), func(dst []T, condition []bool, x, y []T) {
		x, y, condition = x[:len(dst)], y[:len(dst)], condition[:len(dst)]
		for i, yes := range condition {
			if yes {
				dst[i] = x[i]
			} else {
				dst[i] = y[i]
			}
		}
	})
}
