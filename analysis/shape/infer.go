package shape

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// maxNums is the greatest number of elements that are tracked one by one.
const maxNums = 1024

// Infer infers every value of the model. Errors name the node (or graph input), the tensors and
// their shapes.
func Infer(g *graph.Graph, opt Options) (*Result, error) {
	inf := &inference{res: &Result{infos: make([]Info, len(g.Values))}}
	for _, v := range g.Values {
		switch {
		case v.Tensor != nil:
			inf.constant(v)
		case v.Sparse != nil:
			inf.res.infos[v.ID] = inf.tensor(inf.sparseElem(v.Sparse), v.Sparse.Dims)
		}
	}
	if err := inf.inputs(g.Main, opt); err != nil {
		return nil, err
	}
	if err := inf.scope(g.Main, 0, false); err != nil {
		return nil, err
	}
	return inf.res, nil
}

// inference is one run over a model.
type inference struct {
	res    *Result
	params map[string]bool // the names of dimensions that graph inputs declare
	arena  []Dim           // what dims hands out

	after func(v *graph.Value) *Info // set by After: what is known of a value's extents beforehand
	visit Visitor                    // set by Resized
}

// dims returns n zero Dims.
func (inf *inference) dims(n int) []Dim {
	if n > len(inf.arena) {
		inf.arena = make([]Dim, max(4096, n))
	}
	out := inf.arena[:n:n]
	inf.arena = inf.arena[n:]
	return out
}

func (inf *inference) constDims(ns []int64) []Dim {
	out := inf.dims(len(ns))
	for i, n := range ns {
		out[i] = Const(n)
	}
	return out
}

func (inf *inference) tensor(elem onnxio.DataType, dims []int64) Info {
	return Info{Kind: onnxio.KindTensor, Elem: elem, Known: true, Dims: inf.constDims(dims)}
}

func (inf *inference) sparseElem(s *onnxio.SparseTensor) onnxio.DataType {
	if s.Values == nil {
		return onnxio.Undefined
	}
	return s.Values.DataType
}

func (inf *inference) constant(v *graph.Value) {
	in := inf.tensor(v.Tensor.DataType, v.Tensor.Dims)
	in.Nums = decode(v.Tensor)
	inf.res.infos[v.ID] = in
}

// inputs binds the inputs of the main graph.
func (inf *inference) inputs(s *graph.Scope, opt Options) error {
	inf.params = map[string]bool{}
	for _, v := range s.Inputs {
		if v.Declared != nil {
			for _, d := range v.Declared.Shape {
				inf.params[d.Param] = true
			}
		}
	}
	left := len(opt.Inputs)
	for _, v := range s.Inputs {
		want, fixed := opt.Inputs[v.Name]
		if fixed {
			left--
		}
		if !v.Constant() {
			inf.res.infos[v.ID] = *inf.declared(v, v.Declared, 0)
		}
		if fixed {
			if err := inf.fix(v, want); err != nil {
				return err
			}
		}
	}
	if left > 0 {
		return unknownInput(s, opt)
	}
	return nil
}

// fix sets the shape of a graph input as the user wants it.
func (inf *inference) fix(v *graph.Value, want []int64) error {
	in := &inf.res.infos[v.ID]
	if in.Kind != onnxio.KindTensor && in.Kind != onnxio.KindUnknown {
		return fmt.Errorf("input %q is a %v: its shape can not be set", v.Name, v.Declared)
	}
	if in.Known && len(in.Dims) != len(want) {
		return fmt.Errorf("input %q has %d axes %v, but the shape given for it is %v", v.Name, len(in.Dims), v.Declared, want)
	}
	for i, n := range want {
		if n < 0 {
			return fmt.Errorf("input %q: the shape given for it, %v, has a negative extent", v.Name, want)
		}
		if have, ok := in.Fixed(i); ok && have != n {
			return fmt.Errorf("input %q: axis %d is %d in the model, but %d in the shape given for it, %v", v.Name, i, have, n, want)
		}
	}
	in.Kind, in.Known, in.Dims = onnxio.KindTensor, true, inf.constDims(want)
	return nil
}

func unknownInput(s *graph.Scope, opt Options) error {
	var names, have []string
	for name := range opt.Inputs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, v := range s.Inputs {
		if !v.Constant() {
			have = append(have, strconv.Quote(v.Name))
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(s.Inputs, func(v *graph.Value) bool { return v.Name == name }) {
			return fmt.Errorf("the model has no input %q; its inputs are %v", name, have)
		}
	}
	return nil
}

// declared turns a declared type into what is known by it. depth is that of the scope; for the
// inputs of the main graph it is 0, and their unknown extents count as known symbols.
func (inf *inference) declared(v *graph.Value, t *onnxio.Type, born int) *Info {
	if t == nil {
		return &Info{}
	}
	in := &Info{Kind: t.Kind, Elem: t.Elem}
	switch t.Kind {
	case onnxio.KindTensor, onnxio.KindSparse:
		if !t.HasShape {
			return in
		}
		in.Known, in.Dims = true, inf.dims(len(t.Shape))
		for i, d := range t.Shape {
			_, fixed := d.Extent()
			switch {
			case fixed, d.Known && d.Value == 0 && born > 0:
				in.Dims[i] = Const(d.Value)
			case d.Param != "" && born == 0:
				in.Dims[i] = Symbol(d.Param)
			default:
				in.Dims[i] = inf.fresh(v, i, born)
			}
		}
	case onnxio.KindSequence, onnxio.KindOptional:
		in.Of = inf.declared(v, t.Of, max(born, 1)) // each element may have its own extents
	}
	return in
}

// fresh returns a symbol for an extent of which nothing is known, named by value and axis.
func (inf *inference) fresh(v *graph.Value, axis, born int) Dim {
	name := v.FullName() + "." + strconv.Itoa(axis)
	for inf.params[name] {
		name += "'"
	}
	s := &symbol{name: name, born: born}
	if born == 0 {
		s.least = 1 // an extent of an input
	}
	return ofSymbol(s)
}

// scope infers the nodes of a scope whose inputs are bound. A lenient scope is one that perhaps never runs: what
// contradicts itself in it is left unknown, and the first such error is returned at the end.
func (inf *inference) scope(s *graph.Scope, depth int, lenient bool) error {
	var first error
	c := call{inference: inf, depth: depth}
	for _, n := range s.Nodes {
		if len(n.Outputs) > 0 && n.Outputs[0] != nil && n.Outputs[0].Holder == n {
			continue // a Constant node
		}
		c.node = n
		run := c.run
		if inf.visit != nil {
			run = c.visited
		}
		if err := run(); err != nil {
			err = explained(n, err)
			if !lenient {
				return err
			}
			if first == nil {
				first = err
			}
			c.reset()
			c.finish()
		}
	}
	return first
}

// nodeError is an error that names its node already.
type nodeError struct {
	msg string
	err error
}

func (e *nodeError) Error() string { return e.msg }

func (e *nodeError) Unwrap() error { return e.err }

func explained(n *graph.Node, err error) error {
	var done *nodeError
	if errors.As(err, &done) {
		return err
	}
	return &nodeError{n.Title() + ": " + err.Error(), err}
}

func (c *call) run() error {
	c.reset()
	if r := lookup(c.node.Domain, c.node.Op, c.node.Version); r != nil {
		if err := r(c); err != nil {
			return err
		}
	} else {
		c.bodiesOfUnknown()
	}
	c.finish()
	return nil
}

func (c *call) reset() {
	for _, v := range c.node.Outputs {
		if v != nil {
			c.res.infos[v.ID] = Info{}
		}
	}
}

// finish completes the outputs by what the file declares of them: inference wins, a declaration fills what it left open.
func (c *call) finish() {
	for _, v := range c.node.Outputs {
		if v != nil {
			c.complete(v)
			c.override(v)
		}
	}
}

// complete makes what is known of a value whole and consistent.
func (c *call) complete(v *graph.Value) {
	c.declare(v)
	in := &c.res.infos[v.ID]
	if in.Nums == nil {
		return
	}
	if n, ok := in.Len(); !ok || len(in.Nums) > maxNums || differ(n, Const(int64(len(in.Nums)))) {
		in.Nums = nil
	}
}

// declare adds what the file says of a value to what was inferred.
func (c *call) declare(v *graph.Value) {
	in := &c.res.infos[v.ID]
	t := v.Declared
	if t == nil {
		return
	}
	if c.visit != nil { // the shape is that of the old inputs
		if in.Kind == onnxio.KindUnknown {
			in.Kind, in.Elem = t.Kind, t.Elem
		}
		return
	}
	if in.Kind == onnxio.KindUnknown {
		*in = *c.declared(v, t, c.depth+1)
		return
	}
	if in.Kind != t.Kind {
		return
	}
	if in.Elem == onnxio.Undefined {
		in.Elem = t.Elem
	}
	if in.Kind != onnxio.KindTensor || !t.HasShape {
		return
	}
	if !in.Known {
		d := c.declared(v, t, c.depth+1)
		in.Known, in.Dims = true, d.Dims
		return
	}
	if len(in.Dims) != len(t.Shape) {
		return
	}
	for i, d := range t.Shape {
		if d.Known && d.Value >= 0 && !in.Dims[i].constant() && in.Dims[i].bornInside(0) {
			in.Dims = cloneDims(in.Dims)
			in.Dims[i] = Const(d.Value)
		}
	}
}
