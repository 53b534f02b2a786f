package main

// The exponential function and what is made of it.

import (
	"math"

	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func (m *maths) expOf(x reg.VecVirtual) reg.VecVirtual { return m.exp(x) }

// exp is 2^n * e^r with n = round(x/ln 2) and r the rest, |r| <= ln(2)/2, where
// e^r is a polynomial: that of Microsoft's MLAS (ONNX Runtime, mlas/lib/compute.cpp),
// with its order of operations, so that softmax gives the same bits. It overwrites x.
// Past the ends of the float32 range n is cut off where the result is 0 or Inf anyway.
func (m *maths) exp(x reg.VecVirtual) reg.VecVirtual {
	ctx := m.ctx
	const whole = 3 << 22 // floats of this size have no fraction: adding it rounds
	ctx.VMAXPS(x, m.load(-103.9720840454), x)
	ctx.VMINPS(x, m.load(90), x)
	n := m.load(math.Log2E)
	ctx.VFMADD213PS(m.constant(whole), x, n)
	ctx.VSUBPS(m.constant(whole), n, n)
	ctx.VFMADD231PS(m.constant(-6.93145752e-1), n, x) // ln 2, its first bits
	ctx.VFMADD231PS(m.constant(-1.42860677e-6), n, x)
	p := m.polynomial(x, 0x1.694p-10, 0x1.125edcp-7, 0x1.555b5ap-5, 0x1.55545p-3, 0x1.fffff6p-2, 1, 1)
	m.scale(p, n)
	return p
}

// polynomial is Horner's rule, the highest coefficient first.
func (m *maths) polynomial(x reg.VecVirtual, coefficients ...float64) reg.VecVirtual {
	p := m.load(coefficients[0])
	for _, c := range coefficients[1:] {
		m.ctx.VFMADD213PS(m.constant(c), x, p)
	}
	return p
}

// scale multiplies p by 2^n. AVX2 builds the power from its exponent bits, in
// two halves, because n can be beyond what one float32 holds.
func (m *maths) scale(p, n reg.VecVirtual) {
	ctx := m.ctx
	if m.w.masked {
		ctx.VSCALEFPS(n, p, p)
		return
	}
	half := m.w.new(ctx)
	ctx.VCVTPS2DQ(n, n)
	ctx.VPSRAD(operand.Imm(1), n, half)
	ctx.VPSUBD(half, n, n)
	for _, exponent := range []reg.VecVirtual{half, n} {
		ctx.VPADDD(m.constants.bits(127), exponent, exponent)
		ctx.VPSLLD(operand.Imm(23), exponent, exponent)
		ctx.VMULPS(exponent, p, p)
	}
}

func (m *maths) xor(a operand.Op, b, dst reg.VecVirtual) {
	if m.w.masked {
		m.ctx.VPXORD(a, b, dst)
	} else {
		m.ctx.VPXOR(a, b, dst)
	}
}

func (m *maths) or(a operand.Op, b, dst reg.VecVirtual) {
	if m.w.masked {
		m.ctx.VPORD(a, b, dst)
	} else {
		m.ctx.VPOR(a, b, dst)
	}
}

func (m *maths) and(a operand.Op, b, dst reg.VecVirtual) {
	if m.w.masked {
		m.ctx.VPANDD(a, b, dst)
	} else {
		m.ctx.VPAND(a, b, dst)
	}
}

// sigmoid is 1/(1+e) for x >= 0 and e/(1+e) below, with e = e^-|x|: neither
// overflows, and small results keep their digits.
func (m *maths) sigmoid(x reg.VecVirtual) reg.VecVirtual {
	ctx := m.ctx
	size := m.w.new(ctx)
	m.or(m.constants.bits(1<<31), x, size)
	e := m.exp(size)
	numerator, zero := m.copy(e), m.w.new(ctx)
	m.w.zero(ctx, zero)
	m.choose(x, zero, e, m.load(1), numerator)
	ctx.VADDPS(m.constant(1), e, e)
	ctx.VDIVPS(e, numerator, numerator)
	return numerator
}

// silu is x * logistic(x), as the two nodes that models write it with.
func (m *maths) silu(x reg.VecVirtual) reg.VecVirtual {
	gate := m.logistic(m.copy(x))
	m.ctx.VMULPS(gate, x, x)
	return x
}

// mish is x * tanh(log(1+e^x)) = x * t/(t+2) with t = e^x * (e^x + 2). Above 20
// it is x itself, to the last bit.
func (m *maths) mish(x reg.VecVirtual) reg.VecVirtual {
	ctx := m.ctx
	arg, below := m.w.new(ctx), m.w.new(ctx)
	ctx.VMINPS(x, m.load(20), arg)
	t := m.exp(arg)
	ctx.VADDPS(m.constant(2), t, below)
	ctx.VMULPS(below, t, t)
	ctx.VADDPS(m.constant(2), t, below)
	ctx.VDIVPS(below, t, t)
	ctx.VMULPS(t, x, x)
	return x
}

// tanh is 1 - 2/(e^2|x| + 1) with the sign of x, and near zero, where that would
// cancel, an odd polynomial: Cephes, tanhf.c.
func (m *maths) tanh(x reg.VecVirtual) reg.VecVirtual {
	ctx := m.ctx
	square, twice := m.w.new(ctx), m.w.new(ctx)
	ctx.VMULPS(x, x, square)
	near := m.polynomial(square, -5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1)
	ctx.VMULPS(square, near, near)
	ctx.VFMADD213PS(x, x, near)
	m.and(m.constants.bits(1<<31-1), x, twice)
	ctx.VADDPS(twice, twice, twice)
	e := m.exp(twice)
	ctx.VADDPS(m.constant(1), e, e)
	ctx.VDIVPS(e, m.load(2), e)
	ctx.VSUBPS(e, m.load(1), e)
	return m.nearOrFar(x, 0.625, near, e)
}

// nearOrFar chooses near where |x| < limit, else far with the sign of x.
func (m *maths) nearOrFar(x reg.VecVirtual, limit float64, near, far reg.VecVirtual) reg.VecVirtual {
	ctx := m.ctx
	size, sign := m.w.new(ctx), m.w.new(ctx)
	m.and(m.constants.bits(1<<31-1), x, size)
	m.and(m.constants.bits(1<<31), x, sign)
	m.xor(sign, far, far)
	m.choose(size, m.load(limit), near, far, far)
	return far
}

// choose sets dst to yes where a < b, else to no.
func (m *maths) choose(a, b, yes, no, dst reg.VecVirtual) {
	const lessThan = 1
	if m.w.masked {
		k := m.ctx.K()
		m.ctx.VCMPPS(operand.Imm(lessThan), b, a, k)
		m.ctx.VBLENDMPS(yes, no, k, dst)
		return
	}
	mask := m.w.new(m.ctx)
	m.ctx.VCMPPS(operand.Imm(lessThan), b, a, mask)
	m.ctx.VBLENDVPS(mask, yes, no, dst)
}

// erf is an odd polynomial near zero and 1 - e^-q(|x|) further out: the
// coefficients of Microsoft's MLAS (ONNX Runtime, mlas/lib/erf.cpp).
func (m *maths) erf(x reg.VecVirtual) reg.VecVirtual {
	ctx := m.ctx
	square, t := m.w.new(ctx), m.w.new(ctx)
	ctx.VMULPS(x, x, square)
	near := m.polynomial(square, -5.99104969e-4, 4.99339588e-3, -2.67667342e-2, 1.12818025e-1, -3.76124859e-1, 1.28379151e-1)
	ctx.VFMADD213PS(x, x, near)
	m.and(m.constants.bits(1<<31-1), x, t)
	ctx.VMINPS(t, m.load(3.925), t)
	q := m.polynomial(t, 1.72948930e-5, -3.83208680e-4, 3.88393435e-3, -2.42545605e-2, 1.06777847e-1, 6.34846687e-1, 1.28717512e-1)
	ctx.VFMADD213PS(t, t, q)
	m.xor(m.constants.bits(1<<31), q, q)
	e := m.exp(q)
	ctx.VSUBPS(e, m.load(1), e)
	return m.nearOrFar(x, 0.921875, near, e)
}
