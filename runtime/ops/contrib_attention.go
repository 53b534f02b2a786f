package ops

// ONNX Runtime's MultiHeadAttention and EmbedLayerNormalization, into which it fuses transformers.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("com.microsoft", "MultiHeadAttention", buildMultiHeadAttention, 1)
	Register("com.microsoft", "EmbedLayerNormalization", buildEmbedLayerNorm, 1)
}

// multiHead is a MultiHeadAttention node: inputs are query, key, value, bias, key padding mask, attention bias, past
// key and past value.
type multiHead struct {
	attention
	hidden float32 // what is added to the scores of padding
}

func buildMultiHeadAttention(n *Node) (Kernel, error) {
	m := &multiHead{hidden: n.Float("mask_filter_value", -10000)}
	count := int(n.Int("num_heads", 0))
	m.attention = attention{causal: n.Bool("unidirectional", false), queryHeads: count, keyHeads: count,
		scale: float64(n.Float("scale", 0)), wantsPresent: n.HasOutput(1) || n.HasOutput(2)}
	if count < 1 {
		return nil, fmt.Errorf("attribute num_heads is missing or %d", count)
	}
	if n.HasOutput(3) {
		return nil, fmt.Errorf("the output of scores is not known")
	}
	if !n.HasInput(1) || !n.HasInput(2) {
		return nil, fmt.Errorf("key or value is missing; packed inputs are not known")
	}
	return forOutputs(n, byFloat(attendMultiHead[float32](m), attendMultiHead[float64](m))), n.CheckInputs(3, 8)
}

func attendMultiHead[T kernels.Float](m *multiHead) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		in = append(slices.Clone(in), make([]*value.Tensor, 8-len(in))...)
		qkv, err := biasedHeads[T](c, in)
		if err != nil {
			return nil, err
		}
		for i, t := range qkv {
			if i == 0 && len(t.Shape) != 3 {
				return nil, fmt.Errorf("query of shape %v, want batch, length and hidden size; packed inputs are not known", t.Shape)
			}
		}
		// in the order of the inputs of Attention
		like := []*value.Tensor{qkv[0], qkv[1], qkv[2], in[5], in[6], in[7], nil}
		r, err := newAttentionRun[T](&m.attention, like)
		if err != nil {
			return nil, err
		}
		out := make([]*value.Tensor, 3)
		if m.wantsPresent || in[6] != nil {
			if out[1], r.k, err = r.k.join(c, in[6], qkv[1]); err != nil {
				return nil, err
			}
			if out[2], r.v, err = r.v.join(c, in[7], qkv[2]); err != nil {
				return nil, err
			}
		}
		if err := r.check(like); err != nil {
			return nil, err
		}
		if in[4] != nil {
			mask, err := paddingMask[T](in[4], r.q.batch, r.q.length, r.k.length, T(m.hidden))
			if err != nil {
				return nil, err
			}
			r.masks = append(r.masks, mask)
		}
		y, err := newFloatOutput[T](c, in[0].Type, r.q.batch, r.q.length, r.q.count*r.v.size)
		if err != nil {
			return nil, err
		}
		r.run(c, y.data, true, nil)
		out[0] = y.done()
		return out, nil
	}
}

// biasedHeads adds the bias, which holds the parts of query, key and value one after the other.
func biasedHeads[T kernels.Float](c *Context, in []*value.Tensor) ([3]*value.Tensor, error) {
	qkv := [3]*value.Tensor(in[:3])
	bias, err := optionalFloats[T](in, 3)
	if err != nil || bias == nil {
		return qkv, err
	}
	for i, t := range qkv {
		if len(t.Shape) != 3 || len(bias) < t.Shape[2] {
			return qkv, fmt.Errorf("bias of shape %v for inputs of shapes %v, %v and %v", in[3].Shape, in[0].Shape, in[1].Shape, in[2].Shape)
		}
		x, err := floatElements[T](t)
		if err != nil {
			return qkv, err
		}
		sum, err := newFloatOutput[T](c, t.Type, t.Shape...)
		if err != nil {
			return qkv, err
		}
		width := t.Shape[2]
		for j := range sum.data {
			sum.data[j] = x[j] + bias[j%width]
		}
		qkv[i], bias = sum.done(), bias[width:]
	}
	if len(bias) != 0 {
		return qkv, fmt.Errorf("bias of shape %v for inputs of shapes %v, %v and %v", in[3].Shape, in[0].Shape, in[1].Shape, in[2].Shape)
	}
	return qkv, nil
}

// paddingMask reads which keys count: a number of them per batch entry, or flags per batch entry and key (and query).
func paddingMask[T kernels.Float](t *value.Tensor, batch, queries, keys int, hidden T) (*scoreMask[T], error) {
	flags, ok := t.Ints()
	m := &scoreMask[T]{shape: [4]int{batch, 1, 1, keys}}
	counts := ok && slices.Equal(t.Shape, []int{batch})
	switch {
	case counts, ok && slices.Equal(t.Shape, []int{batch, keys}):
	case ok && slices.Equal(t.Shape, []int{batch, queries, keys}):
		m.shape[2] = queries
	default:
		return nil, fmt.Errorf("key_padding_mask %v for a batch of %d with %d queries and %d keys is not known", t, batch, queries, keys)
	}
	m.data = make([]T, product(m.shape[:]))
	for i := range m.data {
		if counts && int64(i%keys) >= flags[i/keys] || !counts && flags[i] == 0 {
			m.data[i] = hidden
		}
	}
	return m, nil
}

// buildEmbedLayerNorm reads token numbers, segment numbers, the embeddings of words, positions and segments, scale, bias,
// a mask, and positions.
func buildEmbedLayerNorm(n *Node) (Kernel, error) {
	r := &rowNorm{axis: -1, epsilon: float64(n.Float("epsilon", 1e-12)), centered: true, stash: onnxio.Float}
	if n.Int("mask_index_type", 1) != 1 && n.HasInput(7) {
		return nil, fmt.Errorf("attribute mask_index_type is %d, only 1 is known", n.Int("mask_index_type", 1))
	}
	for _, i := range []int{0, 2, 3, 5, 6} {
		if !n.HasInput(i) {
			return nil, fmt.Errorf("input %d is missing", i)
		}
	}
	return forOutputs(n, embedKernel(r)), n.CheckInputs(1, 9)
}

func embedKernel(r *rowNorm) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		in = append(slices.Clone(in), make([]*value.Tensor, 9-len(in))...)
		ids := in[0]
		if len(ids.Shape) != 2 || len(in[2].Shape) != 2 {
			return nil, fmt.Errorf("token numbers %v and word embeddings %v, want two axes each", ids, in[2])
		}
		batch, length, size := ids.Shape[0], ids.Shape[1], in[2].Shape[1]
		sum, err := newFloatOutput[float32](c, in[2].Type, batch, length, size)
		if err != nil {
			return nil, err
		}
		if err := addEmbedding(sum.data, in[2], size, ids, nil); err != nil {
			return nil, err
		}
		if err := addEmbedding(sum.data, in[3], size, in[8], func(row int) int { return row % length }); err != nil {
			return nil, err
		}
		if in[4] != nil && in[1] != nil {
			if err := addEmbedding(sum.data, in[4], size, in[1], nil); err != nil {
				return nil, err
			}
		}
		scale, err := rowParameter[float32](in, 5, []int{size})
		if err != nil {
			return nil, err
		}
		bias, err := rowParameter[float32](in, 6, []int{size})
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[float32](c, in[2].Type, batch, length, size)
		if err != nil {
			return nil, err
		}
		normalizeRows(c, r, newRowStatistics(batch*length), size, scale, bias, sum.data, y.data)
		counts, err := maskCounts(in[7], batch, length)
		return []*value.Tensor{y.done(), counts, sum.done()}, err
	}
}

// addEmbedding adds to every row the embedding of its number, which is an element of ids, or else what number says.
func addEmbedding(sum []float32, table *value.Tensor, size int, ids *value.Tensor, number func(row int) int) error {
	data, err := floatElements[float32](table)
	if err != nil {
		return err
	}
	if len(table.Shape) != 2 || table.Shape[1] != size {
		return fmt.Errorf("embeddings of shape %v, want %d numbers each", table.Shape, size)
	}
	if ids != nil {
		list, ok := ids.Ints()
		if !ok || len(list) == 0 && len(sum) > 0 || len(sum) > 0 && len(sum)/size%len(list) != 0 {
			return fmt.Errorf("numbers of embeddings are %v", ids)
		}
		number = func(row int) int { return int(list[row%len(list)]) }
	}
	for row := 0; row*size < len(sum); row++ {
		i := number(row)
		if i < 0 || i >= table.Shape[0] {
			return fmt.Errorf("number %d lies outside of %d embeddings", i, table.Shape[0])
		}
		kernels.Add(sum[row*size:(row+1)*size], sum[row*size:(row+1)*size], data[i*size:])
	}
	return nil
}

// maskCounts counts the tokens of every batch entry up to the first that the mask hides.
func maskCounts(mask *value.Tensor, batch, length int) (*value.Tensor, error) {
	counts := value.New(onnxio.Int32, batch)
	if mask == nil {
		return counts, nil
	}
	flags, ok := mask.Ints()
	if !ok || len(flags) != batch*length {
		return nil, fmt.Errorf("mask is %v for a batch of %d with %d tokens", mask, batch, length)
	}
	for b := range batch {
		for _, f := range flags[b*length : (b+1)*length] {
			if f == 0 {
				break
			}
			value.Of[int32](counts)[b]++
		}
	}
	return counts, nil
}
