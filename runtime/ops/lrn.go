package ops

// LRN, the normalization over neighbouring channels of AlexNet and GoogLeNet (Krizhevsky et al. 2012):
// y = x / (bias + alpha/size * sum of squares of the channels around)^beta.

import (
	"fmt"
	"math"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "LRN", buildLRN, 1, 13) }

type lrn struct {
	size              int
	alpha, beta, bias float64
}

func buildLRN(n *Node) (Kernel, error) {
	l := &lrn{size: int(n.Int("size", 0)), alpha: float64(n.Float("alpha", 1e-4)), beta: float64(n.Float("beta", 0.75)),
		bias: float64(n.Float("bias", 1))}
	if l.size < 1 {
		return nil, fmt.Errorf("attribute size is missing or %d", l.size)
	}
	return byFloat(lrnKernel[float32](l), lrnKernel[float64](l)), n.CheckInputs(1, 1)
}

func lrnKernel[T kernels.Float](l *lrn) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if len(x.Shape) < 2 {
			return nil, fmt.Errorf("input of shape %v, want batch and channels", x.Shape)
		}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		channels, size := x.Shape[1], product(x.Shape[2:])
		c.Pool.Do(x.Shape[0]*channels, max(1, 4096/max(1, size*l.size)), func(lo, hi int) {
			sums := make([]float64, size)
			for i := lo; i < hi; i++ {
				image, ch := i/channels, i%channels
				clear(sums)
				first, last := max(0, ch-(l.size-1)/2), min(channels-1, ch+l.size/2)
				for near := first; near <= last; near++ {
					for j, v := range xs[(image*channels+near)*size:][:size] {
						sums[j] += float64(v) * float64(v)
					}
				}
				for j, s := range sums {
					y.data[i*size+j] = T(float64(xs[i*size+j]) * math.Pow(l.bias+l.alpha/float64(l.size)*s, -l.beta))
				}
			}
		})
		return []*value.Tensor{y.done()}, nil
	}
}
