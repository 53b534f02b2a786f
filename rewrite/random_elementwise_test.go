package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Element-wise operators. What has poles, grows without bound or is not continuous is given operands that keep it tame: a rounding
// difference of a sum must stay one.

// tame says how the operand of an element-wise operator is kept where the operator is.
type tame int

const (
	free     tame = iota
	small         // between -0.9 and 0.9
	positive      // half and more
	large         // one and a half and more
)

// tamed puts a value into a range.
func (g *graphs) tamed(x string, t tame) string {
	switch t {
	case small:
		return g.Mul(g.Node("Tanh", []string{x}), g.Const(float32(0.9)))
	case positive:
		return g.Add(g.Node("Abs", []string{x}), g.Const(float32(0.5)))
	case large:
		return g.Add(g.Node("Abs", []string{x}), g.Const(float32(1.5)))
	}
	return x
}

// unaries are the operators of one operand.
var unaries = []struct {
	op    string
	since int64
	tame  tame
	attrs testmodels.Attrs
}{
	{"Abs", 1, free, nil}, {"Neg", 1, free, nil}, {"Relu", 1, free, nil}, {"Sigmoid", 1, free, nil}, {"Softplus", 1, free, nil}, {"Softsign", 1, free, nil},
	{"Tanh", 1, free, nil}, {"Atan", 7, free, nil}, {"Asinh", 9, free, nil}, {"Erf", 9, free, nil}, {"Gelu", 20, free, nil},
	{"Gelu", 20, free, testmodels.Attrs{"approximate": "tanh"}}, {"HardSigmoid", 1, free, testmodels.Attrs{"alpha": 0.3, "beta": 0.4}}, {"HardSwish", 14, free, nil},
	{"Identity", 1, free, nil}, {"LeakyRelu", 1, free, testmodels.Attrs{"alpha": 0.2}}, {"Mish", 18, free, nil}, {"Elu", 1, free, testmodels.Attrs{"alpha": 0.7}},
	{"Selu", 1, free, testmodels.Attrs{"alpha": 1.5, "gamma": 1.1}}, {"Celu", 12, free, testmodels.Attrs{"alpha": 0.8}}, {"Swish", 24, free, testmodels.Attrs{"alpha": 0.5}},
	{"Shrink", 9, free, testmodels.Attrs{"lambd": 0.5, "bias": 0.5}}, {"Affine", 1, free, testmodels.Attrs{"alpha": 0.5, "beta": 0.1}},
	{"ParametricSoftplus", 1, free, testmodels.Attrs{"alpha": 0.5, "beta": 0.7}}, {"ScaledTanh", 1, free, testmodels.Attrs{"alpha": 0.9, "beta": 0.7}},
	{"Acos", 7, small, nil}, {"Asin", 7, small, nil}, {"Atanh", 9, small, nil}, {"Exp", 1, small, nil}, {"Sinh", 9, small, nil}, {"Cosh", 9, small, nil},
	{"Tan", 7, small, nil}, {"Sin", 7, small, nil}, {"Cos", 7, small, nil}, {"Log", 1, positive, nil}, {"Sqrt", 1, positive, nil}, {"Reciprocal", 1, positive, nil},
	{"Acosh", 9, large, nil},
}

var elementwise = append([]blockKind{
	{"binary", 7, (*graphs).binary}, {"binary", 7, (*graphs).binary}, {"variadic", 8, (*graphs).variadic}, {"power", 7, (*graphs).power}, {"slopes", 7, (*graphs).slopes},
	{"dropout", 7, (*graphs).dropout}, {"clipped", 7, (*graphs).clipped}, {"half", 9, (*graphs).half}, {"double", 9, (*graphs).double}, {"castLike", 15, (*graphs).castLike},
	{"chain", 7, (*graphs).chain}, {"bitCast", 26, (*graphs).bitCast},
}, unaryBlocks()...)

func unaryBlocks() []blockKind {
	var out []blockKind
	for _, u := range unaries {
		out = append(out, blockKind{u.op, u.since, func(g *graphs, f feat) feat {
			f.name = g.Node(u.op, []string{g.tamed(f.name, u.tame)}, u.attrs)
			return f
		}})
	}
	return out
}

// operand makes a second operand for f: a value of its shape, one number per channel in one of the shapes that exporters write, one
// per place, or one for all.
func (g *graphs) operand(f feat) string {
	c := int64(f.c)
	switch g.r.IntN(9) {
	case 0:
		return g.Const(float32(0.5))
	case 1:
		return g.Const([]float32{-0.5})
	case 2:
		return g.Weight(g.id("perChannel"), c, 1, 1)
	case 3:
		return g.Weight(g.id("perChannel"), 1, c, 1, 1)
	case 4:
		return g.Weight(g.id("perPlace"), int64(f.h), int64(f.w))
	case 5:
		return g.Weight(g.id("full"), 1, c, int64(f.h), int64(f.w))
	case 6:
		return g.GlobalAveragePool(g.like(f).name)
	case 7: // one vector for two layers
		v := g.Vector(g.id("vector"), c, 0.5, 0.3)
		return g.Add(g.Unsqueeze(v, 1, 2), g.Unsqueeze(v, 0, 2, 3))
	}
	return g.like(f).name
}

func (g *graphs) binary(f feat) feat {
	a, b := f.name, g.operand(f)
	op := []string{"Add", "Sub", "Mul", "Div"}[g.r.IntN(4)]
	if op == "Div" {
		b = g.tamed(b, positive)
	} else if g.r.IntN(3) == 0 {
		a, b = b, a
	}
	f.name = g.Node(op, []string{a, b})
	return f
}

func (g *graphs) variadic(f feat) feat {
	in := []string{f.name}
	for range g.r.IntN(3) {
		in = append(in, g.operand(f))
	}
	f.name = g.Node([]string{"Sum", "Mean", "Min", "Max"}[g.r.IntN(4)], in)
	return f
}

func (g *graphs) power(f feat) feat {
	if g.r.IntN(2) == 0 {
		f.name = g.Node("Pow", []string{g.tamed(f.name, small), g.Const([]float32{2, 3}[g.r.IntN(2)])})
	} else {
		f.name = g.Node("Pow", []string{g.Add(g.tamed(f.name, small), g.Const(float32(1.5))), g.tamed(g.operand(f), small)})
	}
	return f
}

func (g *graphs) slopes(f feat) feat {
	slope := g.Weight(g.id("slope"), int64(f.c), 1, 1)
	switch g.r.IntN(3) {
	case 0:
		slope = g.Const([]float32{0.3})
	case 1:
		slope = g.Weight(g.id("slope"), 1, 1, int64(f.w))
	}
	f.name = g.Node("PRelu", []string{f.name, slope})
	return f
}

func (g *graphs) dropout(f feat) feat {
	in, attrs := []string{f.name}, testmodels.Attrs{}
	if g.Opset() < 12 {
		attrs["ratio"] = 0.3
	} else if g.r.IntN(2) == 0 {
		in = append(in, g.Const(float32(0.3)), g.Const(false))
	}
	f.name = g.NodeN("Dropout", in, 1+g.r.IntN(2), attrs)[0]
	return f
}

// clipped leaves bounds out, or takes them from a computed value.
func (g *graphs) clipped(f feat) feat {
	if g.Opset() < 11 {
		f.name = g.Node("Clip", []string{f.name}, testmodels.Attrs{"max": 2.0})
		return f
	}
	lo, hi := g.Const(float32(-1)), g.Cast(g.Const(int64(3)), onnxio.Float)
	f.name = g.Node("Clip", [][]string{{f.name, lo}, {f.name, "", hi}, {f.name}, {f.name, lo, hi}}[g.r.IntN(4)])
	return f
}

// half runs a convolution on halves: whole numbers so small that halves hold their sums exactly.
func (g *graphs) half(f feat) feat {
	y, o := g.whole(3), g.width()
	vs := make(testmodels.Float16s, 3*o)
	for i := range vs {
		vs[i] = float32(g.r.IntN(5) - 2)
	}
	w := g.ConstDims(g.id("half"), []int64{int64(o), 3, 1, 1}, vs)
	h := g.Node("Abs", []string{g.Node("Conv", []string{g.Cast(g.Clip(y.name, -8, 8), onnxio.Float16), w})})
	return g.scaled(feat{g.Cast(h, onnxio.Float), o, y.h, y.w})
}

func (g *graphs) double(f feat) feat {
	d := g.Cast(f.name, onnxio.Double)
	d = g.Mul(g.Add(d, g.WeightOf(onnxio.Double, g.id("double"), int64(f.c), 1, 1)), g.Const(float64(0.5)))
	f.name = g.Cast(d, onnxio.Float)
	return f
}

func (g *graphs) castLike(f feat) feat {
	d := g.Node("CastLike", []string{f.name, g.Const(float64(1))})
	f.name = g.Node("CastLike", []string{d, g.like(f).name})
	return f
}

func (g *graphs) chain(f feat) feat {
	for range 2 + g.r.IntN(3) {
		f.name = g.Node("Identity", []string{f.name})
	}
	return f
}

// bitCast reads the bits of floats as integers, and of the integers as floats.
func (g *graphs) bitCast(f feat) feat {
	i := g.Node("BitCast", []string{f.name}, testmodels.Attrs{"to": onnxio.Int32})
	f.name = g.Node("BitCast", []string{i}, testmodels.Attrs{"to": onnxio.Float})
	return f
}
