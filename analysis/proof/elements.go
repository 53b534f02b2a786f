package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Small operands and frozen numbers are followed element by element: each is a number, or an element of a value of the original. Only
// operators that move elements are followed; whatever else computes a value ends the way there.

// element is a number, or element at of a value of the original.
type element struct {
	of     *graph.Value // nil for a number
	at     int
	number float64
}

func (e element) String() string {
	if e.of != nil {
		return fmt.Sprintf("element %d of %q", e.at, e.of.FullName())
	}
	return fmt.Sprint(e.number)
}

type vector []element

// differs returns the first index where two vectors differ, -1 for none.
func (a vector) differs(b vector) int {
	for k := range max(len(a), len(b)) {
		if k >= len(a) || k >= len(b) || a[k] != b[k] {
			return min(k, len(a)-1, len(b)-1)
		}
	}
	return -1
}

// tensor is a small value, element by element.
type tensor struct {
	dtype    onnxio.DataType
	dims     []int64
	elements vector
}

func count(dims []int64) int {
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	return n
}

// evaluator says what a value of the pruned model is in terms of one value of the original, base, which the plan put something over.
type evaluator struct {
	c     *checker
	base  *graph.Value
	dtype onnxio.DataType // of base
	dims  []int64
	nodes []*onnxio.Node // that were followed, and that the original does not have
	held  []*graph.Value // constants likewise
}

func (c *checker) evaluator(base *graph.Value, dtype onnxio.DataType, dims []int64) *evaluator {
	return &evaluator{c: c, base: base, dtype: dtype, dims: dims}
}

// accept accounts for what was followed.
func (e *evaluator) accept() {
	for _, n := range e.nodes {
		e.c.explained[n] = true
	}
	for _, v := range e.held {
		e.c.constants[v] = true
	}
}

var errNotMoved = errors.New("it is not put together from constants and the original's value")

// of follows nodes that the original does not have: what a plan's overlay is made of.
func (e *evaluator) of(w *graph.Value) (tensor, error) {
	switch o := e.c.originOf(w); {
	case o == e.base:
		if w.Constant() {
			e.held = append(e.held, w)
		}
		t := tensor{dtype: e.dtype, dims: e.dims}
		for k := range count(e.dims) {
			t.elements = append(t.elements, element{of: e.base, at: k})
		}
		return t, nil
	case o != nil:
		return tensor{}, errNotMoved
	case w.Tensor != nil:
		vs, err := numbers(w.Tensor)
		if err != nil {
			return tensor{}, err
		}
		e.held = append(e.held, w)
		t := tensor{dtype: w.Tensor.DataType, dims: w.Tensor.Dims}
		for _, x := range vs {
			t.elements = append(t.elements, element{number: x})
		}
		return t, nil
	}
	n := w.Producer
	if n == nil || n.Domain != "" || e.c.kept[n.Proto] || n.Scope != e.c.p.Main {
		return tensor{}, errNotMoved
	}
	e.nodes = append(e.nodes, n.Proto)
	var in []tensor
	for _, x := range n.Inputs {
		if x == nil {
			return tensor{}, errNotMoved
		}
		t, err := e.of(x)
		if err != nil {
			return tensor{}, err
		}
		in = append(in, t)
	}
	return moved(n, in)
}

// moved is the result of an operator that only moves elements.
func moved(n *graph.Node, in []tensor) (tensor, error) {
	switch {
	case n.Op == "Identity" && len(in) == 1:
		return in[0], nil
	case n.Op == "Where" && len(in) == 3:
		return where(in[0], in[1], in[2])
	case n.Op == "Cast" && len(in) == 1:
		t := in[0]
		to := n.Attr("to")
		switch {
		case to == nil:
			return t, errNotMoved
		case to.Type == onnxio.AttrInt:
			t.dtype = onnxio.DataType(to.I)
		case strings.EqualFold(string(to.S), "double"):
			t.dtype = onnxio.Double
		case strings.EqualFold(string(to.S), "int64"):
			t.dtype = onnxio.Int64
		case strings.EqualFold(string(to.S), "int32"):
			t.dtype = onnxio.Int32
		default:
			return t, errNotMoved
		}
		return t, nil
	case n.Op == "Reshape" && len(in) >= 1:
		return reshaped(n, in)
	case n.Op == "Slice" && len(in) == 1 && len(in[0].dims) == 1:
		axes, _ := n.Ints("axes")
		starts, _ := n.Ints("starts")
		ends, _ := n.Ints("ends")
		if !slices.Equal(axes, []int64{0}) || len(starts) != 1 || len(ends) != 1 || starts[0] < 0 || ends[0] < starts[0] || int(ends[0]) > len(in[0].elements) {
			return tensor{}, errNotMoved
		}
		return tensor{in[0].dtype, []int64{ends[0] - starts[0]}, in[0].elements[starts[0]:ends[0]]}, nil
	case n.Op == "Concat" && n.Int("axis", 1) == 0:
		out := tensor{dtype: in[0].dtype, dims: []int64{0}}
		for _, t := range in {
			if t.dtype != out.dtype || len(t.dims) != 1 {
				return tensor{}, errNotMoved
			}
			out.elements = append(slices.Clone(out.elements), t.elements...)
		}
		out.dims[0] = int64(len(out.elements))
		return out, nil
	}
	return tensor{}, errNotMoved
}

func where(mask, yes, no tensor) (tensor, error) {
	if mask.dtype != onnxio.Bool || yes.dtype != no.dtype || !slices.Equal(mask.dims, yes.dims) || !slices.Equal(mask.dims, no.dims) {
		return tensor{}, errNotMoved
	}
	out := tensor{yes.dtype, yes.dims, slices.Clone(no.elements)}
	for k, m := range mask.elements {
		switch {
		case m.of != nil:
			return tensor{}, errNotMoved
		case m.number != 0:
			out.elements[k] = yes.elements[k]
		case yes.elements[k] != element{}: // nothing reads it, and nothing asks for it
			return tensor{}, errNotMoved
		}
	}
	return out, nil
}

func reshaped(n *graph.Node, in []tensor) (tensor, error) {
	dims, ok := n.Ints("shape")
	if !ok && len(in) == 2 {
		for _, e := range in[1].elements {
			if e.of != nil {
				return tensor{}, errNotMoved
			}
			dims = append(dims, int64(e.number))
		}
	}
	if slices.Equal(dims, []int64{-1}) {
		dims = []int64{int64(len(in[0].elements))}
	}
	if count(dims) != len(in[0].elements) || slices.Min(append([]int64{1}, dims...)) < 1 {
		return tensor{}, errNotMoved
	}
	return tensor{in[0].dtype, append([]int64{}, dims...), in[0].elements}, nil
}

// most is the largest number of elements that is followed one by one.
const most = 1 << 16

// numbers are the elements of a small constant.
func numbers(t *onnxio.Tensor) ([]float64, error) {
	if t.Len() > most {
		return nil, fmt.Errorf("%q has %d elements", t.Name, t.Len())
	}
	out := make([]float64, t.Len())
	if t.DataType == onnxio.Double {
		raw, err := t.Raw()
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i] = float64At(raw, i)
		}
		return out, nil
	}
	if t.DataType.IsFloat() {
		vs, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		for i, x := range vs {
			out[i] = float64(x)
		}
		return out, nil
	}
	vs, err := t.Ints()
	if err != nil {
		return nil, err
	}
	for i, x := range vs {
		out[i] = float64(x)
	}
	return out, nil
}

// at returns element k of a small integer operand, through nodes that the original has too.
func (e *evaluator) at(w *graph.Value, k int) (element, error) {
	if n := w.Producer; e.c.originOf(w) == nil && w.Tensor == nil && n != nil && !e.c.kept[n.Proto] { // an overlay
		t, err := e.of(w)
		switch {
		case err != nil:
			return element{}, err
		case t.dtype != e.dtype || !slices.Equal(t.dims, e.dims):
			return element{}, fmt.Errorf("%q is %v%v, and should be %v%v", w.Name, t.dtype, t.dims, e.dtype, e.dims)
		case t.elements[k].of == nil:
			return t.elements[k], nil
		}
		w = e.c.peerOf(t.elements[k].of)
	}
	if w.Tensor != nil && e.c.originOf(w) == nil {
		if w.Tensor.DataType != e.dtype || !slices.Equal(w.Tensor.Dims, e.dims) {
			return element{}, fmt.Errorf("%q is %v%v, and should be %v%v", w.Name, w.Tensor.DataType, w.Tensor.Dims, e.dtype, e.dims)
		}
		e.held = append(e.held, w)
	}
	w, k = e.c.back(w, k, func(v *graph.Value) (int, bool) { return e.c.length(e.c.originOf(v), v) })
	if w.Tensor != nil {
		vs, err := numbers(w.Tensor)
		if err != nil || k >= len(vs) {
			return element{}, fmt.Errorf("%q has no element %d", w.Name, k)
		}
		return element{number: vs[k]}, nil
	}
	o := e.c.originOf(w)
	if o == nil {
		return element{}, errNotMoved
	}
	return element{of: o, at: k}, nil
}

// inOriginal is element k of a value of the original.
func (c *checker) inOriginal(v *graph.Value, k int) element {
	v, k = c.back(v, k, func(v *graph.Value) (int, bool) { return c.length(v, v) })
	if v.Tensor != nil {
		if vs, err := numbers(v.Tensor); err == nil && k < len(vs) {
			return element{number: vs[k]}
		}
	}
	return element{of: v, at: k}
}

// back follows element k of a value to where it comes from, through operators that move elements in order.
func (c *checker) back(v *graph.Value, k int, length func(*graph.Value) (int, bool)) (*graph.Value, int) {
	for v.Producer != nil && v.Tensor == nil {
		i, at, ok := step(v.Producer, k, length)
		if !ok || v.Producer.Input(i) == nil {
			break
		}
		v, k = v.Producer.Inputs[i], at
	}
	return v, k
}

// step says which input of a node its element k comes from, and from which element.
func step(n *graph.Node, k int, length func(*graph.Value) (int, bool)) (input, at int, ok bool) {
	if n.Domain != "" {
		return 0, 0, false
	}
	switch n.Op {
	case "Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten":
		return 0, k, true
	case "Concat":
		for i, in := range n.Inputs {
			if in == nil {
				return 0, 0, false
			}
			size, known := length(in)
			if !known {
				return 0, 0, false
			}
			if k < size {
				return i, k, true
			}
			k -= size
		}
	}
	return 0, 0, false
}

// length is the number of elements of a value of the original, or of the constant of the pruned model that has none there.
func (c *checker) length(o, p *graph.Value) (int, bool) {
	if p.Tensor != nil {
		return int(p.Tensor.Len()), true
	}
	if o == nil {
		return 0, false
	}
	info := c.a.Shapes.Of(o)
	if !info.Known {
		return 0, false
	}
	n := 1
	for k := range info.Dims {
		d, known := info.Fixed(k)
		if !known {
			return 0, false
		}
		n *= int(d)
	}
	return n, true
}

// source follows element k of an operand of the original back to a reading of a constant. Every value on the way must have one reader,
// else a change of the constant would be one for others too.
func (c *checker) source(use graph.Use, k int) (graph.Use, int, bool) {
	for {
		v := use.Node.Input(use.Input)
		switch {
		case v == nil || v.Output || v.Returned:
			return use, 0, false
		case v.Tensor != nil:
			return use, k, true
		case v.Producer == nil || len(v.Uses) != 1 || v.Scope != use.Node.Scope:
			return use, 0, false
		}
		i, at, ok := step(v.Producer, k, func(v *graph.Value) (int, bool) { return c.length(v, v) })
		if !ok {
			return use, 0, false
		}
		use, k = graph.Use{Node: v.Producer, Input: i}, at
	}
}
