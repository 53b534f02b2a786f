package fold

import "slices"

// Operators that move elements and compute nothing.

func init() {
	for _, op := range []string{"Reshape", "Flatten", "Squeeze", "Unsqueeze"} {
		kernels[op] = kernel{run: func(c *call) []float64 { return slices.Clone(c.in(0).Data) }}
	}
	kernels["Transpose"] = kernel{run: func(c *call) []float64 {
		x := c.in(0)
		perm, ok := c.integers("perm", -1)
		if !ok {
			for k := range x.Shape {
				perm = append(perm, len(x.Shape)-1-k)
			}
		}
		from := strides(x.Shape)
		at := make([]int, len(perm))
		for k, p := range perm {
			at[k] = from[p]
		}
		return c.picked(func(index []int) int { return dot(index, at) })
	}}
	for _, op := range []string{"Expand", "Tile"} {
		kernels[op] = kernel{run: func(c *call) []float64 {
			x := c.in(0)
			from, offset := strides(x.Shape), len(c.out)-len(x.Shape)
			return c.picked(func(index []int) int {
				at := 0
				for k, s := range from {
					at += index[k+offset] % x.Shape[k] * s
				}
				return at
			})
		}}
	}
	kernels["Concat"] = kernel{run: concat}
	kernels["Split"] = kernel{run: split}
	kernels["Slice"] = kernel{run: slice}
	kernels["Gather"] = kernel{run: gather}
	kernels["Pad"] = kernel{can: func(c *call) bool { return c.node.Text("mode", "constant") == "constant" && c.node.Version >= 2 }, run: pad}
	kernels["ConstantOfShape"] = kernel{run: func(c *call) []float64 {
		v := 0.0
		if a := c.node.Attr("value"); a != nil && a.Tensor != nil {
			if t, err := read(a.Tensor); err == nil {
				v = t.Data[0]
			}
		}
		return slices.Repeat([]float64{v}, count(c.out))
	}}
}

// picked makes the output out of elements of the first operand.
func (c *call) picked(from func(index []int) int) []float64 {
	out, x := make([]float64, count(c.out)), c.in(0).Data
	each(c.out, func(i int, index []int) { out[i] = x[from(index)] })
	return out
}

func concat(c *call) []float64 {
	k := axis(int(c.node.Int("axis", 1)), len(c.out))
	outer, inner := count(c.out[:k]), count(c.out[k+1:])
	out := make([]float64, 0, count(c.out))
	for o := range outer {
		for _, t := range c.ins {
			n := t.Shape[k] * inner
			out = append(out, t.Data[o*n:(o+1)*n]...)
		}
	}
	return out
}

// split takes the part of the wanted output: the extents of those before it say where it begins.
func split(c *call) []float64 {
	x := c.in(0)
	k := axis(int(c.node.Int("axis", 0)), len(x.Shape))
	start := 0
	for _, v := range c.node.Outputs {
		if v == c.output {
			break
		}
		d, _ := extents(c.shapes.Of(v))
		start += d[k]
	}
	from := strides(x.Shape)
	return c.picked(func(index []int) int { return dot(index, from) + start*from[k] })
}

func slice(c *call) []float64 {
	x := c.in(0)
	starts, _ := c.integers("starts", 1)
	axes, ok := c.integers("axes", 3)
	steps, _ := c.integers("", 4)
	from := strides(x.Shape)
	step, begin := slices.Clone(from), 0
	for i, s := range starts {
		k := i
		if ok {
			k = axis(axes[i], len(x.Shape))
		}
		by, n := 1, x.Shape[k]
		if steps != nil {
			by = steps[i]
		}
		if s < 0 {
			s += n
		}
		if by > 0 {
			s = min(max(s, 0), n)
		} else {
			s = min(max(s, 0), n-1)
		}
		begin += s * from[k]
		step[k] = by * from[k]
	}
	return c.picked(func(index []int) int { return begin + dot(index, step) })
}

func gather(c *call) []float64 {
	x, ix := c.in(0), c.in(1)
	k := axis(int(c.node.Int("axis", 0)), len(x.Shape))
	r := len(ix.Shape)
	from, at := strides(x.Shape), strides(ix.Shape)
	return c.picked(func(index []int) int {
		to := axis(int(ix.Data[dot(index[k:k+r], at)]), x.Shape[k]) * from[k]
		return dot(index[:k], from[:k]) + to + dot(index[k+r:], from[k+1:])
	})
}

func pad(c *call) []float64 {
	x := c.in(0)
	pads, _ := c.integers("pads", 1)
	value := float64(c.node.Float("value", 0))
	if t := c.in(2); t != nil && len(t.Data) > 0 {
		value = t.Data[0]
	}
	before := make([]int, len(x.Shape))
	axes, ok := c.integers("", 3)
	for i := range len(pads) / 2 {
		k := i
		if ok {
			k = axis(axes[i], len(x.Shape))
		}
		before[k] = pads[i]
	}
	from, out := strides(x.Shape), make([]float64, count(c.out))
	each(c.out, func(i int, index []int) {
		at := 0
		for k, n := range x.Shape {
			p := index[k] - before[k]
			if p < 0 || p >= n {
				out[i] = value
				return
			}
			at += p * from[k]
		}
		out[i] = x.Data[at]
	})
	return out
}
