package onnxprune

import (
	"context"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/bench"
	"onnxprune/runtime/engine"
	"onnxprune/runtime/feed"
)

// BenchOptions say how latency is measured. The zero value measures each model for three seconds on the embedded runtime.
type BenchOptions struct {
	bench.Options
	Engine engine.Kind  // "": engine.Embedded
	Feed   feed.Options // files, shapes and seed of inputs; names that only some of the models have are fine

	Threads int // 0: one per processor
}

// BenchReport says how long runs of models take. docs/bench.md describes it.
type BenchReport struct {
	Tool        string        `json:"tool"`
	Engine      string        `json:"engine"` // that was asked for
	Threads     int           `json:"threads"`
	Processors  int           `json:"processors"` // that this process may use
	Seed        uint64        `json:"seed"`
	Warmup      float64       `json:"warm_up"`  // seconds for each model
	Duration    float64       `json:"duration"` // seconds for each model
	Models      []BenchModel  `json:"models"`
	Ratios      []bench.Ratio `json:"ratios"` // of every model to the first, round by round
	Interrupted bool          `json:"interrupted,omitempty"`
}

// BenchModel is what was measured of one model.
type BenchModel struct {
	bench.Result
	Inputs []RunInput `json:"inputs"`
}

// Bench measures the latency of model files, interleaved where they are several. A ctx that ends after at least one round gives the report
// of the rounds so far, and its error.
func Bench(ctx context.Context, models []string, opt BenchOptions) (*BenchReport, error) {
	if err := opt.check(); err != nil {
		return nil, err
	}
	if len(models) == 0 {
		return nil, usage("no model is named: onnxprune bench MODEL.onnx…")
	}
	r := &BenchReport{Tool: "onnxprune " + Version, Engine: string(opt.Engine), Threads: opt.Threads, Processors: goruntime.GOMAXPROCS(0),
		Seed: opt.Feed.Seed, Warmup: opt.Warmup.Seconds(), Duration: opt.Duration.Seconds(), Models: []BenchModel{}, Ratios: []bench.Ratio{}}
	if r.Threads == 0 {
		r.Threads = r.Processors
	}
	var targets []bench.Target
	var inputs [][]RunInput
	defer func() {
		for _, t := range targets {
			t.Session.Close()
		}
	}()
	names := map[string]bool{}
	for _, path := range models {
		ins, described, err := benchInputs(path, opt.Feed, names)
		if err != nil {
			return nil, err
		}
		s, err := engine.Open(path, engine.Options{Kind: opt.Engine, Threads: r.Threads})
		if err != nil {
			return nil, benchFailed(path, err)
		}
		targets, inputs = append(targets, bench.Target{Name: path, Session: s, Inputs: feed.Values(ins)}), append(inputs, described)
	}
	for _, name := range slices.Concat(sortedKeys(opt.Feed.Files), sortedKeys(opt.Feed.Shapes)) {
		if !names[name] {
			return nil, usage("no model has an input %q; there are %v", name, sortedKeys(names))
		}
	}
	results, ratios, err := bench.Measure(ctx, targets, opt.Options)
	for i, m := range results {
		r.Models = append(r.Models, BenchModel{m, inputs[i]})
	}
	r.Ratios = append(r.Ratios, ratios...)
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() == nil:
		return nil, benchFailed(targets[0].Name, err)
	case len(results) == 0:
		return nil, ctx.Err()
	}
	r.Interrupted = true
	return r, ctx.Err()
}

// check fills in defaults, and refuses what can not be done before anything is read.
func (o *BenchOptions) check() error {
	if o.Engine == "" {
		o.Engine = engine.Embedded
	}
	if err := errors.Join((engine.Options{Kind: o.Engine, Threads: o.Threads}).Check(), o.Options.Check()); err != nil {
		return err
	}
	if o.Warmup == 0 {
		o.Warmup = bench.DefaultWarmup
	}
	if o.Duration == 0 {
		o.Duration = bench.DefaultDuration
	}
	if o.Engine == engine.ONNXRuntime {
		if err := engine.Available(o.Engine); err != nil {
			return usage("%v", err)
		}
	}
	return nil
}

// benchInputs makes the inputs of one model, and notes the names of those that it has.
func benchInputs(path string, opt feed.Options, names map[string]bool) ([]feed.Input, []RunInput, error) {
	m, err := onnxio.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer m.Close()
	own := opt
	own.Files, own.Shapes = map[string]string{}, map[string][]int64{}
	for _, in := range m.Graph.Inputs {
		names[in.Name] = true
		if f, ok := opt.Files[in.Name]; ok {
			own.Files[in.Name] = f
		}
		if s, ok := opt.Shapes[in.Name]; ok {
			own.Shapes[in.Name] = s
		}
	}
	ins, err := feed.Make(m, own)
	if err != nil {
		return nil, nil, &ModelError{path, err}
	}
	var out []RunInput
	for _, in := range ins {
		out = append(out, describeInput(in, own.Files[in.Name] == ""))
	}
	return ins, out, nil
}

// benchFailed sorts an error of an engine: what is wrong with the model, and what is not.
func benchFailed(path string, err error) error {
	var model *engine.ModelError
	var format *onnxio.FormatError
	switch {
	case errors.As(err, new(*runtime.PanicError)), errors.As(err, &format):
		return err
	case errors.As(err, &model):
		return &ModelError{model.Path, fmt.Errorf("%s: %w", model.Engine, model.Err)}
	case errors.As(err, new(*engine.NotFoundError)):
		return usage("%v", err)
	}
	return &ModelError{path, err}
}

// bench measures the latency of input and output. The output is complete by now: what goes wrong here is noted and no error.
func (p *pruning) bench(ctx context.Context) {
	if st, err := os.Stat(p.out); err != nil || !st.Mode().IsRegular() {
		p.note("latency was not measured: what went into a stream can not be run")
		return
	}
	opt := *p.opt.Bench
	opt.Feed.Seed, opt.Feed.Shapes, opt.Feed.Files = p.opt.Compare.Seed, p.opt.InputShapes, p.opt.Compare.Inputs
	opt.Feed.Picture = p.opt.Compare.Picture
	r, err := Bench(ctx, []string{p.in, p.out}, opt)
	if err != nil {
		if ctx.Err() != nil {
			p.note("the measurement of latency was interrupted; the output is complete")
		} else {
			p.note("latency was not measured: %s", Line(err))
		}
	}
	p.report.Bench = r
}
