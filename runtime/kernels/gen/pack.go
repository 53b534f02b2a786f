package main

// Packing with masks: a vector of columns of a panel at a time, for many rows.
// Lanes outside the load mask are not read, which lets a vector stick out of its
// row of the source; they become zero, or with the store mask keep what is there,
// which lets several short runs share a vector. AVX2 cannot store a part of a
// vector quickly: it reads what is there and stores it again.

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	packSignature = "func(dst, src *float32, lead, count, srcStep, dstStep int, load, store uint32)"
	packDoc       = "copies count > 0 vectors. Lanes not in load become zero, lanes not\nin store are left alone. Lane 0 is read lead bytes before src, which is the first that load has; steps\nare in bytes."
)

func writePack(ctx *build.Context) {
	even := lanes(ctx, "evenLanes", func(lane int) int { return 2 * lane })
	bit := lanes(ctx, "laneBits", func(lane int) int { return 1 << lane })
	for _, w := range []width{avx512, avx2} {
		p := &packing{ctx: ctx, w: w, even: even, laneBits: bit}
		p.unitStride()
		p.everySecond()
	}
	transposeFours(ctx)
}

// packing writes the functions of one width.
type packing struct {
	ctx            *build.Context
	w              width
	even, laneBits operand.Mem // tables
}

// mask puts the low bits of a register into a mask: a register of its own kind
// with AVX-512, else a vector of lanes all ones or all zero.
func (p *packing) mask(bits reg.Register) reg.Register {
	if p.w.masked {
		return mask(p.ctx, bits)
	}
	low, v := p.ctx.XMM(), p.ctx.YMM()
	p.ctx.VMOVD(bits, low)
	p.ctx.VPBROADCASTD(low, v)
	p.ctx.VPAND(p.laneBits, v, v)
	p.ctx.VPCMPEQD(p.laneBits, v, v)
	return v
}

// read loads the lanes of a mask; the others are zero.
func (p *packing) read(from operand.Mem, lanes reg.Register, v reg.VecVirtual) {
	if p.w.masked {
		p.ctx.VMOVUPS_Z(from, lanes, v)
	} else {
		p.ctx.VMASKMOVPS(from, lanes, v)
	}
}

func (p *packing) unitStride() {
	name := "packLanes" + p.w.name
	function(p.ctx, name, packSignature, name+" "+packDoc)
	load := p.mask(p.ctx.Load(p.ctx.Param("load"), p.ctx.GP32()))
	v := p.w.new(p.ctx)
	p.loop(v, func(src reg.GPVirtual) { p.read(at(src, 0), load, v) })
}

// everySecond reads two vectors and keeps their even lanes, so the load mask is
// spread over twice the bits, each to an even place.
func (p *packing) everySecond() {
	ctx := p.ctx
	name := "packEvenLanes" + p.w.name
	function(ctx, name, packSignature, name+" "+packDoc+"\nLanes are read two elements apart.")
	bits, spread := ctx.Load(ctx.Param("load"), ctx.GP32()), ctx.GP32()
	ctx.MOVL(operand.U32(0x55555555), spread)
	ctx.PDEPL(spread, bits, bits)
	low := p.mask(bits)
	ctx.SHRL(operand.Imm(uint64(p.w.lanes)), bits)
	high := p.mask(bits)
	v, upper := p.w.new(ctx), p.w.new(ctx)
	if p.w.masked {
		index := loaded(ctx, p.even)
		p.loop(v, func(src reg.GPVirtual) {
			p.read(at(src, 0), low, v)
			p.read(at(src, 64), high, upper)
			ctx.VPERMT2PS(upper, index, v)
		})
		return
	}
	p.loop(v, func(src reg.GPVirtual) {
		p.read(at(src, 0), low, v)
		p.read(at(src, 32), high, upper)
		ctx.VSHUFPS(operand.Imm(0x88), upper, v, v)
		ctx.VPERMPD(operand.Imm(0xd8), v, v)
	})
}

// loop stores v, which read has filled, count times.
func (p *packing) loop(v reg.VecVirtual, read func(src reg.GPVirtual)) {
	ctx := p.ctx
	dst, src, count := gp(ctx, "dst"), gp(ctx, "src"), gp(ctx, "count")
	srcStep, dstStep := gp(ctx, "srcStep"), gp(ctx, "dstStep")
	ctx.SUBQ(gp(ctx, "lead"), src)
	put := p.storing()
	ctx.Label("next")
	read(src)
	put(v, at(dst, 0))
	ctx.ADDQ(srcStep, src)
	ctx.ADDQ(dstStep, dst)
	ctx.DECQ(count)
	ctx.JNE(operand.LabelRef("next"))
	ctx.VZEROUPPER()
	ctx.RET()
}

// storing returns what writes a store of the lanes that the parameter store has.
func (p *packing) storing() func(v reg.VecVirtual, to operand.Mem) {
	ctx := p.ctx
	bits := ctx.Load(ctx.Param("store"), ctx.GP32())
	if p.w.masked {
		store := p.mask(bits)
		return func(v reg.VecVirtual, to operand.Mem) { ctx.VMOVUPS(v, store, to) }
	}
	ctx.NOTL(bits)
	keep, there := p.mask(bits), ctx.YMM()
	store := ctx.YMM()
	ctx.VPCMPEQD(store, store, store)
	ctx.VPXOR(keep, store, store)
	return func(v reg.VecVirtual, to operand.Mem) {
		ctx.VPAND(to, keep, there)
		ctx.VPAND(v, store, v)
		ctx.VPOR(there, v, v)
		ctx.VMOVUPS(v, to)
	}
}

// mask puts the low 16 bits of a register into a mask of AVX-512.
func mask(ctx *build.Context, bits reg.Register) reg.OpmaskVirtual {
	k := ctx.K()
	ctx.KMOVW(bits, k)
	return k
}

// transposeFours reads four elements of four rows and writes them as four
// columns, until depth is through: AVX alone, for every tier.
func transposeFours(ctx *build.Context) {
	function(ctx, "transposeFoursAVX", "func(dst *float32, dstStep int, src *float32, srcStep, blocks int)",
		"transposeFoursAVX transposes four rows of src, 4*blocks > 0 elements long, to rows of four. Steps are\nin bytes.")
	dst, dstStep, src := gp(ctx, "dst"), gp(ctx, "dstStep"), gp(ctx, "src")
	srcStep, blocks := gp(ctx, "srcStep"), gp(ctx, "blocks")
	rows := []reg.GPVirtual{src, ctx.GP64(), ctx.GP64(), ctx.GP64()}
	for i := 1; i < 4; i++ {
		ctx.LEAQ(operand.Mem{Base: rows[i-1], Index: srcStep, Scale: 1}, rows[i])
	}
	v := make([]reg.VecVirtual, 4)
	for i := range v {
		v[i] = ctx.XMM()
	}
	low, high, low2, high2 := ctx.XMM(), ctx.XMM(), ctx.XMM(), ctx.XMM()
	ctx.Label("next")
	for i, row := range rows {
		ctx.VMOVUPS(at(row, 0), v[i])
		ctx.ADDQ(operand.Imm(16), row)
	}
	ctx.VUNPCKLPS(v[1], v[0], low) // a0 b0 a1 b1
	ctx.VUNPCKHPS(v[1], v[0], high)
	ctx.VUNPCKLPS(v[3], v[2], low2) // c0 d0 c1 d1
	ctx.VUNPCKHPS(v[3], v[2], high2)
	ctx.VUNPCKLPD(low2, low, v[0])
	ctx.VUNPCKHPD(low2, low, v[1])
	ctx.VUNPCKLPD(high2, high, v[2])
	ctx.VUNPCKHPD(high2, high, v[3])
	for _, column := range v {
		ctx.VMOVUPS(column, at(dst, 0))
		ctx.ADDQ(dstStep, dst)
	}
	ctx.DECQ(blocks)
	ctx.JNE(operand.LabelRef("next"))
	ctx.RET()
}
