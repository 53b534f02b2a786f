package main

// Reductions of a slice to a vector of partial results, which the caller
// combines: sums in float64, and maxima.

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
		maxima(ctx, w)
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

// maxima leaves NaN aside, as the kernel of max pooling does.
func maxima(ctx *build.Context, w width) {
	name := "maximum" + w.name
	function(ctx, name, "func(lanes, x *float32, vectors int)",
		name+" replaces lanes by their maxima with vectors > 0 vectors of x.")
	lanes, x, vectors := gp(ctx, "lanes"), gp(ctx, "x"), gp(ctx, "vectors")
	best, v := w.new(ctx), w.new(ctx)
	ctx.VMOVUPS(at(lanes, 0), best)
	ctx.Label("next")
	ctx.VMOVUPS(at(x, 0), v)
	ctx.VMAXPS(best, v, best)
	ctx.ADDQ(operand.Imm(uint64(w.bytes())), x)
	ctx.DECQ(vectors)
	ctx.JNE(operand.LabelRef("next"))
	ctx.VMOVUPS(best, at(lanes, 0))
	ctx.VZEROUPPER()
	ctx.RET()
}
