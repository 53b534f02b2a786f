package main

// The two vector widths. Most instructions have one name for both; avo picks
// the encoding by the registers. What differs is here.

import (
	"strings"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	"github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// width is a vector register's size and how to get one.
type width struct {
	name   string // suffix of the functions
	lanes  int    // float32s per register
	masked bool   // AVX-512: masks, 32 registers, other names for logical operations
	new    func(ctx *build.Context) reg.VecVirtual
}

var (
	avx512 = width{"AVX512", 16, true, func(ctx *build.Context) reg.VecVirtual { return ctx.ZMM() }}
	avx2   = width{"AVX2", 8, false, func(ctx *build.Context) reg.VecVirtual { return ctx.YMM() }}
)

func (w width) bytes() int { return 4 * w.lanes }

// zero clears a register.
func (w width) zero(ctx *build.Context, v reg.VecVirtual) {
	if w.masked {
		ctx.VPXORD(v, v, v)
	} else {
		ctx.VPXOR(v, v, v)
	}
}

// function starts a function that calls nothing and keeps no pointer.
func function(ctx *build.Context, name, signature, doc string) {
	ctx.Function(name)
	ctx.Attributes(attr.NOSPLIT)
	ctx.Pragma("noescape")
	ctx.SignatureExpr(signature)
	ctx.Doc(strings.Split(doc, "\n")...)
}

// gp loads an integer or pointer parameter.
func gp(ctx *build.Context, name string) reg.GPVirtual {
	return ctx.Load(ctx.Param(name), ctx.GP64()).(reg.GPVirtual)
}

// broadcast loads a float32 parameter into all lanes.
func (w width) broadcast(ctx *build.Context, name string) reg.VecVirtual {
	v := w.new(ctx)
	address, err := ctx.Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	ctx.VBROADCASTSS(address.Addr, v)
	return v
}

// at is an address a number of bytes past a pointer.
func at(base reg.Register, bytes int) operand.Mem { return operand.Mem{Base: base, Disp: bytes} }

// alignLoop makes the next instruction start a cache line of code.
func alignLoop(ctx *build.Context) {
	ctx.Instruction(&ir.Instruction{Opcode: "PCALIGN", Operands: []operand.Op{operand.Imm(64)}})
}

// table starts a read-only table of numbers.
func table(ctx *build.Context, name string) operand.Mem {
	mem := ctx.StaticGlobal(name)
	ctx.DataAttributes(attr.RODATA | attr.NOPTR)
	return mem
}
