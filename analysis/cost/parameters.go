package cost

import (
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// parameters counts the floating-point or quantised constants that layers and normalisations read as weights, biases and
// vectors over channels, and the bytes of all constants.
func (r *Report) parameters(g *graph.Graph, s *shape.Result, static []bool) {
	c := &counter{shapes: s, static: static, feeds: map[*graph.Value]bool{}}
	for _, v := range g.Weights() {
		r.WeightBytes += v.Tensor.Size()
		if v.Tensor.DataType == onnxio.Int64 || v.Tensor.DataType == onnxio.Bool || v.Tensor.DataType == onnxio.String {
			continue
		}
		for _, u := range v.Uses {
			if c.parameter(u) {
				r.Params += elements(v, u)
				r.ParamTensors++
				break
			}
		}
	}
}

// elements is how many numbers a constant holds: a packed weight holds several in each of its bytes.
func elements(v *graph.Value, u graph.Use) int64 {
	if u.Node.Op == "MatMulNBits" && u.Input == 1 {
		return u.Node.Int("K", 0) * u.Node.Int("N", 0)
	}
	return v.Tensor.Len()
}

// normalisations lists operators whose further inputs are vectors over channels.
var normalisations = map[string]bool{"BatchNormalization": true, "InstanceNormalization": true, "LayerNormalization": true,
	"GroupNormalization": true, "RMSNormalization": true, "PRelu": true}

// counter tells which constants are parameters.
type counter struct {
	shapes *shape.Result
	static []bool                // by Value.ID
	feeds  map[*graph.Value]bool // what is computed from constants: it ends as a parameter
}

// parameter reports whether a constant is read as a weight, bias or vector over channels: by a layer, by a normalisation, by a Mul
// or Add with one value per channel of an activation (a frozen batch norm), or by nodes that compute such a thing from constants.
func (c *counter) parameter(u graph.Use) bool {
	n := u.Node
	if c.computes(n) {
		return c.passes(u) && slices.ContainsFunc(n.Outputs, c.feed)
	}
	if o, ok := operandsOf(n.Domain, n.Op); ok {
		return HoldsWeight(n.Domain, n.Op, u.Input) || slices.Contains(o.biases, u.Input)
	}
	switch n.Op {
	case "Add", "Mul", "Sub", "Div":
		other := n.Input(1 - u.Input)
		return perChannel(c.shapes.Of(n.Inputs[u.Input]), c.shapes.Of(other)) && ofLayer(other, 4)
	}
	return normalisations[n.Op] && u.Input > 0
}

// computes reports whether what a node gives is known before the run.
func (c *counter) computes(n *graph.Node) bool {
	return slices.ContainsFunc(n.Outputs, func(v *graph.Value) bool { return v != nil && c.static[v.ID] })
}

// passes reports whether a node that computes from constants takes an operand for what it is: scales of a quantisation, indices and
// single numbers (an epsilon) beside it are no parameters.
func (c *counter) passes(u graph.Use) bool {
	if u.Input == 0 {
		return true
	}
	in := c.shapes.Of(u.Node.Inputs[u.Input])
	count, known := in.Len()
	n, fixed := count.Const()
	switch u.Node.Op {
	case "DequantizeLinear", "QuantizeLinear":
		return false
	}
	return in.Elem.IsFloat() && known && fixed && n > 1
}

// feed reports whether a value that is computed from constants is a parameter to one of its readers.
func (c *counter) feed(v *graph.Value) bool {
	if v == nil {
		return false
	}
	if known, ok := c.feeds[v]; ok {
		return known
	}
	c.feeds[v] = slices.ContainsFunc(v.Uses, c.parameter)
	return c.feeds[v]
}

// ofLayer reports whether a value comes out of a convolution, perhaps through a few element-wise nodes.
func ofLayer(v *graph.Value, steps int) bool {
	if v == nil || v.Producer == nil || steps == 0 {
		return false
	}
	p := v.Producer
	if o, ok := operandsOf(p.Domain, p.Op); ok {
		return o.kind != Linear
	}
	switch p.Op {
	case "Add", "Mul", "Sub", "Div", "Cast":
		return ofLayer(p.Input(0), steps-1) || ofLayer(p.Input(1), steps-1)
	}
	return false
}

// perChannel reports whether c holds one value for each channel of x, [C,1,1] or [1,C,1,1] against [N,C,H,W].
func perChannel(c, x *shape.Info) bool {
	if !c.Known || x.Rank() < 3 {
		return false
	}
	channels, ok := x.Fixed(1)
	for k := range c.Dims {
		n, fixed := c.Fixed(k)
		at := x.Rank() - c.Rank() + k
		if !fixed || at == 1 && n != channels || at != 1 && n != 1 {
			return false
		}
	}
	return ok && channels > 1 && c.Rank() >= x.Rank()-1
}
