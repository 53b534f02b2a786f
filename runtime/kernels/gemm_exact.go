package kernels

// Matrix products that are not worth assembly: float64 for models that compute
// in double precision, and exact integers for quantized ones. Rows of C are
// computed independently, with the terms of each element in the order of p.

// Gemm64 is Gemm for float64.
func Gemm64(p *Pool, transA, transB bool, m, n, k int, alpha float64, a []float64, lda int,
	b []float64, ldb int, beta float64, c []float64, ldc int) {
	if m <= 0 || n <= 0 {
		return
	}
	stepA, rowA := 1, lda
	if transA {
		stepA, rowA = lda, 1
	}
	p.Do(m, grainFor(n*max(k, 1)), func(lo, hi int) {
		sums := make([]float64, n)
		for i := lo; i < hi; i++ {
			clear(sums)
			for q := range k {
				scale := a[i*rowA+q*stepA]
				if transB {
					for j := range sums {
						sums[j] += scale * b[j*ldb+q]
					}
					continue
				}
				for j, v := range b[q*ldb : q*ldb+n] {
					sums[j] += scale * v
				}
			}
			row := c[i*ldc : i*ldc+n]
			for j, v := range sums {
				if beta == 0 {
					row[j] = alpha * v
				} else {
					row[j] = alpha*v + beta*row[j]
				}
			}
		}
	})
}

// GemmInt32 computes C = (A - aZero) * (B - bZero) exactly in 32-bit integers,
// which wrap around as the format's accumulators do. A is m x k, B k x n, C m x
// n, rows lda, ldb, ldc apart. aZero has no element (zero), one, or one per row
// of A; bZero none, one, or one per column of B.
func GemmInt32[A, B int8 | uint8](p *Pool, m, n, k int, a []A, lda int, aZero []A,
	b []B, ldb int, bZero []B, c []int32, ldc int) {
	if m <= 0 || n <= 0 {
		return
	}
	zeros := make([]int32, n)
	for j := range zeros {
		zeros[j] = zeroPoint(bZero, j)
	}
	p.Do(m, grainFor(n*max(k, 1)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row := c[i*ldc : i*ldc+n]
			clear(row)
			shift := zeroPoint(aZero, i)
			for q := range k {
				scale := int32(a[i*lda+q]) - shift
				if scale == 0 {
					continue
				}
				for j, v := range b[q*ldb : q*ldb+n] {
					row[j] += scale * (int32(v) - zeros[j])
				}
			}
		}
	})
}

func zeroPoint[T int8 | uint8](zeros []T, i int) int32 {
	switch len(zeros) {
	case 0:
		return 0
	case 1:
		return int32(zeros[0])
	}
	return int32(zeros[i])
}
