package shape

import (
	"fmt"
	"math"
)

// Operators that cut and pad along axes: Slice, Pad, and what came before them.

var cutting = &family{"", []entry{
	{"Slice", 1, sliceRule}, {"Pad", 1, pad}, {"CenterCropPad", 18, centerCropPad}, {"Crop", 1, crop},
}}

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
	if rank == 1 && len(pads) == 2 && c.node.Text("mode", "constant") == "constant" {
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
