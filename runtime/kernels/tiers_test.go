package kernels

// What all tests share: running under every tier, random data, comparisons.

import (
	"math"
	"math/rand/v2"
	"testing"
)

// inEveryTier runs a test once per tier that this CPU has.
func inEveryTier(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	before := Tier()
	defer func() { must(t, SetTier(before)) }()
	for _, name := range Tiers() {
		must(t, SetTier(name))
		t.Run(name, test)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func randomSlice(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.Float64()*2 - 1)
	}
	return x
}

// closeTo reports the first element further from want than tolerance times the
// larger of 1 and its own size.
func closeTo(t *testing.T, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d elements, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := float64(got[i]), float64(want[i])
		if math.IsNaN(w) && math.IsNaN(g) || g == w {
			continue
		}
		if d := math.Abs(g - w); !(d <= tolerance*max(1, math.Abs(w))) {
			t.Fatalf("element %d is %v, want %v", i, g, w)
		}
	}
}

func sameBits(t *testing.T, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("element %d is %v, was %v with one thread", i, got[i], want[i])
		}
	}
}

func TestTierNames(t *testing.T) {
	if err := SetTier("sse"); err == nil {
		t.Error("an unknown tier is accepted")
	}
	before := Tier()
	defer func() { must(t, SetTier(before)) }()
	for _, name := range Tiers() {
		must(t, SetTier(name))
		if Tier() != name {
			t.Errorf("tier %s after asking for %s", Tier(), name)
		}
	}
}
