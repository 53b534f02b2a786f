package ops

import (
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Mend is one node while its rule says what a cut changes in it.
type Mend struct {
	*State
	Node *graph.Node
	// Kept returns the indices of an axis that stay, nil when all do.
	Kept func(a atoms.Axis) []int
	// After returns what the i-th input would hold after the cut if nobody mended it.
	After func(i int) *shape.Info

	Operands   []Operand
	Attributes []*onnxio.Attribute
	Dropped    []string // attributes that go
	Replaced   *Replacement

	settled map[[2]int]bool // elements of operands that the rule looked after: input, element
}

// Operand is what an input must hold after the cut: all elements, or some of them.
type Operand struct {
	Input    int
	Elements map[int]int64 // set: only these change
	Whole    []int64       // else: the whole content …
	Scalar   bool          // … of rank 0 instead of 1
}

// Replacement puts another node in the place of this one.
type Replacement struct {
	Op      string
	Data    *graph.Value // first input
	Indices []int64      // second input, a constant
	Axis    int
}

// Axes returns the labels of the i-th input as this node read it.
func (m *Mend) Axes(i int) []atoms.Axis { return m.Reads[graph.Use{Node: m.Node, Input: i}] }

// OutAxes returns the labels of the i-th output.
func (m *Mend) OutAxes(i int) []atoms.Axis {
	if v := m.Node.Output(i); v != nil {
		return m.Labels[v.ID]
	}
	return nil
}

// Size returns how long an axis of a value is after the cut; ok is false when that is not a known number. changed says
// whether the cut made it shorter.
func (m *Mend) Size(info *shape.Info, axes []atoms.Axis, axis int) (n int64, changed, ok bool) {
	n, ok = info.Fixed(axis)
	if axis < len(axes) && !axes[axis].Fixed() {
		if k := m.Kept(axes[axis]); k != nil {
			return int64(len(k)), true, true
		}
	}
	return n, false, ok
}

// In returns Size of an axis of the i-th input.
func (m *Mend) In(i, axis int) (n int64, changed, ok bool) {
	return m.Size(m.Shapes.Of(m.Node.Input(i)), m.Axes(i), axis)
}

// Out returns Size of an axis of the i-th output.
func (m *Mend) Out(i, axis int) (n int64, changed, ok bool) {
	return m.Size(m.Shapes.Of(m.Node.Output(i)), m.OutAxes(i), axis)
}

// Settle notes that an element of an operand holds after the cut what it must.
func (m *Mend) Settle(input, element int) {
	if m.settled == nil {
		m.settled = map[[2]int]bool{}
	}
	m.settled[[2]int{input, element}] = true
}

// Hold keeps an element of an operand at what it was, unless the rule said what it must be: a bound or a repeat of an axis that is not cut
// may be computed from the width of one that is.
func (m *Mend) Hold(input, element int, was int64) {
	for _, o := range m.Operands {
		if o.Input == input && o.Whole != nil {
			return
		}
	}
	if !m.settled[[2]int{input, element}] {
		m.Put(input, element, was)
	}
}

// Put demands one element of an operand.
func (m *Mend) Put(input, element int, v int64) {
	m.Settle(input, element)
	for _, o := range m.Operands {
		if o.Input == input && o.Elements != nil {
			o.Elements[element] = v
			return
		}
	}
	m.Operands = append(m.Operands, Operand{Input: input, Elements: map[int]int64{element: v}})
}

// SetAll demands the whole content of an operand.
func (m *Mend) SetAll(input int, vs []int64) {
	m.Operands = append(m.Operands, Operand{Input: input, Whole: vs})
}

// SetScalar demands the content of an operand that is a scalar.
func (m *Mend) SetScalar(input int, v int64) {
	m.Operands = append(m.Operands, Operand{Input: input, Whole: []int64{v}, Scalar: true})
}

// Attr demands an attribute.
func (m *Mend) Attr(a *onnxio.Attribute) { m.Attributes = append(m.Attributes, a) }

// Drop demands that an attribute goes.
func (m *Mend) Drop(attr string) {
	if m.Node.Attr(attr) != nil {
		m.Dropped = append(m.Dropped, attr)
	}
}

// Element returns one element of an operand after the cut, when it is a known number.
func (m *Mend) Element(input, k int) (int64, bool) {
	info := m.After(input)
	if info == nil || k >= len(info.Nums) {
		return 0, false
	}
	d, ok := info.Nums[k].Int()
	if !ok {
		return 0, false
	}
	return d.Const()
}

// Demand sets one element of an operand unless it will hold the value by itself.
func (m *Mend) Demand(input, k int, v int64) {
	m.Settle(input, k)
	if got, ok := m.Element(input, k); !ok || got != v {
		m.Put(input, k, v)
	}
}
