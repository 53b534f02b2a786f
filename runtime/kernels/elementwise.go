package kernels

// Contiguous element-wise loops. Broadcasting is the caller's: it cuts its
// tensors into runs that are contiguous in both operands, or scalar in one.

import "math"

var negativeZero = float32(math.Copysign(0, -1))

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
	if m := vectors(); m != nil {
		if d, ok := any(dst).([]float32); ok {
			done := m.binary(m.add, d, any(a).([]float32), any(b).([]float32))
			dst, a, b = dst[done:], a[done:], b[done:]
		}
	}
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// Sub sets dst[i] = a[i] - b[i].
func Sub[T Number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	if m := vectors(); m != nil {
		if d, ok := any(dst).([]float32); ok {
			done := m.binary(m.sub, d, any(a).([]float32), any(b).([]float32))
			dst, a, b = dst[done:], a[done:], b[done:]
		}
	}
	for i := range dst {
		dst[i] = a[i] - b[i]
	}
}

// Mul sets dst[i] = a[i] * b[i].
func Mul[T Number](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	if m := vectors(); m != nil {
		if d, ok := any(dst).([]float32); ok {
			done := m.binary(m.mul, d, any(a).([]float32), any(b).([]float32))
			dst, a, b = dst[done:], a[done:], b[done:]
		}
	}
	for i := range dst {
		dst[i] = a[i] * b[i]
	}
}

// Div sets dst[i] = a[i] / b[i] for floating-point numbers. Integer division,
// with its zero divisors, is the caller's.
func Div[T Float](dst, a, b []T) {
	a, b = a[:len(dst)], b[:len(dst)]
	if m := vectors(); m != nil {
		if d, ok := any(dst).([]float32); ok {
			done := m.binary(m.div, d, any(a).([]float32), any(b).([]float32))
			dst, a, b = dst[done:], a[done:], b[done:]
		}
	}
	for i := range dst {
		dst[i] = a[i] / b[i]
	}
}

// AddScalar sets dst[i] = a[i] + s.
func AddScalar[T Number](dst, a []T, s T) {
	a = a[:len(dst)]
	if m := vectors(); m != nil {
		if d, ok := any(dst).([]float32); ok {
			m.unary(m.scaleShift, d, any(a).([]float32), 1, any(s).(float32))
			return
		}
	}
	for i := range dst {
		dst[i] = a[i] + s
	}
}

// MulScalar sets dst[i] = a[i] * s.
func MulScalar[T Number](dst, a []T, s T) {
	a = a[:len(dst)]
	if m := vectors(); m != nil {
		if d, ok := any(dst).([]float32); ok {
			// x*s + -0 is x*s, the sign of a zero included
			m.unary(m.scaleShift, d, any(a).([]float32), any(s).(float32), negativeZero)
			return
		}
	}
	for i := range dst {
		dst[i] = a[i] * s
	}
}

// ScaleShift sets dst[i] = a[i]*scale + shift: one channel of a batch
// normalization that could not be folded.
func ScaleShift[T Float](dst, a []T, scale, shift T) {
	a = a[:len(dst)]
	if m := vectors(); m != nil {
		if d, ok := any(dst).([]float32); ok {
			m.unary(m.scaleShift, d, any(a).([]float32), any(scale).(float32), any(shift).(float32))
			return
		}
	}
	for i := range dst {
		dst[i] = a[i]*scale + shift
	}
}
