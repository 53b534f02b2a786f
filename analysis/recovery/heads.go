package recovery

import (
	"slices"

	"onnxprune/analysis/graph"
)

// Head is a value by which a cut is judged: what the last layers of a network give before anything is decoded.
type Head struct {
	Value *graph.Value
	Axis  int // of its channels
}

// Heads returns the outputs of the last layers on every way to the model's outputs that read channels which can go: the last linear
// layers before decoding. Where there is no such layer, they are the model's own float outputs.
func (m *Model) Heads() []Head {
	axis := map[*graph.Node]int{}
	for _, f := range m.fits {
		for _, l := range f.layers {
			axis[l.Node] = 1
			if l.Window.Spatial == 0 {
				axis[l.Node] = m.Channels.Shapes.Of(l.Node.Output(0)).Rank() - 1
			}
		}
	}
	var out []Head
	seen := map[*graph.Value]bool{}
	var back func(v *graph.Value)
	back = func(v *graph.Value) {
		if v == nil || seen[v] {
			return
		}
		seen[v] = true
		n := v.Producer
		if n == nil {
			return
		}
		if k, ok := axis[n]; ok {
			if k >= 0 {
				out = append(out, Head{v, k})
			}
			return
		}
		for _, in := range n.Inputs {
			back(in)
		}
		for _, c := range n.Captures {
			back(c)
		}
	}
	main := m.Channels.Graph.Main
	for _, v := range main.Outputs {
		back(v)
	}
	slices.SortFunc(out, func(a, b Head) int { return a.Value.ID - b.Value.ID })
	if len(out) > 0 {
		return out
	}
	for _, v := range main.Outputs {
		if in := m.Channels.Shapes.Of(v); v.Producer != nil && in.Elem.IsFloat() && in.Rank() >= 2 {
			out = append(out, Head{v, 1})
		}
	}
	return out
}
