package ops

// LinearAttention: attention without softmax, as a recurrence over a state of key size x value size per head
// (Katharopoulos et al. 2020; the delta rule after Yang et al. 2024). And CausalConvWithState, the short depthwise
// convolution that goes before it in such models.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "LinearAttention", buildLinearAttention, 27)
	Register("", "CausalConvWithState", buildCausalConv, 27)
}

type linearAttention struct {
	queryHeads, keyHeads int
	scale                float64
	gated, delta         bool
}

func buildLinearAttention(n *Node) (Kernel, error) {
	rule := n.OneOf("update_rule", "gated_delta", "linear", "gated", "delta")
	l := &linearAttention{queryHeads: int(n.Int("q_num_heads", 0)), keyHeads: int(n.Int("kv_num_heads", 0)),
		scale: float64(n.Float("scale", 0)), gated: rule == "gated" || rule == "gated_delta", delta: rule == "delta" || rule == "gated_delta"}
	n.Ignore("chunk_size") // how the work is cut does not show in the result
	if l.keyHeads < 1 || l.queryHeads < 1 || l.queryHeads%l.keyHeads != 0 {
		return nil, fmt.Errorf("%d query heads for %d key heads", l.queryHeads, l.keyHeads)
	}
	if n.HasInput(4) != l.gated || n.HasInput(5) != l.delta || n.HasInput(6) && !l.delta {
		return nil, fmt.Errorf("inputs decay, beta and erase gate do not go with update_rule %s", rule)
	}
	return forOutputs(n, byFloat(attendLinearly[float32](l), attendLinearly[float64](l))), n.CheckInputs(3, 7)
}

// linearRun is one run.
type linearRun[T kernels.Float] struct {
	*linearAttention
	q, k, v            heads[T]
	decay, beta, erase []T // batch x steps x ..., nil where absent
	decays, betas      int // numbers per step
	state              []T // batch x key heads x key size x value size
	y                  []T // batch x steps x query heads*value size
	factor             T   // of the queries
}

func attendLinearly[T kernels.Float](l *linearAttention) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		in = append(slices.Clone(in), make([]*value.Tensor, 7-len(in))...)
		r, err := newLinearRun[T](l, in)
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, in[0].Type, r.q.batch, r.q.length, r.q.count*r.v.size)
		if err != nil {
			return nil, err
		}
		stateType := in[0].Type
		if in[3] != nil {
			stateType = in[3].Type
		}
		state, err := newFloatOutput[T](c, stateType, r.q.batch, r.k.count, r.k.size, r.v.size)
		if err != nil {
			return nil, err
		}
		if in[3] != nil {
			past, err := floatElements[T](in[3])
			if err != nil {
				return nil, err
			}
			if !slices.Equal(in[3].Shape, state.tensor.Shape) {
				return nil, fmt.Errorf("past_state has shape %v, want %v", in[3].Shape, state.tensor.Shape)
			}
			copy(state.data, past)
		}
		r.state, r.y = state.data, y.data
		c.Pool.Do(r.q.batch*r.k.count, 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				r.head(i/r.k.count, i%r.k.count)
			}
		})
		return []*value.Tensor{y.done(), state.done()}, nil
	}
}

func newLinearRun[T kernels.Float](l *linearAttention, in []*value.Tensor) (*linearRun[T], error) {
	r := &linearRun[T]{linearAttention: l}
	var err error
	for i, h := range []*heads[T]{&r.q, &r.k, &r.v} {
		count := l.keyHeads
		if i == 0 {
			count = l.queryHeads
		}
		if len(in[i].Shape) != 3 {
			return nil, fmt.Errorf("input %d has shape %v, want three axes", i, in[i].Shape)
		}
		if *h, err = readHeads[T](in[i], count); err != nil {
			return nil, err
		}
	}
	if r.k.batch != r.q.batch || r.v.batch != r.q.batch || r.k.length != r.q.length || r.v.length != r.q.length || r.k.size != r.q.size {
		return nil, fmt.Errorf("query, key and value of shapes %v, %v and %v do not fit", in[0].Shape, in[1].Shape, in[2].Shape)
	}
	for i, to := range map[int]*[]T{4: &r.decay, 5: &r.beta, 6: &r.erase} {
		if *to, err = optionalFloats[T](in, i); err != nil {
			return nil, err
		}
		if in[i] == nil {
			continue
		}
		s := in[i].Shape
		if len(s) != 3 || s[0] != r.q.batch || s[1] != r.q.length || !slices.Contains(r.widths(i), s[2]) {
			return nil, fmt.Errorf("input %d has shape %v for keys of shape %v in %d heads", i, s, in[1].Shape, l.keyHeads)
		}
	}
	if in[4] != nil {
		r.decays = in[4].Shape[2]
	}
	if in[5] != nil {
		r.betas = in[5].Shape[2]
	}
	if r.factor = T(l.scale); l.scale == 0 {
		r.factor = T(1 / math.Sqrt(float64(r.k.size)))
	}
	return r, nil
}

// widths are the numbers per step that an input may have.
func (r *linearRun[T]) widths(input int) []int {
	switch input {
	case 4:
		return []int{r.keyHeads, r.keyHeads * r.k.size}
	case 5:
		return []int{r.keyHeads, 1}
	}
	return []int{r.keyHeads * r.k.size}
}

// head walks over the steps of one key head, and of the query heads that go with it.
func (r *linearRun[T]) head(b, h int) {
	keys, values, group := r.k.size, r.v.size, r.q.count/r.k.count
	state := r.state[(b*r.k.count+h)*keys*values:][:keys*values]
	written, erased := make([]T, values), make([]T, keys)
	for t := range r.q.length {
		row := b*r.q.length + t
		k, v := r.k.head(b, h)[t*r.k.rowGap:][:keys], r.v.head(b, h)[t*r.v.rowGap:][:values]
		if r.gated {
			r.fade(state, row, h)
		}
		copy(written, v)
		if r.delta {
			copy(erased, k)
			if r.erase != nil {
				kernels.Mul(erased, erased, r.erase[(row*r.keyHeads+h)*keys:][:keys])
			}
			for d, e := range erased {
				for m, s := range state[d*values : (d+1)*values] {
					written[m] -= s * e
				}
			}
			beta := r.beta[row*r.betas+h%r.betas]
			kernels.MulScalar(written, written, beta)
		}
		for d, key := range k {
			for m, w := range written {
				state[d*values+m] += key * w
			}
		}
		for i := range group {
			q := r.q.head(b, h*group+i)[t*r.q.rowGap:][:keys]
			y := r.y[row*r.q.count*values+(h*group+i)*values:][:values]
			for d, query := range q {
				scaled := query * r.factor
				for m, s := range state[d*values : (d+1)*values] {
					y[m] += scaled * s
				}
			}
		}
	}
}

// fade multiplies the state with exp(decay), one number per head or per row of the state.
func (r *linearRun[T]) fade(state []T, row, h int) {
	values := r.v.size
	for d := range r.k.size {
		at := row*r.decays + h
		if r.decays != r.keyHeads {
			at = row*r.decays + h*r.k.size + d
		}
		kernels.MulScalar(state[d*values:(d+1)*values], state[d*values:(d+1)*values], T(math.Exp(float64(r.decay[at]))))
	}
}

func buildCausalConv(n *Node) (Kernel, error) {
	silu := n.OneOf("activation", "none", "silu", "swish") != "none"
	return forOutputs(n, byFloat(causalConv[float32](silu), causalConv[float64](silu))), n.CheckInputs(2, 4)
}

// causalConv reads input (batch x channels x length), weight (channels x 1 x k), bias, and the k-1 inputs before.
func causalConv[T kernels.Float](silu bool) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x, w := in[0], in[1]
		if len(x.Shape) != 3 || len(w.Shape) != 3 || w.Shape[0] != x.Shape[1] || w.Shape[1] != 1 || w.Shape[2] < 1 {
			return nil, fmt.Errorf("input of shape %v and weights of shape %v do not fit", x.Shape, w.Shape)
		}
		batch, channels, length, k := x.Shape[0], x.Shape[1], x.Shape[2], w.Shape[2]
		data, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		weights, err := floatElements[T](w)
		if err != nil {
			return nil, err
		}
		bias, err := optionalFloats[T](in, 2)
		if err != nil {
			return nil, err
		}
		past, err := optionalFloats[T](in, 3)
		if err != nil {
			return nil, err
		}
		if bias != nil && len(bias) != channels || past != nil && len(past) != batch*channels*(k-1) {
			return nil, fmt.Errorf("%d biases and a past of %d numbers for an input of shape %v and a kernel of %d", len(bias), len(past), x.Shape, k)
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		present, err := newFloatOutput[T](c, x.Type, batch, channels, k-1)
		if err != nil {
			return nil, err
		}
		c.Pool.Do(batch*channels, max(1, 8192/max(1, length*k)), func(lo, hi int) {
			padded := make([]T, k-1+length)
			for i := lo; i < hi; i++ {
				clear(padded[:k-1])
				if past != nil {
					copy(padded, past[i*(k-1):(i+1)*(k-1)])
				}
				copy(padded[k-1:], data[i*length:(i+1)*length])
				var shift T
				if bias != nil {
					shift = bias[i%channels]
				}
				out := y.data[i*length : (i+1)*length]
				for t := range out {
					sum := shift
					for j, v := range weights[i%channels*k:][:k] {
						sum += v * padded[t+j]
					}
					if silu {
						sum = T(float64(sum) / (1 + math.Exp(-float64(sum))))
					}
					out[t] = sum
				}
				copy(present.data[i*(k-1):(i+1)*(k-1)], padded[length:])
			}
		})
		return []*value.Tensor{y.done(), present.done()}, nil
	}
}
