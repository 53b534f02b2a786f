package main

// Depthwise convolution of a padded plane: vectors of outputs, one below the
// other, each the sum over the taps of a weight times a run of the plane. Four
// vectors are summed at a time, as one sum waits four cycles for its last term.
// The maxima of max pooling are found in the same way.

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func writeDepthwise(ctx *build.Context) {
	for _, w := range []width{avx512, avx2} {
		overTaps(ctx, w, "depthwise", "sum, from bias on, of taps times weights", (*tapLoop).weighted)
		overTaps(ctx, w, "maxima", "maximum of bias and the taps, weights left aside", (*tapLoop).maximum)
	}
}

// overTaps writes a function that combines the taps of each output in turn.
func overTaps(ctx *build.Context, w width, name, doc string, combine func(*tapLoop)) {
	name += w.name
	signature := "func(y, x *float32, count, yStep, xStep int, taps *int, weights *float32, tapCount int, bias, lo, hi float32, mask uint32)"
	function(ctx, name, signature, fmt.Sprintf(
		"%s computes count vectors of %d outputs, each the %s.\nSteps and taps are in bytes; tapCount > 0. Results are kept within lo and hi.", name, w.lanes, doc))
	d := &tapLoop{
		ctx: ctx, w: w, y: gp(ctx, "y"), x: gp(ctx, "x"), yStep: gp(ctx, "yStep"), xStep: gp(ctx, "xStep"),
		taps: gp(ctx, "taps"), weights: gp(ctx, "weights"),
		bias: w.broadcast(ctx, "bias"), lo: w.broadcast(ctx, "lo"), hi: w.broadcast(ctx, "hi"),
	}
	if w.masked {
		d.mask = mask(ctx, ctx.Load(ctx.Param("mask"), ctx.GP32()))
	}
	count := gp(ctx, "count")
	for _, rows := range []int{4, 2, 1} {
		again, done := fmt.Sprintf("rows%d", rows), fmt.Sprintf("done%d", rows)
		ctx.Label(again)
		ctx.CMPQ(count, operand.Imm(uint64(rows)))
		ctx.JL(operand.LabelRef(done))
		d.rows(rows, combine)
		ctx.SUBQ(operand.Imm(uint64(rows)), count)
		ctx.JMP(operand.LabelRef(again))
		ctx.Label(done)
	}
	ctx.VZEROUPPER()
	ctx.RET()
}

type tapLoop struct {
	ctx           *build.Context
	w             width
	y, x          reg.GPVirtual
	yStep, xStep  reg.GPVirtual
	taps, weights reg.GPVirtual
	bias, lo, hi  reg.VecVirtual
	mask          reg.OpmaskVirtual

	// of the rows being computed
	sums        []reg.VecVirtual
	sources     []reg.GPVirtual
	tap, offset reg.GPVirtual
	element     reg.VecVirtual
}

// rows computes as many vectors, and moves x and y past them.
func (d *tapLoop) rows(rows int, combine func(*tapLoop)) {
	ctx := d.ctx
	d.sums, d.sources = make([]reg.VecVirtual, rows), make([]reg.GPVirtual, rows)
	for i := range d.sums {
		d.sums[i], d.sources[i] = d.w.new(ctx), ctx.GP64()
		ctx.VMOVAPS(d.bias, d.sums[i])
		ctx.MOVQ(d.x, d.sources[i])
		ctx.ADDQ(d.xStep, d.x)
	}
	d.tap, d.offset, d.element = ctx.GP64(), ctx.GP64(), d.w.new(ctx)
	ctx.XORQ(d.tap, d.tap)
	next := fmt.Sprintf("tap%d", rows)
	limit := gp(ctx, "tapCount")
	ctx.Label(next)
	ctx.MOVQ(operand.Mem{Base: d.taps, Index: d.tap, Scale: 8}, d.offset)
	combine(d)
	ctx.INCQ(d.tap)
	ctx.CMPQ(d.tap, limit)
	ctx.JL(operand.LabelRef(next))
	for _, sum := range d.sums {
		ctx.VMAXPS(sum, d.lo, sum)
		ctx.VMINPS(sum, d.hi, sum)
		if d.w.masked {
			ctx.VMOVUPS(sum, d.mask, at(d.y, 0))
		} else {
			ctx.VMOVUPS(sum, at(d.y, 0))
		}
		ctx.ADDQ(d.yStep, d.y)
	}
}

// weighted adds a weight times a run of the plane.
func (d *tapLoop) weighted() {
	d.ctx.VBROADCASTSS(operand.Mem{Base: d.weights, Index: d.tap, Scale: 4}, d.element)
	for i, sum := range d.sums {
		d.ctx.VFMADD231PS(operand.Mem{Base: d.sources[i], Index: d.offset, Scale: 1}, d.element, sum)
	}
}

// maximum leaves NaN aside: VMAXPS returns its first operand (in Go's order) if
// either is NaN, and no sum ever is.
func (d *tapLoop) maximum() {
	for i, sum := range d.sums {
		d.ctx.VMOVUPS(operand.Mem{Base: d.sources[i], Index: d.offset, Scale: 1}, d.element)
		d.ctx.VMAXPS(sum, d.element, sum)
	}
}
