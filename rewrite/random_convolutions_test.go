package rewrite_test

import "onnxprune/testmodels"

// Convolutions of one, two and three axes of places, with all that their attributes say.

var convOther = []blockKind{
	{"convOdd", 7, (*graphs).convOdd}, {"convOdd", 7, (*graphs).convOdd}, {"convLine", 7, (*graphs).convLine}, {"convCube", 7, (*graphs).convCube},
	{"transposedOdd", 7, (*graphs).transposedOdd}, {"transposedOdd", 7, (*graphs).transposedOdd}, {"deformed", 19, (*graphs).deformed},
	{"causal", 27, (*graphs).causal}, {"separable", 7, (*graphs).separable}, {"groupedByPosition", 7, (*graphs).groupedByPosition},
}

// groups draws a number of groups that divides both widths.
func (g *graphs) groups(in, out int) int {
	for _, n := range []int{4, 3, 2} {
		if in%n == 0 && out%n == 0 && g.r.IntN(3) == 0 {
			return n
		}
	}
	return 1
}

// biased adds a bias or leaves it out.
func (g *graphs) biased(out int, inputs ...string) []string {
	if g.r.IntN(2) == 0 {
		return append(inputs, g.Vector(g.id("bias"), int64(out), 0, 0.2))
	}
	return inputs
}

// convOdd has strides, dilations and paddings of its own for each side.
func (g *graphs) convOdd(f feat) feat {
	if f.h < 3 || f.w < 3 {
		return feat{}
	}
	out, kh, kw := g.width(), 1+g.r.IntN(3), 1+g.r.IntN(3)
	n := g.groups(f.c, out)
	attrs := testmodels.Attrs{"kernel_shape": []int{kh, kw}, "group": n}
	h, w := f.h, f.w
	switch g.r.IntN(4) {
	case 0:
		s := 1 + g.r.IntN(2)
		attrs["auto_pad"], attrs["strides"] = []string{"SAME_UPPER", "SAME_LOWER"}[g.r.IntN(2)], []int{s, s}
		h, w = (h+s-1)/s, (w+s-1)/s
	case 1:
		attrs["auto_pad"] = "VALID"
		h, w = h-kh+1, w-kw+1
	default:
		sh, sw, dh, dw := 1+g.r.IntN(2), 1+g.r.IntN(2), 1+g.r.IntN(2), 1+g.r.IntN(2)
		p := []int{g.r.IntN(3), g.r.IntN(3), 2 + g.r.IntN(2), 2 + g.r.IntN(2)}
		attrs["strides"], attrs["dilations"], attrs["pads"] = []int{sh, sw}, []int{dh, dw}, p
		h, w = (h+p[0]+p[2]-dh*(kh-1)-1)/sh+1, (w+p[1]+p[3]-dw*(kw-1)-1)/sw+1
	}
	y := g.Node("Conv", g.biased(out, f.name, g.Weight(g.id("odd"), int64(out), int64(f.c/n), int64(kh), int64(kw))), attrs)
	return feat{y, out, h, w}
}

// convLine convolves the places in one line.
func (g *graphs) convLine(f feat) feat {
	out := g.width()
	n := g.groups(f.c, out)
	x := g.Reshape(f.name, 0, int64(f.c), -1)
	x = g.Node("Conv", g.biased(out, x, g.Weight(g.id("line"), int64(out), int64(f.c/n), 3)), testmodels.Attrs{"pads": []int{1, 1}, "group": n})
	return feat{g.Reshape(x, -1, int64(out), int64(f.h), int64(f.w)), out, f.h, f.w}
}

// convCube convolves with an axis of depth, which is pooled away.
func (g *graphs) convCube(f feat) feat {
	out := g.width()
	n := g.groups(f.c, out)
	x := g.Unsqueeze(f.name, 2)
	if g.r.IntN(2) == 0 {
		x = g.Concat(2, x, x)
	}
	x = g.Node("Conv", g.biased(out, x, g.Weight(g.id("cube"), int64(out), int64(f.c/n), 1, 3, 3)), testmodels.Attrs{"pads": []int{0, 1, 1, 0, 1, 1}, "group": n})
	return feat{g.reduce("ReduceMax", x, false, 2), out, f.h, f.w}
}

func (g *graphs) transposedOdd(f feat) feat {
	if f.h > 6 || f.w > 6 || f.h < 2 || f.w < 2 {
		return feat{}
	}
	out, k := g.width(), 2+g.r.IntN(2)
	n := g.groups(f.c, out)
	attrs := testmodels.Attrs{"group": n, "kernel_shape": []int{k, k}}
	h, w := f.h, f.w
	switch g.r.IntN(3) {
	case 0:
		attrs["strides"], attrs["auto_pad"] = []int{2, 2}, "SAME_UPPER"
		h, w = 2*h, 2*w
	case 1:
		attrs["strides"], attrs["output_shape"] = []int{2, 2}, []int{2 * h, 2*w + 1}
		h, w = 2*h, 2*w+1
	default:
		s, d := 1+g.r.IntN(2), 1+g.r.IntN(2)
		p, o := []int{g.r.IntN(2), 1, g.r.IntN(2), 0}, []int{g.r.IntN(s), g.r.IntN(s)}
		attrs["strides"], attrs["dilations"], attrs["pads"], attrs["output_padding"] = []int{s, s}, []int{d, d}, p, o
		h, w = s*(h-1)+o[0]+d*(k-1)+1-p[0]-p[2], s*(w-1)+o[1]+d*(k-1)+1-p[1]-p[3]
	}
	y := g.Node("ConvTranspose", g.biased(out, f.name, g.Weight(g.id("transposed"), int64(f.c), int64(out/n), int64(k), int64(k))), attrs)
	return feat{y, out, h, w}
}

// deformed reads between places, at offsets from a constant or from a convolution.
func (g *graphs) deformed(f feat) feat {
	if f.h > 8 {
		return feat{}
	}
	out := g.width()
	n := g.groups(f.c, out)
	og := 1
	if f.c%2 == 0 && g.r.IntN(3) == 0 {
		og = 2
	}
	offset := g.tamed(g.conv(f, og*2*4, 1, 1).name, small)
	in := []string{f.name, g.Weight(g.id("deformed"), int64(out), int64(f.c/n), 2, 2), offset}
	if g.r.IntN(2) == 0 {
		in = append(in, g.Vector(g.id("bias"), int64(out), 0, 0.1))
	}
	if g.r.IntN(2) == 0 {
		in = append(append(in, make([]string, 4-len(in))...), g.Sigmoid(g.conv(f, og*4, 1, 1).name))
	}
	y := g.Node("DeformConv", in, testmodels.Attrs{"pads": []int{0, 0, 1, 1}, "group": n, "offset_group": og, "kernel_shape": []int{2, 2}})
	return feat{y, out, f.h, f.w}
}

// causal is the short depthwise convolution of recurrent attention.
func (g *graphs) causal(f feat) feat {
	x := g.Reshape(f.name, 0, int64(f.c), -1)
	in := g.biased(f.c, x, g.Weight(g.id("causal"), int64(f.c), 1, 3))
	y := g.NodeN("CausalConvWithState", in, 2, testmodels.Attrs{"activation": []string{"none", "silu"}[g.r.IntN(2)]})
	f.name = g.Reshape(y[0], -1, int64(f.c), int64(f.h), int64(f.w))
	return f
}

// separable is a depthwise convolution between two of one place.
func (g *graphs) separable(f feat) feat {
	y := g.conv(f, 2+g.r.IntN(8), 1, 1)
	y.name = g.Clip(y.name, 0, 6)
	y = g.conv(y, y.c, 3, y.c)
	return g.conv(y, g.width(), 1, 1)
}

// groupedByPosition has two large groups, with what makes their channels before them.
func (g *graphs) groupedByPosition(f feat) feat {
	y := g.conv(f, 12, 1, 1)
	y = g.conv(y, 12, 3, 2)
	if g.r.IntN(2) == 0 {
		y = g.shuffle(y)
	}
	return g.conv(y, 8, 1, 2)
}
