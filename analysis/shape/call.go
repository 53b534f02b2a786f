package shape

import (
	"fmt"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// call is what a shape rule works on: one node with its inputs known, its outputs to be set.
type call struct {
	*inference
	node  *graph.Node
	depth int // of the node's scope; 0 for the main graph
}

func (c *call) version() int { return c.node.Version }

// in returns what is known of an input; nothing is known of an absent one.
func (c *call) in(i int) *Info { return c.res.Of(c.node.Input(i)) }

func (c *call) has(i int) bool { return c.node.Input(i) != nil }

// show names an input with its shape.
func (c *call) show(i int) string {
	v := c.node.Input(i)
	if v == nil {
		return "an absent input"
	}
	return fmt.Sprintf("%q %v", v.FullName(), c.in(i))
}

// shows names all inputs with their shapes.
func (c *call) shows() string {
	s := ""
	for i, v := range c.node.Inputs {
		if v == nil {
			continue
		}
		if s != "" {
			s += ", "
		}
		if i >= 6 {
			return s + fmt.Sprintf("and %d more", len(c.node.Inputs)-i)
		}
		s += c.show(i)
	}
	return s
}

// out sets an output to a tensor of known rank.
func (c *call) out(i int, elem onnxio.DataType, dims []Dim) {
	if v := c.node.Output(i); v != nil {
		c.res.infos[v.ID] = Info{Kind: onnxio.KindTensor, Elem: elem, Known: true, Dims: dims}
	}
}

// outUnknown sets an output to a tensor of unknown rank.
func (c *call) outUnknown(i int, elem onnxio.DataType) {
	if v := c.node.Output(i); v != nil {
		c.res.infos[v.ID] = Info{Kind: onnxio.KindTensor, Elem: elem}
	}
}

// outRank sets an output to a tensor of which the rank alone is known.
func (c *call) outRank(i int, elem onnxio.DataType, rank int) {
	if c.node.Output(i) == nil {
		return
	}
	ds := c.dims(rank)
	for a := range ds {
		ds[a] = c.freshOut(i, a)
	}
	c.out(i, elem, ds)
}

// outInfo sets an output to what in says.
func (c *call) outInfo(i int, in Info) {
	if v := c.node.Output(i); v != nil {
		c.res.infos[v.ID] = in
	}
}

// outShape sets an output to a tensor with the shape of another value.
func (c *call) outShape(i int, elem onnxio.DataType, like *Info) {
	if like.Known {
		c.out(i, elem, like.Dims)
	} else {
		c.outUnknown(i, elem)
	}
}

// setNums sets the elements of an output. All of them unknown is the same as none.
func (c *call) setNums(i int, nums []Num) {
	v := c.node.Output(i)
	if v == nil || len(nums) > maxNums {
		return
	}
	known := len(nums) == 0
	for _, n := range nums {
		if known = known || n.Known(); known {
			break
		}
	}
	if known {
		c.res.infos[v.ID].Nums = nums
	}
}

// freshOut returns the symbol for an unknown extent of an output.
func (c *call) freshOut(i, axis int) Dim {
	if c.node.Output(i) == nil {
		return Dim{} // nobody asks for it
	}
	return c.fresh(c.node.Outputs[i], axis, c.depth+1)
}

// axis normalises an axis that may count from the end.
func axis(a int64, rank int) (int, error) {
	if a < -int64(rank) || a >= int64(rank) {
		return 0, fmt.Errorf("axis %d is outside the %d axes", a, rank)
	}
	if a < 0 {
		a += int64(rank)
	}
	return int(a), nil
}

// intAxis reads an axis attribute for a value of that rank.
func (c *call) intAxis(name string, def int64, rank int) (int, error) {
	return axis(c.node.Int(name, def), rank)
}

// ints returns a list that is an attribute before opset version since, and an input from it on. given is false where
// the list is absent, known is false where it is there and its elements are not all known.
func (c *call) ints(name string, input, since int) (list []int64, given, known bool) {
	if c.version() < since {
		list, given = c.node.Ints(name)
		return list, given, true
	}
	if !c.has(input) {
		return nil, false, true
	}
	list, known = c.in(input).Ints()
	return list, true, known
}

// need reports an error when an input is absent.
func (c *call) need(inputs ...int) error {
	for _, i := range inputs {
		if !c.has(i) {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	return nil
}

// wantRank reports an error when an input is known to have another number of axes.
func (c *call) wantRank(input, rank int) error {
	if in := c.in(input); in.Known && len(in.Dims) != rank {
		return fmt.Errorf("input %s must have %d axes", c.show(input), rank)
	}
	return nil
}

// differ reports whether two extents can not be the same.
func differ(a, b Dim) bool {
	d := a.Sub(b)
	return d.constant() && d.n != 0
}

// agree returns the extent that two extents which must be the same have: the fixed one, if any.
func agree(a, b Dim) Dim {
	if !a.constant() && (b.constant() || a.bornInside(0) && !b.bornInside(0)) {
		return b
	}
	return a
}

// broadcast returns the common shape of two by ONNX's multidirectional broadcasting.
func (c *call) broadcast(a, b []Dim) ([]Dim, bool) {
	if len(a) < len(b) {
		a, b = b, a
	}
	same := true
	lead := len(a) - len(b)
	for i, d := range b {
		if e := a[lead+i]; !(d.is(1) || e.n == d.n && e.Equal(d)) {
			same = false
			break
		}
	}
	if same {
		return a, true
	}
	out := c.dims(len(a))
	copy(out, a[:lead])
	for i, d := range b {
		e, ok := broadcastDim(a[lead+i], d)
		if !ok {
			return nil, false
		}
		out[lead+i] = e
	}
	return out, true
}

func broadcastDim(a, b Dim) (Dim, bool) {
	switch {
	case a.is(1), a.Equal(b):
		return b, true
	case b.is(1):
		return a, true
	case a.constant() && b.constant():
		return Dim{}, false
	case a.constant():
		return a, true
	case b.constant():
		return b, true
	}
	return a.Max(b), true // the same number, or one of them is 1
}

// broadcastInputs returns the common shape of inputs from, from+1, ... to-1.
func (c *call) broadcastInputs(from, to int) (Info, error) {
	out := Info{Kind: onnxio.KindTensor, Known: true}
	for i := from; i < to; i++ {
		if !c.has(i) {
			continue
		}
		in := c.in(i)
		if !in.Known {
			return Info{Kind: onnxio.KindTensor}, nil
		}
		if i == from {
			out.Dims = in.Dims
			continue
		}
		ds, ok := c.broadcast(out.Dims, in.Dims)
		if !ok {
			return out, fmt.Errorf("the shapes of %s can not be broadcast together", c.shows())
		}
		out.Dims = ds
	}
	return out, nil
}
