package rewrite_test

import "onnxprune/testmodels"

// Pools and regions: what works on places, channel by channel.

var pools = []blockKind{
	{"poolOdd", 10, (*graphs).poolOdd}, {"poolOdd", 10, (*graphs).poolOdd}, {"poolPadded", 7, (*graphs).poolPadded}, {"global", 7, (*graphs).global},
	{"unpool", 11, (*graphs).unpool}, {"regions", 16, (*graphs).regions}, {"regionsMax", 7, (*graphs).regionsMax}, {"crop", 7, (*graphs).crop},
	{"imageScaler", 7, (*graphs).imageScaler},
}

// poolOdd has dilations, rounding up and padding of each side.
func (g *graphs) poolOdd(f feat) feat {
	if f.h < 4 || f.w < 4 {
		return feat{}
	}
	s, d := 1+g.r.IntN(2), 1
	attrs := testmodels.Attrs{"kernel_shape": []int{3, 2}, "strides": []int{s, s}}
	op := []string{"MaxPool", "AveragePool", "LpPool"}[g.r.IntN(3)]
	p := []int{g.r.IntN(2), g.r.IntN(2), g.r.IntN(2), g.r.IntN(2)}
	attrs["pads"] = p
	switch {
	case op == "MaxPool", op == "AveragePool" && g.Opset() >= 19:
		if d = 1 + g.r.IntN(2); f.h < 6 {
			d = 1
		}
		attrs["dilations"] = []int{d, d}
	case op == "LpPool":
		attrs["p"] = 1 + g.r.IntN(2)
	}
	if op == "AveragePool" {
		attrs["count_include_pad"] = g.r.IntN(2)
	}
	y := g.Node(op, []string{g.pooled(op, f.name)}, attrs)
	return feat{y, f.c, (f.h+p[0]+p[2]-d*2-1)/s + 1, (f.w+p[1]+p[3]-d-1)/s + 1}
}

// pooled keeps a value away from zero, where a norm has a corner.
func (g *graphs) pooled(op, x string) string {
	if op == "LpPool" || op == "GlobalLpPool" {
		return g.tamed(x, positive)
	}
	return x
}

func (g *graphs) poolPadded(f feat) feat {
	if f.h < 4 || f.w < 4 {
		return feat{}
	}
	op, s := []string{"MaxPool", "AveragePool"}[g.r.IntN(2)], 1+g.r.IntN(2)
	attrs := testmodels.Attrs{"kernel_shape": []int{2, 2}, "strides": []int{s, s}, "auto_pad": []string{"SAME_UPPER", "SAME_LOWER"}[g.r.IntN(2)]}
	if op == "MaxPool" && g.Opset() >= 8 {
		attrs["storage_order"] = g.r.IntN(2)
	}
	return feat{g.Node(op, []string{f.name}, attrs), f.c, (f.h + s - 1) / s, (f.w + s - 1) / s}
}

func (g *graphs) global(f feat) feat {
	op := []string{"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"}[g.r.IntN(3)]
	f.name = g.Add(f.name, g.Node(op, []string{g.pooled(op, f.name)}))
	return f
}

// unpool puts the largest back where they were: whole numbers, so that they are in the same places.
func (g *graphs) unpool(f feat) feat {
	y := g.whole(g.width())
	if y.h%2 != 0 || y.w%2 != 0 {
		return feat{}
	}
	p := g.NodeN("MaxPool", []string{y.name}, 2, testmodels.Attrs{"kernel_shape": []int{2, 2}, "strides": []int{2, 2}})
	y.name = g.Node("MaxUnpool", p, testmodels.Attrs{"kernel_shape": []int{2, 2}, "strides": []int{2, 2}})
	return g.scaled(y)
}

// regions reads two regions of the first picture and adds the mean of both.
func (g *graphs) regions(f feat) feat {
	rois := g.ConstDims(g.id("rois"), []int64{2, 4}, []float32{0, 0, 3, 3, 0.5, 1, float32(f.w) - 1, float32(f.h) - 1})
	y := g.Node("RoiAlign", []string{f.name, rois, g.Const([]int64{0, 0})}, testmodels.Attrs{"mode": []string{"avg", "max"}[g.r.IntN(2)], "output_height": 2, "output_width": 2, "sampling_ratio": 2,
		"coordinate_transformation_mode": []string{"half_pixel", "output_half_pixel"}[g.r.IntN(2)]})
	return g.joined(f, y)
}

func (g *graphs) regionsMax(f feat) feat {
	rois := g.ConstDims(g.id("rois"), []int64{2, 5}, []float32{0, 0, 0, 2, 2, 0, 1, 1, 3, 3})
	return g.joined(f, g.Node("MaxRoiPool", []string{f.name, rois}, testmodels.Attrs{"pooled_shape": []int{2, 2}}))
}

// joined adds regions [regions, c, 2, 2] to f as one number per channel, or convolves them first.
func (g *graphs) joined(f feat, regions string) feat {
	if g.r.IntN(2) == 0 {
		y := g.conv(feat{regions, f.c, 2, 2}, g.width(), 1, 1)
		y = g.conv(y, f.c, 1, 1)
		regions = y.name
	}
	f.name = g.Add(f.name, g.reduce("ReduceMean", regions, true, 0, 2, 3))
	return f
}

func (g *graphs) crop(f feat) feat {
	if f.h < 4 || f.w < 4 {
		return feat{}
	}
	return feat{g.Node("Crop", []string{f.name}, testmodels.Attrs{"border": []int{1, 0, 1, 1}}), f.c, f.h - 1, f.w - 2}
}

func (g *graphs) imageScaler(f feat) feat {
	bias := make([]float32, f.c)
	for i := range bias {
		bias[i] = g.r.Float32()
	}
	f.name = g.Node("ImageScaler", []string{f.name}, testmodels.Attrs{"scale": 0.5, "bias": bias})
	return f
}
