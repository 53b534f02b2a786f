package cost

import (
	"slices"
	"strings"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
)

// What is known of an operator that holds weights. To add one: add a line here. A weight of an operator that is not in this
// table would count neither MACs nor parameters; a test holds the table against the axis rules.

// operands says at which inputs an operator has what, and how its MACs are counted.
type operands struct {
	kind    Kind
	data    []int // what may be an activation: where all of it is constant, so is the result
	weights []int
	biases  []int
	macs    func(l *Layer, s *shape.Result) int64
}

// anyInput stands for every input, of Einsum.
const anyInput = -1

var layers = map[string]operands{
	"Conv":                {Conv, []int{0}, []int{1}, []int{2}, byOutputs(1)},
	"FusedConv":           {Conv, []int{0}, []int{1}, []int{2}, byOutputs(1)},
	"ConvInteger":         {Conv, []int{0}, []int{1}, nil, byOutputs(1)},
	"DeformConv":          {Conv, []int{0}, []int{1}, []int{3}, byOutputs(1)},
	"QLinearConv":         {Conv, []int{0}, []int{3}, []int{8}, byOutputs(3)},
	"CausalConvWithState": {Conv, []int{0}, []int{1}, []int{2}, byOutputs(1)},
	"ConvTranspose":       {ConvTranspose, []int{0}, []int{1}, []int{2}, byInputs(1)},

	"Gemm":         {Linear, []int{0, 1}, []int{1, 0}, []int{2}, byRows(0)},
	"FusedGemm":    {Linear, []int{0, 1}, []int{1, 0}, []int{2}, byRows(0)},
	"GemmFastGelu": {Linear, []int{0, 1}, []int{1, 0}, []int{2}, byRows(0)},
	"QGemm":        {Linear, []int{0, 3}, []int{3, 0}, []int{6}, byRows(0)},

	"MatMul":                {Linear, []int{0, 1}, []int{1, 0}, nil, byRows(0)},
	"FusedMatMul":           {Linear, []int{0, 1}, []int{1, 0}, nil, byRows(0)},
	"TransposeMatMul":       {Linear, []int{0, 1}, []int{1, 0}, nil, byRows(0)},
	"FusedMatMulActivation": {Linear, []int{0, 1}, []int{1, 0}, nil, byRows(0)},
	"MatMulInteger":         {Linear, []int{0, 1}, []int{1, 0}, nil, byRows(0)},
	"MatMulInteger16":       {Linear, []int{0, 1}, []int{1, 0}, nil, byRows(0)},
	"MatMulIntegerToFloat":  {Linear, []int{0, 1}, []int{1, 0}, []int{6}, byRows(0)},
	"DynamicQuantizeMatMul": {Linear, []int{0, 1}, []int{1, 0}, []int{4}, byRows(0)},
	"QLinearMatMul":         {Linear, []int{0, 3}, []int{3, 0}, nil, byRows(0)},
	"MatMulNBits":           {Linear, []int{0}, []int{1}, []int{5}, byPackedRows},
	"Einsum":                {Linear, []int{anyInput}, []int{anyInput}, nil, byEquation},

	"Attention":  {Linear, []int{0}, []int{1}, []int{2}, byColumns}, // of com.microsoft: that of ai.onnx has no weight
	"QAttention": {Linear, []int{0}, []int{1}, []int{2}, byColumns},

	"LSTM":                {Linear, []int{0}, []int{1, 2}, []int{3, 7}, bySteps},
	"GRU":                 {Linear, []int{0}, []int{1, 2}, []int{3}, bySteps},
	"RNN":                 {Linear, []int{0}, []int{1, 2}, []int{3}, bySteps},
	"DynamicQuantizeLSTM": {Linear, []int{0}, []int{1, 2}, []int{3, 7}, bySteps},
}

// operandsOf returns what an operator has at which input; ok is false for one that holds no weight.
func operandsOf(domain, op string) (o operands, ok bool) {
	if op == "Attention" && domain == "" {
		return o, false
	}
	o, ok = layers[op]
	return o, ok
}

// HoldsWeight reports whether an operator is a layer whose weight may be at an input.
func HoldsWeight(domain, op string, input int) bool {
	o, ok := operandsOf(domain, op)
	return ok && (slices.Contains(o.weights, input) || slices.Contains(o.weights, anyInput))
}

// layer counts one node; ok is false for nodes without MACs.
func layer(n *graph.Node, s *shape.Result, static []bool) (l Layer, ok bool) {
	o, ok := operandsOf(n.Domain, n.Op)
	if !ok {
		return l, false
	}
	constant := func(v *graph.Value) bool { return v != nil && (v.Constant() || static[v.ID]) }
	weights, data := 0, 0
	for i, v := range n.Inputs {
		if HoldsWeight(n.Domain, n.Op, i) && constant(v) {
			weights++
		}
		if v != nil && !constant(v) && (slices.Contains(o.data, i) || slices.Contains(o.data, anyInput)) {
			data++
		}
	}
	// A product of two activations, as in attention, is no layer, nor is one of two constants. A convolution is one, wherever its
	// weight comes from.
	if data == 0 || o.kind == Linear && weights == 0 {
		return l, false
	}
	l = Layer{Node: n, Kind: o.kind}
	l.MACs = o.macs(&l, s)
	return l, true
}

// byOutputs: every output sums over the input channels of its group and the kernel.
func byOutputs(weight int) func(*Layer, *shape.Result) int64 {
	return func(l *Layer, s *shape.Result) int64 {
		return l.product(s.Of(l.Node.Output(0)), 0) * l.product(s.Of(l.Node.Input(weight)), 1)
	}
}

// byInputs: every input is spread over the output channels of its group and the kernel.
func byInputs(weight int) func(*Layer, *shape.Result) int64 {
	return func(l *Layer, s *shape.Result) int64 {
		return l.product(s.Of(l.Node.Input(0)), 0) * l.product(s.Of(l.Node.Input(weight)), 1)
	}
}

// byRows: every output sums over the inner axis of the first matrix, its last one unless it is transposed.
func byRows(first int) func(*Layer, *shape.Result) int64 {
	return func(l *Layer, s *shape.Result) int64 {
		a := s.Of(l.Node.Input(first))
		inner := a.Rank() - 1
		if l.Node.Int("transA", 0) != 0 && a.Rank() > 1 {
			inner--
			if l.Node.Int("transBatchA", 0) != 0 { // the first axis stands where the rows were
				inner = 0
			}
		}
		return l.product(s.Of(l.Node.Output(0)), 0) * l.extent(a, inner)
	}
}

// byPackedRows: the extents of a packed weight are attributes.
func byPackedRows(l *Layer, s *shape.Result) int64 {
	return l.product(s.Of(l.Node.Output(0)), 0) * l.Node.Int("K", 0)
}

// byColumns: every element of the input meets the columns of a weight [width, columns].
func byColumns(l *Layer, s *shape.Result) int64 {
	return l.product(s.Of(l.Node.Input(0)), 0) * l.extent(s.Of(l.Node.Input(1)), 1)
}

// bySteps: at every step of a sequence the input meets the weight and the state the recurrent weight, in all directions.
func bySteps(l *Layer, s *shape.Result) int64 {
	x := s.Of(l.Node.Input(0)) // [steps, batch, inputs], the first two exchanged in layout 1
	return l.extent(x, 0) * l.extent(x, 1) * (l.product(s.Of(l.Node.Input(1)), 0) + l.product(s.Of(l.Node.Input(2)), 0))
}

// byEquation: one product for every combination of the letters' values.
func byEquation(l *Layer, s *shape.Result) int64 {
	left, _, _ := strings.Cut(strings.ReplaceAll(l.Node.Text("equation", ""), " ", ""), "->")
	extents := map[string]int64{} // by letter; by distance from the last axis for those under an ellipsis
	var order []string
	for i, term := range strings.Split(left, ",") {
		in := s.Of(l.Node.Input(i))
		before, after, dots := strings.Cut(term, "...")
		for k := range in.Rank() {
			letter := "..." + string(rune('0'+in.Rank()-len(after)-k))
			switch {
			case k < len(before):
				letter = before[k : k+1]
			case k >= in.Rank()-len(after) && dots:
				letter = after[k-in.Rank()+len(after):][:1]
			}
			if n := l.extent(in, k); extents[letter] == 0 {
				extents[letter] = n
				order = append(order, letter)
			} else {
				extents[letter] = max(extents[letter], n)
			}
		}
		if !in.Known {
			l.Open = true
		}
	}
	n := int64(1)
	for _, letter := range order {
		n *= extents[letter]
	}
	return n
}

func (l *Layer) extent(in *shape.Info, axis int) int64 {
	n, ok := in.Fixed(axis)
	if !ok {
		l.Open = true
		return 1
	}
	return n
}

// product multiplies the extents from an axis on.
func (l *Layer) product(in *shape.Info, from int) int64 {
	n := int64(1)
	if !in.Known {
		l.Open = true
		return n
	}
	for k := from; k < in.Rank(); k++ {
		n *= l.extent(in, k)
	}
	return n
}
