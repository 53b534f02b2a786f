package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Operators that read the shape, or write it anew and leave the elements in their order.

var shaping = &family{"", []entry{
	{"Shape", 1, shapeOf}, {"Size", 1, sizeOf}, {"Reshape", 1, reshape}, {"Flatten", 1, flatten},
}}

func shapeOf(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outRank(0, onnxio.Int64, 1)
		return nil
	}
	rank := int64(len(in.Dims))
	clamp := func(a int64) int64 {
		if a < 0 {
			a += rank
		}
		return min(max(a, 0), rank)
	}
	start, end := clamp(c.node.Int("start", 0)), clamp(c.node.Int("end", rank))
	nums := make([]Num, max(0, end-start))
	for i := range nums {
		nums[i] = IntNum(in.Dims[int(start)+i])
	}
	c.out(0, onnxio.Int64, []Dim{Const(int64(len(nums)))})
	c.setNums(0, nums)
	return nil
}

func sizeOf(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	c.out(0, onnxio.Int64, nil)
	if n, ok := c.in(0).Len(); ok {
		c.setNums(0, []Num{IntNum(n)})
	}
	return nil
}

func reshape(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if c.version() < 5 {
		target, ok := c.node.Ints("shape")
		if !ok {
			return fmt.Errorf("attribute shape is missing")
		}
		nums := make([]Num, len(target))
		for i, n := range target {
			nums[i] = IntNum(Const(n))
		}
		return c.reshapeTo(in, nums)
	}
	if err := c.need(1); err != nil {
		return err
	}
	target := c.in(1)
	if err := c.wantRank(1, 1); err != nil {
		return err
	}
	if target.Nums == nil {
		n, ok := target.Fixed(0)
		if !ok || n > 64 {
			c.outUnknown(0, in.Elem)
			return nil
		}
		if n == 1 && in.Known { // whatever the target, one axis holds all
			if total, ok := in.Len(); ok {
				c.out(0, in.Elem, []Dim{total})
				c.setNums(0, in.Nums)
				return nil
			}
		}
		return c.reshapeTo(in, make([]Num, n))
	}
	return c.reshapeTo(in, target.Nums)
}

func (c *call) reshapeTo(in *Info, target []Num) error {
	out := c.dims(len(target))
	free, open := -1, false
	known := Const(1)
	zeroKeeps := c.node.Int("allowzero", 0) == 0
	for i, n := range target {
		d, ok := n.Int()
		switch {
		case !ok:
			open = true
			out[i] = c.freshOut(0, i)
			continue
		case d.is(-1):
			if free >= 0 {
				return fmt.Errorf("the shape %v has more than one -1", target)
			}
			free = i
			continue
		case d.is(0) && zeroKeeps:
			if !in.Known {
				open = true
				d = c.freshOut(0, i)
			} else if i >= len(in.Dims) {
				return fmt.Errorf("the shape %v keeps axis %d, which the input %s does not have", target, i, c.show(0))
			} else {
				d = in.Dims[i]
			}
		case d.constant() && d.n < 0:
			return fmt.Errorf("the shape %v holds a negative extent", target)
		}
		out[i] = d
		known = known.Mul(d)
	}
	total, haveTotal := in.Len()
	switch {
	case free >= 0 && (open || !haveTotal):
		out[free] = c.freshOut(0, free)
	case free >= 0:
		d, err := c.remaining(total, known, target)
		if err != nil {
			return err
		}
		out[free] = d
	case open && haveTotal:
		c.solveOpen(out, target, total, known)
	case !open && haveTotal && differ(total, known):
		return fmt.Errorf("the input %s has %v elements, which do not fit the shape %v", c.show(0), total, target)
	}
	c.out(0, in.Elem, out)
	c.setNums(0, in.Nums)
	return nil
}

// solveOpen finds the one extent of a target that is not known from the number of elements.
func (c *call) solveOpen(out []Dim, target []Num, total, known Dim) {
	at, count := 0, 0
	for i, n := range target {
		if _, ok := n.Int(); !ok {
			at = i
			count++
		}
	}
	if count != 1 || known.is(0) {
		return
	}
	if q, ok := total.DivExact(known); ok {
		out[at] = q
	}
}

// remaining is what -1 stands for.
func (c *call) remaining(total, known Dim, target []Num) (Dim, error) {
	if known.is(0) {
		return Const(0), nil
	}
	if q, ok := total.DivExact(known); ok {
		return q, nil
	}
	if total.constant() && known.constant() {
		return Dim{}, fmt.Errorf("the input %s has %v elements, which can not be divided into the shape %v", c.show(0), total, target)
	}
	return total.FloorDiv(known), nil
}

func flatten(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outRank(0, in.Elem, 2)
		return nil
	}
	a, err := axis(c.node.Int("axis", 1), len(in.Dims)+1)
	if at := c.node.Int("axis", 1); at < 0 { // counted from the end of the input's axes, not of those of the slot behind
		a, err = axis(at, len(in.Dims))
	}
	if err != nil {
		return err
	}
	out := []Dim{Const(1), Const(1)}
	for i, d := range in.Dims {
		k := 0
		if i >= a {
			k = 1
		}
		out[k] = out[k].Mul(d)
	}
	c.out(0, in.Elem, out)
	c.setNums(0, in.Nums)
	return nil
}

// dimsOf turns the elements of a shape tensor into extents; those that are not known become symbols of output 0.
func (c *call) dimsOf(nums []Num) ([]Dim, error) {
	out := c.dims(len(nums))
	for i, n := range nums {
		d, ok := n.Int()
		if !ok {
			d = c.freshOut(0, i)
		}
		if d.constant() && d.n < 0 {
			return nil, fmt.Errorf("the shape %v holds a negative extent", nums)
		}
		out[i] = d
	}
	return out, nil
}

// shapeFromInput sets output 0 to a tensor whose shape is the content of an input.
func (c *call) shapeFromInput(i int, elem onnxio.DataType) error {
	if err := c.wantRank(i, 1); err != nil {
		return err
	}
	in := c.in(i)
	if in.Nums == nil {
		if n, ok := in.Fixed(0); ok && n <= 64 {
			c.outRank(0, elem, int(n))
		} else {
			c.outUnknown(0, elem)
		}
		return nil
	}
	ds, err := c.dimsOf(in.Nums)
	if err != nil {
		return err
	}
	c.out(0, elem, ds)
	return nil
}
