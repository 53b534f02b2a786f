package fold

import (
	"slices"
	"strings"
)

// Sums of products. Every product is rounded by itself, so that no machine fuses it with the sum.

func init() {
	kernels["MatMul"] = kernel{run: matMul}
	kernels["Gemm"] = kernel{run: gemm}
	kernels["Einsum"] = kernel{can: func(c *call) bool { return !strings.Contains(c.node.Text("equation", ""), "...") }, run: einsum}
	kernels["Conv"] = kernel{can: func(c *call) bool {
		pad := c.node.Text("auto_pad", "NOTSET")
		return len(c.dims(0)) > 2 && (pad == "NOTSET" || pad == "VALID")
	}, run: conv}
}

func matMul(c *call) []float64 {
	a, b := c.in(0), c.in(1)
	if len(a.Shape) == 1 {
		a = &Tensor{Shape: []int{1, a.Shape[0]}, Data: a.Data}
	}
	if len(b.Shape) == 1 {
		b = &Tensor{Shape: []int{b.Shape[0], 1}, Data: b.Data}
	}
	la, lb := len(a.Shape), len(b.Shape)
	m, inner, n := a.Shape[la-2], a.Shape[la-1], b.Shape[lb-1]
	rank := max(la, lb) - 2
	batch := make([]int, rank)
	for k := range batch {
		batch[k] = 1
		for _, dims := range [][]int{a.Shape[:la-2], b.Shape[:lb-2]} {
			if at := k - rank + len(dims); at >= 0 {
				batch[k] = max(batch[k], dims[at])
			}
		}
	}
	sa, sb := aligned(a.Shape[:la-2], batch), aligned(b.Shape[:lb-2], batch)
	out := make([]float64, count(batch)*m*n)
	each(batch, func(i int, index []int) {
		x, y := a.Data[dot(index, sa)*m*inner:], b.Data[dot(index, sb)*inner*n:]
		z := out[i*m*n:]
		for r := range m {
			for k := range inner {
				v := x[r*inner+k]
				for col := range n {
					z[r*n+col] += float64(v * y[k*n+col])
				}
			}
		}
	})
	return out
}

func gemm(c *call) []float64 {
	a, b := c.in(0), c.in(1)
	alpha, beta := float64(c.node.Float("alpha", 1)), float64(c.node.Float("beta", 1))
	turned := func(t *Tensor, attr string) (rows, along int) {
		s := strides(t.Shape)
		if c.node.Int(attr, 0) != 0 {
			return s[1], s[0]
		}
		return s[0], s[1]
	}
	ra, ka := turned(a, "transA")
	kb, cb := turned(b, "transB")
	inner := a.Shape[1]
	if c.node.Int("transA", 0) != 0 {
		inner = a.Shape[0]
	}
	var bias []int
	if t := c.in(2); t != nil {
		bias = aligned(t.Shape, c.out)
	}
	out := make([]float64, count(c.out))
	each(c.out, func(i int, index []int) {
		s := 0.0
		for k := range inner {
			s += float64(a.Data[index[0]*ra+k*ka] * b.Data[k*kb+index[1]*cb])
		}
		out[i] = float64(alpha * s)
		if bias != nil {
			out[i] += float64(beta * c.in(2).Data[dot(index, bias)])
		}
	})
	return out
}

// einsum goes through all values of the letters of the result, and within through those of the others.
func einsum(c *call) []float64 {
	left, right, arrow := strings.Cut(strings.ReplaceAll(c.node.Text("equation", ""), " ", ""), "->")
	terms := strings.Split(left, ",")
	if !arrow {
		for l := 'A'; l <= 'z'; l++ {
			if strings.Count(left, string(l)) == 1 {
				right += string(l)
			}
		}
	}
	letters, dims := []byte(right), slices.Clone(c.out)
	for i, term := range terms {
		for k := range term {
			at := slices.Index(letters, term[k])
			if at < 0 {
				at = len(letters)
				letters, dims = append(letters, term[k]), append(dims, 1)
			}
			dims[at] = max(dims[at], c.in(i).Shape[k])
		}
	}
	at := make([][]int, len(terms)) // by term: the strides along every letter
	for i, term := range terms {
		at[i] = make([]int, len(letters))
		for k, s := range strides(c.in(i).Shape) {
			if c.in(i).Shape[k] > 1 {
				at[i][slices.Index(letters, term[k])] += s
			}
		}
	}
	inner := count(dims[len(right):])
	out := make([]float64, count(c.out))
	each(dims, func(i int, index []int) {
		p := 1.0
		for k, t := range c.ins {
			p = float64(p * t.Data[dot(index, at[k])])
		}
		out[i/inner] += p
	})
	return out
}

// conv goes through outputs, and within through the weights of one output channel.
func conv(c *call) []float64 {
	x, w := c.in(0), c.in(1)
	n := len(x.Shape) - 2
	spread := func(attr string, def, length int) []int {
		if vs, ok := c.integers(attr, -1); ok {
			return vs
		}
		return slices.Repeat([]int{def}, length)
	}
	step, wide, pads := spread("strides", 1, n), spread("dilations", 1, n), spread("pads", 0, 2*n)
	perGroup := w.Shape[0] / int(c.node.Int("group", 1))
	from, kernel := strides(x.Shape), w.Shape[1:]
	size := count(kernel)
	out := make([]float64, count(c.out))
	each(c.out, func(i int, index []int) {
		o, s := index[1], 0.0
		first := o / perGroup * w.Shape[1]
		each(kernel, func(k int, tap []int) {
			at := index[0]*from[0] + (first+tap[0])*from[1]
			for d := range n {
				p := index[2+d]*step[d] + tap[1+d]*wide[d] - pads[d]
				if p < 0 || p >= x.Shape[2+d] {
					return
				}
				at += p * from[2+d]
			}
			s += float64(x.Data[at] * w.Data[o*size+k])
		})
		if t := c.in(2); t != nil {
			s += t.Data[o]
		}
		out[i] = s
	})
	return out
}
