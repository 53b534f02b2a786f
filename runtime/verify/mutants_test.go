package verify_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

// mutant is a pruned model with one fault in it, and the plan that is given out for it.
type mutant struct {
	model *onnxio.Model
	plan  *plan.Plan
	where string
}

// mutation is one kind of fault. make draws one; nil where the subject has no place for it.
type mutation struct {
	family, name string
	swap         bool // channels change places: all of these must be found
	make         func(r *rand.Rand, s *subject) *mutant
}

// mutations are faults of weights, attributes, operands, connections and plans, and of the rewriter itself: there it is given another plan
// than the proof is.
var mutations = []mutation{
	{"weights", "two channels swapped", true, weightOf(func(r *rand.Rand, w *window) {
		i, j := r.IntN(w.rows), r.IntN(w.rows)
		a, b := bytes.Clone(w.row(i)), bytes.Clone(w.row(j))
		copy(w.row(i), b)
		copy(w.row(j), a)
	})},
	{"weights", "rows shifted by one", true, weightOf(func(r *rand.Rand, w *window) {
		n := len(w.raw) / w.rows
		copy(w.raw, slices.Concat(w.raw[n:], w.raw[:n]))
	})},
	{"weights", "scaled by 1 %", false, weightOf(func(r *rand.Rand, w *window) {
		for i := range w.len() {
			w.set(i, w.at(i)*1.01)
		}
	})},
	{"weights", "one element off by 5 % of the largest", false, weightOf(func(r *rand.Rand, w *window) {
		i := r.IntN(w.len())
		w.set(i, w.at(i)+0.05*w.largest())
	})},
	{"weights", "the sign of one element", false, weightOf(func(r *rand.Rand, w *window) {
		i := r.IntN(w.len())
		w.set(i, -w.at(i))
	})},
	{"attributes", "an integer off by one", false, attribute(func(r *rand.Rand, a *onnxio.Attribute) *onnxio.Attribute {
		switch {
		case a.Type == onnxio.AttrInt:
			return onnxio.NewInt(a.Name, a.I+int64(2*r.IntN(2)-1))
		case a.Type == onnxio.AttrInts && len(a.Ints) > 0:
			vs := slices.Clone(a.Ints)
			vs[r.IntN(len(vs))] += int64(2*r.IntN(2) - 1)
			return onnxio.NewInts(a.Name, vs...)
		}
		return nil
	})},
	{"attributes", "a float off by 1 %", false, attribute(func(r *rand.Rand, a *onnxio.Attribute) *onnxio.Attribute {
		if a.Type != onnxio.AttrFloat || a.F == 0 {
			return nil
		}
		return onnxio.NewFloat(a.Name, a.F*1.01)
	})},
	{"attributes", "one is missing", false, missingAttribute},
	{"operands", "an element off by one", false, operand},
	{"connections", "a constant of the neighbour", false, neighbourConstant(false)},
	{"connections", "an activation of the neighbour", false, neighbourActivation},
	{"plan", "another index of one tensor", true, forged(otherIndex, true)},
	{"plan", "two indices of one tensor exchanged", true, forged(exchanged, true)},
	{"plan", "a tensor is not cut", false, forged(forgotten, true)},
	{"plan", "an attribute, operand or frozen number off by one", false, forged(offByOne, true)},
	{"plan", "a mask of another channel", true, forged(otherMask, true)},
	{"rewriter", "a wrong index in one tensor", true, forged(otherIndex, false)},
	{"rewriter", "two slices of one tensor exchanged", true, forged(exchanged, false)},
	{"rewriter", "every index of one tensor off by one", true, forged(shifted, false)},
	{"rewriter", "a tensor is forgotten", false, forged(forgotten, false)},
	{"rewriter", "an attribute or operand is forgotten", false, forged(forgottenChange, false)},
	{"rewriter", "the vector of the neighbour", false, neighbourConstant(true)},
}

// window is the content of a floating-point tensor under change.
type window struct {
	raw  []byte
	rows int // extent of the first axis
	t    *onnxio.Tensor
}

func (w *window) len() int { return int(w.t.Len()) }

func (w *window) row(i int) []byte {
	n := len(w.raw) / w.rows
	return w.raw[i*n : (i+1)*n]
}

func (w *window) at(i int) float64 {
	switch w.t.DataType {
	case onnxio.Float:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(w.raw[4*i:])))
	case onnxio.Float16:
		return float64(onnxio.Float16ToFloat32(binary.LittleEndian.Uint16(w.raw[2*i:])))
	}
	return float64(int8(w.raw[i]))
}

func (w *window) set(i int, x float64) {
	switch w.t.DataType {
	case onnxio.Float:
		binary.LittleEndian.PutUint32(w.raw[4*i:], math.Float32bits(float32(x)))
	case onnxio.Float16:
		binary.LittleEndian.PutUint16(w.raw[2*i:], onnxio.Float32ToFloat16(float32(x)))
	default:
		w.raw[i] = byte(int8(math.Round(max(-128, min(127, x)))))
	}
}

func (w *window) largest() float64 {
	most := 0.0
	for i := range w.len() {
		most = max(most, math.Abs(w.at(i)))
	}
	return most
}

// constant is a tensor of a model's main graph, with the reading that sees it.
type constant struct {
	name   string
	tensor *onnxio.Tensor
	reader *onnxio.Node
	input  int
}

// constants lists the tensors that nodes of the main graph read, each with its first reader.
func constants(m *onnxio.Model) []constant {
	held := map[string]*onnxio.Tensor{}
	for _, t := range m.Graph.Initializers {
		held[t.Name] = t
	}
	for _, n := range m.Graph.Nodes {
		if a := n.Attribute("value"); n.OpType == "Constant" && a != nil && a.Tensor != nil {
			held[n.Outputs[0]] = a.Tensor
		}
	}
	var out []constant
	seen := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		for i, name := range n.Inputs {
			if t := held[name]; t != nil && !seen[name] {
				seen[name] = true
				out = append(out, constant{name, t, n, i})
			}
		}
	}
	return out
}

// weightOf changes the content of one weight.
func weightOf(change func(*rand.Rand, *window)) func(*rand.Rand, *subject) *mutant {
	return func(r *rand.Rand, s *subject) *mutant {
		m := s.copy()
		var fit []constant
		for _, c := range constants(m) {
			switch c.tensor.DataType {
			case onnxio.Float, onnxio.Float16, onnxio.Int8:
				if len(c.tensor.Dims) > 0 && c.tensor.Dims[0] > 1 {
					fit = append(fit, c)
				}
			}
		}
		if len(fit) == 0 {
			return nil
		}
		c := fit[r.IntN(len(fit))]
		old, err := c.tensor.Raw()
		if err != nil {
			panic(err)
		}
		w := &window{bytes.Clone(old), int(c.tensor.Dims[0]), c.tensor}
		for range 20 { // rows that are alike, or an element that is zero, make no fault
			if change(r, w); !bytes.Equal(w.raw, old) {
				break
			}
		}
		if bytes.Equal(w.raw, old) {
			return nil
		}
		if err := c.tensor.SetRaw(c.tensor.Dims, w.raw); err != nil {
			panic(err)
		}
		return &mutant{m, s.plan, "tensor " + c.name}
	}
}

// attribute changes one attribute.
func attribute(change func(*rand.Rand, *onnxio.Attribute) *onnxio.Attribute) func(*rand.Rand, *subject) *mutant {
	return func(r *rand.Rand, s *subject) *mutant {
		m := s.copy()
		for _, i := range r.Perm(len(m.Graph.Nodes)) {
			n := m.Graph.Nodes[i]
			for _, k := range r.Perm(len(n.Attributes)) {
				if a := change(r, n.Attributes[k]); a != nil && n.OpType != "Constant" {
					n.SetAttribute(a)
					return &mutant{m, s.plan, fmt.Sprintf("attribute %s of %s %q", a.Name, n.OpType, n.Outputs[0])}
				}
			}
		}
		return nil
	}
}

func missingAttribute(r *rand.Rand, s *subject) *mutant {
	m := s.copy()
	for _, i := range r.Perm(len(m.Graph.Nodes)) {
		if n := m.Graph.Nodes[i]; len(n.Attributes) > 0 && n.OpType != "Constant" {
			a := n.Attributes[r.IntN(len(n.Attributes))]
			n.RemoveAttribute(a.Name)
			return &mutant{m, s.plan, fmt.Sprintf("attribute %s of %s %q", a.Name, n.OpType, n.Outputs[0])}
		}
	}
	return nil
}

// operand changes an element of a small integer operand.
func operand(r *rand.Rand, s *subject) *mutant {
	m := s.copy()
	var fit []constant
	for _, c := range constants(m) {
		if (c.tensor.DataType == onnxio.Int64 || c.tensor.DataType == onnxio.Int32) && c.tensor.Len() > 0 && c.tensor.Len() < 64 {
			fit = append(fit, c)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	c := fit[r.IntN(len(fit))]
	vs, err := c.tensor.Ints()
	if err != nil {
		panic(err)
	}
	vs[r.IntN(len(vs))] += int64(2*r.IntN(2) - 1)
	raw, err := onnxio.NewIntTensor("", c.tensor.DataType, c.tensor.Dims, vs).Raw()
	if err != nil {
		panic(err)
	}
	if err := c.tensor.SetRaw(c.tensor.Dims, raw); err != nil {
		panic(err)
	}
	return &mutant{m, s.plan, "operand " + c.name}
}

// neighbourConstant lets a node read a constant of the same form and other content.
func neighbourConstant(vectors bool) func(r *rand.Rand, s *subject) *mutant {
	return func(r *rand.Rand, s *subject) *mutant {
		m := s.copy()
		all := constants(m)
		for _, i := range r.Perm(len(all)) {
			c := all[i]
			if vectors && (len(c.tensor.Dims) != 1 || !c.tensor.DataType.IsFloat()) {
				continue
			}
			a, err := c.tensor.Raw()
			if err != nil {
				continue
			}
			for _, k := range r.Perm(len(all)) {
				d := all[k]
				if d.tensor.DataType != c.tensor.DataType || !slices.Equal(d.tensor.Dims, c.tensor.Dims) {
					continue
				}
				if b, err := d.tensor.Raw(); err == nil && !bytes.Equal(a, b) && before(m, d.name, c.reader) {
					c.reader.SetInput(c.input, d.name)
					return &mutant{m, s.plan, fmt.Sprintf("%s %q reads %s in place of %s", c.reader.OpType, c.reader.Outputs[0], d.name, c.name)}
				}
			}
		}
		return nil
	}
}

// before reports whether a value is there before a node: an initializer, an input, or made by a node in front of it.
func before(m *onnxio.Model, name string, n *onnxio.Node) bool {
	for _, p := range m.Graph.Nodes {
		if p == n {
			break
		}
		if slices.Contains(p.Outputs, name) {
			return true
		}
	}
	return !slices.ContainsFunc(m.Graph.Nodes, func(p *onnxio.Node) bool { return slices.Contains(p.Outputs, name) })
}

// neighbourActivation lets a node read another activation of the same shape.
func neighbourActivation(r *rand.Rand, s *subject) *mutant {
	m := s.copy()
	for _, i := range r.Perm(len(m.Graph.Nodes)) {
		n := m.Graph.Nodes[i]
		for _, k := range r.Perm(len(n.Inputs)) {
			shape, ok := s.shapes[n.Inputs[k]]
			if !ok {
				continue
			}
			for _, j := range r.Perm(len(m.Graph.Nodes)) {
				for _, out := range m.Graph.Nodes[j].Outputs {
					if out != "" && out != n.Inputs[k] && s.shapes[out] == shape && before(m, out, n) {
						old := n.Inputs[k]
						n.SetInput(k, out)
						return &mutant{m, s.plan, fmt.Sprintf("%s %q reads %s in place of %s", n.OpType, n.Outputs[0], out, old)}
					}
				}
			}
		}
	}
	return nil
}

// forged carries out a plan that was changed. Where published, the changed plan is given out for the model; else the true one is, as if
// the rewriter had made a mistake.
func forged(change func(*rand.Rand, *plan.Plan) string, published bool) func(*rand.Rand, *subject) *mutant {
	return func(r *rand.Rand, s *subject) *mutant {
		for range 20 { // some plans can not be carried out at all
			p := s.planCopy()
			where := change(r, p)
			if where == "" {
				return nil
			}
			m, err := rewrite.Apply(s.model, p)
			if err != nil {
				continue
			}
			if !published {
				p = s.plan
			}
			return &mutant{m, p, where}
		}
		return nil
	}
}

// cutAxis draws an axis that loses slices, of a tensor for which fit holds.
func cutAxis(r *rand.Rand, p *plan.Plan, fit func(keep []int, n int64) bool) (t *plan.Tensor, axis int) {
	for _, i := range r.Perm(len(p.Tensors)) {
		t := &p.Tensors[i]
		for k, n := range t.Shape {
			if keep, ok := t.Keep[k]; ok && fit(keep, n) {
				return t, k
			}
		}
	}
	return nil, 0
}

func otherIndex(r *rand.Rand, p *plan.Plan) string {
	t, k := cutAxis(r, p, func(keep []int, n int64) bool { return len(keep) < int(n) })
	if t == nil {
		return ""
	}
	var gone []int
	for i := range int(t.Shape[k]) {
		if !slices.Contains(t.Keep[k], i) {
			gone = append(gone, i)
		}
	}
	t.Keep[k][r.IntN(len(t.Keep[k]))] = gone[r.IntN(len(gone))]
	slices.Sort(t.Keep[k])
	return fmt.Sprintf("axis %d of %s", k, t.Name)
}

func exchanged(r *rand.Rand, p *plan.Plan) string {
	t, k := cutAxis(r, p, func(keep []int, n int64) bool { return len(keep) > 1 })
	if t == nil {
		return ""
	}
	i := r.IntN(len(t.Keep[k]) - 1)
	t.Keep[k][i], t.Keep[k][i+1] = t.Keep[k][i+1], t.Keep[k][i]
	return fmt.Sprintf("axis %d of %s", k, t.Name)
}

func shifted(r *rand.Rand, p *plan.Plan) string {
	t, k := cutAxis(r, p, func(keep []int, n int64) bool { return true })
	if t == nil {
		return ""
	}
	for i := range t.Keep[k] {
		t.Keep[k][i] = (t.Keep[k][i] + 1) % int(t.Shape[k])
	}
	return fmt.Sprintf("axis %d of %s", k, t.Name)
}

func forgotten(r *rand.Rand, p *plan.Plan) string {
	if len(p.Tensors) == 0 {
		return ""
	}
	i := r.IntN(len(p.Tensors))
	name := p.Tensors[i].Name
	p.Tensors = slices.Delete(p.Tensors, i, i+1)
	return name
}

func offByOne(r *rand.Rand, p *plan.Plan) string {
	n := len(p.Attributes) + len(p.Operands) + len(p.Freezes)
	if n == 0 {
		return ""
	}
	switch i := r.IntN(n); {
	case i < len(p.Attributes):
		a := &p.Attributes[i]
		switch {
		case a.Int != nil:
			*a.Int++
		case len(a.Ints) > 0:
			a.Ints[r.IntN(len(a.Ints))]++
		}
		return fmt.Sprintf("attribute %s of %s", a.Name, a.Node)
	case i < len(p.Attributes)+len(p.Operands):
		o := &p.Operands[i-len(p.Attributes)]
		for k := range o.Elements {
			o.Elements[k]++
		}
		if len(o.Whole) > 0 {
			o.Whole[r.IntN(len(o.Whole))]++
		}
		return fmt.Sprintf("input %d of %s", o.Input, o.Node)
	default:
		f := &p.Freezes[i-len(p.Attributes)-len(p.Operands)]
		for k := range f.Elements {
			f.Elements[k]++
		}
		return f.Value
	}
}

func forgottenChange(r *rand.Rand, p *plan.Plan) string {
	n := len(p.Attributes) + len(p.Operands)
	if n == 0 {
		return ""
	}
	if i := r.IntN(n); i < len(p.Attributes) {
		a := p.Attributes[i]
		p.Attributes = slices.Delete(p.Attributes, i, i+1)
		return fmt.Sprintf("attribute %s of %s", a.Name, a.Node)
	} else {
		i -= len(p.Attributes)
		o := p.Operands[i]
		p.Operands = slices.Delete(p.Operands, i, i+1)
		return fmt.Sprintf("input %d of %s", o.Input, o.Node)
	}
}

func otherMask(r *rand.Rand, p *plan.Plan) string {
	for _, i := range r.Perm(len(p.Masks)) {
		m := &p.Masks[i]
		for c := range m.Size {
			if !slices.Contains(m.Removed, c) {
				m.Removed[r.IntN(len(m.Removed))] = c
				slices.Sort(m.Removed)
				return fmt.Sprintf("the mask of input %d of %s", m.Input, m.Node)
			}
		}
	}
	return ""
}
