package ops

// Operators on sequences and optionals. Items are shared between sequences, not copied: a tensor that goes in comes out as a view.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "SequenceConstruct", buildSequenceConstruct, 11)
	Register("", "SequenceEmpty", buildSequenceEmpty, 11)
	Register("", "SequenceAt", buildSequenceAt, 11)
	Register("", "SequenceInsert", buildSequenceInsert, 11)
	Register("", "SequenceErase", buildSequenceErase, 11)
	Register("", "SequenceLength", buildSequenceLength, 11)
	Register("", "ConcatFromSequence", buildConcatFromSequence, 11)
	Register("", "SplitToSequence", buildSplitToSequence, 11, 24)
	Register("", "Optional", buildOptional, 15)
	Register("", "OptionalGetElement", buildOptionalGetElement, 15, 18)
	Register("", "OptionalHasElement", buildOptionalHasElement, 15, 18)
}

// shared returns a value that shares the memory of another.
func shared(v value.Value) value.Value {
	switch v := v.(type) {
	case *value.Tensor:
		return v.View(v.Shape...)
	case *value.Sequence:
		return &value.Sequence{Elem: v.Elem, Items: sharedItems(v.Items)}
	case *value.Optional:
		if v.Value == nil {
			return v
		}
		return &value.Optional{Elem: v.Elem, Value: shared(v.Value)}
	}
	return v
}

func sharedItems(items []value.Value) []value.Value {
	out := make([]value.Value, len(items))
	for i, v := range items {
		out[i] = shared(v)
	}
	return out
}

// typeOfValue is the declared type that fits a value; the shapes of tensors stay open.
func typeOfValue(v value.Value) *onnxio.Type {
	switch v := v.(type) {
	case *value.Tensor:
		return &onnxio.Type{Kind: onnxio.KindTensor, Elem: v.Type}
	case *value.Sequence:
		return &onnxio.Type{Kind: onnxio.KindSequence, Of: v.Elem}
	case *value.Optional:
		return &onnxio.Type{Kind: onnxio.KindOptional, Of: v.Elem}
	}
	return nil
}

func sequenceIn(in []value.Value, i int) (*value.Sequence, error) {
	s, ok := in[i].(*value.Sequence)
	if !ok {
		return nil, fmt.Errorf("input %d is a %v, want a sequence", i, in[i])
	}
	return s, nil
}

// positionIn reads an optional position, negative ones from the end of n; def where it is absent.
func positionIn(in []value.Value, i, n, most, def int) (int, error) {
	if i >= len(in) || in[i] == nil {
		return def, nil
	}
	t, ok := in[i].(*value.Tensor)
	if !ok {
		return 0, fmt.Errorf("input %d is a %v, want a position", i, in[i])
	}
	at, err := oneInt(t, "the position")
	if err != nil {
		return 0, err
	}
	if at < -n || at > most {
		return 0, fmt.Errorf("position %d in a sequence of %d", at, n)
	}
	if at < 0 {
		at += n
	}
	return at, nil
}

func buildSequenceConstruct(n *Node) (Kernel, error) {
	if err := n.CheckInputs(max(len(n.Inputs), 1), -1); err != nil {
		return nil, err
	}
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		return &value.Sequence{Elem: typeOfValue(in[0]), Items: sharedItems(in)}, nil
	}), nil
}

func buildSequenceEmpty(n *Node) (Kernel, error) {
	if err := n.CheckInputs(0, 0); err != nil {
		return nil, err
	}
	elem := &onnxio.Type{Kind: onnxio.KindTensor, Elem: onnxio.DataType(n.Int("dtype", int64(onnxio.Float)))}
	return oneValue(func(*Context, []value.Value) (value.Value, error) { return &value.Sequence{Elem: elem}, nil }), nil
}

// oneValue is a kernel with one output of any kind.
func oneValue(f func(c *Context, in []value.Value) (value.Value, error)) Kernel {
	return Func(func(c *Context, in []value.Value) ([]value.Value, error) {
		v, err := f(c, in)
		if err != nil {
			return nil, err
		}
		return []value.Value{v}, nil
	})
}

func buildSequenceAt(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		s, err := sequenceIn(in, 0)
		if err != nil {
			return nil, err
		}
		at, err := positionIn(in, 1, len(s.Items), len(s.Items)-1, 0)
		if err != nil {
			return nil, err
		}
		return shared(s.Items[at]), nil
	}), nil
}

func buildSequenceInsert(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 3); err != nil {
		return nil, err
	}
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		s, err := sequenceIn(in, 0)
		if err != nil {
			return nil, err
		}
		at, err := positionIn(in, 2, len(s.Items), len(s.Items), len(s.Items))
		if err != nil {
			return nil, err
		}
		elem := s.Elem
		if elem == nil {
			elem = typeOfValue(in[1])
		}
		return &value.Sequence{Elem: elem, Items: slices.Insert(sharedItems(s.Items), at, shared(in[1]))}, nil
	}), nil
}

func buildSequenceErase(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 2); err != nil {
		return nil, err
	}
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		s, err := sequenceIn(in, 0)
		if err != nil {
			return nil, err
		}
		last := len(s.Items) - 1
		at, err := positionIn(in, 1, len(s.Items), last, last)
		if err != nil {
			return nil, err
		}
		if at < 0 {
			return nil, fmt.Errorf("nothing to erase in an empty sequence")
		}
		return &value.Sequence{Elem: s.Elem, Items: slices.Delete(sharedItems(s.Items), at, at+1)}, nil
	}), nil
}

func buildSequenceLength(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		s, err := sequenceIn(in, 0)
		if err != nil {
			return nil, err
		}
		return value.Scalar(int64(len(s.Items))), nil
	}), nil
}

func buildConcatFromSequence(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	if !n.Has("axis") {
		return nil, fmt.Errorf("attribute axis is missing")
	}
	axis, stack := int(n.Int("axis", 0)), n.Bool("new_axis", false)
	return oneValue(func(c *Context, in []value.Value) (value.Value, error) {
		s, err := sequenceIn(in, 0)
		if err != nil {
			return nil, err
		}
		parts := make([]*value.Tensor, len(s.Items))
		for i, v := range s.Items {
			t, ok := v.(*value.Tensor)
			if !ok {
				return nil, fmt.Errorf("item %d is a %v, want a tensor", i, v)
			}
			if parts[i] = t; stack {
				shape, err := unsqueezed(t.Shape, []int{axis}, true)
				if err != nil {
					return nil, fmt.Errorf("item %d, %v: %w", i, t, err)
				}
				parts[i] = t.View(shape...)
			}
		}
		if len(parts) == 0 {
			return nil, fmt.Errorf("an empty sequence has nothing to join")
		}
		return concatenated(c, parts, axis)
	}), nil
}

func buildSplitToSequence(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 2); err != nil {
		return nil, err
	}
	given, keep := int(n.Int("axis", 0)), n.Bool("keepdims", true)
	return Func(func(c *Context, in []value.Value) ([]value.Value, error) {
		var out *value.Sequence
		_, err := TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			axis, err := axisIn(given, len(in[0].Shape))
			if err != nil {
				return nil, fmt.Errorf("%v: %w", in[0], err)
			}
			sizes, whole, err := sequenceSizes(in, axis)
			if err != nil {
				return nil, err
			}
			parts, err := splitInto(c, in[0], axis, sizes)
			if err != nil {
				return nil, err
			}
			out = &value.Sequence{Elem: typeOfValue(in[0])}
			for _, p := range parts {
				if whole && !keep { // without sizes the axis can go
					p = p.View(slices.Delete(slices.Clone(p.Shape), axis, axis+1)...)
				}
				out.Items = append(out.Items, p)
			}
			return nil, nil
		}).Run(c, in)
		if err != nil {
			return nil, err
		}
		return []value.Value{out}, nil
	}), nil
}

// sequenceSizes reads how SplitToSequence cuts: in ones, in pieces of one size, the last one smaller, or in the
// sizes of a list.
func sequenceSizes(in []*value.Tensor, axis int) (sizes []int, ones bool, err error) {
	n := in[0].Shape[axis]
	if len(in) < 2 || in[1] == nil {
		return slices.Repeat([]int{1}, n), true, nil
	}
	if sizes, err = intsOf(in[1], "the split input"); err != nil || len(in[1].Shape) > 0 {
		return sizes, false, err
	}
	size := sizes[0]
	if size < 1 {
		return nil, false, fmt.Errorf("pieces of %d along axis %d of %v", size, axis, in[0])
	}
	sizes = nil
	for at := 0; at < n; at += size {
		sizes = append(sizes, min(size, n-at))
	}
	return sizes, false, nil
}

func buildOptional(n *Node) (Kernel, error) {
	if err := n.CheckInputs(0, 1); err != nil {
		return nil, err
	}
	var elem *onnxio.Type
	if a := n.Attr("type"); a != nil {
		elem = a.TP
	}
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		if len(in) == 0 || in[0] == nil {
			return &value.Optional{Elem: elem}, nil
		}
		return &value.Optional{Elem: typeOfValue(in[0]), Value: shared(in[0])}, nil
	}), nil
}

func buildOptionalGetElement(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	anything := n.Since >= 18
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		o, ok := in[0].(*value.Optional)
		switch {
		case !ok && anything: // since opset 18 the input may be the element itself
			return shared(in[0]), nil
		case !ok:
			return nil, fmt.Errorf("the input is a %v, want an optional", in[0])
		case o.Value == nil:
			return nil, fmt.Errorf("the optional is empty")
		}
		return shared(o.Value), nil
	}), nil
}

func buildOptionalHasElement(n *Node) (Kernel, error) {
	least := 1
	if n.Since >= 18 {
		least = 0
	}
	if err := n.CheckInputs(least, 1); err != nil {
		return nil, err
	}
	return oneValue(func(_ *Context, in []value.Value) (value.Value, error) {
		if len(in) == 0 || in[0] == nil {
			return value.Scalar(false), nil
		}
		o, ok := in[0].(*value.Optional)
		if !ok && least == 1 {
			return nil, fmt.Errorf("the input is a %v, want an optional", in[0])
		}
		return value.Scalar(!ok || o.Value != nil), nil
	}), nil
}
