package onnxprune

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
)

// Explanation says what hangs together with a name: a parameter, another tensor, a node or an output.
type Explanation struct {
	Name string `json:"name"`
	Is   string `json:"is"` // what the name stands for, in words
	Axes []Axis `json:"axes"`
	// Trial is what would change if the first channel that can go went; nil where none can.
	Trial *Trial   `json:"trial,omitempty"`
	Try   []string `json:"try,omitempty"` // what to do with it
}

// Axis is what is known of one axis of a tensor.
type Axis struct {
	Axis     int      `json:"axis"`
	What     string   `json:"what"`     // "output channels of Conv …", or the name of the value
	Channels int      `json:"channels"` // 0 where the axis carries none
	Prunable int      `json:"prunable"`
	Pins     []Reason `json:"pins,omitempty"` // why the others can not go
	Groups   []Group  `json:"groups,omitempty"`
}

// Trial is a cut of a single channel, as an example of what a cut touches.
type Trial struct {
	Axis       int        `json:"axis"`
	Index      int        `json:"index"`
	Tensors    []Change   `json:"tensors"`
	Operands   []Change   `json:"operands,omitempty"`
	Attributes []Change   `json:"attributes,omitempty"`
	Frozen     []string   `json:"frozen,omitempty"`
	Plan       *plan.Plan `json:"-"`
}

// Change is one thing that a cut changes, before and after in words.
type Change struct {
	What   string `json:"what"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// Explain looks a name up: a weight or another constant, then a node, then an output of a node, and tells what its channels
// hang together with.
func (n *Network) Explain(name string) (*Explanation, error) {
	if p := n.parameter(name); p != nil {
		return n.explainParam(name, p)
	}
	for _, v := range n.Graph.Values {
		if v.Tensor != nil && v.FullName() == name {
			return n.explainConstant(v)
		}
	}
	for _, node := range n.Graph.Nodes {
		if node.Path == name || node.Proto.Name == name {
			return n.explainNode(name, node)
		}
	}
	for _, v := range n.Graph.Values {
		if v.FullName() == name || v.Name == name {
			return n.explainValue(v)
		}
	}
	return nil, refuse("the model has no parameter, node or value %q%s", name, n.nearest(name))
}

func (n *Network) parameter(name string) *channels.Param {
	for _, p := range n.Channels.Params {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func (n *Network) nearest(name string) string {
	var names []string
	for _, p := range n.Channels.Params {
		names = append(names, p.Name)
	}
	for _, node := range n.Graph.Nodes {
		names = append(names, node.Path)
	}
	near := selection.Nearest(name, names, 3)
	if len(near) == 0 {
		return "; see what there is with: onnxprune params MODEL --all"
	}
	return "; nearest are " + strings.Join(near, ", ")
}

func (n *Network) explainParam(name string, p *channels.Param) (*Explanation, error) {
	layers := make([]string, len(p.Nodes))
	for i, node := range p.Nodes {
		layers[i] = node.Title()
	}
	e := &Explanation{Name: name, Is: fmt.Sprintf("weight %s%s of %s", n.Shapes.Of(p.Value).Elem, dims(p.Shape), strings.Join(layers, ", "))}
	ax := n.axis(p.Axis, "output channels", p.IDs)
	if len(p.IDs) == 0 && p.Reason != nil {
		ax.Pins = []Reason{{p.Reason.Text, int(p.Out)}}
	}
	e.Axes = []Axis{ax}
	if ax.Prunable > 0 {
		e.Try = []string{fmt.Sprintf("--params %s --ratios 0.3", p.Name)}
		return e, n.trial(e, p.Axis, p.IDs)
	}
	if p.Reason != nil && p.Reason.Inexact {
		e.Try = []string{"--allow-inexact lets it go; the result is then not equal to the masked original"}
	}
	return e, nil
}

// explainConstant explains a vector or another constant: axis by axis.
func (n *Network) explainConstant(v *graph.Value) (*Explanation, error) {
	e := &Explanation{Name: v.FullName(), Is: fmt.Sprintf("constant %s%s", v.Tensor.DataType, dims(v.Tensor.Dims)), Axes: []Axis{}}
	root := n.roots()
	var ids []atoms.ID
	at := 0
	for axis, extent := range v.Tensor.Dims {
		for _, m := range n.members(v, axis) {
			a := n.axis(axis, m.Role, m.Source.Array.IDs)
			e.Axes = append(e.Axes, a)
			if a.Prunable > 0 && ids == nil {
				ids, at = m.Source.Array.IDs, axis
				if g := n.Channels.GroupOf(ids[0]); g != nil && root[g] != nil {
					e.Try = []string{fmt.Sprintf("it follows its layer: --params %s --ratios 0.3", root[g].Name)}
				}
			}
		}
		if len(n.members(v, axis)) == 0 && extent > 1 {
			e.Axes = append(e.Axes, Axis{Axis: axis, What: fmt.Sprintf("axis of %d elements", extent)})
		}
	}
	if ids == nil {
		return e, nil
	}
	return e, n.trial(e, at, ids)
}

// members lists the places where an axis of a constant stands in groups, one for every reading that has atoms of its own.
func (n *Network) members(v *graph.Value, axis int) []channels.Member {
	var out []channels.Member
	for _, g := range n.Channels.Groups {
		for _, m := range g.Members {
			same := func(o channels.Member) bool { return o.Source == m.Source }
			if m.Source.Value == v && m.Source.Axis == axis && !slices.ContainsFunc(out, same) {
				out = append(out, m)
			}
		}
	}
	return out
}

func (n *Network) explainNode(name string, node *graph.Node) (*Explanation, error) {
	for _, p := range n.Channels.Params {
		if slices.Contains(p.Nodes, node) {
			return n.explainParam(name, p)
		}
	}
	if v := node.Output(0); v != nil {
		e, err := n.explainValue(v)
		if e != nil {
			e.Name, e.Is = name, node.Title()+", which makes "+e.Is
		}
		return e, err
	}
	return &Explanation{Name: name, Is: node.Title(), Axes: []Axis{}}, nil
}

func (n *Network) explainValue(v *graph.Value) (*Explanation, error) {
	e := &Explanation{Name: v.FullName(), Is: fmt.Sprintf("the value %q, %v", v.FullName(), n.Shapes.Of(v)), Axes: []Axis{}}
	if v.Producer != nil {
		e.Is += ", made by " + v.Producer.Title()
	}
	if v.InBody() {
		e.Is += fmt.Sprintf("; it lies in the body of %s, where nothing is pruned", v.Scope.Owner.Title())
	}
	var ids []atoms.ID
	at := 0
	for k, label := range n.Channels.State.Labels[v.ID] {
		what := fmt.Sprintf("axis %d of %q", k, v.FullName())
		if label.Fixed() {
			a := Axis{Axis: k, What: what}
			if label.Why != nil {
				a.Pins = []Reason{{label.Why.Text, 1}}
			}
			e.Axes = append(e.Axes, a)
			continue
		}
		a := n.axis(k, what, label.IDs)
		e.Axes = append(e.Axes, a)
		if a.Prunable > 0 && ids == nil {
			ids, at = label.IDs, k
		}
	}
	if ids == nil {
		return e, nil
	}
	return e, n.trial(e, at, ids)
}

// axis describes the channels of an axis: how many can go, what holds the others, and their groups.
func (n *Network) axis(k int, what string, ids []atoms.ID) Axis {
	a := Axis{Axis: k, What: what, Channels: len(ids)}
	root, why := n.roots(), map[string]int{}
	for _, id := range ids {
		c := n.Channels.State.Set.Find(id)
		g := n.Channels.GroupOf(id)
		switch {
		case n.Channels.Removable(c):
			a.Prunable++
		case n.Channels.State.Set.Pinned(c) != nil:
			why[n.Channels.State.Set.Pinned(c).Text]++
		case g != nil && g.Reason != nil:
			why[g.Reason.Text]++
		}
		if g != nil && !slices.ContainsFunc(a.Groups, func(o Group) bool { return o.ID == g.ID }) {
			a.Groups = append(a.Groups, group(g, root[g]))
		}
	}
	for text, count := range why {
		a.Pins = append(a.Pins, Reason{text, count})
	}
	byCount(a.Pins)
	return a
}

// trial plans the cut of a single channel, the first that can go.
func (n *Network) trial(e *Explanation, axis int, ids []atoms.ID) error {
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
		e.Trial.Axis, e.Trial.Index = axis, i
		return nil
	}
	return nil
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
			c.After = c.Before
			for _, k := range slices.Sorted(maps.Keys(o.Elements)) {
				c.After += fmt.Sprintf(", element %d becomes %d", k, o.Elements[k])
			}
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
	node := n.node(u.Node)
	if node == nil || node.Input(u.Input) == nil {
		return ""
	}
	return dims(n.Shapes.Of(node.Input(u.Input)).Nums)
}

// dims writes a list as shapes are written: [512,1024,1,1].
func dims[T any](list []T) string {
	s := make([]string, len(list))
	for i, d := range list {
		s[i] = fmt.Sprint(d)
	}
	return "[" + strings.Join(s, ",") + "]"
}
