package kernels

// Exact integer products on floating-point kernels. A product of two 9-bit
// differences (value minus zero point) has at most 16 bits, so a sum of 256 of
// them is below 2^24 and every step of it exact in float32. Longer sums are cut
// into parts of at most 256 terms, each computed by the float32 kernels, which are
// as fast as any, and added up in 32-bit integers.

// exactTerms is how many products of 9-bit integers float32 adds exactly:
// 256 * 255 * 255 < 2^24.
const exactTerms = 256

// GemmInt32 computes C = (A - aZero) * (B - bZero) exactly in 32-bit integers,
// which wrap around as the format's accumulators do. A is m x k, B k x n, C m x
// n, rows lda, ldb, ldc apart. aZero has no element (zero), one, or one per row
// of A; bZero none, one, or one per column of B.
func GemmInt32[A, B int8 | uint8](p *Pool, m, n, k int, a []A, lda int, aZero []A,
	b []B, ldb int, bZero []B, c []int32, ldc int) {
	if m <= 0 || n <= 0 {
		return
	}
	for i := range m {
		clear(c[i*ldc : i*ldc+n])
	}
	left, right, sums := borrow(m*exactTerms), borrow(n*exactTerms), borrow(m*n)
	defer giveBack(left)
	defer giveBack(right)
	defer giveBack(sums)
	for k0 := 0; k0 < k; k0 += exactTerms {
		terms := min(exactTerms, k-k0)
		for i := range m {
			Widen((*left)[i*terms:(i+1)*terms], a[i*lda+k0:], zeroPoint(aZero, i))
		}
		for q := range terms {
			row := (*right)[q*n : (q+1)*n]
			if len(bZero) < 2 {
				Widen(row, b[(k0+q)*ldb:], zeroPoint(bZero, 0))
				continue
			}
			for j, v := range b[(k0+q)*ldb : (k0+q)*ldb+n] {
				row[j] = float32(int32(v) - int32(bZero[j]))
			}
		}
		Gemm(p, false, false, m, n, terms, 1, *left, terms, *right, n, 0, *sums, n)
		for i := range m {
			addIntegers(c[i*ldc:i*ldc+n], (*sums)[i*n:])
		}
	}
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

// Widen sets dst[i] = src[i] - zero.
func Widen[T int8 | uint8](dst []float32, src []T, zero int32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] = float32(int32(v) - zero)
	}
}

// addIntegers adds floats that are integers.
func addIntegers(dst []int32, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] += int32(v)
	}
}

// setIntegers takes floats that are integers.
func setIntegers(dst []int32, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] = int32(v)
	}
}
