package plan

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
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
		if b.removed[b.a.State.Set.Find(id)] {
			out = append(out, i)
		}
	}
	return out
}

// weightZero says at which input an operator has the zero point of its integer weight.
var weightZero = map[string]int{"QLinearConv": 5, "ConvInteger": 3, "QLinearMatMul": 5, "MatMulInteger": 3, "QGemm": 5, "MatMulIntegerToFloat": 5}

// weightMask masks the constant that a weight operand is, or comes from through a DequantizeLinear.
func (b *builder) weightMask(c ops.Consumption, ax atoms.Axis) (Mask, bool) {
	v := c.Node.Inputs[c.Weight]
	use, axis, size, gone, fill := Use{c.Node.Path, c.Weight}, c.WeightAxis, len(ax.IDs), b.gone(ax), int64(0)
	if v.Tensor == nil {
		p := v.Producer
		if p == nil || p.Op != "DequantizeLinear" || p.Input(0) == nil || p.Input(0).Tensor == nil {
			return Mask{}, false
		}
		zero, ok := zeroPoint(p.Input(2))
		if !ok {
			return Mask{}, false
		}
		v, use, fill = p.Input(0), Use{p.Path, 0}, zero
	} else if i, ok := weightZero[c.Node.Op]; ok {
		zero, ok := zeroPoint(c.Node.Input(i))
		if !ok {
			return Mask{}, false
		}
		fill = zero
	}
	if v.Tensor.DataType == onnxio.String || v.Tensor.DataType.Bits() < 8 && fill != 0 {
		return Mask{}, false
	}
	return Mask{Use: use, Axis: axis, Size: size, Removed: gone, Tensor: v.FullName(), Fill: fill}, true
}

// zeroPoint returns the zero point that all of a weight shares; none at all is zero.
func zeroPoint(v *graph.Value) (int64, bool) {
	if v == nil {
		return 0, true
	}
	if v.Tensor == nil {
		return 0, false
	}
	zs, err := v.Tensor.Ints()
	if err != nil || len(zs) == 0 {
		return 0, false
	}
	for _, z := range zs {
		if z != zs[0] {
			return 0, false
		}
	}
	return zs[0], true
}
