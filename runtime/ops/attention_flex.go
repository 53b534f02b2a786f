package ops

// FlexAttention of ai.onnx.preview: attention whose scores and probabilities are changed by graphs of the node.
// Both graphs take and give a whole tensor of batch x heads x queries x keys.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("ai.onnx.preview", "FlexAttention", buildFlexAttention, 1) }

type flexAttention struct {
	scale       float64
	precision   onnxio.DataType // of scores and probabilities
	score, prob Body            // may be nil
}

func buildFlexAttention(n *Node) (Kernel, error) {
	f := &flexAttention{scale: float64(n.Float("scale", 0)), precision: onnxio.DataType(n.Int("softmax_precision", 0))}
	if f.precision != onnxio.Undefined && !f.precision.IsFloat() {
		return nil, fmt.Errorf("attribute softmax_precision is %v", f.precision)
	}
	for name, body := range map[string]*Body{"score_mod": &f.score, "prob_mod": &f.prob} {
		if !n.Has(name) {
			continue
		}
		var err error
		if *body, err = n.Body(name); err != nil {
			return nil, err
		}
		if (*body).Inputs() != 1 || (*body).Outputs() != 1 {
			return nil, fmt.Errorf("%s has %d inputs and %d outputs, want one each", name, (*body).Inputs(), (*body).Outputs())
		}
	}
	return Func(func(c *Context, in []value.Value) ([]value.Value, error) {
		var qkv [3]*value.Tensor
		for i := range qkv {
			t, ok := in[i].(*value.Tensor)
			if !ok || len(t.Shape) != 4 {
				return nil, fmt.Errorf("input %d is a %v, want a tensor of four axes", i, in[i])
			}
			qkv[i] = t
		}
		var y *value.Tensor
		var err error
		if qkv[0].Type == onnxio.Double {
			y, err = flexAttend[float64](c, f, qkv, in)
		} else {
			y, err = flexAttend[float32](c, f, qkv, in)
		}
		if err != nil {
			return nil, err
		}
		return []value.Value{y}, nil
	}), n.CheckInputs(3, 3)
}

func flexAttend[T kernels.Float](c *Context, f *flexAttention, qkv [3]*value.Tensor, in []value.Value) (*value.Tensor, error) {
	r, err := newAttentionRun[T](&attention{scale: f.scale}, append(slices.Clone(qkv[:]), nil, nil))
	if err != nil {
		return nil, err
	}
	if err := r.check(append(slices.Clone(qkv[:]), nil, nil, nil, nil)); err != nil {
		return nil, err
	}
	precision := f.precision
	if precision == onnxio.Undefined {
		precision = onnxio.Float
		if qkv[0].Type == onnxio.Double {
			precision = onnxio.Double
		}
	}
	rows, cols := r.q.length, r.k.length
	scores, err := newFloatOutput[T](c, precision, r.q.batch, r.q.count, rows, cols)
	if err != nil {
		return nil, err
	}
	each := func(do func(i, b, h int, x []T), x []T) {
		c.Pool.Do(r.q.batch*r.q.count, 1, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				do(i, i/r.q.count, i%r.q.count, x[i*rows*cols:(i+1)*rows*cols])
			}
		})
	}
	each(func(_, b, h int, x []T) {
		matrixProduct(true, rows, cols, r.q.size, r.scale, r.q.head(b, h), r.q.rowGap, r.k.head(b, h/r.group), r.k.rowGap, x, cols)
	}, scores.data)
	x, err := modified[T](c, f.score, scores.done(), in)
	if err != nil {
		return nil, fmt.Errorf("score_mod: %w", err)
	}
	probs, err := newFloatOutput[T](c, precision, scores.tensor.Shape...)
	if err != nil {
		return nil, err
	}
	copy(probs.data, x)
	each(func(_, _, _ int, x []T) {
		if cols > 0 {
			softmaxRows(x, rows, cols)
		}
	}, probs.data)
	if x, err = modified[T](c, f.prob, probs.done(), in); err != nil {
		return nil, fmt.Errorf("prob_mod: %w", err)
	}
	y, err := newFloatOutput[T](c, qkv[2].Type, r.q.batch, r.q.count, rows, r.v.size)
	if err != nil {
		return nil, err
	}
	each(func(i, b, h int, x []T) {
		matrixProduct(false, rows, r.v.size, cols, 1, x, cols, r.v.head(b, h/r.group), r.v.rowGap, y.data[i*rows*r.v.size:], r.v.size)
	}, x)
	return y.done(), nil
}

// modified gives what a body makes of a tensor, in a shape that must stay.
func modified[T kernels.Float](c *Context, body Body, x *value.Tensor, in []value.Value) ([]T, error) {
	if body == nil {
		return floatElements[T](x)
	}
	out, err := body.Run(c, []value.Value{x}, in)
	if err != nil {
		return nil, err
	}
	t, ok := out[0].(*value.Tensor)
	if !ok || !slices.Equal(t.Shape, x.Shape) {
		return nil, fmt.Errorf("it gave a %v for a %v", out[0], x)
	}
	return floatElements[T](t)
}
