package rewrite

import (
	"fmt"
	"maps"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// Operands that write sizes and positions down. A constant that only this node reads is changed where it is; one that others
// read too gets a changed copy. Where the operand is computed, the constant that entered the computation is changed if it
// can be found through Concat and Unsqueeze; else the elements are put over the computed ones, and the rest stays
// computed.

func (e *editor) operand(o plan.Operand) error {
	n, err := e.node(o.Node)
	if err != nil {
		return err
	}
	if o.Whole != nil {
		dims := []int64{int64(len(o.Whole))}
		if o.Scalar {
			dims = nil
		}
		e.setInput(n, o.Input, onnxio.NewIntTensor("", e.indexType(n, o.Input), dims, o.Whole))
		return nil
	}
	v := n.Input(o.Input)
	if v == nil {
		return fmt.Errorf("the plan does not fit the model: %s has no input %d", n.Title(), o.Input)
	}
	left := map[int]int64{}
	for _, k := range slices.Sorted(maps.Keys(o.Elements)) { // in order: copies of constants are added as they are made
		x := o.Elements[k]
		if at, ok := origin(n, o.Input, k); ok {
			if err := e.setElement(at, x); err != nil {
				return err
			}
			continue
		}
		left[k] = x
	}
	if len(left) == 0 {
		return nil
	}
	over := map[int]float64{}
	for k, x := range left {
		over[k] = float64(x)
	}
	dtype := onnxio.DataType(o.Type)
	if o.Size < 1 || dtype != onnxio.Int64 && dtype != onnxio.Int32 {
		return fmt.Errorf("the plan does not say what input %d of %s looks like: %d elements of %v", o.Input, n.Title(), o.Size, dtype)
	}
	name, err := e.overlay(n.Proto, n.Proto.Inputs[o.Input], dtype, []int64{int64(o.Size)}, over)
	if err != nil {
		return err
	}
	n.Proto.SetInput(o.Input, name)
	e.replaced = append(e.replaced, v)
	return nil
}

// indexType is the integer type of an operand: that of the constant it replaces, else int64.
func (e *editor) indexType(n *graph.Node, input int) onnxio.DataType {
	if v := n.Input(input); v != nil && v.Tensor != nil && v.Tensor.DataType == onnxio.Int32 {
		return onnxio.Int32
	}
	return onnxio.Int64
}

// setInput gives a node a new constant as an input.
func (e *editor) setInput(n *graph.Node, input int, t *onnxio.Tensor) {
	old := n.Input(input)
	base := n.Path + "_input"
	if old != nil {
		base = old.Name + "_pruned"
	}
	t.SetName(e.fresh(base))
	e.addConstant(t)
	n.Proto.SetInput(input, t.Name)
	if old != nil {
		e.replaced = append(e.replaced, old)
	}
}

// place is an element of a constant, as one node reads it.
type place struct {
	node    *graph.Node
	input   int
	element int
}

// origin follows an element of an operand back to the constant that it comes from, as long as every value on the way
// has one reader only.
func origin(n *graph.Node, input, k int) (place, bool) {
	for {
		v := n.Inputs[input]
		if v == nil || v.Output || v.Returned || called(v) {
			return place{}, false
		}
		if v.Tensor != nil {
			return place{n, input, k}, v.Sparse == nil
		}
		p := v.Producer
		if p == nil || len(v.Uses) != 1 || v.Scope != n.Scope {
			return place{}, false
		}
		switch p.Op {
		case "Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Flatten":
			n, input = p, 0
		case "Concat":
			found := false
			for i, in := range p.Inputs {
				size, ok := vectorLength(in)
				if !ok {
					return place{}, false
				}
				if k < size {
					n, input, found = p, i, true
					break
				}
				k -= size
			}
			if !found {
				return place{}, false
			}
		default:
			return place{}, false
		}
	}
}

// called reports whether a value lies in the body of a function, where a change would be one for all its calls.
func called(v *graph.Value) bool { return v.Producer != nil && len(v.Producer.Calls) > 0 }

// vectorLength is the length of a piece of a Concat of vectors, as far as it is plain.
func vectorLength(v *graph.Value) (int, bool) {
	switch {
	case v == nil:
		return 0, false
	case v.Tensor != nil:
		return int(v.Tensor.Len()), true
	case v.Producer == nil:
		return 0, false
	case v.Producer.Op == "Unsqueeze" || v.Producer.Op == "Cast":
		in := v.Producer.Input(0)
		if in != nil && in.Tensor != nil {
			return int(in.Tensor.Len()), true
		}
		if v.Producer.Op == "Unsqueeze" && in != nil && in.Producer != nil && in.Producer.Op == "Gather" {
			if ix := in.Producer.Input(1); ix != nil && ix.Tensor != nil && len(ix.Tensor.Dims) == 0 {
				return 1, true
			}
		}
		if v.Producer.Op == "Cast" {
			return vectorLength(in)
		}
	case v.Declared != nil && v.Declared.HasShape && len(v.Declared.Shape) == 1 && v.Declared.Shape[0].Known:
		return int(v.Declared.Shape[0].Value), true
	}
	return 0, false
}

// setElement changes one element of an integer constant as one node reads it.
func (e *editor) setElement(at place, x int64) error {
	v := at.node.Inputs[at.input]
	t := v.Tensor
	vs, err := t.Ints()
	if err != nil {
		return err
	}
	if at.element >= len(vs) {
		return fmt.Errorf("the plan does not fit the model: %q has %d elements", v.FullName(), len(vs))
	}
	if len(v.Uses) > 1 || v.Output || v.Returned { // others read it: from here on this node has its own
		name := at.node.Proto.Inputs[at.input]
		if cur := e.values[name]; cur == v {
			c := t.Copy(e.fresh(v.Name + "_pruned"))
			e.addConstant(c)
			nv := &graph.Value{ID: -1, Name: c.Name, Scope: v.Scope, Tensor: c, Uses: []graph.Use{{Node: at.node, Input: at.input}}}
			e.values[c.Name] = nv
			at.node.Inputs[at.input] = nv
			at.node.Proto.SetInput(at.input, c.Name)
			e.replaced = append(e.replaced, v)
			v, t = nv, c
		}
	}
	vs[at.element] = x
	n := onnxio.NewIntTensor("", t.DataType, t.Dims, vs)
	raw, err := n.Raw()
	if err != nil {
		return err
	}
	if err := t.SetRaw(t.Dims, raw); err != nil {
		return err
	}
	if v.Holder != nil {
		hold(v)
	}
	return nil
}

// freeze keeps a computed number at what it was.
func (e *editor) freeze(f plan.Freeze) error {
	v, err := e.value(f.Value)
	if err != nil {
		return err
	}
	dtype, dims := onnxio.DataType(f.Type), f.Shape
	if dims == nil {
		dims = []int64{}
	}
	raw := v.Name
	if f.Named {
		if raw, err = e.freezeName(v, dtype, dims, f.Elements); err != nil {
			return err
		}
	}
	frozen := map[plan.Use]bool{}
	for _, u := range f.Uses {
		n, err := e.reader(u, v)
		if err != nil {
			return err
		}
		frozen[u] = true
		if f.Named { // it sees the frozen value by its name
			continue
		}
		name, err := e.overlay(n.Proto, n.Proto.Inputs[u.Input], dtype, dims, f.Elements)
		if err != nil {
			return err
		}
		n.Proto.SetInput(u.Input, name)
	}
	for _, u := range v.Uses { // the others go on with the computed one
		n := u.Node
		if f.Named && n.Scope == v.Scope && !frozen[plan.Use{Node: n.Path, Input: u.Input}] && n.Proto.Inputs[u.Input] == v.Name {
			n.Proto.SetInput(u.Input, raw)
		}
	}
	e.replaced = append(e.replaced, v)
	return nil
}

// freezeName puts the frozen value in the place of the computed one, under its name, so that bodies and outputs see it. It returns the
// name that the computed one has from now on.
func (e *editor) freezeName(v *graph.Value, dtype onnxio.DataType, dims []int64, over map[int]float64) (string, error) {
	if v.Producer == nil {
		return "", fmt.Errorf("%q is an input of the model and can not be frozen", v.FullName())
	}
	p := v.Producer.Proto
	at := slices.Index(e.model.Graph.Nodes, p)
	raw := e.fresh(v.Name + "_computed")
	outs := slices.Clone(p.Outputs)
	outs[v.Index] = raw
	p.SetOutputs(outs...)
	marker := onnxio.NewNode("Identity", v.Name+"_frozen", []string{raw}, []string{v.Name})
	e.model.Graph.InsertNode(at+1, marker)
	name, err := e.overlay(marker, raw, dtype, dims, over)
	if err != nil {
		return "", err
	}
	marker.SetInputs(name)
	return raw, nil
}

// dropUnused removes constants and computing nodes that lost their last reader to this edit, and nothing else.
func (e *editor) dropUnused() {
	g := e.model.Graph
	for len(e.replaced) > 0 {
		v := e.replaced[0]
		e.replaced = e.replaced[1:]
		constant := v.Tensor != nil && e.model.IRVersion < 4 // then a constant has to be an input too, and no run gives it
		if v.Scope != e.graph.Main || v.Input && !constant || readByAnyone(g, v.Name) {
			continue
		}
		if v.Producer == nil {
			if v.Tensor != nil && slices.Contains(g.Initializers, v.Tensor) {
				g.RemoveInitializer(v.Tensor)
			}
			if at := slices.IndexFunc(g.Inputs, func(in *onnxio.ValueInfo) bool { return in.Name == v.Name }); at >= 0 {
				g.RemoveInput(g.Inputs[at])
			}
			continue
		}
		p := v.Producer
		if len(p.Bodies) > 0 || slices.ContainsFunc(p.Proto.Outputs, func(o string) bool { return o != "" && readByAnyone(g, o) }) {
			continue
		}
		if slices.Contains(g.Nodes, p.Proto) {
			g.RemoveNode(p.Proto)
			for _, in := range p.Inputs {
				if in != nil {
					e.replaced = append(e.replaced, in)
				}
			}
		}
	}
}

// readByAnyone reports whether a name is read by a node, a body or an output of the graph.
func readByAnyone(g *onnxio.Graph, name string) bool {
	for _, o := range g.Outputs {
		if o.Name == name {
			return true
		}
	}
	for _, n := range g.Nodes {
		if slices.Contains(n.Inputs, name) {
			return true
		}
		for _, a := range n.Attributes {
			for _, sub := range a.Subgraphs() {
				if readByAnyone(sub, name) {
					return true
				}
			}
		}
	}
	return false
}
