package kernels

// Convolutions, transposed convolutions and pooling of arbitrary small shapes,
// against their definitions: what no one thought of writing down as a case.

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// randomConv draws a convolution and an input size for which it has an output.
func randomConv(r *rand.Rand) (c Conv, in []int) {
	for {
		rank := 1 + r.IntN(3)
		c, in = Conv{Groups: 1 + r.IntN(3)}, nil
		for range rank {
			c.Kernel = append(c.Kernel, 1+r.IntN(5))
			c.Strides = append(c.Strides, 1+r.IntN(3))
			c.Dilations = append(c.Dilations, 1+r.IntN(2))
			c.PadsBegin = append(c.PadsBegin, r.IntN(5)-1)
			c.PadsEnd = append(c.PadsEnd, r.IntN(5)-1)
			in = append(in, 1+r.IntN(70/(rank*rank)))
		}
		perGroup := 1 + r.IntN(6)
		if r.IntN(3) == 0 {
			perGroup = 1
		}
		c.InChannels, c.OutChannels = c.Groups*perGroup, c.Groups*(1+r.IntN(20))
		if out, err := c.OutSpatial(in); err == nil && volume(out) > 0 {
			return c, in
		}
	}
}

func TestConvOfRandomShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 150 {
		c, in := randomConv(r)
		t.Run(fmt.Sprintf("%+v of %v", c, in), func(t *testing.T) { checkConv(t, c, 1+r.IntN(2), in) })
	}
}

func TestConvTransposeOfRandomShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for range 100 {
		c, in := randomConv(r)
		transposed := ConvTranspose{Kernel: c.Kernel, Strides: c.Strides, Dilations: c.Dilations, PadsBegin: c.PadsBegin,
			PadsEnd: c.PadsEnd, Groups: c.Groups, InChannels: c.InChannels, OutChannels: c.OutChannels}
		t.Run(fmt.Sprintf("%+v of %v", transposed, in), func(t *testing.T) {
			inEveryTier(t, func(t *testing.T) { checkConvTranspose(t, transposed, 1, in) })
		})
	}
}

func TestPoolingOfRandomShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	for range 150 {
		c, in := randomConv(r)
		out, err := c.OutSpatial(in)
		must(t, err)
		for d := range out { // one more, as rounding up gives, or one less
			out[d] = max(1, out[d]+r.IntN(3)-1)
			c.PadsBegin[d], c.PadsEnd[d] = max(0, c.PadsBegin[d]), max(0, c.PadsEnd[d])
		}
		w := Window{Kernel: c.Kernel, Strides: c.Strides, Dilations: c.Dilations, PadsBegin: c.PadsBegin, PadsEnd: c.PadsEnd}
		t.Run(fmt.Sprintf("%+v from %v to %v", w, in, out), func(t *testing.T) {
			inEveryTier(t, func(t *testing.T) { checkPooling(t, w, 1+r.IntN(3), in, out) })
		})
	}
}
