package rewrite_test

import (
	"fmt"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

// silenced is the original in which every removed channel is zero behind every node that computes it from activations, wherever it
// passes. It knows which channels are removed, but neither where rules say that channels are summed over nor what the plan masks, and it
// leaves constants and what is computed from them alone: so it catches a twin that is wrong in the same way as the pruned model. It is nil
// where channels pass as integers into a sum, since no zero point is known here.
func silenced(m *onnxio.Model, a *channels.Analysis, removed map[atoms.ID]bool) (*onnxio.Model, error) {
	gone := func(ax atoms.Axis) []int {
		if ax.Fixed() {
			return nil
		}
		var out []int
		for i, id := range ax.IDs {
			if removed[a.State.Set.Find(id)] {
				out = append(out, i)
			}
		}
		return out
	}
	if slices.ContainsFunc(a.State.Consumptions, func(c ops.Consumption) bool {
		axes := a.State.Reads[graph.Use{Node: c.Node, Input: c.Input}]
		return !a.Shapes.Of(c.Node.Input(c.Input)).Elem.IsFloat() && c.Axis < len(axes) && gone(axes[c.Axis]) != nil
	}) {
		return nil, nil
	}
	out, err := rewrite.Inlined(m)
	if err != nil {
		return nil, err
	}
	for _, v := range a.Graph.Values {
		info := a.Shapes.Of(v)
		if v.Scope != a.Graph.Main || v.Producer == nil || a.State.IsStatic(v) || !info.Elem.IsFloat() {
			continue
		}
		for k, ax := range a.State.Labels[v.ID] {
			if list := gone(ax); list != nil {
				if err := silence(out, v.Name, info.Elem, len(a.State.Labels[v.ID]), k, len(ax.IDs), list); err != nil {
					return nil, err
				}
			}
		}
	}
	return out, nil
}

// silence puts zeros into slices of a value, right behind the node that computes it.
func silence(m *onnxio.Model, name string, elem onnxio.DataType, rank, axis, size int, gone []int) error {
	at := slices.IndexFunc(m.Graph.Nodes, func(n *onnxio.Node) bool { return slices.Contains(n.Outputs, name) })
	if at < 0 {
		return fmt.Errorf("no node computes %q", name)
	}
	n := m.Graph.Nodes[at]
	loud := fmt.Sprintf("%s loud %d", name, axis)
	outs := slices.Clone(n.Outputs)
	outs[slices.Index(outs, name)] = loud
	n.SetOutputs(outs...)
	stays := make([]int64, size)
	for i := range stays {
		if !slices.Contains(gone, i) {
			stays[i] = 1
		}
	}
	dims := slices.Repeat([]int64{1}, rank)
	dims[axis] = int64(size)
	constant := func(t *onnxio.Tensor) string {
		m.Graph.InsertNode(at+1, onnxio.NewNode("Constant", "", nil, []string{t.Name}, onnxio.NewTensorAttr("value", t)))
		at++
		return t.Name
	}
	mask := constant(onnxio.NewIntTensor(loud+" mask", onnxio.Bool, dims, stays))
	zero := constant(onnxio.NewTensor(loud+" zero", elem, nil, make([]byte, elem.Bits()/8)))
	m.Graph.InsertNode(at+1, onnxio.NewNode("Where", "", []string{mask, loud, zero}, []string{name}))
	return nil
}
