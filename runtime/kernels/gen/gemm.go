package main

// The micro-kernels: rows x (vectors*lanes) sums of products in registers. Each
// step of k loads the vectors of B, then row by row broadcasts an element of A
// and multiplies. AVX-512 has 32 registers: 14 rows of 2 vectors, 2 of B, 2 for
// A. AVX2 has 16: 6 rows of 2.
//
// There is a kernel for every number of rows, so that a panel with fewer costs
// less, and (AVX-512) one for half the columns.

import (
	"fmt"

	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func writeGemm(ctx *build.Context) {
	for rows := 1; rows <= 14; rows++ {
		for vectors := 1; vectors <= 2; vectors++ {
			microKernel(ctx, avx512, rows, vectors)
		}
	}
	for rows := 1; rows <= 6; rows++ {
		microKernel(ctx, avx2, rows, 2)
	}
}

// panelBytes is the distance between rows of a packed panel of B, which is two
// vectors wide whether or not all of it is used.
func (w width) panelBytes() int { return 2 * w.bytes() }

func microKernel(ctx *build.Context, w width, rows, vectors int) {
	name := fmt.Sprintf("gemm%dx%d%s", rows, vectors*w.lanes, w.name)
	function(ctx, name, "func(k int, a, b, c *float32, ldc int, mask uint32, accumulate bool, bias *float32, lo, hi float32)",
		fmt.Sprintf("%s multiplies a panel of %d rows by one of %d columns. ldc is in bytes; bias, if not nil,\nhas one element per row; the results are kept within lo and hi.", name, rows, vectors*w.lanes))
	sums := sumOfProducts(ctx, w, rows, vectors)
	finishBlock(ctx, w, sums)
	ctx.VZEROUPPER()
	ctx.RET()
}

// sumOfProducts is the loop over k.
func sumOfProducts(ctx *build.Context, w width, rows, vectors int) [][]reg.VecVirtual {
	k, a, b := gp(ctx, "k"), gp(ctx, "a"), gp(ctx, "b")
	sums := make([][]reg.VecVirtual, rows)
	for i := range sums {
		for range vectors {
			v := w.new(ctx)
			w.zero(ctx, v)
			sums[i] = append(sums[i], v)
		}
	}
	right := make([]reg.VecVirtual, vectors)
	for j := range right {
		right[j] = w.new(ctx)
	}
	left := w.new(ctx)
	ctx.TESTQ(k, k)
	ctx.JE(operand.LabelRef("summed"))
	alignLoop(ctx)
	ctx.Label("step")
	for j, v := range right {
		ctx.VMOVUPS(at(b, j*w.bytes()), v)
	}
	for i := range sums {
		ctx.VBROADCASTSS(at(a, 4*i), left)
		for j := range right {
			ctx.VFMADD231PS(right[j], left, sums[i][j])
		}
	}
	ctx.ADDQ(operand.Imm(uint64(4*rows)), a)
	ctx.ADDQ(operand.Imm(uint64(w.panelBytes())), b)
	ctx.DECQ(k)
	ctx.JNE(operand.LabelRef("step"))
	ctx.Label("summed")
	return sums
}

// finishBlock adds what is in C and the bias, applies the bounds, and stores.
// The bounds come first in VMAXPS and VMINPS, which return their second operand
// if either is NaN (in Go's order of operands: the first).
func finishBlock(ctx *build.Context, w width, sums [][]reg.VecVirtual) {
	c, ldc := gp(ctx, "c"), gp(ctx, "ldc")
	masks := blockMasks(ctx, w, len(sums[0]))
	accumulate := ctx.Load(ctx.Param("accumulate"), ctx.GP8())
	ctx.TESTB(accumulate, accumulate)
	ctx.JE(operand.LabelRef("bias"))
	row := ctx.GP64()
	ctx.MOVQ(c, row)
	for i := range sums {
		for j, sum := range sums[i] {
			if w.masked {
				ctx.VADDPS(at(row, j*w.bytes()), sum, masks[j], sum)
			} else {
				ctx.VADDPS(at(row, j*w.bytes()), sum, sum)
			}
		}
		ctx.ADDQ(ldc, row)
	}
	ctx.Label("bias")
	bias := gp(ctx, "bias")
	ctx.TESTQ(bias, bias)
	ctx.JE(operand.LabelRef("store"))
	term := w.new(ctx)
	for i := range sums {
		ctx.VBROADCASTSS(at(bias, 4*i), term)
		for _, sum := range sums[i] {
			ctx.VADDPS(term, sum, sum)
		}
	}
	ctx.Label("store")
	lo, hi := w.broadcast(ctx, "lo"), w.broadcast(ctx, "hi")
	for i := range sums {
		for j, sum := range sums[i] {
			ctx.VMAXPS(sum, lo, sum)
			ctx.VMINPS(sum, hi, sum)
			if w.masked {
				ctx.VMOVUPS(sum, masks[j], at(c, j*w.bytes()))
			} else {
				ctx.VMOVUPS(sum, at(c, j*w.bytes()))
			}
		}
		ctx.ADDQ(ldc, c)
	}
}

// blockMasks splits the mask of columns into one per vector. AVX2 has none: its
// caller sees to it that there is room for whole vectors.
func blockMasks(ctx *build.Context, w width, vectors int) []reg.OpmaskVirtual {
	if !w.masked {
		return nil
	}
	bits := ctx.Load(ctx.Param("mask"), ctx.GP32())
	masks := make([]reg.OpmaskVirtual, vectors)
	for j := range masks {
		if j > 0 {
			ctx.SHRL(operand.Imm(16), bits)
		}
		masks[j] = ctx.K()
		ctx.KMOVW(bits, masks[j])
	}
	return masks
}
