package plan

import (
	"fmt"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
)

// Removed returns the classes of channels that a plan for the analysed model removes: those whose slices its tensors or the values that it
// stores lose, and those that masks of activations name. A plan that does not fit the model is an error that names the tensor.
func Removed(a *channels.Analysis, p *Plan) (map[atoms.ID]bool, error) {
	sources := map[string][]*atoms.Source{}
	for _, arr := range a.State.Set.Arrays() {
		if s := arr.Owner; s != nil {
			sources[s.Value.FullName()] = append(sources[s.Value.FullName()], s)
		}
	}
	out := map[atoms.ID]bool{}
	lose := func(array *atoms.Array, keep []int, axis int, name string) error {
		stays := make([]bool, len(array.IDs))
		for _, k := range keep {
			if k < 0 || k >= len(stays) {
				return fmt.Errorf("the plan does not fit the model: it keeps index %d of axis %d of tensor %q, which has %d", k, axis, name, len(stays))
			}
			stays[k] = true
		}
		for i, id := range array.IDs {
			if !stays[i] {
				out[a.State.Set.Find(id)] = true
			}
		}
		return nil
	}
	for _, t := range p.Tensors {
		for axis, keep := range t.Keep {
			found := false
			for _, s := range sources[t.Name] {
				if s.Axis != axis || !t.reads(s.Use) {
					continue
				}
				found = true
				if err := lose(s.Array, keep, axis, t.Name); err != nil {
					return nil, err
				}
			}
			if !found {
				return nil, noChannels(axis, t.Name)
			}
		}
	}
	for _, f := range p.Folds {
		v := named(a.Graph, f.Value)
		for axis, keep := range f.Keep {
			if v == nil || axis < 0 || axis >= len(a.State.Labels[v.ID]) || a.State.Labels[v.ID][axis].Fixed() {
				return nil, noChannels(axis, f.Value)
			}
			if err := lose(a.State.Labels[v.ID][axis].Array, keep, axis, f.Value); err != nil {
				return nil, err
			}
		}
	}
	nodes := map[string]*graph.Node{}
	for _, n := range a.Graph.Main.Nodes {
		nodes[n.Path] = n
	}
	for _, m := range p.Masks {
		axes := a.State.Reads[graph.Use{Node: nodes[m.Node], Input: m.Input}]
		if !m.Activation || m.Axis < 0 || m.Axis >= len(axes) || axes[m.Axis].Fixed() {
			continue
		}
		for _, i := range m.Removed {
			if ids := axes[m.Axis].IDs; i >= 0 && i < len(ids) {
				out[a.State.Set.Find(ids[i])] = true
			}
		}
	}
	return out, nil
}

func noChannels(axis int, name string) error {
	return fmt.Errorf("the plan does not fit the model: axis %d of tensor %q carries no channels there", axis, name)
}

// reads reports whether the cut of t holds for a reading of it; no node stands for all readings.
func (t *Tensor) reads(u graph.Use) bool {
	if len(t.Uses) == 0 || u.Node == nil {
		return true
	}
	for _, k := range t.Uses {
		if k.Node == u.Node.Path && k.Input == u.Input {
			return true
		}
	}
	return false
}

// Kept returns what stays of the values that nodes of the main graph compute when classes of channels are removed: by the value's name and axis
// the indices that stay, in order. Axes and values that keep all are left out.
func Kept(a *channels.Analysis, removed map[atoms.ID]bool) map[string]map[int][]int {
	b := newBuilder(a, removed)
	out := map[string]map[int][]int{}
	for _, v := range a.Graph.Values {
		if v.Scope != a.Graph.Main || v.Producer == nil || v.Constant() {
			continue
		}
		for k, ax := range a.State.Labels[v.ID] {
			if keep := b.keep(ax); keep != nil {
				if out[v.Name] == nil {
					out[v.Name] = map[int][]int{}
				}
				out[v.Name][k] = keep
			}
		}
	}
	return out
}
