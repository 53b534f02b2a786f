package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Operators that pick or place elements by index.

var indexing = &family{"", []entry{
	{"Gather", 1, gather}, {"GatherElements", 11, gatherElements}, {"GatherND", 11, gatherND},
	{"Scatter", 9, scatterElements}, {"ScatterElements", 11, scatterElements}, {"ScatterND", 11, scatterND}, {"TensorScatter", 24, same},
	{"NonZero", 9, nonZero}, {"Compress", 9, compress}, {"Unique", 11, unique}, {"TopK", 1, topK},
	{"OneHot", 9, oneHot}, {"ReverseSequence", 10, same}, {"Trilu", 14, same}, {"NonMaxSuppression", 10, nonMaxSuppression},
}}

var indexingMicrosoft = &family{"com.microsoft", []entry{{"GatherND", 1, gatherND}, {"Trilu", 1, same}}}

func gather(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	data, index := c.in(0), c.in(1)
	if !data.Known || !index.Known {
		c.outUnknown(0, data.Elem)
		return nil
	}
	if len(data.Dims) == 0 {
		return fmt.Errorf("%s is a scalar: nothing can be gathered from it", c.show(0))
	}
	a, err := c.intAxis("axis", 0, len(data.Dims))
	if err != nil {
		return err
	}
	out := c.dims(len(data.Dims) - 1 + len(index.Dims))
	copy(out, data.Dims[:a])
	copy(out[a:], index.Dims)
	copy(out[a+len(index.Dims):], data.Dims[a+1:])
	c.out(0, data.Elem, out)
	extent, fixed := data.Dims[a].Const()
	if index.Nums == nil || !fixed {
		return nil
	}
	for _, n := range index.Nums {
		if k, ok := n.fixedInt(); ok && (k < -extent || k >= extent) {
			return fmt.Errorf("index %d is outside axis %d of %s", k, a, c.show(0))
		}
	}
	shape, ok := data.fixedShape()
	if !ok || data.Nums == nil || len(data.Nums) != size(shape) {
		return nil
	}
	outer, inner := size(shape[:a]), size(shape[a+1:])
	if outer*inner*len(index.Nums) > maxNums {
		return nil
	}
	nums := make([]Num, 0, outer*inner*len(index.Nums))
	for o := range outer {
		for _, n := range index.Nums {
			k, ok := n.fixedInt()
			if !ok {
				nums = append(nums, make([]Num, inner)...)
				continue
			}
			if k < 0 {
				k += extent
			}
			at := (o*int(extent) + int(k)) * inner
			nums = append(nums, data.Nums[at:at+inner]...)
		}
	}
	c.setNums(0, nums)
	return nil
}

func gatherElements(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	data, index := c.in(0), c.in(1)
	if data.Known && index.Known {
		if len(data.Dims) != len(index.Dims) {
			return fmt.Errorf("%s and the indices %s must have the same number of axes", c.show(0), c.show(1))
		}
		if _, err := c.intAxis("axis", 0, len(data.Dims)); err != nil {
			return err
		}
	}
	c.outShape(0, data.Elem, index)
	return nil
}

func gatherND(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	data, index := c.in(0), c.in(1)
	if !data.Known || !index.Known || len(index.Dims) == 0 {
		c.outUnknown(0, data.Elem)
		return nil
	}
	batch := int(c.node.Int("batch_dims", 0))
	depth, ok := index.Dims[len(index.Dims)-1].Const()
	if !ok {
		c.outUnknown(0, data.Elem)
		return nil
	}
	if batch < 0 || depth < 1 || int64(batch)+depth > int64(len(data.Dims)) || batch >= len(index.Dims) {
		return fmt.Errorf("the indices %s do not fit %s", c.show(1), c.show(0))
	}
	out := append(cloneDims(index.Dims[:len(index.Dims)-1]), data.Dims[batch+int(depth):]...)
	c.out(0, data.Elem, out)
	return nil
}

func scatterElements(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	data := c.in(0)
	c.outShape(0, data.Elem, data)
	a, err := 0, error(nil)
	if data.Known {
		if a, err = c.intAxis("axis", 0, len(data.Dims)); err != nil {
			return err
		}
	}
	index, ok := c.in(1).Ints()
	if !ok || data.Nums == nil || c.in(2).Nums == nil || !data.Known || len(data.Dims) != 1 || a != 0 || c.node.Text("reduction", "none") != "none" {
		return nil
	}
	return c.place(index)
}

// place puts the elements of input 2 at indices of the vector in input 0.
func (c *call) place(index []int64) error {
	data, updates := c.in(0), c.in(2).Nums
	if len(index) != len(updates) {
		return nil
	}
	nums := append([]Num(nil), data.Nums...)
	for i, k := range index {
		if k < 0 {
			k += int64(len(nums))
		}
		if k < 0 || k >= int64(len(nums)) {
			return fmt.Errorf("index %d is outside %s", index[i], c.show(0))
		}
		nums[k] = updates[i]
	}
	c.setNums(0, nums)
	return nil
}

func scatterND(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	data, at := c.in(0), c.in(1)
	c.outShape(0, data.Elem, data)
	index, ok := at.Ints()
	if depth, fixed := at.Fixed(at.Rank() - 1); !ok || !fixed || depth != 1 || data.Nums == nil || c.in(2).Nums == nil || data.Rank() != 1 ||
		c.node.Text("reduction", "none") != "none" {
		return nil
	}
	return c.place(index)
}

// nonZero: [rank, count], and the indices themselves where all elements are known.
func nonZero(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	out := c.dims(2)
	if c.node.Output(0) == nil {
		return nil
	}
	out[0], out[1] = c.freshOut(0, 0), c.freshOut(0, 1)
	if in.Known {
		out[0] = Const(int64(len(in.Dims)))
	}
	c.out(0, onnxio.Int64, out)
	shape, ok := in.fixedShape()
	if !ok || in.Nums == nil || len(in.Nums) != size(shape) || len(shape) == 0 {
		return nil
	}
	var hits []int
	for i, n := range in.Nums {
		s, ok := compareNums(n, IntNum(Const(0)))
		if !ok {
			return nil
		}
		if s != 0 {
			hits = append(hits, i)
		}
	}
	out = []Dim{out[0], Const(int64(len(hits)))}
	c.out(0, onnxio.Int64, out)
	nums := make([]Num, 0, len(shape)*len(hits))
	for a, stride := range stridesOf(shape) {
		for _, h := range hits {
			nums = append(nums, IntNum(Const(int64(h/stride%shape[a]))))
		}
	}
	c.setNums(0, nums)
	return nil
}

func compress(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	in := c.in(0)
	if c.node.Attr("axis") == nil {
		c.outRank(0, in.Elem, 1)
		c.countTrue(0)
		return nil
	}
	if !in.Known {
		c.outUnknown(0, in.Elem)
		return nil
	}
	a, err := c.intAxis("axis", 0, len(in.Dims))
	if err != nil {
		return err
	}
	out := cloneDims(in.Dims)
	out[a] = c.freshOut(0, a)
	c.out(0, in.Elem, out)
	c.countTrue(a)
	return nil
}

// countTrue sets the extent of an output axis to the number of true elements of input 1, where that is known.
func (c *call) countTrue(a int) {
	keep, ok := c.in(1).Ints()
	if !ok || c.node.Output(0) == nil {
		return
	}
	n := int64(0)
	for _, k := range keep {
		if k != 0 {
			n++
		}
	}
	c.res.Of(c.node.Outputs[0]).Dims[a] = Const(n)
}

func unique(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	count, length, known := c.freshOut(0, 0), Dim{}, false
	switch {
	case c.node.Attr("axis") == nil:
		c.out(0, in.Elem, []Dim{count})
		length, known = in.Len()
	case in.Known:
		a, err := c.intAxis("axis", 0, len(in.Dims))
		if err != nil {
			return err
		}
		count, length, known = c.freshOut(0, a), in.Dims[a], true
		out := cloneDims(in.Dims)
		out[a] = count
		c.out(0, in.Elem, out)
	default:
		c.outUnknown(0, in.Elem)
	}
	if !known {
		length = c.freshOut(2, 0)
	}
	c.out(1, onnxio.Int64, []Dim{count})
	c.out(2, onnxio.Int64, []Dim{length}) // for every element its place among the unique ones
	c.out(3, onnxio.Int64, []Dim{count})
	return nil
}

// topK: the count is attribute k before opset 10 and input 1 from it on.
func topK(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outUnknown(0, in.Elem)
		c.outUnknown(1, onnxio.Int64)
		return nil
	}
	a, err := c.intAxis("axis", -1, len(in.Dims))
	if err != nil {
		return err
	}
	k := Num{}
	if c.version() < 10 {
		k = IntNum(Const(c.node.Int("k", 0)))
	} else if nums := c.in(1).Nums; len(nums) == 1 {
		k = nums[0]
	}
	d, ok := k.Int()
	if !ok {
		if c.node.Output(0) != nil {
			d = c.freshOut(0, a)
		} else if c.node.Output(1) != nil {
			d = c.freshOut(1, a)
		}
	}
	if n, fixed := in.Dims[a].Const(); fixed && d.constant() && d.n > n {
		return fmt.Errorf("k is %v, but axis %d of %s has %d entries", d, a, c.show(0), n)
	}
	out := cloneDims(in.Dims)
	out[a] = d
	c.out(0, in.Elem, out)
	c.out(1, onnxio.Int64, out)
	return nil
}

func oneHot(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	index, elem := c.in(0), c.in(2).Elem
	if !index.Known {
		c.outUnknown(0, elem)
		return nil
	}
	a, err := c.intAxis("axis", -1, len(index.Dims)+1)
	if err != nil {
		return err
	}
	if c.node.Output(0) == nil {
		return nil
	}
	depth := c.freshOut(0, a)
	if nums := c.in(1).Nums; len(nums) == 1 {
		if d, ok := nums[0].Int(); ok {
			depth = d
		}
	}
	out := c.dims(len(index.Dims) + 1)
	copy(out, index.Dims[:a])
	out[a] = depth
	copy(out[a+1:], index.Dims[a:])
	c.out(0, elem, out)
	c.oneHotNums(a)
	return nil
}

// oneHotNums sets the elements for known indices; values are [off, on].
func (c *call) oneHotNums(a int) {
	index, ok := c.in(0).Ints()
	values := c.in(2).Nums
	shape, fits := c.res.Of(c.node.Outputs[0]).fixedShape()
	if !ok || len(values) != 2 || !fits {
		return
	}
	inner := size(shape[a+1:])
	nums := make([]Num, size(shape))
	for i := range nums {
		at := i/(inner*shape[a])*inner + i%inner
		k := index[at]
		if k < 0 {
			k += int64(shape[a])
		}
		nums[i] = values[0]
		if int64(i/inner%shape[a]) == k {
			nums[i] = values[1]
		}
	}
	c.setNums(0, nums)
}

// nonMaxSuppression: [selected, 3] of batch, class and box.
func nonMaxSuppression(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	if err := c.wantRank(0, 3); err != nil {
		return err
	}
	if err := c.wantRank(1, 3); err != nil {
		return err
	}
	if c.node.Output(0) != nil {
		c.out(0, onnxio.Int64, []Dim{c.freshOut(0, 0), Const(3)})
	}
	return nil
}
