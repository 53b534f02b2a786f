package rewrite_test

import (
	"onnxprune/testmodels"
)

// structure is what networks are made of.
var structure = []blockKind{
	{"plain", 1, (*graphs).plain},
	{"plain", 1, (*graphs).plain},
	{"grouped", 1, (*graphs).grouped},
	{"depthwise", 1, (*graphs).depthwise},
	{"activation", 1, (*graphs).activation},
	{"norm", 1, (*graphs).norm},
	{"residual", 1, (*graphs).residual},
	{"concat", 1, (*graphs).concat},
	{"split", 1, (*graphs).split},
	{"slice", 1, (*graphs).slice},
	{"gather", 1, (*graphs).gather},
	{"excite", 1, (*graphs).excite},
	{"pool", 1, (*graphs).pool},
	{"upsample", 1, (*graphs).upsample},
	{"transposed", 1, (*graphs).transposed},
	{"pixelShuffle", 11, (*graphs).pixelShuffle},
	{"shuffle", 1, (*graphs).shuffle},
	{"frozen", 1, (*graphs).frozen},
	{"twice", 1, (*graphs).twice},
	{"shared", 1, (*graphs).shared},
	{"padded", 1, (*graphs).padded},
	{"expand", 1, (*graphs).expand},
	{"spaceToDepth", 1, (*graphs).spaceToDepth},
	{"halved", 10, (*graphs).halved},
	{"widthAsNumber", 10, (*graphs).widthAsNumber},
	{"activation", 1, (*graphs).activation},
	{"residual", 1, (*graphs).residual},
	{"concat", 1, (*graphs).concat},
}

func (g *graphs) plain(f feat) feat { return g.conv(f, g.width(), 1+2*g.r.IntN(2), 1) }

func (g *graphs) grouped(f feat) feat {
	for _, n := range []int{2, 3, 4} {
		if f.c%n == 0 && f.c > n {
			return g.conv(f, n*(1+g.r.IntN(3)), 3, n)
		}
	}
	return feat{}
}

func (g *graphs) depthwise(f feat) feat { return g.conv(f, f.c*(1+g.r.IntN(2)), 3, f.c) }

func (g *graphs) activation(f feat) feat {
	switch g.r.IntN(5) {
	case 0:
		f.name = g.Relu(f.name)
	case 1:
		f.name = g.Sigmoid(f.name)
	case 2:
		f.name = g.LeakyRelu(f.name, 0.1)
	case 3:
		f.name = g.Node("PRelu", []string{f.name, g.Weight(g.id("slope"), int64(f.c), 1, 1)})
	default:
		f.name = g.Clip(f.name, 0, 6)
	}
	return f
}

func (g *graphs) norm(f feat) feat {
	if g.r.IntN(3) == 0 {
		f.name = g.Node("InstanceNormalization", []string{f.name, g.Vector(g.id("scale"), int64(f.c), 1, 0.2), g.Vector(g.id("bias"), int64(f.c), 0, 0.2)})
		return f
	}
	f.name = g.BN(g.id("bn"), f.name, f.c)
	return f
}

func (g *graphs) residual(f feat) feat {
	f.name = g.Node([]string{"Add", "Mul", "Sub", "Max"}[g.r.IntN(4)], []string{f.name, g.like(f).name})
	return f
}

func (g *graphs) concat(f feat) feat {
	names, c := []string{f.name}, f.c
	for range 1 + g.r.IntN(2) {
		o := g.pick()
		if o.h == f.h && o.w == f.w && c+o.c < 40 {
			names, c = append(names, o.name), c+o.c
		}
	}
	return feat{g.Concat(1, names...), c, f.h, f.w}
}

func (g *graphs) split(f feat) feat {
	if f.c < 2 {
		return feat{}
	}
	k := 1 + g.r.IntN(f.c-1)
	s := g.Split(f.name, 1, int64(k), int64(f.c-k))
	a := g.conv(feat{s[0], k, f.h, f.w}, f.c-k, 1, 1)
	if g.r.IntN(2) == 0 {
		return feat{g.Add(a.name, s[1]), f.c - k, f.h, f.w}
	}
	return feat{g.Concat(1, s[1], a.name), 2 * (f.c - k), f.h, f.w}
}

func (g *graphs) slice(f feat) feat {
	if f.c < 3 {
		return feat{}
	}
	from := g.r.IntN(f.c - 1)
	to := from + 1 + g.r.IntN(f.c-from)
	return feat{g.Slice(f.name, 1, int64(from), int64(min(to, f.c))), min(to, f.c) - from, f.h, f.w}
}

func (g *graphs) gather(f feat) feat {
	index := make([]int64, f.c)
	for i, k := range g.r.Perm(f.c) {
		index[i] = int64(k)
	}
	index = index[:1+g.r.IntN(f.c)]
	return feat{g.Gather(f.name, g.Const(index), 1), len(index), f.h, f.w}
}

func (g *graphs) excite(f feat) feat {
	s := feat{g.GlobalAveragePool(f.name), f.c, 1, 1}
	s = g.conv(s, 2, 1, 1)
	s.name = g.Relu(s.name)
	s = g.conv(s, f.c, 1, 1)
	f.name = g.Mul(f.name, g.Sigmoid(s.name))
	return f
}

func (g *graphs) pool(f feat) feat {
	if f.h < 4 || f.w < 4 {
		return feat{}
	}
	if g.r.IntN(2) == 0 {
		return feat{g.MaxPool(f.name, 2, 2, testmodels.Pad(0)), f.c, f.h / 2, f.w / 2}
	}
	return feat{g.AveragePool(f.name, 2, 2, testmodels.Pad(0)), f.c, f.h / 2, f.w / 2}
}

func (g *graphs) upsample(f feat) feat {
	if f.h > 8 || f.w > 8 {
		return feat{}
	}
	return feat{g.Upsample(f.name, 2), f.c, 2 * f.h, 2 * f.w}
}

func (g *graphs) transposed(f feat) feat {
	if f.h > 8 || f.w > 8 {
		return feat{}
	}
	n, out := 1, g.width()
	if f.c%2 == 0 && out%2 == 0 && g.r.IntN(2) == 0 {
		n = 2
	}
	return feat{g.ConvTranspose(g.id("up"), f.name, f.c, out, 2, testmodels.Stride(2), testmodels.Pad(0), testmodels.Groups(n)), out, 2 * f.h, 2 * f.w}
}

func (g *graphs) pixelShuffle(f feat) feat {
	if f.h > 8 || f.w > 8 {
		return feat{}
	}
	f = g.conv(f, 4*(1+g.r.IntN(3)), 1, 1)
	c := int64(f.c / 4)
	if g.r.IntN(2) == 0 {
		mode := []string{"DCR", "CRD"}[g.r.IntN(2)]
		return feat{g.Node("DepthToSpace", []string{f.name}, testmodels.Attrs{"blocksize": 2, "mode": mode}), int(c), 2 * f.h, 2 * f.w}
	}
	y := g.Transpose(g.Reshape(f.name, -1, c, 2, 2, int64(f.h), int64(f.w)), 0, 1, 4, 2, 5, 3)
	return feat{g.Reshape(y, -1, c, int64(2*f.h), int64(2*f.w)), int(c), 2 * f.h, 2 * f.w}
}

func (g *graphs) shuffle(f feat) feat {
	for _, n := range []int64{2, 3, 4} {
		if int64(f.c)%n == 0 && int64(f.c) > n {
			y := g.Reshape(f.name, -1, n, int64(f.c)/n, int64(f.h), int64(f.w))
			f.name = g.Reshape(g.Transpose(y, 0, 2, 1, 3, 4), -1, int64(f.c), int64(f.h), int64(f.w))
			return f
		}
	}
	return feat{}
}

func (g *graphs) frozen(f feat) feat {
	f.name = g.Mul(f.name, g.Weight(g.id("scale"), 1, int64(f.c), 1, 1))
	f.name = g.Add(f.name, g.Weight(g.id("shift"), int64(f.c), 1, 1))
	return f
}

func (g *graphs) twice(f feat) feat {
	if f.c > 12 {
		return feat{}
	}
	return feat{g.Concat(1, f.name, f.name), 2 * f.c, f.h, f.w}
}

// shared uses one weight for two values.
func (g *graphs) shared(f feat) feat {
	o := g.like(f)
	out := g.width()
	w := g.Weight(g.id("shared"), int64(out), int64(f.c), 1, 1)
	return feat{g.Add(g.Node("Conv", []string{f.name, w}), g.Relu(g.Node("Conv", []string{o.name, w}))), out, f.h, f.w}
}

// padded adds channels of zeros, as shortcuts of CIFAR's ResNets do.
func (g *graphs) padded(f feat) feat {
	pads := []int64{0, int64(g.r.IntN(2)), 0, 0, 0, 2, 0, 0}
	return feat{g.pad(f.name, pads, "constant"), f.c + int(pads[1]) + 2, f.h, f.w}
}

// expand repeats one value per channel over all places and adds it.
func (g *graphs) expand(f feat) feat {
	p := g.conv(feat{g.GlobalAveragePool(f.name), f.c, 1, 1}, f.c, 1, 1)
	f.name = g.Add(f.name, g.Node("Expand", []string{p.name, g.Const([]int64{1, int64(f.c), int64(f.h), int64(f.w)})}))
	return f
}

func (g *graphs) spaceToDepth(f feat) feat {
	if f.h < 4 || f.h%2 != 0 || f.w%2 != 0 || f.c > 8 {
		return feat{}
	}
	return feat{g.Node("SpaceToDepth", []string{f.name}, testmodels.Attrs{"blocksize": 2}), 4 * f.c, f.h / 2, f.w / 2}
}

// halved takes the second half of the channels, by bounds that are computed from the shape.
func (g *graphs) halved(f feat) feat {
	if f.c%2 != 0 {
		return feat{}
	}
	width := g.Unsqueeze(g.Gather(g.Shape(f.name), g.Const(int64(1)), 0), 0)
	half := g.Div(width, g.Const([]int64{2}))
	return feat{g.Node("Slice", []string{f.name, half, width, g.Const([]int64{1})}), f.c / 2, f.h, f.w}
}

// widthAsNumber bounds another axis by the number of channels.
func (g *graphs) widthAsNumber(f feat) feat {
	if f.c > f.h || f.c < 2 {
		return feat{}
	}
	width := g.Unsqueeze(g.Gather(g.Shape(f.name), g.Const(int64(1)), 0), 0)
	return feat{g.Node("Slice", []string{f.name, g.Const([]int64{0}), width, g.Const([]int64{2})}), f.c, f.c, f.w}
}
