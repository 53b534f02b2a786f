package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Operators that join tensors along an axis, and part them again: Concat and Split.

var joining = &family{"", []entry{
	{"Concat", 1, concat}, {"Split", 1, split},
}}

func concat(c *call) error {
	if len(c.node.Inputs) == 0 {
		return fmt.Errorf("it has no inputs")
	}
	inputs := make([]*Info, 0, len(c.node.Inputs))
	for i := range c.node.Inputs {
		if err := c.need(i); err != nil {
			return err
		}
		inputs = append(inputs, c.in(i))
	}
	def := int64(0)
	if c.version() < 4 {
		def = 1
	} else if c.node.Attr("axis") == nil && c.node.Domain == "" {
		return fmt.Errorf("attribute axis is missing")
	}
	return c.concat(inputs, c.node.Int("axis", def), func(i int) string { return c.show(i) })
}

// concat joins inputs along an axis.
func (c *call) concat(inputs []*Info, at int64, show func(i int) string) error {
	elem, first := inputs[0].Elem, -1
	all := true
	for i, in := range inputs {
		if in.Elem != onnxio.Undefined {
			elem = in.Elem
		}
		all = all && in.Known
		if in.Known && first < 0 {
			first = i
		}
	}
	if first < 0 {
		c.outUnknown(0, elem)
		return nil
	}
	rank := len(inputs[first].Dims)
	a, err := axis(at, rank)
	if err != nil {
		return fmt.Errorf("%w of the input %s; it joins %s", err, show(first), c.shows())
	}
	out := c.dims(rank)
	copy(out, inputs[first].Dims)
	if !all {
		out[a] = c.freshOut(0, a)
	}
	for i, in := range inputs {
		if !in.Known || i == first {
			continue
		}
		if len(in.Dims) != rank {
			return fmt.Errorf("the inputs %s and %s have different numbers of axes", show(first), show(i))
		}
		for k, d := range in.Dims {
			switch {
			case k == a:
				if all {
					out[k] = out[k].Add(d)
				}
			case differ(out[k], d):
				return fmt.Errorf("the inputs %s and %s differ on axis %d; they may differ only on axis %d, on which they are joined",
					show(first), show(i), k, a)
			default:
				out[k] = agree(out[k], d)
			}
		}
	}
	c.out(0, elem, out)
	if all {
		c.concatNums(inputs, a)
	}
	return nil
}

func (c *call) concatNums(inputs []*Info, a int) {
	total, any := 0, false
	shapes := make([][]int, len(inputs))
	for i, in := range inputs {
		shape, ok := in.fixedShape()
		if !ok || in.Nums != nil && len(in.Nums) != size(shape) {
			return
		}
		shapes[i] = shape
		total += size(shape)
		any = any || in.Nums != nil
	}
	if !any || total > maxNums {
		return
	}
	nums := make([]Num, 0, total)
	outer := 1
	for _, d := range shapes[0][:a] {
		outer *= d
	}
	for o := range outer {
		for i, in := range inputs {
			block := size(shapes[i][a:])
			if in.Nums == nil {
				nums = append(nums, make([]Num, block)...)
			} else {
				nums = append(nums, in.Nums[o*block:(o+1)*block]...)
			}
		}
	}
	c.setNums(0, nums)
}

func split(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	outputs := len(c.node.Outputs)
	if !in.Known {
		for i := range outputs {
			c.outUnknown(i, in.Elem)
		}
		return nil
	}
	a, err := c.intAxis("axis", 0, len(in.Dims))
	if err != nil {
		return err
	}
	sizes, err := c.splitSizes(in.Dims[a], outputs)
	if err != nil {
		return err
	}
	offset := Const(0)
	for i := range outputs {
		if c.node.Outputs[i] != nil {
			ds := c.dims(len(in.Dims))
			copy(ds, in.Dims)
			if sizes == nil {
				ds[a] = c.freshOut(i, a)
			} else {
				ds[a] = sizes[i]
			}
			c.out(i, in.Elem, ds)
			if start, ok := offset.Const(); ok && sizes != nil {
				c.partNums(in, i, a, int(start))
			}
		}
		if sizes != nil {
			offset = offset.Add(sizes[i])
		}
	}
	return nil
}

// partNums sets the elements of an output that is a run of the input along an axis.
func (c *call) partNums(in *Info, output, a, start int) {
	shape, ok := in.fixedShape()
	to, fits := c.res.Of(c.node.Outputs[output]).fixedShape()
	if in.Nums == nil || !ok || !fits || start+to[a] > shape[a] {
		return
	}
	strides := stridesOf(shape)
	nums := make([]Num, size(to))
	walk(to, strides, func(i, at int) { nums[i] = in.Nums[at+start*strides[a]] })
	c.setNums(output, nums)
}

// splitSizes returns the extents of the parts; nil where they are not known.
func (c *call) splitSizes(whole Dim, outputs int) ([]Dim, error) {
	since := 13
	if c.version() == 1 {
		since = 0 // opset 1 takes the sizes from an input, or else from the attribute
		if !c.has(1) {
			since = 13
		}
	}
	if c.version() >= since && c.has(1) {
		nums := c.in(1).Nums
		if nums == nil {
			return nil, nil
		}
		return c.givenSizes(whole, outputs, nums)
	}
	if list, ok := c.node.Ints("split"); ok && c.version() < 13 {
		nums := make([]Num, len(list))
		for i, n := range list {
			nums[i] = IntNum(Const(n))
		}
		return c.givenSizes(whole, outputs, nums)
	}
	if outputs == 0 {
		return nil, nil
	}
	sizes := make([]Dim, outputs)
	n := int64(outputs)
	if c.version() < 18 {
		part, ok := whole.DivExact(Const(n))
		if !ok && whole.constant() {
			return nil, fmt.Errorf("the axis of %s with %v entries can not be divided into %d equal parts", c.show(0), whole, n)
		} else if !ok {
			part = whole.FloorDiv(Const(n))
		}
		for i := range sizes {
			sizes[i] = part
		}
		return sizes, nil
	}
	if want := c.node.Int("num_outputs", n); want != n {
		return nil, fmt.Errorf("num_outputs is %d, but there are %d outputs", want, n)
	}
	part, left := whole.CeilDiv(Const(n)), whole // the last part is the smaller one
	for i := range sizes {
		sizes[i] = part
		if whole.constant() {
			sizes[i] = part.Min(left.Max(Const(0)))
			left = left.Sub(part)
		}
	}
	if !whole.constant() {
		sizes[outputs-1] = whole.Sub(part.Mul(Const(n - 1)))
	}
	return sizes, nil
}

func (c *call) givenSizes(whole Dim, outputs int, nums []Num) ([]Dim, error) {
	if len(nums) != outputs {
		return nil, fmt.Errorf("it splits into %d parts, but has %d outputs", len(nums), outputs)
	}
	sum, open := Const(0), -1
	sizes := make([]Dim, outputs)
	for i, n := range nums {
		d, ok := n.Int()
		if !ok {
			if open >= 0 {
				return nil, nil
			}
			open = i
			continue
		}
		sizes[i] = d
		sum = sum.Add(d)
	}
	if open >= 0 {
		sizes[open] = whole.Sub(sum)
	} else if differ(sum, whole) {
		return nil, fmt.Errorf("the parts %v make %v, but the axis of %s has %v entries", nums, sum, c.show(0), whole)
	}
	return sizes, nil
}
