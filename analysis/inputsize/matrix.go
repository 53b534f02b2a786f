package inputsize

import (
	"slices"
	"strings"
)

// Products of matrices.

// matrixConstant refuses a weight whose rows are the cells of a map.
func matrixConstant(x *visit) error {
	if x.node.Op == "Gemm" {
		a := x.in(0)
		if len(a) == 2 && x.isConstant(x.node.Input(1)) && a[1-int(x.node.Int("transA", 0))].Varies() {
			return x.fail(1, "its rows belong to the cells of a map (%v): a linear layer over positions is made for one size", a[1-int(x.node.Int("transA", 0))])
		}
		return nil
	}
	a, b := x.in(0), x.in(1)
	if strings.HasPrefix(x.node.Op, "QLinear") {
		b = x.in(3)
	}
	if len(a) > 0 && len(b) > 1 && a[len(a)-1].Varies() && x.isConstant(x.node.Input(1)) {
		return x.fail(1, "its rows belong to the cells of a map (%v): a linear layer over positions is made for one size", a[len(a)-1])
	}
	if len(b) > 1 && b[len(b)-2].Varies() && x.isConstant(x.node.Input(0)) {
		return x.fail(0, "its columns belong to the cells of a map (%v): a linear layer over positions is made for one size", b[len(b)-2])
	}
	return nil
}

func matmul(x *visit) error {
	a, b := x.in(0), x.in(1)
	if strings.HasPrefix(x.node.Op, "QLinear") {
		b = x.in(3)
	}
	if len(a) < 2 || len(b) < 2 {
		return numbersOnly(x)
	}
	if x.node.Int("transA", 0) != 0 {
		a = swapped(a)
	}
	if x.node.Int("transB", 0) != 0 {
		b = swapped(b)
	}
	inner, outer := a[len(a)-1], b[len(b)-2]
	if inner != nil && outer != nil && (inner.Old() != outer.Old() || inner.New() != outer.New()) {
		return x.fail(1, "it sums over %d elements, but meets %d", outer.New(), inner.New())
	}
	rank := max(len(a), len(b))
	out := make([]Axis, rank)
	for k := range rank - 2 {
		if i := len(a) - rank + k; i >= 0 {
			out[k] = a[i]
		}
		if i := len(b) - rank + k; i >= 0 && (out[k] == nil || out[k].Old() == 1) {
			out[k] = b[i]
		}
	}
	out[rank-2], out[rank-1] = a[len(a)-2], b[len(b)-1]
	x.out(0, out)
	return nil
}

func swapped(axes []Axis) []Axis {
	out := slices.Clone(axes)
	n := len(out)
	out[n-1], out[n-2] = out[n-2], out[n-1]
	return out
}

func gemm(x *visit) error {
	a, b := x.in(0), x.in(1)
	if len(a) != 2 || len(b) != 2 {
		return nil
	}
	x.out(0, []Axis{a[int(x.node.Int("transA", 0))], b[1-int(x.node.Int("transB", 0))]})
	return nil
}
