package onnxprune

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
)

// Trial is a cut of a single channel, as an example of what a cut touches.
type Trial struct {
	Axis       int        `json:"axis"`
	Index      int        `json:"index"`
	Tensors    []Change   `json:"tensors"`
	Operands   []Change   `json:"operands,omitempty"`
	Attributes []Change   `json:"attributes,omitempty"`
	Stored     []string   `json:"stored,omitempty"` // values computed from constants that would be worked out before the cut
	Frozen     []string   `json:"frozen,omitempty"`
	Plan       *plan.Plan `json:"-"`
}

// Change is one thing that a cut changes, before and after in words.
type Change struct {
	What   string `json:"what"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// trial plans the cut of a single channel, the first that can go.
func (n *explainer) trial(e *Explanation, axis int, ids []atoms.ID) error {
	for i, id := range ids {
		c := n.Channels.State.Set.Find(id)
		if !n.Channels.Removable(c) {
			continue
		}
		p, err := plan.Build(n.Channels, map[atoms.ID]bool{c: true})
		if err != nil {
			continue // it is the only channel of an axis: the next one may not be
		}
		e.Trial = n.describe(p)
		slices.SortStableFunc(e.Trial.Tensors, func(a, b Change) int { return named(b, e) - named(a, e) })
		e.Trial.Axis, e.Trial.Index = axis, i
		return nil
	}
	return nil
}

// named is 1 for a change of what is explained.
func named(c Change, e *Explanation) int {
	if c.What == e.about {
		return 1
	}
	return 0
}

// describe puts a plan into words.
func (n *Network) describe(p *plan.Plan) *Trial {
	t := &Trial{Tensors: []Change{}, Plan: p}
	for _, c := range tensorCuts(p) {
		what := c.Name
		if c.Copy {
			what += " (a copy of it)"
		}
		t.Tensors = append(t.Tensors, Change{what, dims(c.Before), dims(c.After)})
	}
	for _, o := range p.Operands {
		c := Change{What: fmt.Sprintf("input %d of %q", o.Input, o.Node), Before: n.content(o.Use), After: dims(o.Whole)}
		if o.Whole == nil {
			c.After = n.mended(o)
		}
		t.Operands = append(t.Operands, c)
	}
	for _, a := range p.Attributes {
		c := Change{What: fmt.Sprintf("attribute %s of %q", a.Name, a.Node), After: dims(a.Ints)}
		switch {
		case a.Remove:
			c.After = "removed"
		case a.Int != nil:
			c.After = fmt.Sprint(*a.Int)
		}
		if node := n.node(a.Node); node != nil {
			if is, ok := node.Ints(a.Name); ok {
				c.Before = dims(is)
			} else if a.Int != nil {
				c.Before = fmt.Sprint(node.Int(a.Name, 0))
			}
		}
		t.Attributes = append(t.Attributes, c)
	}
	for _, f := range p.Folds {
		t.Stored = append(t.Stored, f.Value)
	}
	for _, f := range p.Freezes {
		t.Frozen = append(t.Frozen, f.Value)
	}
	return t
}

func (n *Network) node(path string) *graph.Node {
	for _, node := range n.Graph.Nodes {
		if node.Path == path {
			return node
		}
	}
	return nil
}

// content writes what is known of a small operand, "" for nothing.
func (n *Network) content(u plan.Use) string {
	list := n.elements(u)
	if list == nil {
		return ""
	}
	return dims(list)
}

// mended writes an operand of which some elements change.
func (n *Network) mended(o plan.Operand) string {
	list := n.elements(o.Use)
	if list == nil {
		list = slices.Repeat([]string{"?"}, o.Size)
	}
	for k, x := range o.Elements {
		if k < len(list) {
			list[k] = fmt.Sprint(x)
		}
	}
	return dims(list)
}

// elements lists what is known of a small operand.
func (n *Network) elements(u plan.Use) []string {
	node := n.node(u.Node)
	if node == nil || node.Input(u.Input) == nil {
		return nil
	}
	var out []string
	for _, x := range n.Shapes.Of(node.Input(u.Input)).Nums {
		out = append(out, fmt.Sprint(x))
	}
	return out
}

// dims writes a list as shapes are written: [512,1024,1,1].
func dims[T any](list []T) string {
	s := make([]string, len(list))
	for i, d := range list {
		s[i] = fmt.Sprint(d)
	}
	return "[" + strings.Join(s, ",") + "]"
}
