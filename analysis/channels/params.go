package channels

import (
	"cmp"
	"fmt"
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Param is a weight of a convolution or linear layer: what users name when they prune.
type Param struct {
	Name   string         // of the tensor, with the path of its body
	Value  *graph.Value   // the constant; the layer's operand itself where it is computed
	Tensor *onnxio.Tensor // nil where the weight is computed from a shape
	Shape  []int64
	Axis   int           // of output channels, in Tensor
	Out    int64         // extent of that axis
	Nodes  []*graph.Node // the layers that use it
	Input  int           // the operand of Nodes[0] that it is (perhaps through other nodes)
	IDs    []atoms.ID    // the atoms of the output axis; nil where it carries none
	Reason *atoms.Reason // why none of its channels can go; nil when at least one can
	Free   int           // how many of its channels can go
	Used   *Used         // the layer's operand, where it is computed from this and other constants; nil where it is the weight itself
}

// foreign says why a node of the main graph that came out of a call can not stand there, so that nothing can change in it; "" where it can.
func foreign(n *graph.Node) string {
	if len(n.Calls) == 0 {
		return ""
	}
	return n.Calls[0].Foreign
}

// weightInput says which operand of a node is a weight, for weights that no rule looked at: inside bodies, and in functions that stay as
// they are. ok is false where none is a constant.
func weightInput(n *graph.Node) (input int, ok bool) {
	rule, known := ops.Lookup(n.Domain, n.Op, n.Version)
	if !known {
		return 0, false
	}
	for _, i := range rule.Weights {
		if v := n.Input(max(i, 0)); v != nil && v.Tensor != nil {
			return max(i, 0), true
		}
	}
	return 0, false
}

// params lists the weights of all scopes.
func (a *Analysis) params() {
	byValue := map[string]*Param{}
	add := func(p *Param) {
		if old := byValue[p.Name]; old != nil {
			for _, n := range p.Nodes {
				if !slices.Contains(old.Nodes, n) {
					old.Nodes = append(old.Nodes, n)
				}
			}
			return
		}
		byValue[p.Name] = p
		a.Params = append(a.Params, p)
	}
	own := map[*graph.Node][]*Param{}
	for _, sp := range a.State.Parameters {
		own[sp.Node] = append(own[sp.Node], a.param(sp.Node, sp.Input, sp.Out, sp.Axis))
	}
	for _, n := range a.Graph.Nodes { // graph order, bodies where their node stands
		for _, p := range own[n] {
			add(p)
		}
		i, ok := weightInput(n)
		if !ok {
			continue
		}
		var why *atoms.Reason
		switch owner := n.Scope.Owner; {
		case n.InBody() && n.Input(i).InBody():
			why = &atoms.Reason{Node: owner, Text: fmt.Sprintf("inside the body of %s %q", owner.Op, owner.Path)}
		case n.InBody():
			why = &atoms.Reason{Node: owner, Text: fmt.Sprintf("shared with the body of %s %q", owner.Op, owner.Path)}
		case foreign(n) != "":
			why = ops.Barred(n, foreign(n))
		default:
			continue
		}
		p := a.param(n, i, 0, atoms.Axis{})
		p.Reason = why
		add(p)
	}
}

func (a *Analysis) param(n *graph.Node, input, out int, axis atoms.Axis) *Param {
	v := n.Inputs[input]
	p := &Param{Value: v, Axis: out, Nodes: []*graph.Node{n}, Input: input}
	if !axis.Fixed() {
		p.IDs = axis.IDs
		from := a.owners[axis.IDs[0]].array // the constant that the operand comes from
		if a.arithmetic(v, map[*graph.Value]bool{}) {
			from = cmp.Or(a.stem(v, axis), from)
		}
		if from != nil && !v.Constant() {
			p.Value, p.Axis, p.IDs = from.Owner.Value, from.Owner.Axis, from.IDs
			axis = atoms.Axis{Array: from}
		}
	} else if !v.Constant() {
		if w := source(v); w != nil {
			p.Value = w
		}
	}
	p.Name, p.Tensor = p.Value.FullName(), p.Value.Tensor
	if p.Tensor != nil {
		p.Shape = p.Tensor.Dims
	} else {
		for k := range a.Shapes.Of(p.Value).Dims {
			d, _ := a.Shapes.Of(p.Value).Fixed(k)
			p.Shape = append(p.Shape, d)
		}
	}
	if p.Axis < len(p.Shape) {
		p.Out = p.Shape[p.Axis]
	}
	a.judge(p, axis)
	p.Used = a.used(v, out, p)
	return p
}

// judge counts the channels that can go, and says why where there are none.
func (a *Analysis) judge(p *Param, axis atoms.Axis) {
	if axis.Fixed() {
		p.Reason = axis.Why
		if p.Reason == nil {
			p.Reason = &atoms.Reason{Text: "it has a single output channel", Node: p.Nodes[0]}
		}
		return
	}
	for _, id := range axis.IDs {
		r := a.State.Set.Find(id)
		if a.removable[r] {
			p.Free++
			continue
		}
		if p.Reason == nil {
			if p.Reason = a.State.Set.Pinned(r); p.Reason == nil && a.groupOf[r] != nil {
				p.Reason = a.groupOf[r].Reason
			}
		}
	}
	if p.Free > 0 {
		p.Reason = nil
	}
}

// source follows a computed weight back to the largest constant that it comes from.
func source(v *graph.Value) *graph.Value {
	var best *graph.Value
	for v != nil && v.Producer != nil && !v.Constant() {
		var next *graph.Value
		for _, in := range v.Producer.Inputs {
			if in == nil {
				continue
			}
			if in.Tensor != nil && (best == nil || in.Tensor.Len() > best.Tensor.Len()) {
				best = in
			}
			if next == nil {
				next = in
			}
		}
		v = next
	}
	return best
}

// Classes returns the class of every index of the weight's output axis.
func (a *Analysis) Classes(p *Param) []atoms.ID {
	out := make([]atoms.ID, len(p.IDs))
	for i, id := range p.IDs {
		out[i] = a.State.Set.Find(id)
	}
	return out
}

// Place is one index of one axis of a constant.
type Place struct {
	Tensor string // full name
	Axis   int
	Index  int
}

// Places returns every place in constants that a class holds, in order.
func (a *Analysis) Places(class atoms.ID) []Place {
	var out []Place
	for _, arr := range a.State.Set.Arrays() {
		if arr.Owner == nil {
			continue
		}
		for i, id := range arr.IDs {
			if a.State.Set.Find(id) == class {
				out = append(out, Place{arr.Owner.Value.FullName(), arr.Owner.Axis, i})
			}
		}
	}
	return out
}

// At returns the class of a place of a constant that has one reader, or whose readers share it; ok is false where there is
// none.
func (a *Analysis) At(p Place) (class atoms.ID, ok bool) {
	for _, arr := range a.State.Set.Arrays() {
		o := arr.Owner
		if o != nil && (o.Use.Node == nil || len(o.Value.Uses) == 1) && o.Value.FullName() == p.Tensor && o.Axis == p.Axis && p.Index < len(arr.IDs) {
			return a.State.Set.Find(arr.IDs[p.Index]), true
		}
	}
	return 0, false
}
