package layers

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Operand is a constant as one node reads it: its elements come from a tensor of the file, perhaps in another order, and perhaps
// as integers with a scale.
type Operand struct {
	Node  *graph.Node
	Input int
	Value *graph.Value // the constant that the elements come from
	Dims  []int        // of the operand
	Type  onnxio.DataType

	from  []int // by element of the operand: its place in the constant; nil: the same place
	quant *scales
}

// scales is a DequantizeLinear on the way: (q - zero) * scale.
type scales struct {
	scale, zero []float64 // by element of the constant, or one for all
}

// Resolve follows an operand back to the constant that holds its elements. Where that can not be done, or its elements are
// neither floats nor integers of 8 to 32 bits behind a DequantizeLinear, the second result says why.
func Resolve(u graph.Use) (*Operand, string) {
	v := u.Node.Input(u.Input)
	if v == nil {
		return nil, "the operand is absent"
	}
	var path []*graph.Node
	for v.Tensor == nil {
		n := v.Producer
		if n == nil || len(n.Bodies) > 0 || n.Input(0) == nil {
			return nil, fmt.Sprintf("%q is computed", u.Node.Inputs[u.Input].Name)
		}
		switch n.Op {
		case "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "DequantizeLinear":
		default:
			return nil, fmt.Sprintf("%q is computed by %s", v.Name, n.Op)
		}
		path = append(path, n)
		v = n.Inputs[0]
	}
	if v.Sparse != nil {
		return nil, fmt.Sprintf("%q is a sparse tensor", v.Name)
	}
	o := &Operand{Node: u.Node, Input: u.Input, Value: v, Type: v.Tensor.DataType}
	for _, d := range v.Tensor.Dims {
		o.Dims = append(o.Dims, int(d))
	}
	slices.Reverse(path)
	for _, n := range path {
		if why := o.through(n); why != "" {
			return nil, why
		}
	}
	if v.Tensor.DataType.IsFloat() {
		switch v.Tensor.DataType {
		case onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.BFloat16:
			return o, ""
		}
	} else if o.quant != nil {
		if _, _, ok := integerRange(v.Tensor.DataType); ok {
			return o, ""
		}
	}
	return nil, fmt.Sprintf("%q holds %v", v.Name, v.Tensor.DataType)
}

// through applies a node to the operand's order of elements.
func (o *Operand) through(n *graph.Node) string {
	switch n.Op {
	case "Identity":
	case "Cast":
		o.Type = onnxio.DataType(n.Int("to", int64(o.Type)))
		if !o.Type.IsFloat() {
			return "it is cast to " + o.Type.String()
		}
	case "Transpose":
		return o.transpose(n)
	case "DequantizeLinear":
		return o.dequantise(n)
	default: // the elements stay in their order
		return o.reshape(n)
	}
	return ""
}

func (o *Operand) transpose(n *graph.Node) string {
	rank := len(o.Dims)
	perm := make([]int, rank)
	for k := range perm {
		perm[k] = rank - 1 - k
	}
	if vs, ok := n.Ints("perm"); ok {
		if len(vs) != rank {
			return n.Title() + " does not fit its input"
		}
		for k, v := range vs {
			if v < 0 || int(v) >= rank {
				return n.Title() + " does not fit its input"
			}
			perm[k] = int(v)
		}
	}
	steps := make([]int, rank)
	for k, step := rank-1, 1; k >= 0; k-- {
		steps[k] = step
		step *= o.Dims[k]
	}
	dims := make([]int, rank)
	for k, p := range perm {
		dims[k] = o.Dims[p]
	}
	from := make([]int, count(dims))
	at := make([]int, rank)
	for i := range from {
		place := 0
		for k, p := range perm {
			place += at[k] * steps[p]
		}
		from[i] = o.place(place)
		for k := rank - 1; k >= 0; k-- {
			if at[k]++; at[k] < dims[k] {
				break
			}
			at[k] = 0
		}
	}
	o.Dims, o.from = dims, from
	return ""
}

// reshape takes over the shape that a Reshape, Squeeze, Unsqueeze or Flatten gives.
func (o *Operand) reshape(n *graph.Node) string {
	total := count(o.Dims)
	list := func(name string) ([]int64, bool) {
		if vs, ok := n.Ints(name); ok {
			return vs, true
		}
		if v := n.Input(1); v != nil && v.Tensor != nil {
			vs, err := v.Tensor.Ints()
			return vs, err == nil
		}
		return nil, n.Input(1) == nil
	}
	unknown := fmt.Sprintf("what %s makes of it is not known", n.Title())
	var dims []int
	switch n.Op {
	case "Reshape":
		vs, ok := list("shape")
		if !ok {
			return unknown
		}
		open, known := -1, 1
		for k, d := range vs {
			if d == 0 && n.Int("allowzero", 0) == 0 && k < len(o.Dims) {
				d = int64(o.Dims[k])
			}
			if d < 0 {
				open = k
			} else {
				known *= int(d)
			}
			dims = append(dims, int(d))
		}
		if open >= 0 && known > 0 {
			dims[open] = total / known
		}
	case "Flatten":
		axis := int(n.Int("axis", 1))
		if axis < 0 {
			axis += len(o.Dims)
		}
		if axis < 0 || axis > len(o.Dims) {
			return unknown
		}
		dims = []int{count(o.Dims[:axis]), count(o.Dims[axis:])}
	case "Squeeze":
		vs, ok := list("axes")
		if !ok {
			return unknown
		}
		for k, d := range o.Dims {
			named := slices.Contains(vs, int64(k)) || slices.Contains(vs, int64(k-len(o.Dims)))
			if !(named || len(vs) == 0 && d == 1) {
				dims = append(dims, d)
			}
		}
	case "Unsqueeze":
		vs, ok := list("axes")
		if !ok {
			return unknown
		}
		rank, next := len(o.Dims)+len(vs), 0
		for k := range rank {
			if slices.Contains(vs, int64(k)) || slices.Contains(vs, int64(k-rank)) {
				dims = append(dims, 1)
				continue
			}
			if next >= len(o.Dims) {
				return unknown
			}
			dims = append(dims, o.Dims[next])
			next++
		}
	}
	if count(dims) != total {
		return unknown
	}
	o.Dims = dims
	return ""
}

func (o *Operand) dequantise(n *graph.Node) string {
	if o.quant != nil || o.from != nil {
		return "it is quantised twice, or reordered before " + n.Title()
	}
	read := func(i int) ([]float64, []int, string) {
		v := n.Input(i)
		if v == nil {
			return []float64{0}, nil, ""
		}
		p, why := plain(v)
		if why != "" {
			return nil, nil, why
		}
		var dims []int
		for _, d := range v.Tensor.Dims {
			dims = append(dims, int(d))
		}
		return p, dims, ""
	}
	s, dims, why := read(1)
	if why != "" {
		return why
	}
	z, _, why := read(2)
	if why != "" {
		return why
	}
	q := &scales{}
	axis, block := int(n.Int("axis", 1)), int(n.Int("block_size", 0))
	if axis < 0 {
		axis += len(o.Dims)
	}
	if q.scale, why = o.spread(s, dims, axis, block, n); why != "" {
		return why
	}
	if q.zero, why = o.spread(z, dims, axis, block, n); why != "" {
		return why
	}
	o.quant, o.Type = q, onnxio.Float
	for s := n.Input(1); s != nil; s = s.Producer.Input(0) {
		if s.Tensor != nil {
			o.Type = s.Tensor.DataType
			break
		}
		if s.Producer == nil {
			break
		}
	}
	return ""
}

// Quantised reports whether the constant holds integers that a DequantizeLinear scales.
func (o *Operand) Quantised() bool { return o.quant != nil }

// Readers returns every reading of the constant, past the nodes that only hand its elements on.
func (o *Operand) Readers() []graph.Use {
	var out []graph.Use
	var walk func(v *graph.Value)
	walk = func(v *graph.Value) {
		for _, u := range v.Uses {
			switch u.Node.Op {
			case "Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast", "DequantizeLinear":
				if u.Input == 0 && u.Node.Output(0) != nil && !u.Node.Outputs[0].Output && !u.Node.Outputs[0].Returned && len(u.Node.Outputs[0].Uses) > 0 {
					walk(u.Node.Outputs[0])
					continue
				}
			}
			out = append(out, u)
		}
		if v.Output || v.Returned {
			out = append(out, graph.Use{})
		}
	}
	walk(o.Value)
	return out
}

// spread gives every element its scale or zero point.
func (o *Operand) spread(vs []float64, dims []int, axis, block int, n *graph.Node) ([]float64, string) {
	if len(vs) == 1 {
		return vs, ""
	}
	bad := fmt.Sprintf("the scales of %s do not fit it", n.Title())
	if axis < 0 || axis >= len(o.Dims) {
		return nil, bad
	}
	inner, extent := count(o.Dims[axis+1:]), o.Dims[axis]
	out := make([]float64, count(o.Dims))
	blocks := extent
	if block > 0 {
		blocks = (extent + block - 1) / block
	}
	for i := range out {
		along := i / inner % extent
		at := along
		if block > 0 {
			at = (i/inner/extent*blocks+along/block)*inner + i%inner
		}
		if at >= len(vs) || block == 0 && len(vs) != extent {
			return nil, bad
		}
		out[i] = vs[at]
	}
	return out, ""
}

func (o *Operand) place(i int) int {
	if o.from == nil {
		return i
	}
	return o.from[i]
}

// Floats returns the operand's elements as numbers.
func (o *Operand) Floats() ([]float64, error) {
	vs, err := numbers(o.Value.Tensor)
	if err != nil {
		return nil, err
	}
	out := make([]float64, count(o.Dims))
	for i := range out {
		k := o.place(i)
		out[i] = vs[k]
		if q := o.quant; q != nil {
			out[i] = (vs[k] - q.zero[min(k, len(q.zero)-1)]) * q.scale[min(k, len(q.scale)-1)]
		}
	}
	return out, nil
}

// Encode returns what the constant must hold for the operand to have the given elements: little-endian bytes of its own type. Numbers that
// its type does not have are rounded to the nearest; those that lie outside of it are an error for floats, and limited for
// integers, as QuantizeLinear does it.
func (o *Operand) Encode(vs []float64) ([]byte, error) {
	t := o.Value.Tensor
	if len(vs) != count(o.Dims) || int64(len(vs)) != t.Len() {
		return nil, fmt.Errorf("%q: %d elements for a constant of %d", t.Name, len(vs), t.Len())
	}
	stored := make([]float64, len(vs))
	lo, hi, integer := integerRange(t.DataType)
	for i, v := range vs {
		k := o.place(i)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%q: element %d would not be finite", t.Name, k)
		}
		if q := o.quant; q != nil {
			if s := q.scale[min(k, len(q.scale)-1)]; s != 0 {
				v /= s
			}
			v += q.zero[min(k, len(q.zero)-1)]
		}
		if integer {
			v = min(max(math.RoundToEven(v), lo), hi)
		}
		stored[k] = v
	}
	return encode(t.Name, t.DataType, stored)
}

// plain returns the numbers of a constant value.
func plain(v *graph.Value) ([]float64, string) {
	for v.Tensor == nil && v.Producer != nil && v.Producer.Op == "Identity" && v.Producer.Input(0) != nil {
		v = v.Producer.Inputs[0]
	}
	if v.Tensor == nil {
		return nil, fmt.Sprintf("%q is computed", v.Name)
	}
	vs, err := numbers(v.Tensor)
	if err != nil {
		return nil, err.Error()
	}
	return vs, ""
}

func count(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}
