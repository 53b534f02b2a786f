package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Layers whose weights the graph computes from constants, as parametrisations of training frameworks are exported: norms, the largest
// singular value, standardisation, low-rank updates, merged branches, modulation. Their kinds came later than those of families: they are
// drawn by numbers of their own, so that a seed draws the same blocks before them as it always did.

var computed = []blockKind{
	{"computedConv", 9, (*graphs).computedConv}, {"computedConv", 9, (*graphs).computedConv}, {"computedTranspose", 9, (*graphs).computedTranspose},
	{"computedLinear", 9, (*graphs).computedLinear}, {"computedGrouped", 9, (*graphs).computedGrouped}, {"computedTwice", 9, (*graphs).computedTwice},
	{"computedNorm", 9, (*graphs).computedNorm}, {"computedBias", 9, (*graphs).computedBias}, {"computedReturned", 9, (*graphs).computedReturned},
	{"computedCaptured", 9, (*graphs).computedCaptured}, {"computedInFunction", 9, (*graphs).computedInFunction},
}

// parametrisations make a weight [o,c,k,k] out of constants.
var parametrisations = []struct {
	name  string
	since int64
	make  func(g *graphs, o, c, k int64) string
}{
	{"weight norm", 9, (*graphs).weightNorm}, {"norm of columns", 9, (*graphs).columnNorm}, {"spectral norm", 9, (*graphs).spectralNorm},
	{"standardised", 9, (*graphs).standardised}, {"standardised as a picture", 9, (*graphs).standardisedPicture},
	{"standardised as a batch", 14, (*graphs).standardisedBatch}, {"merged branches", 11, (*graphs).branches}, {"low rank", 9, (*graphs).lowRank},
	{"modulated", 9, (*graphs).modulated}, {"unit filters", 9, (*graphs).unitFilters}, {"kernels convolved", 9, (*graphs).convolved},
	{"a sum over letters", 12, (*graphs).contracted}, {"softmax", 13, (*graphs).softmaxed}, {"scaled by the largest", 9, (*graphs).largestScaled},
	{"binary", 9, (*graphs).signs},
}

// parametrised draws one of them.
func (g *graphs) parametrised(o, c, k int64) string {
	for {
		if p := parametrisations[g.r.IntN(len(parametrisations))]; g.Opset() >= p.since {
			return p.make(g, o, c, k)
		}
	}
}

// base is a stored weight, perhaps behind nodes that only move or convert it.
func (g *graphs) base(dims ...int64) string {
	name := g.id("base")
	switch k := g.r.IntN(6); {
	case k == 0:
		return g.Cast(g.WeightOf(onnxio.Float16, name, dims...), onnxio.Float)
	case k == 1 && len(dims) == 4:
		return g.Transpose(g.Weight(name, dims[1], dims[0], dims[2], dims[3]), 1, 0, 2, 3)
	case k == 2:
		n := int64(1)
		for _, d := range dims {
			n *= d
		}
		return g.Reshape(g.Weight(name, n/dims[len(dims)-1], dims[len(dims)-1]), dims...)
	case k == 3:
		return g.Node("Identity", []string{g.Weight(name, dims...)})
	}
	g.Constants = g.r.IntN(4) == 0
	w := g.Weight(name, dims...)
	g.Constants = false
	return w
}

func (g *graphs) epsilon() string { return g.Const(float32(1e-5)) }

// length is the root of the sum of squares over axes, which stay with length 1, in one of the ways to write it.
func (g *graphs) length(v string, axes ...int64) string {
	switch g.r.IntN(4) {
	case 0:
		return g.Node("Sqrt", []string{g.reduce("ReduceSumSquare", v, true, axes...)})
	case 1:
		return g.Node("Sqrt", []string{g.reduce("ReduceSum", g.Mul(v, v), true, axes...)})
	case 2:
		return g.Node("Pow", []string{g.reduce("ReduceSum", g.Node("Pow", []string{v, g.Const(float32(2))}), true, axes...), g.Const(float32(0.5))})
	}
	return g.reduce("ReduceL2", v, true, axes...)
}

// weightNorm is g*v/|v| with one norm per filter: Salimans and Kingma, Weight Normalization, 2016.
func (g *graphs) weightNorm(o, c, k int64) string {
	v, size := g.base(o, c, k, k), g.Weight(g.id("size"), o, 1, 1, 1)
	if g.r.IntN(2) == 0 {
		return g.Mul(size, g.Div(v, g.length(v, 1, 2, 3)))
	}
	return g.Mul(v, g.Div(size, g.length(v, 1, 2, 3)))
}

// columnNorm has one norm per input channel.
func (g *graphs) columnNorm(o, c, k int64) string {
	v := g.base(o, c, k, k)
	return g.Mul(g.Weight(g.id("size"), 1, c, 1, 1), g.Div(v, g.length(v, 0, 2, 3)))
}

// spectralNorm divides by the largest singular value, which is uT W v: Miyato et al., Spectral Normalization, 2018.
func (g *graphs) spectralNorm(o, c, k int64) string {
	w := g.base(o, c, k, k)
	u, v := g.Vector(g.id("u"), o, 0.3, 0.3), g.Vector(g.id("v"), c*k*k, 0.3, 0.3)
	sigma := g.Node("MatMul", []string{u, g.Node("MatMul", []string{g.Reshape(w, o, -1), v})})
	return g.Div(w, g.Add(g.Node("Abs", []string{sigma}), g.Const(float32(0.2))))
}

// standardised is (w-mean)/deviation: Qiao et al., Weight Standardization, 2019.
func (g *graphs) standardised(o, c, k int64) string {
	w := g.base(o, c, k, k)
	axes := []int64{1, 2, 3}
	centred := g.Sub(w, g.ReduceMean(w, axes...))
	variance := g.ReduceMean(g.Mul(centred, centred), axes...)
	return g.Mul(g.Div(centred, g.Node("Sqrt", []string{g.Add(variance, g.Const(float32(0.1)))})), g.Const(float32(0.3)))
}

// standardisedPicture has an InstanceNormalization take the statistics.
func (g *graphs) standardisedPicture(o, c, k int64) string {
	w := g.Reshape(g.base(o, c, k, k), 1, o, -1)
	w = g.Node("InstanceNormalization", []string{w, g.Vector(g.id("gain"), o, 0.3, 0.1), g.Vector(g.id("zero"), o, 0, 0)}, testmodels.Attrs{"epsilon": 0.1})
	return g.Reshape(w, o, c, k, k)
}

// standardisedBatch has a BatchNormalization in training mode take them.
func (g *graphs) standardisedBatch(o, c, k int64) string {
	w := g.Reshape(g.base(o, c, k, k), 1, o, -1)
	v := func(name string, mean float64) string { return g.Vector(g.id(name), o, mean, 0) }
	w = g.NodeN("BatchNormalization", []string{w, v("gain", 0.3), v("zero", 0), v("mean", 0), v("variance", 1)}, 3, testmodels.Attrs{"epsilon": 0.1, "training_mode": 1})[0]
	return g.Reshape(w, o, c, k, k)
}

// branches adds a 1x1 branch, padded, each scaled by a frozen batch norm: Ding et al., RepVGG, 2021.
func (g *graphs) branches(o, c, k int64) string {
	scaled := func(w string) string {
		t := g.Div(g.Vector(g.id("gamma"), o, 1, 0.1), g.Node("Sqrt", []string{g.Add(g.Vector(g.id("var"), o, 1, 0.1), g.epsilon())}))
		return g.Mul(w, g.Reshape(t, -1, 1, 1, 1))
	}
	one, p := g.base(o, c, 1, 1), (k-1)/2
	return g.Add(scaled(g.base(o, c, k, k)), scaled(g.Node("Pad", []string{one, g.Const([]int64{0, 0, p, p, 0, 0, p, p})})))
}

// lowRank adds a product of thin matrices and gives every column a length of its own: Liu et al., DoRA, 2024.
func (g *graphs) lowRank(o, c, k int64) string {
	product := g.Node("MatMul", []string{g.base(o, 2), g.base(2, c*k*k)})
	w := g.Add(g.base(o, c, k, k), g.Reshape(product, o, c, k, k))
	if g.r.IntN(2) == 0 {
		return w
	}
	return g.Mul(g.Weight(g.id("size"), o, 1, 1, 1), g.Div(w, g.length(w, 1, 2, 3)))
}

// modulated scales input channels and brings every filter back to length one: Karras et al., StyleGAN2, 2020, with a style that is fixed.
func (g *graphs) modulated(o, c, k int64) string {
	w := g.Mul(g.base(o, c, k, k), g.Weight(g.id("style"), 1, c, 1, 1))
	return g.Mul(w, g.Node("Reciprocal", []string{g.Node("Sqrt", []string{g.Add(g.reduce("ReduceSum", g.Mul(w, w), true, 1, 2, 3), g.Const(float32(1e-3)))})}))
}

func (g *graphs) unitFilters(o, c, k int64) string {
	w := g.Reshape(g.base(o, c, k, k), o, -1)
	return g.Reshape(g.Node("LpNormalization", []string{w}, testmodels.Attrs{"axis": -1, "p": 1 + g.r.IntN(2)}), o, c, k, k)
}

// convolved merges a 1x1 convolution into the kernel in front of it, by a convolution of kernels.
func (g *graphs) convolved(o, c, k int64) string {
	inner := g.Transpose(g.base(3, c, k, k), 1, 0, 2, 3)
	return g.Transpose(g.Node("Conv", []string{inner, g.base(o, 3, 1, 1)}), 1, 0, 2, 3)
}

func (g *graphs) contracted(o, c, k int64) string {
	return g.Node("Einsum", []string{g.base(o, 3), g.base(3, c, k, k)}, testmodels.Attrs{"equation": "or,rchw->ochw"})
}

func (g *graphs) softmaxed(o, c, k int64) string {
	return g.Softmax(g.base(o, c, k, k), g.r.IntN(2))
}

func (g *graphs) largestScaled(o, c, k int64) string {
	w := g.base(o, c, k, k)
	axes := [][]int64{{1, 2, 3}, {0, 1, 2, 3}, {0, 2, 3}}[g.r.IntN(3)]
	return g.Div(w, g.Add(g.reduce("ReduceMax", g.Node("Abs", []string{w}), true, axes...), g.Const(float32(0.1))))
}

// signs is the sign of every element times the mean magnitude of its filter: Rastegari et al., XNOR-Net, 2016.
func (g *graphs) signs(o, c, k int64) string {
	w := g.base(o, c, k, k)
	return g.Mul(g.Node("Sign", []string{w}), g.ReduceMean(g.Node("Abs", []string{w}), 1, 2, 3))
}

func (g *graphs) kernelSize() int64 { return int64(1 + 2*g.r.IntN(2)) }

// convolve is a convolution that keeps height and width.
func (g *graphs) convolve(x, w string, k int64, more ...string) string {
	p := int((k - 1) / 2)
	return g.Node("Conv", append([]string{x, w}, more...), testmodels.Attrs{"pads": []int{p, p, p, p}})
}

func (g *graphs) computedConv(f feat) feat {
	out, k := g.width(), g.kernelSize()
	y := g.convolve(f.name, g.parametrised(int64(out), int64(f.c), k), k)
	if g.r.IntN(2) == 0 {
		y = g.Relu(g.BN(g.id("bn"), y, out))
	}
	return feat{y, out, f.h, f.w}
}

func (g *graphs) computedTranspose(f feat) feat {
	out := g.width()
	return feat{g.Node("ConvTranspose", []string{f.name, g.parametrised(int64(f.c), int64(out), 1)}), out, f.h, f.w}
}

func (g *graphs) computedLinear(f feat) feat {
	out := g.width()
	w := g.Reshape(g.parametrised(int64(out), int64(f.c), 1), int64(out), int64(f.c))
	return g.maps(g.Node("MatMul", []string{g.rows(f), g.Transpose(w, 1, 0)}), f, out)
}

func (g *graphs) computedGrouped(f feat) feat {
	groups := f.c
	if f.c%2 == 0 && g.r.IntN(2) == 0 {
		groups = 2
	}
	w := g.parametrised(int64(f.c), int64(f.c/groups), 1)
	return feat{g.Node("Conv", []string{f.name, w}, testmodels.Attrs{"group": groups}), f.c, f.h, f.w}
}

// computedTwice uses one weight for two layers, and the constants that it comes from for a third.
func (g *graphs) computedTwice(f feat) feat {
	c := int64(f.c)
	v := g.base(c, c, 1, 1)
	w := g.Div(v, g.length(v, 1, 2, 3))
	y := g.Relu(g.convolve(g.Relu(g.convolve(f.name, w, 1)), w, 1))
	if g.r.IntN(2) == 0 {
		y = g.convolve(y, g.Mul(v, g.reduce("ReduceMax", v, true, 0, 1, 2, 3)), 1)
	}
	return feat{y, f.c, f.h, f.w}
}

// computedNorm is a batch norm whose scale is computed: of unit length over all channels.
func (g *graphs) computedNorm(f feat) feat {
	if f.c < 2 {
		return feat{}
	}
	n := int64(f.c)
	s := g.Vector(g.id("scale"), n, 1, 0.2)
	s = g.Div(s, g.reduce("ReduceL2", s, true, 0))
	f.name = g.Node("BatchNormalization", []string{f.name, s, g.Vector(g.id("shift"), n, 0, 0.1), g.Vector(g.id("mean"), n, 0, 0.1), g.Vector(g.id("var"), n, 1, 0.1)})
	return f
}

// computedBias merges the mean of the input channels into the bias.
func (g *graphs) computedBias(f feat) feat {
	out, k := g.width(), g.kernelSize()
	w := g.parametrised(int64(out), int64(f.c), k)
	moved := g.reduce("ReduceSum", g.Mul(w, g.Weight(g.id("mean"), 1, int64(f.c), 1, 1)), false, 1, 2, 3)
	return feat{g.convolve(f.name, w, k, g.Sub(g.Vector(g.id("bias"), int64(out), 0, 0.1), moved)), out, f.h, f.w}
}

// computedReturned hands the norms of the weight out beside what the model is for.
func (g *graphs) computedReturned(f feat) feat {
	out := int64(g.width())
	v := g.base(out, int64(f.c), 1, 1)
	norm := g.length(v, 1, 2, 3)
	g.Output(g.length(norm, 0, 1, 2, 3), onnxio.Float)
	if g.r.IntN(2) == 0 {
		g.Output(norm, onnxio.Float)
	}
	return feat{g.convolve(f.name, g.Div(v, norm), 1), int(out), f.h, f.w}
}

// computedCaptured has a body read the norm.
func (g *graphs) computedCaptured(f feat) feat {
	out := int64(g.width())
	v := g.base(out, int64(f.c), 1, 1)
	norm := g.length(v, 0, 1, 2, 3)
	body := func(name, op string) *testmodels.Builder {
		s := g.Body(g.id(name))
		s.Output(s.Node(op, []string{norm}), onnxio.Float)
		return s
	}
	scale := g.Named(g.id("If")).Node("If", []string{g.Const([]bool{true})}, testmodels.Attrs{"then_branch": body("then", "Relu"), "else_branch": body("else", "Abs")})
	return feat{g.Mul(g.convolve(f.name, g.Div(v, norm), 1), scale), int(out), f.h, f.w}
}

// computedInFunction computes the weight in a function of the model, from constants of its own.
func (g *graphs) computedInFunction(f feat) feat {
	out := int64(g.width())
	name := g.id("Normed")
	g.Builder.Function("fuzz", name, []string{"in"}, []string{"out"}, nil, func(b *testmodels.Builder) {
		v := b.Weight("v", out, int64(f.c), 1, 1)
		norm := b.ReduceMax(b.Node("Abs", []string{v}), 1, 2, 3)
		b.NodeTo("Conv", []string{"in", b.Div(v, norm)}, []string{"out"})
	})
	return feat{g.Node("fuzz::"+name, []string{f.name}), int(out), f.h, f.w}
}
