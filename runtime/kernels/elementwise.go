package kernels

// Contiguous element-wise loops. Broadcasting is the caller's: it cuts its
// tensors into runs that are contiguous in both operands, or scalar in one.

import "math"

// Float is the floating-point element types.
type Float interface{ ~float32 | ~float64 }

// Integer is the integer element types.
type Integer interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Number is every element type that arithmetic is defined for.
type Number interface{ Float | Integer }

// Add sets dst[i] = a[i] + b[i]. dst may be a or b; all have len(dst) elements.
func Add[T Number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Sub sets dst[i] = a[i] - b[i].
func Sub[T Number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// Mul sets dst[i] = a[i] * b[i].
func Mul[T Number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

// Div sets dst[i] = a[i] / b[i] for floating-point numbers. Integer division,
// with its zero divisors, is the caller's.
func Div[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = a[i] / b[i]
	}
}

// AddScalar sets dst[i] = a[i] + s.
func AddScalar[T Number](dst, a []T, s T) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] + s
	}
}

// MulScalar sets dst[i] = a[i] * s.
func MulScalar[T Number](dst, a []T, s T) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i] * s
	}
}

// ScaleShift sets dst[i] = a[i]*scale + shift: one channel of a batch
// normalization that could not be folded.
func ScaleShift[T Float](dst, a []T, scale, shift T) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = a[i]*scale + shift
	}
}

// Sum adds x in float64, in index order.
func Sum[T Float](x []T) float64 {
	var s float64
	for _, v := range x {
		s += float64(v)
	}
	return s
}

// Dot is the sum of a[i]*b[i] in float64, in index order.
func Dot[T Float](a, b []T) float64 {
	b = b[:len(a)]
	var s float64
	for i, v := range a {
		s += float64(v) * float64(b[i])
	}
	return s
}

// ReluSlice sets dst[i] = max(x[i], 0). NaN stays NaN.
func ReluSlice(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		if v < 0 {
			v = 0
		}
		dst[i] = v
	}
}

// ClipSlice sets dst[i] = min(max(x[i], lo), hi). NaN stays NaN.
func ClipSlice(dst, x []float32, lo, hi float32) {
	x = x[:len(dst)]
	for i, v := range x {
		if v < lo {
			v = lo
		}
		if v > hi {
			v = hi
		}
		dst[i] = v
	}
}

// ExpSlice sets dst[i] = exp(x[i]).
func ExpSlice(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(math.Exp(float64(v)))
	}
}

// SigmoidSlice sets dst[i] = 1 / (1 + exp(-x[i])).
func SigmoidSlice(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
}

// SiLUSlice sets dst[i] = x[i] / (1 + exp(-x[i])).
func SiLUSlice(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(float64(v) / (1 + math.Exp(-float64(v))))
	}
}

// TanhSlice sets dst[i] = tanh(x[i]).
func TanhSlice(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(math.Tanh(float64(v)))
	}
}

// ErfSlice sets dst[i] = erf(x[i]).
func ErfSlice(dst, x []float32) {
	x = x[:len(dst)]
	for i, v := range x {
		dst[i] = float32(math.Erf(float64(v)))
	}
}
