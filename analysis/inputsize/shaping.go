package inputsize

import (
	"slices"
	"strings"
)

// Operators that order the same elements in other axes, repeat them, or reduce whole axes.

// reshapeTarget mends a target that is written down.
func reshapeTarget(x *visit) error {
	target, ok := x.written(1)
	attribute := false
	if !ok && x.node.Version < 5 {
		target, ok = x.node.Ints("shape")
		attribute = ok
	}
	in := x.in(0)
	if !ok || !varies(in) {
		return nil
	}
	out := x.regrouped(in, target)
	if out == nil {
		return x.fail(0, "it is %v, and it is not known how that becomes %v", describe(in), target)
	}
	is := slices.Clone(target)
	for k, n := range target {
		if n > 0 {
			is[k] = out[k].New()
		}
	}
	if attribute {
		if !slices.Equal(is, target) {
			x.setInts("shape", is)
		}
		return nil
	}
	x.setOperand(1, target, is)
	return nil
}

// regrouped distributes axes over a target as it is written: 0 keeps an axis, -1 takes what is left.
func (x *visit) regrouped(in []Axis, target []int64) []Axis {
	to := slices.Clone(target)
	if x.node.Int("allowzero", 0) == 0 {
		for k, n := range to {
			if n == 0 && k < len(in) {
				if in[k] == nil {
					return nil
				}
				to[k] = in[k].Old()
			}
		}
	}
	if slices.ContainsFunc(in, func(a Axis) bool { return a == nil }) {
		return nil
	}
	return regroup(in, to)
}

func describe(axes []Axis) string {
	var out []string
	for _, a := range axes {
		if a == nil {
			out = append(out, "?")
			continue
		}
		out = append(out, strings.Split(a.String(), " ")[0])
	}
	return "[" + strings.Join(out, ",") + "]"
}

func reshape(x *visit) error {
	in := x.in(0)
	o := x.node.Output(0)
	if x.now.Of(o).Rank() <= 1 && !varies(in) {
		return numbersOnly(x)
	}
	was := x.base.Of(o)
	to := make([]int64, len(was.Dims))
	for a := range to {
		n, known := was.Fixed(a)
		if !known {
			return nil
		}
		to[a] = n
	}
	out := regroup(in, to)
	if out == nil {
		return x.fail(0, "it is %v, and it is not known how that becomes %v", describe(in), to)
	}
	x.out(0, out)
	return nil
}

func flatten(x *visit) error {
	in := x.in(0)
	a := at(x.node.Int("axis", 1), len(in))
	if slices.ContainsFunc(in, func(a Axis) bool { return a == nil }) || a < 0 || a > len(in) {
		return nil
	}
	to := []int64{1, 1}
	for k, ax := range in {
		if k < a {
			to[0] *= ax.Old()
		} else {
			to[1] *= ax.Old()
		}
	}
	out := regroup(in, to)
	if out == nil {
		return x.fail(0, "it is %v, and it is not known how that becomes %v", describe(in), to)
	}
	x.out(0, out)
	return nil
}

func transpose(x *visit) error {
	in := x.in(0)
	perm, ok := x.node.Ints("perm")
	out := make([]Axis, len(in))
	for k := range out {
		from := len(in) - 1 - k
		if ok {
			from = int(perm[k])
		}
		out[k] = in[from]
	}
	x.out(0, out)
	return nil
}

func squeeze(x *visit) error {
	in := x.in(0)
	list, ok := x.axesOf(1)
	var out []Axis
	for k, a := range in {
		gone := a != nil && a.Old() == 1
		if ok {
			gone = slices.Contains(list, k)
		}
		if gone && a.Varies() {
			return x.fail(0, "axis %d is one element long at the old size alone", k)
		}
		if !gone {
			out = append(out, a)
		}
	}
	x.out(0, out)
	return nil
}

func unsqueeze(x *visit) error {
	in := x.in(0)
	rank := x.now.Of(x.node.Output(0)).Rank()
	list, ok := x.node.Ints("axes")
	if !ok {
		list, ok = x.written(1)
	}
	if !ok || rank < 0 {
		return nil
	}
	out := make([]Axis, rank)
	for _, a := range list {
		out[at(a, rank)] = fixed(1)
	}
	k := 0
	for a := range out {
		if out[a] == nil && k < len(in) {
			out[a] = in[k]
			k++
		}
	}
	x.out(0, out)
	return nil
}

// axesOf returns the axes that an attribute or an operand lists.
func (x *visit) axesOf(input int) ([]int, bool) {
	list, ok := x.node.Ints("axes")
	if !ok {
		list, ok = x.written(input)
	}
	out := make([]int, len(list))
	for i, a := range list {
		out[i] = at(a, len(x.in(0)))
	}
	return out, ok
}

// expandTarget mends a target that is written down: an axis of cells stays one. What is spread over a size that only the target names
// can not be told from another number.
func expandTarget(x *visit) error {
	target, ok := x.written(1)
	in := x.in(0)
	if !ok || !varies(in) {
		return nil
	}
	is := slices.Clone(target)
	for k := range is {
		a := len(in) - len(is) + k
		if a >= 0 && in[a].Varies() && is[k] == in[a].Old() {
			is[k] = in[a].New()
		}
	}
	x.setOperand(1, target, is)
	return nil
}

// expand gives the output the input's axes, and where a computed target spreads it over an extent that depends on the size, that extent.
func expand(x *visit) error {
	o := x.node.Output(0)
	was, is := x.base.Of(o), x.now.Of(o)
	in := x.in(0)
	out := make([]Axis, len(is.Dims))
	for a := range out {
		if i := len(in) - len(out) + a; i >= 0 {
			out[a] = in[i]
		}
		old, known := was.Fixed(a)
		now, also := is.Fixed(a)
		switch {
		case !known || !also || out[a] != nil && out[a].Old() == old && out[a].New() == now:
		case old == now:
			out[a] = fixed(old)
		default:
			out[a] = Axis{{{old, now, Open}}}
		}
	}
	x.out(0, out)
	return nil
}

func tile(x *visit) error {
	in := x.in(0)
	repeats, ok := x.written(1)
	if !ok || len(repeats) != len(in) {
		return numbersOnly(x)
	}
	out := make([]Axis, len(in))
	for a := range in {
		out[a] = in[a]
		if repeats[a] == 1 || in[a] == nil {
			continue
		}
		if !in[a].Varies() {
			out[a] = fixed(in[a].Old() * repeats[a])
			continue
		}
		out[a] = nil
		for range repeats[a] {
			out[a] = append(out[a], in[a]...)
		}
	}
	x.out(0, out)
	return nil
}

func reduce(x *visit) error {
	in := x.in(0)
	keep := x.node.Int("keepdims", 1) != 0
	list, ok := x.axesOf(1)
	if strings.HasPrefix(x.node.Op, "Arg") {
		list, ok = []int{at(x.node.Int("axis", 0), len(in))}, true
	}
	var out []Axis
	for a, ax := range in {
		gone := !ok || slices.Contains(list, a)
		switch {
		case !gone:
			out = append(out, ax)
		case keep:
			out = append(out, fixed(1))
		}
	}
	x.out(0, out)
	return nil
}
