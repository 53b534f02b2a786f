package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Operators that jump. Two orders of a sum may fall on two sides of a jump, so each stands where both sides of it lead to the
// same result, or reads values that are the same bit by bit.

var discontinuous = []blockKind{
	{"rounded", 11, (*graphs).rounded}, {"truncated", 7, (*graphs).truncated}, {"sign", 9, (*graphs).sign}, {"compared", 9, (*graphs).compared},
	{"logic", 9, (*graphs).logic}, {"equal", 11, (*graphs).equal}, {"finite", 10, (*graphs).finite}, {"threshold", 10, (*graphs).threshold},
	{"modulo", 10, (*graphs).modulo}, {"bits", 18, (*graphs).bits}, {"shifted", 11, (*graphs).shifted}, {"argument", 11, (*graphs).argument},
	{"hardmax", 9, (*graphs).hardmax}, {"wholes", 9, (*graphs).wholes}, {"binarizer", 9, (*graphs).binarizer}, {"labels", 9, (*graphs).labels},
}

// whole returns a value of whole numbers with c channels, behind a convolution of its own that is as prunable as any: sums of small whole
// numbers are exact in any order.
func (g *graphs) whole(c int) feat {
	x := g.live[0]
	from := feat{c: x.c, h: x.h, w: x.w}
	if len(g.exact) > 0 && g.r.IntN(2) == 0 {
		from = g.exact[g.r.IntN(len(g.exact))]
	} else {
		from.name = g.Node("Floor", []string{g.Mul(g.Clip(x.name, -2, 2), g.Const(float32(3)))})
	}
	k := 1 + 2*g.r.IntN(2)
	y := g.Node("Conv", []string{from.name, g.small(g.id("whole"), int64(c), int64(from.c), int64(k), int64(k))}, testmodels.Attrs{"pads": []int{k / 2, k / 2, k / 2, k / 2}})
	y = g.Clip(g.Node("Floor", []string{g.Mul(y, g.Const(float32(0.5)))}), -100, 100)
	f := feat{y, c, from.h, from.w}
	g.exact = append(g.exact, f)
	return f
}

// small makes a weight of whole numbers from -2 to 2.
func (g *graphs) small(name string, dims ...int64) string {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	vs := make([]float32, n)
	for i := range vs {
		vs[i] = float32(g.r.IntN(5) - 2)
	}
	return g.ConstDims(name, dims, vs)
}

// scaled brings whole numbers back to the range of other values.
func (g *graphs) scaled(f feat) feat {
	f.name = g.Mul(f.name, g.Const(float32(1.0/16)))
	return f
}

// wave is a function of period one that is zero at whole numbers.
func (g *graphs) wave(x string) string {
	return g.Node("Sin", []string{g.Mul(x, g.Const(float32(6.2831855)))})
}

func (g *graphs) rounded(f feat) feat {
	x := g.Clip(f.name, -10, 10)
	switch op := []string{"Floor", "Ceil", "Round"}[g.r.IntN(3)]; op {
	case "Round": // the jump is at halves, where both sides have the same distance
		f.name = g.Node("Abs", []string{g.Sub(x, g.Node(op, []string{x}))})
	default:
		f.name = g.wave(g.Sub(x, g.Node(op, []string{x})))
	}
	return f
}

func (g *graphs) truncated(f feat) feat {
	x := g.Clip(f.name, -10, 10)
	t := []onnxio.DataType{onnxio.Int64, onnxio.Int32, onnxio.Int8}[g.r.IntN(3)]
	f.name = g.wave(g.Sub(x, g.Cast(g.Cast(x, t), onnxio.Float)))
	return f
}

func (g *graphs) sign(f feat) feat {
	f.name = g.Mul(f.name, g.Node("Sign", []string{f.name}))
	return f
}

// compared takes the larger or smaller of two values, or lets pass what exceeds a bound.
func (g *graphs) compared(f feat) feat {
	o := g.operand(f)
	ops := []string{"Greater", "Less", "GreaterOrEqual", "LessOrEqual"}
	if g.Opset() < 12 {
		ops = ops[:2]
	}
	cond := g.Node(ops[g.r.IntN(len(ops))], []string{f.name, o})
	if g.r.IntN(2) == 0 {
		cond = g.Node("Not", []string{cond})
	}
	f.name = g.Node("Where", []string{cond, f.name, o})
	return f
}

// logic lets a product of two values pass where a condition of both signs holds; it is zero where a sign changes.
func (g *graphs) logic(f feat) feat {
	a, b := g.tamed(f.name, small), g.tamed(g.like(f).name, small)
	zero := g.Const(float32(0))
	cond := g.Node([]string{"And", "Or", "Xor"}[g.r.IntN(3)], []string{g.Node("Greater", []string{a, zero}), g.Node("Greater", []string{b, zero})})
	f.name = g.Node("Where", []string{cond, g.Mul(a, b), zero})
	return f
}

func (g *graphs) equal(f feat) feat {
	cond := g.Node("Equal", []string{f.name, g.Const(float32(0))})
	if g.r.IntN(2) == 0 {
		cond = g.Node("Not", []string{g.Cast(f.name, onnxio.Bool)})
	}
	f.name = g.Node("Where", []string{cond, g.Mul(f.name, g.Const(float32(3))), f.name})
	return f
}

func (g *graphs) finite(f feat) feat {
	cond := g.Node([]string{"IsNaN", "IsInf"}[g.r.IntN(2)], []string{f.name})
	f.name = g.Node("Where", []string{cond, g.Const(float32(0)), f.name})
	return f
}

func (g *graphs) threshold(f feat) feat {
	x := g.Clip(f.name, -4, 4)
	f.name = g.Mul(g.Sub(x, g.Const(float32(0.5))), g.Node("ThresholdedRelu", []string{x}, testmodels.Attrs{"alpha": 0.5}))
	return f
}

func (g *graphs) modulo(f feat) feat {
	if g.r.IntN(2) == 0 {
		f.name = g.wave(g.Node("Mod", []string{g.Clip(f.name, -10, 10), g.Const(float32(1))}, testmodels.Attrs{"fmod": 1}))
		return f
	}
	y := g.whole(g.width())
	y.name = g.Cast(g.Node("Mod", []string{g.Cast(y.name, onnxio.Int32), g.Const([]int32{7})}), onnxio.Float)
	return g.scaled(y)
}

func (g *graphs) bits(f feat) feat {
	y := g.whole(g.width())
	i := g.Cast(y.name, onnxio.Int32)
	switch op := []string{"BitwiseNot", "BitwiseAnd", "BitwiseOr", "BitwiseXor"}[g.r.IntN(4)]; {
	case op == "BitwiseNot":
		i = g.Node(op, []string{i})
	case g.r.IntN(2) == 0:
		i = g.Node(op, []string{i, g.Cast(g.whole(y.c).name, onnxio.Int32)})
	default:
		i = g.Node(op, []string{i, g.Const([]int32{5})})
	}
	y.name = g.Cast(i, onnxio.Float)
	return g.scaled(y)
}

func (g *graphs) shifted(f feat) feat {
	y := g.whole(g.width())
	i := g.Cast(g.Node("Abs", []string{y.name}), onnxio.Uint8)
	i = g.Node("BitShift", []string{i, g.Const([]uint8{1})}, testmodels.Attrs{"direction": []string{"LEFT", "RIGHT"}[g.r.IntN(2)]})
	y.name = g.Cast(i, onnxio.Float)
	return g.scaled(y)
}

// argument takes what is largest along an axis by its index: among equals any has the same value.
func (g *graphs) argument(f feat) feat {
	axis := 1 + g.r.IntN(3)
	attrs := testmodels.Attrs{"axis": axis, "keepdims": 1}
	if g.Opset() >= 12 && g.r.IntN(2) == 0 {
		attrs["select_last_index"] = 1
	}
	i := g.Node([]string{"ArgMax", "ArgMin"}[g.r.IntN(2)], []string{f.name}, attrs)
	f.name = g.Add(f.name, g.Node("GatherElements", []string{f.name, i}, testmodels.Attrs{"axis": axis - 4*g.r.IntN(2)}))
	return f
}

func (g *graphs) hardmax(f feat) feat {
	axis := 3
	if g.Opset() >= 13 {
		axis = 1 + g.r.IntN(3)
	}
	y := g.Mul(f.name, g.Node("Hardmax", []string{f.name}, testmodels.Attrs{"axis": axis}))
	f.name = g.Add(f.name, g.reduce("ReduceSum", y, true, int64(axis)))
	return f
}

// wholes goes through a chain of values that are the same in any order of sums, and through what jumps between them.
func (g *graphs) wholes(f feat) feat {
	y := g.whole(g.width())
	for range 1 + g.r.IntN(2) {
		switch g.r.IntN(4) {
		case 0:
			y.name = g.Node("Sign", []string{y.name})
		case 1:
			y.name = g.Node("Where", []string{g.Node("Greater", []string{y.name, g.Const(float32(1))}), g.Const(float32(4)), y.name})
		case 2:
			y = feat{g.Concat(1, y.name, g.whole(y.c).name), 2 * y.c, y.h, y.w}
		default:
			y.name = g.Cast(g.Cast(y.name, onnxio.Int64), onnxio.Float)
		}
	}
	return g.scaled(y)
}

func (g *graphs) binarizer(f feat) feat {
	y := g.whole(g.width())
	y.name = g.Node("ai.onnx.ml::Binarizer", []string{y.name}, testmodels.Attrs{"threshold": 1.0})
	return y
}

func (g *graphs) labels(f feat) feat {
	y := g.whole(g.width())
	y.name = g.Node("ai.onnx.ml::LabelEncoder", []string{g.Cast(y.name, onnxio.Int64)}, testmodels.Attrs{"keys_int64s": []int64{-1, 0, 1, 2}, "values_floats": []float32{0.5, -1, 1, 2}, "default_float": 0.25})
	return y
}
