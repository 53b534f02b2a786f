package rewrite_test

import "onnxprune/testmodels"

// Reductions over places and over channels, and what runs along an axis.

var reductions = append([]blockKind{
	{"cumulative", 11, (*graphs).cumulative}, {"cumulativeProduct", 26, (*graphs).cumulativeProduct}, {"largest", 10, (*graphs).largest},
	{"triangle", 14, (*graphs).triangle}, {"reversed", 10, (*graphs).reversed}, {"meanOfAll", 7, (*graphs).meanOfAll},
}, reduceBlocks()...)

// reducers are the reductions, each with the range that its operand is kept in.
var reducers = []struct {
	op   string
	tame tame
}{{"ReduceSum", free}, {"ReduceMean", free}, {"ReduceMax", free}, {"ReduceMin", free}, {"ReduceProd", large}, {"ReduceL1", free}, {"ReduceL2", positive},
	{"ReduceLogSum", positive}, {"ReduceLogSumExp", small}, {"ReduceSumSquare", small}}

func reduceBlocks() []blockKind {
	var out []blockKind
	for _, u := range reducers {
		out = append(out, blockKind{u.op, 7, func(g *graphs, f feat) feat { return g.reduction(f, u.op, u.tame) }})
	}
	return out
}

// reduce reduces over axes, which an attribute names or, later, an operand.
func (g *graphs) reduce(op, x string, keep bool, axes ...int64) string {
	since := int64(18)
	if op == "ReduceSum" {
		since = 13
	}
	attrs := testmodels.Attrs{"keepdims": keep}
	if g.Opset() < since {
		attrs["axes"] = axes
		return g.Node(op, []string{x}, attrs)
	}
	return g.Node(op, []string{x, g.Const(axes)}, attrs)
}

// reduction gates f by one of its reductions.
func (g *graphs) reduction(f feat, op string, t tame) feat {
	all := [][]int64{{2, 3}, {2}, {3}, {1}, {1, 2, 3}, {1, 3}}
	axes := all[g.r.IntN(len(all))]
	x := g.tamed(f.name, t)
	if op == "ReduceProd" { // a product of many numbers vanishes or explodes, one of two does not
		axes = [][]int64{{3}, {2}}[g.r.IntN(2)]
		x = g.Add(g.Mul(g.tamed(f.name, small), g.Const(float32(0.2))), g.Const(float32(1)))
	}
	given := append([]int64(nil), axes...)
	if g.Opset() >= 11 && g.r.IntN(3) == 0 {
		for i := range given {
			given[i] -= 4
		}
	}
	keep := g.r.IntN(2) == 0
	y := g.reduce(op, x, keep, given...)
	if !keep {
		y = g.Unsqueeze(y, axes...)
	}
	f.name = g.Mul(f.name, g.Sigmoid(y))
	return f
}

// meanOfAll reduces over every axis, or over none where an attribute says so.
func (g *graphs) meanOfAll(f feat) feat {
	attrs := testmodels.Attrs{"keepdims": g.r.IntN(2)}
	if g.Opset() >= 18 && g.r.IntN(2) == 0 {
		attrs["noop_with_empty_axes"] = 1
		f.name = g.Node("ReduceMean", []string{f.name}, attrs)
		return f
	}
	f.name = g.Mul(f.name, g.Sigmoid(g.Node([]string{"ReduceMean", "ReduceMax"}[g.r.IntN(2)], []string{f.name}, attrs)))
	return f
}

func (g *graphs) cumulative(f feat) feat {
	axis := g.Const(int64([]int{1, 2, 3, -1}[g.r.IntN(4)]))
	f.name = g.Node("CumSum", []string{f.name, axis}, testmodels.Attrs{"exclusive": g.r.IntN(2), "reverse": g.r.IntN(2)})
	return f
}

func (g *graphs) cumulativeProduct(f feat) feat {
	axis := g.Const(int64([]int{1, 2, 3, -1}[g.r.IntN(4)]))
	x := g.Add(g.Mul(g.tamed(f.name, small), g.Const(float32(0.2))), g.Const(float32(1)))
	f.name = g.Node("CumProd", []string{x, axis}, testmodels.Attrs{"exclusive": g.r.IntN(2), "reverse": g.r.IntN(2)})
	return f
}

// largest keeps the k largest, over places or over channels.
func (g *graphs) largest(f feat) feat {
	axis, n := 3, f.w
	if g.r.IntN(3) == 0 {
		axis, n = 1, f.c
	}
	k := 1 + g.r.IntN(n)
	attrs := testmodels.Attrs{"axis": axis}
	if g.Opset() >= 11 {
		attrs["largest"] = g.r.IntN(2)
	}
	y := g.NodeN("TopK", []string{f.name, g.Const([]int64{int64(k)})}, 2, attrs)
	if g.Opset() >= 11 && g.r.IntN(2) == 0 {
		y[0] = g.Node("GatherElements", []string{f.name, y[1]}, testmodels.Attrs{"axis": axis})
	}
	if f.name = y[0]; axis == 1 {
		f.c = k
	} else {
		f.w = k
	}
	return f
}

func (g *graphs) triangle(f feat) feat {
	in := []string{f.name}
	if g.r.IntN(2) == 0 {
		in = append(in, g.Const(int64(g.r.IntN(3)-1)))
	}
	f.name = g.Node("Trilu", in, testmodels.Attrs{"upper": g.r.IntN(2)})
	return f
}

// reversed turns part of each row around.
func (g *graphs) reversed(f feat) feat {
	if g.batch == 0 {
		return feat{}
	}
	x := g.Transpose(f.name, 2, 0, 1, 3) // time, batch
	y := g.Node("ReverseSequence", []string{x, g.Const([]int64{int64(1 + g.r.IntN(f.h))})}, testmodels.Attrs{"time_axis": 0, "batch_axis": 1})
	f.name = g.Transpose(y, 1, 2, 0, 3)
	return f
}
