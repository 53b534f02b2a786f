package testmodels

import (
	"fmt"

	"onnxprune/onnxio"
)

// SixConvolutions is PaddleSlim's test network (tests/test_prune.py): six 3x3 convolutions of 8 filters on
// [N,3,16,16], each with batch normalisation, and two residual additions, which tie conv1, conv2 and conv4
// into one group:
//
//	conv1 -> conv2;  sum1 = conv1 + conv2
//	conv3(sum1) -> conv4;  sum2 = conv4 + sum1
//	conv5(sum2) -> conv6
//
// Weights are "conv1_weights" and so on. The convolutions take 792 576 MACs.
func SixConvolutions() *Builder {
	b := New(17)
	layer := func(i, in int, x string) string {
		name := fmt.Sprintf("conv%d", i)
		w := b.Weight(name+"_weights", 8, int64(in), 3, 3)
		y := b.Named(name).Node("Conv", []string{x, w}, Attrs{"kernel_shape": []int{3, 3}, "pads": []int{1, 1, 1, 1}})
		return b.paddleBN(name+"_bn", y, 8, '_')
	}
	x := b.Input("image", onnxio.Float, "N", 3, 16, 16)
	conv1 := layer(1, 3, x)
	sum1 := b.Add(conv1, layer(2, 8, conv1))
	sum2 := b.Add(layer(4, 8, layer(3, 8, sum1)), sum1)
	b.Output(layer(6, 8, layer(5, 8, sum2)), onnxio.Float, "N", 8, 16, 16)
	return b
}

// paddleBN adds a batch normalisation with Paddle's names of its parameters; sep is "_" or ".".
func (b *Builder) paddleBN(name, x string, c int, sep rune) string {
	n, p := int64(c), name+string(sep)
	suffix := [2]string{"mean", "variance"}
	if sep == '.' {
		suffix = [2]string{"mean", "var"}
	}
	return b.Named(name).Node("BatchNormalization", []string{x, b.Vector(p+"scale", n, 1, 0.1), b.Vector(p+"offset", n, 0, 0.1),
		b.Vector(p+suffix[0], n, 0, 0.1), b.Vector(p+suffix[1], n, 1, 0.1)}, Attrs{"epsilon": 1e-5})
}
