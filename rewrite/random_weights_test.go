package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Weights that do not lie where they are used: behind other operators, shared, or given as inputs.

var weights = []blockKind{
	{"weightBehind", 7, (*graphs).weightBehind}, {"weightBehind", 7, (*graphs).weightBehind}, {"weightInput", 7, (*graphs).weightInput}, {"weightTied", 7, (*graphs).weightTied},
	{"weightCast", 9, (*graphs).weightCast}, {"vectorShared", 7, (*graphs).vectorShared}, {"weightScaled", 7, (*graphs).weightScaled},
	{"constantOfShape", 9, (*graphs).constantOfShape},
}

// weightBehind is a convolution whose weight comes through Transpose, Reshape, Identity, Squeeze or Concat.
func (g *graphs) weightBehind(f feat) feat {
	out, c := g.width(), int64(f.c)
	o := int64(out)
	var w string
	switch g.r.IntN(6) {
	case 0:
		w = g.Transpose(g.Weight(g.id("behind"), c, o, 1, 1), 1, 0, 2, 3)
	case 1:
		w = g.Reshape(g.Weight(g.id("behind"), o, c), o, c, 1, 1)
	case 2:
		w = g.Node("Identity", []string{g.Weight(g.id("behind"), o, c, 1, 1)})
	case 3:
		w = g.Unsqueeze(g.Weight(g.id("behind"), o, c), 2, 3)
	case 4:
		w = g.Concat(0, g.Weight(g.id("behind"), o, c, 1, 1), g.Weight(g.id("behind"), 2, c, 1, 1))
		out += 2
	default:
		w = g.Slice(g.Weight(g.id("behind"), o+2, c, 1, 1), 0, 1, o+1)
	}
	return feat{g.Node("Conv", []string{f.name, w}), out, f.h, f.w}
}

// weightInput is a convolution whose weight is a default of a graph input.
func (g *graphs) weightInput(f feat) feat {
	out := g.width()
	w := g.Weight(g.id("input"), int64(out), int64(f.c), 1, 1)
	shape := []onnxio.Dim{onnxio.Fixed(int64(out)), onnxio.Fixed(int64(f.c)), onnxio.Fixed(1), onnxio.Fixed(1)}
	g.Graph().AddInput(onnxio.NewValueInfo(w, onnxio.TensorType(onnxio.Float, shape...)))
	return feat{g.Node("Conv", []string{f.name, w}), out, f.h, f.w}
}

// weightTied uses a matrix forwards and its transpose backwards.
func (g *graphs) weightTied(f feat) feat {
	out := g.width()
	w := g.Weight(g.id("tied"), int64(f.c), int64(out))
	y := g.Relu(g.Node("MatMul", []string{g.rows(f), w}))
	return g.maps(g.Node("MatMul", []string{y, g.Transpose(w, 1, 0)}), f, f.c)
}

func (g *graphs) weightCast(f feat) feat {
	out := g.width()
	w := g.Cast(g.WeightOf(onnxio.Float16, g.id("cast"), int64(out), int64(f.c), 1, 1), onnxio.Float)
	return feat{g.Node("Conv", []string{f.name, w}), out, f.h, f.w}
}

// vectorShared gives one vector to layers that have nothing else in common.
func (g *graphs) vectorShared(f feat) feat {
	out := g.width()
	v := g.Vector(g.id("vector"), int64(out), 1, 0.2)
	w := func(c int) string { return g.Weight(g.id("layer"), int64(out), int64(c), 1, 1) }
	y := g.Node("Conv", []string{f.name, w(f.c), v})
	if g.r.IntN(2) == 0 {
		v = g.Node("Identity", []string{v})
	}
	y = g.Node("BatchNormalization", []string{y, v, v, v, v}, testmodels.Attrs{"epsilon": 0.1})
	return feat{g.Relu(g.Node("Conv", []string{y, w(out), v})), out, f.h, f.w}
}

// weightScaled multiplies a weight by a number per output channel before it is used.
func (g *graphs) weightScaled(f feat) feat {
	out := int64(g.width())
	w := g.Mul(g.Weight(g.id("normed"), out, int64(f.c), 1, 1), g.Weight(g.id("scale"), out, 1, 1, 1))
	return feat{g.Node("Conv", []string{f.name, w}), int(out), f.h, f.w}
}

// constantOfShape makes a value as large as f by its shape.
func (g *graphs) constantOfShape(f feat) feat {
	y := g.Node("ConstantOfShape", []string{g.Shape(f.name)}, testmodels.Attrs{"value": testmodels.NewTensor("", []float32{0.5})})
	f.name = g.Sub(f.name, y)
	return f
}
