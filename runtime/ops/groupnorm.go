package ops

// Normalization of whole regions of one image: InstanceNormalization (a plane), GroupNormalization (some channels), and
// MeanVarianceNormalization (any axes).

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "InstanceNormalization", buildInstanceNorm, 1, 6, 22)
	Register("", "GroupNormalization", buildGroupNorm, 18, 21)
	Register("", "MeanVarianceNormalization", buildMeanVarianceNorm, 1, 9, 13)
}

// groupNorm normalizes groups of channels, then scales and shifts each channel.
type groupNorm struct {
	epsilon float64
	groups  int  // 0: as many as channels
	shared  bool // scale and bias have one entry per group instead of one per channel
}

func buildInstanceNorm(n *Node) (Kernel, error) {
	g := &groupNorm{epsilon: float64(n.Float("epsilon", 1e-5))}
	if n.Since < 6 {
		n.Ignore("consumed_inputs")
	}
	return byFloat(groupNormKernel[float32](g), groupNormKernel[float64](g)), n.CheckInputs(3, 3)
}

func buildGroupNorm(n *Node) (Kernel, error) {
	g := &groupNorm{epsilon: float64(n.Float("epsilon", 1e-5)), groups: int(n.Int("num_groups", 0)), shared: n.Since < 21}
	if n.Since >= 21 {
		n.Ignore("stash_type") // the least precision that is asked for: sums are float64 whatever it says
	}
	if g.groups < 1 {
		return nil, fmt.Errorf("attribute num_groups is missing or %d", g.groups)
	}
	return byFloat(groupNormKernel[float32](g), groupNormKernel[float64](g)), n.CheckInputs(3, 3)
}

func groupNormKernel[T kernels.Float](g *groupNorm) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if len(x.Shape) < 2 {
			return nil, fmt.Errorf("input of shape %v, want batch and channels", x.Shape)
		}
		groups, channels := g.groups, x.Shape[1]
		if groups == 0 {
			groups = channels
		}
		if groups == 0 || channels%groups != 0 {
			return nil, fmt.Errorf("%d channels cannot be cut into %d groups", channels, groups)
		}
		scale, bias, err := g.scaleAndBias(in, groups)
		if err != nil {
			return nil, err
		}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		size, perGroup := product(x.Shape[2:]), channels/groups
		c.Pool.Do(x.Shape[0]*groups, max(1, 8192/max(1, size*perGroup)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				from := xs[i*perGroup*size : (i+1)*perGroup*size]
				mean, inv := statistics(from, g.epsilon)
				for ch := range perGroup {
					to := i*perGroup + ch
					factor := inv * scale[to%channels]
					shift := bias[to%channels] - mean*factor
					for j, v := range from[ch*size : (ch+1)*size] {
						y.data[to*size+j] = T(float64(v)*factor + shift)
					}
				}
			}
		})
		return []*value.Tensor{y.done()}, nil
	}
}

// scaleAndBias returns one entry of each per channel.
func (g *groupNorm) scaleAndBias(in []*value.Tensor, groups int) (scale, bias []float64, err error) {
	channels := in[0].Shape[1]
	want := channels
	if g.shared {
		want = groups
	}
	var params [2][]float64
	for i, t := range in[1:3] {
		if params[i], err = floatElements[float64](t); err != nil {
			return nil, nil, fmt.Errorf("input %d: %w", i+1, err)
		}
		if len(params[i]) != want {
			return nil, nil, fmt.Errorf("input %d has shape %v for an input of shape %v in %d groups", i+1, t.Shape, in[0].Shape, groups)
		}
		if g.shared {
			spread := make([]float64, channels)
			for ch := range spread {
				spread[ch] = params[i][ch/(channels/groups)]
			}
			params[i] = spread
		}
	}
	return params[0], params[1], nil
}

// statistics returns the mean and 1/sqrt(variance+epsilon).
func statistics[T kernels.Float](x []T, epsilon float64) (mean, inv float64) {
	mean = kernels.Sum(x) / float64(len(x))
	var squares float64
	for _, v := range x {
		squares += (float64(v) - mean) * (float64(v) - mean)
	}
	return mean, invStdDev(squares/float64(len(x)), epsilon)
}

func buildMeanVarianceNorm(n *Node) (Kernel, error) {
	m := &meanVarianceNorm{axes: []int{0, 2, 3}, divide: true}
	if n.Since >= 9 {
		if n.Has("axes") {
			m.axes = n.Ints("axes")
		}
	} else {
		if n.Bool("across_channels", false) {
			m.axes = []int{0, 1, 2, 3}
		}
		m.divide = n.Bool("normalize_variance", true)
	}
	return byFloat(meanVarianceKernel[float32](m), meanVarianceKernel[float64](m)), n.CheckInputs(1, 1)
}

type meanVarianceNorm struct {
	axes   []int
	divide bool
}

// meanVarianceEpsilon is added to the standard deviation, as the operator's definition as a function has it.
const meanVarianceEpsilon = 1e-9

func meanVarianceKernel[T kernels.Float](m *meanVarianceNorm) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		groups, count, err := m.groupOf(x.Shape)
		if err != nil {
			return nil, err
		}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		sums, squares := make([]float64, count), make([]float64, count)
		for i, v := range xs {
			sums[groups(i)] += float64(v)
		}
		size := float64(len(xs)) / float64(count)
		for i, v := range xs {
			d := float64(v) - sums[groups(i)]/size
			squares[groups(i)] += d * d
		}
		for i, v := range xs {
			g := groups(i)
			d := float64(v) - sums[g]/size
			if m.divide {
				d /= math.Sqrt(squares[g]/size) + meanVarianceEpsilon
			}
			y.data[i] = T(d)
		}
		return []*value.Tensor{y.done()}, nil
	}
}

// groupOf returns a function from positions to the number of the region that is normalized together, and
// how many regions there are.
func (m *meanVarianceNorm) groupOf(shape []int) (group func(i int) int, count int, err error) {
	steps := make([]int, len(shape)) // of the group's number along every axis
	count = 1
	axes := make([]int, len(m.axes))
	for i, a := range m.axes {
		axes[i] = a
		if a < 0 {
			axes[i] += len(shape)
		}
		if axes[i] < 0 || axes[i] >= len(shape) {
			return nil, 0, fmt.Errorf("axes %v for an input of shape %v", m.axes, shape)
		}
	}
	for d := len(shape) - 1; d >= 0; d-- {
		if !slices.Contains(axes, d) {
			steps[d] = count
			count *= shape[d]
		}
	}
	return func(i int) int {
		g := 0
		for d := len(shape) - 1; d >= 0; d-- {
			g += i % shape[d] * steps[d]
			i /= shape[d]
		}
		return g
	}, count, nil
}
