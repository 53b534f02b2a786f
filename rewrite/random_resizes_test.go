package rewrite_test

import "onnxprune/testmodels"

// What reads between places, or makes other sizes out of them.

var resizes = []blockKind{
	{"resized", 11, (*graphs).resized}, {"resized", 11, (*graphs).resized}, {"upsampled", 9, (*graphs).upsampled}, {"grid", 16, (*graphs).grid}, {"affine", 20, (*graphs).affine},
	{"depthToSpace", 7, (*graphs).depthToSpace},
}

// resized says how large by sizes, by scales, or by axes of its own.
func (g *graphs) resized(f feat) feat {
	if f.h > 8 || f.w > 8 {
		return feat{}
	}
	mode := []string{"nearest", "linear", "cubic"}[g.r.IntN(3)]
	how := []string{"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"}[g.r.IntN(4)]
	if mode == "nearest" {
		how = "asymmetric"
	}
	attrs := testmodels.Attrs{"mode": mode, "coordinate_transformation_mode": how}
	if mode == "nearest" {
		attrs["nearest_mode"] = "floor"
	}
	roi := ""
	if g.Opset() < 13 {
		roi = g.Const([]float32{})
	}
	h, w := f.h+g.r.IntN(3), 2*f.w
	c := int64(f.c)
	switch k := g.r.IntN(3); {
	case k == 0 && g.Opset() >= 18:
		attrs["axes"] = []int{2, 3}
		return feat{g.Node("Resize", []string{f.name, roi, "", g.Const([]int64{int64(h), int64(w)})}, attrs), f.c, h, w}
	case k == 1 && g.batch == 1:
		scales := ""
		if g.Opset() < 13 {
			scales = g.Const([]float32{})
		}
		return feat{g.Node("Resize", []string{f.name, roi, scales, g.Const([]int64{1, c, int64(h), int64(w)})}, attrs), f.c, h, w}
	}
	return feat{g.Node("Resize", []string{f.name, roi, g.Const([]float32{1, 1, 2, 1})}, attrs), f.c, 2 * f.h, f.w}
}

func (g *graphs) upsampled(f feat) feat {
	if g.Opset() > 9 || f.h > 8 || f.w > 8 {
		return feat{}
	}
	y := g.Node("Upsample", []string{f.name, g.Const([]float32{1, 1, 2, 2})}, testmodels.Attrs{"mode": []string{"nearest", "linear"}[g.r.IntN(2)]})
	return feat{y, f.c, 2 * f.h, 2 * f.w}
}

// grid samples at places from a constant.
func (g *graphs) grid(f feat) feat {
	if g.batch == 0 {
		return feat{}
	}
	vs := make([]float32, 3*3*2)
	for i := range vs {
		vs[i] = 2.4*g.r.Float32() - 1.2
	}
	at := g.ConstDims(g.id("grid"), []int64{1, 3, 3, 2}, vs)
	mode := []string{"bilinear", "nearest", "bicubic"}[g.r.IntN(3)]
	if g.Opset() >= 20 && mode == "bilinear" {
		mode = "linear"
	}
	op := "GridSample"
	if g.r.IntN(3) == 0 && g.Opset() < 20 {
		op = "com.microsoft::GridSample"
	}
	if g.Opset() >= 20 && mode == "bicubic" {
		mode = "cubic"
	}
	y := g.Node(op, []string{f.name, at}, testmodels.Attrs{"mode": mode, "padding_mode": []string{"zeros", "border", "reflection"}[g.r.IntN(3)], "align_corners": g.r.IntN(2)})
	return feat{y, f.c, 3, 3}
}

// affine turns the picture by a matrix that is computed from it.
func (g *graphs) affine(f feat) feat {
	if g.batch == 0 || f.h < 2 || f.w < 2 {
		return feat{}
	}
	theta := g.Gemm(g.id("theta"), g.Flatten(g.GlobalAveragePool(f.name)), f.c, 6)
	theta = g.Add(g.Mul(g.tamed(theta, small), g.Const(float32(0.3))), g.Const([]float32{1, 0, 0, 0, 1, 0}))
	at := g.Node("AffineGrid", []string{g.Reshape(theta, -1, 2, 3), g.Const([]int64{1, int64(f.c), int64(f.h), int64(f.w)})}, testmodels.Attrs{"align_corners": g.r.IntN(2)})
	f.name = g.Node("GridSample", []string{f.name, at}, testmodels.Attrs{"padding_mode": "border"})
	return f
}

func (g *graphs) depthToSpace(f feat) feat {
	if f.c%4 != 0 || f.h > 8 || f.w > 8 {
		return feat{}
	}
	return feat{g.Node("DepthToSpace", []string{f.name}, testmodels.Attrs{"blocksize": 2}), f.c / 4, 2 * f.h, 2 * f.w}
}
