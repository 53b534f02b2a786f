package main

// The transforms of Winograd's convolution F(4x4, 3x3) for a vector of tiles:
// Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015).
// Each is the same one-dimensional transform down the columns and then along the
// rows; in between the numbers lie in a scratch buffer of 36 vectors.
//
// The input of 16 (or 8) neighbouring tiles lies in sixteen planes, one per
// position modulo 4, so that any element of all tiles is a plain vector.
//
// Which points the polynomials are taken at decides the accuracy. With the usual 0, 1,
// -1, 2, -2 the large powers meet the small ones and cancel; 0, ±5/8, ±3/2 and
// infinity more than halve the error and cost the same, as points in pairs share
// their sums (on points: Barabasz, Anderson, Soodhalter and Gregg, "Error Analysis and
// Improving the Accuracy of Winograd Convolution for Deep Neural Networks", 2018).
// They have few bits, so every constant is exact in float32.

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The points are 0, ±near, ±far and infinity; conv_winograd.go transforms the weights
// with the same.
const (
	near, far             = 5.0 / 8, 3.0 / 2
	nearSquare, farSquare = near * near, far * far
)

func writeWinograd(ctx *build.Context) {
	constants := newConstantPool(ctx, "winogradConstants")
	for _, w := range []width{avx512, avx2} {
		t := &transform{maths: &maths{ctx: ctx, w: w, constants: constants}}
		t.input()
		t.output()
	}
	f := &fours{ctx: ctx,
		even: lanes(ctx, "evenOfTwo", func(lane int) int { return 2 * lane }),
		odd:  lanes(ctx, "oddOfTwo", func(lane int) int { return 2*lane + 1 }),
		low:  lanes(ctx, "lowOfTwo", func(lane int) int { return lane/2 + lane%2*16 }),
		high: lanes(ctx, "highOfTwo", func(lane int) int { return 8 + lane/2 + lane%2*16 }),
		bits: lanes(ctx, "bitOfLane", func(lane int) int { return 1 << lane }),
	}
	for _, w := range []width{avx512, avx2} {
		f.packing = &packing{ctx: ctx, w: w, laneBits: f.bits}
		f.split()
		f.join()
	}
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

// intoSix is B' times six numbers: row by row the coefficients of the product of
// all x - point but one.
func (t *transform) intoSix(d []reg.VecVirtual) []reg.VecVirtual {
	plus := func(a reg.VecVirtual, factor float64, b reg.VecVirtual) reg.VecVirtual {
		r := t.copy(a)
		t.ctx.VFMADD231PS(t.constant(factor), b, r)
		return r
	}
	even, odd := plus(d[4], -farSquare, d[2]), plus(d[3], -farSquare, d[1])
	even2, odd2 := plus(d[4], -nearSquare, d[2]), plus(d[3], -nearSquare, d[1])
	const sum, product = nearSquare + farSquare, nearSquare * farSquare
	return []reg.VecVirtual{
		plus(plus(d[4], -sum, d[2]), product, d[0]),
		plus(even, near, odd), plus(even, -near, odd),
		plus(even2, far, odd2), plus(even2, -far, odd2),
		plus(plus(d[5], -sum, d[3]), product, d[1]),
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

// outOfSix is A' times six numbers: the powers of the points. It overwrites them.
func (t *transform) outOfSix(m []reg.VecVirtual) []reg.VecVirtual {
	ctx := t.ctx
	difference, difference2 := t.w.new(ctx), t.w.new(ctx)
	ctx.VSUBPS(m[2], m[1], difference)
	ctx.VADDPS(m[2], m[1], m[1])
	ctx.VSUBPS(m[4], m[3], difference2)
	ctx.VADDPS(m[4], m[3], m[3])
	ctx.VADDPS(m[1], m[0], m[0])
	ctx.VADDPS(m[3], m[0], m[0])
	ctx.VFMADD231PS(t.constant(near*nearSquare), difference, m[5])
	ctx.VFMADD231PS(t.constant(far*farSquare), difference2, m[5])
	ctx.VMULPS(t.constant(near), difference, difference)
	ctx.VFMADD231PS(t.constant(far), difference2, difference)
	ctx.VMULPS(t.constant(nearSquare), m[1], m[1])
	ctx.VFMADD231PS(t.constant(farSquare), m[3], m[1])
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

// fours writes what separates rows by position modulo 4, and its inverse.
type fours struct {
	*packing
	ctx                        *build.Context
	even, odd, low, high, bits operand.Mem // tables
}

// split keeps even and odd elements apart, and does so to both again.
func (f *fours) split() {
	ctx, w := f.ctx, f.w
	name := "splitFours" + w.name
	function(ctx, name, "func(dst, src *float32, lead, planeStep int, load uint64, store uint32)",
		fmt.Sprintf("%s puts %d elements in turn into four planes, planeStep bytes apart. Elements not in\nload are zero, lanes not in store are left alone. Element 0 is lead bytes before src.", name, 4*w.lanes))
	dst, src, planeStep := gp(ctx, "dst"), gp(ctx, "src"), gp(ctx, "planeStep")
	ctx.SUBQ(gp(ctx, "lead"), src)
	bits := gp(ctx, "load")
	v := make([]reg.VecVirtual, 4)
	for i := range v {
		v[i] = w.new(ctx)
		f.read(at(src, w.bytes()*i), f.mask(bits.As32()), v[i])
		ctx.SHRQ(operand.Imm(uint64(w.lanes)), bits)
	}
	half := f.halves()
	even, odd := half.even(v[0], v[1]), half.odd(v[0], v[1])
	even2, odd2 := half.even(v[2], v[3]), half.odd(v[2], v[3])
	put := f.storing()
	for _, r := range []reg.VecVirtual{half.even(even, even2), half.even(odd, odd2), half.odd(even, even2), half.odd(odd, odd2)} {
		put(r, at(dst, 0))
		ctx.ADDQ(planeStep, dst)
	}
	ctx.VZEROUPPER()
	ctx.RET()
}

// halves are the even and the odd elements of two vectors.
type halves struct {
	even, odd func(a, b reg.VecVirtual) reg.VecVirtual
}

func (f *fours) halves() halves {
	if f.w.masked {
		even, odd := loaded(f.ctx, f.even), loaded(f.ctx, f.odd)
		return halves{
			even: func(a, b reg.VecVirtual) reg.VecVirtual { return permuted(f.ctx, even, a, b) },
			odd:  func(a, b reg.VecVirtual) reg.VecVirtual { return permuted(f.ctx, odd, a, b) },
		}
	}
	pick := func(elements uint64) func(a, b reg.VecVirtual) reg.VecVirtual {
		return func(a, b reg.VecVirtual) reg.VecVirtual {
			r := f.ctx.YMM()
			f.ctx.VSHUFPS(operand.Imm(elements), b, a, r)
			f.ctx.VPERMPD(operand.Imm(0xd8), r, r)
			return r
		}
	}
	return halves{even: pick(0x88), odd: pick(0xdd)}
}

// join is the inverse of split.
func (f *fours) join() {
	ctx, w := f.ctx, f.w
	name := "joinFours" + w.name
	doc := "Elements not in\nstore are left alone."
	if !w.masked {
		doc = "store is left\naside."
	}
	function(ctx, name, "func(dst, src *float32, planeStep int, store uint64)",
		fmt.Sprintf("%s takes %d elements in turn from four planes, planeStep bytes apart. %s", name, 4*w.lanes, doc))
	dst, src, planeStep := gp(ctx, "dst"), gp(ctx, "src"), gp(ctx, "planeStep")
	v := make([]reg.VecVirtual, 4)
	for i := range v {
		v[i] = w.new(ctx)
		ctx.VMOVUPS(at(src, 0), v[i])
		ctx.ADDQ(planeStep, src)
	}
	if w.masked {
		f.joinWide(dst, v)
	} else {
		f.joinNarrow(dst, v)
	}
	ctx.VZEROUPPER()
	ctx.RET()
}

func (f *fours) joinWide(dst reg.GPVirtual, v []reg.VecVirtual) {
	ctx := f.ctx
	bits := gp(ctx, "store")
	low, high := loaded(ctx, f.low), loaded(ctx, f.high)
	firsts := []reg.VecVirtual{permuted(ctx, low, v[0], v[2]), permuted(ctx, low, v[1], v[3])}
	lasts := []reg.VecVirtual{permuted(ctx, high, v[0], v[2]), permuted(ctx, high, v[1], v[3])}
	for i, r := range []reg.VecVirtual{
		permuted(ctx, low, firsts[0], firsts[1]), permuted(ctx, high, firsts[0], firsts[1]),
		permuted(ctx, low, lasts[0], lasts[1]), permuted(ctx, high, lasts[0], lasts[1]),
	} {
		ctx.VMOVUPS(r, mask(ctx, bits.As32()), at(dst, 64*i))
		ctx.SHRQ(operand.Imm(16), bits)
	}
}

// joinNarrow interleaves within the halves of registers, as AVX2 does, and
// puts the halves in order at last.
func (f *fours) joinNarrow(dst reg.GPVirtual, v []reg.VecVirtual) {
	ctx := f.ctx
	interleave := func(op func(...operand.Op), a, b reg.VecVirtual) reg.VecVirtual {
		r := ctx.YMM()
		op(b, a, r)
		return r
	}
	low, high := func(ops ...operand.Op) { ctx.VUNPCKLPS(ops...) }, func(ops ...operand.Op) { ctx.VUNPCKHPS(ops...) }
	firsts := []reg.VecVirtual{interleave(low, v[0], v[2]), interleave(low, v[1], v[3])}
	lasts := []reg.VecVirtual{interleave(high, v[0], v[2]), interleave(high, v[1], v[3])}
	fours := []reg.VecVirtual{
		interleave(low, firsts[0], firsts[1]), interleave(high, firsts[0], firsts[1]),
		interleave(low, lasts[0], lasts[1]), interleave(high, lasts[0], lasts[1]),
	}
	for i, halves := range []uint64{0x20, 0x20, 0x31, 0x31} {
		r := ctx.YMM()
		ctx.VPERM2F128(operand.Imm(halves), fours[i%2*2+1], fours[i%2*2], r)
		ctx.VMOVUPS(r, at(dst, 32*i))
	}
}
