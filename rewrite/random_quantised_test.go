package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Integers. A rounding difference before a quantiser may move what comes out by a whole step, so quantisers read values that are
// the same bit by bit.

var quantised = []blockKind{
	{"qdq", 10, (*graphs).qdq}, {"qdqAxis", 13, (*graphs).qdqAxis}, {"qlinearConv", 10, (*graphs).qlinearConv}, {"qlinearConv", 10, (*graphs).qlinearConv},
	{"convInteger", 10, (*graphs).convInteger}, {"matMulInteger", 10, (*graphs).matMulInteger}, {"qlinearMatMul", 10, (*graphs).qlinearMatMul},
	{"dynamicQuantize", 11, (*graphs).dynamicQuantize}, {"qlinearJoin", 10, (*graphs).qlinearJoin}, {"qlinearUnary", 10, (*graphs).qlinearUnary},
	{"qlinearConcat", 10, (*graphs).qlinearConcat}, {"qlinearPool", 10, (*graphs).qlinearPool}, {"qgemm", 10, (*graphs).qgemm},
	{"integerToFloat", 10, (*graphs).integerToFloat}, {"dynamicMatMul", 10, (*graphs).dynamicMatMul}, {"weightBits", 13, (*graphs).weightBits},
	{"qdqMicrosoft", 10, (*graphs).qdqMicrosoft},
}

// quantum is a quantised value with its scale and zero point.
type quantum struct {
	feat
	scale, zero string
}

// quantise quantises whole numbers.
func (g *graphs) quantise(f feat) quantum {
	q := quantum{f, g.Const(float32(0.5)), g.Const(uint8(100 + g.r.IntN(50)))}
	q.name = g.Node("QuantizeLinear", []string{f.name, q.scale, q.zero})
	return q
}

func (g *graphs) dequantise(name, scale, zero string, c, h, w int) feat {
	return g.scaled(feat{g.Node("DequantizeLinear", []string{name, scale, zero}), c, h, w})
}

// bytes makes an int8 weight.
func (g *graphs) bytes(name string, dims ...int64) string {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	vs := make([]int8, n)
	for i := range vs {
		vs[i] = int8(g.r.IntN(255) - 127)
	}
	return g.ConstDims(g.id(name), dims, vs)
}

// scales makes one scale for all channels, or one for each.
func (g *graphs) scales(n int) string {
	if g.r.IntN(2) == 0 {
		return g.Const(float32(0.01))
	}
	vs := make([]float32, n)
	for i := range vs {
		vs[i] = 0.005 + 0.01*g.r.Float32()
	}
	return g.Const(vs)
}

func (g *graphs) qdq(f feat) feat {
	y := g.whole(g.width())
	for range 1 + g.r.IntN(2) {
		q := g.quantise(y)
		y.name = g.Node("DequantizeLinear", []string{q.name, q.scale, q.zero})
	}
	return g.scaled(y)
}

func (g *graphs) qdqMicrosoft(f feat) feat {
	y := g.whole(g.width())
	s, z := g.Const(float32(0.5)), g.Const(uint8(128))
	y.name = g.Node("com.microsoft::DequantizeLinear", []string{g.Node("com.microsoft::QuantizeLinear", []string{y.name, s, z}), s, z})
	return g.scaled(y)
}

func (g *graphs) qdqAxis(f feat) feat {
	y := g.whole(g.width())
	s, z := make([]float32, y.c), make([]int8, y.c)
	for i := range s {
		s[i], z[i] = 0.5+g.r.Float32(), int8(g.r.IntN(9)-4)
	}
	scale, zero := g.Const(s), g.Const(z)
	q := g.Node("QuantizeLinear", []string{y.name, scale, zero}, testmodels.Attrs{"axis": 1})
	y.name = g.Node("DequantizeLinear", []string{q, scale, zero}, testmodels.Attrs{"axis": -3})
	return g.scaled(y)
}

// zeros makes a zero point for an int8 weight: one, or one for each channel.
func (g *graphs) zeros(n int) string {
	if g.r.IntN(2) == 0 {
		return g.Const(int8(g.r.IntN(3) - 1))
	}
	vs := make([]int8, n)
	if g.r.IntN(2) == 0 {
		for i := range vs {
			vs[i] = int8(g.r.IntN(3) - 1)
		}
	}
	return g.Const(vs)
}

func (g *graphs) qlinearConv(f feat) feat {
	q, out := g.quantise(g.whole(g.width())), g.width()
	n := g.groups(q.c, out)
	w := g.bytes("qconv", int64(out), int64(q.c/n), 1, 1)
	ys, yz := g.Const(float32(0.7)), g.Const(uint8(120))
	ws, wz := g.scales(out), g.Const(int8(0))
	in := []string{q.name, q.scale, q.zero, w, ws, wz, ys, yz}
	if g.r.IntN(2) == 0 {
		vs := make([]int32, out)
		for i := range vs {
			vs[i] = int32(g.r.IntN(200) - 100)
		}
		in = append(in, g.Const(vs))
	}
	op := []string{"QLinearConv", "QLinearConv", "com.microsoft::QLinearConv"}[g.r.IntN(3)]
	return g.dequantise(g.Node(op, in, testmodels.Attrs{"group": n}), ys, yz, out, q.h, q.w)
}

func (g *graphs) convInteger(f feat) feat {
	q, out := g.quantise(g.whole(g.width())), g.width()
	n := g.groups(q.c, out)
	in := []string{q.name, g.bytes("intconv", int64(out), int64(q.c/n), 3, 3), q.zero}
	if g.r.IntN(2) == 0 {
		in = append(in, g.Const(int8(g.r.IntN(3)-1)))
	}
	y := g.Cast(g.Node("ConvInteger", in, testmodels.Attrs{"pads": []int{1, 1, 1, 1}, "group": n}), onnxio.Float)
	return feat{g.Mul(y, g.Const(float32(0.0005))), out, q.h, q.w}
}

// quantisedRows are the rows of quantised whole numbers.
func (g *graphs) quantisedRows() (q quantum, rows string) {
	q = g.quantise(g.whole(g.width()))
	return q, g.rows(q.feat)
}

func (g *graphs) matMulInteger(f feat) feat {
	q, rows := g.quantisedRows()
	out := g.width()
	in := []string{rows, g.bytes("integers", int64(q.c), int64(out)), q.zero}
	if g.r.IntN(2) == 0 {
		in = append(in, g.zeros(out))
	}
	y := g.Mul(g.Cast(g.Node("MatMulInteger", in), onnxio.Float), g.scales(1))
	return g.scaled(g.maps(y, q.feat, out))
}

func (g *graphs) qlinearMatMul(f feat) feat {
	q, rows := g.quantisedRows()
	out := g.width()
	ys, yz := g.Const(float32(0.6)), g.Const(uint8(128))
	y := g.Node("QLinearMatMul", []string{rows, q.scale, q.zero, g.bytes("qmatmul", int64(q.c), int64(out)), g.Const(float32(0.01)), g.Const(int8(0)), ys, yz})
	return g.scaled(g.maps(g.Node("DequantizeLinear", []string{y, ys, yz}), q.feat, out))
}

// dynamicQuantize takes the scale from the values.
func (g *graphs) dynamicQuantize(f feat) feat {
	y := g.whole(g.width())
	q := g.NodeN("DynamicQuantizeLinear", []string{y.name}, 3)
	if g.r.IntN(2) == 0 {
		return g.dequantise(q[0], q[1], q[2], y.c, y.h, y.w)
	}
	out := g.width()
	i := g.Node("ConvInteger", []string{q[0], g.bytes("dynamic", int64(out), int64(y.c), 1, 1), q[2], g.Const(int8(0))})
	i = g.Mul(g.Cast(i, onnxio.Float), g.Mul(q[1], g.Const(float32(0.002))))
	return feat{i, out, y.h, y.w}
}

func (g *graphs) qlinearJoin(f feat) feat {
	a := g.quantise(g.whole(g.width()))
	b := g.quantise(g.whole(a.c))
	ys, yz := g.Const(float32(0.9)), g.Const(uint8(110))
	op := []string{"com.microsoft::QLinearAdd", "com.microsoft::QLinearMul"}[g.r.IntN(2)]
	return g.dequantise(g.Node(op, []string{a.name, a.scale, a.zero, b.name, b.scale, b.zero, ys, yz}), ys, yz, a.c, a.h, a.w)
}

func (g *graphs) qlinearUnary(f feat) feat {
	a := g.quantise(g.whole(g.width()))
	ys, yz := g.Const(float32(0.02)), g.Const(uint8(110))
	in := []string{a.name, a.scale, a.zero, ys, yz}
	var y string
	switch g.r.IntN(3) {
	case 0:
		y = g.Node("com.microsoft::QLinearSigmoid", in)
	case 1:
		y = g.Node("com.microsoft::QLinearLeakyRelu", in, testmodels.Attrs{"alpha": 0.1})
	default:
		y = g.Node("com.microsoft::QLinearSoftmax", in, testmodels.Attrs{"axis": 1 + g.r.IntN(3), "opset": 13})
	}
	return feat{g.Node("DequantizeLinear", []string{y, ys, yz}), a.c, a.h, a.w}
}

func (g *graphs) qlinearConcat(f feat) feat {
	a, b := g.quantise(g.whole(g.width())), g.quantise(g.whole(g.width()))
	ys, yz := g.Const(float32(0.8)), g.Const(uint8(120))
	y := g.Node("com.microsoft::QLinearConcat", []string{ys, yz, a.name, a.scale, a.zero, b.name, b.scale, b.zero}, testmodels.Attrs{"axis": 1})
	return g.dequantise(y, ys, yz, a.c+b.c, a.h, a.w)
}

func (g *graphs) qlinearPool(f feat) feat {
	a := g.quantise(g.whole(g.width()))
	ys, yz := g.Const(float32(0.3)), g.Const(uint8(120))
	in := []string{a.name, a.scale, a.zero, ys, yz}
	if g.r.IntN(2) == 0 {
		return g.dequantise(g.Node("com.microsoft::QLinearGlobalAveragePool", in, testmodels.Attrs{"channels_last": 0}), ys, yz, a.c, 1, 1)
	}
	return g.dequantise(g.Node("com.microsoft::QLinearAveragePool", in, testmodels.Attrs{"kernel_shape": []int{2, 2}, "strides": []int{2, 2}}), ys, yz, a.c, a.h/2, a.w/2)
}

// qgemm gates nothing: a matrix with one row per picture.
func (g *graphs) qgemm(f feat) feat {
	q := g.quantise(g.whole(g.width()))
	out := g.width()
	x := g.Reshape(g.Transpose(q.name, 0, 2, 3, 1), -1, int64(q.c))
	tb := g.r.IntN(2)
	dims := []int64{int64(q.c), int64(out)}
	if tb == 1 {
		dims = []int64{int64(out), int64(q.c)}
	}
	y := g.Node("com.microsoft::QGemm", []string{x, q.scale, q.zero, g.bytes("qgemm", dims...), g.Const(float32(0.01)), g.Const(int8(0)), ""}, testmodels.Attrs{"transB": tb})
	y = g.Transpose(g.Reshape(y, -1, int64(q.h), int64(q.w), int64(out)), 0, 3, 1, 2)
	return g.scaled(feat{y, out, q.h, q.w})
}

func (g *graphs) integerToFloat(f feat) feat {
	q, rows := g.quantisedRows()
	out := g.width()
	in := []string{rows, g.bytes("toFloat", int64(q.c), int64(out)), q.scale, g.scales(out), q.zero, g.Const(int8(0))}
	if g.r.IntN(2) == 0 {
		in = append(in, g.Vector(g.id("bias"), int64(out), 0, 0.1))
	}
	return g.scaled(g.maps(g.Node("com.microsoft::MatMulIntegerToFloat", in), q.feat, out))
}

func (g *graphs) dynamicMatMul(f feat) feat {
	y := g.whole(g.width())
	out := g.width()
	in := []string{g.rows(y), g.bytes("dynamicMatMul", int64(y.c), int64(out)), g.scales(out)}
	if g.r.IntN(2) == 0 {
		in = append(in, g.Const(int8(0)))
	}
	return g.scaled(g.maps(g.Node("com.microsoft::DynamicQuantizeMatMul", in), y, out))
}

// weightBits is a convolution in floats whose weight is stored as integers, with zero points that differ, or behind a quantiser.
func (g *graphs) weightBits(f feat) feat {
	out := g.width()
	var w string
	if g.r.IntN(2) == 0 {
		axis := g.r.IntN(2)
		n := []int{out, f.c}[axis]
		z := make([]int8, n)
		s := make([]float32, n)
		for i := range z {
			z[i], s[i] = int8(g.r.IntN(5)-2), 0.002+0.01*g.r.Float32()
		}
		w = g.Node("DequantizeLinear", []string{g.bytes("stored", int64(out), int64(f.c), 1, 1), g.Const(s), g.Const(z)}, testmodels.Attrs{"axis": axis})
	} else {
		s, z := g.Const(float32(0.02)), g.Const(int8(0))
		q := g.Node("QuantizeLinear", []string{g.Weight(g.id("stored"), int64(out), int64(f.c), 1, 1), s, z})
		w = g.Node("DequantizeLinear", []string{q, s, z})
	}
	return feat{g.Node("Conv", []string{f.name, w}), out, f.h, f.w}
}
