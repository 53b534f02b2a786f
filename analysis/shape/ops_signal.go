package shape

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// Signals, images and text.

var signal = &family{"", []entry{
	{"DFT", 17, dft}, {"STFT", 17, stft}, {"HannWindow", 17, windowFunction}, {"HammingWindow", 17, windowFunction},
	{"BlackmanWindow", 17, windowFunction}, {"MelWeightMatrix", 17, melWeights}, {"Col2Im", 18, col2Im}, {"ImageDecoder", 20, imageDecoder},
	{"StringNormalizer", 10, stringNormalizer}, {"StringConcat", 20, pairwise(unknownNum)}, {"StringSplit", 20, stringSplit},
	{"RegexFullMatch", 20, sameAs(onnxio.Bool)}, {"TfIdfVectorizer", 9, tfIdf},
}}

var signalMicrosoft = &family{"com.microsoft", []entry{{"Rfft", 1, barrier}, {"Irfft", 1, barrier}}}

// dft: the signal axis becomes dft_length long (half of it and one for onesided); the last axis holds real and imaginary
// parts. The axis is attribute axis before opset 20 and input 2 from it on.
func dft(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known {
		c.outUnknown(0, in.Elem)
		return nil
	}
	rank := len(in.Dims)
	at := c.node.Int("axis", 1)
	if c.version() >= 20 {
		at = -2
		if c.has(2) {
			vs, ok := c.in(2).Ints()
			if !ok || len(vs) != 1 {
				c.outRank(0, in.Elem, rank)
				return nil
			}
			at = vs[0]
		}
	}
	a, err := axis(at, rank)
	if err != nil {
		return err
	}
	out := cloneDims(in.Dims)
	inverse, onesided := c.node.Int("inverse", 0) != 0, c.node.Int("onesided", 0) != 0
	if c.has(1) {
		if out[a] = c.freshOut(0, a); len(c.in(1).Nums) == 1 {
			if d, ok := c.in(1).Nums[0].Int(); ok {
				out[a] = d
			}
		}
	} else if inverse && onesided {
		out[a] = out[a].Sub(Const(1)).Mul(Const(2))
	}
	last := Const(2)
	if onesided && inverse {
		last = Const(1)
	} else if onesided {
		out[a] = out[a].FloorDiv(Const(2)).Add(Const(1))
	}
	out[rank-1] = last
	c.out(0, in.Elem, out)
	return nil
}

// stft: signal, step, window, length. The output is [batch, frames, bins, 2].
func stft(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	in := c.in(0)
	if c.node.Output(0) == nil {
		return nil
	}
	out := []Dim{c.freshOut(0, 0), c.freshOut(0, 1), c.freshOut(0, 2), Const(2)}
	c.out(0, in.Elem, out)
	if !in.Known {
		return nil
	}
	if len(in.Dims) < 2 {
		return fmt.Errorf("the signal %s must have at least 2 axes", c.show(0))
	}
	out[0] = in.Dims[0]
	length, known := Dim{}, false
	if nums := c.in(3).Nums; c.has(3) && len(nums) == 1 {
		length, known = nums[0].Int()
	} else if !c.has(3) && c.in(2).Rank() == 1 {
		length, known = c.in(2).Dims[0], true
	}
	if !known {
		return nil
	}
	if out[2] = length; c.node.Int("onesided", 1) != 0 {
		out[2] = length.FloorDiv(Const(2)).Add(Const(1))
	}
	if nums := c.in(1).Nums; len(nums) == 1 {
		if step, ok := nums[0].fixedInt(); ok && step > 0 {
			out[1] = in.Dims[1].Sub(length).FloorDiv(Const(step)).Add(Const(1))
		}
	}
	return nil
}

func windowFunction(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	elem := onnxio.DataType(c.node.Int("output_datatype", int64(onnxio.Float)))
	c.outRank(0, elem, 1)
	if nums := c.in(0).Nums; len(nums) == 1 {
		if d, ok := nums[0].Int(); ok {
			c.out(0, elem, []Dim{d})
		}
	}
	return nil
}

// melWeights: [dft_length/2+1, mel bins].
func melWeights(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	elem := onnxio.DataType(c.node.Int("output_datatype", int64(onnxio.Float)))
	if c.node.Output(0) == nil {
		return nil
	}
	out := []Dim{c.freshOut(0, 0), c.freshOut(0, 1)}
	if nums := c.in(0).Nums; len(nums) == 1 {
		if d, ok := nums[0].Int(); ok {
			out[1] = d
		}
	}
	if nums := c.in(1).Nums; len(nums) == 1 {
		if d, ok := nums[0].Int(); ok {
			out[0] = d.FloorDiv(Const(2)).Add(Const(1))
		}
	}
	c.out(0, elem, out)
	return nil
}

// col2Im: [N, C*block, L] becomes [N, C, image...]; inputs 1 and 2 are the extents of image and block.
func col2Im(c *call) error {
	if err := c.need(0, 1, 2); err != nil {
		return err
	}
	if err := c.wantRank(0, 3); err != nil {
		return err
	}
	in, image, block := c.in(0), c.in(1), c.in(2)
	n, ok := image.Fixed(0)
	if !ok || c.node.Output(0) == nil || n > 64 {
		c.outUnknown(0, in.Elem)
		return nil
	}
	out := c.dims(int(n) + 2)
	for i := range out {
		out[i] = c.freshOut(0, i)
	}
	for i := range image.Nums {
		if d, ok := image.Nums[i].Int(); ok {
			out[2+i] = d
		}
	}
	if in.Known {
		out[0] = in.Dims[0]
		if sizes, ok := block.Ints(); ok {
			total := Const(1)
			for _, k := range sizes {
				total = total.Mul(Const(k))
			}
			if q, ok := in.Dims[1].DivExact(total); ok {
				out[1] = q
			} else if in.Dims[1].constant() {
				return fmt.Errorf("axis 1 of %s can not be divided into blocks of %v", c.show(0), sizes)
			}
		}
	}
	c.out(0, in.Elem, out)
	return nil
}

func imageDecoder(c *call) error {
	if c.node.Output(0) == nil {
		return nil
	}
	channels := Const(3)
	if c.node.Text("pixel_format", "RGB") == "Grayscale" {
		channels = Const(1)
	}
	c.out(0, onnxio.Uint8, []Dim{c.freshOut(0, 0), c.freshOut(0, 1), channels})
	return nil
}

// stringNormalizer drops stop words: [C] or [1, C], where C may shrink.
func stringNormalizer(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	if !in.Known || c.node.Output(0) == nil || len(in.Dims) == 0 {
		c.outUnknown(0, onnxio.String)
		return nil
	}
	out := cloneDims(in.Dims)
	if _, stops := c.node.Ints("stopwords"); stops || c.node.Attr("stopwords") != nil {
		out[len(out)-1] = c.freshOut(0, len(out)-1)
	}
	c.out(0, onnxio.String, out)
	return nil
}

// stringSplit: the parts along a new last axis, and their numbers.
func stringSplit(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	c.outShape(1, onnxio.Int64, in)
	if !in.Known || c.node.Output(0) == nil {
		c.outUnknown(0, onnxio.String)
		return nil
	}
	c.out(0, onnxio.String, append(cloneDims(in.Dims), c.freshOut(0, len(in.Dims))))
	return nil
}

// tfIdf: the last axis becomes one entry per n-gram.
func tfIdf(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	in := c.in(0)
	index, ok := c.node.Ints("ngram_indexes")
	if !in.Known || len(in.Dims) == 0 || !ok {
		c.outUnknown(0, onnxio.Float)
		return nil
	}
	greatest := int64(-1)
	for _, k := range index {
		greatest = max(greatest, min(k, math.MaxInt32))
	}
	out := cloneDims(in.Dims)
	out[len(out)-1] = Const(greatest + 1)
	c.out(0, onnxio.Float, out)
	return nil
}
