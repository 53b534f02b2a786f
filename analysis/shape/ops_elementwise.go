package shape

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// Operators that work element by element: with one operand the shape passes on, with several
// it is broadcast. Before opset 7 broadcasting was one-sided and had to be asked for by attributes.

var elementwise = &family{"", []entry{
	{"Add", 1, pairwise(addNum)}, {"Sub", 1, pairwise(subNum)}, {"Mul", 1, pairwise(mulNum)}, {"Div", 1, pairwise(divNum)},
	{"Pow", 1, pairwise(powNum)}, {"Mod", 10, mod},
	{"And", 1, comparison(andNum)}, {"Or", 1, comparison(orNum)}, {"Xor", 1, comparison(xorNum)},
	{"Equal", 1, comparison(equalNum)}, {"Less", 1, comparison(lessNum)}, {"Greater", 1, comparison(greaterNum)},
	{"LessOrEqual", 12, comparison(lessOrEqualNum)}, {"GreaterOrEqual", 12, comparison(greaterOrEqualNum)},
	{"BitShift", 11, pairwise(unknownNum)}, {"BitwiseAnd", 18, pairwise(unknownNum)}, {"BitwiseOr", 18, pairwise(unknownNum)}, {"BitwiseXor", 18, pairwise(unknownNum)},
	{"Max", 1, variadic(maxNum)}, {"Min", 1, variadic(minNum)}, {"Sum", 1, variadic(addNum)}, {"Mean", 1, variadic(unknownNum)},
	{"PRelu", 1, prelu}, {"Where", 9, where},

	{"Neg", 1, unary(negNum)}, {"Abs", 1, unary(absNum)}, {"Sign", 9, unary(signNum)},
	{"Floor", 1, unary(floorNum)}, {"Ceil", 1, unary(ceilNum)}, {"Round", 11, unary(roundNum)},
	{"Reciprocal", 1, unary(reciprocalNum)}, {"Sqrt", 1, unary(floatFunc(math.Sqrt))},
	{"Exp", 1, unary(floatFunc(math.Exp))}, {"Log", 1, unary(floatFunc(math.Log))}, {"Relu", 1, unary(reluNum)}, {"Not", 1, unary(notNum)},
	{"BitwiseNot", 18, unary(unknownOf)},

	{"Sin", 7, same}, {"Cos", 7, same}, {"Tan", 7, same}, {"Asin", 7, same}, {"Acos", 7, same}, {"Atan", 7, same},
	{"Sinh", 9, same}, {"Cosh", 9, same}, {"Asinh", 9, same}, {"Acosh", 9, same}, {"Atanh", 9, same}, {"Tanh", 1, same}, {"Erf", 9, same},
	{"Sigmoid", 1, same}, {"HardSigmoid", 1, same}, {"HardSwish", 14, same}, {"Swish", 24, same}, {"Mish", 18, same}, {"Gelu", 20, same},
	{"LeakyRelu", 1, same}, {"ThresholdedRelu", 1, same}, {"Elu", 1, same}, {"Selu", 1, same}, {"Celu", 12, same},
	{"Softplus", 1, same}, {"Softsign", 1, same}, {"Shrink", 9, same},
	{"IsNaN", 9, sameAs(onnxio.Bool)}, {"IsInf", 10, sameAs(onnxio.Bool)},
	{"Identity", 1, identity}, {"Clip", 1, clip}, {"Dropout", 1, dropout}, {"Cast", 1, cast}, {"CastLike", 15, castLike}, {"BitCast", 26, bitCast},
	{"Affine", 1, same}, {"ParametricSoftplus", 1, same}, {"ScaledTanh", 1, same}, {"Scale", 1, same}, {"ImageScaler", 1, same},
}}

var elementwiseMicrosoft = &family{"com.microsoft", []entry{
	{"Gelu", 1, same}, {"FastGelu", 1, same}, {"QuickGelu", 1, same}, {"BiasGelu", 1, same}, {"BiasSplitGelu", 1, halfLast},
	{"BiasAdd", 1, same}, {"BiasSoftmax", 1, same}, {"BiasDropout", 1, dropout}, {"BitmaskDropout", 1, same}, {"Inverse", 1, same},
}}

func unknownNum(_, _ Num, _ onnxio.DataType) Num { return Num{} }

func unknownOf(Num) Num { return Num{} }

// same: output 0 has type and shape of input 0.
func same(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	c.outShape(0, in.Elem, in)
	return nil
}

func sameAs(elem onnxio.DataType) rule {
	return func(c *call) error {
		if err := c.need(0); err != nil {
			return err
		}
		c.outShape(0, elem, c.in(0))
		return nil
	}
}

func unary(f func(Num) Num) rule {
	return func(c *call) error {
		if err := same(c); err != nil {
			return err
		}
		c.apply(f)
		return nil
	}
}

func pairwise(f binaryNum) rule {
	return func(c *call) error { return c.pair(c.in(0).Elem, f) }
}

func comparison(f binaryNum) rule {
	return func(c *call) error { return c.pair(onnxio.Bool, f) }
}

// pair infers an operator of two operands.
func (c *call) pair(elem onnxio.DataType, f binaryNum) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	if c.version() < 7 && c.node.Domain == "" {
		return c.onesided(elem, f)
	}
	out, err := c.broadcastInputs(0, 2)
	if err != nil {
		return err
	}
	out.Elem = elem
	c.outInfo(0, out)
	c.combine(f)
	return nil
}

// onesided is broadcasting before opset 7: the first operand's shape stays, the second's axes are matched to a
// contiguous run of it, the last ones or those from attribute axis on.
func (c *call) onesided(elem onnxio.DataType, f binaryNum) error {
	a, b := c.in(0), c.in(1)
	c.outShape(0, elem, a)
	if !a.Known || !b.Known {
		return nil
	}
	if c.node.Int("broadcast", 0) == 0 {
		if out, ok := c.broadcast(a.Dims, b.Dims); ok {
			c.out(0, elem, out)
			c.combine(f)
			return nil
		}
		return fmt.Errorf("the shapes of %s differ, and broadcasting is not asked for", c.shows())
	}
	at := len(a.Dims) - len(b.Dims)
	if c.node.Attr("axis") != nil {
		var err error
		if at, err = c.intAxis("axis", 0, len(a.Dims)+1); err != nil {
			return err
		}
	}
	if at < 0 || at+len(b.Dims) > len(a.Dims) {
		return fmt.Errorf("%s can not be broadcast to %s", c.show(1), c.show(0))
	}
	for i, d := range b.Dims {
		if !d.is(1) && differ(d, a.Dims[at+i]) {
			return fmt.Errorf("%s can not be broadcast to %s from axis %d on", c.show(1), c.show(0), at)
		}
	}
	return nil
}

func mod(c *call) error {
	f := binaryNum(modNum)
	if c.node.Int("fmod", 0) != 0 {
		f = remainderNum
	}
	return c.pair(c.in(0).Elem, f)
}

func variadic(f binaryNum) rule {
	return func(c *call) error {
		if err := c.need(0); err != nil {
			return err
		}
		n := len(c.node.Inputs)
		out, err := c.broadcastInputs(0, n)
		if err != nil {
			return err
		}
		out.Elem = c.in(0).Elem
		c.outInfo(0, out)
		to, ok := out.fixedShape()
		if !ok {
			return nil
		}
		acc := *c.in(0)
		for i := 1; i < n && acc.Nums != nil; i++ {
			b := c.in(i)
			if b.Nums == nil {
				return nil
			}
			nums := broadcastNums(&acc, b, to, func(x, y Num) Num { return f(x, y, out.Elem).stored(out.Elem) })
			acc = out
			acc.Nums = nums
		}
		if acc.Nums != nil && len(acc.Nums) == size(to) {
			c.setNums(0, acc.Nums)
		}
		return nil
	}
}

// prelu: the slope is broadcast to the input, whose shape stays. Before opset 7 it had one axis, the channels.
func prelu(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	x, slope := c.in(0), c.in(1)
	c.outShape(0, x.Elem, x)
	if !x.Known || !slope.Known {
		return nil
	}
	if ds, ok := c.broadcast(x.Dims, slope.Dims); ok && len(ds) == len(x.Dims) {
		return nil
	}
	if len(slope.Dims) == 1 && len(x.Dims) > 1 && !differ(slope.Dims[0], x.Dims[1]) {
		return nil // written before opset 7, or by an exporter that still thinks so
	}
	return fmt.Errorf("the slope %s does not fit the input %s", c.show(1), c.show(0))
}

func where(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	out, err := c.broadcastInputs(0, 3)
	if err != nil {
		return err
	}
	cond, a, b := c.in(0), c.in(1), c.in(2)
	if out.Elem = a.Elem; out.Elem == onnxio.Undefined {
		out.Elem = b.Elem
	}
	c.outInfo(0, out)
	to, ok := out.fixedShape()
	if !ok || cond.Nums == nil || a.Nums == nil || b.Nums == nil {
		return nil
	}
	scalar := func(in *Info) []int { s, _ := in.fixedShape(); return spread(s, to) }
	ic, ia, ib := scalar(cond), scalar(a), scalar(b)
	nums := make([]Num, len(ic))
	for i := range nums {
		x, y := a.Nums[ia[i]], b.Nums[ib[i]]
		if k, ok := cond.Nums[ic[i]].fixedInt(); !ok {
			if x.Equal(y) {
				nums[i] = x
			}
		} else if k != 0 {
			nums[i] = x
		} else {
			nums[i] = y
		}
	}
	c.setNums(0, nums)
	return nil
}

func identity(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	c.outInfo(0, *c.in(0))
	return nil
}

func clip(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	c.outShape(0, in.Elem, in)
	bound := func(name string, i int) (Num, bool) {
		if c.version() < 11 {
			if a := c.node.Attr(name); a != nil {
				return FloatNum(float64(a.F)), true
			}
			return Num{}, false
		}
		if !c.has(i) {
			return Num{}, false
		}
		if nums := c.in(i).Nums; len(nums) == 1 {
			return nums[0], true
		}
		return Num{}, true
	}
	lo, low := bound("min", 1)
	hi, high := bound("max", 2)
	if low && !lo.Known() || high && !hi.Known() {
		return nil
	}
	c.apply(func(n Num) Num {
		if low {
			n = maxNum(n, lo, in.Elem)
		}
		if high {
			n = minNum(n, hi, in.Elem)
		}
		return n
	})
	return nil
}

// dropout is the identity in inference; its mask has the same shape.
func dropout(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	training := c.version() < 7 && c.node.Int("is_test", 0) == 0 && c.node.Domain == ""
	if c.has(2) {
		mode, known := c.in(2).Ints()
		training = !known || len(mode) != 1 || mode[0] != 0
	}
	c.outShape(0, in.Elem, in)
	if !training {
		c.setNums(0, in.Nums)
	}
	mask := onnxio.Bool
	if c.version() < 10 && c.node.Domain == "" {
		mask = in.Elem
	}
	c.outShape(1, mask, in)
	return nil
}

func cast(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	a := c.node.Attr("to")
	if a == nil {
		return fmt.Errorf("attribute to is missing")
	}
	to := onnxio.DataType(a.I)
	if a.Type == onnxio.AttrString { // opset 1 to 5
		to = typeByName(string(a.S))
	}
	return c.castTo(to)
}

func typeByName(name string) onnxio.DataType {
	names := map[string]onnxio.DataType{"FLOAT": onnxio.Float, "UINT8": onnxio.Uint8, "INT8": onnxio.Int8, "UINT16": onnxio.Uint16,
		"INT16": onnxio.Int16, "INT32": onnxio.Int32, "INT64": onnxio.Int64, "STRING": onnxio.String, "BOOL": onnxio.Bool,
		"FLOAT16": onnxio.Float16, "DOUBLE": onnxio.Double, "UINT32": onnxio.Uint32, "UINT64": onnxio.Uint64}
	return names[name]
}

func (c *call) castTo(to onnxio.DataType) error {
	c.outShape(0, to, c.in(0))
	if c.in(0).Elem != onnxio.String {
		c.apply(func(n Num) Num { return castNum(n, to) })
	}
	return nil
}

func castLike(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	return c.castTo(c.in(1).Elem)
}

// bitCast reinterprets bits: types of equal width, so the shape stays.
func bitCast(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	c.outShape(0, onnxio.DataType(c.node.Int("to", 0)), c.in(0))
	return nil
}

// halfLast: the last axis comes out half as long.
func halfLast(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known || len(in.Dims) == 0 {
		c.outUnknown(0, in.Elem)
		return nil
	}
	ds := cloneDims(in.Dims)
	ds[len(ds)-1] = ds[len(ds)-1].FloorDiv(Const(2))
	c.out(0, in.Elem, ds)
	return nil
}
