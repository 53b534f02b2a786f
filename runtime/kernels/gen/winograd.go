package main

// The transforms of Winograd's convolution F(4x4, 3x3) for a vector of tiles:
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
// Each is the same one-dimensional transform down the columns and then along the
// rows; in between the numbers lie in a scratch buffer of 36 vectors.
//
// The input of 16 (or 8) neighbouring tiles lies in sixteen planes, one per
// position modulo 4, so that any element of all tiles is a plain vector.

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func writeWinograd(ctx *build.Context) {
	constants := newConstantPool(ctx, "winogradConstants")
	for _, w := range []width{avx512, avx2} {
		t := &transform{maths: &maths{ctx: ctx, w: w, constants: constants}}
		t.input()
		t.output()
	}
	splitFours(ctx)
	joinFours(ctx)
}

type transform struct {
	*maths
	scratch reg.GPVirtual
}

// place is a vector of the scratch buffer.
func (t *transform) place(i int) operand.Mem { return at(t.scratch, i*t.w.bytes()) }

// read loads six vectors.
func (t *transform) read(address func(i int) operand.Mem) []reg.VecVirtual {
	v := make([]reg.VecVirtual, 6)
	for i := range v {
		v[i] = t.w.new(t.ctx)
		t.ctx.VMOVUPS(address(i), v[i])
	}
	return v
}

// input writes B'dB for a vector of tiles.
func (t *transform) input() {
	ctx := t.ctx
	name := "winogradInput" + t.w.name
	function(ctx, name, "func(v *float32, step int, x *float32, planeStep, pitch int, scratch *float32)",
		name+" transforms tiles from planes at x, their rows pitch apart, to 36 vectors\nat v, step apart. Steps are in bytes.")
	x, planeStep, pitch := gp(ctx, "x"), gp(ctx, "planeStep"), gp(ctx, "pitch")
	t.scratch = gp(ctx, "scratch")
	rows := make([]reg.GPVirtual, 6)
	for i := range rows {
		rows[i] = ctx.GP64()
		switch {
		case i == 0:
			ctx.MOVQ(x, rows[i])
		case i < 4:
			ctx.LEAQ(operand.Mem{Base: rows[i-1], Index: planeStep, Scale: 4}, rows[i])
		default:
			ctx.LEAQ(operand.Mem{Base: rows[i-4], Index: pitch, Scale: 1}, rows[i])
		}
	}
	plane := ctx.GP64()
	for column := range 6 {
		if column%4 == 0 {
			ctx.XORQ(plane, plane)
		} else {
			ctx.ADDQ(planeStep, plane)
		}
		d := t.read(func(i int) operand.Mem {
			return operand.Mem{Base: rows[i], Index: plane, Scale: 1, Disp: column / 4 * 4}
		})
		for i, r := range t.intoSix(d) {
			ctx.VMOVUPS(r, t.place(6*i+column))
		}
	}
	v, step := gp(ctx, "v"), gp(ctx, "step")
	for row := range 6 {
		d := t.read(func(j int) operand.Mem { return t.place(6*row + j) })
		for _, r := range t.intoSix(d) {
			ctx.VMOVUPS(r, at(v, 0))
			ctx.ADDQ(step, v)
		}
	}
	ctx.VZEROUPPER()
	ctx.RET()
}

// intoSix is B' times six numbers.
func (t *transform) intoSix(d []reg.VecVirtual) []reg.VecVirtual {
	ctx := t.ctx
	sum := func(a, b reg.VecVirtual) reg.VecVirtual {
		r := t.w.new(ctx)
		ctx.VADDPS(b, a, r)
		return r
	}
	difference := func(a, b reg.VecVirtual) reg.VecVirtual {
		r := t.w.new(ctx)
		ctx.VSUBPS(b, a, r)
		return r
	}
	plus := func(a reg.VecVirtual, factor float64, b reg.VecVirtual) reg.VecVirtual {
		r := t.copy(a)
		ctx.VFMADD231PS(t.constant(factor), b, r)
		return r
	}
	even, odd := plus(d[4], -4, d[2]), plus(d[3], -4, d[1])
	even2, odd2 := difference(d[4], d[2]), difference(d[3], d[1])
	return []reg.VecVirtual{
		plus(plus(d[4], -5, d[2]), 4, d[0]),
		sum(even, odd), difference(even, odd),
		plus(even2, 2, odd2), plus(even2, -2, odd2),
		plus(plus(d[5], -5, d[3]), 4, d[1]),
	}
}

// output writes A'mA, the bias, and the bounds, for a vector of tiles.
func (t *transform) output() {
	ctx := t.ctx
	name := "winogradOutput" + t.w.name
	function(ctx, name, "func(y *float32, yStep int, m *float32, mStep int, scratch *float32, bias, lo, hi float32)",
		name+" transforms 36 vectors at m to 16 at y, adds the bias and keeps the\nresults within lo and hi. Steps are in bytes.")
	m, mStep := gp(ctx, "m"), gp(ctx, "mStep")
	t.scratch = gp(ctx, "scratch")
	rowStep, from := ctx.GP64(), ctx.GP64()
	ctx.IMUL3Q(operand.Imm(6), mStep, rowStep)
	for column := range 6 {
		ctx.MOVQ(m, from)
		v := make([]reg.VecVirtual, 6)
		for i := range v {
			v[i] = t.w.new(ctx)
			ctx.VMOVUPS(at(from, 0), v[i])
			ctx.ADDQ(rowStep, from)
		}
		for i, r := range t.outOfSix(v) {
			ctx.VMOVUPS(r, t.place(6*i+column))
		}
		ctx.ADDQ(mStep, m)
	}
	y, yStep := gp(ctx, "y"), gp(ctx, "yStep")
	bias, lo, hi := t.w.broadcast(ctx, "bias"), t.w.broadcast(ctx, "lo"), t.w.broadcast(ctx, "hi")
	for row := range 4 {
		v := t.read(func(j int) operand.Mem { return t.place(6*row + j) })
		for _, r := range t.outOfSix(v) {
			ctx.VADDPS(bias, r, r)
			ctx.VMAXPS(r, lo, r)
			ctx.VMINPS(r, hi, r)
			ctx.VMOVUPS(r, at(y, 0))
			ctx.ADDQ(yStep, y)
		}
	}
	ctx.VZEROUPPER()
	ctx.RET()
}

// outOfSix is A' times six numbers. It overwrites them.
func (t *transform) outOfSix(m []reg.VecVirtual) []reg.VecVirtual {
	ctx := t.ctx
	difference, difference2 := t.w.new(ctx), t.w.new(ctx)
	ctx.VSUBPS(m[2], m[1], difference)
	ctx.VADDPS(m[2], m[1], m[1])
	ctx.VSUBPS(m[4], m[3], difference2)
	ctx.VADDPS(m[4], m[3], m[3])
	ctx.VADDPS(m[1], m[0], m[0])
	ctx.VADDPS(m[3], m[0], m[0])
	ctx.VADDPS(difference, m[5], m[5])
	ctx.VFMADD231PS(t.constant(8), difference2, m[5])
	ctx.VFMADD231PS(t.constant(2), difference2, difference)
	ctx.VFMADD231PS(t.constant(4), m[3], m[1])
	return []reg.VecVirtual{m[0], difference, m[1], m[5]}
}

// lanes is a table of 16 lane numbers.
func lanes(ctx *build.Context, name string, number func(lane int) int) operand.Mem {
	mem := table(ctx, name)
	for lane := range 16 {
		ctx.AddDatum(4*lane, operand.U32(number(lane)))
	}
	return mem
}

// permuted is the lanes of a and b that a table names.
func permuted(ctx *build.Context, index reg.VecVirtual, a, b reg.VecVirtual) reg.VecVirtual {
	r := ctx.ZMM()
	ctx.VMOVAPS(a, r)
	ctx.VPERMT2PS(b, index, r)
	return r
}

func loaded(ctx *build.Context, mem operand.Mem) reg.VecVirtual {
	r := ctx.ZMM()
	ctx.VMOVUPS(mem, r)
	return r
}

// splitFours separates 64 elements by position modulo 4 (AVX-512 only): even and
// odd ones first, and those again.
func splitFours(ctx *build.Context) {
	evenMem := lanes(ctx, "evenOfTwo", func(lane int) int { return 2 * lane })
	oddMem := lanes(ctx, "oddOfTwo", func(lane int) int { return 2*lane + 1 })
	function(ctx, "splitFoursAVX512", "func(dst, src *float32, lead, planeStep int, load uint64, store uint32)",
		"splitFoursAVX512 puts 64 elements in turn into four planes, planeStep bytes apart. Elements not in\nload are zero, lanes not in store are left alone. Element 0 is lead bytes before src.")
	dst, src, planeStep := gp(ctx, "dst"), gp(ctx, "src"), gp(ctx, "planeStep")
	ctx.SUBQ(gp(ctx, "lead"), src)
	bits := gp(ctx, "load")
	store := mask(ctx, ctx.Load(ctx.Param("store"), ctx.GP32()))
	even, odd := loaded(ctx, evenMem), loaded(ctx, oddMem)
	v := make([]reg.VecVirtual, 4)
	for i := range v {
		v[i] = ctx.ZMM()
		ctx.VMOVUPS_Z(at(src, 64*i), mask(ctx, bits.As32()), v[i])
		ctx.SHRQ(operand.Imm(16), bits)
	}
	evens := []reg.VecVirtual{permuted(ctx, even, v[0], v[1]), permuted(ctx, even, v[2], v[3])}
	odds := []reg.VecVirtual{permuted(ctx, odd, v[0], v[1]), permuted(ctx, odd, v[2], v[3])}
	for _, r := range []reg.VecVirtual{
		permuted(ctx, even, evens[0], evens[1]), permuted(ctx, even, odds[0], odds[1]),
		permuted(ctx, odd, evens[0], evens[1]), permuted(ctx, odd, odds[0], odds[1]),
	} {
		ctx.VMOVUPS(r, store, at(dst, 0))
		ctx.ADDQ(planeStep, dst)
	}
	ctx.VZEROUPPER()
	ctx.RET()
}

// joinFours is the inverse.
func joinFours(ctx *build.Context) {
	lowMem := lanes(ctx, "lowOfTwo", func(lane int) int { return lane/2 + lane%2*16 })
	highMem := lanes(ctx, "highOfTwo", func(lane int) int { return 8 + lane/2 + lane%2*16 })
	function(ctx, "joinFoursAVX512", "func(dst, src *float32, planeStep int, store uint64)",
		"joinFoursAVX512 takes 64 elements in turn from four planes, planeStep bytes apart. Elements not in\nstore are left alone.")
	dst, src, planeStep := gp(ctx, "dst"), gp(ctx, "src"), gp(ctx, "planeStep")
	bits := gp(ctx, "store")
	low, high := loaded(ctx, lowMem), loaded(ctx, highMem)
	v := make([]reg.VecVirtual, 4)
	for i := range v {
		v[i] = loaded(ctx, at(src, 0))
		ctx.ADDQ(planeStep, src)
	}
	firsts := []reg.VecVirtual{permuted(ctx, low, v[0], v[2]), permuted(ctx, low, v[1], v[3])}
	lasts := []reg.VecVirtual{permuted(ctx, high, v[0], v[2]), permuted(ctx, high, v[1], v[3])}
	for i, r := range []reg.VecVirtual{
		permuted(ctx, low, firsts[0], firsts[1]), permuted(ctx, high, firsts[0], firsts[1]),
		permuted(ctx, low, lasts[0], lasts[1]), permuted(ctx, high, lasts[0], lasts[1]),
	} {
		ctx.VMOVUPS(r, mask(ctx, bits.As32()), at(dst, 64*i))
		ctx.SHRQ(operand.Imm(16), bits)
	}
	ctx.VZEROUPPER()
	ctx.RET()
}
