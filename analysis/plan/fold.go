package plan

import (
	"fmt"
	"slices"

	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
)

// Weights that are computed in the graph keep their computation as long as a cut passes through it: then the constants that enter it are
// cut. Nodes that run over a cut axis of constants as a whole (package ops calls them mixtures) give what they gave before the cut: their
// results are worked out and stored. Of a chain of such nodes only the last is, and what is in front of it goes, where nothing else reads
// it.

// folds lists the values that are stored, and notes the nodes that stand idle then.
func (b *builder) folds() error {
	mixing := map[*graph.Node]bool{}
	for _, m := range b.a.State.Mixtures {
		if b.keep(m.Axis) != nil {
			mixing[m.Node] = true
		}
	}
	if len(mixing) == 0 {
		return nil
	}
	needed := b.needed(mixing)
	b.idle = map[*graph.Node]bool{}
	for _, n := range b.a.Graph.Main.Nodes {
		if !b.computes(n) {
			continue
		}
		b.idle[n] = mixing[n] || !slices.ContainsFunc(n.Outputs, func(v *graph.Value) bool { return needed[v] })
		for _, v := range n.Outputs {
			if !mixing[n] || !needed[v] {
				continue
			}
			f, err := b.fold(v)
			if err != nil {
				return err
			}
			b.plan.Folds = append(b.plan.Folds, f)
		}
	}
	return nil
}

// needed finds the values computed from constants that something reads: a node that computes from activations, a body, an output of the
// model, or a node that computes one of them. It looks no further than to the results of mixing nodes.
func (b *builder) needed(mixing map[*graph.Node]bool) map[*graph.Value]bool {
	out := map[*graph.Value]bool{}
	var need func(v *graph.Value)
	need = func(v *graph.Value) {
		if v == nil || v.Producer == nil || out[v] || !b.computes(v.Producer) {
			return
		}
		if out[v] = true; !mixing[v.Producer] {
			for _, in := range v.Producer.Inputs {
				need(in)
			}
		}
	}
	for _, v := range b.a.Graph.Main.Outputs {
		need(v)
	}
	for _, n := range b.a.Graph.Main.Nodes {
		for _, v := range ops.Results(n) {
			if len(v.Uses) == 0 { // what nothing reads is left as it is
				need(v)
			}
		}
		if b.computes(n) {
			continue
		}
		for _, v := range slices.Concat(n.Inputs, n.Captures) {
			need(v)
		}
	}
	return out
}

// computes reports whether a node computes from constants only.
func (b *builder) computes(n *graph.Node) bool {
	for _, v := range n.Outputs {
		if v != nil {
			return !v.Constant() && b.a.State.IsStatic(v)
		}
	}
	return false
}

func (b *builder) fold(v *graph.Value) (Fold, error) {
	info := b.a.Shapes.Of(v)
	f := Fold{Value: v.FullName(), Type: int32(info.Elem), Shape: []int64{}}
	for k, ax := range b.a.State.Labels[v.ID] {
		n, _ := info.Fixed(k)
		f.Shape = append(f.Shape, n)
		keep := b.keep(ax)
		if keep == nil {
			continue
		}
		if len(keep) == 0 {
			return f, fmt.Errorf("every slice of axis %d of %q would go", k, v.FullName())
		}
		if f.Keep == nil {
			f.Keep = map[int][]int{}
		}
		f.Keep[k] = keep
	}
	return f, nil
}

// unread reports whether a reading of a constant, or all of them where they share their channels, are by nodes that stand idle.
func (b *builder) unread(v *graph.Value, use graph.Use) bool {
	if b.idle == nil || v.Output || v.Returned {
		return false
	}
	if use.Node != nil {
		return b.idle[use.Node]
	}
	return len(v.Uses) > 0 && !slices.ContainsFunc(v.Uses, func(u graph.Use) bool { return !b.idle[u.Node] })
}
