package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Pooling: windows over the spatial axes of [N, C, spatial...], over all of them, or over regions of interest.

var pooling = &family{"", []entry{
	{"MaxPool", 1, pool}, {"AveragePool", 1, pool}, {"LpPool", 1, pool},
	{"GlobalMaxPool", 1, globalPool}, {"GlobalAveragePool", 1, globalPool}, {"GlobalLpPool", 1, globalPool},
	{"MaxUnpool", 9, maxUnpool}, {"MaxRoiPool", 1, maxRoiPool}, {"RoiAlign", 10, roiAlign},
}}

var poolingMicrosoft = &family{"com.microsoft", []entry{
	{"QLinearAveragePool", 1, pool}, {"QLinearGlobalAveragePool", 1, globalPool},
}}

func pool(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	if c.node.Int("channels_last", 0) != 0 {
		return nil
	}
	x := c.in(0)
	if !x.Known {
		ks, ok := c.node.Ints("kernel_shape")
		if !ok {
			c.outUnknown(0, x.Elem)
			c.outUnknown(1, onnxio.Int64)
			return nil
		}
		c.outRank(0, x.Elem, len(ks)+2)
		c.outRank(1, onnxio.Int64, len(ks)+2)
		return nil
	}
	if len(x.Dims) < 3 {
		return fmt.Errorf("the input %s must have at least 3 axes", c.show(0))
	}
	win, err := c.window(nil, len(x.Dims)-2)
	if err != nil {
		return err
	}
	out := c.dims(len(x.Dims))
	copy(out, x.Dims[:2])
	for i := range win.kernel {
		if out[2+i], err = win.size(x.Dims[2+i], i); err != nil {
			return err
		}
	}
	c.out(0, x.Elem, out)
	c.out(1, onnxio.Int64, out)
	return nil
}

func globalPool(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	if c.node.Int("channels_last", 0) != 0 {
		return nil
	}
	x := c.in(0)
	if !x.Known {
		c.outUnknown(0, x.Elem)
		return nil
	}
	if len(x.Dims) < 2 {
		return fmt.Errorf("the input %s must have at least 2 axes", c.show(0))
	}
	out := c.dims(len(x.Dims))
	for i := range out {
		out[i] = Const(1)
	}
	copy(out, x.Dims[:2])
	c.out(0, x.Elem, out)
	return nil
}

// maxUnpool undoes a MaxPool: (in-1)*stride + kernel - pads, or what output_shape says.
func maxUnpool(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	x := c.in(0)
	if c.has(2) {
		return c.shapeFromInput(2, x.Elem)
	}
	if !x.Known {
		c.outUnknown(0, x.Elem)
		return nil
	}
	if len(x.Dims) < 3 {
		return fmt.Errorf("the input %s must have at least 3 axes", c.show(0))
	}
	win, err := c.window(nil, len(x.Dims)-2)
	if err != nil {
		return err
	}
	out := c.dims(len(x.Dims))
	copy(out, x.Dims[:2])
	if err := win.grow(c, x.Dims[2:], out[2:]); err != nil {
		return err
	}
	c.out(0, x.Elem, out)
	return nil
}

func maxRoiPool(c *call) error {
	shape, ok := c.node.Ints("pooled_shape")
	if !ok || len(shape) != 2 {
		return fmt.Errorf("attribute pooled_shape must hold two entries")
	}
	return c.regions(shape[0], shape[1], 5)
}

func roiAlign(c *call) error {
	return c.regions(c.node.Int("output_height", 1), c.node.Int("output_width", 1), 4)
}

// regions: the output is [regions, C, height, width]; input 1 holds the regions, of that many coordinates each.
func (c *call) regions(height, width int64, coordinates int) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	if err := c.wantRank(0, 4); err != nil {
		return err
	}
	if err := c.wantRank(1, 2); err != nil {
		return err
	}
	if c.node.Output(0) == nil {
		return nil
	}
	x, rois := c.in(0), c.in(1)
	out := c.dims(4)
	out[0], out[1], out[2], out[3] = c.freshOut(0, 0), c.freshOut(0, 1), Const(height), Const(width)
	if rois.Known {
		if differ(rois.Dims[1], Const(int64(coordinates))) {
			return fmt.Errorf("the regions %s must have %d coordinates each", c.show(1), coordinates)
		}
		out[0] = rois.Dims[0]
	}
	if x.Known {
		out[1] = x.Dims[1]
	}
	c.out(0, x.Elem, out)
	return nil
}
