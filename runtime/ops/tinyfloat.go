package ops

// Floating-point types of 8 and 4 bits. They are too small for hardware: each is described by its layout, decoded by a
// table, and encoded by rounding to the nearest, ties to even.
//
// Source: ONNX documentation, "Float stored in 8 bits", and the OCP Microscaling Formats specification.

import (
	"math"

	"onnxprune/onnxio"
)

// tinyFloat is a layout: sign, exponent, mantissa from the top.
type tinyFloat struct {
	exponent, mantissa int // bits
	bias               int
	largest            uint8 // code of the largest finite number
	nan, inf           int   // codes; -1 where the type has none
	negativeZero       bool
	values             []float32 // by code
}

var tinyFloats = map[onnxio.DataType]*tinyFloat{
	onnxio.Float8E4M3FN:   {exponent: 4, mantissa: 3, bias: 7, largest: 0x7e, nan: 0x7f, inf: -1, negativeZero: true},
	onnxio.Float8E4M3FNUZ: {exponent: 4, mantissa: 3, bias: 8, largest: 0x7f, nan: 0x80, inf: -1},
	onnxio.Float8E5M2:     {exponent: 5, mantissa: 2, bias: 15, largest: 0x7b, nan: 0x7e, inf: 0x7c, negativeZero: true},
	onnxio.Float8E5M2FNUZ: {exponent: 5, mantissa: 2, bias: 16, largest: 0x7f, nan: 0x80, inf: -1},
	onnxio.Float4E2M1:     {exponent: 2, mantissa: 1, bias: 1, largest: 0x7, nan: -1, inf: -1, negativeZero: true},
	onnxio.Float8E8M0:     {exponent: 8, bias: 127, largest: 0xfe, nan: 0xff, inf: -1},
}

func init() {
	for t, f := range tinyFloats {
		f.values = make([]float32, 1<<t.Bits())
		for code := range f.values {
			f.values[code] = f.valueOf(uint8(code))
		}
	}
}

// exponentOnly reports whether f is a scale: no sign, no mantissa, no zero.
func (f *tinyFloat) exponentOnly() bool { return f.mantissa == 0 }

func (f *tinyFloat) valueOf(code uint8) float32 {
	if f.isNaN(code) {
		return float32(math.NaN())
	}
	if f.exponentOnly() {
		return float32(math.Ldexp(1, int(code)-f.bias))
	}
	top := f.exponent + f.mantissa
	size := int(code) & (1<<top - 1)
	sign := 1.0
	if int(code) != size {
		sign = -1
	}
	if size == f.inf {
		return float32(math.Inf(int(sign)))
	}
	fraction, e := size&(1<<f.mantissa-1), size>>f.mantissa
	if e == 0 {
		e = 1
	} else {
		fraction += 1 << f.mantissa
	}
	return float32(math.Copysign(math.Ldexp(float64(fraction), e-f.bias-f.mantissa), sign))
}

// decode returns the number of a code.
func (f *tinyFloat) decode(code uint8) float32 { return f.values[int(code)&(len(f.values)-1)] }

// isNaN reports whether a code is not a number.
func (f *tinyFloat) isNaN(code uint8) bool {
	switch {
	case f.nan < 0:
		return false
	case f.inf >= 0: // E5M2 has several
		return int(code)&0x7f > f.inf
	case f.nan == 0x7f:
		return code&0x7f == 0x7f
	}
	return int(code) == f.nan
}

// encode rounds x to the nearest number of the type. Beyond the largest it gives the largest where saturate is set, else
// infinity or NaN, whichever the type has.
func (f *tinyFloat) encode(x float64, saturate bool) uint8 {
	top := f.exponent + f.mantissa
	sign := uint8(0)
	if math.Signbit(x) {
		sign = 1 << top
		x = -x
	}
	switch {
	case x != x && f.nan < 0: // E2M1 has no NaN; the suite expects -0
		return 1 << top
	case x != x && f.negativeZero:
		return sign | uint8(f.nan)
	case x != x:
		return uint8(f.nan)
	}
	size := f.magnitude(x)
	if size > int(f.largest) {
		switch {
		case saturate || f.nan < 0:
			size = int(f.largest)
		case f.inf >= 0:
			size = f.inf
		case f.negativeZero:
			size = f.nan
		default:
			return uint8(f.nan)
		}
	}
	if size == 0 && !f.negativeZero {
		return 0
	}
	return sign | uint8(size)
}

// magnitude is the code of x >= 0 as if exponents went on forever.
func (f *tinyFloat) magnitude(x float64) int {
	if x == 0 {
		return 0
	}
	if math.IsInf(x, 1) {
		return math.MaxInt32
	}
	_, e := math.Frexp(x) // x is in [2^(e-1), 2^e)
	e = max(e-1+f.bias, 1)
	units := int(math.RoundToEven(math.Ldexp(x, f.bias+f.mantissa-e)))
	return (e-1)<<f.mantissa + units
}

// encodeExponent gives the power of two for float8e8m0; sign and zero are lost. mode is up, down or nearest.
func encodeExponent(x float32, saturate bool, mode string) uint8 {
	bits := math.Float32bits(x)
	exponent, fraction := bits>>23&0xff, bits&0x7fffff
	if exponent == 0xff {
		return 0xff
	}
	up := false
	switch mode {
	case "up":
		up = fraction > 0
	case "nearest":
		const half = 1 << 22
		up = fraction > half || fraction == half && exponent > 0
	}
	if up && !(saturate && exponent == 0xfe) {
		exponent++
	}
	return uint8(exponent)
}
