package allocation

import (
	"fmt"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Meter counts what a model costs while channels are taken out of it and put back.
type Meter struct {
	items  []item
	fixed  float64 // what no cut changes
	size   []int   // by axis
	left   []int
	in     map[atoms.ID][]share // by class
	using  [][]int              // by axis: the items that it scales
	number map[*atoms.Array]int
}

// item is a cost in proportion to what is left of some axes: the MACs of a layer, the elements of a tensor.
type item struct {
	cost float64
	axes []int
}

// share is how many indices of an axis a class holds.
type share struct{ axis, n int }

// Unit is what a budget is counted in.
type Unit string

// The units.
const (
	MACs   Unit = "macs"
	Params Unit = "params"
	Bytes  Unit = "bytes" // of all constants
)

// NewMeter counts a model in a unit. shapes are those at which MACs are counted.
func NewMeter(a *channels.Analysis, shapes *shape.Result, unit Unit) (*Meter, error) {
	m := &Meter{in: map[atoms.ID][]share{}, number: map[*atoms.Array]int{}}
	report := cost.Of(a.Graph, shapes)
	total := 0.0
	switch unit {
	case MACs:
		total = float64(report.MACs())
		for _, l := range report.Layers {
			if !l.InBody {
				m.add(a, float64(l.MACs), weightAxes(a, l.Node))
			}
		}
	case Params, Bytes:
		total = float64(report.Params)
		if unit == Bytes {
			total = float64(report.WeightBytes)
		}
		m.tensors(a, unit)
	default:
		return nil, fmt.Errorf("costs can not be counted in %q", unit)
	}
	m.fixed = total
	for _, it := range m.items {
		m.fixed -= it.cost
	}
	return m, nil
}

// weightAxes returns the axes of a layer's weight.
func weightAxes(a *channels.Analysis, n *graph.Node) []atoms.Axis {
	for i, v := range n.Inputs {
		if v != nil && cost.HoldsWeight(n.Domain, n.Op, i) && a.State.IsStatic(v) {
			return a.State.Reads[graph.Use{Node: n, Input: i}]
		}
	}
	return nil
}

// tensors adds every constant of which something can go.
func (m *Meter) tensors(a *channels.Analysis, unit Unit) {
	type key struct {
		v *graph.Value
		u graph.Use
	}
	axes := map[key][]atoms.Axis{}
	var order []key
	for _, arr := range a.State.Set.Arrays() {
		if o := arr.Owner; o != nil {
			k := key{o.Value, o.Use}
			if axes[k] == nil {
				order = append(order, k)
			}
			axes[k] = append(axes[k], atoms.Axis{Array: arr})
		}
	}
	for _, k := range order {
		t := k.v.Tensor
		switch {
		case unit == Bytes:
			m.add(a, float64(t.Size()), axes[k])
		case t.DataType != onnxio.Int64 && t.DataType != onnxio.Bool:
			m.add(a, float64(t.Len()), axes[k])
		}
	}
}

func (m *Meter) add(a *channels.Analysis, cost float64, axes []atoms.Axis) {
	it := item{cost: cost}
	for _, ax := range axes {
		if ax.Fixed() {
			continue
		}
		k, ok := m.number[ax.Array]
		if !ok {
			k = len(m.size)
			m.number[ax.Array] = k
			m.size, m.left, m.using = append(m.size, len(ax.IDs)), append(m.left, len(ax.IDs)), append(m.using, nil)
			for _, id := range ax.IDs {
				c := a.State.Set.Find(id)
				if l := m.in[c]; len(l) > 0 && l[len(l)-1].axis == k {
					l[len(l)-1].n++
				} else {
					m.in[c] = append(l, share{k, 1})
				}
			}
		}
		if slices.Contains(it.axes, k) {
			continue
		}
		it.axes = append(it.axes, k)
		m.using[k] = append(m.using[k], len(m.items))
	}
	m.items = append(m.items, it)
}

func (m *Meter) value(it *item) float64 {
	v := it.cost
	for _, k := range it.axes {
		v *= float64(m.left[k]) / float64(m.size[k])
	}
	return v
}

// Total is the cost of what is left.
func (m *Meter) Total() float64 {
	sum := m.fixed
	for i := range m.items {
		sum += m.value(&m.items[i])
	}
	return sum
}

// Move takes classes out, or puts them back, and returns by how much the cost falls.
func (m *Meter) Move(classes []atoms.ID, back bool) float64 {
	var touched []int
	seen := map[int]bool{}
	for _, c := range classes {
		for _, s := range m.in[c] {
			for _, i := range m.using[s.axis] {
				if !seen[i] {
					seen[i] = true
					touched = append(touched, i)
				}
			}
		}
	}
	sum := func() (v float64) {
		for _, i := range touched {
			v += m.value(&m.items[i])
		}
		return v
	}
	before := sum()
	for _, c := range classes {
		for _, s := range m.in[c] {
			if back {
				m.left[s.axis] += s.n
			} else {
				m.left[s.axis] -= s.n
			}
		}
	}
	return before - sum()
}

// Saving is what Move would return, without moving anything.
func (m *Meter) Saving(classes []atoms.ID, back bool) float64 {
	saved := m.Move(classes, back)
	m.Move(classes, !back)
	return saved
}
