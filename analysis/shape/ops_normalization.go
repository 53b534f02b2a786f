package shape

import (
	"fmt"

	"onnxprune/onnxio"
)

// Normalisations keep the shape; what is checked and what else comes out differs.

var normalization = &family{"", []entry{
	{"BatchNormalization", 1, batchNorm}, {"InstanceNormalization", 1, channelNorm}, {"GroupNormalization", 18, groupNorm},
	{"LayerNormalization", 1, layerNorm}, {"RMSNormalization", 23, layerNorm}, {"SimplifiedLayerNormalization", 1, layerNorm},
	{"LpNormalization", 1, same}, {"MeanVarianceNormalization", 1, same}, {"LRN", 1, same},
	{"Softmax", 1, same}, {"LogSoftmax", 1, same}, {"Hardmax", 1, same},
}}

var normalizationMicrosoft = &family{"com.microsoft", []entry{
	{"LayerNormalization", 1, layerNorm}, {"SimplifiedLayerNormalization", 1, layerNorm},
	{"SkipLayerNormalization", 1, skipNorm}, {"SkipSimplifiedLayerNormalization", 1, skipNorm},
	{"GroupNorm", 1, same}, {"SkipGroupNorm", 1, same}, {"EmbedLayerNormalization", 1, embedNorm},
}}

func batchNorm(c *call) error {
	if err := c.need(0, 1, 2, 3, 4); err != nil {
		return err
	}
	x := c.in(0)
	c.outShape(0, x.Elem, x)
	channels, known := Dim{}, false
	if x.Known {
		channels, known = Const(1), true
		if len(x.Dims) > 1 {
			channels = x.Dims[1]
		}
	}
	names := [...]string{1: "the scale", 2: "the bias", 3: "the mean", 4: "the variance"}
	perChannel := c.version() >= 9 || c.node.Int("spatial", 1) != 0
	for i := 1; i <= 4; i++ {
		v := c.in(i)
		if known && perChannel {
			if err := c.checkVector(i, channels, names[i], "channels of "+c.show(0)); err != nil {
				return err
			}
		}
		if v.Known && len(v.Dims) == 1 && !known {
			channels, known = v.Dims[0], true
		}
	}
	for i := 1; i < len(c.node.Outputs); i++ { // training: running and saved mean and variance
		if c.node.Outputs[i] != nil {
			c.outShape(i, c.in(3).Elem, c.in(3))
		}
	}
	return nil
}

func channelNorm(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	x := c.in(0)
	c.outShape(0, x.Elem, x)
	if !x.Known {
		return nil
	}
	if len(x.Dims) < 2 {
		return fmt.Errorf("the input %s must have at least 2 axes", c.show(0))
	}
	if err := c.checkVector(1, x.Dims[1], "the scale", "channels of "+c.show(0)); err != nil {
		return err
	}
	return c.checkVector(2, x.Dims[1], "the bias", "channels of "+c.show(0))
}

// groupNorm has one scale and bias per group before opset 21, one per channel from it on.
func groupNorm(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	x := c.in(0)
	c.outShape(0, x.Elem, x)
	if !x.Known {
		return nil
	}
	if len(x.Dims) < 2 {
		return fmt.Errorf("the input %s must have at least 2 axes", c.show(0))
	}
	groups := c.node.Int("num_groups", 0)
	if groups < 1 {
		return fmt.Errorf("num_groups is %d", groups)
	}
	if n, ok := x.Dims[1].Const(); ok && n%groups != 0 {
		return fmt.Errorf("the %d channels of %s can not be divided into %d groups", n, c.show(0), groups)
	}
	n, of := x.Dims[1], "channels of "+c.show(0)
	if c.version() < 21 {
		n, of = Const(groups), "groups"
	}
	if err := c.checkVector(1, n, "the scale", of); err != nil {
		return err
	}
	return c.checkVector(2, n, "the bias", of)
}

// layerNorm: mean and inverse deviation have extent 1 along the axes that are normalised.
func layerNorm(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	x := c.in(0)
	c.outShape(0, x.Elem, x)
	stash := onnxio.DataType(c.node.Int("stash_type", int64(onnxio.Float)))
	if !x.Known {
		c.outUnknown(1, stash)
		c.outUnknown(2, stash)
		return nil
	}
	a, err := c.intAxis("axis", -1, len(x.Dims))
	if err != nil {
		return err
	}
	for _, i := range []int{1, 2} {
		in := c.in(i)
		if !c.has(i) || !in.Known {
			continue
		}
		if ds, ok := c.broadcast(x.Dims, in.Dims); !ok || len(ds) != len(x.Dims) {
			return fmt.Errorf("%s does not fit the axes from %d on of the input %s", c.show(i), a, c.show(0))
		}
	}
	reduced := cloneDims(x.Dims)
	for i := a; i < len(reduced); i++ {
		reduced[i] = Const(1)
	}
	c.out(1, stash, reduced)
	c.out(2, stash, reduced)
	return nil
}

// skipNorm adds a skip connection first; output 3 is that sum.
func skipNorm(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	x := c.in(0)
	c.outShape(0, x.Elem, x)
	c.outShape(3, x.Elem, x)
	if x.Known && len(x.Dims) > 0 {
		reduced := cloneDims(x.Dims)
		reduced[len(reduced)-1] = Const(1)
		c.out(1, onnxio.Float, reduced)
		c.out(2, onnxio.Float, reduced)
		if err := c.checkVector(2, x.Dims[len(x.Dims)-1], "the scale", "elements along the last axis of "+c.show(0)); err != nil {
			return err
		}
	}
	return nil
}

// embedNorm: ids [batch, length] become [batch, length, hidden]; the mask index is [batch].
func embedNorm(c *call) error {
	if err := c.need(0, 2); err != nil {
		return err
	}
	ids, words := c.in(0), c.in(2)
	if !ids.Known || !words.Known || len(ids.Dims) != 2 || len(words.Dims) != 2 {
		c.outUnknown(0, words.Elem)
		return nil
	}
	out := append(cloneDims(ids.Dims), words.Dims[1])
	c.out(0, words.Elem, out)
	c.out(1, onnxio.Int32, ids.Dims[:1])
	c.out(2, words.Elem, out)
	return nil
}
