package plan

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
)

// The masked twin is the original in which removed channels are multiplied by zero where they are summed over: in the
// input slices of every consuming weight where there is one, else on what flows into the sum.

func (b *builder) masks() {
	type key struct {
		tensor string
		use    Use
		axis   int
	}
	seen := map[key]bool{}
	for _, c := range b.a.State.Consumptions {
		m, ok := b.mask(c)
		if !ok {
			continue
		}
		k := key{m.Tensor, m.Use, m.Axis}
		if m.Tensor != "" && b.shared(m) {
			k.use = Use{}
		}
		if !seen[k] {
			seen[k] = true
			b.plan.Masks = append(b.plan.Masks, m)
		}
	}
}

// shared reports whether the masked weight is one that all its readers share.
func (b *builder) shared(m Mask) bool {
	v := b.value(m.Tensor)
	return v != nil && len(b.a.State.SharedLabels(v)) > 0 && slices.ContainsFunc(b.a.State.SharedLabels(v), func(a atoms.Axis) bool { return !a.Fixed() })
}

func (b *builder) mask(c ops.Consumption) (Mask, bool) {
	if c.Weight >= 0 {
		axes := b.a.State.Reads[graph.Use{Node: c.Node, Input: c.Weight}]
		if c.WeightAxis < len(axes) {
			ax := axes[c.WeightAxis]
			if ax.Fixed() || b.keep(ax) == nil {
				return Mask{}, false
			}
			if m, ok := b.weightMask(c, ax); ok {
				return m, true
			}
		}
	}
	axes := b.a.State.Reads[graph.Use{Node: c.Node, Input: c.Input}]
	if c.Axis >= len(axes) || b.keep(axes[c.Axis]) == nil {
		return Mask{}, false
	}
	ax := axes[c.Axis]
	return Mask{Use: Use{c.Node.Path, c.Input}, Axis: c.Axis, Size: len(ax.IDs), Removed: b.gone(ax), Activation: true}, true
}

func (b *builder) gone(ax atoms.Axis) []int {
	var out []int
	for i, id := range ax.IDs {
		if b.goes(id) {
			out = append(out, i)
		}
	}
	return out
}

// weightMask masks the constant that a weight operand is, or comes from.
func (b *builder) weightMask(c ops.Consumption, ax atoms.Axis) (Mask, bool) {
	s, ok := c.Silence()
	if !ok {
		return Mask{}, false
	}
	return Mask{Use: Use{s.Use.Node.Path, s.Use.Input}, Axis: c.WeightAxis, Size: len(ax.IDs), Removed: b.gone(ax), Tensor: s.Value.FullName(), Fill: s.Fill}, true
}
