package kernels

// The matrix product of float64, for models that compute in double precision:
// plain loops over rows of C, which are computed independently.

// Gemm64 is Gemm for float64.
func Gemm64(p *Pool, transA, transB bool, m, n, k int, alpha float64, a []float64, lda int,
	b []float64, ldb int, beta float64, c []float64, ldc int) {
	if m <= 0 || n <= 0 {
		return
	}
	if transB {
		b, ldb = transposed64(b, ldb, n, k), n
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

// transposed64 is the transpose of a matrix of rows x cols.
func transposed64(b []float64, ldb, rows, cols int) []float64 {
	t := make([]float64, rows*cols)
	transposePlane(t, b, cols, rows, 1, ldb)
	return t
}
