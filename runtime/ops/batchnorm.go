package ops

// BatchNormalization. What its many versions differ in:
//   - before 9, spatial=0 gives every position of a feature map statistics of its own;
//   - before 14, a node that names outputs behind Y is in training mode (unless is_test, before 7, says otherwise): the
//     outputs are running mean and variance, and mean and inverse deviation of the batch;
//   - from 14 on, training_mode says it, and running mean and variance are the only further outputs.
//
// Where the documentation leaves it open, this is what ONNX Runtime does.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "BatchNormalization", buildBatchNorm, 1, 6, 7, 9, 14, 15) }

type batchNorm struct {
	epsilon, momentum float64
	spatial, training bool
	outputs           int
}

func buildBatchNorm(n *Node) (Kernel, error) {
	b := &batchNorm{epsilon: float64(n.Float("epsilon", 1e-5)), momentum: float64(n.Float("momentum", 0.9)), spatial: true}
	switch {
	case n.Since >= 14:
		b.training = n.Bool("training_mode", false)
	case n.Since < 9:
		b.spatial = n.Bool("spatial", true)
	}
	isTest := false
	if n.Since < 7 {
		isTest = n.Bool("is_test", false)
		n.Ignore("consumed_inputs")
	}
	for i := range n.Outputs {
		if n.HasOutput(i) {
			b.outputs = i + 1
		}
	}
	if n.Since < 14 {
		b.training = b.outputs > 1 && !isTest
	}
	if most := 5; b.outputs > most || n.Since >= 14 && b.outputs > 3 {
		return nil, fmt.Errorf("it has %d outputs", b.outputs)
	}
	return forOutputs(n, byFloat(batchNormKernel[float32](b), batchNormKernel[float64](b))), n.CheckInputs(5, 5)
}

// channelStatistics are what normalization takes away and divides by, one entry per channel.
type channelStatistics struct{ mean, variance []float64 }

func batchNormKernel[T kernels.Float](b *batchNorm) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if len(x.Shape) < 1 {
			return nil, fmt.Errorf("input of shape %v", x.Shape)
		}
		params, err := b.parameters(in)
		if err != nil {
			return nil, err
		}
		scale, bias, given := params[0], params[1], channelStatistics{params[2], params[3]}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		used := given
		if b.training {
			shape := x.Shape
			if !b.spatial {
				shape = []int{shape[0], product(shape[1:])}
			}
			used = batchStatistics(c, xs, shape)
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		normalizeChannels(c, b, y.data, xs, x.Shape, scale, bias, used)
		return b.results(c, y.done(), in, given, used)
	}
}

// normalizeChannels sets y = (x-mean)/sqrt(variance+epsilon)*scale + bias.
func normalizeChannels[T kernels.Float](c *Context, b *batchNorm, y, x []T, shape []int, scale, bias []float64, s channelStatistics) {
	factor, shift := make([]T, len(scale)), make([]T, len(scale))
	for i := range scale {
		f := scale[i] * invStdDev(s.variance[i], b.epsilon)
		factor[i], shift[i] = T(f), T(bias[i]-s.mean[i]*f)
	}
	if len(x) == 0 {
		return
	}
	if !b.spatial {
		for i, v := range x {
			y[i] = v*factor[i%len(factor)] + shift[i%len(factor)]
		}
		return
	}
	size := 1
	if len(shape) > 2 {
		size = product(shape[2:])
	}
	c.Pool.Do(len(x)/size, max(1, 16384/size), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			ch := i % len(factor)
			kernels.ScaleShift(y[i*size:(i+1)*size], x[i*size:(i+1)*size], factor[ch], shift[ch])
		}
	})
}

// parameters returns scale, bias, mean and variance, and checks their sizes.
func (b *batchNorm) parameters(in []*value.Tensor) ([4][]float64, error) {
	var params [4][]float64
	shape := in[0].Shape
	want := 1
	if len(shape) > 1 {
		want = shape[1]
		if !b.spatial {
			want = product(shape[1:])
		}
	}
	for i, t := range in[1:5] {
		v, err := floatElements[float64](t)
		if err != nil {
			return params, fmt.Errorf("input %d: %w", i+1, err)
		}
		if len(v) != want {
			return params, fmt.Errorf("input %d has shape %v for an input of shape %v", i+1, t.Shape, shape)
		}
		params[i] = v
	}
	return params, nil
}

// batchStatistics takes mean and variance of every channel over batch and positions.
func batchStatistics[T kernels.Float](c *Context, x []T, shape []int) channelStatistics {
	channels := 1
	if len(shape) > 1 {
		channels = shape[1]
	}
	size := 1
	if len(shape) > 2 {
		size = product(shape[2:])
	}
	s := channelStatistics{make([]float64, channels), make([]float64, channels)}
	c.Pool.Do(channels, 1, func(lo, hi int) {
		for ch := lo; ch < hi; ch++ {
			var sum, squares float64
			for image := range shape[0] {
				sum += kernels.Sum(x[(image*channels+ch)*size:][:size])
			}
			mean := sum / float64(shape[0]*size)
			for image := range shape[0] {
				for _, v := range x[(image*channels+ch)*size:][:size] {
					squares += (float64(v) - mean) * (float64(v) - mean)
				}
			}
			s.mean[ch], s.variance[ch] = mean, squares/float64(shape[0]*size)
		}
	})
	return s
}

// results adds the outputs behind Y that the node names.
func (b *batchNorm) results(c *Context, y *value.Tensor, in []*value.Tensor, given, used channelStatistics) ([]*value.Tensor, error) {
	out := []*value.Tensor{y}
	for i := 1; i < b.outputs; i++ {
		from, before := used.mean, given.mean
		if i%2 == 0 {
			from, before = used.variance, given.variance
		}
		v := slices.Clone(from)
		for j := range v {
			switch {
			case i < 3:
				v[j] = before[j]*b.momentum + v[j]*(1-b.momentum)
			case i == 4:
				v[j] = invStdDev(v[j], b.epsilon)
			}
		}
		like := in[3+(i+1)%2]
		t, err := newFloatOutput[float64](c, like.Type, like.Shape...)
		if err != nil {
			return nil, err
		}
		copy(t.data, v)
		out = append(out, t.done())
	}
	return out, nil
}

func invStdDev(variance, epsilon float64) float64 { return 1 / math.Sqrt(variance+epsilon) }
