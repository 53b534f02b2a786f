package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Sequences and optionals. Of a sequence the element is known as far as all elements agree.

var sequences = &family{"", []entry{
	{"SequenceConstruct", 11, sequenceConstruct}, {"SequenceEmpty", 11, sequenceEmpty}, {"SequenceInsert", 11, sequenceInsert},
	{"SequenceErase", 11, sequenceErase}, {"SequenceAt", 11, sequenceAt}, {"SequenceLength", 11, sequenceLength},
	{"SplitToSequence", 11, splitToSequence}, {"ConcatFromSequence", 11, concatFromSequence},
	{"Optional", 15, optional}, {"OptionalHasElement", 15, optionalHasElement}, {"OptionalGetElement", 15, optionalGetElement},
}}

func sequenceConstruct(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	of := *c.in(0)
	of.Nums = nil
	for i := 1; i < len(c.node.Inputs); i++ {
		of = *c.mergeElement(&of, c.in(i))
	}
	return c.outSequence(&of)
}

func (c *call) outSequence(of *Info) error {
	c.outInfo(0, Info{Kind: onnxio.KindSequence, Of: of})
	return nil
}

// mergeElement joins what is known of two elements of a sequence that comes out of this node.
func (c *call) mergeElement(a, b *Info) *Info {
	v := c.node.Output(0)
	if v == nil {
		return &Info{}
	}
	out := c.merge(a, b, v, c.depth+1)
	out.Nums = nil
	return out
}

func sequenceEmpty(c *call) error {
	elem := onnxio.DataType(c.node.Int("dtype", int64(onnxio.Float)))
	return c.outSequence(&Info{Kind: onnxio.KindTensor, Elem: elem, empty: true})
}

func (c *call) element(i int) *Info {
	if of := c.in(i).Of; of != nil {
		return of
	}
	return &Info{}
}

func sequenceInsert(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	return c.outSequence(c.mergeElement(c.element(0), c.in(1)))
}

func sequenceErase(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	c.outInfo(0, *c.in(0))
	return nil
}

// sequenceAt: extents that are symbols of the sequence stand for another number in every element.
func sequenceAt(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	c.outInfo(0, c.anyElement(0))
	return nil
}

func (c *call) anyElement(i int) Info {
	in := *c.element(i)
	if in.Known && c.node.Output(0) != nil {
		in.Dims = cloneDims(in.Dims)
		for a, d := range in.Dims {
			if d.bornInside(0) {
				in.Dims[a] = c.freshOut(0, a)
			}
		}
	}
	return in
}

func sequenceLength(c *call) error {
	c.out(0, onnxio.Int64, nil)
	return nil
}

// splitToSequence: parts of the extents that input 1 lists, or of that one extent, or of 1, when keepdims can take the axis away.
func splitToSequence(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	of := &Info{Kind: onnxio.KindTensor, Elem: in.Elem}
	if !in.Known || c.node.Output(0) == nil {
		return c.outSequence(of)
	}
	a, err := c.intAxis("axis", 0, len(in.Dims))
	if err != nil {
		return err
	}
	of.Known, of.Dims = true, cloneDims(in.Dims)
	if !c.has(1) {
		if of.Dims[a] = Const(1); c.node.Int("keepdims", 1) == 0 {
			of.Dims = append(of.Dims[:a], of.Dims[a+1:]...)
		}
		return c.outSequence(of)
	}
	of.Dims[a] = c.freshOut(0, a)
	if sizes, ok := c.in(1).Ints(); ok && len(sizes) > 0 {
		equal := true
		for _, n := range sizes {
			equal = equal && n == sizes[0]
		}
		whole, fixed := in.Dims[a].Const()
		if equal && (c.in(1).Rank() == 1 || fixed && sizes[0] > 0 && whole%sizes[0] == 0) {
			of.Dims[a] = Const(sizes[0])
		}
	}
	return c.outSequence(of)
}

func concatFromSequence(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	of := c.anyElement(0)
	stacked := c.node.Int("new_axis", 0) != 0
	if !of.Known || c.node.Output(0) == nil {
		c.outUnknown(0, of.Elem)
		return nil
	}
	rank := len(of.Dims)
	if stacked {
		rank++
	}
	a, err := c.intAxis("axis", 0, rank)
	if err != nil {
		return err
	}
	if stacked {
		dims := append(cloneDims(of.Dims[:a]), c.freshOut(0, a))
		of.Dims = append(dims, of.Dims[a:]...)
	} else {
		of.Dims = cloneDims(of.Dims)
		of.Dims[a] = c.freshOut(0, a)
	}
	for i := a + 1; stacked && i < rank; i++ { // names of symbols follow the axes of the output
		if of.Dims[i].bornInside(0) {
			of.Dims[i] = c.freshOut(0, i)
		}
	}
	c.out(0, of.Elem, of.Dims)
	return nil
}

func optional(c *call) error {
	out := Info{Kind: onnxio.KindOptional}
	if c.has(0) {
		of := *c.in(0)
		out.Of = &of
	} else if a := c.node.Attr("type"); a != nil && a.TP != nil && c.node.Output(0) != nil {
		out.Of = c.declared(c.node.Outputs[0], a.TP, c.depth+1)
	}
	c.outInfo(0, out)
	return nil
}

func optionalHasElement(c *call) error {
	c.out(0, onnxio.Bool, nil)
	if !c.has(0) {
		c.setNums(0, []Num{boolNum(false)})
	} else if k := c.in(0).Kind; k == onnxio.KindTensor || k == onnxio.KindSequence {
		c.setNums(0, []Num{boolNum(true)})
	}
	return nil
}

func optionalGetElement(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	switch {
	case in.Kind != onnxio.KindOptional:
		c.outInfo(0, *in)
	case in.Of == nil:
		return fmt.Errorf("nothing is known of the element of %s", c.show(0))
	default:
		c.outInfo(0, *in.Of)
	}
	return nil
}
