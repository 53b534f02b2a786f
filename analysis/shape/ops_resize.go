package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Interpolation: Resize and its forerunner Upsample, and sampling at grids.

var resizing = &family{"", []entry{
	{"Upsample", 1, upsample}, {"Resize", 10, resize}, {"GridSample", 16, gridSample}, {"AffineGrid", 20, affineGrid},
}}

var resizingMicrosoft = &family{"com.microsoft", []entry{{"GridSample", 1, gridSample}}}

func upsample(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if c.version() >= 9 {
		if err := c.need(1); err != nil {
			return err
		}
		return c.scale(in, c.in(1).Nums, nil)
	}
	var scales []Num
	if a := c.node.Attr("scales"); a != nil {
		for _, f := range a.Floats {
			scales = append(scales, FloatNum(float64(f)))
		}
	} else { // opset 1
		one := IntNum(Const(1))
		scales = []Num{one, one, FloatNum(float64(c.node.Float("height_scale", 1))), FloatNum(float64(c.node.Float("width_scale", 1)))}
	}
	return c.scale(in, scales, nil)
}

// resize: inputs are X, scales (opset 10); X, roi, scales, sizes (11), of which scales or sizes is empty or absent.
func resize(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if c.version() < 11 {
		if err := c.need(1); err != nil {
			return err
		}
		return c.scale(in, c.in(1).Nums, nil)
	}
	axes, _ := c.node.Ints("axes")
	empty := func(i int) bool {
		n, ok := c.in(i).Fixed(0)
		return !c.has(i) || ok && n == 0
	}
	if !empty(3) {
		return c.resizeTo(in, c.in(3).Nums, axes)
	}
	if empty(2) {
		return fmt.Errorf("it has neither scales nor sizes")
	}
	return c.scale(in, c.in(2).Nums, axes)
}

// scale: an extent becomes floor(extent * scale).
func (c *call) scale(in *Info, scales []Num, axes []int64) error {
	if !in.Known {
		if scales != nil && axes == nil {
			c.outRank(0, in.Elem, len(scales))
		} else {
			c.outUnknown(0, in.Elem)
		}
		return nil
	}
	if scales == nil {
		c.outRank(0, in.Elem, len(in.Dims))
		return nil
	}
	tf := c.node.Text("coordinate_transformation_mode", "") == "tf_crop_and_resize"
	return c.perAxisOut(in, scales, axes, func(d Dim, s Num) (Dim, bool) {
		if tf && !s.Equal(IntNum(Const(1))) {
			return Dim{}, false // the region of interest counts too
		}
		return scaled(d, s)
	})
}

// scaled returns floor(d * s). A fixed extent is computed in float32, as runtimes do.
func scaled(d Dim, s Num) (Dim, bool) {
	if n, ok := d.Const(); ok {
		if f, ok := s.Float(); ok {
			return Const(int64(float32(n) * float32(f))), true
		}
	}
	out := floorNum(mulNum(IntNum(d), s, onnxio.Float))
	return out.Int()
}

// perAxisOut sets output 0 to the input's shape with the listed axes (nil: all) changed.
func (c *call) perAxisOut(in *Info, amounts []Num, axes []int64, f func(Dim, Num) (Dim, bool)) error {
	out := c.dims(len(in.Dims))
	copy(out, in.Dims)
	n := len(axes)
	if axes == nil {
		n = len(in.Dims)
	}
	if len(amounts) != n {
		return fmt.Errorf("%d scales or sizes are given for %d axes of %s", len(amounts), n, c.show(0))
	}
	for i := range amounts {
		a := i
		if axes != nil {
			var err error
			if a, err = axis(axes[i], len(in.Dims)); err != nil {
				return err
			}
		}
		d, ok := f(in.Dims[a], amounts[i])
		if !ok {
			d = c.freshOut(0, a)
		}
		out[a] = d
	}
	c.out(0, in.Elem, out)
	return nil
}

// resizeTo: the extents are given. With a keep_aspect_ratio_policy one common scale is used, from the smallest
// or greatest ratio, and extents are rounded to nearest.
func (c *call) resizeTo(in *Info, sizes []Num, axes []int64) error {
	if !in.Known {
		if sizes != nil && axes == nil {
			c.outRank(0, in.Elem, len(sizes))
		} else {
			c.outUnknown(0, in.Elem)
		}
		return nil
	}
	if sizes == nil {
		c.outRank(0, in.Elem, len(in.Dims))
		return nil
	}
	policy := c.node.Text("keep_aspect_ratio_policy", "stretch")
	if policy == "stretch" {
		return c.perAxisOut(in, sizes, axes, func(_ Dim, s Num) (Dim, bool) { return s.Int() })
	}
	scale, ok := c.commonScale(in, sizes, axes, policy == "not_smaller")
	return c.perAxisOut(in, sizes, axes, func(d Dim, _ Num) (Dim, bool) {
		n, fixed := d.Const()
		if !ok || !fixed {
			return Dim{}, false
		}
		return Const(int64(scale*float64(n) + 0.5)), true
	})
}

func (c *call) commonScale(in *Info, sizes []Num, axes []int64, greatest bool) (float64, bool) {
	scale := 0.0
	for i, s := range sizes {
		a := i
		if axes != nil {
			var err error
			if a, err = axis(axes[i], len(in.Dims)); err != nil {
				return 0, false
			}
		}
		if a >= len(in.Dims) {
			return 0, false
		}
		have, ok := in.Dims[a].Const()
		want, fine := s.Float()
		if !ok || !fine || have == 0 {
			return 0, false
		}
		if r := want / float64(have); i == 0 || greatest == (r > scale) {
			scale = r
		}
	}
	return scale, true
}

// gridSample: X is [N, C, in...], the grid [N, out..., axes]; the output is [N, C, out...].
func gridSample(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	x, grid := c.in(0), c.in(1)
	rank := max(x.Rank(), grid.Rank())
	if rank < 0 {
		c.outUnknown(0, x.Elem)
		return nil
	}
	if rank < 3 || x.Known && grid.Known && len(x.Dims) != len(grid.Dims) {
		return fmt.Errorf("the input %s and the grid %s do not fit", c.show(0), c.show(1))
	}
	out := c.dims(rank)
	for i := range out {
		out[i] = c.freshOut(0, i)
	}
	if x.Known {
		copy(out, x.Dims[:2])
	}
	if grid.Known {
		copy(out[2:], grid.Dims[1:rank-1])
	}
	c.out(0, x.Elem, out)
	return nil
}

// affineGrid: theta [N, 2, 3] and size [N, C, H, W] give [N, H, W, 2]; in three dimensions [N, D, H, W, 3].
func affineGrid(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	theta, sizes := c.in(0), c.in(1)
	n, ok := sizes.Fixed(0)
	if !ok || n < 4 || n > 5 {
		c.outUnknown(0, theta.Elem)
		return nil
	}
	nums := make([]Num, n)
	if sizes.Nums != nil {
		copy(nums, sizes.Nums)
	}
	out := c.dims(int(n))
	for i := range out {
		from := i
		if i > 0 {
			from = i + 1
		}
		if from == int(n) {
			out[i] = Const(n - 2)
		} else if d, ok := nums[from].Int(); ok {
			out[i] = d
		} else {
			out[i] = c.freshOut(0, i)
		}
	}
	c.out(0, theta.Elem, out)
	return nil
}
