package kernels

import (
	"math"
	"testing"
)

func TestReductionsOfEveryLength(t *testing.T) {
	inEveryTier(t, func(t *testing.T) {
		for n := range 200 {
			x := randomSlice(uint64(n), n)
			var sum, squares, dot float64
			top := float32(math.Inf(-1))
			for _, v := range x {
				sum += float64(v)
				squares += (float64(v) - 0.25) * (float64(v) - 0.25)
				dot += float64(v) * float64(v)
				top = max(top, v)
			}
			if got := Sum(x); math.Abs(got-sum) > 1e-12 {
				t.Fatalf("%d elements: sum %v, want %v", n, got, sum)
			}
			if got := SumOfSquares(x, 0.25); math.Abs(got-squares) > 1e-12 {
				t.Fatalf("%d elements: squares %v, want %v", n, got, squares)
			}
			if got := Dot(x, x); math.Abs(got-dot) > 1e-12 {
				t.Fatalf("%d elements: dot %v, want %v", n, got, dot)
			}
			if got := MaxOf(x); got != top {
				t.Fatalf("%d elements: maximum %v, want %v", n, got, top)
			}
		}
		x := randomSlice(1, 100)
		if n := testing.AllocsPerRun(100, func() { Sum(x); SumOfSquares(x, 1); MaxOf(x) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
		x[10], x[99] = float32(math.NaN()), float32(math.NaN())
		if got := MaxOf(x); got != got {
			t.Error("NaN is the maximum")
		}
	})
}
