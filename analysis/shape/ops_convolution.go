package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Convolutions. X is [N, C, spatial...], W is [M, C/group, kernel...]; the output is [N, M, floor((in + pads -
// window)/stride)+1, ...] where window = (kernel-1)*dilation+1.

var convolution = &family{"", []entry{
	{"Conv", 1, conv(0, 1, 2)}, {"ConvInteger", 10, convInteger}, {"QLinearConv", 10, qlinearConv},
	{"ConvTranspose", 1, convTranspose}, {"DeformConv", 19, conv(0, 1, 3)}, {"CausalConvWithState", 27, causalConv},
}}

var convolutionMicrosoft = &family{"com.microsoft", []entry{
	{"FusedConv", 1, conv(0, 1, 2)}, {"QLinearConv", 1, qlinearConv}, {"QLinearConvTranspose", 1, barrier},
}}

// barrier sets nothing: the outputs are known from the file, or stay as declared.
func barrier(c *call) error { return nil }

// window is how a kernel moves over the spatial axes.
type window struct {
	kernel    []Dim
	strides   []int64
	dilations []int64
	pads      []int64 // begins, then ends
	auto      string
	ceil      bool
}

// window reads the attributes that convolutions and pools share. kernel holds the extents of the weight's spatial axes, nil
// where there is no weight; rank is the number of spatial axes.
func (c *call) window(kernel []Dim, rank int) (*window, error) {
	w := &window{auto: c.node.Text("auto_pad", "NOTSET")}
	if ks, ok := c.node.Ints("kernel_shape"); ok {
		if len(ks) != rank {
			return nil, fmt.Errorf("kernel_shape %v has %d entries, but %s has %d spatial axes", ks, len(ks), c.show(0), rank)
		}
		w.kernel = c.constDims(ks)
		for i, k := range kernel {
			if differ(k, w.kernel[i]) {
				return nil, fmt.Errorf("kernel_shape %v is not that of the weight %s", ks, c.show(1))
			}
		}
	} else if kernel != nil {
		w.kernel = kernel
	} else {
		return nil, fmt.Errorf("attribute kernel_shape is missing")
	}
	var err error
	if w.strides, err = c.perAxis("strides", rank, 1); err != nil {
		return nil, err
	}
	if w.dilations, err = c.perAxis("dilations", rank, 1); err != nil {
		return nil, err
	}
	if w.pads, err = c.perAxis("pads", 2*rank, 0); err != nil {
		return nil, err
	}
	switch w.auto {
	case "", "NOTSET":
		w.auto = "NOTSET"
	case "SAME_UPPER", "SAME_LOWER":
	case "VALID":
		w.pads = make([]int64, 2*rank)
	default:
		return nil, fmt.Errorf("auto_pad %q is not known", w.auto)
	}
	w.ceil = c.node.Int("ceil_mode", 0) != 0
	return w, nil
}

// perAxis reads a list attribute of n entries; absent or empty means all def.
func (c *call) perAxis(name string, n int, def int64) ([]int64, error) {
	vs, _ := c.node.Ints(name)
	if len(vs) == 0 {
		vs = make([]int64, n)
		for i := range vs {
			vs[i] = def
		}
		return vs, nil
	}
	if len(vs) != n {
		return nil, fmt.Errorf("attribute %s has %d entries, want %d", name, len(vs), n)
	}
	for _, v := range vs {
		if def == 1 && v < 1 {
			return nil, fmt.Errorf("attribute %s is %v: every entry must be at least 1", name, vs)
		}
	}
	return vs, nil
}

// span is the extent that the window covers along an axis.
func (w *window) span(i int) Dim {
	return w.kernel[i].Sub(Const(1)).Mul(Const(w.dilations[i])).Add(Const(1))
}

// size returns the output extent along spatial axis i.
func (w *window) size(in Dim, i int) (Dim, error) {
	n := len(w.kernel)
	stride := Const(w.strides[i])
	if w.auto == "SAME_UPPER" || w.auto == "SAME_LOWER" {
		return in.CeilDiv(stride), nil
	}
	head := Const(w.pads[i])
	free := in.Add(head).Add(Const(w.pads[n+i])).Sub(w.span(i))
	if free.constant() && free.n < 0 {
		return Dim{}, fmt.Errorf("the window of %v along spatial axis %d is larger than the padded input of %v", w.span(i), i, free.Add(w.span(i)))
	}
	if !w.ceil {
		return free.FloorDiv(stride).Add(Const(1)), nil
	}
	out := free.CeilDiv(stride).Add(Const(1))
	if span, ok := w.span(i).Const(); !ok || w.pads[n+i]+w.strides[i] > span {
		out = out.Min(in.Add(head).CeilDiv(stride)) // a window must not start in the padding behind the input
	}
	return out, nil
}

// conv infers a convolution whose operands stand at the given inputs.
func conv(x, w, bias int) rule {
	return func(c *call) error { return c.conv(x, w, bias, c.in(x).Elem) }
}

func (c *call) conv(xi, wi, bias int, elem onnxio.DataType) error {
	if err := c.need(xi, wi); err != nil {
		return err
	}
	x, w := c.in(xi), c.in(wi)
	if !w.Known {
		if x.Known {
			c.outRank(0, elem, len(x.Dims))
		} else {
			c.outUnknown(0, elem)
		}
		return nil
	}
	if len(w.Dims) < 3 {
		return fmt.Errorf("the weight %s must have at least 3 axes", c.show(wi))
	}
	if x.Known && len(x.Dims) != len(w.Dims) {
		return fmt.Errorf("the input %s and the weight %s must have the same number of axes", c.show(xi), c.show(wi))
	}
	win, err := c.window(w.Dims[2:], len(w.Dims)-2)
	if err != nil {
		return err
	}
	group := c.node.Int("group", 1)
	if err := c.checkConvChannels(xi, wi, bias, group); err != nil {
		return err
	}
	out := c.dims(len(w.Dims))
	out[1] = w.Dims[0]
	if !x.Known {
		if c.node.Output(0) != nil {
			for i := range out {
				if i != 1 {
					out[i] = c.freshOut(0, i)
				}
			}
		}
		c.out(0, elem, out)
		return nil
	}
	out[0] = x.Dims[0]
	for i := range win.kernel {
		if out[2+i], err = win.size(x.Dims[2+i], i); err != nil {
			return err
		}
	}
	c.out(0, elem, out)
	return nil
}

func (c *call) checkConvChannels(xi, wi, bias int, group int64) error {
	x, w := c.in(xi), c.in(wi)
	if group < 1 {
		return fmt.Errorf("group is %d", group)
	}
	m, fixed := w.Dims[0].Const()
	if fixed && m%group != 0 {
		return fmt.Errorf("the %d filters of the weight %s can not be divided into %d groups", m, c.show(wi), group)
	}
	if x.Known && differ(x.Dims[1], w.Dims[1].Mul(Const(group))) {
		return fmt.Errorf("the input %s has %v channels, but the weight %s with group=%d takes %v", c.show(xi), x.Dims[1],
			c.show(wi), group, w.Dims[1].Mul(Const(group)))
	}
	return c.checkVector(bias, w.Dims[0], "the bias", "the filters of the weight")
}

// checkVector reports an error when an optional input is known not to be a vector of that length.
func (c *call) checkVector(i int, n Dim, what, of string) error {
	if i < 0 || !c.has(i) {
		return nil
	}
	in := c.in(i)
	if in.Known && (len(in.Dims) != 1 || differ(in.Dims[0], n)) {
		return fmt.Errorf("%s %s must be a vector of length %v, the number of %s", what, c.show(i), n, of)
	}
	return nil
}

func convInteger(c *call) error { return c.conv(0, 1, -1, onnxio.Int32) }

func qlinearConv(c *call) error {
	elem := c.in(7).Elem
	if elem == onnxio.Undefined {
		elem = c.in(0).Elem
	}
	if err := c.need(0, 1, 2, 3, 4, 5, 6, 7); err != nil {
		return err
	}
	if c.node.Int("channels_last", 0) != 0 {
		c.outUnknown(0, elem)
		return nil
	}
	return c.conv(0, 3, 8, elem)
}

// convTranspose: W is [C, M/group, kernel...]; out = stride*(in-1) + output_padding + window - pads, unless output_shape
// says it, or auto_pad makes it in*stride.
func convTranspose(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	x, w := c.in(0), c.in(1)
	if !w.Known {
		if x.Known {
			c.outRank(0, x.Elem, len(x.Dims))
		} else {
			c.outUnknown(0, x.Elem)
		}
		return nil
	}
	if len(w.Dims) < 3 || x.Known && len(x.Dims) != len(w.Dims) {
		return fmt.Errorf("the input %s and the weight %s must have the same number of axes, at least 3", c.show(0), c.show(1))
	}
	group := c.node.Int("group", 1)
	if group < 1 {
		return fmt.Errorf("group is %d", group)
	}
	if x.Known && differ(x.Dims[1], w.Dims[0]) {
		return fmt.Errorf("the input %s has %v channels, but the weight %s takes %v", c.show(0), x.Dims[1], c.show(1), w.Dims[0])
	}
	if n, ok := w.Dims[0].Const(); ok && n%group != 0 {
		return fmt.Errorf("the %d input channels of the weight %s can not be divided into %d groups", n, c.show(1), group)
	}
	win, err := c.window(w.Dims[2:], len(w.Dims)-2)
	if err != nil {
		return err
	}
	out := c.dims(len(w.Dims))
	out[1] = w.Dims[1].Mul(Const(group))
	if err := c.checkVector(2, out[1], "the bias", "output channels"); err != nil {
		return err
	}
	if !x.Known {
		if c.node.Output(0) != nil {
			for i := range out {
				if i != 1 {
					out[i] = c.freshOut(0, i)
				}
			}
		}
		c.out(0, x.Elem, out)
		return nil
	}
	out[0] = x.Dims[0]
	if err := win.grow(c, x.Dims[2:], out[2:]); err != nil {
		return err
	}
	c.out(0, x.Elem, out)
	return nil
}

// grow sets the spatial extents that come out of a transposed convolution.
func (w *window) grow(c *call, in, out []Dim) error {
	n := len(in)
	if shape, ok := c.node.Ints("output_shape"); ok && len(shape) > 0 {
		if len(shape) == n+2 { // some exporters write batch and channels as well
			shape = shape[2:]
		}
		if len(shape) != n {
			return fmt.Errorf("output_shape %v has %d entries, want %d", shape, len(shape), n)
		}
		copy(out, c.constDims(shape))
		return nil
	}
	extra, err := c.perAxis("output_padding", n, 0)
	if err != nil {
		return err
	}
	for i := range in {
		stride := Const(w.strides[i])
		if w.auto == "SAME_UPPER" || w.auto == "SAME_LOWER" {
			out[i] = in[i].Mul(stride)
			continue
		}
		out[i] = in[i].Sub(Const(1)).Mul(stride).Add(Const(extra[i] - w.pads[i] - w.pads[n+i])).Add(w.span(i))
		if size, ok := out[i].Const(); ok && size < 0 {
			return fmt.Errorf("the output extent along spatial axis %d comes out as %d", i, size)
		}
	}
	return nil
}

// causalConv: a depthwise convolution over the last axis that keeps its length; the state holds the last kernel-1 inputs.
func causalConv(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	x, w := c.in(0), c.in(1)
	c.outShape(0, x.Elem, x)
	if !x.Known || !w.Known || len(x.Dims) < 2 || len(w.Dims) != 3 {
		c.outUnknown(1, x.Elem)
		return nil
	}
	state := cloneDims(x.Dims)
	state[len(state)-1] = w.Dims[2].Sub(Const(1))
	c.out(1, x.Elem, state)
	return nil
}
