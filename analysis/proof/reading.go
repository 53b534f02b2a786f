package proof

import (
	"maps"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// reading compares what a node reads at one input with what its counterpart reads.
func (c *checker) reading(n, q *graph.Node, i int) error {
	v, w := n.Input(i), q.Input(i)
	use := graph.Use{Node: n, Input: i}
	o := c.operands[useOf(n, i)]
	if o != nil && n.Scope == c.o.Main {
		if o.Whole != nil {
			return c.whole(use, w, o)
		}
		if v != nil && w != nil {
			return c.elementsOf(use, w, o)
		}
	}
	switch {
	case v == nil && w == nil:
		return nil
	case v == nil || w == nil:
		return fault("input %d of %s is %s, and should be %s", i, n.Title(), named(w), named(v))
	case c.frozenAt(use):
		return c.frozen(use, w)
	case c.constantly(v):
		return c.constant(use, v, w)
	}
	if !c.is(w, v) {
		return fault("input %d of %s is %s, and should be %s", i, n.Title(), named(w), named(v))
	}
	return nil
}

func named(v *graph.Value) string {
	if v == nil {
		return "absent"
	}
	return `"` + v.FullName() + `"`
}

// is reports whether w is the counterpart of v.
func (c *checker) is(w, v *graph.Value) bool {
	p := c.peerOf(v)
	return p != nil && c.through(w) == p
}

// through follows a value back through the Identity nodes that give what an inlined call returns its further names.
func (c *checker) through(w *graph.Value) *graph.Value {
	for w != nil && c.originOf(w) == nil && w.Producer != nil && w.Producer.Op == "Identity" && c.explained[w.Producer.Proto] {
		w = w.Producer.Input(0)
	}
	return w
}

// named reports whether a value is frozen under its own name.
func (c *checker) named(v *graph.Value) bool {
	f := c.freezes[v.FullName()]
	return f != nil && f.Named && v.Scope == c.o.Main
}

// renamed reports whether the plan gives a value's name to something else: the node that computes it then writes another one.
func (c *checker) renamed(v *graph.Value) bool { return c.named(v) || c.folds[v].tensor != nil }

// frozenAt reports whether a reading is of a frozen number: the plan names it, or the reader lies in a body, which knows the
// value by its name only.
func (c *checker) frozenAt(u graph.Use) bool {
	v := u.Node.Inputs[u.Input]
	f := c.freezes[v.FullName()]
	return f != nil && (slices.Contains(f.Uses, useOf(u.Node, u.Input)) || f.Named && u.Node.Scope != v.Scope)
}

// frozen checks that w is what the original computes as v, with the plan's elements in their places.
func (c *checker) frozen(use graph.Use, w *graph.Value) error {
	v := use.Node.Inputs[use.Input]
	c.replaced[use] = true
	return c.frozenValue(v, w, use.Node.Title())
}

func (c *checker) frozenValue(v, w *graph.Value, reader string) error {
	f := c.freezes[v.FullName()]
	if n, ok := c.length(v, v); !ok || n > most || n != count(f.Shape) {
		return planFault("the frozen value %q does not have the shape %v", v.FullName(), f.Shape)
	}
	want := make(vector, count(f.Shape))
	for k := range want {
		want[k] = element{of: v, at: k}
		if x, ok := f.Elements[k]; ok {
			want[k] = element{number: x}
		}
	}
	e := c.evaluator(v, onnxio.DataType(f.Type), f.Shape)
	have, err := e.of(w)
	if err != nil {
		return fault("%s reads %s in place of the frozen value %q: %v", reader, named(w), v.FullName(), err)
	}
	if have.dtype != onnxio.DataType(f.Type) || !slices.Equal(have.dims, f.Shape) {
		return fault("%s reads %v%v in place of the frozen value %q, which is %v%v", reader, have.dtype, have.dims, v.FullName(), onnxio.DataType(f.Type), f.Shape)
	}
	if k := have.elements.differs(want); k >= 0 {
		return fault("%s reads %s in place of the frozen value %q: element %d is %v, and should be %v", reader, named(w), v.FullName(), k, have.elements[k], want[k])
	}
	e.accept()
	return nil
}

// handedOut compares an output of the main graph.
func (c *checker) handedOut(v, w *graph.Value, name string) error {
	switch {
	case c.named(v):
		return c.frozenValue(v, w, "the output "+name)
	case c.constantly(v):
		return c.constant(graph.Use{Input: -1}, v, w)
	case !c.is(w, v):
		return fault("the output %q is %s, and should be %s", name, named(w), named(v))
	}
	return nil
}

// whole checks that w is the constant that the plan puts in the place of an operand.
func (c *checker) whole(use graph.Use, w *graph.Value, o *plan.Operand) error {
	n := use.Node
	c.replaced[use] = true
	dims := []int64{int64(len(o.Whole))}
	if o.Scalar {
		dims = []int64{}
	}
	dtype := onnxio.Int64
	if v := n.Input(use.Input); v != nil && v.Tensor != nil && v.Tensor.DataType == onnxio.Int32 {
		dtype = onnxio.Int32
	}
	if w == nil || w.Tensor == nil {
		return fault("input %d of %s is %s, and should be the constant %v", use.Input, n.Title(), named(w), o.Whole)
	}
	have, err := w.Tensor.Ints()
	if err != nil || w.Tensor.DataType != dtype || !slices.Equal(w.Tensor.Dims, dims) || !slices.Equal(have, o.Whole) {
		return fault("input %d of %s is %v%v %v, and should be %v%v %v", use.Input, n.Title(), w.Tensor.DataType, w.Tensor.Dims, have, dtype, dims, o.Whole)
	}
	c.constants[w] = true
	return nil
}

// elementsOf checks that an operand holds the plan's elements, and the original's in all other places.
func (c *checker) elementsOf(use graph.Use, w *graph.Value, o *plan.Operand) error {
	n, v := use.Node, use.Node.Inputs[use.Input]
	c.replaced[use] = c.replaced[use] || c.peerOf(v) != w
	if c.mended[use] != nil && w.Constant() {
		return c.constant(use, v, w)
	}
	if size, ok := c.length(v, v); !ok || size > most || size != o.Size {
		return planFault("input %d of %s does not have %d elements", use.Input, n.Title(), o.Size)
	}
	for k := range o.Size {
		want := element{}
		if x, ok := o.Elements[k]; ok {
			want.number = float64(x)
		} else {
			want = c.inOriginal(v, k)
		}
		e := c.evaluator(v, onnxio.DataType(o.Type), []int64{int64(o.Size)})
		have, err := e.at(w, k)
		if err != nil {
			return fault("input %d of %s: %v", use.Input, n.Title(), err)
		}
		if have != want {
			return fault("input %d of %s, %s: element %d is %v, and should be %v", use.Input, n.Title(), named(w), k, have, want)
		}
		e.accept()
	}
	return nil
}

// mend collects the elements of integer constants that the plan's operands come from, by the reading of the constant: the operand itself, or
// one that reaches it through nodes that only move elements, each of which has no other reader.
func (c *checker) mend() {
	for _, n := range c.o.Main.Nodes {
		for i := range n.Inputs {
			o := c.operands[useOf(n, i)]
			if o == nil {
				continue
			}
			for _, k := range slices.Sorted(maps.Keys(o.Elements)) {
				if use, at, ok := c.source(graph.Use{Node: n, Input: i}, k); ok {
					if c.mended[use] == nil {
						c.mended[use] = map[int]int64{}
					}
					c.mended[use][at] = o.Elements[k]
				}
			}
		}
	}
}
