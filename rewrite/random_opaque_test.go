package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Operators through which no channel passes: they read f, or a value made from it, and what they return gates f.

var opaque = []blockKind{
	{"nonZero", 9, (*graphs).nonZero}, {"unique", 11, (*graphs).unique}, {"oneHot", 9, (*graphs).oneHot}, {"range", 11, (*graphs).ranged}, {"random", 9, (*graphs).random},
	{"multinomial", 7, (*graphs).multinomial}, {"eye", 9, (*graphs).eye}, {"determinant", 11, (*graphs).determinant}, {"fourier", 17, (*graphs).fourier},
	{"windows", 17, (*graphs).windows}, {"suppressed", 11, (*graphs).suppressed}, {"loss", 13, (*graphs).loss}, {"attentionNode", 23, (*graphs).attentionNode},
	{"rotary", 23, (*graphs).rotary}, {"flexAttention", 18, (*graphs).flexAttention}, {"linearAttention", 27, (*graphs).linearAttention},
	{"optimiser", 9, (*graphs).optimiser}, {"features", 9, (*graphs).features},
}

// gate multiplies f by a number between zero and one that is made from all of a value.
func (g *graphs) gate(f feat, y string) feat {
	f.name = g.Mul(f.name, g.Sigmoid(g.Node("ReduceMean", []string{y}, testmodels.Attrs{"keepdims": 0})))
	return f
}

func (g *graphs) nonZero(f feat) feat {
	y := g.Node("NonZero", []string{g.tamed(g.aside(f).name, positive)})
	return g.gate(f, g.Cast(y, onnxio.Float))
}

func (g *graphs) unique(f feat) feat {
	y := g.whole(g.width())
	return g.gate(f, g.NodeN("Unique", []string{y.name}, 1+g.r.IntN(3))[0])
}

func (g *graphs) oneHot(f feat) feat {
	y := g.Cast(g.Clip(g.Node("Abs", []string{g.whole(g.width()).name}), 0, 5), onnxio.Int64)
	h := g.Node("OneHot", []string{y, g.Const(int64(6)), g.Const([]float32{0, 1})}, testmodels.Attrs{"axis": -1})
	if g.r.IntN(2) == 0 {
		return g.gate(f, h)
	}
	return g.gate(f, g.MatMul(g.id("words"), h, 6, 3))
}

// ranged counts up to the number of channels, or of rows.
func (g *graphs) ranged(f feat) feat {
	n := g.Gather(g.Shape(f.name), g.Const(int64(1+g.r.IntN(2))), 0)
	return g.gate(f, g.Cast(g.Node("Range", []string{g.Const(int64(0)), n, g.Const(int64(1))}), onnxio.Float))
}

// random draws noise that is multiplied by zero.
func (g *graphs) random(f feat) feat {
	seed := testmodels.Attrs{"seed": 3.0}
	var y string
	switch k := g.r.IntN(5); {
	case k == 0:
		y = g.Node("RandomNormalLike", []string{f.name}, seed)
	case k == 1:
		y = g.Node("RandomUniformLike", []string{f.name}, seed)
	case k == 2:
		y = g.Node("RandomNormal", nil, seed, testmodels.Attrs{"shape": []int{f.c, f.h, f.w}})
	case k == 3 && g.Opset() >= 15:
		y = g.Node("Bernoulli", []string{g.Sigmoid(g.aside(f).name)}, seed)
	default:
		y = g.Node("RandomUniform", nil, seed, testmodels.Attrs{"shape": []int{1, 1, 1, 1}})
	}
	f.name = g.Add(f.name, g.Mul(y, g.Const(float32(0))))
	return f
}

func (g *graphs) multinomial(f feat) feat {
	x := g.Reshape(g.GlobalAveragePool(g.aside(f).name), -1, int64(f.c))
	y := g.Cast(g.Node("Multinomial", []string{x}, testmodels.Attrs{"sample_size": 2, "seed": 3.0}), onnxio.Float)
	return g.gate(f, g.Mul(y, g.Const(float32(0))))
}

func (g *graphs) eye(f feat) feat {
	x := g.Reshape(g.GlobalAveragePool(g.aside(f).name), -1, int64(f.c))
	return g.gate(f, g.Node("EyeLike", []string{x}, testmodels.Attrs{"k": g.r.IntN(2)}))
}

func (g *graphs) determinant(f feat) feat {
	if f.h < 2 || f.w < 2 {
		return feat{}
	}
	x := g.Slice(g.Slice(g.tamed(g.aside(f).name, small), 2, 0, 2), 3, 0, 2)
	return g.gate(f, g.Node("Det", []string{x}))
}

func (g *graphs) fourier(f feat) feat {
	x := g.tamed(g.aside(f).name, small)
	if g.r.IntN(2) == 0 {
		y := g.Unsqueeze(g.Reshape(x, 0, int64(f.c), -1), 3)
		if g.Opset() < 20 {
			return g.gate(f, g.Node("DFT", []string{y}, testmodels.Attrs{"axis": 2}))
		}
		return g.gate(f, g.Node("DFT", []string{y, "", g.Const(int64(2))}))
	}
	n := f.c * f.h * f.w
	if n < 8 {
		return feat{}
	}
	y := g.Node("STFT", []string{g.Reshape(x, -1, int64(n), 1), g.Const(int64(2)), g.Const([]float32{0.5, 1, 1, 0.5}), g.Const(int64(4))})
	return g.gate(f, y)
}

// windows are made from numbers; the size may be that of an axis.
func (g *graphs) windows(f feat) feat {
	if g.r.IntN(4) == 0 {
		y := g.Node("MelWeightMatrix", []string{g.Const(int64(4)), g.Const(int64(16)), g.Const(int64(8000)), g.Const(float32(0)), g.Const(float32(4000))})
		return g.gate(f, y)
	}
	op := []string{"HannWindow", "HammingWindow", "BlackmanWindow"}[g.r.IntN(3)]
	if f.w < 2 {
		return feat{}
	}
	y := g.Node(op, []string{g.Gather(g.Shape(f.name), g.Const(int64(3)), 0)})
	f.name = g.Mul(f.name, g.Add(y, g.Const(float32(0.5))))
	return f
}

func (g *graphs) suppressed(f feat) feat {
	if g.batch == 0 {
		return feat{}
	}
	y := g.whole(3)
	n := y.h * y.w
	vs := make([]float32, 4*n)
	for i := range n {
		vs[4*i], vs[4*i+1], vs[4*i+2], vs[4*i+3] = float32(i%3), float32(i%4), float32(i%3+2), float32(i%4+2)
	}
	boxes := g.ConstDims(g.id("boxes"), []int64{1, int64(n), 4}, vs)
	s := g.Node("NonMaxSuppression", []string{boxes, g.Reshape(y.name, 0, 3, -1), g.Const([]int64{3}), g.Const([]float32{0.5}), g.Const([]float32{-1000})})
	return g.gate(f, g.Cast(s, onnxio.Float))
}

func (g *graphs) loss(f feat) feat {
	if g.batch == 0 {
		return feat{}
	}
	x := g.Clip(g.Reshape(g.aside(f).name, 0, int64(f.c), -1), -4, 4)
	target := g.indices(f.c, 1, int64(f.h*f.w))
	if g.r.IntN(2) == 0 {
		return g.gate(f, g.Node("SoftmaxCrossEntropyLoss", []string{x, target}))
	}
	return g.gate(f, g.Node("NegativeLogLikelihoodLoss", []string{g.Node("LogSoftmax", []string{x}, testmodels.Attrs{"axis": 1}), target}))
}

func (g *graphs) attentionNode(f feat) feat {
	if f.h*f.w > 16 {
		return feat{}
	}
	q, k, v := g.queries(f, 8)
	y := g.Node("Attention", []string{q, k, v}, testmodels.Attrs{"q_num_heads": 2, "kv_num_heads": 2, "scale": 0.1, "is_causal": g.r.IntN(2)})
	return g.maps(g.MatMul(g.id("proj"), y, 8, f.c), f, f.c)
}

func (g *graphs) rotary(f feat) feat {
	n := int64(f.h * f.w)
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i)
	}
	if g.batch == 0 {
		return feat{}
	}
	x := g.MatMul(g.id("wide"), g.rows(f), f.c, 8)
	y := g.Node("RotaryEmbedding", []string{x, g.Weight(g.id("cos"), n, 2), g.Weight(g.id("sin"), n, 2), g.ConstDims(g.id("ids"), []int64{1, n}, ids)}, testmodels.Attrs{"num_heads": 2})
	return g.maps(g.MatMul(g.id("proj"), y, 8, f.c), f, f.c)
}

func (g *graphs) flexAttention(f feat) feat {
	if f.h*f.w > 16 {
		return feat{}
	}
	q, k, v := g.queries(f, 8)
	heads := func(x string) string { return g.Transpose(g.Reshape(x, 0, -1, 2, 4), 0, 2, 1, 3) }
	y := g.Node("ai.onnx.preview::FlexAttention", []string{heads(q), heads(k), heads(v)}, testmodels.Attrs{"scale": 0.1})
	y = g.Reshape(g.Transpose(y, 0, 2, 1, 3), 0, -1, 8)
	return g.maps(g.MatMul(g.id("proj"), y, 8, f.c), f, f.c)
}

func (g *graphs) linearAttention(f feat) feat {
	if f.h*f.w > 16 {
		return feat{}
	}
	q, k, v := g.queries(feat{g.tamed(f.name, small), f.c, f.h, f.w}, 8)
	y := g.NodeN("LinearAttention", []string{q, k, v}, 2, testmodels.Attrs{"update_rule": "linear", "q_num_heads": 2, "kv_num_heads": 2, "scale": 0.1})
	return g.maps(g.MatMul(g.id("proj"), y[0], 8, f.c), f, f.c)
}

// optimiser trains a value by another one.
func (g *graphs) optimiser(f feat) feat {
	const domain = "ai.onnx.preview.training::"
	rate, step := g.Const(float32(0.1)), g.Const(int64(2))
	x, grad := g.aside(f).name, g.aside(f).name
	var y string
	switch g.r.IntN(3) {
	case 0:
		y = g.NodeN(domain+"Momentum", []string{rate, step, x, grad, f.name}, 2, testmodels.Attrs{"alpha": 0.9, "beta": 0.5, "mode": "standard", "norm_coefficient": 0.01})[0]
	case 1:
		y = g.NodeN(domain+"Adagrad", []string{rate, step, x, grad, g.tamed(f.name, positive)}, 2, testmodels.Attrs{"epsilon": 0.1})[0]
	default:
		y = g.NodeN(domain+"Adam", []string{rate, step, x, grad, f.name, g.tamed(f.name, positive)}, 3, testmodels.Attrs{"epsilon": 0.1, "alpha": 0.9, "beta": 0.9})[0]
	}
	f.name = g.Add(f.name, y)
	return f
}

func (g *graphs) features(f feat) feat {
	x := g.Reshape(g.GlobalAveragePool(g.aside(f).name), -1, int64(f.c))
	return g.gate(f, g.Node("ai.onnx.ml::ArrayFeatureExtractor", []string{x, g.Const([]int64{0, int64(f.c - 1)})}))
}
