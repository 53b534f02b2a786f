package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// Operators that ONNX Runtime's optimiser writes.

var microsoft = []blockKind{
	{"fusedConv", 7, (*graphs).fusedConv}, {"fusedConv", 7, (*graphs).fusedConv}, {"fusedGemm", 9, (*graphs).fusedGemm}, {"fusedMatMul", 9, (*graphs).fusedMatMul}, {"fusedMatMul", 9, (*graphs).fusedMatMul},
	{"gelus", 7, (*graphs).gelus}, {"gelus", 7, (*graphs).gelus}, {"skipNorm", 7, (*graphs).skipNorm}, {"multiHead", 7, (*graphs).multiHead},
	{"rotaryMicrosoft", 7, (*graphs).rotaryMicrosoft}, {"packedMatMul", 7, (*graphs).packedMatMul}, {"embedded", 9, (*graphs).embedded},
}

// fusedConv is a convolution with an activation, and a sum before it.
func (g *graphs) fusedConv(f feat) feat {
	out := g.width()
	n := g.groups(f.c, out)
	in := []string{f.name, g.Weight(g.id("fused"), int64(out), int64(f.c/n), 3, 3), g.Vector(g.id("bias"), int64(out), 0, 0.1)}
	if g.r.IntN(3) == 0 {
		in = append(in, g.like(feat{f.name, out, f.h, f.w}).name)
	}
	attrs := testmodels.Attrs{"pads": []int{1, 1, 1, 1}, "kernel_shape": []int{3, 3}, "group": n, "activation": []string{"Relu", "Sigmoid", "Tanh"}[g.r.IntN(3)]}
	return feat{g.Node("com.microsoft::FusedConv", in, attrs), out, f.h, f.w}
}

func (g *graphs) fusedGemm(f feat) feat {
	x := g.Flatten(g.GlobalAveragePool(f.name))
	y := g.Node("com.microsoft::FusedGemm", []string{x, g.Weight(g.id("fused"), 5, int64(f.c)), g.Vector(g.id("bias"), 5, 0, 0.1)},
		testmodels.Attrs{"transB": 1, "alpha": 0.8, "activation": "Relu"})
	y = g.Gemm(g.id("gate"), y, 5, f.c)
	f.name = g.Mul(f.name, g.Unsqueeze(g.Sigmoid(y), 2, 3))
	return f
}

func (g *graphs) fusedMatMul(f feat) feat {
	out := g.width()
	op := []string{"com.microsoft::FusedMatMul", "com.microsoft::TransposeMatMul"}[g.r.IntN(2)]
	switch g.r.IntN(3) {
	case 0:
		return g.maps(g.Node(op, []string{g.rows(f), g.Weight(g.id("fused"), int64(out), int64(f.c))}, testmodels.Attrs{"transB": 1, "alpha": 0.5}), f, out)
	case 1: // the places as rows by a transpose of its own
		return g.maps(g.Node(op, []string{g.Reshape(f.name, 0, int64(f.c), -1), g.Weight(g.id("fused"), int64(f.c), int64(out))}, testmodels.Attrs{"transA": 1}), f, out)
	}
	x := g.rows(f)
	q, k := g.MatMul(g.id("q"), x, f.c, 4), g.MatMul(g.id("k"), x, f.c, 4)
	a := g.Softmax(g.Node(op, []string{q, k}, testmodels.Attrs{"transB": 1, "alpha": 0.1}), -1)
	return g.maps(g.Node(op, []string{a, g.MatMul(g.id("v"), x, f.c, out)}), f, out)
}

func (g *graphs) gelus(f feat) feat {
	switch op := []string{"Gelu", "QuickGelu", "BiasGelu", "FastGelu"}[g.r.IntN(4)]; op {
	case "Gelu", "QuickGelu":
		f.name = g.Node("com.microsoft::"+op, []string{f.name})
		return f
	default:
		in := []string{g.rows(f)}
		if op == "BiasGelu" || g.r.IntN(2) == 0 {
			in = append(in, g.Vector(g.id("bias"), int64(f.c), 0, 0.1))
		}
		return g.maps(g.Node("com.microsoft::"+op, in), f, f.c)
	}
}

func (g *graphs) skipNorm(f feat) feat {
	x, y := g.rows(feat{g.uneven(f), f.c, f.h, f.w}), g.rows(g.like(f))
	gamma := g.Vector(g.id("gamma"), int64(f.c), 1, 0.1)
	if g.r.IntN(2) == 0 {
		return g.linear(g.Node("com.microsoft::SkipSimplifiedLayerNormalization", []string{x, y, gamma}, testmodels.Attrs{"epsilon": 0.1}), f)
	}
	in := []string{x, y, gamma, g.Vector(g.id("beta"), int64(f.c), 0, 0.1)}
	if g.r.IntN(2) == 0 {
		in = append(in, g.Vector(g.id("bias"), int64(f.c), 0, 0.1))
	}
	return g.linear(g.Node("com.microsoft::SkipLayerNormalization", in, testmodels.Attrs{"epsilon": 0.1}), f)
}

// queries are the three inputs of attention, of two heads.
func (g *graphs) queries(f feat, width int) (q, k, v string) {
	x := g.rows(f)
	return g.MatMul(g.id("q"), x, f.c, width), g.MatMul(g.id("k"), x, f.c, width), g.MatMul(g.id("v"), x, f.c, width)
}

func (g *graphs) multiHead(f feat) feat {
	if f.h*f.w > 16 {
		return feat{}
	}
	q, k, v := g.queries(f, 8)
	y := g.Node("com.microsoft::MultiHeadAttention", []string{q, k, v}, testmodels.Attrs{"num_heads": 2, "scale": 0.1})
	return g.maps(g.MatMul(g.id("proj"), y, 8, f.c), f, f.c)
}

func (g *graphs) rotaryMicrosoft(f feat) feat {
	if g.batch == 0 {
		return feat{}
	}
	n := int64(f.h * f.w)
	ids := make([]int64, n)
	for i := range ids {
		ids[i] = int64(i)
	}
	x := g.MatMul(g.id("wide"), g.rows(f), f.c, 8)
	y := g.Node("com.microsoft::RotaryEmbedding", []string{x, g.ConstDims(g.id("ids"), []int64{1, n}, ids), g.Weight(g.id("cos"), n, 2), g.Weight(g.id("sin"), n, 2)},
		testmodels.Attrs{"num_heads": 2, "rotary_embedding_dim": 4})
	return g.maps(g.MatMul(g.id("proj"), y, 8, f.c), f, f.c)
}

// packedMatMul has a weight of four bits in blocks.
func (g *graphs) packedMatMul(f feat) feat {
	const out = 6
	blocks := (f.c + 15) / 16
	packed := make([]uint8, out*blocks*8)
	for i := range packed {
		packed[i] = uint8(g.r.IntN(256))
	}
	w := g.ConstDims(g.id("packed"), []int64{out, int64(blocks), 8}, packed)
	y := g.Node("com.microsoft::MatMulNBits", []string{g.rows(f), w, g.Vector(g.id("scales"), int64(out*blocks), 0.05, 0.01)},
		testmodels.Attrs{"K": f.c, "N": out, "bits": 4, "block_size": 16})
	return g.maps(y, f, out)
}

// embedded looks up words whose numbers are whole, and adds what it finds to all places.
func (g *graphs) embedded(f feat) feat {
	y := g.whole(2)
	ids := g.Cast(g.Reshape(g.Clip(g.Node("Abs", []string{g.Node("GlobalMaxPool", []string{y.name})}), 0, 4), 0, -1), onnxio.Int32)
	c := int64(f.c)
	e := g.NodeN("com.microsoft::EmbedLayerNormalization", []string{ids, "", g.Weight(g.id("words"), 5, c), g.Weight(g.id("places"), 2, c), "", g.Vector(g.id("gamma"), c, 1, 0.1),
		g.Vector(g.id("beta"), c, 0, 0.1)}, 2, testmodels.Attrs{"epsilon": 0.1})
	f.name = g.Add(f.name, g.Unsqueeze(g.reduce("ReduceSum", e[0], false, 1), 2, 3))
	return f
}
