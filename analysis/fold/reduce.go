package fold

import (
	"math"
	"slices"
)

// Reductions, and normalisations, which are a reduction and what is made of it.

func init() {
	sum := func(vs []float64) float64 {
		s := 0.0
		for _, v := range vs {
			s += v
		}
		return s
	}
	squares := func(vs []float64) float64 {
		s := 0.0
		for _, v := range vs {
			s += float64(v * v) // rounded by itself, so that no machine fuses it with the sum
		}
		return s
	}
	for op, f := range map[string]func([]float64) float64{
		"ReduceSum": sum, "ReduceSumSquare": squares, "ReduceL2": func(vs []float64) float64 { return math.Sqrt(squares(vs)) },
		"ReduceMean": mean, "ReduceMax": slices.Max[[]float64], "ReduceMin": slices.Min[[]float64],
		"ReduceL1": func(vs []float64) float64 { return sum(mapped(vs, math.Abs)) },
		"ReduceProd": func(vs []float64) float64 {
			p := 1.0
			for _, v := range vs {
				p *= v
			}
			return p
		},
		"ReduceLogSum":    func(vs []float64) float64 { return math.Log(sum(vs)) },
		"ReduceLogSumExp": func(vs []float64) float64 { m := slices.Max(vs); return m + math.Log(sum(exponentials(vs, m))) },
	} {
		kernels[op] = kernel{can: notEmpty, run: func(c *call) []float64 {
			axes, _ := c.integers("axes", 1)
			if len(axes) == 0 && c.node.Int("noop_with_empty_axes", 0) == 0 {
				for k := range c.in(0).Shape {
					axes = append(axes, k)
				}
			}
			return reduced(c.in(0), axes, f)
		}}
	}
	kernels["Softmax"] = kernel{can: notEmpty, run: func(c *call) []float64 { return c.softmax(func(e, total float64) float64 { return e / total }) }}
	kernels["LogSoftmax"] = kernel{can: notEmpty, run: func(c *call) []float64 {
		return c.softmax(func(e, total float64) float64 { return math.Log(e / total) })
	}}
	kernels["LpNormalization"] = kernel{can: notEmpty, run: func(c *call) []float64 {
		p := c.node.Int("p", 2)
		return normalised(c.in(0), []int{int(c.node.Int("axis", -1))}, func(vs []float64) (shift, scale float64) {
			if p == 1 {
				return 0, sum(mapped(vs, math.Abs))
			}
			return 0, math.Sqrt(squares(vs))
		}, nil)
	}}
	kernels["MeanVarianceNormalization"] = kernel{can: notEmpty, run: func(c *call) []float64 {
		axes, ok := c.integers("axes", -1)
		if !ok {
			axes = []int{0, 2, 3}
		}
		return normalised(c.in(0), axes, statistics(1e-9, true), nil)
	}}
	kernels["LayerNormalization"] = kernel{can: firstOutput, run: func(c *call) []float64 {
		x := c.in(0)
		var axes []int
		for k := axis(int(c.node.Int("axis", -1)), len(x.Shape)); k < len(x.Shape); k++ {
			axes = append(axes, k)
		}
		return normalised(x, axes, statistics(float64(c.node.Float("epsilon", 1e-5)), false), c.affine(1, 2, func(t *Tensor) []int { return aligned(t.Shape, x.Shape) }))
	}}
	kernels["InstanceNormalization"] = kernel{can: notEmpty, run: func(c *call) []float64 { return c.perChannel(false) }}
	kernels["BatchNormalization"] = kernel{can: func(c *call) bool {
		return firstOutput(c) && c.node.Version >= 9 && (c.node.Version >= 14 || len(c.node.Outputs) == 1) // else it may be training
	}, run: func(c *call) []float64 {
		if c.node.Int("training_mode", 0) != 0 {
			return c.perChannel(true)
		}
		x, epsilon := c.in(0), float64(c.node.Float("epsilon", 1e-5))
		inner := count(x.Shape[2:])
		out := make([]float64, len(x.Data))
		for i, v := range x.Data {
			k := i / inner % x.Shape[1]
			out[i] = float64((v-c.in(3).Data[k])/math.Sqrt(c.in(4).Data[k]+epsilon)*c.in(1).Data[k]) + c.in(2).Data[k]
		}
		return out
	}}
}

func notEmpty(c *call) bool { return count(c.dims(0)) > 0 }

func firstOutput(c *call) bool { return c.output == c.node.Output(0) && notEmpty(c) }

func mean(vs []float64) float64 {
	s := 0.0
	for _, v := range vs {
		s += v
	}
	return s / float64(len(vs))
}

func exponentials(vs []float64, less float64) []float64 {
	return mapped(vs, func(v float64) float64 { return math.Exp(v - less) })
}

// groups collects the elements that agree on all but the given axes: numbers of the groups by element, and how many there are.
func groups(dims, axes []int) (of []int, n int) {
	kept := slices.Clone(dims)
	for _, a := range axes {
		kept[axis(a, len(dims))] = 1
	}
	at := aligned(kept, dims)
	of = make([]int, count(dims))
	each(dims, func(i int, index []int) { of[i] = dot(index, at) })
	return of, count(kept)
}

// gathered returns the elements of every group, in order.
func gathered(x *Tensor, of []int, n int) [][]float64 {
	out := make([][]float64, n)
	for i, g := range of {
		out[g] = append(out[g], x.Data[i])
	}
	return out
}

func reduced(x *Tensor, axes []int, f func([]float64) float64) []float64 {
	of, n := groups(x.Shape, axes)
	out := make([]float64, n)
	for g, vs := range gathered(x, of, n) {
		out[g] = f(vs)
	}
	return out
}

// normalised makes (x-shift)/scale of every element, by the statistics of its group, and then what then makes of it.
func normalised(x *Tensor, axes []int, of func(vs []float64) (shift, scale float64), then func(i int, index []int, v float64) float64) []float64 {
	group, n := groups(x.Shape, axes)
	shifts, scales := make([]float64, n), make([]float64, n)
	for g, vs := range gathered(x, group, n) {
		shifts[g], scales[g] = of(vs)
	}
	out := make([]float64, len(x.Data))
	each(x.Shape, func(i int, index []int) {
		if out[i] = (x.Data[i] - shifts[group[i]]) / scales[group[i]]; then != nil {
			out[i] = then(i, index, out[i])
		}
	})
	return out
}

// statistics are mean and deviation; epsilon is added to the variance, or to the deviation.
func statistics(epsilon float64, behindRoot bool) func([]float64) (float64, float64) {
	return func(vs []float64) (float64, float64) {
		m := mean(vs)
		v := mean(mapped(vs, func(x float64) float64 { return (x - m) * (x - m) }))
		if behindRoot {
			return m, math.Sqrt(v) + epsilon
		}
		return m, math.Sqrt(v + epsilon)
	}
}

// affine multiplies by one operand and adds another, either of which may be absent.
func (c *call) affine(scale, bias int, at func(t *Tensor) []int) func(i int, index []int, v float64) float64 {
	var s, b []int
	if t := c.in(scale); t != nil {
		s = at(t)
	}
	if t := c.in(bias); t != nil {
		b = at(t)
	}
	return func(_ int, index []int, v float64) float64 {
		if s != nil {
			v = float64(v * c.in(scale).Data[dot(index, s)])
		}
		if b != nil {
			v += c.in(bias).Data[dot(index, b)]
		}
		return v
	}
}

// perChannel normalises over places, and over the batch too where that is asked for.
func (c *call) perChannel(batch bool) []float64 {
	x := c.in(0)
	var axes []int
	for k := range x.Shape {
		if k > 1 || k == 0 && batch {
			axes = append(axes, k)
		}
	}
	channel := make([]int, len(x.Shape))
	channel[1] = 1
	return normalised(x, axes, statistics(float64(c.node.Float("epsilon", 1e-5)), false), c.affine(1, 2, func(*Tensor) []int { return channel }))
}

// softmax runs over one axis, before opset 13 over all from the axis on.
func (c *call) softmax(f func(e, total float64) float64) []float64 {
	x, def := c.in(0), int64(-1)
	if c.node.Version < 13 {
		def = 1
	}
	axes := []int{axis(int(c.node.Int("axis", def)), len(x.Shape))}
	for k := axes[0] + 1; c.node.Version < 13 && k < len(x.Shape); k++ {
		axes = append(axes, k)
	}
	of, n := groups(x.Shape, axes)
	most, total := make([]float64, n), make([]float64, n)
	for g, vs := range gathered(x, of, n) {
		most[g] = slices.Max(vs)
		for _, e := range exponentials(vs, most[g]) {
			total[g] += e
		}
	}
	out := make([]float64, len(x.Data))
	for i, v := range x.Data {
		out[i] = f(math.Exp(v-most[of[i]]), total[of[i]])
	}
	return out
}
