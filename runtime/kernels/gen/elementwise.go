package main

// Element-wise functions over whole vectors. Each has the shape: load, compute,
// store, next. Constants lie in memory sixteen times each, so that they can be
// operands of either width without taking a register.

import (
	"math"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func writeElementwise(ctx *build.Context) {
	constants := newConstantPool(ctx, "constants")
	for _, w := range []width{avx512, avx2} {
		m := &maths{ctx: ctx, w: w, constants: constants}
		m.binary("add", func(a operand.Mem, b reg.VecVirtual) { ctx.VADDPS(a, b, b) })
		m.binary("mul", func(a operand.Mem, b reg.VecVirtual) { ctx.VMULPS(a, b, b) })
		m.binary("sub", m.leftFirst(ctx.VSUBPS))
		m.binary("div", m.leftFirst(ctx.VDIVPS))
		m.unary("scaleShift", m.scaleShift)
		m.unary("clip", m.clip)
		m.unary("leaky", m.leaky)
		m.unary("hardSigmoid", m.hardSigmoid)
		m.unary("hardSwish", m.hardSwish)
		m.unary("exp", m.expOf)
		m.unary("sigmoid", m.sigmoid)
		m.unary("logistic", m.logistic)
		m.unary("silu", m.silu)
		m.unary("tanh", m.tanh)
		m.unary("erf", m.erf)
		m.unary("mish", m.mish)
	}
}

// constantPool is the float32 constants of all functions.
type constantPool struct {
	ctx   *build.Context
	mem   operand.Mem
	place map[uint32]int
}

func newConstantPool(ctx *build.Context, name string) *constantPool {
	return &constantPool{ctx: ctx, mem: table(ctx, name), place: map[uint32]int{}}
}

func (c *constantPool) bits(bits uint32) operand.Mem {
	offset, known := c.place[bits]
	if !known {
		offset = 64 * len(c.place)
		c.place[bits] = offset
		for lane := range 16 {
			c.ctx.AddDatum(offset+4*lane, operand.U32(bits))
		}
	}
	return c.mem.Offset(offset)
}

// maths writes functions of one width.
type maths struct {
	ctx         *build.Context
	w           width
	constants   *constantPool
	alpha, beta reg.VecVirtual // parameters of the function being written
}

func (m *maths) constant(v float64) operand.Mem {
	return m.constants.bits(math.Float32bits(float32(v)))
}

// load puts a constant into a register.
func (m *maths) load(v float64) reg.VecVirtual {
	r := m.w.new(m.ctx)
	m.ctx.VMOVUPS(m.constant(v), r)
	return r
}

func (m *maths) copy(v reg.VecVirtual) reg.VecVirtual {
	r := m.w.new(m.ctx)
	m.ctx.VMOVAPS(v, r)
	return r
}

// unary writes a function of one slice; f returns the result for x.
func (m *maths) unary(name string, f func(x reg.VecVirtual) reg.VecVirtual) {
	ctx := m.ctx
	name += m.w.name
	function(ctx, name, "func(dst, x *float32, vectors int, alpha, beta float32)", name+" computes whole vectors; vectors > 0.")
	dst, x, vectors := gp(ctx, "dst"), gp(ctx, "x"), gp(ctx, "vectors")
	m.alpha, m.beta = m.w.broadcast(ctx, "alpha"), m.w.broadcast(ctx, "beta")
	v := m.w.new(ctx)
	ctx.Label("next")
	ctx.VMOVUPS(at(x, 0), v)
	ctx.VMOVUPS(f(v), at(dst, 0))
	m.advance(vectors, x, dst)
}

// advance ends the loop over vectors, and the function.
func (m *maths) advance(vectors reg.GPVirtual, pointers ...reg.GPVirtual) {
	for _, p := range pointers {
		m.ctx.ADDQ(operand.Imm(uint64(m.w.bytes())), p)
	}
	m.ctx.DECQ(vectors)
	m.ctx.JNE(operand.LabelRef("next"))
	m.ctx.VZEROUPPER()
	m.ctx.RET()
}

// binary writes a function of two slices; f leaves its result in b's register.
func (m *maths) binary(name string, f func(a operand.Mem, b reg.VecVirtual)) {
	ctx := m.ctx
	name += m.w.name
	function(ctx, name, "func(dst, a, b *float32, vectors int)", name+" computes whole vectors; vectors > 0.")
	dst, a, b, vectors := gp(ctx, "dst"), gp(ctx, "a"), gp(ctx, "b"), gp(ctx, "vectors")
	v := m.w.new(ctx)
	ctx.Label("next")
	ctx.VMOVUPS(at(b, 0), v)
	f(at(a, 0), v)
	ctx.VMOVUPS(v, at(dst, 0))
	m.advance(vectors, a, b, dst)
}

// leftFirst is an operation whose operands do not commute: f gets them in Go's
// order, right before left.
func (m *maths) leftFirst(f func(...operand.Op)) func(a operand.Mem, b reg.VecVirtual) {
	return func(a operand.Mem, b reg.VecVirtual) {
		left := m.w.new(m.ctx)
		m.ctx.VMOVUPS(a, left)
		f(b, left, b)
	}
}

func (m *maths) scaleShift(x reg.VecVirtual) reg.VecVirtual {
	m.ctx.VFMADD213PS(m.beta, m.alpha, x)
	return x
}

// clip keeps NaN: VMAXPS and VMINPS return their first operand (in Go's order)
// if either is NaN.
func (m *maths) clip(x reg.VecVirtual) reg.VecVirtual {
	m.ctx.VMAXPS(x, m.alpha, x)
	m.ctx.VMINPS(x, m.beta, x)
	return x
}

// leaky is max(x,0) + alpha*min(x,0).
func (m *maths) leaky(x reg.VecVirtual) reg.VecVirtual {
	zero, below := m.w.new(m.ctx), m.w.new(m.ctx)
	m.w.zero(m.ctx, zero)
	m.ctx.VMINPS(x, zero, below)
	m.ctx.VMAXPS(x, zero, x)
	m.ctx.VFMADD231PS(below, m.alpha, x)
	return x
}

func (m *maths) hardSigmoid(x reg.VecVirtual) reg.VecVirtual {
	m.ctx.VFMADD213PS(m.beta, m.alpha, x)
	return m.unit(x)
}

func (m *maths) hardSwish(x reg.VecVirtual) reg.VecVirtual {
	gate := m.copy(x)
	m.ctx.VFMADD213PS(m.constant(0.5), m.load(1.0/6), gate)
	m.ctx.VMULPS(m.unit(gate), x, x)
	return x
}

// unit keeps x within 0 and 1.
func (m *maths) unit(x reg.VecVirtual) reg.VecVirtual {
	m.ctx.VMAXPS(x, m.load(0), x)
	m.ctx.VMINPS(x, m.load(1), x)
	return x
}
