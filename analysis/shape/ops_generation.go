package shape

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// Operators that make tensors out of shapes, numbers or chance.

var generation = &family{"", []entry{
	{"Constant", 1, barrier}, {"ConstantOfShape", 9, constantOfShape}, {"Range", 11, rangeRule}, {"EyeLike", 9, eyeLike},
	{"RandomNormal", 1, random}, {"RandomUniform", 1, random}, {"RandomNormalLike", 1, typedLike}, {"RandomUniformLike", 1, typedLike},
	{"Bernoulli", 15, typedLike}, {"Multinomial", 7, multinomial}, {"ConstantFill", 1, constantFill}, {"GivenTensorFill", 1, barrier},
}}

var generationMicrosoft = &family{"com.microsoft", []entry{{"Range", 1, rangeRule}}}

func constantOfShape(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	elem, fill := onnxio.Float, IntNum(Const(0))
	if a := c.node.Attr("value"); a != nil && a.Tensor != nil {
		elem, fill = a.Tensor.DataType, Num{}
		if nums := decode(a.Tensor); len(nums) == 1 {
			fill = nums[0]
		}
	}
	if err := c.shapeFromInput(0, elem); err != nil {
		return err
	}
	if shape, ok := c.res.Of(c.node.Output(0)).fixedShape(); ok && fill.Known() {
		nums := make([]Num, size(shape))
		for i := range nums {
			nums[i] = fill
		}
		c.setNums(0, nums)
	}
	return nil
}

// constantFill is the experimental forerunner of ConstantOfShape.
func constantFill(c *call) error {
	elem := onnxio.DataType(c.node.Int("dtype", int64(onnxio.Float)))
	if shape, ok := c.node.Ints("shape"); ok {
		c.out(0, elem, c.constDims(shape))
		return nil
	}
	if err := c.need(0); err != nil {
		return err
	}
	if c.node.Int("input_as_shape", 0) != 0 {
		return c.shapeFromInput(0, elem)
	}
	c.outShape(0, elem, c.in(0))
	return nil
}

// rangeRule: max(ceil((limit-start)/delta), 0) numbers.
func rangeRule(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	elem := c.in(0).Elem
	one := func(i int) Num {
		if !c.has(i) && i == 2 {
			return IntNum(Const(1))
		}
		if nums := c.in(i).Nums; len(nums) == 1 {
			return nums[0]
		}
		return Num{}
	}
	start, limit, delta := one(0), one(1), one(2)
	count := c.rangeCount(start, limit, delta)
	n, ok := count.Int()
	if !ok {
		c.outRank(0, elem, 1)
		return nil
	}
	if n.constant() {
		n = n.Max(Const(0))
	}
	c.out(0, elem, []Dim{n})
	if k, ok := n.Const(); ok && k <= maxNums && start.Known() && delta.Known() {
		nums := make([]Num, k)
		for i := range nums {
			nums[i] = addNum(start, mulNum(delta, IntNum(Const(int64(i))), elem), elem).stored(elem)
		}
		c.setNums(0, nums)
	}
	return nil
}

func (c *call) rangeCount(start, limit, delta Num) Num {
	if !start.Known() || !limit.Known() || !delta.Known() {
		return Num{}
	}
	a, ok := start.Float()
	b, fine := limit.Float()
	d, all := delta.Float()
	if ok && fine && all {
		if d == 0 {
			return Num{}
		}
		n := math.Ceil((b - a) / d)
		if math.IsNaN(n) || math.Abs(n) > 1<<40 {
			return Num{}
		}
		return FloatNum(n)
	}
	if step, ok := delta.fixedInt(); ok && step > 0 {
		n := ceilNum(divNum(subNum(limit, start, onnxio.Float), delta, onnxio.Float))
		if d, ok := n.Int(); ok {
			return IntNum(d.Max(Const(0)))
		}
	}
	return Num{}
}

func eyeLike(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	if err := c.wantRank(0, 2); err != nil {
		return err
	}
	in := c.in(0)
	elem := onnxio.DataType(c.node.Int("dtype", int64(in.Elem)))
	c.outShape(0, elem, in)
	shape, ok := in.fixedShape()
	if !ok {
		return nil
	}
	shift := int(c.node.Int("k", 0))
	nums := make([]Num, size(shape))
	for i := range nums {
		nums[i] = boolNum(i%shape[1]-i/shape[1] == shift)
	}
	c.setNums(0, nums)
	return nil
}

func random(c *call) error {
	shape, ok := c.node.Ints("shape")
	if !ok {
		return fmt.Errorf("attribute shape is missing")
	}
	c.out(0, onnxio.DataType(c.node.Int("dtype", int64(onnxio.Float))), c.constDims(shape))
	return nil
}

// typedLike: the shape of input 0, the type of attribute dtype, else that of input 0.
func typedLike(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	c.outShape(0, onnxio.DataType(c.node.Int("dtype", int64(in.Elem))), in)
	return nil
}

func multinomial(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	if err := c.wantRank(0, 2); err != nil {
		return err
	}
	elem := onnxio.DataType(c.node.Int("dtype", int64(onnxio.Int32)))
	if c.in(0).Known {
		c.out(0, elem, []Dim{c.in(0).Dims[0], Const(c.node.Int("sample_size", 1))})
	} else {
		c.outRank(0, elem, 2)
	}
	return nil
}
