package ops

// RotaryEmbedding (Su et al. 2021): pairs of a head's elements are turned by an angle that grows with the position.
// ONNX Runtime's operator of that name has the inputs in another order.

import (
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "RotaryEmbedding", buildRotary, 23)
	Register("com.microsoft", "RotaryEmbedding", buildMicrosoftRotary, 1)
}

type rotary struct {
	interleaved bool // pairs are neighbours; else they lie half of the rotated part apart
	heads       int
	size        int  // of the part of a head that is turned; 0: all
	offset      bool // a single position is that of the first row, which the others follow
}

func buildRotary(n *Node) (Kernel, error) {
	r := &rotary{interleaved: n.Bool("interleaved", false), heads: int(n.Int("num_heads", 0)), size: int(n.Int("rotary_embedding_dim", 0))}
	return byFloat(rotate[float32](r), rotate[float64](r)), n.CheckInputs(3, 4)
}

func buildMicrosoftRotary(n *Node) (Kernel, error) {
	r := &rotary{interleaved: n.Bool("interleaved", false), heads: int(n.Int("num_heads", 0)),
		size: int(n.Int("rotary_embedding_dim", 0)), offset: true}
	if n.Bool("is_packed_batching", false) || n.Float("scale", 1) != 1 {
		return nil, fmt.Errorf("is_packed_batching and scale are not known")
	}
	reorder := func(f TensorFunc) TensorFunc {
		return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			return f(c, []*value.Tensor{in[0], in[2], in[3], in[1]})
		}
	}
	return reorder(byFloat(rotate[float32](r), rotate[float64](r))), n.CheckInputs(4, 4)
}

func rotate[T kernels.Float](r *rotary) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		count := r.heads
		if count == 0 && len(x.Shape) == 3 && len(in[1].Shape) > 0 && in[1].Shape[len(in[1].Shape)-1] > 0 {
			count = x.Shape[2] / (2 * in[1].Shape[len(in[1].Shape)-1])
		}
		h, err := readHeads[T](x, count)
		if err != nil {
			return nil, err
		}
		size := r.size
		if size == 0 {
			size = h.size
		}
		if size > h.size || size%2 != 0 {
			return nil, fmt.Errorf("%d of %d elements of a head cannot be turned", size, h.size)
		}
		cos, err := floatElements[T](in[1])
		if err != nil {
			return nil, err
		}
		sin, err := floatElements[T](in[2])
		if err != nil {
			return nil, err
		}
		angle, err := r.angles(in, h.batch, h.length, size/2)
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		copy(y.data, h.data)
		turned := h
		turned.data = y.data
		c.Pool.Do(h.batch*h.count, 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				from, to := h.head(i/h.count, i%h.count), turned.head(i/h.count, i%h.count)
				for row := range h.length {
					at := angle(i/h.count, row) * (size / 2)
					turn(to[row*h.rowGap:][:size], from[row*h.rowGap:][:size], cos[at:at+size/2], sin[at:at+size/2], r.interleaved)
				}
			}
		})
		return []*value.Tensor{y.done()}, nil
	}
}

// turn rotates pairs.
func turn[T kernels.Float](y, x, cos, sin []T, interleaved bool) {
	for i := range cos {
		a, b := i, i+len(cos)
		if interleaved {
			a, b = 2*i, 2*i+1
		}
		y[a] = cos[i]*x[a] - sin[i]*x[b]
		y[b] = sin[i]*x[a] + cos[i]*x[b]
	}
}

// angles returns a function from batch entry and row to a row of the caches.
func (r *rotary) angles(in []*value.Tensor, batch, length, half int) (func(b, row int) int, error) {
	cache := in[1].Shape
	if product(cache) != product(in[2].Shape) || len(cache) == 0 || cache[len(cache)-1] != half {
		return nil, fmt.Errorf("caches of shapes %v and %v for %d angles", cache, in[2].Shape, half)
	}
	if len(in) < 4 || in[3] == nil {
		if len(cache) != 3 || cache[0] != batch && cache[0] != 1 || cache[1] != length {
			return nil, fmt.Errorf("caches of shape %v for a batch of %d with %d rows", cache, batch, length)
		}
		rows, many := length, cache[0] > 1
		return func(b, row int) int {
			if !many {
				b = 0
			}
			return b*rows + row
		}, nil
	}
	ids, ok := in[3].Ints()
	offset := r.offset && len(ids) == 1
	if in[3].Type != onnxio.Int64 || !ok || len(cache) != 2 || !offset && len(ids) != batch*length {
		return nil, fmt.Errorf("position_ids are %v for a batch of %d with %d rows and caches of shape %v", in[3], batch, length, cache)
	}
	rows := length
	for _, id := range ids {
		if last := id + int64(rows-1); id < 0 || id >= int64(cache[0]) || offset && last >= int64(cache[0]) {
			return nil, fmt.Errorf("position %d lies outside of caches of %d rows", id, cache[0])
		}
	}
	if offset {
		return func(_, row int) int { return int(ids[0]) + row }, nil
	}
	return func(b, row int) int { return int(ids[b*rows+row]) }, nil
}
