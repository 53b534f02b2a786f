package kernels

import (
	"math/rand/v2"
	"strings"
	"testing"
)

func TestGemmInt32SubtractsZeroPoints(t *testing.T) {
	a := []uint8{1, 2, 3, 4, 5, 6} // 2x3
	b := []int8{1, -1, 2, 0, 3, 4} // 3x2
	c := make([]int32, 4)
	GemmInt32(nil, 2, 2, 3, a, 3, []uint8{2}, b, 2, []int8{1, -1}, c, 2)
	// A-2 = [-1 0 1; 2 3 4], B-[1 -1] = [0 0; 1 1; 2 5]
	for i, want := range []int32{2, 5, 11, 23} {
		if c[i] != want {
			t.Errorf("element %d is %d, want %d", i, c[i], want)
		}
	}
	GemmInt32(nil, 2, 2, 3, a, 3, []uint8{1, 4}, b, 2, nil, c, 2)
	// A-[1;4] = [0 1 2; 0 1 2], B = [1 -1; 2 0; 3 4]
	for i, want := range []int32{8, 8, 8, 8} {
		if c[i] != want {
			t.Errorf("element %d is %d, want %d", i, c[i], want)
		}
	}
}

func TestGemmInt32IsExactAtTheExtremes(t *testing.T) {
	// All differences 255: k*255*255, far beyond what one float32 sum could hold.
	inEveryTier(t, func(t *testing.T) {
		for _, k := range []int{0, 1, 255, 256, 257, 5000} {
			m, n := 3, 17
			a, b, c := make([]uint8, m*k), make([]int8, k*n), make([]int32, m*n)
			for i := range a {
				a[i] = 255
			}
			for i := range b {
				b[i] = 127
			}
			GemmInt32(nil, m, n, k, a, k, nil, b, n, []int8{-128}, c, n)
			for i, v := range c {
				if v != int32(k*255*255) {
					t.Fatalf("k %d: element %d is %d, want %d", k, i, v, k*255*255)
				}
			}
		}
	})
}

func TestConvIntAgreesWithItsDefinition(t *testing.T) {
	inEveryTier(t, func(t *testing.T) {
		for _, test := range convCases {
			if strings.Contains(test.name, "Winograd") {
				continue // never taken, as integers ask for exactness
			}
			t.Run(test.name, func(t *testing.T) { checkConvInt(t, test.conv, test.n, test.in) })
		}
	})
}

func checkConvInt(t *testing.T, c Conv, n int, in []int) {
	c, err := c.withDefaults()
	must(t, err)
	out, err := c.OutSpatial(in)
	must(t, err)
	r := rand.New(rand.NewPCG(1, 2))
	perGroup, taps := c.InChannels/c.Groups, volume(c.Kernel)
	x, w := make([]uint8, n*c.InChannels*volume(in)), make([]int8, c.OutChannels*perGroup*taps)
	zeros := make([]int8, c.OutChannels)
	for i := range x {
		x[i] = uint8(r.IntN(256))
	}
	for i := range w {
		w[i] = int8(r.IntN(256) - 128)
	}
	for i := range zeros {
		zeros[i] = int8(r.IntN(256) - 128)
	}
	y := make([]int32, n*c.OutChannels*volume(out))
	plan, err := NewConvInt(c, w, zeros)
	must(t, err)
	must(t, RunConvInt(plan, nil, x, 77, n, in, y))
	outAt, tapAt := make([]int, len(out)), make([]int, len(out))
	for i := range y {
		channel, o := i/volume(out)%c.OutChannels, i%volume(out)
		image := i / volume(out) / c.OutChannels
		unravel(o, out, outAt)
		var want int32
		for ic := range perGroup {
			plane := (image*c.InChannels + channel/(c.OutChannels/c.Groups)*perGroup + ic) * volume(in)
			for tap := range taps {
				unravel(tap, c.Kernel, tapAt)
				if q, inside := c.inputAt(outAt, tapAt, in); inside {
					want += (int32(x[plane+q]) - 77) * (int32(w[(channel*perGroup+ic)*taps+tap]) - int32(zeros[channel]))
				}
			}
		}
		if y[i] != want {
			t.Fatalf("element %d is %d, want %d", i, y[i], want)
		}
	}
}

func TestConvIntIsExactAtTheExtremes(t *testing.T) {
	// All differences 255, in as many terms as given: far beyond what one float32 sum could hold.
	inEveryTier(t, func(t *testing.T) {
		for _, test := range []struct{ channels, kernel, groups int }{{1, 20, 1}, {64, 3, 1}, {1000, 1, 1}, {80, 3, 2}, {3, 300, 1}} {
			c := Conv{Kernel: []int{test.kernel}, Groups: test.groups, InChannels: test.channels, OutChannels: 2}
			if test.kernel == 3 {
				c.Kernel = []int{3, 3}
			}
			terms, in := test.channels/test.groups*volume(c.Kernel), c.Kernel
			x, w := make([]float32, test.channels*volume(in)), make([]uint8, 2*terms)
			for i := range x {
				x[i] = 255
			}
			for i := range w {
				w[i] = 255
			}
			plan, err := NewConvInt(c, w, nil)
			must(t, err)
			y := make([]int32, 2)
			must(t, plan.Run(nil, x, 1, in, y))
			if want := int32(terms * 255 * 255); y[0] != want || y[1] != want {
				t.Errorf("%+v: %v, want %d", test, y, want)
			}
		}
	})
}
