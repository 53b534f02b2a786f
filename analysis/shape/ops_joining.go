package shape

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// Operators that join, cut and pad along axes: Concat, Split, Slice, Pad.

var joining = &family{"", []entry{
	{"Concat", 1, concat}, {"Split", 1, split}, {"Slice", 1, sliceRule}, {"Pad", 1, pad}, {"CenterCropPad", 18, centerCropPad},
	{"Crop", 1, crop},
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

// sliceRange is what is taken along one axis.
type sliceRange struct {
	start, end Num
	step       int64
	known      bool // the step is
}

func sliceRule(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outUnknown(0, in.Elem)
		return nil
	}
	ranges, err := c.sliceRanges(len(in.Dims))
	if err != nil {
		return err
	}
	if ranges == nil {
		c.outRank(0, in.Elem, len(in.Dims))
		return nil
	}
	out := c.dims(len(in.Dims))
	starts, steps := make([]int, len(in.Dims)), make([]int, len(in.Dims))
	exact := true
	for i, d := range in.Dims {
		r := ranges[i]
		if r == nil {
			out[i], steps[i] = d, 1
			continue
		}
		start, extent, ok := r.of(d)
		if !ok {
			out[i], exact = c.freshOut(0, i), false
			continue
		}
		out[i] = extent
		n, fixed := start.Const()
		exact = exact && fixed
		starts[i], steps[i] = int(n), int(r.step)
	}
	c.out(0, in.Elem, out)
	shape, ok := in.fixedShape()
	to, fits := c.res.Of(c.node.Output(0)).fixedShape()
	if !exact || in.Nums == nil || !ok || !fits || len(in.Nums) != size(shape) {
		return nil
	}
	base, strides := 0, stridesOf(shape)
	for i := range strides {
		base += starts[i] * strides[i]
		strides[i] *= steps[i]
	}
	nums := make([]Num, size(to))
	walk(to, strides, func(i, at int) { nums[i] = in.Nums[base+at] })
	c.setNums(0, nums)
	return nil
}

// sliceRanges reads what is taken of every axis: nil for all of an axis; nil in all where the axes are not known.
func (c *call) sliceRanges(rank int) ([]*sliceRange, error) {
	var starts, ends, axes, steps []Num
	if c.version() < 10 {
		read := func(name string) []Num {
			vs, _ := c.node.Ints(name)
			out := make([]Num, len(vs))
			for i, v := range vs {
				out[i] = IntNum(Const(v))
			}
			return out
		}
		starts, ends = read("starts"), read("ends")
		if c.node.Attr("axes") != nil {
			axes = read("axes")
		}
	} else {
		if err := c.need(1, 2); err != nil {
			return nil, err
		}
		starts, ends, axes, steps = c.in(1).Nums, c.in(2).Nums, c.in(3).Nums, c.in(4).Nums
		n, ok := c.in(1).Fixed(0)
		if !ok {
			if n, ok = c.in(2).Fixed(0); !ok {
				n, ok = c.in(3).Fixed(0)
			}
		}
		if c.has(3) && axes == nil || !ok || n > int64(rank) {
			return nil, nil
		}
		fill := func(nums []Num) []Num {
			if nums == nil {
				return make([]Num, n)
			}
			return nums
		}
		starts, ends = fill(starts), fill(ends)
		if c.has(4) {
			steps = fill(steps)
		}
	}
	out := make([]*sliceRange, rank)
	for i := range starts {
		at := int64(i)
		if axes != nil {
			if i >= len(axes) {
				return nil, fmt.Errorf("it has %d starts, but %d axes", len(starts), len(axes))
			}
			var ok bool
			if at, ok = axes[i].fixedInt(); !ok {
				return nil, nil
			}
		}
		a, err := axis(at, rank)
		if err != nil {
			return nil, fmt.Errorf("%w of the input %s", err, c.show(0))
		}
		if i >= len(ends) || steps != nil && i >= len(steps) {
			return nil, fmt.Errorf("starts, ends and steps have different lengths")
		}
		r := &sliceRange{start: starts[i], end: ends[i], step: 1, known: true}
		if steps != nil {
			if r.step, r.known = steps[i].fixedInt(); r.known && r.step == 0 {
				return nil, fmt.Errorf("the step along axis %d is 0", a)
			}
		}
		out[a] = r
	}
	return out, nil
}

// of returns where the range starts on an axis of extent d, and how many entries it takes.
func (r *sliceRange) of(d Dim) (start, extent Dim, ok bool) {
	if !r.known {
		return Dim{}, Dim{}, false
	}
	lo, hi := Const(0), d
	if r.step < 0 {
		lo, hi = Const(-1), d.Sub(Const(1))
	}
	start, ok = bound(r.start, d, Const(0), hi)
	if !ok {
		return Dim{}, Dim{}, false
	}
	end, ok := bound(r.end, d, lo, d)
	if !ok {
		return Dim{}, Dim{}, false
	}
	if r.step > 0 {
		extent = end.Sub(start).CeilDiv(Const(r.step))
	} else {
		extent = start.Sub(end).CeilDiv(Const(-r.step))
	}
	return start, extent.Max(Const(0)), true
}

// bound brings a start or end into the range of an axis of extent d: negative ones count from the end.
func bound(n Num, d, lo, hi Dim) (Dim, bool) {
	at, ok := n.Int()
	if !ok {
		return Dim{}, false
	}
	switch v, fixed := at.Const(); {
	case fixed && v >= math.MaxInt32:
		return hi, true
	case fixed && v <= -math.MaxInt32:
		return lo, true
	case fixed && v < 0:
		at = at.Add(d)
	case Const(-1).Sub(at).nonNegative():
		at = at.Add(d)
	case !at.nonNegative():
		return Dim{}, false // it may count from either end
	}
	return at.Max(lo).Min(hi), true
}

// pad reads the amounts: attribute paddings (opset 1), attribute pads (2), input 1 (11), with axes in input 3 (18).
func pad(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	var pads []Num
	if c.version() < 11 {
		name := "pads"
		if c.version() < 2 {
			name = "paddings"
		}
		list, ok := c.node.Ints(name)
		if !ok {
			return fmt.Errorf("attribute %s is missing", name)
		}
		for _, v := range list {
			pads = append(pads, IntNum(Const(v)))
		}
	} else {
		if err := c.need(1); err != nil {
			return err
		}
		pads = c.in(1).Nums
	}
	if !in.Known {
		if pads != nil && !c.has(3) {
			c.outRank(0, in.Elem, len(pads)/2)
		} else {
			c.outUnknown(0, in.Elem)
		}
		return nil
	}
	rank := len(in.Dims)
	axes, given, known := c.ints("", 3, 0)
	if pads == nil || !known {
		c.outRank(0, in.Elem, rank)
		return nil
	}
	if !given {
		axes = make([]int64, rank)
		for i := range axes {
			axes[i] = int64(i)
		}
	}
	if len(pads) != 2*len(axes) {
		return fmt.Errorf("%d amounts do not fit the %d axes that are padded of %s", len(pads), len(axes), c.show(0))
	}
	out := c.dims(rank)
	copy(out, in.Dims)
	for i, at := range axes {
		a, err := axis(at, rank)
		if err != nil {
			return err
		}
		head, ok := pads[i].Int()
		tail, fine := pads[len(axes)+i].Int()
		if !ok || !fine {
			out[a] = c.freshOut(0, a)
			continue
		}
		out[a] = out[a].Add(head).Add(tail)
		if n, ok := out[a].Const(); ok && n < 0 {
			return fmt.Errorf("the amounts %v cut more than there is along axis %d of %s", pads, a, c.show(0))
		}
	}
	c.out(0, in.Elem, out)
	if rank == 1 && c.node.Text("mode", "constant") == "constant" {
		c.padVector(in, pads)
	}
	return nil
}

func (c *call) padVector(in *Info, pads []Num) {
	head, ok := pads[0].fixedInt()
	to, fits := c.res.Of(c.node.Output(0)).fixedShape()
	if !ok || !fits || in.Nums == nil {
		return
	}
	fill := FloatNum(float64(c.node.Float("value", 0)))
	if c.has(2) {
		fill = Num{}
		if v := c.in(2).Nums; len(v) == 1 {
			fill = v[0]
		}
	}
	nums := make([]Num, to[0])
	for i := range nums {
		nums[i] = fill
		if k := i - int(head); k >= 0 && k < len(in.Nums) {
			nums[i] = in.Nums[k]
		}
	}
	c.setNums(0, nums)
}

// centerCropPad cuts or pads the listed axes to the extents of input 1.
func centerCropPad(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	in, target := c.in(0), c.in(1).Nums
	if !in.Known {
		c.outUnknown(0, in.Elem)
		return nil
	}
	axes, given := c.node.Ints("axes")
	if !given {
		for i := range in.Dims {
			axes = append(axes, int64(i))
		}
	}
	if target != nil && len(target) != len(axes) {
		return fmt.Errorf("the target %s does not fit %d axes", c.show(1), len(axes))
	}
	out := cloneDims(in.Dims)
	for i, at := range axes {
		a, err := axis(at, len(in.Dims))
		if err != nil {
			return err
		}
		out[a] = c.freshOut(0, a)
		if target != nil {
			if d, ok := target[i].Int(); ok {
				out[a] = d
			}
		}
	}
	c.out(0, in.Elem, out)
	return nil
}

// crop is the experimental operator of opset 1: border is left, top, right, bottom; scale, when there, the extents.
func crop(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	if err := c.wantRank(0, 4); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outRank(0, in.Elem, 4)
		return nil
	}
	border, _ := c.node.Ints("border")
	scale, scaled := c.node.Ints("scale")
	out := cloneDims(in.Dims)
	switch {
	case scaled && len(scale) == 2:
		out[2], out[3] = Const(scale[0]), Const(scale[1])
	case len(border) == 4:
		out[2] = out[2].Sub(Const(border[1] + border[3]))
		out[3] = out[3].Sub(Const(border[0] + border[2]))
	default:
		return fmt.Errorf("attribute border must hold 4 entries")
	}
	c.out(0, in.Elem, out)
	return nil
}
