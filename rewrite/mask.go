package rewrite

import (
	"fmt"

	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// MaskedTwin returns the original in which every channel that the plan removes is multiplied by zero where it is consumed: in the
// input slices of each weight that sums over it, or, where two activations meet, on what flows into the sum. The
// pruned model must give the same outputs, up to the order of sums. The twin shares weights with m, which must
// stay open.
func MaskedTwin(m *onnxio.Model, p *Plan) (*onnxio.Model, error) {
	e, err := newEditor(m, touchedNodes(p))
	if err != nil {
		return nil, err
	}
	var shapes *shape.Result
	for _, mask := range p.Masks {
		if !mask.Activation {
			if err := e.maskWeight(mask); err != nil {
				return nil, err
			}
			continue
		}
		if shapes == nil {
			if shapes, err = shape.Infer(e.graph, shape.Options{}); err != nil {
				return nil, err
			}
		}
		if err := e.maskActivation(mask, shapes); err != nil {
			return nil, err
		}
	}
	return e.model, nil
}

// maskWeight zeroes slices of a weight. A vector that other nodes read too is copied first.
func (e *editor) maskWeight(k plan.Mask) error {
	n, err := e.node(k.Node)
	if err != nil {
		return err
	}
	v := n.Input(k.Input)
	if v == nil || v.Tensor == nil || k.Axis >= len(v.Tensor.Dims) || v.Tensor.Dims[k.Axis] != int64(k.Size) {
		return fmt.Errorf("the plan does not fit the model: input %d of %s is not the weight that the plan masks", k.Input, n.Title())
	}
	t := v.Tensor
	if own := e.values[n.Proto.Inputs[k.Input]]; own != nil && own.Tensor != nil && own != v {
		t = own.Tensor
	}
	if long := longAxes(t.Dims); long < 2 && len(v.Uses) > 1 && t == v.Tensor {
		t = t.Copy(e.fresh(v.Name + "_masked"))
		e.addConstant(t)
		n.Proto.SetInput(k.Input, t.Name)
	}
	if err := zero(t, k.Axis, k.Removed, k.Fill); err != nil {
		return err
	}
	if v.Holder != nil && t == v.Tensor {
		hold(v)
	}
	return nil
}

func longAxes(dims []int64) int {
	n := 0
	for _, d := range dims {
		if d > 1 {
			n++
		}
	}
	return n
}

// zero writes fill into slices of a tensor.
func zero(t *onnxio.Tensor, axis int, removed []int, fill int64) error {
	old, err := t.Raw()
	if err != nil {
		return err
	}
	bits := t.DataType.Bits()
	if bits < 8 {
		return fmt.Errorf("tensor %q has %v: slices of it can not be masked", t.Name, t.DataType)
	}
	raw := append([]byte(nil), old...)
	width := bits / 8
	inner := width
	for _, d := range t.Dims[axis+1:] {
		inner *= int(d)
	}
	block := inner * int(t.Dims[axis])
	for at := 0; block > 0 && at < len(raw); at += block {
		for _, r := range removed {
			s := raw[at+r*inner : at+(r+1)*inner]
			for i := range s {
				s[i] = byte(uint64(fill) >> (8 * (i % width)))
			}
		}
	}
	return t.SetRaw(t.Dims, raw)
}

// maskActivation multiplies what flows into a node by ones and zeros along an axis.
func (e *editor) maskActivation(k plan.Mask, shapes *shape.Result) error {
	n, err := e.node(k.Node)
	if err != nil {
		return err
	}
	v := n.Input(k.Input)
	info := shapes.Of(v)
	if v == nil || !info.Known || k.Axis >= info.Rank() {
		return fmt.Errorf("the plan does not fit the model: input %d of %s is not what the plan masks", k.Input, n.Title())
	}
	if !info.Elem.IsFloat() {
		return fmt.Errorf("%s sums over %v values: they can not be masked", n.Title(), info.Elem)
	}
	dims := make([]int64, info.Rank())
	for i := range dims {
		dims[i] = 1
	}
	dims[k.Axis] = int64(k.Size)
	vs := make([]float64, k.Size)
	for i := range vs {
		vs[i] = 1
	}
	for _, r := range k.Removed {
		if r < 0 || r >= k.Size {
			return fmt.Errorf("the plan masks channel %d of %d at %s", r, k.Size, n.Title())
		}
		vs[r] = 0
	}
	var attrs []*onnxio.Attribute
	if e.model.Opset("") < 7 { // broadcasting had to be asked for, from an axis on
		dims = dims[k.Axis : k.Axis+1]
		attrs = append(attrs, onnxio.NewInt("broadcast", 1), onnxio.NewInt("axis", int64(k.Axis)))
	}
	name := n.Proto.Inputs[k.Input]
	mask := numbers(e.fresh(name+"_mask"), info.Elem, dims, vs)
	e.addConstant(mask)
	out := e.fresh(name + "_masked")
	e.insertBefore(n.Proto, onnxio.NewNode("Mul", out, []string{name, mask.Name}, []string{out}, attrs...))
	n.Proto.SetInput(k.Input, out)
	return nil
}
