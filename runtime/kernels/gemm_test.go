package kernels

import (
	"fmt"
	"testing"
)

// gemmShapes hold sizes below, at, and just past every block size.
var gemmShapes = [][3]int{
	{0, 5, 3}, {5, 0, 3}, {4, 6, 0}, {1, 1, 1}, {1, 33, 7}, {2, 4, 8}, {3, 5, 2}, {13, 31, 5}, {14, 32, 16},
	{15, 33, 17}, {28, 64, 255}, {29, 65, 256}, {7, 16, 257}, {64, 100, 300}, {1, 515, 600}, {260, 17, 40},
	{300, 300, 70}, {97, 513, 129},
}

func TestGemmAgreesWithItsDefinition(t *testing.T) {
	inEveryTier(t, func(t *testing.T) {
		for _, s := range gemmShapes {
			for flags := range 4 {
				transA, transB := flags&1 != 0, flags&2 != 0
				t.Run(fmt.Sprintf("%v transA=%v transB=%v", s, transA, transB), func(t *testing.T) {
					checkGemm(t, transA, transB, s[0], s[1], s[2])
				})
			}
		}
	})
}

func checkGemm(t *testing.T, transA, transB bool, m, n, k int) {
	lda, ldb, ldc := k+3, n+1, n+2
	if transA {
		lda = m + 3
	}
	if transB {
		ldb = k + 1
	}
	a, b := randomSlice(1, (m+k+1)*(lda+k)), randomSlice(2, (n+k+1)*(ldb+n))
	c := randomSlice(3, m*ldc+n+1)
	bias := randomSlice(4, m+n+1)
	for _, ab := range [][2]float32{{1, 0}, {0.5, 0}, {1, 1}, {-2, 0.25}} {
		want := append([]float32(nil), c...)
		GemmReference(transA, transB, m, n, k, ab[0], a, lda, b, ldb, ab[1], want, ldc)
		got := append([]float32(nil), c...)
		Gemm(nil, transA, transB, m, n, k, ab[0], a, lda, b, ldb, ab[1], got, ldc)
		closeTo(t, got, want, 1e-5*float64(k+10)/10)

		threads(t, func(p *Pool) {
			again := append([]float32(nil), c...)
			Gemm(p, transA, transB, m, n, k, ab[0], a, lda, b, ldb, ab[1], again, ldc)
			sameBits(t, again, got)
		})

		packed := append([]float32(nil), c...)
		GemmPackedA(nil, PackA(transA, m, k, ab[0], a, lda), transB, n, b, ldb, ab[1], packed, ldc, nil, Activation{})
		closeTo(t, packed, want, 1e-5*float64(k+10)/10)

		withBias(want, m, n, ldc, func(i, j int) float32 { return bias[i] })
		packed = append(packed[:0], c...)
		GemmPackedA(nil, PackA(transA, m, k, ab[0], a, lda), transB, n, b, ldb, ab[1], packed, ldc, bias, Activation{})
		closeTo(t, packed, want, 1e-5*float64(k+10)/10)

		withBias(want, m, n, ldc, func(i, j int) float32 { return bias[j] - bias[i] })
		clampRows(want, m, n, ldc)
		packed = append(packed[:0], c...)
		GemmPackedB(nil, transA, m, ab[0], a, lda, PackB(transB, k, n, b, ldb), ab[1], packed, ldc, bias[:n], Activation{Kind: Relu})
		closeTo(t, packed, want, 1e-5*float64(k+10)/10)
	}
}

func withBias(c []float32, m, n, ldc int, bias func(i, j int) float32) {
	for i := range m {
		for j := range n {
			c[i*ldc+j] += bias(i, j)
		}
	}
}

func clampRows(c []float32, m, n, ldc int) {
	for i := range m {
		for j := range n {
			c[i*ldc+j] = max(c[i*ldc+j], 0)
		}
	}
}

// threads runs a test with pools of two and seven threads.
func threads(t *testing.T, test func(p *Pool)) {
	t.Helper()
	for _, n := range []int{2, 7} {
		p := NewPool(n)
		test(p)
		p.Close()
	}
}

func TestGemm64AgreesWithSmallIntegers(t *testing.T) {
	m, n, k := 5, 7, 9
	for flags := range 4 {
		transA, transB := flags&1 != 0, flags&2 != 0
		a32, b32, c32 := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
		a, b, c := make([]float64, m*k), make([]float64, k*n), make([]float64, m*n)
		for i := range a {
			a[i], a32[i] = float64(i%11-5), float32(i%11-5)
		}
		for i := range b {
			b[i], b32[i] = float64(i%7-3), float32(i%7-3)
		}
		lda, ldb := k, n
		if transA {
			lda = m
		}
		if transB {
			ldb = k
		}
		GemmReference(transA, transB, m, n, k, 2, a32, lda, b32, ldb, 0, c32, n)
		p := NewPool(2)
		Gemm64(p, transA, transB, m, n, k, 2, a, lda, b, ldb, 0, c, n)
		p.Close()
		for i := range c {
			if c[i] != float64(c32[i]) {
				t.Fatalf("transA=%v transB=%v: element %d is %v, want %v", transA, transB, i, c[i], c32[i])
			}
		}
	}
}
