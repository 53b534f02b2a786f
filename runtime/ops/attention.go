package ops

// Attention: softmax(softcap(scale * Q K') + mask) V, with grouped heads, and past keys and values that go
// before the new ones.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("", "Attention", buildAttention, 23, 24) }

// attention holds the attributes.
type attention struct {
	causal       bool
	queryHeads   int // of inputs with three axes
	keyHeads     int
	scale        float64 // 0: 1/sqrt(size of a head)
	softcap      float64 // 0: none
	mode         int     // what the fourth output holds: 0 scores, 1 after softcap, 2 after the mask, 3 after softmax
	wantsPresent bool
	wantsScores  bool
}

func buildAttention(n *Node) (Kernel, error) {
	most := 6
	if n.Since >= 24 {
		most = 7
	}
	a := &attention{causal: n.Bool("is_causal", false), queryHeads: int(n.Int("q_num_heads", 0)), keyHeads: int(n.Int("kv_num_heads", 0)),
		scale: float64(n.Float("scale", 0)), softcap: float64(n.Float("softcap", 0)), mode: int(n.Int("qk_matmul_output_mode", 0)),
		wantsPresent: n.HasOutput(1) || n.HasOutput(2), wantsScores: n.HasOutput(3)}
	precision := onnxio.DataType(n.Int("softmax_precision", int64(onnxio.Float)))
	if !precision.IsFloat() {
		return nil, fmt.Errorf("attribute softmax_precision is %v", precision)
	}
	if a.mode < 0 || a.mode > 3 {
		return nil, fmt.Errorf("attribute qk_matmul_output_mode is %d", a.mode)
	}
	return forOutputs(n, byFloat(attend[float32](a), attend[float64](a))), n.CheckInputs(3, most)
}

// attentionRun is one run: what goes in, in T.
type attentionRun[T kernels.Float] struct {
	*attention
	q, k, v heads[T]
	past    int // length of what goes before the keys
	scale   float64
	group   int // query heads per key head
	masks   []*scoreMask[T]
	valid   []int // per batch entry: keys that count; nil: all
}

func attend[T kernels.Float](a *attention) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		in = append(slices.Clone(in), make([]*value.Tensor, 7-len(in))...)
		r, err := newAttentionRun[T](a, in)
		if err != nil {
			return nil, err
		}
		out := make([]*value.Tensor, 4)
		if a.wantsPresent || in[4] != nil || in[5] != nil {
			if out[1], r.k, err = r.k.join(c, in[4], in[1]); err != nil {
				return nil, err
			}
			if out[2], r.v, err = r.v.join(c, in[5], in[2]); err != nil {
				return nil, err
			}
		}
		if err := r.check(in); err != nil {
			return nil, err
		}
		shape := []int{r.q.batch, r.q.count, r.q.length, r.v.size}
		if len(in[0].Shape) == 3 {
			shape = []int{r.q.batch, r.q.length, r.q.count * r.v.size}
		}
		y, err := newFloatOutput[T](c, in[0].Type, shape...)
		if err != nil {
			return nil, err
		}
		var scores floatOutput[T]
		if a.wantsScores {
			if scores, err = newFloatOutput[T](c, in[0].Type, r.q.batch, r.q.count, r.q.length, r.k.length); err != nil {
				return nil, err
			}
		}
		r.run(c, y.data, len(shape) == 3, scores.data)
		out[0] = y.done()
		if a.wantsScores {
			out[3] = scores.done()
		}
		return out, nil
	}
}

func newAttentionRun[T kernels.Float](a *attention, in []*value.Tensor) (*attentionRun[T], error) {
	r := &attentionRun[T]{attention: a, scale: a.scale}
	var err error
	if r.q, err = readHeads[T](in[0], a.queryHeads); err != nil {
		return nil, fmt.Errorf("query: %w", err)
	}
	if r.k, err = readHeads[T](in[1], a.keyHeads); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if r.v, err = readHeads[T](in[2], a.keyHeads); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	if r.scale == 0 {
		r.scale = 1 / math.Sqrt(float64(r.q.size))
	}
	if in[4] != nil && len(in[4].Shape) == 4 {
		r.past = in[4].Shape[2]
	}
	return r, nil
}

// check sees that all sizes fit, and reads the mask and the numbers of valid keys.
func (r *attentionRun[T]) check(in []*value.Tensor) (err error) {
	if r.k.batch != r.q.batch || r.v.batch != r.q.batch || r.k.size != r.q.size || r.v.length != r.k.length ||
		r.v.count != r.k.count || r.k.count == 0 || r.q.count%r.k.count != 0 {
		return fmt.Errorf("query, key and value of shapes %v, %v and %v do not fit", in[0].Shape, in[1].Shape, in[2].Shape)
	}
	r.group = r.q.count / r.k.count
	if in[3] != nil {
		mask, err := readScoreMask[T](in[3], r.q.batch, r.q.count, r.q.length, r.k.length)
		if err != nil {
			return err
		}
		r.masks = append(r.masks, mask)
	}
	if in[6] != nil {
		valid, ok := in[6].Ints()
		if !ok || len(valid) != r.q.batch {
			return fmt.Errorf("nonpad_kv_seqlen is %v for a batch of %d", in[6], r.q.batch)
		}
		for _, v := range valid {
			r.valid = append(r.valid, int(v))
		}
	}
	return nil
}

// run computes all heads. merged output has heads side by side in each row.
func (r *attentionRun[T]) run(c *Context, y []T, merged bool, scores []T) {
	rows, cols := r.q.length, r.k.length
	c.Pool.Do(r.q.batch*r.q.count, 1, func(lo, hi int) {
		x := make([]T, rows*cols)
		for i := lo; i < hi; i++ {
			b, h := i/r.q.count, i%r.q.count
			kv := h / r.group
			var kept []T
			if scores != nil {
				kept = scores[i*rows*cols : (i+1)*rows*cols]
			}
			matrixProduct(true, rows, cols, r.q.size, r.scale, r.q.head(b, h), r.q.rowGap, r.k.head(b, kv), r.k.rowGap, x, cols)
			r.weigh(x, b, h, kept)
			to, gap := y[min(len(y), i*rows*r.v.size):], r.v.size
			if merged {
				gap = r.q.count * r.v.size
				to = y[min(len(y), b*rows*gap+h*r.v.size):]
			}
			matrixProduct(false, rows, r.v.size, cols, 1, x, cols, r.v.head(b, kv), r.v.rowGap, to, gap)
		}
	})
}

// weigh turns scores into weights, and keeps those of the stage that the fourth output shows.
func (r *attentionRun[T]) weigh(x []T, b, h int, kept []T) {
	keep := func(mode int) {
		if r.mode == mode && kept != nil {
			copy(kept, x)
		}
	}
	keep(0)
	if r.softcap > 0 {
		softcap(x, r.softcap)
	}
	keep(1)
	for i := range r.q.length {
		r.hide(x[i*r.k.length:(i+1)*r.k.length], b, h, i)
	}
	keep(2)
	if r.k.length > 0 {
		softmaxRows(x, r.q.length, r.k.length)
	}
	keep(3)
}

// hide adds the mask to the scores of query i and makes those -Inf that it may not see.
func (r *attentionRun[T]) hide(row []T, b, h, i int) {
	for _, m := range r.masks {
		m.add(row, b, h, i)
	}
	seen := len(row)
	if r.causal {
		offset := r.past
		if r.valid != nil && r.past == 0 {
			offset = r.valid[b] - r.q.length
		}
		seen = min(seen, i+offset+1)
	}
	if r.valid != nil {
		seen = min(seen, r.valid[b])
	}
	for j := max(seen, 0); j < len(row); j++ {
		row[j] = T(math.Inf(-1))
	}
}

// scoreMask is added to scores. It broadcasts to batch x heads x queries x keys; keys that it has no column for are
// hidden.
type scoreMask[T kernels.Float] struct {
	data  []T // 0 and -Inf for a mask of truth values
	shape [4]int
}

func readScoreMask[T kernels.Float](t *value.Tensor, batch, heads, queries, keys int) (*scoreMask[T], error) {
	m := &scoreMask[T]{shape: [4]int{1, 1, 1, 1}}
	if len(t.Shape) > 4 || len(t.Shape) < 1 {
		return nil, fmt.Errorf("attn_mask has shape %v", t.Shape)
	}
	copy(m.shape[4-len(t.Shape):], t.Shape)
	for d, want := range [3]int{batch, heads, queries} {
		if m.shape[d] != 1 && m.shape[d] != want {
			return nil, fmt.Errorf("attn_mask of shape %v does not broadcast to %v", t.Shape, []int{batch, heads, queries, keys})
		}
	}
	if m.shape[3] > keys && keys != 0 {
		return nil, fmt.Errorf("attn_mask of shape %v for %d keys", t.Shape, keys)
	}
	if flags, ok := t.Data.([]bool); ok {
		m.data = make([]T, len(flags))
		for i, seen := range flags {
			if !seen {
				m.data[i] = T(math.Inf(-1))
			}
		}
		return m, nil
	}
	var err error
	m.data, err = floatElements[T](t)
	return m, err
}

func (m *scoreMask[T]) add(row []T, b, h, i int) {
	at := ((b%m.shape[0]*m.shape[1]+h%m.shape[1])*m.shape[2] + i%m.shape[2]) * m.shape[3]
	if m.shape[3] == 1 && len(row) > 1 {
		for j := range row {
			row[j] += m.data[at]
		}
		return
	}
	for j := range row {
		if j < m.shape[3] {
			row[j] += m.data[at+j]
		} else {
			row[j] = T(math.Inf(-1))
		}
	}
}
