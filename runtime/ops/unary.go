package ops

// Functions of one element that exist for more than floating-point numbers: signs, negation, shrinking, slopes, and what
// passes its input on.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Abs", buildSigned("Abs"), 1, 6, 13)
	Register("", "Neg", buildSigned("Neg"), 1, 6, 13)
	Register("", "Sign", buildSigned("Sign"), 9, 13)
	Register("", "Relu", buildSigned("Relu"), 1, 6, 13, 14)
	Register("", "BitwiseNot", buildSigned("BitwiseNot"), 18)
	Register("", "Not", buildNot, 1)
	Register("", "Shrink", buildShrink, 9)
	Register("", "PRelu", buildPRelu, 1, 6, 7, 9, 16)
	Register("", "Identity", buildIdentity, 1, 13, 14, 16, 19, 21, 23, 24, 25)
}

// buildSigned makes the operators that each numeric type has its own loop for.
func buildSigned(op string) Builder {
	return func(n *Node) (Kernel, error) {
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		ignoreMemoryHint(n)
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			x := in[0]
			out, err := c.New(x.Type, x.Shape...)
			if err != nil {
				return nil, err
			}
			ok := false
			switch x.Type {
			case onnxio.Float:
				ok = mapLoop(c, out, x, floatSignLoop[float32](op))
			case onnxio.Double:
				ok = mapLoop(c, out, x, floatSignLoop[float64](op))
			case onnxio.Int8:
				ok = mapLoop(c, out, x, intSignLoop[int8](op))
			case onnxio.Int16:
				ok = mapLoop(c, out, x, intSignLoop[int16](op))
			case onnxio.Int32:
				ok = mapLoop(c, out, x, intSignLoop[int32](op))
			case onnxio.Int64:
				ok = mapLoop(c, out, x, intSignLoop[int64](op))
			case onnxio.Uint8:
				ok = mapLoop(c, out, x, intSignLoop[uint8](op))
			case onnxio.Uint16:
				ok = mapLoop(c, out, x, intSignLoop[uint16](op))
			case onnxio.Uint32:
				ok = mapLoop(c, out, x, intSignLoop[uint32](op))
			case onnxio.Uint64:
				ok = mapLoop(c, out, x, intSignLoop[uint64](op))
			}
			if !ok {
				return nil, fmt.Errorf("it has no meaning for %v", x)
			}
			return []*value.Tensor{out}, nil
		}), nil
	}
}

// mapLoop fills out with loop over x; it reports false where there is no loop.
func mapLoop[R, T any](c *Context, out, x *value.Tensor, loop func(dst []R, x []T)) bool {
	if loop == nil {
		return false
	}
	dst, src := out.Data.([]R), x.Data.([]T)
	c.Pool.Do(len(dst), elementGrain, func(lo, hi int) { loop(dst[lo:hi], src[lo:hi]) })
	return true
}

func floatSignLoop[T kernels.Float](op string) func(dst, x []T) {
	switch op {
	case "Abs":
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = T(math.Abs(float64(v)))
			}
		}
	case "Neg":
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = -v
			}
		}
	case "BitwiseNot":
		return nil
	case "Relu":
		if loop, ok := any(kernels.ReluSlice).(func(dst, x []T)); ok {
			return loop
		}
	}
	return signLoop[T](op)
}

func intSignLoop[T kernels.Integer](op string) func(dst, x []T) {
	switch op {
	case "Abs":
		return func(dst, x []T) {
			for i, v := range x {
				if v < 0 {
					v = -v
				}
				dst[i] = v
			}
		}
	case "Neg":
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = -v
			}
		}
	case "BitwiseNot":
		return func(dst, x []T) {
			for i, v := range x {
				dst[i] = ^v
			}
		}
	}
	return signLoop[T](op)
}

func signLoop[T kernels.Number](op string) func(dst, x []T) {
	if op == "Relu" {
		return func(dst, x []T) {
			x = x[:len(dst)]
			for i, v := range x {
				if v < 0 {
					v = 0
				}
				dst[i] = v
			}
		}
	}
	return func(dst, x []T) { // Sign
		var zero T
		for i, v := range x {
			switch {
			case v > 0:
				v = 1
			case v < 0:
				v = zero - 1 // never for unsigned numbers, which have no -1
			}
			dst[i] = v
		}
	}
}

func buildNot(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if in[0].Type != onnxio.Bool {
			return nil, fmt.Errorf("it has no meaning for %v", in[0])
		}
		out, err := c.New(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		mapLoop(c, out, in[0], func(dst, x []bool) {
			for i, v := range x {
				dst[i] = !v
			}
		})
		return []*value.Tensor{out}, nil
	}), nil
}

// buildShrink makes Shrink: zero within lambd of zero, elsewhere bias nearer to zero. It keeps integers.
func buildShrink(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	bias, lambd := float64(n.Float("bias", 0)), float64(n.Float("lambd", 0.5))
	shrink := pointwise{f: func(x float64) float64 {
		switch {
		case x < -lambd:
			return x + bias
		case x > lambd:
			return x - bias
		}
		return 0
	}}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if x.Type == onnxio.Float || x.Type == onnxio.Double {
			return oneOutput(shrink.apply(c, x))
		}
		wide, err := castTensor(c, x, onnxio.Double, castOptions{})
		if err != nil {
			return nil, err
		}
		y, err := shrink.apply(c, wide)
		if err != nil {
			return nil, err
		}
		return oneOutput(castTensor(c, y, x.Type, castOptions{}))
	}), nil
}

// buildPRelu makes PRelu. Before opset 7 a slope of more than one element stood along the channel axis.
func buildPRelu(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	ignoreMemoryHint(n)
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x, slope := in[0], in[1]
		if n.Since < 7 && slope.Len() != 1 && len(slope.Shape) == 1 {
			shape := slices.Clone(slope.Shape)
			for len(shape) < len(x.Shape)-1 {
				shape = append(shape, 1)
			}
			slope = slope.View(shape...)
		}
		if slope.Len() == 1 {
			slope = slope.View()
		}
		shape, err := broadcastShape(x.Shape, slope.Shape)
		if err != nil || !slices.Equal(shape, x.Shape) {
			return nil, fmt.Errorf("slope %v does not broadcast to %v", in[1], x)
		}
		if x.Type != slope.Type {
			return nil, fmt.Errorf("inputs %v and %v have different element types", x, slope)
		}
		out, err := c.New(x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		w := broadcastTo(x.Shape, x.Shape, slope.Shape)
		ok := true
		switch d := x.Data.(type) {
		case []float32:
			zipLoop(c, w, out, d, slope, preluLoop32)
		case []float64:
			zipLoop(c, w, out, d, slope, preluLoop[float64])
		case []int32:
			zipLoop(c, w, out, d, slope, preluLoop[int32])
		case []int64:
			zipLoop(c, w, out, d, slope, preluLoop[int64])
		case []uint32:
			zipLoop(c, w, out, d, slope, preluLoop[uint32])
		case []uint64:
			zipLoop(c, w, out, d, slope, preluLoop[uint64])
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("it has no meaning for %v", x)
		}
		return []*value.Tensor{out}, nil
	}), nil
}

// preluLoop32 is preluLoop without a branch that half of all elements would take.
func preluLoop32(dst, x, slope []float32) {
	x, slope = x[:len(dst)], slope[:len(dst)]
	for i, v := range x {
		bits := math.Float32bits(v)
		negative := uint32(int32(bits) >> 31)
		dst[i] = math.Float32frombits(math.Float32bits(v*slope[i])&negative | bits&^negative)
	}
}

func preluLoop[T kernels.Number](dst, x, slope []T) {
	x, slope = x[:len(dst)], slope[:len(dst)]
	for i, v := range x {
		if v < 0 {
			v *= slope[i]
		}
		dst[i] = v
	}
}

// buildIdentity passes any value on, sequences and optionals too.
func buildIdentity(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return Func(func(_ *Context, in []value.Value) ([]value.Value, error) {
		if t, ok := in[0].(*value.Tensor); ok {
			return []value.Value{t.View(t.Shape...)}, nil
		}
		return []value.Value{in[0]}, nil
	}), nil
}
