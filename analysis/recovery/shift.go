package recovery

import (
	"math"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/layers"
)

// A repaired layer's mean moves, and something has to take that up: the layer's own bias, the bias of a batch norm or of an Add behind
// it, or a bias that is added. Where there is no such place the layer is fitted without one.

// shift is where the change of a layer's mean goes.
type shift struct {
	use    graph.Use       // its Node is nil where there is no such place
	also   []graph.Use     // other layers that share it
	bias   *layers.Operand // what stands there; nil: a bias is added
	factor []float64       // by output channel: what the change is multiplied with; nil for 1
}

// shiftOf finds the place, and the factors of a batch norm behind the layer.
func shiftOf(l *layers.Layer) (s shift, scale []float64) {
	outputs := l.Groups * l.Rows
	norm, factors := normBehind(l, outputs)
	scale = factors
	n := l.Node
	switch n.Op {
	case "Conv", "FusedConv", "ConvTranspose":
		if n.Input(2) != nil {
			if b := vector(graph.Use{Node: n, Input: 2}, outputs); b != nil {
				return shift{use: graph.Use{Node: n, Input: 2}, bias: b}, scale
			}
			return shift{}, scale
		}
		if norm != nil {
			if b := vector(graph.Use{Node: norm, Input: 2}, outputs); b != nil {
				return shift{use: graph.Use{Node: norm, Input: 2}, bias: b, factor: factors}, scale
			}
		}
		return shift{use: graph.Use{Node: n, Input: 2}}, scale
	case "Gemm", "FusedGemm":
		alpha, beta := float64(n.Float("alpha", 1)), float64(n.Float("beta", 1))
		if n.Input(2) != nil {
			if b := vector(graph.Use{Node: n, Input: 2}, outputs); b != nil && beta != 0 {
				return shift{use: graph.Use{Node: n, Input: 2}, bias: b, factor: slices.Repeat([]float64{alpha / beta}, outputs)}, scale
			}
			return shift{}, scale
		}
		if n.Version >= 11 && beta != 0 {
			return shift{use: graph.Use{Node: n, Input: 2}, factor: slices.Repeat([]float64{alpha / beta}, outputs)}, scale
		}
	case "MatMul":
		if out := n.Output(0); out != nil && len(out.Uses) == 1 && !out.Output && !out.Returned {
			if add := out.Uses[0].Node; add.Op == "Add" && !add.InBody() {
				u := graph.Use{Node: add, Input: 1 - out.Uses[0].Input}
				if b := vector(u, outputs); b != nil && b.Dims[len(b.Dims)-1] == outputs {
					return shift{use: u, bias: b}, scale
				}
			}
		}
	}
	return shift{}, scale
}

// vector returns an operand of one element for each output, nil where it is none.
func vector(u graph.Use, outputs int) *layers.Operand {
	b, why := layers.Resolve(u)
	if why != "" || len(b.Dims) == 0 {
		return nil
	}
	n := 1
	for _, d := range b.Dims {
		n *= d
	}
	if n != outputs {
		return nil
	}
	return b
}

// normBehind returns the batch norm that alone reads a layer's output, with what it multiplies each channel by.
func normBehind(l *layers.Layer, outputs int) (*graph.Node, []float64) {
	out := l.Node.Output(0)
	if out == nil || len(out.Uses) != 1 || out.Output || out.Returned {
		return nil, nil
	}
	n := out.Uses[0].Node
	if n.Op != "BatchNormalization" || n.Domain != "" || out.Uses[0].Input != 0 || n.InBody() || n.Int("training_mode", 0) != 0 {
		return nil, nil
	}
	gamma, variance := vector(graph.Use{Node: n, Input: 1}, outputs), vector(graph.Use{Node: n, Input: 4}, outputs)
	if gamma == nil || variance == nil {
		return nil, nil
	}
	g, err1 := gamma.Floats()
	v, err2 := variance.Floats()
	if err1 != nil || err2 != nil {
		return nil, nil
	}
	eps := float64(n.Float("epsilon", 1e-5))
	for i := range g {
		g[i] /= math.Sqrt(v[i] + eps)
	}
	if !finite(g) {
		return nil, nil
	}
	return n, g
}
