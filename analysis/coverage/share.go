package coverage

import (
	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
)

// shares counts what of the weights and MACs can go.
func (m *Model) shares(a *channels.Analysis, costs *cost.Report) {
	weights := map[*graph.Node]ops.Parameter{}
	for _, p := range a.State.Parameters {
		if _, ok := weights[p.Node]; !ok {
			weights[p.Node] = p
		}
	}
	m.Weights = len(a.Params)
	var params, macs, allInner, freeInner float64
	counted := map[*graph.Value]bool{}
	for _, l := range costs.Layers {
		p, ok := weights[l.Node]
		free := 0.0
		if ok {
			free = freeShare(a, p)
		}
		m.layer(l, free)
		if v := operand(l.Node, p, ok); v != nil && !counted[v] {
			counted[v] = true
			n := extent(a, v)
			m.Params += n
			params += float64(n) * free
		}
		if l.InBody {
			continue
		}
		m.MACs += l.MACs
		macs += float64(l.MACs) * free
		if !ok || !givesOutput(a, p) {
			allInner += float64(l.MACs)
			freeInner += float64(l.MACs) * free
		}
	}
	m.FreeParams, m.FreeMACs, m.FreeMACsWithoutLast = ratio(params, float64(m.Params)), ratio(macs, float64(m.MACs)), ratio(freeInner, allInner)
	for _, g := range a.Groups {
		n := 0
		for _, c := range g.Classes {
			if a.Removable(c) {
				n++
			}
		}
		if n > 0 {
			m.Groups++
			m.Classes += n
		}
	}
}

func ratio(part, all float64) float64 {
	if all == 0 {
		return 0
	}
	return part / all
}

// layer counts a convolution.
func (m *Model) layer(l cost.Layer, free float64) {
	if l.Kind == cost.Linear {
		return
	}
	m.Convolutions++
	if free > 0 {
		m.Touched++
	}
}

// operand returns the weight that a layer reads. Layers in bodies have no labels: there it is the largest constant.
func operand(n *graph.Node, p ops.Parameter, ok bool) *graph.Value {
	if ok {
		return n.Inputs[p.Input]
	}
	var best *graph.Value
	for _, v := range n.Inputs {
		if v != nil && v.Tensor != nil && (best == nil || v.Tensor.Len() > best.Tensor.Len()) {
			best = v
		}
	}
	return best
}

// extent returns the number of elements of a value.
func extent(a *channels.Analysis, v *graph.Value) int64 {
	if v.Tensor != nil {
		return v.Tensor.Len()
	}
	n, ok := a.Shapes.Of(v).Len()
	if !ok {
		return 0
	}
	c, _ := n.Const()
	return c
}

// freeShare returns the share of a weight's elements that have a free index on some axis.
func freeShare(a *channels.Analysis, p ops.Parameter) float64 {
	kept := 1.0
	for _, ax := range a.State.Reads[graph.Use{Node: p.Node, Input: p.Input}] {
		kept *= 1 - freeIndices(a, ax)
	}
	return 1 - kept
}

// freeIndices returns the share of an axis' indices that can go.
func freeIndices(a *channels.Analysis, ax atoms.Axis) float64 {
	if ax.Fixed() {
		return 0
	}
	n := 0
	for _, id := range ax.IDs {
		if a.Removable(a.State.Set.Find(id)) {
			n++
		}
	}
	return float64(n) / float64(len(ax.IDs))
}

// givesOutput reports whether all output channels of a weight are fixed, one of them as an axis of the model's output.
func givesOutput(a *channels.Analysis, p ops.Parameter) bool {
	if p.Axis.Fixed() || freeIndices(a, p.Axis) > 0 {
		return false
	}
	for _, id := range p.Axis.IDs {
		if r := a.State.Set.Pinned(id); r != nil && kind(r.Text) == outputKind {
			return true
		}
	}
	return false
}
