package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Reductions along axes. The axes are an attribute and, from opset 18 on (ReduceSum: 13), an input.

var reduction = &family{"", []entry{
	{"ReduceSum", 1, reduceFrom(13, addNum)}, {"ReduceProd", 1, reduceFrom(18, mulNum)}, {"ReduceMax", 1, reduceFrom(18, maxNum)}, {"ReduceMin", 1, reduceFrom(18, minNum)},
	{"ReduceMean", 1, reduceFrom(18, nil)}, {"ReduceL1", 1, reduceFrom(18, nil)}, {"ReduceL2", 1, reduceFrom(18, nil)}, {"ReduceSumSquare", 1, reduceFrom(18, nil)},
	{"ReduceLogSum", 1, reduceFrom(18, nil)}, {"ReduceLogSumExp", 1, reduceFrom(18, nil)},
	{"ArgMax", 1, argReduce}, {"ArgMin", 1, argReduce}, {"CumSum", 11, cumSum}, {"CumProd", 26, same},
}}

var reductionMicrosoft = &family{"com.microsoft", []entry{{"ReduceSumInteger", 1, reduceFrom(2, nil)}, {"QLinearReduceMean", 1, reduceFrom(2, nil)}}}

// reduceFrom infers a reduction whose axes are an input from opset version since on. f joins two elements; nil where elements
// are not computed.
func reduceFrom(since int, f binaryNum) rule {
	return func(c *call) error {
		if err := c.need(0); err != nil {
			return err
		}
		in := c.in(0)
		axes, given, known := c.ints("axes", 1, since)
		keep := c.node.Int("keepdims", 1) != 0
		if !known || !in.Known {
			switch n, ok := c.in(1).Fixed(0); {
			case in.Known && keep:
				c.outRank(0, in.Elem, len(in.Dims))
			case in.Known && ok && n > 0 && n <= int64(len(in.Dims)):
				c.outRank(0, in.Elem, len(in.Dims)-int(n))
			case !keep && !given && known:
				c.out(0, in.Elem, nil)
			default:
				c.outUnknown(0, in.Elem)
			}
			return nil
		}
		if len(axes) == 0 && c.node.Int("noop_with_empty_axes", 0) != 0 {
			c.outShape(0, in.Elem, in)
			return nil
		}
		gone, err := axisSet(axes, len(in.Dims))
		if err != nil {
			return fmt.Errorf("%w of %s", err, c.show(0))
		}
		out := make([]Dim, 0, len(in.Dims))
		for i, d := range in.Dims {
			switch {
			case !gone[i]:
				out = append(out, d)
			case keep:
				out = append(out, Const(1))
			}
		}
		c.out(0, in.Elem, out)
		if f != nil {
			c.reduceNums(in, gone, f)
		}
		return nil
	}
}

// axisSet marks axes; none listed means all.
func axisSet(axes []int64, rank int) ([]bool, error) {
	set := make([]bool, rank)
	for _, a := range axes {
		i, err := axis(a, rank)
		if err != nil {
			return nil, err
		}
		set[i] = true
	}
	if len(axes) == 0 {
		for i := range set {
			set[i] = true
		}
	}
	return set, nil
}

func (c *call) reduceNums(in *Info, gone []bool, f binaryNum) {
	shape, ok := in.fixedShape()
	to, fits := c.res.Of(c.node.Output(0)).fixedShape()
	if in.Nums == nil || !ok || !fits || len(in.Nums) != size(shape) || len(in.Nums) == 0 {
		return
	}
	strides := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		if !gone[i] {
			strides[i] = step
			step *= shape[i]
		}
	}
	nums, seen := make([]Num, size(to)), make([]bool, size(to))
	walk(shape, strides, func(i, at int) {
		if !seen[at] {
			nums[at], seen[at] = in.Nums[i], true
			return
		}
		if !nums[at].Known() || !in.Nums[i].Known() {
			nums[at] = Num{}
			return
		}
		nums[at] = f(nums[at], in.Nums[i], in.Elem).stored(in.Elem)
	})
	c.setNums(0, nums)
}

func argReduce(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outUnknown(0, onnxio.Int64)
		return nil
	}
	a, err := c.intAxis("axis", 0, len(in.Dims))
	if err != nil {
		return err
	}
	out := cloneDims(in.Dims)
	if out[a] = Const(1); c.node.Int("keepdims", 1) == 0 {
		out = append(out[:a], out[a+1:]...)
	}
	c.out(0, onnxio.Int64, out)
	return nil
}

func cumSum(c *call) error {
	if err := same(c); err != nil {
		return err
	}
	in := c.in(0)
	if in.Rank() != 1 || in.Nums == nil || c.node.Int("exclusive", 0) != 0 || c.node.Int("reverse", 0) != 0 {
		return nil
	}
	nums := make([]Num, len(in.Nums))
	sum := IntNum(Const(0))
	for i, n := range in.Nums {
		if !n.Known() || !sum.Known() {
			sum = Num{}
		} else {
			sum = addNum(sum, n, in.Elem).stored(in.Elem)
		}
		nums[i] = sum
	}
	c.setNums(0, nums)
	return nil
}
