package onnxio_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
)

// small describes a floating-point format by the definition of IEEE 754, so that conversions can be checked against it.
type small struct {
	name     string
	exponent int // bits
	fraction int
	widen    func(uint16) float32
	narrow   func(float32) uint16
}

var halves = []small{
	{"float16", 5, 10, onnxio.Float16ToFloat32, onnxio.Float32ToFloat16},
	{"bfloat16", 8, 7, onnxio.BFloat16ToFloat32, onnxio.Float32ToBFloat16},
}

// value is what the bits mean: a number, an infinity or NaN.
func (s small) value(h uint16) float64 {
	sign := 1.0
	if h>>15 == 1 {
		sign = -1
	}
	e := int(h>>s.fraction) & (1<<s.exponent - 1)
	f := float64(int(h) & (1<<s.fraction - 1))
	bias := 1<<(s.exponent-1) - 1
	switch e {
	case 0:
		return sign * math.Ldexp(f, 1-bias-s.fraction)
	case 1<<s.exponent - 1:
		if f != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(f+float64(int(1)<<s.fraction), e-bias-s.fraction)
}

func TestEveryHalfWidensToItsValueAndBack(t *testing.T) {
	for _, s := range halves {
		for i := range 1 << 16 {
			h := uint16(i)
			want, got := s.value(h), s.widen(h)
			if math.IsNaN(want) {
				if got == got || s.narrow(got)>>15 != h>>15 || !math.IsNaN(s.value(s.narrow(got))) {
					t.Fatalf("%s %#04x: %v, want NaN that stays NaN with its sign", s.name, h, got)
				}
				continue
			}
			if float64(got) != want || math.Signbit(float64(got)) != (h>>15 == 1) {
				t.Fatalf("%s %#04x is %v, want %v", s.name, h, got, want)
			}
			if back := s.narrow(got); back != h {
				t.Fatalf("%s %#04x: %v narrows to %#04x", s.name, h, got, back)
			}
		}
	}
}

// Rounding is known everywhere when it is known at the middle between every two neighbours and right beside it.
func TestNarrowingRoundsToNearestTiesToEven(t *testing.T) {
	for _, s := range halves {
		infinity := uint16(1<<s.exponent-1) << s.fraction
		for h := uint16(0); h < infinity; h++ {
			low, high := s.value(h), s.value(h+1)
			if h+1 == infinity { // beyond the largest number the grid goes on
				high = low + (low - s.value(h-1))
			}
			middle := low + (high-low)/2 // exact: one bit more than the format has
			m := float32(middle)
			if float64(m) != middle {
				t.Fatalf("%s: the middle above %g is no float32", s.name, low)
			}
			even := h + h&1
			for _, c := range []struct {
				in   float32
				want uint16
			}{
				{m, even},
				{math.Nextafter32(m, 0), h},
				{math.Nextafter32(m, float32(math.Inf(1))), h + 1},
			} {
				if got := s.narrow(c.in); got != c.want {
					t.Fatalf("%s: %g between %g and %g is %#04x, want %#04x", s.name, c.in, low, high, got, c.want)
				}
				if got := s.narrow(-c.in); got != c.want|0x8000 {
					t.Fatalf("%s: %g is %#04x, want %#04x", s.name, -c.in, got, c.want|0x8000)
				}
			}
		}
	}
}

func TestNarrowingIsMonotonic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range halves {
		for range 1 << 20 {
			a, b := math.Float32frombits(r.Uint32()>>1), math.Float32frombits(r.Uint32()>>1)
			if a != a || b != b {
				continue
			}
			if a > b {
				a, b = b, a
			}
			if s.narrow(a) > s.narrow(b) {
				t.Fatalf("%s: %g and %g change places", s.name, a, b)
			}
		}
	}
}

func TestSizesOfTypes(t *testing.T) {
	for _, c := range []struct {
		t    onnxio.DataType
		n    int64
		want int64
		ok   bool
	}{
		{onnxio.Float, 3, 12, true}, {onnxio.Double, 3, 24, true}, {onnxio.Bool, 3, 3, true}, {onnxio.Int4, 3, 2, true},
		{onnxio.Uint2, 5, 2, true}, {onnxio.Complex128, 1, 16, true}, {onnxio.Float8E4M3FN, 7, 7, true}, {onnxio.BFloat16, 2, 4, true},
		{onnxio.String, 1, 0, false}, {onnxio.Undefined, 1, 0, false}, {99, 1, 0, false}, {-1, 1, 0, false},
		{onnxio.Float, -1, 0, false}, {onnxio.Float, math.MaxInt64, 0, false}, {onnxio.Float, 0, 0, true},
	} {
		if got, ok := c.t.Bytes(c.n); got != c.want || ok != c.ok {
			t.Errorf("%d of %v: %d, %v; want %d, %v", c.n, c.t, got, ok, c.want, c.ok)
		}
	}
}
