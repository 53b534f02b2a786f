package fold

import (
	"math"

	"onnxprune/onnxio"
)

// Operators that compute every element by itself.

func init() {
	for op, f := range map[string]func(float64) float64{
		"Identity": func(x float64) float64 { return x }, "Abs": math.Abs, "Neg": func(x float64) float64 { return -x }, "Sqrt": math.Sqrt,
		"Reciprocal": func(x float64) float64 { return 1 / x }, "Exp": math.Exp, "Log": math.Log, "Tanh": math.Tanh, "Erf": math.Erf,
		"Relu": func(x float64) float64 { return max(x, 0) }, "Sigmoid": func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
		"Floor": math.Floor, "Ceil": math.Ceil, "Round": math.RoundToEven, "Sign": sign, "Softplus": softplus,
	} {
		kernels[op] = kernel{run: func(c *call) []float64 { return mapped(c.in(0).Data, f) }}
	}
	for _, op := range []string{"Cast", "CastLike"} {
		kernels[op] = kernel{run: func(c *call) []float64 {
			return mapped(c.in(0).Data, func(x float64) float64 { return cast(c.elem(), x) })
		}}
	}
	kernels["Clip"] = kernel{run: clip}
	for op, f := range map[string]func(a, b float64) float64{
		"Add": func(a, b float64) float64 { return a + b }, "Sub": func(a, b float64) float64 { return a - b },
		"Mul": func(a, b float64) float64 { return a * b }, "Div": func(a, b float64) float64 { return a / b }, "Pow": math.Pow,
		"Min": func(a, b float64) float64 { return min(a, b) }, "Max": func(a, b float64) float64 { return max(a, b) },
		"Sum":   func(a, b float64) float64 { return a + b },
		"Equal": func(a, b float64) float64 { return truth(a == b) }, "Greater": func(a, b float64) float64 { return truth(a > b) },
		"Less": func(a, b float64) float64 { return truth(a < b) }, "GreaterOrEqual": func(a, b float64) float64 { return truth(a >= b) },
		"LessOrEqual": func(a, b float64) float64 { return truth(a <= b) },
	} {
		kernels[op] = kernel{can: broadcasts, run: func(c *call) []float64 { return c.broadcast(f) }}
	}
	kernels["Where"] = kernel{run: func(c *call) []float64 {
		cond, x, y := aligned(c.in(0).Shape, c.out), aligned(c.in(1).Shape, c.out), aligned(c.in(2).Shape, c.out)
		out := make([]float64, count(c.out))
		each(c.out, func(i int, index []int) {
			if c.in(0).Data[dot(index, cond)] != 0 {
				out[i] = c.in(1).Data[dot(index, x)]
			} else {
				out[i] = c.in(2).Data[dot(index, y)]
			}
		})
		return out
	}}
	kernels["DequantizeLinear"] = kernel{can: quantises, run: func(c *call) []float64 {
		return c.scaled(func(x, scale, zero float64) float64 { return (x - zero) * scale })
	}}
	kernels["QuantizeLinear"] = kernel{can: quantises, run: func(c *call) []float64 {
		return c.scaled(func(x, scale, zero float64) float64 { return cast(c.elem(), math.RoundToEven(x/scale)+zero) })
	}}
}

func mapped(xs []float64, f func(float64) float64) []float64 {
	out := make([]float64, len(xs))
	for i, x := range xs {
		out[i] = f(x)
	}
	return out
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func sign(x float64) float64 { return truth(x > 0) - truth(x < 0) }

func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

// cast brings a number into the range of a type: integers are cut off at the point, and clipped.
func cast(t onnxio.DataType, x float64) float64 {
	switch t {
	case onnxio.Bool:
		return truth(x != 0)
	case onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.BFloat16:
		return x
	}
	bits := t.Bits()
	low, high := -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1)-1
	if t == onnxio.Uint8 || t == onnxio.Uint16 {
		low, high = 0, math.Ldexp(1, bits)-1
	}
	return min(max(math.Trunc(x), low), high)
}

func clip(c *call) []float64 {
	low, high := math.Inf(-1), math.Inf(1)
	if a := c.node.Attr("min"); a != nil {
		low = float64(a.F)
	}
	if a := c.node.Attr("max"); a != nil {
		high = float64(a.F)
	}
	if t := c.in(1); t != nil {
		low = t.Data[0]
	}
	if t := c.in(2); t != nil {
		high = t.Data[0]
	}
	return mapped(c.in(0).Data, func(x float64) float64 { return min(max(x, low), high) })
}

// broadcasts excludes the alignment by an attribute of the opsets before 7, and quotients and powers of integers.
func broadcasts(c *call) bool {
	if c.node.Version < 7 && c.node.Attr("axis") != nil {
		return false
	}
	return c.node.Op != "Div" && c.node.Op != "Pow" || c.elem().IsFloat()
}

func (c *call) broadcast(f func(a, b float64) float64) []float64 {
	first := c.in(0)
	out := make([]float64, count(c.out))
	at := aligned(first.Shape, c.out)
	each(c.out, func(i int, index []int) { out[i] = first.Data[dot(index, at)] })
	for _, t := range c.ins[1:] {
		at := aligned(t.Shape, c.out)
		each(c.out, func(i int, index []int) { out[i] = f(out[i], t.Data[dot(index, at)]) })
	}
	return out
}

// quantises excludes types of few bits and scales by blocks.
func quantises(c *call) bool { return c.node.Int("block_size", 0) == 0 && c.node.Input(1) != nil }

// scaled applies f to every element with the scale and zero point of its index along the axis.
func (c *call) scaled(f func(x, scale, zero float64) float64) []float64 {
	x, s, z := c.in(0), c.in(1), c.in(2)
	along, inner := 1, 1
	if len(s.Data) > 1 {
		k := axis(int(c.node.Int("axis", 1)), len(x.Shape))
		along, inner = x.Shape[k], count(x.Shape[k+1:])
	}
	out := make([]float64, len(x.Data))
	for i, v := range x.Data {
		at, zero := i/inner%along, 0.0
		if z != nil {
			zero = z.Data[min(at, len(z.Data)-1)]
		}
		out[i] = f(v, s.Data[min(at, len(s.Data)-1)], zero)
	}
	return out
}
