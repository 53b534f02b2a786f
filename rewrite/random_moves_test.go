package rewrite_test

import (
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// What moves elements and changes shapes: parts of axes, indices, paddings, repetitions, axes that come and go.

var moves = []blockKind{
	{"sliced", 10, (*graphs).sliced}, {"sliced", 10, (*graphs).sliced}, {"slicedPlaces", 10, (*graphs).slicedPlaces}, {"splitEven", 7, (*graphs).splitEven},
	{"gatherNegative", 11, (*graphs).gatherNegative}, {"gatherOne", 7, (*graphs).gatherOne}, {"gatherElements", 11, (*graphs).gatherElements},
	{"gatherND", 11, (*graphs).gatherND}, {"scatterElements", 11, (*graphs).scatterElements}, {"scatter", 9, (*graphs).scatter}, {"scatterND", 11, (*graphs).scatterND},
	{"tensorScatter", 24, (*graphs).tensorScatter}, {"padModes", 7, (*graphs).padModes}, {"padModes", 7, (*graphs).padModes}, {"padAxes", 18, (*graphs).padAxes},
	{"tiled", 7, (*graphs).tiled}, {"expanded", 8, (*graphs).expanded}, {"flattened", 9, (*graphs).flattened}, {"merged", 7, (*graphs).merged},
	{"axes", 7, (*graphs).axes}, {"compressed", 9, (*graphs).compressed}, {"columns", 18, (*graphs).columns}, {"centred", 18, (*graphs).centred},
	{"einsums", 12, (*graphs).einsums}, {"einsums", 12, (*graphs).einsums}, {"gemm", 7, (*graphs).gemm}, {"gemm", 7, (*graphs).gemm}, {"products", 9, (*graphs).products},
	{"sizes", 7, (*graphs).sizes}, {"interleaved", 7, (*graphs).interleaved},
}

// pad adds elements; what it adds is an attribute or, later, an operand.
func (g *graphs) pad(x string, pads []int64, mode string) string {
	if g.Opset() < 11 {
		return g.Node("Pad", []string{x}, testmodels.Attrs{"pads": pads, "mode": mode})
	}
	return g.Node("Pad", []string{x, g.Const(pads)}, testmodels.Attrs{"mode": mode})
}

// sliced takes every other channel, or runs backwards, by bounds from either end.
func (g *graphs) sliced(f feat) feat {
	step := []int64{1, 2, 3, -1, -2}[g.r.IntN(5)]
	from, to := int64(0), int64(1<<40)
	if step < 0 {
		from, to = -1, -(1 << 40)
	}
	if g.r.IntN(2) == 0 && f.c > 3 {
		if step > 0 {
			from, to = int64(g.r.IntN(2)-int(f.c)), -1
		} else {
			from, to = int64(f.c-2), int64(g.r.IntN(2))
		}
	}
	var left int // how many channels that leaves
	lo, hi := from, min(to, int64(f.c))
	if lo < 0 {
		lo += int64(f.c)
	}
	if hi < 0 {
		hi = max(hi+int64(f.c), -1)
	}
	for i := lo; step > 0 && i < hi || step < 0 && i > hi; i += step {
		left++
	}
	if left == 0 {
		return feat{}
	}
	axis := int64(1 - 4*g.r.IntN(2))
	return feat{g.Node("Slice", []string{f.name, g.Const([]int64{from}), g.Const([]int64{to}), g.Const([]int64{axis}), g.Const([]int64{step})}), left, f.h, f.w}
}

// slicedPlaces cuts places and channels in one node, without saying which axes.
func (g *graphs) slicedPlaces(f feat) feat {
	if f.h < 3 || f.w < 2 {
		return feat{}
	}
	y := g.Node("Slice", []string{f.name, g.Const([]int64{0, 0, 1, 0}), g.Const([]int64{1 << 30, int64(f.c), -1, 1 << 30})})
	return feat{y, f.c, f.h - 2, f.w}
}

// splitEven cuts channels into equal parts and joins them in another order, or adds them up.
func (g *graphs) splitEven(f feat) feat {
	n := 0
	for _, k := range []int{2, 3, 4} {
		if f.c%k == 0 && (n == 0 || g.r.IntN(2) == 0) {
			n = k
		}
	}
	if n == 0 {
		return feat{}
	}
	attrs := testmodels.Attrs{"axis": 1}
	if g.Opset() >= 18 {
		attrs["num_outputs"] = n
	}
	parts := g.NodeN("Split", []string{f.name}, n, attrs)
	if g.r.IntN(2) == 0 {
		return feat{g.Node("Sum", parts), f.c / n, f.h, f.w}
	}
	for i := range parts {
		if g.r.IntN(2) == 0 {
			parts[i] = g.Relu(parts[i])
		}
	}
	g.r.Shuffle(n, func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return feat{g.Concat(1, parts...), f.c, f.h, f.w}
}

func (g *graphs) gatherNegative(f feat) feat {
	index := make([]int64, 1+g.r.IntN(f.c+2)) // some may come twice
	for i := range index {
		index[i] = int64(g.r.IntN(2*f.c) - f.c)
	}
	return feat{g.Gather(f.name, g.Const(index), 1-4*g.r.IntN(2)), len(index), f.h, f.w}
}

// gatherOne picks one channel by a number, which takes the axis away.
func (g *graphs) gatherOne(f feat) feat {
	y := g.Unsqueeze(g.Gather(f.name, g.Const(int64(g.r.IntN(f.c))), 1), 1)
	f.name = g.Mul(f.name, g.Sigmoid(y))
	return f
}

// indices makes small indices of a shape.
func (g *graphs) indices(below int, dims ...int64) string {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	vs := make([]int64, n)
	for i := range vs {
		vs[i] = int64(g.r.IntN(below))
	}
	return g.ConstDims(g.id("index"), dims, vs)
}

func (g *graphs) gatherElements(f feat) feat {
	if g.batch == 0 {
		return feat{}
	}
	y := g.Node("GatherElements", []string{f.name, g.indices(f.w, 1, int64(f.c), int64(f.h), 2)}, testmodels.Attrs{"axis": 3})
	return feat{y, f.c, f.h, 2}
}

func (g *graphs) gatherND(f feat) feat {
	if g.r.IntN(2) == 0 { // places are picked, channels pass behind them
		x := g.Transpose(f.name, 2, 3, 0, 1)
		y := g.Node("GatherND", []string{x, g.indices(min(f.h, f.w), 3, 2)})
		return feat{g.Unsqueeze(g.Transpose(y, 1, 2, 0), 3), f.c, 3, 1}
	}
	x := g.Transpose(f.name, 1, 0, 2, 3)
	y := g.Node("GatherND", []string{x, g.indices(f.c, 4, 1)})
	return feat{g.Transpose(y, 1, 0, 2, 3), 4, f.h, f.w}
}

func (g *graphs) scatterElements(f feat) feat {
	attrs := testmodels.Attrs{"axis": 3}
	if g.Opset() >= 16 && g.r.IntN(2) == 0 {
		attrs["reduction"] = "add"
	}
	c := int64(f.c)
	f.name = g.Node("ScatterElements", []string{f.name, g.indices(f.w, 1, c, int64(f.h), 1), g.Weight(g.id("update"), 1, c, int64(f.h), 1)}, attrs)
	return f
}

func (g *graphs) scatter(f feat) feat {
	if g.Opset() > 10 {
		return feat{}
	}
	c := int64(f.c)
	f.name = g.Node("Scatter", []string{f.name, g.indices(f.w, 1, c, int64(f.h), 1), g.Weight(g.id("update"), 1, c, int64(f.h), 1)}, testmodels.Attrs{"axis": 3})
	return f
}

// scatterND writes whole rows of channels into places.
func (g *graphs) scatterND(f feat) feat {
	if g.batch == 0 {
		return feat{}
	}
	x := g.Transpose(f.name, 2, 3, 0, 1)
	index := g.ConstDims(g.id("index"), []int64{2, 2}, []int64{0, 0, int64(f.h - 1), int64(f.w - 1)})
	if f.h*f.w == 1 {
		return feat{}
	}
	f.name = g.Transpose(g.Node("ScatterND", []string{x, index, g.Weight(g.id("update"), 2, 1, int64(f.c))}), 2, 3, 0, 1)
	return f
}

// tensorScatter writes keys into a cache of places.
func (g *graphs) tensorScatter(f feat) feat {
	if g.batch == 0 || f.h < 2 {
		return feat{}
	}
	update := g.Slice(g.like(f).name, 2, 0, 1)
	f.name = g.Node("TensorScatter", []string{f.name, update, g.Const([]int64{1})}, testmodels.Attrs{"axis": -2, "mode": "linear"})
	return f
}

func (g *graphs) padModes(f feat) feat {
	modes := []string{"constant", "reflect", "edge"}
	if g.Opset() >= 19 {
		modes = append(modes, "wrap")
	}
	mode := modes[g.r.IntN(len(modes))]
	pads := []int64{0, 0, 1, int64(g.r.IntN(2)), 0, 0, int64(g.r.IntN(2)), 1}
	if mode == "constant" {
		pads[2+g.r.IntN(2)], pads[1], pads[5] = -1, int64(g.r.IntN(3)), int64(g.r.IntN(2))
	} else if g.r.IntN(3) == 0 && f.c > 2 {
		pads[1] = 1
	}
	if f.h < 3 || f.w < 3 {
		return feat{}
	}
	y := g.pad(f.name, pads, mode)
	return feat{y, f.c + int(pads[1]+pads[5]), f.h + int(pads[2]+pads[6]), f.w + int(pads[3]+pads[7])}
}

// padAxes names the axes that it pads.
func (g *graphs) padAxes(f feat) feat {
	axes, pads := []int64{1, -1}, []int64{1, 0, 0, 2}
	y := g.Node("Pad", []string{f.name, g.Const(pads), []string{"", g.Const(float32(0.5))}[g.r.IntN(2)], g.Const(axes)})
	return feat{y, f.c + 1, f.h, f.w + 2}
}

func (g *graphs) tiled(f feat) feat {
	if f.c > 8 || f.w > 8 {
		return feat{}
	}
	n, m := int64(1+g.r.IntN(2)), int64(1+g.r.IntN(2))
	return feat{g.Node("Tile", []string{f.name, g.Const([]int64{1, n, 1, m})}), int(n) * f.c, f.h, int(m) * f.w}
}

// expanded repeats one channel, or one picture for all channels.
func (g *graphs) expanded(f feat) feat {
	y := g.conv(f, 1, 1, 1)
	out := g.width()
	y.name = g.Node("Expand", []string{y.name, g.Const([]int64{1, int64(out), 1, 1})})
	if y.c = out; out == f.c {
		y.name = g.Mul(g.Sigmoid(y.name), f.name)
	}
	return y
}

// flattened goes through a matrix: rows of pictures, or of channels.
func (g *graphs) flattened(f feat) feat {
	axis := []int{1, 2, 3, -1}[g.r.IntN(4)]
	if g.Opset() < 11 && axis < 0 {
		axis = 3
	}
	y := g.Node("Flatten", []string{f.name}, testmodels.Attrs{"axis": axis})
	f.name = g.Reshape(g.Relu(y), -1, int64(f.c), int64(f.h), int64(f.w))
	return f
}

// merged joins channels with places, and gives every place a layer of its own.
func (g *graphs) merged(f feat) feat {
	if f.c*f.h*f.w > 256 {
		return feat{}
	}
	out := g.width()
	y := g.MatMul(g.id("dense"), g.Reshape(f.name, 0, -1), f.c*f.h*f.w, out*f.h*f.w)
	return feat{g.Reshape(y, -1, int64(out), int64(f.h), int64(f.w)), out, f.h, f.w}
}

func (g *graphs) axes(f feat) feat {
	y := g.Unsqueeze(f.name, 1, 4)
	y = g.Squeeze(g.Transpose(y, 0, 2, 1, 3, 4, 5), 2, 4)
	f.name = y
	return f
}

func (g *graphs) compressed(f feat) feat {
	keep := make([]bool, f.w)
	n := 0
	for i := range keep {
		if keep[i] = g.r.IntN(2) == 0 || i == 0; keep[i] {
			n++
		}
	}
	y := g.Node("Compress", []string{f.name, g.Const(keep)}, testmodels.Attrs{"axis": 3})
	f.name = g.Add(f.name, g.reduce("ReduceMean", y, true, 2, 3))
	return f
}

func (g *graphs) columns(f feat) feat {
	if f.h > 6 || f.w > 6 {
		return feat{}
	}
	y := g.conv(f, 4*(1+g.r.IntN(3)), 1, 1)
	x := g.Reshape(y.name, 0, int64(y.c), -1)
	x = g.Node("Col2Im", []string{x, g.Const([]int64{int64(2 * f.h), int64(2 * f.w)}), g.Const([]int64{2, 2})}, testmodels.Attrs{"strides": []int{2, 2}})
	return feat{x, y.c / 4, 2 * f.h, 2 * f.w}
}

func (g *graphs) centred(f feat) feat {
	y := g.Node("CenterCropPad", []string{f.name, g.Const([]int64{int64(f.h + 1), 3})}, testmodels.Attrs{"axes": []int{2, 3}})
	return feat{y, f.c, f.h + 1, 3}
}

func (g *graphs) einsums(f feat) feat {
	out := g.width()
	switch g.r.IntN(4) {
	case 0:
		return feat{g.Node("Einsum", []string{f.name, g.Weight(g.id("einsum"), int64(out), int64(f.c))}, testmodels.Attrs{"equation": "bchw,dc->bdhw"}), out, f.h, f.w}
	case 1: // channels against channels
		y := g.Node("Einsum", []string{f.name, g.like(f).name}, testmodels.Attrs{"equation": "nchw,ndhw->ncd"})
		y = g.Softmax(g.Clip(g.Mul(y, g.Const(float32(0.05))), -4, 4), -1)
		f.name = g.Node("Einsum", []string{y, f.name}, testmodels.Attrs{"equation": "ncd,ndhw->nchw"})
		return f
	case 2:
		y := g.Node("Einsum", []string{f.name}, testmodels.Attrs{"equation": "nchw->nc"})
		f.name = g.Mul(f.name, g.Unsqueeze(g.Sigmoid(y), 2, 3))
		return f
	}
	w := g.Weight(g.id("einsum"), int64(out), int64(f.c))
	y := g.Node("Einsum", []string{g.rows(f), w}, testmodels.Attrs{"equation": "...c,dc->...d"})
	return g.maps(y, f, out)
}

// gemm gates channels by a linear layer in one of its forms.
func (g *graphs) gemm(f feat) feat {
	x := g.Node("Flatten", []string{g.GlobalAveragePool(f.name)})
	ta, tb := g.r.IntN(2), g.r.IntN(2)
	dims := []int64{int64(f.c), 6}
	if tb == 1 {
		dims = []int64{6, int64(f.c)}
	}
	if ta == 1 {
		x = g.Transpose(x, 1, 0)
	}
	in := []string{x, g.Weight(g.id("gemm"), dims...)}
	switch g.r.IntN(4) {
	case 0:
		in = append(in, g.Vector(g.id("bias"), 6, 0, 0.1))
	case 1:
		in = append(in, g.Weight(g.id("bias"), 1, 6))
	case 2:
		in = append(in, g.Const(float32(0.3)))
	default:
		if g.Opset() < 11 {
			in = append(in, g.Vector(g.id("bias"), 6, 0, 0.1))
		}
	}
	y := g.Relu(g.Node("Gemm", in, testmodels.Attrs{"transA": ta, "transB": tb, "alpha": 0.7, "beta": 0.5}))
	y = g.Gemm(g.id("gate"), y, 6, f.c)
	f.name = g.Mul(f.name, g.Unsqueeze(g.Sigmoid(y), 2, 3))
	return f
}

// products are matrix products of several ranks, with the weight on either side.
func (g *graphs) products(f feat) feat {
	out, c := g.width(), int64(f.c)
	switch g.r.IntN(4) {
	case 0: // the weight is the left one
		y := g.Node("MatMul", []string{g.Weight(g.id("left"), int64(out), c), g.Reshape(f.name, 0, c, -1)})
		return feat{g.Reshape(y, -1, int64(out), int64(f.h), int64(f.w)), out, f.h, f.w}
	case 1: // four axes
		y := g.Node("MatMul", []string{g.Transpose(f.name, 0, 2, 3, 1), g.Weight(g.id("four"), 1, 1, c, int64(out))})
		return feat{g.Transpose(y, 0, 3, 1, 2), out, f.h, f.w}
	case 2: // a vector
		y := g.Unsqueeze(g.Node("MatMul", []string{g.Transpose(f.name, 0, 2, 3, 1), g.Vector(g.id("column"), c, 0, 0.3)}), 1)
		f.name = g.Mul(f.name, g.Sigmoid(y))
		return f
	}
	w := g.Weight(g.id("each"), c, int64(f.w), int64(f.w)) // a matrix per channel
	f.name = g.Node("MatMul", []string{f.name, w})
	return f
}

// sizes computes with the numbers of channels and elements.
func (g *graphs) sizes(f feat) feat {
	n := g.Cast(g.Node("Size", []string{f.name}), onnxio.Float)
	c := g.Cast(g.Gather(g.Shape(f.name), g.Const(int64(1)), 0), onnxio.Float)
	f.name = g.Mul(f.name, g.Div(g.Node("Log", []string{n}), g.Add(c, g.Const(float32(4)))))
	return f
}

// interleaved joins two values channel by channel through an axis of two.
func (g *graphs) interleaved(f feat) feat {
	if f.c > 12 {
		return feat{}
	}
	y := g.Concat(2, g.Unsqueeze(f.name, 2), g.Unsqueeze(g.like(f).name, 2))
	return feat{g.Reshape(y, -1, int64(2*f.c), int64(f.h), int64(f.w)), 2 * f.c, f.h, f.w}
}
