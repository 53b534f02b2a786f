package main

// Packing with masks (AVX-512 only): sixteen columns of a panel at a time, for
// many rows. Lanes outside the load mask are not read, which lets a vector stick
// out of its row of the source; they become zero, or with the store mask keep
// what is there, which lets several short runs share a vector.

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	packSignature = "func(dst, src *float32, lead, count, srcStep, dstStep int, load, store uint32)"
	packDoc       = "copies count > 0 vectors of 16 lanes. Lanes not in load become zero,\nlanes not in store are left alone. Lane 0 is read lead bytes before src, which is the first that load has;\nsteps are in bytes."
)

func writePack(ctx *build.Context) {
	packUnitStride(ctx)
	packEverySecond(ctx)
	transposeFours(ctx)
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

func packUnitStride(ctx *build.Context) {
	function(ctx, "packLanes", packSignature, "packLanes "+packDoc)
	load := mask(ctx, ctx.Load(ctx.Param("load"), ctx.GP32()))
	v := ctx.ZMM()
	packLoop(ctx, v, func(src reg.GPVirtual) {
		ctx.VMOVUPS_Z(at(src, 0), load, v)
	})
}

// packEverySecond reads two vectors and keeps their even lanes, so the load mask
// is spread over 32 bits, each to an even place.
func packEverySecond(ctx *build.Context) {
	even := table(ctx, "evenLanes")
	for lane := range 16 {
		ctx.AddDatum(4*lane, operand.U32(2*lane))
	}
	function(ctx, "packEvenLanes", packSignature, "packEvenLanes "+packDoc+"\nLanes are read two elements apart.")
	bits, spread := ctx.Load(ctx.Param("load"), ctx.GP32()), ctx.GP32()
	ctx.MOVL(operand.U32(0x55555555), spread)
	ctx.PDEPL(spread, bits, bits)
	low := mask(ctx, bits)
	ctx.SHRL(operand.Imm(16), bits)
	high := mask(ctx, bits)
	index, v, upper := ctx.ZMM(), ctx.ZMM(), ctx.ZMM()
	ctx.VMOVUPS(even, index)
	packLoop(ctx, v, func(src reg.GPVirtual) {
		ctx.VMOVUPS_Z(at(src, 0), low, v)
		ctx.VMOVUPS_Z(at(src, 64), high, upper)
		ctx.VPERMT2PS(upper, index, v)
	})
}

// packLoop stores v, which read has filled, count times.
func packLoop(ctx *build.Context, v reg.VecVirtual, read func(src reg.GPVirtual)) {
	dst, src, count := gp(ctx, "dst"), gp(ctx, "src"), gp(ctx, "count")
	srcStep, dstStep := gp(ctx, "srcStep"), gp(ctx, "dstStep")
	ctx.SUBQ(gp(ctx, "lead"), src)
	store := mask(ctx, ctx.Load(ctx.Param("store"), ctx.GP32()))
	ctx.Label("next")
	read(src)
	ctx.VMOVUPS(v, store, at(dst, 0))
	ctx.ADDQ(srcStep, src)
	ctx.ADDQ(dstStep, dst)
	ctx.DECQ(count)
	ctx.JNE(operand.LabelRef("next"))
	ctx.VZEROUPPER()
	ctx.RET()
}

// mask puts the low 16 bits of a register into a mask.
func mask(ctx *build.Context, bits reg.Register) reg.OpmaskVirtual {
	k := ctx.K()
	ctx.KMOVW(bits, k)
	return k
}
