package channels

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
)

// Used is a weight as a layer uses it, where arithmetic of the graph stands between the constant and the layer.
type Used struct {
	Value *graph.Value // the operand
	Axis  int          // of output channels, in Value
	Of    []int        // by index of that axis: the index of the parameter's own axis that is the same channel; -1 for none

	values *fold.Values
}

// Elements works the operand out.
func (u *Used) Elements() (*fold.Tensor, error) { return u.values.Of(u.Value) }

// Named reports whether a name is the parameter's: its own, or that of the operand that is computed from it.
func (p *Param) Named(name string) bool {
	return p.Name == name || p.Used != nil && p.Used.Value.FullName() == name
}

// used returns the layer's operand where it is computed, with more than moves of elements and changes of type, and can be worked out.
func (a *Analysis) used(v *graph.Value, out int, p *Param) *Used {
	if v.Constant() || len(p.IDs) == 0 || !a.arithmetic(v, map[*graph.Value]bool{}) || !a.State.Folds.Can(v) {
		return nil
	}
	labels := a.State.Labels[v.ID]
	if out >= len(labels) || labels[out].Fixed() {
		return nil
	}
	at := map[atoms.ID]int{}
	for i, id := range p.IDs {
		if _, ok := at[a.State.Set.Find(id)]; !ok {
			at[a.State.Set.Find(id)] = i
		}
	}
	u := &Used{Value: v, Axis: out, values: a.State.Folds}
	for j, id := range labels[out].IDs {
		i, ok := at[a.State.Set.Find(id)]
		switch {
		case len(labels[out].IDs) == len(p.IDs) && a.State.Set.Find(p.IDs[j]) == a.State.Set.Find(id): // several may be one class
			i = j
		case !ok:
			i = -1
		}
		u.Of = append(u.Of, i)
	}
	return u
}

// stem returns the axis of the largest constant from which a weight is computed that has the same channels as the weight's axis: the
// weight proper, beside factors and norms. It is nil where there is none.
func (a *Analysis) stem(v *graph.Value, axis atoms.Axis) (best *atoms.Array) {
	classes := map[atoms.ID]bool{}
	for _, id := range axis.IDs {
		classes[a.State.Set.Find(id)] = true
	}
	same := func(arr *atoms.Array) bool { // in whatever order
		return arr != nil && arr.Owner != nil && len(arr.IDs) == len(axis.IDs) &&
			!slices.ContainsFunc(arr.IDs, func(id atoms.ID) bool { return !classes[a.State.Set.Find(id)] })
	}
	seen := map[*graph.Value]bool{}
	var visit func(v *graph.Value)
	visit = func(v *graph.Value) {
		if v == nil || v.Constant() || seen[v] || !a.State.IsStatic(v) {
			return
		}
		seen[v] = true
		for i, in := range v.Producer.Inputs {
			for _, ax := range a.State.Reads[graph.Use{Node: v.Producer, Input: i}] {
				if in.Tensor != nil && same(ax.Array) && (best == nil || in.Tensor.Len() > best.Owner.Value.Tensor.Len()) {
					best = ax.Array
				}
			}
			visit(in)
		}
	}
	visit(v)
	return best
}

// plain lists the operators that give the elements of their operand as they are: moved, converted, or told what they stand for.
var plain = []string{"Identity", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "CastLike", "Concat", "Split", "Slice", "Gather",
	"DequantizeLinear", "QuantizeLinear", "Expand", "Tile"}

// arithmetic reports whether a value that is computed from constants is more than their elements.
func (a *Analysis) arithmetic(v *graph.Value, seen map[*graph.Value]bool) bool {
	if v == nil || v.Constant() || seen[v] || !a.State.IsStatic(v) {
		return false
	}
	seen[v] = true
	if !slices.Contains(plain, v.Producer.Op) {
		return true
	}
	return slices.ContainsFunc(v.Producer.Inputs, func(in *graph.Value) bool { return a.arithmetic(in, seen) })
}
