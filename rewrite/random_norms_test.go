package rewrite_test

import "onnxprune/testmodels"

// Normalisations. What they divide by must not vanish: a rounding difference would be divided by nothing.

var norms = []blockKind{
	{"batchNorm", 7, (*graphs).batchNorm}, {"layerNorm", 17, (*graphs).layerNorm}, {"groupNormalization", 18, (*graphs).groupNormalization},
	{"rmsNorm", 23, (*graphs).rmsNorm}, {"simplifiedNorm", 7, (*graphs).simplifiedNorm}, {"lrn", 7, (*graphs).lrn}, {"lpNorm", 7, (*graphs).lpNorm},
	{"meanVariance", 9, (*graphs).meanVariance}, {"softmax", 7, (*graphs).softmax}, {"softmax", 7, (*graphs).softmax}, {"normWritten", 13, (*graphs).normWritten},
}

// rows turns places into a sequence [batch, places, channels].
func (g *graphs) rows(f feat) string {
	return g.Transpose(g.Reshape(f.name, 0, int64(f.c), -1), 0, 2, 1)
}

// maps turns a sequence of c channels back into places.
func (g *graphs) maps(x string, f feat, c int) feat {
	return feat{g.Reshape(g.Transpose(x, 0, 2, 1), -1, int64(c), int64(f.h), int64(f.w)), c, f.h, f.w}
}

// uneven adds numbers that differ from channel to channel and place to place, so that no variance vanishes.
func (g *graphs) uneven(f feat) string {
	vs := make([]float32, f.c*f.h*f.w)
	for i := range vs {
		vs[i] = float32(3 * (1 - 2*((i+i/f.w+i/(f.h*f.w))%2)))
	}
	return g.Add(g.tamed(f.name, small), g.ConstDims(g.id("uneven"), []int64{1, int64(f.c), int64(f.h), int64(f.w)}, vs))
}

// batchNorm has vectors that it shares with another one.
func (g *graphs) batchNorm(f feat) feat {
	v := g.Vector(g.id("vector"), int64(f.c), 1, 0.1)
	attrs := testmodels.Attrs{"epsilon": 0.01}
	f.name = g.Node("BatchNormalization", []string{f.name, v, g.Vector(g.id("shift"), int64(f.c), 0, 0.1), g.Vector(g.id("mean"), int64(f.c), 0, 0.1), v}, attrs)
	if g.r.IntN(2) == 0 {
		y := g.conv(f, f.c, 1, 1)
		f.name = g.Node("BatchNormalization", []string{y.name, v, v, v, v}, attrs)
	}
	return f
}

func (g *graphs) layerNorm(f feat) feat {
	x := g.rows(feat{g.uneven(f), f.c, f.h, f.w})
	in := g.biased(f.c, x, g.Vector(g.id("gamma"), int64(f.c), 1, 0.1))
	y := g.NodeN("LayerNormalization", in, 1+2*g.r.IntN(2), testmodels.Attrs{"axis": -1, "epsilon": 0.1})
	return g.linear(y[0], f)
}

// linear is a linear layer on rows, and back to places.
func (g *graphs) linear(rows string, f feat) feat {
	out := g.width()
	return g.maps(g.MatMul(g.id("linear"), rows, f.c, out), f, out)
}

func (g *graphs) groupNormalization(f feat) feat {
	if f.c < 2 {
		return feat{}
	}
	n := 1
	for _, k := range []int{2, 3, 4, f.c} {
		if f.c%k == 0 && g.r.IntN(2) == 0 {
			n = k
		}
	}
	per := int64(f.c)
	if g.Opset() < 21 {
		per = int64(n)
	}
	f.name = g.Node("GroupNormalization", []string{g.uneven(f), g.Vector(g.id("gamma"), per, 1, 0.1), g.Vector(g.id("beta"), per, 0, 0.1)}, testmodels.Attrs{"num_groups": n, "epsilon": 0.1})
	return f
}

func (g *graphs) rmsNorm(f feat) feat {
	y := g.Node("RMSNormalization", []string{g.rows(f), g.Vector(g.id("gamma"), int64(f.c), 1, 0.1)}, testmodels.Attrs{"axis": -1, "epsilon": 0.1})
	return g.linear(y, f)
}

func (g *graphs) simplifiedNorm(f feat) feat {
	y := g.Node("SimplifiedLayerNormalization", []string{g.rows(f), g.Vector(g.id("gamma"), int64(f.c), 1, 0.1)}, testmodels.Attrs{"axis": -1, "epsilon": 0.1})
	return g.linear(y, f)
}

func (g *graphs) lrn(f feat) feat {
	f.name = g.Node("LRN", []string{f.name}, testmodels.Attrs{"size": 1 + 2*g.r.IntN(2), "alpha": 0.1, "beta": 0.5, "bias": 1.0})
	return f
}

func (g *graphs) lpNorm(f feat) feat {
	f.name = g.Node("LpNormalization", []string{g.tamed(f.name, positive)}, testmodels.Attrs{"axis": 1 + g.r.IntN(3), "p": 1 + g.r.IntN(2)})
	return f
}

func (g *graphs) meanVariance(f feat) feat {
	if f.h < 2 || f.w < 2 {
		return feat{}
	}
	attrs := testmodels.Attrs{}
	if g.r.IntN(2) == 0 {
		attrs["axes"] = [][]int{{2, 3}, {1, 2, 3}, {0, 2, 3}}[g.r.IntN(3)]
	}
	f.name = g.Node("MeanVarianceNormalization", []string{g.uneven(f)}, attrs)
	return f
}

func (g *graphs) softmax(f feat) feat {
	f.name = g.Node([]string{"Softmax", "LogSoftmax"}[g.r.IntN(2)], []string{g.Clip(f.name, -5, 5)}, testmodels.Attrs{"axis": []int{1, 2, 3, -1, -2}[g.r.IntN(5)]})
	return f
}

// normWritten is a normalisation across channels in single steps.
func (g *graphs) normWritten(f feat) feat {
	x := g.rows(feat{g.uneven(f), f.c, f.h, f.w})
	d := g.Sub(x, g.reduce("ReduceMean", x, true, -1))
	v := g.reduce("ReduceMean", g.Node("Pow", []string{d, g.Const(float32(2))}), true, -1)
	y := g.Div(d, g.Node("Sqrt", []string{g.Add(v, g.Const(float32(0.1)))}))
	return g.linear(g.Add(g.Mul(y, g.Vector(g.id("gamma"), int64(f.c), 1, 0.1)), g.Vector(g.id("beta"), int64(f.c), 0, 0.1)), f)
}
