package ops

// The operators of ai.onnx.ml that prepare data: ArrayFeatureExtractor, Binarizer and LabelEncoder.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// mlDomain is the domain of the operators of classical machine learning.
const mlDomain = "ai.onnx.ml"

func init() {
	Register(mlDomain, "ArrayFeatureExtractor", buildArrayFeatureExtractor, 1)
	Register(mlDomain, "Binarizer", buildBinarizer, 1)
	Register(mlDomain, "LabelEncoder", buildLabelEncoder, 1, 2, 4)
}

// buildArrayFeatureExtractor picks features by index on the last axis.
func buildArrayFeatureExtractor(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[0]
		switch len(t.Shape) {
		case 0:
			return nil, fmt.Errorf("a scalar has no features")
		case 1:
			t = t.View(1, t.Len())
		}
		axis := len(t.Shape) - 1
		ix, err := intsOf(in[1], "the feature indices")
		if err != nil {
			return nil, err
		}
		for _, i := range ix {
			if i < 0 || i >= t.Shape[axis] {
				return nil, fmt.Errorf("feature %d of %v", i, in[0])
			}
		}
		return oneOutput(selected(c, t, axis, ix))
	}), nil
}

// buildBinarizer sets what is above a threshold to one, all else to zero.
func buildBinarizer(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	threshold := float64(n.Float("threshold", 0))
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		vs, ok := in[0].Floats()
		if !ok {
			return nil, fmt.Errorf("%v, want numbers", in[0])
		}
		bits := make([]float64, len(vs))
		for i, v := range vs {
			if v > threshold {
				bits[i] = 1
			}
		}
		if !in[0].Type.IsFloat() {
			out, err := c.New(in[0].Type, in[0].Shape...)
			if err != nil {
				return nil, err
			}
			return oneOutput(out, storeIntegers(out, bits, math.Trunc))
		}
		out, err := newFloatOutput[float64](c, in[0].Type, in[0].Shape...)
		if err != nil {
			return nil, err
		}
		copy(out.data, bits)
		return []*value.Tensor{out.done()}, nil
	}), nil
}

// labelEncoder maps keys to the positions of their values.
type labelEncoder struct {
	keys, values *value.Tensor
	missing      *value.Tensor // what an unknown key maps to
	position     map[any]int
	nan          int // the position of NaN, which equals no key of a map; -1: none
}

func buildLabelEncoder(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	if n.Since < 2 {
		return buildClassLabels(n)
	}
	l := &labelEncoder{}
	var err error
	if l.keys, err = labelList(n, "keys"); err != nil {
		return nil, err
	}
	if l.values, err = labelList(n, "values"); err != nil {
		return nil, err
	}
	texts, ints, floats := n.Text("default_string", "_Unused"), n.Int("default_int64", -1), n.Float("default_float", float32(math.Copysign(0, -1)))
	switch l.values.Type {
	case onnxio.String:
		l.missing = value.Scalar(texts)
	case onnxio.Int64:
		l.missing = value.Scalar(ints)
	case onnxio.Float:
		l.missing = value.Scalar(floats)
	}
	if n.Since >= 4 && n.Has("default_tensor") {
		l.missing = n.Tensor("default_tensor")
	}
	if l.missing == nil || l.missing.Type != l.values.Type || l.missing.Len() != 1 {
		return nil, fmt.Errorf("the default for values %v is %v", l.values, l.missing)
	}
	return l.kernel()
}

// labelList reads the one of the attributes prefix_strings, prefix_int64s, prefix_floats and prefix_tensor that is there.
func labelList(n *Node, prefix string) (*value.Tensor, error) {
	var found []*value.Tensor
	if n.Has(prefix + "_strings") {
		found = append(found, list(n.Texts(prefix+"_strings")))
	}
	if a := n.Attr(prefix + "_int64s"); a != nil {
		found = append(found, list(a.Ints))
	}
	if n.Has(prefix + "_floats") {
		found = append(found, list(n.Floats(prefix+"_floats")))
	}
	if n.Since >= 4 && n.Has(prefix+"_tensor") {
		found = append(found, n.Tensor(prefix+"_tensor"))
	}
	if len(found) != 1 || found[0] == nil {
		return nil, fmt.Errorf("%d attributes hold %s, want one", len(found), prefix)
	}
	return found[0], nil
}

// buildClassLabels is LabelEncoder of opset 1: strings to their positions in a list, and integers back.
func buildClassLabels(n *Node) (Kernel, error) {
	classes := list(n.Texts("classes_strings"))
	numbers := make([]int64, classes.Len())
	for i := range numbers {
		numbers[i] = int64(i)
	}
	to := &labelEncoder{keys: classes, values: list(numbers), missing: value.Scalar(n.Int("default_int64", -1))}
	back := &labelEncoder{keys: list(numbers), values: classes, missing: value.Scalar(n.Text("default_string", "_Unused"))}
	encode, err := to.kernel()
	if err != nil {
		return nil, err
	}
	decode, err := back.kernel()
	if err != nil {
		return nil, err
	}
	return Func(func(c *Context, in []value.Value) ([]value.Value, error) {
		if t, ok := in[0].(*value.Tensor); ok && t.Type == onnxio.String {
			return encode.Run(c, in)
		}
		return decode.Run(c, in)
	}), nil
}

func (l *labelEncoder) kernel() (Kernel, error) {
	if l.keys.Len() != l.values.Len() {
		return nil, fmt.Errorf("%d keys for %d values", l.keys.Len(), l.values.Len())
	}
	keys, err := labelsOf(l.keys)
	if err != nil {
		return nil, err
	}
	l.position, l.nan = map[any]int{}, -1
	for i, k := range slices.Backward(keys) { // of equal keys the first counts
		if f, ok := k.(float64); ok && f != f {
			l.nan = i
			continue
		}
		l.position[k] = i
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if in[0].Type != l.keys.Type {
			return nil, fmt.Errorf("%v for keys of %v", in[0], l.keys.Type)
		}
		labels, err := labelsOf(in[0])
		if err != nil {
			return nil, err
		}
		out, err := c.New(l.values.Type, in[0].Shape...)
		if err != nil || out.Len() == 0 {
			return oneOutput(out, err)
		}
		dst, src := moverOf(out), moverOf(l.values)
		dst.fill(c.Pool, moverOf(l.missing))
		for i, k := range labels {
			at, ok := l.position[k]
			if f, isFloat := k.(float64); isFloat && f != f {
				at, ok = l.nan, l.nan >= 0
			}
			if ok {
				dst.box(nil, []int{1}, i, []int{1}, src, at, []int{1})
			}
		}
		return []*value.Tensor{out}, nil
	}), nil
}

// labelsOf returns the elements as strings, int64 or float64, which compare as keys.
func labelsOf(t *value.Tensor) ([]any, error) {
	out := make([]any, t.Len())
	if texts, ok := t.Data.([]string); ok {
		for i, v := range texts {
			out[i] = v
		}
		return out, nil
	}
	if ints, ok := t.Ints(); ok {
		for i, v := range ints {
			out[i] = v
		}
		return out, nil
	}
	floats, ok := t.Floats()
	if !ok {
		return nil, fmt.Errorf("%v, want strings or numbers", t)
	}
	for i, v := range floats {
		out[i] = v
	}
	return out, nil
}
