package ops

import (
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// The masked twin silences a removed channel where it is summed over: in the weight's slices, with the weight's zero point, or in
// the float activation that flows in. Where neither can be done, nothing could prove the cut, so the channels stay.

// weightZero says at which input an operator has the zero point of the integer weight at a given input.
var weightZero = map[string]map[int]int{"QLinearConv": {3: 5}, "ConvInteger": {1: 3}, "QLinearMatMul": {3: 5, 0: 2}, "MatMulInteger": {1: 3, 0: 2},
	"QGemm": {3: 5, 0: 2}, "MatMulIntegerToFloat": {1: 5, 0: 4}}

// Silent is a constant whose slices can be made silent, as one node reads it.
type Silent struct {
	Value *graph.Value
	Use   graph.Use
	Fill  int64 // what a silent element holds
}

// Silence returns the constant that the weight of a consumption is, or comes from through a DequantizeLinear; ok is false where
// none can be made silent.
func (c *Consumption) Silence() (s Silent, ok bool) {
	s = Silent{Value: c.Node.Input(c.Weight), Use: graph.Use{Node: c.Node, Input: c.Weight}}
	if s.Value == nil {
		return s, false
	}
	zero := (*graph.Value)(nil)
	if p := s.Value.Producer; s.Value.Tensor == nil {
		if p == nil || p.Op != "DequantizeLinear" || p.Input(0) == nil || p.Input(0).Tensor == nil {
			return s, false
		}
		s.Value, s.Use, zero = p.Input(0), graph.Use{Node: p, Input: 0}, p.Input(2)
	} else if i, found := weightZero[c.Node.Op][c.Weight]; found {
		zero = c.Node.Input(i)
	}
	if s.Fill, ok = zeroPoint(zero); !ok {
		return s, false
	}
	return s, s.Value.Tensor.DataType != onnxio.String && s.Value.Tensor.DataType.Bits() >= 8
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

// provable pins the channels of a consumption that the masked twin could not silence.
func (c *Context) provable(k Consumption) {
	if k.Weight >= 0 {
		if _, ok := k.Silence(); ok {
			return
		}
	}
	elem, axes := c.Info(k.Input).Elem, c.In(k.Input)
	if elem == 0 || elem.IsFloat() || k.Axis >= len(axes) {
		return
	}
	if k.Weight >= 0 && c.Static(k.Weight) {
		c.Pin(axes[k.Axis], "%s sums over %v values with a weight of which no slice can be made silent (its zero points differ), so a cut could not be verified", c.Node.Title(), elem)
		return
	}
	c.Pin(axes[k.Axis], "%s sums over %v values, which can not be masked, so a cut could not be verified", c.Node.Title(), elem)
}
