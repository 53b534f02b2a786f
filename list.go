package onnxprune

import (
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Param is one parameter of a model, as `onnxprune params` lists it.
type Param struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Shape    []int64 `json:"shape"`
	Op       string  `json:"op"`       // of the layer that reads it
	Node     string  `json:"node"`     // that layer's path
	Groups   []int   `json:"groups"`   // ids of the channel groups of its output axis
	Channels int64   `json:"channels"` // extent of its output axis; 0 for what is no weight of a layer
	Prunable int     `json:"prunable"` // how many of them can go
	Reason   string  `json:"reason"`   // why none can; "" where some can
	MACs     int64   `json:"macs"`     // of the layers that read it
	Shared   int     `json:"shared"`   // how many layers read it
	InBody   bool    `json:"in_body"`  // it lies in a control-flow body
	Follows  string  `json:"follows"`  // of a vector: the weight whose channels it has, or ""
	Computed string  `json:"computed"` // the layer's operand, where the graph computes it from this and other constants; or ""
}

// Params lists the weights of convolutions and linear layers in graph order; with all, also those of control-flow bodies,
// and then every other constant of numbers: biases, vectors of normalisations.
func (n *Network) Params(all bool) []Param {
	macs := map[*graph.Node]int64{}
	report, _ := n.Cost()
	for _, l := range report.Layers {
		macs[l.Node] = l.MACs
	}
	out, seen := []Param{}, map[*graph.Value]bool{}
	for _, p := range n.Channels.Params {
		seen[p.Value] = true
		if p.Value.InBody() && !all {
			continue
		}
		e := n.param(p)
		for _, layer := range p.Nodes {
			e.MACs += macs[layer]
		}
		out = append(out, e)
	}
	if !all {
		return out
	}
	root := n.roots()
	for _, v := range n.Graph.Weights() {
		if t := v.Tensor.DataType; seen[v] || t == onnxio.Int64 || t == onnxio.Bool || t == onnxio.String || len(v.Uses) == 0 {
			continue
		}
		out = append(out, n.constant(v, root))
	}
	return out
}

func (n *Network) param(p *channels.Param) Param {
	e := Param{Name: p.Name, Shape: shapeOf(p.Shape), Op: p.Nodes[0].Op, Node: p.Nodes[0].Path, Groups: n.groupsOf(p.IDs), Channels: p.Out,
		Prunable: p.Free, Shared: len(p.Nodes), InBody: p.Value.InBody(), Type: n.Shapes.Of(p.Value).Elem.String()}
	if p.Reason != nil {
		e.Reason = p.Reason.Text
	}
	if p.Used != nil {
		e.Computed = p.Used.Value.FullName()
	}
	return e
}

// constant describes a constant that is no weight of a layer.
func (n *Network) constant(v *graph.Value, root map[*channels.Group]*channels.Param) Param {
	first := v.Uses[0].Node
	e := Param{Name: v.FullName(), Shape: shapeOf(v.Tensor.Dims), Type: v.Tensor.DataType.String(), Op: first.Op, Node: first.Path, Groups: []int{},
		Shared: len(v.Uses), InBody: v.InBody(), Reason: "it has no channels of its own"}
	for _, g := range n.memberOf(v) {
		e.Groups = append(e.Groups, g.ID)
		if p := root[g]; p != nil && e.Follows == "" {
			e.Follows, e.Reason = p.Name, "it follows its layer: name "+p.Name
		}
	}
	return e
}

func shapeOf(dims []int64) []int64 { return append([]int64{}, dims...) }

// groupsOf lists the groups of an axis, in order of its indices.
func (n *Network) groupsOf(ids []atoms.ID) []int {
	out := []int{}
	for _, id := range ids {
		if g := n.Channels.GroupOf(id); g != nil && !slices.Contains(out, g.ID) {
			out = append(out, g.ID)
		}
	}
	return out
}

// memberOf lists the groups that an axis of a constant belongs to.
func (n *Network) memberOf(v *graph.Value) []*channels.Group {
	var out []*channels.Group
	for _, g := range n.Channels.Groups {
		if slices.ContainsFunc(g.Members, func(m channels.Member) bool { return m.Source.Value == v }) {
			out = append(out, g)
		}
	}
	return out
}

// roots returns, for every group, the first weight in graph order whose output channels it holds.
func (n *Network) roots() map[*channels.Group]*channels.Param {
	out := map[*channels.Group]*channels.Param{}
	for _, p := range n.Channels.Params {
		for _, id := range p.IDs {
			if g := n.Channels.GroupOf(id); g != nil && out[g] == nil {
				out[g] = p
			}
		}
	}
	return out
}

// Group is a set of channels that can go one by one, each with its slices of all members, as `onnxprune groups` lists it.
type Group struct {
	ID       int      `json:"id"`
	Channels int      `json:"channels"` // that can go one by one
	Prunable bool     `json:"prunable"`
	Inexact  bool     `json:"inexact"` // it can go, but the result is not exact
	Reason   string   `json:"reason"`  // why it can not go; "" where it can
	Root     string   `json:"root"`    // the first weight whose output channels these are; "" for none
	Members  []Member `json:"members"`
	Through  []string `json:"through"` // nodes where separate channels became one
}

// Member is one axis of one tensor that is cut with its group.
type Member struct {
	Tensor string `json:"tensor"`
	Axis   int    `json:"axis"`
	Slices int    `json:"slices"` // how many indices of the axis belong to the group
	Of     int64  `json:"of"`     // extent of the axis
	Role   string `json:"role"`   // what the axis is to the node that reads it
	Node   string `json:"node"`   // that node's path
}

// Groups lists the channel groups in graph order.
func (n *Network) Groups() []Group {
	root := n.roots()
	out := []Group{}
	for _, g := range n.Channels.Groups {
		out = append(out, group(g, root[g]))
	}
	return out
}

func group(g *channels.Group, root *channels.Param) Group {
	e := Group{ID: g.ID, Channels: g.Size(), Prunable: g.Reason == nil, Inexact: g.Inexact, Members: []Member{}, Through: []string{}}
	if g.Reason != nil {
		e.Reason = g.Reason.Text
	}
	if root != nil {
		e.Root = root.Name
	}
	for _, m := range g.Members {
		v := m.Source.Value
		k := Member{Tensor: v.FullName(), Axis: m.Source.Axis, Slices: m.Indices, Role: m.Role, Of: v.Data().Dims[m.Source.Axis]}
		if m.Node != nil {
			k.Node = m.Node.Path
		}
		e.Members = append(e.Members, k)
	}
	// The root's own output axis comes first, as it is what users name.
	if root != nil {
		slices.SortStableFunc(e.Members, func(a, b Member) int { return first(b, root) - first(a, root) })
	}
	for _, t := range g.Through {
		e.Through = append(e.Through, t.Title())
	}
	return e
}

func first(m Member, root *channels.Param) int {
	if m.Tensor == root.Name && m.Axis == root.Axis {
		return 1
	}
	return 0
}
