package kernels

// The assembly micro-kernels behind the common interface. Each is written for a
// fixed number of rows, as its sums are named registers.

//go:generate go run onnxprune/runtime/kernels/gen .

// gemmAssembly is the signature of the generated functions: ldc in bytes.
type gemmAssembly func(k int, a, b, c *float32, ldc int, mask uint32, accumulate bool, bias *float32, lo, hi float32)

var avx512MicroKernel = MicroKernel{Name: "avx512 14x32", MR: 14, NR: 32, Run: runAVX512}

// gemmAVX512 holds the kernels by number of rows, for 16 and 32 columns.
var gemmAVX512 = [15][2]gemmAssembly{
	{},
	{gemm1x16AVX512, gemm1x32AVX512}, {gemm2x16AVX512, gemm2x32AVX512},
	{gemm3x16AVX512, gemm3x32AVX512}, {gemm4x16AVX512, gemm4x32AVX512},
	{gemm5x16AVX512, gemm5x32AVX512}, {gemm6x16AVX512, gemm6x32AVX512},
	{gemm7x16AVX512, gemm7x32AVX512}, {gemm8x16AVX512, gemm8x32AVX512},
	{gemm9x16AVX512, gemm9x32AVX512}, {gemm10x16AVX512, gemm10x32AVX512},
	{gemm11x16AVX512, gemm11x32AVX512}, {gemm12x16AVX512, gemm12x32AVX512},
	{gemm13x16AVX512, gemm13x32AVX512}, {gemm14x16AVX512, gemm14x32AVX512},
}

func runAVX512(rows, cols, k int, a, b, c []float32, ldc int, end Ending) {
	if k == 0 || rows == 0 || cols == 0 {
		end.store(rows, cols, make([]float32, 14*32), 32, c, ldc)
		return
	}
	_, _, _ = a[rows*k-1], b[32*k-1], c[(rows-1)*ldc+cols-1]
	var bias *float32
	if end.Bias != nil {
		_ = end.Bias[rows-1]
		bias = &end.Bias[0]
	}
	mask := uint32(1)<<cols - 1
	gemmAVX512[rows][(cols-1)/16](k, &a[0], &b[0], &c[0], 4*ldc, mask, end.Accumulate, bias, end.Lo, end.Hi)
}

var avx2MicroKernel = MicroKernel{Name: "avx2 6x16", MR: 6, NR: 16, Run: runAVX2}

// runAVX2 computes blocks with fewer than 16 columns in a block of its own, as
// AVX2 has no quick way to store a part of a vector.
func runAVX2(rows, cols, k int, a, b, c []float32, ldc int, end Ending) {
	if k == 0 || rows == 0 || cols == 0 {
		end.store(rows, cols, make([]float32, 6*16), 16, c, ldc)
		return
	}
	_, _, _ = a[rows*k-1], b[16*k-1], c[(rows-1)*ldc+cols-1]
	if cols < 16 {
		var block [6 * 16]float32
		whole := bare(false)
		blockAVX2(rows, k, &a[0], &b[0], &block[0], 16, nil, &whole)
		end.store(rows, cols, block[:], 16, c, ldc)
		return
	}
	var bias *float32
	if end.Bias != nil {
		_ = end.Bias[rows-1]
		bias = &end.Bias[0]
	}
	blockAVX2(rows, k, &a[0], &b[0], &c[0], ldc, bias, &end)
}

// blockAVX2 calls the kernel for a number of rows; through names, not a table,
// so that the compiler sees that a block on the stack can stay there.
func blockAVX2(rows, k int, a, b, c *float32, ldc int, bias *float32, end *Ending) {
	switch rows {
	case 1:
		gemm1x16AVX2(k, a, b, c, 4*ldc, 0, end.Accumulate, bias, end.Lo, end.Hi)
	case 2:
		gemm2x16AVX2(k, a, b, c, 4*ldc, 0, end.Accumulate, bias, end.Lo, end.Hi)
	case 3:
		gemm3x16AVX2(k, a, b, c, 4*ldc, 0, end.Accumulate, bias, end.Lo, end.Hi)
	case 4:
		gemm4x16AVX2(k, a, b, c, 4*ldc, 0, end.Accumulate, bias, end.Lo, end.Hi)
	case 5:
		gemm5x16AVX2(k, a, b, c, 4*ldc, 0, end.Accumulate, bias, end.Lo, end.Hi)
	case 6:
		gemm6x16AVX2(k, a, b, c, 4*ldc, 0, end.Accumulate, bias, end.Lo, end.Hi)
	}
}

// transposeFours leaves the last depth%4 columns to the caller.
func transposeFours(dst []float32, width int, src []float32, ld, depth int) int {
	blocks := depth / 4
	if blocks > 0 {
		_, _ = dst[(4*blocks-1)*width+3], src[3*ld+4*blocks-1]
		transposeFoursAVX(&dst[0], 4*width, &src[0], 4*ld, blocks)
	}
	return 4 * blocks
}
