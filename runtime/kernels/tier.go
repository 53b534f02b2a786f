package kernels

// Which implementation runs. A tier is a set of inner loops; tiers are ordered,
// and every CPU has all tiers below its best one, so each can be tested there.

import (
	"fmt"
	"os"
	"strings"
	"sync/atomic"
)

// tierVariable names the environment variable that forces a lower tier.
const tierVariable = "ONNXPRUNE_KERNELS"

// tier is one set of inner loops. A plan keeps the tier it was made with, as
// the layout of its packed weights belongs to it.
type tier struct {
	name string
	gemm MicroKernel
	// packs copies vectors of floats under masks; nil without assembly.
	packs *vectorPacking
	// transposeFours does most of the transposition of four rows, of depth
	// elements each, and returns how many elements deep; may be nil.
	transposeFours func(dst []float32, width int, src []float32, ld, depth int) int
	// depthwise computes a strip of a depthwise convolution.
	depthwise depthwiseStrip
	// maxima is the same with maxima in place of sums, and no weights.
	maxima depthwiseStrip
	// winograd is the transforms of 3x3 convolution; nil without assembly.
	winograd *winogradTransforms
	// maths is the element-wise functions; nil means the portable loops.
	maths *vectorMaths
}

// reference tells that the definition's own loops run.
func (t *tier) reference() bool { return t == tiers[0] }

// tiers are those this CPU can run, lowest first.
var tiers = append([]*tier{
	{name: "reference", gemm: goMicroKernel, depthwise: stripGo, maxima: stripMaximaGo},
	{name: "go", gemm: goMicroKernel, depthwise: stripGo, maxima: stripMaximaGo},
}, archTiers()...)

var (
	current      atomic.Pointer[tier]
	tierProblem  error
	knownTierSet = []string{"reference", "go", "avx2", "avx512"}
)

func init() {
	current.Store(tiers[len(tiers)-1])
	if name := os.Getenv(tierVariable); name != "" {
		tierProblem = SetTier(name)
	}
}

// Tier is the name of the tier in use: reference, go, avx2 or avx512.
func Tier() string { return current.Load().name }

// Tiers are the names of those this CPU can run, slowest first.
func Tiers() []string {
	var names []string
	for _, t := range tiers {
		names = append(names, t.name)
	}
	return names
}

// TierError is what was wrong with the environment variable ONNXPRUNE_KERNELS
// when the program started, or nil. The best tier runs then; making a plan
// reports this error too.
func TierError() error { return tierProblem }

// SetTier makes later calls and plans use the named tier. A tier that is known
// but above what this CPU can run means the best one it can. Plans made before
// keep theirs.
func SetTier(name string) error {
	rank := -1
	for i, known := range knownTierSet {
		if name == known {
			rank = i
		}
	}
	if rank < 0 {
		return fmt.Errorf("%s: unknown kernel tier %q, want one of %s",
			tierVariable, name, strings.Join(knownTierSet, ", "))
	}
	current.Store(tiers[min(rank, len(tiers)-1)])
	return nil
}
