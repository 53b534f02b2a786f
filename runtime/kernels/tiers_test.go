package kernels

// What all tests share: running under every tier, random data, comparisons.

import (
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
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

// TestVariableForcesTier runs this test's own binary with the variable set.
func TestVariableForcesTier(t *testing.T) {
	if os.Getenv("KERNELS_TEST_TIER") != "" {
		if Tier() != os.Getenv("KERNELS_TEST_TIER") || (TierError() != nil) != (os.Getenv(tierVariable) == "fastest") {
			t.Errorf("tier %s, error %v", Tier(), TierError())
		}
		return
	}
	best := Tiers()[len(Tiers())-1]
	for _, c := range []struct{ variable, tier string }{
		{"reference", "reference"}, {"go", "go"}, {"", best}, {"avx512", best}, {"fastest", best},
	} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestVariableForcesTier$")
		cmd.Env = append(os.Environ(), tierVariable+"="+c.variable, "KERNELS_TEST_TIER="+c.tier)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s=%s: %v\n%s", tierVariable, c.variable, err, out)
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
