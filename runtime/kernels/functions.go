package kernels

// Functions of one float32, over slices: dst[i] = f(x[i]) for len(dst) elements;
// dst may be x. NaN stays NaN. The vector forms are within 2 units in the last
// place (erf: 4) of the true value; the portable ones compute in float64. The
// logistic functions are in logistic.go.

import (
	"math"
	"sync"
)

// ReluSlice is max(x, 0).
func ReluSlice(dst, x []float32) { ClipSlice(dst, x, 0, float32(math.Inf(1))) }

// ClipSlice is min(max(x, lo), hi).
func ClipSlice(dst, x []float32, lo, hi float32) {
	apply(dst, x, lo, hi, func(m *vectorMaths) unaryAssembly { return m.clip }, func(v float32) float32 {
		if v < lo {
			v = lo
		}
		if v > hi {
			v = hi
		}
		return v
	})
}

// LeakyReluSlice is x for x >= 0, else slope*x.
func LeakyReluSlice(dst, x []float32, slope float32) {
	apply(dst, x, slope, 0, func(m *vectorMaths) unaryAssembly { return m.leaky }, func(v float32) float32 {
		if v < 0 {
			return slope * v
		}
		return v
	})
}

// HardSigmoidSlice is min(max(alpha*x + beta, 0), 1).
func HardSigmoidSlice(dst, x []float32, alpha, beta float32) {
	apply(dst, x, alpha, beta, func(m *vectorMaths) unaryAssembly { return m.hardSigmoid }, func(v float32) float32 {
		return clamp(alpha*v+beta, 0, 1)
	})
}

// HardSwishSlice is x * min(max(x/6 + 1/2, 0), 1).
func HardSwishSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.hardSwish }, func(v float32) float32 {
		return v * clamp(v*(1.0/6)+0.5, 0, 1)
	})
}

// ExpSlice is e^x.
func ExpSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.exp }, func(v float32) float32 {
		return float32(math.Exp(float64(v)))
	})
}

// SigmoidSlice is 1 / (1 + e^-x), small results as accurate as large ones.
// LogisticSlice is the one that models run on, unless they are to be exact.
func SigmoidSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.sigmoid }, func(v float32) float32 {
		return float32(1 / (1 + math.Exp(-float64(v))))
	})
}

// ExactSiLUSlice is x * SigmoidSlice(x).
func ExactSiLUSlice(dst, x []float32) {
	x = x[:len(dst)]
	buffer := borrow(256)
	defer giveBack(buffer)
	for len(x) > 0 {
		n := min(256, len(x))
		gate := (*buffer)[:n]
		SigmoidSlice(gate, x[:n])
		Mul(dst[:n], gate, x[:n])
		dst, x = dst[n:], x[n:]
	}
}

// TanhSlice is the hyperbolic tangent.
func TanhSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.tanh }, func(v float32) float32 {
		return float32(math.Tanh(float64(v)))
	})
}

// ErfSlice is the error function.
func ErfSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.erf }, func(v float32) float32 {
		return float32(math.Erf(float64(v)))
	})
}

// MishSlice is x * tanh(log(1 + e^x)).
func MishSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.mish }, func(v float32) float32 {
		return float32(float64(v) * math.Tanh(math.Log1p(math.Exp(float64(v)))))
	})
}

// GeluSlice is x * (1 + erf(x/sqrt(2))) / 2.
func GeluSlice(dst, x []float32) {
	x = x[:len(dst)]
	buffer := borrow(512)
	defer giveBack(buffer)
	for len(x) > 0 {
		n := min(256, len(x))
		half, erf := (*buffer)[:n], (*buffer)[256:256+n]
		MulScalar(half, x[:n], 0.5)
		MulScalar(erf, x[:n], float32(1/math.Sqrt2))
		ErfSlice(erf, erf)
		Mul(erf, erf, half)
		Add(dst[:n], half, erf)
		dst, x = dst[n:], x[n:]
	}
}

// apply runs the vector form of a function if the tier has it, else the scalar.
func apply(dst, x []float32, alpha, beta float32, vector func(*vectorMaths) unaryAssembly, scalar func(float32) float32) {
	x = x[:len(dst)]
	if m := vectors(); m != nil {
		m.unary(vector(m), dst, x, alpha, beta)
		return
	}
	for i, v := range x {
		dst[i] = scalar(v)
	}
}

// The generated functions compute vectors > 0 whole vectors.
type (
	unaryAssembly  func(dst, x *float32, vectors int, alpha, beta float32)
	binaryAssembly func(dst, a, b *float32, vectors int)
)

// vectorMaths is the element-wise functions of a tier.
type vectorMaths struct {
	lanes                         int
	add, sub, mul, div            binaryAssembly
	scaleShift, clip, leaky       unaryAssembly
	hardSigmoid, hardSwish        unaryAssembly
	exp, sigmoid, tanh, erf, mish unaryAssembly
	logistic, silu                unaryAssembly

	// Sums take blocks of two vectors of float32; see reduce.go.
	sum     func(lanes *float64, x *float32, blocks int)
	squares func(lanes *float64, x *float32, blocks int, mean float64)
	maximum func(lanes, x *float32, vectors int)
	total   func(lanes, x *float32, vectors int) // see softmax.go
}

func vectors() *vectorMaths { return current.Load().maths }

// tails lends out the vectors for what is left of a slice.
var tails = sync.Pool{New: func() any { return new([16]float32) }}

// unary runs f over whole vectors, and over the rest in a vector of its own, so
// that an element's result does not depend on where in the slice it is.
func (m *vectorMaths) unary(f unaryAssembly, dst, x []float32, alpha, beta float32) {
	whole := len(dst) / m.lanes
	if whole > 0 {
		f(&dst[0], &x[0], whole, alpha, beta)
	}
	if done := whole * m.lanes; done < len(dst) {
		rest := tails.Get().(*[16]float32)
		copy(rest[:], x[done:len(dst)])
		f(&rest[0], &rest[0], 1, alpha, beta)
		copy(dst[done:], rest[:])
		tails.Put(rest)
	}
}

// binary runs f over whole vectors and returns how many elements these were. The
// rest is the caller's: it makes no difference to the operations there are.
func (m *vectorMaths) binary(f binaryAssembly, dst, a, b []float32) (done int) {
	whole := len(dst) / m.lanes
	if whole > 0 {
		f(&dst[0], &a[0], &b[0], whole)
	}
	return whole * m.lanes
}
