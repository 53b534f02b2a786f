package testmodels

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
)

// This file builds ResNet-50 as PaddleDetection's R-CNNs have it: batch normalisation frozen into a scale
// and an offset per channel (affine_channel), the stride on the 3x3 convolution, names of its parameters.

// resnet writes layers whose widths are divided.
type resnet struct {
	b       *Builder
	divisor int
	affine  []int64 // dims of scale and offset before the channel's and the two 1 of height and width
}

// once adds a weight where it is not yet made: stage 5 is used more than once, with the same weights.
// Weights belong to the main graph.
func (r resnet) once(name string, dims []int64, mean, deviation float64) string {
	main := r.b
	for main.outer != nil {
		main = main.outer
	}
	if main.made[name] {
		return name
	}
	return main.drawn(onnxio.Float, name, dims, mean, deviation)
}

// conv is a convolution without bias and its affine_channel. Names end in "_weights", "_scale" and "_offset".
func (r resnet) conv(name, norm, x string, in, out, k, stride int, gain float64) string {
	if in != 3 {
		in /= r.divisor
	}
	c := int64(out / r.divisor)
	w := r.once(name+"_weights", []int64{c, int64(in), int64(k), int64(k)}, 0, math.Sqrt(2/float64(in*k*k)))
	_, attrs := convOpts(k, k/2, []ConvOption{Stride(stride)})
	x = r.b.Named(name).Node("Conv", []string{x, w}, attrs)
	dims := append(append([]int64{}, r.affine...), c, 1, 1)
	x = r.b.Mul(x, r.once(norm+"_scale", dims, gain, gain/10))
	return r.b.Add(x, r.once(norm+"_offset", dims, 0, 0.1))
}

// stem is the first convolution and the pooling, to stride 4.
func (r resnet) stem(x string) string {
	x = r.b.Relu(r.conv("conv1", "bn_conv1", x, 3, 64, 7, 2, 1))
	return r.b.MaxPool(x, 3, 2, Pad(1))
}

// stage is one of the stages 2 to 5.
func (r resnet) stage(stage int, x string) string {
	blocks := map[int]int{2: 3, 3: 4, 4: 6, 5: 3}[stage]
	f := 64 << (stage - 2)
	in := 2 * f
	if stage == 2 {
		in = 64
	}
	for i := range blocks {
		id := fmt.Sprintf("%d%c", stage, 'a'+i)
		stride := 1
		if i == 0 && stage > 2 {
			stride = 2
		}
		y := r.b.Relu(r.conv("res"+id+"_branch2a", "bn"+id+"_branch2a", x, in, f, 1, 1, 1))
		y = r.b.Relu(r.conv("res"+id+"_branch2b", "bn"+id+"_branch2b", y, f, f, 3, stride, 1))
		// a small gain keeps the sum of many blocks in range
		y = r.conv("res"+id+"_branch2c", "bn"+id+"_branch2c", y, f, 4*f, 1, 1, 0.3)
		if i == 0 {
			x = r.conv("res"+id+"_branch1", "bn"+id+"_branch1", x, in, 4*f, 1, stride, 1)
		}
		x, in = r.b.Relu(r.b.Add(x, y)), 4*f
	}
	return x
}
