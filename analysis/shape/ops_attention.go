package shape

import "fmt"

// Attention as single operators. Q is [batch, heads, length, width], or [batch, length, heads*width]; K and V
// likewise, with heads and widths of their own.

var attentions = &family{"", []entry{
	{"Attention", 23, attention}, {"RotaryEmbedding", 23, same}, {"LinearAttention", 27, linearAttention},
}}

var attentionsMicrosoft = &family{"com.microsoft", []entry{
	{"RotaryEmbedding", 1, same}, {"MultiHeadAttention", 1, multiHead}, {"Attention", 1, packedAttention},
}}

var attentionsPreview = &family{"ai.onnx.preview", []entry{{"FlexAttention", 1, flexAttention}}}

// heads splits a Q, K or V into batch, heads, length and width.
func (c *call) heads(in *Info, attr string) (batch, heads, length, width Dim, ok bool) {
	switch in.Rank() {
	case 4:
		return in.Dims[0], in.Dims[1], in.Dims[2], in.Dims[3], true
	case 3:
		n := Const(c.node.Int(attr, 0))
		if n.n < 1 {
			return
		}
		return in.Dims[0], n, in.Dims[1], in.Dims[2].FloorDiv(n), true
	}
	return
}

// attention: outputs are Y, present key, present value, and the scores Q.K^T.
func attention(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	q, k, v := c.in(0), c.in(1), c.in(2)
	batch, qheads, length, _, okQ := c.heads(q, "q_num_heads")
	_, kheads, klength, kwidth, okK := c.heads(k, "kv_num_heads")
	_, vheads, vlength, vwidth, okV := c.heads(v, "kv_num_heads")
	if !okQ || !okK || !okV {
		for i := range c.node.Outputs {
			c.outUnknown(i, q.Elem)
		}
		return nil
	}
	if c.has(4) && c.has(5) {
		past := c.in(4)
		if past.Rank() != 4 {
			c.outUnknown(0, q.Elem)
			return nil
		}
		klength, vlength = klength.Add(past.Dims[2]), vlength.Add(past.Dims[2])
	}
	if len(q.Dims) == 4 {
		c.out(0, q.Elem, []Dim{batch, qheads, length, vwidth})
	} else {
		c.out(0, q.Elem, []Dim{batch, length, qheads.Mul(vwidth)})
	}
	c.out(1, k.Elem, []Dim{batch, kheads, klength, kwidth})
	c.out(2, v.Elem, []Dim{batch, vheads, vlength, vwidth})
	c.out(3, q.Elem, []Dim{batch, qheads, length, klength})
	return nil
}

// linearAttention: outputs have the shape of Q with the width of V, and the state [batch, heads, width of K, width of V].
func linearAttention(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	q, k, v := c.in(0), c.in(1), c.in(2)
	_, qheads, _, _, okQ := c.heads(q, "q_num_heads")
	batch, _, _, kwidth, okK := c.heads(k, "kv_num_heads")
	_, vheads, _, vwidth, okV := c.heads(v, "kv_num_heads")
	if !okQ || !okK || !okV {
		c.outUnknown(0, q.Elem)
		c.outUnknown(1, q.Elem)
		return nil
	}
	out := cloneDims(q.Dims)
	if out[len(out)-1] = vwidth; len(out) == 3 {
		out[2] = vwidth.Mul(qheads)
	}
	c.out(0, q.Elem, out)
	c.out(1, q.Elem, []Dim{batch, vheads, kwidth, vwidth})
	if c.has(3) {
		c.outShape(1, c.in(3).Elem, c.in(3))
	}
	return nil
}

// flexAttention: Q [batch, heads, length, width], V's width comes out.
func flexAttention(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	q, v := c.in(0), c.in(2)
	c.bodiesOfUnknown()
	if q.Rank() != 4 || v.Rank() != 4 {
		c.outUnknown(0, q.Elem)
		return nil
	}
	out := cloneDims(q.Dims)
	out[3] = v.Dims[3]
	c.out(0, q.Elem, out)
	return nil
}

// multiHead: [batch, length, width] comes out, with the width of V when it is given as three axes.
func multiHead(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	q, v := c.in(0), c.in(2)
	switch {
	case q.Rank() == 3 && v.Rank() == 3:
		c.out(0, q.Elem, []Dim{q.Dims[0], q.Dims[1], v.Dims[2]})
	case q.Rank() == 3 && v.Rank() == 4:
		c.out(0, q.Elem, []Dim{q.Dims[0], q.Dims[1], v.Dims[1].Mul(v.Dims[3])})
	default:
		c.outUnknown(0, q.Elem)
	}
	return nil
}

// packedAttention: X [batch, length, width] times a weight [width, 3*hidden], or other widths by qkv_hidden_sizes.
func packedAttention(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	x, w := c.in(0), c.in(1)
	if x.Rank() != 3 || w.Rank() != 2 {
		c.outUnknown(0, x.Elem)
		return nil
	}
	if differ(x.Dims[2], w.Dims[0]) {
		return fmt.Errorf("the input %s does not fit the weight %s", c.show(0), c.show(1))
	}
	hidden := w.Dims[1].FloorDiv(Const(3))
	if sizes, ok := c.node.Ints("qkv_hidden_sizes"); ok && len(sizes) == 3 {
		hidden = Const(sizes[2])
	}
	c.out(0, x.Elem, []Dim{x.Dims[0], x.Dims[1], hidden})
	return nil
}
