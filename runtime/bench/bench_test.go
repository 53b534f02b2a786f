package bench

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxprune/runtime/engine"
	"onnxprune/runtime/value"
)

func TestLatencyOfAHundredRuns(t *testing.T) {
	var runs []time.Duration
	for i := range 100 {
		runs = append(runs, time.Duration(100-i)*time.Second)
	}
	want := Latency{Min: 1, Median: 50.5, Mean: 50.5, StdDev: 29.011491975882016, P90: 90, P95: 95, P99: 99, Max: 100}
	got := latencyOf(runs)
	for _, c := range []struct{ got, want float64 }{{got.Min, want.Min}, {got.Median, want.Median}, {got.Mean, want.Mean}, {got.StdDev, want.StdDev},
		{got.P90, want.P90}, {got.P95, want.P95}, {got.P99, want.P99}, {got.Max, want.Max}} {
		if math.Abs(c.got-c.want) > 1e-9 {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
	if one := latencyOf(runs[:1]); one.Min != 100 || one.P99 != 100 || one.Median != 100 || one.StdDev != 0 {
		t.Errorf("one run gives %+v", one)
	}
}

// The ranks are those of tables of the confidence interval for a median, such as Conover's A3 at p = 0.5.
func TestRanksOfTheSignTest(t *testing.T) {
	for n, want := range map[int]int{1: 0, 5: 0, 6: 1, 8: 1, 9: 2, 10: 2, 15: 4, 20: 6, 25: 8, 50: 18, 100: 40, 1000: 469} {
		if got := signTest(n); got != want {
			t.Errorf("n = %d: rank %d, want %d", n, got, want)
		}
	}
}

// times makes a session whose runs take what it says, in ms, the first two being the cold run and the warm-up; log notes the order.
type times struct {
	engine.Session
	name string
	list []int
	log  *[]string
	fail error
}

func (s *times) Engine() string                                        { return "a clock" }
func (s *times) Load() time.Duration                                   { return 7 * time.Millisecond }
func (s *times) Memory() engine.Memory                                 { return engine.Memory{Peak: 5, Of: "nothing"} }
func (s *times) Prepare(context.Context, map[string]value.Value) error { return nil }
func (s *times) Time(ctx context.Context) (time.Duration, error) {
	*s.log = append(*s.log, s.name)
	if len(s.list) == 0 {
		return 0, s.fail
	}
	d := s.list[0]
	s.list = s.list[1:]
	return time.Duration(d) * time.Millisecond, nil
}

func TestModelsAreMeasuredInTurns(t *testing.T) {
	var log []string
	stop := errors.New("stop")
	// The machine is ten times slower in the second half: times are spread, ratios are not.
	a := &times{name: "a", list: []int{99, 50, 10, 10, 10, 10, 100, 100, 100, 100}, log: &log, fail: stop}
	b := &times{name: "b", list: []int{98, 50, 9, 8, 8, 8, 80, 80, 80, 70}, log: &log, fail: stop}
	results, ratios, err := Measure(t.Context(), []Target{{Name: "a", Session: a}, {Name: "b", Session: b}}, Options{Warmup: 1, Duration: time.Hour})
	if !errors.Is(err, stop) || !strings.HasSuffix(err.Error(), ": stop") {
		t.Fatalf("error is %v", err)
	}
	for i := 4; i < 20; i += 4 { // behind the cold runs and the warm-up
		if two := strings.Join(log[i:i+4], ""); two != "abba" && two != "baab" {
			t.Errorf("two rounds are %s", two)
		}
	}
	if r := results[1]; r.Name != "b" || r.Runs != 8 || r.FirstRun != 0.098 || r.WarmupRuns != 1 || r.Load != 0.007 || r.PeakMemory != 5 || r.Min != 0.008 || r.Max != 0.08 {
		t.Errorf("b is %+v", r)
	}
	if got, want := results[0].Throughput, 8/0.440; math.Abs(got-want) > 1e-9 {
		t.Errorf("%v runs a second, want %v", got, want)
	}
	// ratios .9 .8 .8 .8 .8 .8 .8 .7; of 8, the sign test takes the first and the last
	want := Ratio{Model: "b", Against: "a", Median: 0.8, Low: 0.7, High: 0.9, Confidence: 0.95, Pairs: 8}
	if len(ratios) != 1 || ratios[0] != want {
		t.Errorf("ratios are %+v, want %+v", ratios, want)
	}
}

func TestTooFewRoundsHaveNoInterval(t *testing.T) {
	second := slices.Repeat([]time.Duration{time.Second}, 5)
	if r := ratioOf(second, second); r.Median != 1 || r.Low != 0 || r.High != 0 || r.Pairs != 5 {
		t.Errorf("got %+v", r)
	}
}

func TestNegativeTimesAreRefused(t *testing.T) {
	for _, o := range []Options{{Warmup: -1}, {Duration: -1}} {
		if _, _, err := Measure(t.Context(), nil, o); err == nil {
			t.Errorf("%+v is no error", o)
		}
	}
}
