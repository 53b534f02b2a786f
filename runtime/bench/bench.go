// Package bench measures the latency of models.
//
// Several models are measured interleaved: every round runs each of them once. What slows the machine down for a while slows all of
// them, and their ratio, taken round by round, stays true where the times themselves do not. A run feels what ran just before it (caches, the
// scheduler's debts), so the order of a round is drawn anew, and the round after it runs in the opposite order. Inputs are made before the clock starts, and outputs are dropped after it stops.
package bench

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"onnxprune/analysis/option"
	"onnxprune/runtime/engine"
	"onnxprune/runtime/value"
)

// Defaults of Options.
const (
	DefaultWarmup   = 500 * time.Millisecond
	DefaultDuration = 3 * time.Second
	MinRounds       = 10 // however long they take
)

// Options of Measure.
type Options struct {
	Warmup   time.Duration // for each model; 0: DefaultWarmup; at least one run
	Duration time.Duration // for each model; 0: DefaultDuration; at least MinRounds runs
	Progress func(done, total int, what string)
}

// Check refuses options that mean nothing, with an *option.Error.
func (o Options) Check() error {
	switch {
	case o.Warmup < 0:
		return option.Errorf("warm-up of %v: the time is negative", o.Warmup)
	case o.Duration < 0:
		return option.Errorf("duration of %v: the time is negative", o.Duration)
	}
	return nil
}

// Target is a model to measure: a session that no one else uses, and its inputs.
type Target struct {
	Name    string
	Session engine.Session
	Inputs  map[string]value.Value
}

// Result is what was measured of one model. Times are seconds.
type Result struct {
	Name       string  `json:"model"`
	Engine     string  `json:"engine"`
	Load       float64 `json:"load"`         // reading and compiling the model
	FirstRun   float64 `json:"first_run"`    // the cold one
	WarmupRuns int     `json:"warm_up_runs"` // not measured
	Runs       int     `json:"runs"`         // measured
	Latency
	Throughput float64 `json:"throughput"`  // runs for each second of running, one after the other
	PeakMemory int64   `json:"peak_memory"` // bytes; 0: not known
	MemoryOf   string  `json:"memory_of"`   // what PeakMemory counts
}

// measured is one target while it is measured.
type measured struct {
	Target
	first time.Duration
	warm  int
	runs  []time.Duration
}

// Measure runs the targets. Where ctx ends it after at least one round, it returns what was measured and ctx's error.
func Measure(ctx context.Context, targets []Target, opt Options) ([]Result, []Ratio, error) {
	if err := opt.Check(); err != nil {
		return nil, nil, err
	}
	if opt.Warmup == 0 {
		opt.Warmup = DefaultWarmup
	}
	if opt.Duration == 0 {
		opt.Duration = DefaultDuration
	}
	list := make([]*measured, len(targets))
	for i, t := range targets {
		list[i] = &measured{Target: t}
	}
	err := run(ctx, list, opt)
	if len(list) == 0 || len(list[len(list)-1].runs) == 0 {
		return nil, nil, err
	}
	results, ratios := report(list)
	return results, ratios, err
}

func run(ctx context.Context, list []*measured, opt Options) error {
	for _, m := range list {
		if err := m.Session.Prepare(ctx, m.Inputs); err != nil {
			return m.failed(err)
		}
		var err error
		if m.first, err = m.Session.Time(ctx); err != nil {
			return m.failed(err)
		}
	}
	draw := rand.New(rand.NewPCG(1, 0)) // the same order in every measurement
	clock := func(what string, each time.Duration, least int, take func(*measured, time.Duration)) error {
		total := each * time.Duration(len(list))
		start := time.Now()
		var order []int
		for round := 0; round < least || time.Since(start) < total; round++ {
			if round%2 == 0 {
				order = draw.Perm(len(list))
			} else {
				slices.Reverse(order)
			}
			times := make([]time.Duration, len(list))
			for _, k := range order {
				d, err := list[k].Session.Time(ctx)
				if err != nil {
					return list[k].failed(err)
				}
				times[k] = d
			}
			for k, m := range list { // whole rounds only: runs that belong together
				take(m, times[k])
			}
			if opt.Progress != nil {
				opt.Progress(int(min(time.Since(start), total).Milliseconds()), int(total.Milliseconds()), what)
			}
		}
		return nil
	}
	if err := clock("warming up", opt.Warmup, 1, func(m *measured, _ time.Duration) { m.warm++ }); err != nil {
		return err
	}
	return clock("measuring", opt.Duration, MinRounds, func(m *measured, d time.Duration) { m.runs = append(m.runs, d) })
}

func (m *measured) failed(err error) error { return fmt.Errorf("%s: %w", m.Name, err) }

func report(list []*measured) (results []Result, ratios []Ratio) {
	for i, m := range list {
		r := Result{Name: m.Name, Engine: m.Session.Engine(), Load: m.Session.Load().Seconds(), FirstRun: m.first.Seconds(), WarmupRuns: m.warm,
			Runs: len(m.runs), Latency: latencyOf(m.runs)}
		r.Throughput = 1 / r.Mean
		mem := m.Session.Memory()
		r.PeakMemory, r.MemoryOf = mem.Peak, mem.Of
		results = append(results, r)
		if i > 0 {
			c := ratioOf(m.runs, list[0].runs)
			c.Model, c.Against = m.Name, list[0].Name
			ratios = append(ratios, c)
		}
	}
	return results, ratios
}
