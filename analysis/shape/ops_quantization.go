package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Quantisation. Scales and zero points do not change shapes; they say which type comes out.

var quantization = &family{"", []entry{
	{"QuantizeLinear", 10, quantizeLinear}, {"DequantizeLinear", 10, dequantizeLinear}, {"DynamicQuantizeLinear", 11, dynamicQuantize},
}}

var quantizationMicrosoft = &family{"com.microsoft", []entry{
	{"QuantizeLinear", 1, quantizeLinear}, {"DequantizeLinear", 1, dequantizeLinear},
	{"QLinearAdd", 1, qlinearPair}, {"QLinearMul", 1, qlinearPair}, {"QLinearConcat", 1, qlinearConcat},
	{"QLinearSigmoid", 1, same}, {"QLinearLeakyRelu", 1, same}, {"QLinearSoftmax", 1, same}, {"QLinearWhere", 1, qlinearWhere},
}}

func quantizeLinear(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	elem := onnxio.Uint8
	if c.has(2) {
		elem = c.in(2).Elem
	} else if t := c.node.Int("output_dtype", 0); t != 0 {
		elem = onnxio.DataType(t)
	}
	c.outShape(0, elem, c.in(0))
	return c.checkScale()
}

func dequantizeLinear(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	elem := c.in(1).Elem
	if t := c.node.Int("output_dtype", 0); t != 0 {
		elem = onnxio.DataType(t)
	}
	c.outShape(0, elem, c.in(0))
	return c.checkScale()
}

// checkScale: a vector of scales, not in blocks, has one entry per index of the axis.
func (c *call) checkScale() error {
	x, scale := c.in(0), c.in(1)
	if !x.Known || scale.Rank() != 1 || len(x.Dims) < 2 || c.node.Int("block_size", 0) != 0 || scale.Dims[0].is(1) {
		return nil
	}
	a, err := c.intAxis("axis", 1, len(x.Dims))
	if err != nil {
		return err
	}
	if differ(scale.Dims[0], x.Dims[a]) {
		return fmt.Errorf("the scale %s must have one entry for each index of axis %d of %s", c.show(1), a, c.show(0))
	}
	return nil
}

func dynamicQuantize(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	c.outShape(0, onnxio.Uint8, c.in(0))
	c.out(1, onnxio.Float, nil)
	c.out(2, onnxio.Uint8, nil)
	return nil
}

// qlinearPair: A, scale, zero point, B, scale, zero point, then those of the result.
func qlinearPair(c *call) error {
	if err := c.need(0, 3); err != nil {
		return err
	}
	a, b := c.in(0), c.in(3)
	if !a.Known || !b.Known {
		c.outUnknown(0, a.Elem)
		return nil
	}
	out, ok := c.broadcast(a.Dims, b.Dims)
	if !ok {
		return fmt.Errorf("the shapes of %s and %s can not be broadcast together", c.show(0), c.show(3))
	}
	c.out(0, a.Elem, out)
	return nil
}

// qlinearConcat: scale and zero point of the result, then tensor, scale and zero point of each operand.
func qlinearConcat(c *call) error {
	n := (len(c.node.Inputs) - 2) / 3
	if n < 1 || len(c.node.Inputs) != 2+3*n {
		return fmt.Errorf("it has %d inputs, want two and three for each operand", len(c.node.Inputs))
	}
	inputs := make([]*Info, n)
	for i := range inputs {
		if err := c.need(2 + 3*i); err != nil {
			return err
		}
		inputs[i] = c.in(2 + 3*i)
	}
	return c.concat(inputs, c.node.Int("axis", 0), func(i int) string { return c.show(2 + 3*i) })
}

// qlinearWhere: condition, X, scale, zero point, Y, scale, zero point, then those of the result.
func qlinearWhere(c *call) error {
	if err := c.need(0, 1, 4); err != nil {
		return err
	}
	out := c.in(0).Dims
	for _, i := range []int{0, 1, 4} {
		if !c.in(i).Known {
			c.outUnknown(0, c.in(1).Elem)
			return nil
		}
		ds, ok := c.broadcast(out, c.in(i).Dims)
		if !ok {
			return fmt.Errorf("the shapes of %s, %s and %s can not be broadcast together", c.show(0), c.show(1), c.show(4))
		}
		out = ds
	}
	c.out(0, c.in(1).Elem, out)
	return nil
}
