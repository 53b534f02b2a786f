package ops

// Functions of one element that exist for more than floating-point numbers, or give another type: signs, clipping,
// negation, tests for NaN and infinity, and what passes its input on.

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
	Register("", "Clip", buildClip, 1, 6, 11, 12, 13)
	Register("", "Not", buildNot, 1)
	Register("", "IsNaN", buildIsNaN, 9, 13, 20)
	Register("", "IsInf", buildIsInf, 10, 20)
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
		if n.Since < 6 {
			n.Ignore("consumed_inputs")
		}
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

// buildClip makes Clip, whose limits were attributes before opset 11.
func buildClip(n *Node) (Kernel, error) {
	if n.Since < 11 {
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		n.Ignore("consumed_inputs")
		lo := value.Scalar(n.Float("min", -math.MaxFloat32))
		hi := value.Scalar(n.Float("max", math.MaxFloat32))
		if n.Since < 6 { // no defaults
			if !n.Has("min") {
				lo = nil
			}
			if !n.Has("max") {
				hi = nil
			}
		}
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			if in[0].Type == onnxio.Double {
				return oneOutput(clip(c, in[0], asDouble(lo), asDouble(hi)))
			}
			return oneOutput(clip(c, in[0], lo, hi))
		}), nil
	}
	if err := n.CheckInputs(1, 3); err != nil {
		return nil, err
	}
	limited := viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return oneOutput(clip(c, in[0], in[1], in[2]))
	})
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		all := make([]*value.Tensor, 3)
		copy(all, in)
		lowest, largest := finiteRange(in[0].Type)
		if all[1] == nil {
			all[1] = lowest
		}
		if all[2] == nil {
			all[2] = largest
		}
		return limited(c, all)
	}), nil
}

// finiteRange returns the smallest and the largest finite number of a floating-point type, which limit Clip where nothing
// else does; nil for integers.
func finiteRange(t onnxio.DataType) (lowest, largest *value.Tensor) {
	half := func(bits uint16) *value.Tensor {
		return &value.Tensor{Type: t, Shape: []int{}, Data: []uint16{bits}}
	}
	switch t {
	case onnxio.Float:
		return value.Scalar(float32(-math.MaxFloat32)), value.Scalar(float32(math.MaxFloat32))
	case onnxio.Double:
		return value.Scalar(-math.MaxFloat64), value.Scalar(math.MaxFloat64)
	case onnxio.Float16:
		return half(0xfbff), half(0x7bff)
	case onnxio.BFloat16:
		return half(0xff7f), half(0x7f7f)
	}
	return nil, nil
}

func asDouble(t *value.Tensor) *value.Tensor {
	if t == nil {
		return nil
	}
	return value.Scalar(float64(t.Data.([]float32)[0]))
}

// clip limits x from below, then from above; either limit may be nil.
func clip(c *Context, x, lo, hi *value.Tensor) (*value.Tensor, error) {
	for _, limit := range []*value.Tensor{lo, hi} {
		if limit != nil && (limit.Type != x.Type || limit.Len() != 1) {
			return nil, fmt.Errorf("limit %v is not one element of the type of %v", limit, x)
		}
	}
	out, err := c.New(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	switch x.Type {
	case onnxio.Float:
		clipLoop[float32](c, out, x, lo, hi)
	case onnxio.Double:
		clipLoop[float64](c, out, x, lo, hi)
	case onnxio.Int8:
		clipLoop[int8](c, out, x, lo, hi)
	case onnxio.Int16:
		clipLoop[int16](c, out, x, lo, hi)
	case onnxio.Int32:
		clipLoop[int32](c, out, x, lo, hi)
	case onnxio.Int64:
		clipLoop[int64](c, out, x, lo, hi)
	case onnxio.Uint8:
		clipLoop[uint8](c, out, x, lo, hi)
	case onnxio.Uint16:
		clipLoop[uint16](c, out, x, lo, hi)
	case onnxio.Uint32:
		clipLoop[uint32](c, out, x, lo, hi)
	case onnxio.Uint64:
		clipLoop[uint64](c, out, x, lo, hi)
	default:
		return nil, fmt.Errorf("it has no meaning for %v", x)
	}
	return out, nil
}

func clipLoop[T kernels.Number](c *Context, out, x, lo, hi *value.Tensor) {
	limit := func(t *value.Tensor) (T, bool) {
		if t == nil {
			return 0, false
		}
		return t.Data.([]T)[0], true
	}
	least, below := limit(lo)
	most, above := limit(hi)
	mapLoop(c, out, x, func(dst, x []T) {
		x = x[:len(dst)]
		narrow, is32 := any(x).([]float32)
		switch {
		case below && above && is32:
			kernels.ClipSlice(any(dst).([]float32), narrow, float32(least), float32(most))
		case below && above:
			for i, v := range x {
				if v < least {
					v = least
				}
				if v > most {
					v = most
				}
				dst[i] = v
			}
		case below:
			for i, v := range x {
				if v < least {
					v = least
				}
				dst[i] = v
			}
		case above:
			for i, v := range x {
				if v > most {
					v = most
				}
				dst[i] = v
			}
		default:
			copy(dst, x)
		}
	})
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

func buildIsNaN(n *Node) (Kernel, error) {
	return buildFloatTest(n, func(x float64) bool { return x != x }, (*tinyFloat).isNaN)
}

func buildIsInf(n *Node) (Kernel, error) {
	negative, positive := n.Bool("detect_negative", true), n.Bool("detect_positive", true)
	test := func(x float64) bool {
		return positive && math.IsInf(x, 1) || negative && math.IsInf(x, -1)
	}
	return buildFloatTest(n, test, func(f *tinyFloat, bits uint8) bool { return test(float64(f.decode(bits))) })
}

// buildFloatTest makes an operator that asks something of every float, those of 8 bits included.
func buildFloatTest(n *Node, test func(float64) bool, tiny func(*tinyFloat, uint8) bool) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		out, err := c.New(onnxio.Bool, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		format, isTiny := tinyFloats[in[0].Type]
		switch {
		case in[0].Type == onnxio.Float:
			mapLoop(c, out, in[0], testLoop[float32](test))
		case in[0].Type == onnxio.Double:
			mapLoop(c, out, in[0], testLoop[float64](test))
		case isTiny:
			mapLoop(c, out, in[0], func(dst []bool, x []uint8) {
				for i, v := range x {
					dst[i] = tiny(format, v)
				}
			})
		default:
			return nil, fmt.Errorf("it has no meaning for %v", in[0])
		}
		return []*value.Tensor{out}, nil
	}), nil
}

func testLoop[T kernels.Float](test func(float64) bool) func(dst []bool, x []T) {
	return func(dst []bool, x []T) {
		for i, v := range x {
			dst[i] = test(float64(v))
		}
	}
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
	if n.Since < 6 {
		n.Ignore("consumed_inputs")
	}
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
