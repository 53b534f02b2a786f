package main

// Reductions of a slice to a vector of partial results, which the caller
// combines: sums in float64, sums in float32, and maxima.

import (
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func writeReduce(ctx *build.Context) {
	for _, w := range []width{avx512, avx2} {
		sums(ctx, w, "sum", "", nil)
		sums(ctx, w, "squares", ", mean float64", func(v, mean reg.VecVirtual) {
			ctx.VSUBPD(mean, v, v)
			ctx.VMULPD(v, v, v)
		})
		laneByLane(ctx, w, "maximum", "replaces lanes by their maxima with", func(lanes, v reg.VecVirtual) {
			ctx.VMAXPS(lanes, v, lanes) // leaves NaN aside, as the kernel of max pooling does
		})
		laneByLane(ctx, w, "total", "adds to lanes", func(lanes, v reg.VecVirtual) { ctx.VADDPS(v, lanes, lanes) })
	}
}

// sums writes a sum of float32s widened to float64, each after an optional
// change; four partial sums, so that one is ready when its turn comes.
func sums(ctx *build.Context, w width, name, parameter string, change func(v, mean reg.VecVirtual)) {
	name += w.name
	function(ctx, name, "func(lanes *float64, x *float32, blocks int"+parameter+")",
		name+" adds blocks > 0 blocks, each of four vectors of float64, lane by lane.")
	lanes, x, blocks := gp(ctx, "lanes"), gp(ctx, "x"), gp(ctx, "blocks")
	var mean reg.VecVirtual
	if change != nil {
		mean = w.new(ctx)
		address, err := ctx.Param("mean").Resolve()
		if err != nil {
			panic(err)
		}
		ctx.VBROADCASTSD(address.Addr, mean)
	}
	parts := make([]reg.VecVirtual, 4)
	for i := range parts {
		parts[i] = w.new(ctx)
		w.zero(ctx, parts[i])
	}
	v := w.new(ctx)
	ctx.Label("next")
	for i, part := range parts {
		ctx.VCVTPS2PD(at(x, i*w.bytes()/2), v)
		if change != nil {
			change(v, mean)
		}
		ctx.VADDPD(v, part, part)
	}
	ctx.ADDQ(operand.Imm(uint64(2*w.bytes())), x)
	ctx.DECQ(blocks)
	ctx.JNE(operand.LabelRef("next"))
	ctx.VADDPD(parts[1], parts[0], parts[0])
	ctx.VADDPD(parts[3], parts[2], parts[2])
	ctx.VADDPD(parts[2], parts[0], parts[0])
	ctx.VMOVUPS(parts[0], at(lanes, 0))
	ctx.VZEROUPPER()
	ctx.RET()
}

// laneByLane combines vectors of float32 one after the other.
func laneByLane(ctx *build.Context, w width, name, does string, combine func(lanes, v reg.VecVirtual)) {
	name += w.name
	function(ctx, name, "func(lanes, x *float32, vectors int)", name+" "+does+" vectors > 0 vectors of x.")
	lanes, x, vectors := gp(ctx, "lanes"), gp(ctx, "x"), gp(ctx, "vectors")
	result, v := w.new(ctx), w.new(ctx)
	ctx.VMOVUPS(at(lanes, 0), result)
	ctx.Label("next")
	ctx.VMOVUPS(at(x, 0), v)
	combine(result, v)
	ctx.ADDQ(operand.Imm(uint64(w.bytes())), x)
	ctx.DECQ(vectors)
	ctx.JNE(operand.LabelRef("next"))
	ctx.VMOVUPS(result, at(lanes, 0))
	ctx.VZEROUPPER()
	ctx.RET()
}
