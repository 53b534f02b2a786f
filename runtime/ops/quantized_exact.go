package ops

// Products of 8-bit integers on the float32 kernels, which are many times faster than a loop over integers. They are
// exact: with zero points taken away a product is at most 255*255, so sums of 256 of them stay below 2^24, and
// float32 holds every whole number up to there. Longer sums are cut into blocks and added as integers.

import "onnxprune/runtime/kernels"

// exactTerms is how many products are summed in float32.
const exactTerms = 256

// exactProduct sets y (m x n) to a (m x k) times b (k x n), all whole numbers of at most 255. Sums wrap around
// as those of 32-bit accumulators do.
func exactProduct(p *kernels.Pool, m, n, k int, a []float32, lda int, b []float32, ldb int, y []int32, ldy int) {
	if m == 0 || n == 0 {
		return
	}
	for i := range m {
		clear(y[i*ldy : i*ldy+n])
	}
	sums := make([]float32, m*n)
	for k0 := 0; k0 < k; k0 += exactTerms {
		kernels.Gemm(p, false, false, m, n, min(exactTerms, k-k0), 1, a[k0:], lda, b[k0*ldb:], ldb, 0, sums, n)
		for i := range m {
			row := y[i*ldy : i*ldy+n]
			for j, v := range sums[i*n : (i+1)*n] {
				row[j] += int32(v)
			}
		}
	}
}

// zerosTaken takes zero points away from a matrix of rows of a length. zeros holds one for all, one per row, or one per
// column.
func zerosTaken(x []int8, length int, zeros []int8, perColumn bool) []float32 {
	out := make([]float32, len(x))
	for i, v := range x {
		zero := zeros[0]
		switch {
		case len(zeros) == 1:
		case perColumn:
			zero = zeros[i%length]
		default:
			zero = zeros[i/length]
		}
		out[i] = float32(int32(v) - int32(zero))
	}
	return out
}
