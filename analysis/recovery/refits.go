package recovery

import (
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
)

// Refits returns the edits that carry repairs out: on the pruned model, or, where masked is set, on the unpruned one, in which the
// weights of removed channels are zero.
func (m *Model) Refits(repairs []*Repair, removed map[atoms.ID]bool, masked bool) ([]plan.Refit, error) {
	var out []plan.Refit
	for _, r := range repairs {
		l := r.Layers[0]
		keep := func(a atoms.Axis) []int { // nil: all
			if masked || a.Fixed() {
				return nil
			}
			var list []int
			for i, id := range a.IDs {
				if !removed[m.Channels.State.Set.Find(id)] {
					list = append(list, i)
				}
			}
			return list
		}
		axes := m.Channels.State.Reads[graph.Use{Node: l.Node, Input: l.Weight.Input}]
		kept := make([][]int, len(l.Weight.Dims))
		for k := range kept {
			if k < len(axes) {
				kept[k] = keep(axes[k])
			}
		}
		values, dims := take(r.Weight, l.Weight.Dims, kept)
		e := plan.Refit{Role: "weight", Tensor: l.Weight.Value.FullName(), Shape: dims, Values: values}
		for _, use := range r.Layers {
			e.Uses = append(e.Uses, plan.Use{Node: use.Node.Path, Input: use.Weight.Input})
		}
		out = append(out, e)
		for i := range r.fit.shifts {
			b, err := m.bias(r, &r.fit.shifts[i], keep)
			if err != nil {
				return nil, err
			}
			out = append(out, b)
		}
	}
	return out, nil
}

// Prepared returns edits that change no number, but give every layer that can be repaired constants of its own, and a bias where it lacks
// one: models that are made from the result by the edits of Masked differ in elements of constants alone.
func (m *Model) Prepared() ([]plan.Refit, error) {
	var all []*Repair
	for _, f := range m.fits {
		r := &Repair{Layers: f.layers, Weight: f.weight, fit: f}
		if len(f.shifts) > 0 {
			r.Shift = make([]float64, f.layers[0].Groups*f.layers[0].Rows)
		}
		all = append(all, r)
	}
	return m.Refits(all, nil, true)
}

// Masked returns the edits that carry repairs out on a prepared model: the weights of removed channels become zero.
func (m *Model) Masked(repairs []*Repair) ([]plan.Refit, error) {
	list, err := m.Refits(repairs, nil, true)
	for i := range list {
		list[i].Added = false
	}
	return list, err
}

// bias is the edit that moves the mean of a layer's output back.
func (m *Model) bias(r *Repair, s *shift, keep func(atoms.Axis) []int) (plan.Refit, error) {
	l := r.Layers[0]
	labels := m.Channels.State.Labels[l.Node.Output(0).ID]
	axis := 1
	if l.Window.Spatial == 0 {
		axis = len(labels) - 1
	}
	var kept []int
	if axis < len(labels) {
		kept = keep(labels[axis])
	}
	e := plan.Refit{Role: "bias"}
	for _, u := range append([]graph.Use{s.use}, s.also...) {
		e.Uses = append(e.Uses, plan.Use{Node: u.Node.Path, Input: u.Input})
	}
	values, dims := append([]float64(nil), r.Shift...), []int{len(r.Shift)}
	for i := range s.factor {
		values[i] *= s.factor[i]
	}
	if s.bias == nil {
		e.Added = true
	} else {
		old, err := s.bias.Floats()
		if err != nil {
			return e, err
		}
		for i := range values {
			values[i] += old[i]
		}
		e.Tensor, dims = s.bias.Value.FullName(), s.bias.Dims
	}
	lists := make([][]int, len(dims))
	for k, d := range dims {
		if d == len(r.Shift) && d > 1 {
			lists[k] = kept
		}
	}
	e.Values, e.Shape = take(values, dims, lists)
	return e, nil
}

// take cuts a row-major array down to the kept indices of each axis; nil keeps all.
func take(vs []float64, dims []int, kept [][]int) ([]float64, []int) {
	shape := append([]int(nil), dims...)
	n := 1
	for k := range dims {
		if kept[k] != nil {
			shape[k] = len(kept[k])
		}
		n *= shape[k]
	}
	out := make([]float64, 0, n)
	at := make([]int, len(dims))
	for range n {
		place := 0
		for k, d := range dims {
			i := at[k]
			if kept[k] != nil {
				i = kept[k][i]
			}
			place = place*d + i
		}
		out = append(out, vs[place])
		for k := len(dims) - 1; k >= 0; k-- {
			if at[k]++; at[k] < shape[k] {
				break
			}
			at[k] = 0
		}
	}
	return out, shape
}
