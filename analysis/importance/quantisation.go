package importance

import (
	"fmt"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
)

// quantisation is how the integers of a weight become numbers: (w - zero) * scale, with one scale for all, one for each index of an
// axis, or one for each block along an axis.
type quantisation struct {
	scales []float32
	zeros  []int64
	n      int // extent of the axis; 1: one scale for all
	inner  int // elements that one index of the axis spans
	block  int // indices that share a scale
}

// scaleInputs says where an operator has the scales and zero points of the operand at a given input; -1 for none. They follow the
// weight's output axis.
var scaleInputs = map[string]map[int][2]int{
	"QLinearConv": {3: {4, 5}}, "QLinearMatMul": {3: {4, 5}, 0: {1, 2}}, "ConvInteger": {1: {-1, 3}}, "MatMulInteger": {1: {-1, 3}, 0: {-1, 2}},
	"QGemm": {3: {4, 5}, 0: {1, 2}}, "MatMulIntegerToFloat": {1: {3, 5}, 0: {2, 4}}, "DynamicQuantizeMatMul": {1: {2, 3}},
}

// quantisationOf reads the scales of a weight; 1 and 0 where there are none that are known.
func quantisationOf(p *channels.Param) (*quantisation, error) {
	var s, z *graph.Value
	axis, block := p.Axis, 0
	for _, u := range p.Value.Uses {
		if u.Node.Op == "DequantizeLinear" && u.Input == 0 {
			s, z = u.Node.Input(1), u.Node.Input(2)
			axis, block = int(u.Node.Int("axis", 1)), int(u.Node.Int("block_size", 0))
			if axis < 0 {
				axis += len(p.Shape)
			}
			break
		}
		if at, ok := scaleInputs[u.Node.Op][u.Input]; ok {
			s, z = u.Node.Input(max(at[0], 0)), u.Node.Input(at[1])
			if at[0] < 0 {
				s = nil
			}
			break
		}
	}
	q := &quantisation{scales: []float32{1}, zeros: []int64{0}, n: 1, inner: 1, block: max(block, 1)}
	if s != nil && s.Tensor != nil {
		v, err := s.Tensor.Float32s()
		if err != nil {
			return nil, fmt.Errorf("its scales: %w", err)
		}
		q.scales = v
	}
	if z != nil && z.Tensor != nil {
		v, err := z.Tensor.Ints()
		if err != nil {
			return nil, fmt.Errorf("its zero points: %w", err)
		}
		q.zeros = v
	}
	if len(q.scales) == 1 && len(q.zeros) == 1 {
		return q, nil
	}
	if axis < 0 || axis >= len(p.Shape) {
		return nil, fmt.Errorf("its scales follow axis %d of a weight of shape %v", axis, p.Shape)
	}
	q.n = int(p.Shape[axis])
	for _, d := range p.Shape[axis+1:] {
		q.inner *= int(d)
	}
	want := q.n
	if block > 0 {
		want = (q.n + block - 1) / block
		for k, d := range p.Shape {
			if k != axis {
				want *= int(d)
			}
		}
	}
	for _, n := range []int{len(q.scales), len(q.zeros)} {
		if n != 1 && n != want {
			return nil, fmt.Errorf("it has %d scales and %d zero points, which do not fit axis %d of its shape %v in blocks of %d", len(q.scales), len(q.zeros), axis, p.Shape, q.block)
		}
	}
	if block == 0 {
		q.block = 0
	}
	return q, nil
}

// at returns scale and zero point of the element at a place in the weight, and for how many elements from there they hold.
func (q *quantisation) at(i int) (scale, zero float64, length int) {
	k, length := 0, runLength
	switch {
	case q.n == 1:
	case q.block == 0:
		k, length = i/q.inner%q.n, q.inner-i%q.inner
	default:
		along, blocks := i/q.inner%q.n, (q.n+q.block-1)/q.block
		k, length = (i/q.inner/q.n*blocks+along/q.block)*q.inner+i%q.inner, 1
		if q.inner == 1 {
			length = min(q.block-along%q.block, q.n-along)
		}
	}
	return float64(q.scales[min(k, len(q.scales)-1)]), float64(q.zeros[min(k, len(q.zeros)-1)]), length
}
