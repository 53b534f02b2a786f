package ops

import (
	"strings"

	"onnxprune/analysis/channels/atoms"
)

// Linear layers: Gemm, MatMul and Einsum. The inner axes of both operands are the same channels and are summed over; the outer
// ones pass to the result. A weight may stand on either side.

func init() {
	gemm := Rule{Title: "inner axes unified, outer axes pass", Flow: flowGemm, Weights: []int{1, 0}}
	register("", "Gemm", gemm)
	register("com.microsoft", "FusedGemm", gemm)
	for _, op := range []string{"MatMul", "MatMulInteger"} {
		register("", op, Rule{Title: "inner axes unified, outer axes pass", Weights: []int{1, 0},
			Flow: func(c *Context) { flowMatMul(c, 0, 1, map[int]int{3: 1, 2: 0}) }})
	}
	register("", "QLinearMatMul", Rule{Title: "inner axes unified, outer axes pass", Weights: []int{3, 0},
		Flow: func(c *Context) { flowMatMul(c, 0, 3, map[int]int{4: 1, 5: 1, 1: 0, 2: 0}) }})
	register("com.microsoft", "MatMulIntegerToFloat", Rule{Title: "inner axes unified, outer axes pass", Weights: []int{1, 0},
		Flow: func(c *Context) { flowMatMul(c, 0, 1, map[int]int{2: 0, 3: 1, 4: 0, 5: 1, 6: 1}) }})
	register("", "Einsum", Rule{Title: "by its equation", Flow: flowEinsum, Weights: []int{AnyInput}})
}

// Static reports whether the i-th input is known before the run: a weight, or computed from weights only.
func (c *Context) Static(i int) bool { return c.State.IsStatic(c.Node.Input(i)) }

// contract unifies an axis of operand i with one of operand j and says that it is summed over.
func (c *Context) contract(i, ai, j, aj int) {
	c.Unify(c.In(i)[ai], c.In(j)[aj], "as the inner axis of a matrix product")
	switch {
	case c.Static(j):
		c.Consume(i, ai, j, aj)
	case c.Static(i):
		c.Consume(j, aj, i, ai)
	default:
		c.Consume(i, ai, -1, 0)
	}
}

func flowGemm(c *Context) {
	c.Ignore("alpha", "beta", "broadcast", "activation", "activation_alpha", "activation_beta", "activation_gamma")
	ta, tb := int(c.Int("transA", 0)), int(c.Int("transB", 0))
	a, b := c.In(0), c.In(1)
	if len(a) != 2 || len(b) != 2 || ta>>1 != 0 || tb>>1 != 0 {
		c.Barrier("its operands have ranks %d and %d", len(a), len(b))
		return
	}
	c.contract(0, 1-ta, 1, tb)
	out := []atoms.Axis{a[ta], b[1-tb]}
	if c.Has(2) {
		bias := c.In(2)
		for k := range bias {
			if n, ok := c.Info(2).Fixed(k); ok && n == 1 {
				continue
			}
			at := 2 - len(bias) + k
			out[at] = c.Unify(out[at], bias[k], "as the bias of a linear layer")
		}
	}
	if c.Static(1) {
		c.Parameter(1, 1-tb)
	} else if c.Static(0) {
		c.Parameter(0, ta)
	}
	c.Out(0, out)
}

// flowMatMul is MatMul of the operands at inputs ai and bi. vectors maps inputs that hold scales, zero points or a bias to
// the operand whose outer axis they follow (0 or 1).
func flowMatMul(c *Context, ai, bi int, vectors map[int]int) {
	a, b := c.In(ai), c.In(bi)
	if len(a) == 0 || len(b) == 0 {
		c.Barrier("an operand is a scalar")
		return
	}
	ka, kb := len(a)-1, max(len(b)-2, 0)
	c.contract(ai, ka, bi, kb)
	var out []atoms.Axis
	batchA, batchB := a[:max(len(a)-2, 0)], b[:max(len(b)-2, 0)]
	for k := range max(len(batchA), len(batchB)) {
		ia, ib := k-max(len(batchB)-len(batchA), 0), k-max(len(batchA)-len(batchB), 0)
		out = append(out, c.meet(ai, ia, bi, ib))
	}
	var outer [2]atoms.Axis
	if len(a) > 1 {
		outer[0] = a[len(a)-2]
		out = append(out, outer[0])
	}
	if len(b) > 1 {
		outer[1] = b[len(b)-1]
		out = append(out, outer[1])
	}
	for i := range c.Node.Inputs { // in order: labels are made as they are asked for
		side, ok := vectors[i]
		if !ok || !c.Has(i) {
			continue
		}
		axes := c.In(i)
		for k, ax := range axes {
			if n, ok := c.Info(i).Fixed(k); ok && n == 1 {
				continue
			}
			if last := len(axes) - 1; k == last && side == 1 || side == 0 && k == max(last-1, 0) {
				c.Unify(outer[side], ax, "as scales or a bias of a matrix product")
			} else {
				c.Pin(ax, "it is an operand of %s that does not follow its channels", c.Node.Title())
			}
		}
	}
	switch {
	case c.Static(bi) && len(b) > 1:
		c.Parameter(bi, len(b)-1)
	case c.Static(ai) && len(a) > 1:
		c.Parameter(ai, len(a)-2)
	}
	c.Out(0, out)
}

// meet broadcasts one axis of operand i with one of operand j; an index below zero means that the operand lacks it.
func (c *Context) meet(i, ai, j, aj int) atoms.Axis {
	one := func(i, a int) bool {
		if a < 0 {
			return true
		}
		n, ok := c.Info(i).Fixed(a)
		return ok && n == 1
	}
	switch {
	case one(i, ai) && one(j, aj):
		return atoms.Axis{}
	case one(i, ai):
		return c.In(j)[aj]
	case one(j, aj):
		return c.In(i)[ai]
	}
	return c.Unify(c.In(i)[ai], c.In(j)[aj], "as a batch axis of a matrix product")
}

func flowEinsum(c *Context) {
	terms, result, ok := equation(c.Text("equation", ""), c)
	if !ok {
		c.Barrier("its equation is not understood")
		return
	}
	axes := map[string]atoms.Axis{}
	readers := map[string][][2]int{}
	for i, term := range terms {
		for k, letter := range term {
			if n, fixed := c.Info(i).Fixed(k); fixed && n == 1 && strings.HasPrefix(letter, "...") {
				continue
			}
			for _, r := range readers[letter] {
				if r[0] == i {
					c.Pin(c.In(i)[k], "%s takes a diagonal over it", c.Node.Title())
				}
			}
			if len(readers[letter]) == 0 {
				axes[letter] = c.In(i)[k]
			} else {
				axes[letter] = c.Unify(axes[letter], c.In(i)[k], "in a sum of products")
			}
			readers[letter] = append(readers[letter], [2]int{i, k})
		}
	}
	kept := map[string]bool{}
	out := make([]atoms.Axis, len(result))
	for k, letter := range result {
		out[k], kept[letter] = axes[letter], true
	}
	for _, term := range terms {
		for _, letter := range term {
			if kept[letter] {
				continue
			}
			kept[letter] = true
			c.consumeLetter(readers[letter])
		}
	}
	for i, term := range terms {
		if !c.Static(i) {
			continue
		}
		for k, letter := range term {
			if len(readers[letter]) == 1 && len(out) > 0 && contains(result, letter) {
				c.Parameter(i, k)
				break
			}
		}
	}
	c.Out(0, out)
}

func (c *Context) consumeLetter(readers [][2]int) {
	act, weight := -1, -1
	for r, at := range readers {
		if c.Static(at[0]) {
			weight = r
		} else if act < 0 {
			act = r
		}
	}
	switch {
	case act < 0:
		c.Consume(readers[0][0], readers[0][1], -1, 0)
	case weight < 0:
		c.Consume(readers[act][0], readers[act][1], -1, 0)
	default:
		c.Consume(readers[act][0], readers[act][1], readers[weight][0], readers[weight][1])
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// equation cuts an Einsum equation into letters per operand and of the result; the axes under an ellipsis get
// letters of their own, counted from the last.
func equation(eq string, c *Context) (terms [][]string, result []string, ok bool) {
	eq = strings.ReplaceAll(eq, " ", "")
	left, right, arrow := strings.Cut(eq, "->")
	parts := strings.Split(left, ",")
	if len(parts) != len(c.Node.Inputs) {
		return nil, nil, false
	}
	dots, count := 0, map[string]int{}
	for i, p := range parts {
		rank := c.Rank(i)
		covered := rank - len(strings.ReplaceAll(p, "...", ""))
		if covered < 0 || covered > 0 && !strings.Contains(p, "...") {
			return nil, nil, false
		}
		dots = max(dots, covered)
		t := letters(p, covered)
		for _, l := range t {
			count[l]++
		}
		terms = append(terms, t)
	}
	if arrow {
		return terms, letters(right, dots), true
	}
	result = letters("...", dots)
	for l := 'A'; l <= 'z'; l++ {
		if count[string(l)] == 1 {
			result = append(result, string(l))
		}
	}
	return terms, result, true
}

// letters spells a term out; an ellipsis over n axes becomes "...n" down to "...1".
func letters(term string, n int) []string {
	var out []string
	for i := 0; i < len(term); i++ {
		if strings.HasPrefix(term[i:], "...") {
			for k := n; k > 0; k-- {
				out = append(out, "..."+string(rune('0'+k)))
			}
			i += 2
			continue
		}
		out = append(out, term[i:i+1])
	}
	return out
}
