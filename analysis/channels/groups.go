package channels

import (
	"encoding/binary"
	"fmt"
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
)

// Group is a set of classes of channels that touch the same axes of the same tensors, and share the same fate.
type Group struct {
	ID      int
	Classes []atoms.ID    // by representative, in order of the tensors' indices
	Members []Member      // the axes that lose slices, in graph order
	Reason  *atoms.Reason // why none of it can go; nil when it can
	Inexact bool          // it can go, but the result is not exact
	Through []*graph.Node // nodes where separate channels became one: residual adds, gates, concatenations
}

// Member is one axis of one constant in a group.
type Member struct {
	Source  *atoms.Source
	Indices int    // how many of the axis' indices belong to the group
	Role    string // what the axis is there: "output channels of Conv", …
	Node    *graph.Node
}

// Size returns the number of channels: classes that can go one by one.
func (g *Group) Size() int { return len(g.Classes) }

// Removable reports whether a class may go.
func (a *Analysis) Removable(class atoms.ID) bool { return a.removable[class] }

// GroupOf returns the group of an atom, nil where it belongs to no constant.
func (a *Analysis) GroupOf(id atoms.ID) *Group { return a.groupOf[a.State.Set.Find(id)] }

// classes collects the classes that constants hold, and joins them into groups.
func (a *Analysis) classes() {
	set := a.State.Set
	a.removable, a.groupOf, a.owners = map[atoms.ID]bool{}, map[atoms.ID]*Group{}, map[atoms.ID]owner{}
	touched := map[atoms.ID][]int32{} // by class: the arrays that hold it
	var order []atoms.ID
	arrays := set.Arrays()
	for k, arr := range arrays {
		if arr.Owner == nil {
			continue
		}
		for i, id := range arr.IDs {
			if _, ok := a.owners[id]; !ok {
				a.owners[id] = owner{arr, i}
			}
			r := set.Find(id)
			t := touched[r]
			if t == nil {
				order = append(order, r)
			}
			if len(t) == 0 || t[len(t)-1] != int32(k) {
				touched[r] = append(t, int32(k))
			}
		}
	}
	weighted := a.weighted()
	groups := map[string]*Group{}
	for _, r := range order {
		why := set.Pinned(r)
		if why == nil && !weighted[r] {
			why = noWeight
		}
		if why == nil || why.Inexact && a.opt.AllowInexact {
			a.removable[r] = true
		}
		key := make([]byte, 0, 4*len(touched[r])+16)
		for _, k := range touched[r] {
			key = binary.LittleEndian.AppendUint32(key, uint32(k))
		}
		key = fmt.Appendf(key, "%p", why)
		g := groups[string(key)]
		if g == nil {
			g = &Group{ID: len(a.Groups), Reason: why}
			if a.removable[r] && why != nil {
				g.Inexact, g.Reason = true, nil
			}
			for _, k := range touched[r] {
				g.Members = append(g.Members, a.member(arrays[k]))
			}
			groups[string(key)] = g
			a.Groups = append(a.Groups, g)
		}
		g.Classes = append(g.Classes, r)
		a.groupOf[r] = g
	}
	a.countIndices()
	a.couplings()
}

var noWeight = &atoms.Reason{Text: "no weight of a convolution or linear layer produces it"}

// weighted marks the classes that a weight produces.
func (a *Analysis) weighted() map[atoms.ID]bool {
	out := map[atoms.ID]bool{}
	for _, p := range a.State.Parameters {
		if !p.Axis.Fixed() {
			for _, id := range p.Axis.IDs {
				out[a.State.Set.Find(id)] = true
			}
		}
	}
	return out
}

// countIndices counts, for every member, the indices that belong to its group.
func (a *Analysis) countIndices() {
	for _, g := range a.Groups {
		in := make(map[atoms.ID]bool, len(g.Classes))
		for _, c := range g.Classes {
			in[c] = true
		}
		for k := range g.Members {
			m := &g.Members[k]
			for _, id := range m.array().IDs {
				if in[a.State.Set.Find(id)] {
					m.Indices++
				}
			}
		}
	}
}

// couplings notes, group by group, where separate channels became one.
func (a *Analysis) couplings() {
	for _, c := range a.State.Set.Couplings {
		g := a.GroupOf(c.Atom)
		if g == nil || !joins(c.Node) || slices.Contains(g.Through, c.Node) {
			continue
		}
		g.Through = append(g.Through, c.Node)
	}
}

// joins reports whether a node brings several activations together.
func joins(n *graph.Node) bool {
	activations := 0
	for _, v := range n.Inputs {
		if v != nil && !v.Constant() {
			activations++
		}
	}
	return activations > 1
}

func (m *Member) array() *atoms.Array { return m.Source.Array }

// member describes an axis of a constant.
func (a *Analysis) member(arr *atoms.Array) Member {
	m := Member{Source: arr.Owner}
	uses := arr.Owner.Value.Uses
	if arr.Owner.Use.Node != nil {
		uses = []graph.Use{arr.Owner.Use}
	}
	if len(uses) > 0 {
		m.Node = uses[0].Node
		m.Role = ops.Role(m.Node, uses[0].Input, arr.Owner.Axis)
	}
	return m
}
