package onnxprune

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
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

	about string // the tensor that it is about, "" for none
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

// Explain looks a name up: a weight or another constant, then a node, then an output of a node, and tells what its channels
// hang together with.
func (n *Network) Explain(name string) (*Explanation, error) {
	return (&explainer{n, n.roots()}).explain(name)
}

// explainer writes one explanation.
type explainer struct {
	*Network
	root map[*channels.Group]*channels.Param
}

func (n *explainer) explain(name string) (*Explanation, error) {
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
		if p.Named(name) {
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
		names = nil
		for _, v := range n.Graph.Values {
			if full := v.FullName(); 2*len(full) >= len(name) { // a short name is in every long one
				names = append(names, full)
			}
		}
		near = selection.Nearest(name, names, 3)
	}
	if len(near) == 0 {
		return "; see what there is with: onnxprune params MODEL --all"
	}
	return "; nearest are " + strings.Join(near, ", ")
}

func (n *explainer) explainParam(name string, p *channels.Param) (*Explanation, error) {
	e := &Explanation{Name: name, Is: fmt.Sprintf("%s%s, the weight of %s", n.Shapes.Of(p.Value).Elem, dims(p.Shape), layers(p.Nodes)), about: p.Name}
	switch {
	case p.Used == nil || p.Used.Value.FullName() == p.Name: // it is the weight itself
	case name == p.Used.Value.FullName():
		e.Is += fmt.Sprintf(", computed in the graph from %s and other constants", p.Name)
	default:
		e.Is += fmt.Sprintf(", which reads it as %q, computed in the graph from constants", p.Used.Value.FullName())
	}
	ax := n.axis(p.Axis, n.outputs(p), p.IDs, p.Value)
	if len(p.IDs) == 0 && p.Reason != nil {
		ax.Pins = []Reason{{p.Reason.Text, int(p.Out)}}
	}
	e.Axes = []Axis{ax}
	if ax.Prunable > 0 {
		e.Try = []string{n.request(p)}
		return e, n.trial(e, p.Axis, p.IDs)
	}
	e.Try = n.advice(p)
	return e, nil
}

// layers names the layers that read a weight.
func layers(nodes []*graph.Node) string {
	const most = 3
	var titles []string
	for _, n := range nodes[:min(most, len(nodes))] {
		titles = append(titles, n.Title())
	}
	s := strings.Join(titles, ", ")
	switch more := len(nodes) - most; {
	case more > 0:
		return fmt.Sprintf("%s and %d more, which share it", s, more)
	case len(nodes) > 1:
		return s + ", which share it"
	}
	return s
}

// outputs says what the output axis of a weight is made of: channels of a convolution, features of a linear layer.
func (n *explainer) outputs(p *channels.Param) string {
	for _, m := range n.members(p.Value, p.Axis) {
		if what, _, ok := strings.Cut(m.Role, " of "); ok && strings.HasPrefix(what, "output") {
			return what
		}
	}
	return "output channels"
}

// explainConstant explains a vector or another constant: axis by axis.
func (n *explainer) explainConstant(v *graph.Value) (*Explanation, error) {
	e := &Explanation{Name: v.FullName(), Is: fmt.Sprintf("a constant, %s%s", v.Tensor.DataType, dims(v.Tensor.Dims)), Axes: []Axis{}, about: v.FullName()}
	var readers []*graph.Node
	for _, u := range v.Uses {
		if !slices.Contains(readers, u.Node) {
			readers = append(readers, u.Node)
		}
	}
	switch {
	case len(readers) > 0:
		e.Is += ", read by " + layers(readers)
	case v.Output || v.Returned:
		e.Is += ", which the model returns as it is"
	default:
		e.Is += ", which nothing reads"
	}
	if v.InBody() {
		e.Is += fmt.Sprintf("; it lies in the body of %s, where nothing is pruned", v.Scope.Owner.Title())
	}
	var ids []atoms.ID
	at := 0
	var held *channels.Param // the layer that it follows, which can not be pruned
	for axis, extent := range v.Tensor.Dims {
		members := n.members(v, axis)
		for _, m := range members {
			a := n.axis(axis, m.Role, m.Source.Array.IDs, v)
			e.Axes = append(e.Axes, a)
			root := n.rootOf(m.Source.Array.IDs)
			if a.Prunable > 0 && ids == nil {
				ids, at = m.Source.Array.IDs, axis
				if root != nil {
					e.Try = []string{"it follows its layer: " + n.request(root)}
				}
			} else if held == nil {
				held = root
			}
		}
		if len(members) == 0 && extent > 1 {
			e.Axes = append(e.Axes, Axis{Axis: axis, What: fmt.Sprintf("axis of %d elements", extent)})
		}
	}
	if ids != nil {
		return e, n.trial(e, at, ids)
	}
	if held != nil {
		e.Try = []string{fmt.Sprintf("it follows %s, which can not be pruned: explain that name for what can be done", held.Name)}
	}
	return e, nil
}

// rootOf returns the weight whose output channels an axis follows, one that can be pruned before others; nil for none.
func (n *explainer) rootOf(ids []atoms.ID) *channels.Param {
	var out *channels.Param
	for _, id := range ids {
		g := n.Channels.GroupOf(id)
		if g == nil || n.root[g] == nil {
			continue
		}
		if n.Channels.Removable(n.Channels.State.Set.Find(id)) {
			return n.root[g]
		}
		if out == nil {
			out = n.root[g]
		}
	}
	return out
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

func (n *explainer) explainNode(name string, node *graph.Node) (*Explanation, error) {
	for _, p := range n.Channels.Params {
		if slices.Contains(p.Nodes, node) {
			e, err := n.explainParam(name, p)
			e.Is = fmt.Sprintf("%s, whose weight is %s, %s%s", node.Title(), p.Name, n.Shapes.Of(p.Value).Elem, dims(p.Shape))
			if len(p.Nodes) > 1 {
				e.Is += fmt.Sprintf("; %d layers share it", len(p.Nodes))
			}
			return e, err
		}
	}
	if v := node.Output(0); v != nil {
		e, err := n.explainValue(v)
		if e != nil {
			e.Name, e.Is = name, node.Title()+", which makes "+strings.Replace(e.Is, ", made by "+node.Title(), "", 1)
		}
		return e, err
	}
	return &Explanation{Name: name, Is: node.Title() + ", which makes nothing that is read", Axes: []Axis{}}, nil
}

func (n *explainer) explainValue(v *graph.Value) (*Explanation, error) {
	e := &Explanation{Name: v.FullName(), Is: fmt.Sprintf("the value %q, %v", v.FullName(), n.Shapes.Of(v)), Axes: []Axis{}}
	switch {
	case v.Producer != nil:
		e.Is += ", made by " + v.Producer.Title()
	case v.Input && !v.InBody():
		e.Is += ", an input of the model"
	}
	if v.Output && !v.InBody() {
		e.Is += ", an output of the model"
	}
	if v.InBody() {
		e.Is += fmt.Sprintf("; it lies in the body of %s, where nothing is pruned", v.Scope.Owner.Title())
	}
	var ids []atoms.ID
	at := 0
	var held *channels.Param // whose channels they are, where none can go
	for k, label := range n.Channels.State.Labels[v.ID] {
		const what = "channels"
		if label.Fixed() {
			a := Axis{Axis: k, What: what}
			if label.Why != nil {
				a.Pins = []Reason{{label.Why.Text, 1}}
			}
			e.Axes = append(e.Axes, a)
			continue
		}
		a := n.axis(k, what, label.IDs, v)
		e.Axes = append(e.Axes, a)
		if a.Prunable > 0 && ids == nil {
			ids, at = label.IDs, k
		} else if held == nil {
			held = n.rootOf(label.IDs)
		}
	}
	if ids == nil {
		if held != nil {
			e.Try = []string{fmt.Sprintf("its channels are those of %s, which can not be pruned: explain that name for what can be done", held.Name)}
		}
		return e, nil
	}
	if root := n.rootOf(ids); root != nil {
		e.Try = []string{"its channels are those of a layer: " + n.request(root)}
	}
	return e, n.trial(e, at, ids)
}

// near orders the members of a group: the root, then what is explained, then the others.
func near(m Member, v *graph.Value, root string) int {
	switch m.Tensor {
	case root:
		return 2
	case v.FullName():
		return 1
	}
	return 0
}

// axis describes the channels of an axis of v: how many can go, what holds the others, and their groups, with v next to the root.
func (n *explainer) axis(k int, what string, ids []atoms.ID, v *graph.Value) Axis {
	a := Axis{Axis: k, What: what, Channels: len(ids)}
	why := map[string]int{}
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
		default: // of numbers that are the same at every index, or computed from a shape
			why[channels.NoWeight.Text]++
		}
		if g != nil && !slices.ContainsFunc(a.Groups, func(o Group) bool { return o.ID == g.ID }) {
			e := group(g, n.root[g])
			slices.SortStableFunc(e.Members, func(a, b Member) int { return near(b, v, e.Root) - near(a, v, e.Root) })
			a.Groups = append(a.Groups, e)
		}
	}
	for text, count := range why {
		a.Pins = append(a.Pins, Reason{text, count})
	}
	byCount(a.Pins)
	return a
}
