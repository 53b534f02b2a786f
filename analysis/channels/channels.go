// Package channels finds out which channels of a model hang together.
//
// Every index of every axis of every constant is an atom. One walk over the nodes, in order, lets each
// operator's axis rule (package ops) say how atoms pass, which are the same, and which can not go. What
// is left is a union-find whose classes live or die together: removing a class is exactly removing its slices of
// its tensors. Classes that touch the same axes of the same tensors form a Group, the thing that users see.
//
// Control flow is where the walk ends: nothing inside a body is pruned, and what flows into one or is captured by
// it is pinned, with the node's name as the reason.
package channels

import (
	"fmt"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
)

// Options of Analyze.
type Options struct {
	// AllowInexact lets channels go that a normalisation or mean runs across. The result is then not equal to the masked
	// original, by the nature of these operators.
	AllowInexact bool
}

// Analysis is what is known of a model's channels.
type Analysis struct {
	Graph  *graph.Graph
	Shapes *shape.Result
	State  *ops.State
	Params []*Param // every weight of a convolution or linear layer, in graph order
	Groups []*Group // every group that holds a channel of a constant, in graph order
	opt    Options

	removable []bool   // by class: it may go
	groupOf   []*Group // by class
	owners    []owner  // by atom
}

// owner is the place of an atom in a constant.
type owner struct {
	array *atoms.Array
	index int
}

// Analyze walks the model. It needs the shapes of its values.
func Analyze(g *graph.Graph, shapes *shape.Result, opt Options) *Analysis {
	a := &Analysis{Graph: g, Shapes: shapes, State: ops.NewState(g, shapes), opt: opt}
	a.inputs()
	for _, n := range g.Main.Nodes {
		a.node(n)
	}
	a.outputs()
	a.State.Set.Decide(opt.AllowInexact)
	a.classes()
	a.params()
	return a
}

// inputs labels the inputs of the model: they carry no channels that could go.
func (a *Analysis) inputs() {
	for _, v := range a.Graph.Main.Inputs {
		if v.Constant() {
			continue
		}
		axes := ops.Fixed(a.Shapes.Of(v).Rank())
		for k := range axes {
			axes[k].Why = &atoms.Reason{Text: fmt.Sprintf("it is fixed by the model's input %q", v.Name)}
		}
		a.State.Labels[v.ID] = axes
	}
}

// outputs pins what the model hands out.
func (a *Analysis) outputs() {
	for _, v := range a.Graph.Main.Outputs {
		a.pinValue(v, &atoms.Reason{Text: fmt.Sprintf("it is an axis of the model's output %q", v.Name)})
	}
}

// pinValue pins every axis of a value, however it is read.
func (a *Analysis) pinValue(v *graph.Value, why *atoms.Reason) {
	for _, ax := range a.State.SharedLabels(v) {
		if !ax.Fixed() {
			a.State.Set.PinArray(ax.Array, why)
		}
	}
}

// node runs the rule of one node of the main graph.
func (a *Analysis) node(n *graph.Node) {
	c := ops.NewContext(a.State, n)
	if len(n.Bodies) > 0 {
		a.control(c, n)
		return
	}
	rule, ok := ops.Lookup(n.Domain, n.Op, n.Version)
	switch {
	case foreign(n) != "":
		c.Barrier("%s", foreign(n))
	case !ok:
		name := n.Op
		if n.Domain != "" {
			name = n.Domain + "." + n.Op
		}
		c.Barrier("no rule for %s", name)
	default:
		if v := unknownRank(a.Shapes, n); v != nil {
			c.Barrier("the shape of its input %q is not known", v.Name)
			break
		}
		flow(c, rule)
	}
	c.Finish()
}

// flow runs a rule. A rule that trips over operands which no valid model has makes its node a barrier.
func flow(c *ops.Context, rule ops.Rule) {
	defer func() {
		if p := recover(); p != nil {
			c.Barrier("its operands are not what the operator takes (%v)", p)
		}
	}()
	c.Run(rule)
}

// unknownRank returns an input that is no tensor of known rank, nil where there is none.
func unknownRank(s *shape.Result, n *graph.Node) *graph.Value {
	for _, v := range n.Inputs {
		if v != nil && !s.Of(v).Known {
			return v
		}
	}
	return nil
}

// control pins what flows into a control-flow node, and what its bodies take from outside.
func (a *Analysis) control(c *ops.Context, n *graph.Node) {
	c.IgnoreAll()
	name := fmt.Sprintf("%s %q", n.Op, n.Path)
	for i, v := range n.Inputs {
		if v != nil {
			for _, ax := range c.In(i) {
				c.Pin(ax, "it is an input of %s", name)
			}
		}
	}
	for _, v := range n.Captures {
		why := c.Reason("captured by %s", name)
		if v.Constant() {
			why = c.Reason("shared with the body of %s", name)
		}
		a.pinValue(v, why)
	}
	c.Finish()
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		for k := range a.State.Labels[v.ID] {
			a.State.Labels[v.ID][k].Why = c.Reason("it comes out of %s", name)
		}
	}
}
