package bench

import (
	"math"
	"slices"
	"time"
)

// Latency sums up the times of runs, in seconds. A percentile is the shortest time that at least so many of a hundred runs do not
// exceed (nearest rank); the median of an even number of runs is the mean of the two in the middle.
type Latency struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Mean   float64 `json:"mean"`
	StdDev float64 `json:"stddev"` // of the sample, divided by n-1
	P90    float64 `json:"p90"`
	P95    float64 `json:"p95"`
	P99    float64 `json:"p99"`
	Max    float64 `json:"max"`
}

func latencyOf(runs []time.Duration) Latency {
	s := make([]float64, len(runs))
	for i, d := range runs {
		s[i] = d.Seconds()
	}
	slices.Sort(s)
	l := Latency{Min: s[0], Median: median(s), P90: percentile(s, 90), P95: percentile(s, 95), P99: percentile(s, 99), Max: s[len(s)-1]}
	for _, x := range s {
		l.Mean += x / float64(len(s))
	}
	for _, x := range s {
		l.StdDev += (x - l.Mean) * (x - l.Mean)
	}
	l.StdDev = math.Sqrt(l.StdDev / float64(max(1, len(s)-1)))
	return l
}

// percentile takes sorted numbers.
func percentile(sorted []float64, p int) float64 {
	rank := (p*len(sorted) + 99) / 100 // rounded up
	return sorted[max(rank, 1)-1]
}

func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Ratio compares one model with the first, pair by pair: both ran once in every round.
type Ratio struct {
	Model   string `json:"model"`
	Against string `json:"against"`
	// Median of the ratios time/time of all rounds: below 1, Model is faster.
	Median float64 `json:"ratio"`
	// Low and High hold the true median of the ratios with at least Confidence. Both are 0 where there are too few rounds.
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Confidence float64 `json:"confidence"`
	Pairs      int     `json:"pairs"`
}

// confidence that the interval of a ratio holds at least.
const confidence = 0.95

// ratioOf compares runs that belong together. The interval is that of the sign test: between the k-th smallest and the k-th largest
// ratio, with the largest k for which n fair coins show fewer than k heads with a probability of at most (1-confidence)/2. It
// assumes nothing of how times are spread. (Conover, Practical Nonparametric Statistics, 3.2.)
func ratioOf(runs, against []time.Duration) Ratio {
	r := make([]float64, min(len(runs), len(against)))
	for i := range r {
		r[i] = float64(runs[i]) / float64(against[i])
	}
	slices.Sort(r)
	out := Ratio{Median: median(r), Confidence: confidence, Pairs: len(r)}
	if k := signTest(len(r)); k > 0 {
		out.Low, out.High = r[k-1], r[len(r)-k]
	}
	return out
}

// signTest returns the largest k with P(Binomial(n, 1/2) < k) <= (1-confidence)/2; 0 where there is none.
func signTest(n int) int {
	lgamma := func(x int) float64 { v, _ := math.Lgamma(float64(x)); return v }
	sum := 0.0
	for k := 0; k < n; k++ {
		sum += math.Exp(lgamma(n+1) - lgamma(k+1) - lgamma(n-k+1) - float64(n)*math.Ln2)
		if sum > (1-confidence)/2 {
			return k
		}
	}
	return 0
}
