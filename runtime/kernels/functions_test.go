package kernels

import (
	"math"
	"testing"
)

// testedFunctions gives each function with its definition in float64, and by how
// many units in the last place it may be off.
var testedFunctions = []struct {
	name       string
	got        func(dst, x []float32)
	want       func(x float64) float64
	units      float64
	exactSizes bool // the definition's argument is exact in float32
	ofOne      bool // units are those of 1 and, where x is larger, of x
}{
	{"exp", ExpSlice, math.Exp, 2, true, false},
	{"sigmoid", SigmoidSlice, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 3, true, false},
	{"logistic", LogisticSlice, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, 1, true, true},
	{"silu", SiLUSlice, func(x float64) float64 { return x / (1 + math.Exp(-x)) }, 1, true, true},
	{"exact silu", ExactSiLUSlice, func(x float64) float64 { return x / (1 + math.Exp(-x)) }, 4, true, false}, // sigmoid's 3 and a product's rounding
	{"tanh", TanhSlice, math.Tanh, 3, true, false},
	{"erf", ErfSlice, math.Erf, 4, true, false},
	{"mish", MishSlice, func(x float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(x))) }, 6, true, false},
	{"hard swish", HardSwishSlice, func(x float64) float64 { return x * min(max(x/6+0.5, 0), 1) }, 1, false, false},
	{"relu", ReluSlice, func(x float64) float64 { return max(x, 0) }, 0, true, false},
	{"clip", func(d, x []float32) { ClipSlice(d, x, -0.5, 6) }, func(x float64) float64 { return min(max(x, -0.5), 6) }, 0, true, false},
	{"leaky relu", func(d, x []float32) { LeakyReluSlice(d, x, 0.125) }, func(x float64) float64 { return max(x, 0) + 0.125*min(x, 0) }, 0, true, false},
	{"hard sigmoid", func(d, x []float32) { HardSigmoidSlice(d, x, 0.25, 0.5) }, func(x float64) float64 { return min(max(x/4+0.5, 0), 1) }, 1, false, false},
}

// arguments cover the whole range of float32 and, densely, where the functions bend.
func arguments() []float32 {
	var x []float32
	for i := -40000; i <= 40000; i++ {
		x = append(x, float32(i)*2.7e-3+1e-5)
	}
	for e := -149; e < 128; e++ {
		for _, f := range []float64{1, 1.37, 1.9} {
			v := float32(math.Ldexp(f, e))
			x = append(x, v, -v)
		}
	}
	return append(x, 0, float32(math.Copysign(0, -1)), 88.72, 88.73, -87.3, -87.4, -103.9, -104.1)
}

func TestFunctionsAreAccurate(t *testing.T) {
	x := arguments()
	inEveryTier(t, func(t *testing.T) {
		for _, f := range testedFunctions {
			t.Run(f.name, func(t *testing.T) {
				got := make([]float32, len(x))
				f.got(got, x)
				worst, where := 0.0, 0
				for i, v := range x {
					u := unitsOff(got[i], f.want(float64(v)), f.exactSizes)
					if f.ofOne {
						u = math.Abs(float64(got[i])-f.want(float64(v))) / math.Ldexp(max(1, math.Abs(float64(v))), -23)
					}
					if u > worst {
						worst, where = u, i
					}
				}
				if worst > f.units+0.51 {
					t.Errorf("%g units off at %g: %g, want %g", worst, x[where], got[where], f.want(float64(x[where])))
				}
			})
		}
	})
}

// unitsOff is the distance from the true value in units of the last place; a
// result below the normal range counts in units of its least number, 2^-126.
func unitsOff(got float32, want float64, exactSizes bool) float64 {
	if math.Abs(want) > math.MaxFloat32 {
		if math.IsInf(float64(got), 0) == (math.Abs(want) > math.MaxFloat32*(1+1e-7)) {
			return 0
		}
	}
	_, e := math.Frexp(want)
	unit := math.Ldexp(1, max(e, -102)-24)
	if !exactSizes { // terms of the order of 1 are rounded on the way
		unit = max(unit, math.Ldexp(1, -23)*max(1, math.Abs(want)))
	}
	return math.Abs(float64(got)-want) / unit
}

func TestFunctionsOfNaNAndInfinity(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	inEveryTier(t, func(t *testing.T) {
		for _, f := range testedFunctions {
			x := []float32{float32(nan), float32(inf), float32(-inf)}
			got := make([]float32, 3)
			f.got(got, x)
			if got[0] == got[0] {
				t.Errorf("%s of NaN is %v", f.name, got[0])
			}
			for i, v := range []float64{inf, -inf} {
				want := float32(f.want(v))
				if f.name == "silu" && v < 0 || f.name == "exact silu" && v < 0 || f.name == "mish" && v < 0 || f.name == "hard swish" && v < 0 {
					continue // Inf times zero: NaN by the formula, zero by its limit
				}
				if got[i+1] != want {
					t.Errorf("%s of %v is %v, want %v", f.name, v, got[i+1], want)
				}
			}
		}
	})
}

func TestResultsDoNotDependOnThePlaceInTheSlice(t *testing.T) {
	x := randomSlice(1, 77)
	inEveryTier(t, func(t *testing.T) {
		for _, f := range testedFunctions {
			whole := make([]float32, len(x))
			f.got(whole, x)
			for from := range x {
				part := make([]float32, len(x)-from)
				f.got(part, x[from:])
				sameBits(t, part, whole[from:])
			}
		}
	})
}

func TestActivationsFollowTheirFormulas(t *testing.T) {
	x := []float32{-20, -3, -1, -0.25, 0, 0.5, 1, 2.5, 6, 20}
	cases := []struct {
		act  Activation
		want func(x float64) float64
	}{
		{Activation{}, func(x float64) float64 { return x }},
		{Activation{Kind: Relu}, func(x float64) float64 { return max(x, 0) }},
		{Activation{Kind: LeakyRelu, Alpha: 0.1}, func(x float64) float64 { return max(x, 0) + 0.1*min(x, 0) }},
		{Activation{Kind: Clip, Alpha: -1, Beta: 2}, func(x float64) float64 { return min(max(x, -1), 2) }},
		{Activation{Kind: Sigmoid}, func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }},
		{Activation{Kind: SiLU}, func(x float64) float64 { return x / (1 + math.Exp(-x)) }},
		{Activation{Kind: HardSwish}, func(x float64) float64 { return x * min(max(x/6+0.5, 0), 1) }},
		{Activation{Kind: HardSigmoid, Alpha: 0.2, Beta: 0.5}, func(x float64) float64 { return min(max(0.2*x+0.5, 0), 1) }},
		{Activation{Kind: Tanh}, math.Tanh},
		{Activation{Kind: Mish}, func(x float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(x))) }},
		{Activation{Kind: Gelu}, func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) }},
	}
	inEveryTier(t, func(t *testing.T) {
		for _, c := range cases {
			got, want := append([]float32(nil), x...), make([]float32, len(x))
			for i, v := range x {
				want[i] = float32(c.want(float64(v)))
			}
			c.act.Apply(got)
			closeTo(t, got, want, 5e-7)
		}
	})
}

func TestArithmeticIsTheSameInEveryTier(t *testing.T) {
	a, b := randomSlice(1, 101), randomSlice(2, 101)
	a[3], a[100] = negativeZero, negativeZero
	inEveryTier(t, func(t *testing.T) {
		got := make([]float32, len(a))
		check := func(name string, f func(i int) float32) {
			for i := range got {
				if math.Float32bits(got[i]) != math.Float32bits(f(i)) {
					t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], f(i))
				}
			}
		}
		Add(got, a, b)
		check("add", func(i int) float32 { return a[i] + b[i] })
		Sub(got, a, b)
		check("sub", func(i int) float32 { return a[i] - b[i] })
		Mul(got, a, b)
		check("mul", func(i int) float32 { return a[i] * b[i] })
		Div(got, a, b)
		check("div", func(i int) float32 { return a[i] / b[i] })
		AddScalar(got, a, 0.3)
		check("add scalar", func(i int) float32 { return a[i] + 0.3 })
		MulScalar(got, a, 0.3)
		check("mul scalar", func(i int) float32 { return a[i] * 0.3 })
		if n := testing.AllocsPerRun(100, func() { Add(got, a, b); AddScalar(got, a, 2) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
