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

// classes collects the classes that constants hold or weights produce, and joins them into groups.
func (a *Analysis) classes() {
	set := a.State.Set
	n := set.Len()
	a.removable, a.groupOf, a.owners = make([]bool, n), make([]*Group, n), make([]owner, n)
	touched := make([][]int32, n) // by class: the arrays that hold it
	var order []atoms.ID
	var arrays []*atoms.Array
	touch := func(arr *atoms.Array) {
		k := int32(len(arrays))
		arrays = append(arrays, arr)
		for i, id := range arr.IDs {
			if arr.Owner != nil && a.owners[id].array == nil {
				a.owners[id] = owner{arr, i}
			}
			r := set.Find(id)
			t := touched[r]
			if t == nil {
				order = append(order, r)
			}
			if len(t) == 0 || t[len(t)-1] != k {
				touched[r] = append(t, k)
			}
		}
	}
	for _, arr := range set.Arrays() {
		if arr.Owner != nil {
			touch(arr)
		}
	}
	weighted := make([]bool, n)
	for _, p := range a.State.Parameters {
		if p.Axis.Fixed() {
			continue
		}
		if p.Axis.Owner == nil { // a weight that is computed
			touch(p.Axis.Array)
		}
		for _, id := range p.Axis.IDs {
			weighted[set.Find(id)] = true
		}
	}
	groups := map[string]*Group{}
	var key []byte
	for _, r := range order {
		why := set.Pinned(r)
		if why == nil && !weighted[r] {
			why = NoWeight
		}
		a.removable[r] = why == nil || why.Inexact && a.opt.AllowInexact && weighted[r]
		key = key[:0]
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
				if arrays[k].Owner != nil {
					g.Members = append(g.Members, a.member(arrays[k]))
				}
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

// NoWeight is the reason of channels that nothing could score.
var NoWeight = &atoms.Reason{Text: "no weight of a convolution or linear layer produces it"}

// countIndices counts, for every member, the indices that belong to its group.
func (a *Analysis) countIndices() {
	for _, g := range a.Groups {
		for k := range g.Members {
			m := &g.Members[k]
			for _, id := range m.Source.Array.IDs {
				if a.groupOf[a.State.Set.Find(id)] == g {
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
