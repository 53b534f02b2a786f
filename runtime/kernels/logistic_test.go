package kernels

import (
	"math"
	"math/big"
	"testing"
)

func TestLogisticHasTheSameBitsInEveryTier(t *testing.T) {
	x := append(arguments(), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()))
	inEveryTier(t, func(t *testing.T) {
		got, gated := make([]float32, len(x)), make([]float32, len(x))
		LogisticSlice(got, x)
		SiLUSlice(gated, x)
		for i, v := range x {
			want := logistic(v)
			if math.Float32bits(got[i]) != math.Float32bits(want) && v == v {
				t.Fatalf("logistic of %v is %v, in portable code %v", v, got[i], want)
			}
			if math.Float32bits(gated[i]) != math.Float32bits(v*want) && v == v && v*want == v*want {
				t.Fatalf("silu of %v is %v, want the product %v", v, gated[i], v*want)
			}
		}
	})
}

func TestMultiplyAddRoundsOnce(t *testing.T) {
	a, b, c := randomSlice(1, 20000), randomSlice(2, 20000), randomSlice(3, 20000)
	tie := float32(math.Ldexp(1, -24))
	a, b, c = append(a, 1, 1, -1, 1+2*tie), append(b, tie, tie, tie, 1-2*tie), append(c, 1, 1+2*tie, -1, math.SmallestNonzeroFloat32)
	for i := range a {
		exact := func(v float32) *big.Float { return new(big.Float).SetPrec(400).SetFloat64(float64(v)) }
		sum := exact(a[i])
		sum.Add(sum.Mul(sum, exact(b[i])), exact(c[i]))
		if want, _ := sum.Float32(); multiplyAdd(a[i], b[i], c[i]) != want {
			t.Errorf("%g * %g + %g is %g, want %g", a[i], b[i], c[i], multiplyAdd(a[i], b[i], c[i]), want)
		}
	}
}
