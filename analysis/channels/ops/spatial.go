package ops

// Operators that work on places, channel by channel: pooling, resizing, sampling. Batch and channels pass, the axes of
// places are pinned.

func init() {
	pool := Rule{Title: "batch and channels pass", Flow: flowPool}
	all(pool, "MaxPool", "AveragePool", "LpPool", "GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
	for _, op := range []string{"QLinearGlobalAveragePool", "QLinearAveragePool"} {
		register("com.microsoft", op, pool)
	}
	resize := Rule{Title: "axes of unchanged size pass", Flow: flowResize, Mend: mendResize}
	all(resize, "Resize", "Upsample")
	roi := Rule{Title: "channels pass", Flow: func(c *Context) {
		c.Ignore("mode", "output_height", "output_width", "sampling_ratio", "spatial_scale", "coordinate_transformation_mode", "pooled_shape")
		passChannels(c, 1, false)
	}}
	all(roi, "RoiAlign", "MaxRoiPool")
	register("", "GridSample", Rule{Title: "channels pass", Flow: func(c *Context) {
		c.Ignore("mode", "padding_mode", "align_corners")
		passChannels(c, 1, false)
	}})
}

// passChannels passes axis 1 of the first input, and axis 0 if batch is set; all else is pinned.
func passChannels(c *Context, operandsFrom int, batch bool) {
	x := c.In(0)
	if len(x) < 2 {
		c.Barrier("its input has rank %d", len(x))
		return
	}
	c.pinSpatial(0, 2)
	for i := operandsFrom; i < len(c.Node.Inputs); i++ {
		c.PinAll(i, "it is an operand of %s that holds places, not channels", c.Node.Title())
	}
	out := Fixed(c.OutInfo(0).Rank())
	if len(out) < 2 {
		c.Barrier("the rank of its output is not known")
		return
	}
	if out[1] = x[1]; batch {
		out[0] = x[0]
	} else {
		c.Pin(x[0], "it is the batch axis of %s", c.Node.Title())
	}
	c.Out(0, out)
}

func flowPool(c *Context) {
	c.Ignore("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides", "count_include_pad", "p", "channels_last")
	if c.Int("channels_last", 0) != 0 {
		c.Barrier("its channels come last")
		return
	}
	passChannels(c, 1, true)
	if v := c.Node.Output(1); v != nil && (len(v.Uses) > 0 || v.Output) {
		c.Pin(c.In(0)[1], "the indices that %s returns count all channels", c.Node.Title())
	}
}

func flowResize(c *Context) {
	c.Ignore("mode", "scales", "height_scale", "width_scale", "axes", "antialias", "coordinate_transformation_mode", "cubic_coeff_a", "exclude_outside",
		"extrapolation_value", "keep_aspect_ratio_policy", "nearest_mode")
	x := c.In(0)
	in, out := c.Info(0), c.OutInfo(0)
	if len(x) != out.Rank() {
		c.Barrier("the rank of its output is not known")
		return
	}
	axes := Fixed(len(x))
	for k, a := range x {
		if in.Dims[k].Equal(out.Dims[k]) {
			axes[k] = a
		} else {
			c.Pin(a, "%s changes its size", c.Node.Title())
		}
	}
	c.Out(0, axes)
}

// mendResize corrects the operand that holds output sizes.
func mendResize(m *Mend) {
	sizes := 3
	if m.Node.Op != "Resize" || m.Node.Version < 11 || m.Node.Input(sizes) == nil {
		return
	}
	axes, ok := m.Node.Ints("axes")
	if !ok {
		for k := range m.Shapes.Of(m.Node.Output(0)).Rank() {
			axes = append(axes, int64(k))
		}
	}
	for i, a := range axes {
		if a < 0 {
			a += int64(m.Shapes.Of(m.Node.Output(0)).Rank())
		}
		if want, changed, ok := m.Out(0, int(a)); ok && changed {
			m.Demand(sizes, i, want)
		}
	}
}
