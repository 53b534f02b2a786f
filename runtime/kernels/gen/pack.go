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
