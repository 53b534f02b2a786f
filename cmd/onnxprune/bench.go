package main

// onnxprune bench: how long runs of models take, side by side.

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/runtime/bench"
	"onnxprune/runtime/engine"
	"onnxprune/runtime/feed"
)

// engineFlags are those of a measurement, after a prune too.
func engineFlags(engineName string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: engineName, Usage: "what runs the models to measure them: embedded, onnxruntime (through the program ortrun), auto", Value: string(engine.Embedded)},
		&cli.StringFlag{Name: "duration", Usage: "measure each model for so long, such as 3s or 1m", Value: bench.DefaultDuration.String()},
		&cli.StringFlag{Name: "warmup", Usage: "run each model for so long before that", Value: bench.DefaultWarmup.String()},
	}
}

func benchFlags() []cli.Flag {
	return append(engineFlags("engine"),
		&cli.StringSliceFlag{Name: "input", Usage: "feed an input, as `NAME=FILE` (.npy, .npz, .pb, .png, .jpg, .bmp, .webp); repeatable"},
		shapeFlag(),
		&cli.Uint64Flag{Name: "seed", Usage: "of inputs that no file is given for"},
		&cli.IntFlag{Name: "threads", Usage: "threads of the engine; 0: one per processor"},
		jsonFlag(), quietFlag())
}

// benchModels is onnxprune bench.
func benchModels(c *cli.Context, t *terminal) error {
	models, err := files(c, 1, math.MaxInt, "bench MODEL.onnx… [--engine onnxruntime] [--duration 10s]")
	if err != nil {
		return err
	}
	opt, err := benchOptions(c, "engine")
	if err != nil {
		return err
	}
	opt.Feed = feed.Options{Seed: c.Uint64("seed"), Files: map[string]string{}}
	if opt.Feed.Shapes, err = shapes(c); err != nil {
		return err
	}
	for _, s := range c.StringSlice("input") {
		name, file, ok := strings.Cut(s, "=")
		if !ok || name == "" || file == "" || opt.Feed.Files[name] != "" {
			return &onnxprune.UsageError{Msg: fmt.Sprintf("--input %q is not of the form NAME=FILE, or names an input a second time", s)}
		}
		opt.Feed.Files[name] = file
	}
	quiet := c.Bool("quiet") || c.Bool("json")
	_, step, end := t.progress(quiet)
	opt.Progress = step
	r, err := onnxprune.Bench(c.Context, models, opt)
	end()
	switch {
	case r == nil:
		return err
	case err == nil && c.Bool("json"):
		return t.json(r)
	case !quiet:
		t.bench(r)
	}
	if errors.Is(err, context.Canceled) {
		return interrupted{fmt.Sprintf("interrupted: %s of each model are measured", plural(r.Models[0].Runs, "run"))}
	}
	return err
}

func benchOptions(c *cli.Context, engineName string) (o onnxprune.BenchOptions, err error) {
	o.Engine, o.Threads = engine.Kind(c.String(engineName)), c.Int("threads")
	for _, d := range []struct {
		name string
		to   *time.Duration
	}{{"duration", &o.Duration}, {"warmup", &o.Warmup}} {
		if *d.to, err = duration(c.String(d.name)); err != nil {
			return o, &onnxprune.UsageError{Msg: fmt.Sprintf("--%s %q is not a time, such as 500ms, 3s or 1m", d.name, c.String(d.name))}
		}
	}
	return o, nil
}

// duration reads a time; a number alone is seconds.
func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, e := strconv.ParseFloat(s, 64); e == nil && n < 1e6 {
		d, err = time.Duration(n*float64(time.Second)), nil
	}
	if err == nil && d <= 0 {
		err = errors.New("not positive")
	}
	return d, err
}

// bench prints what was measured: a column for each figure, a row for each model, and the ratios.
func (t *terminal) bench(r *onnxprune.BenchReport) {
	if len(r.Models) == 0 {
		return
	}
	first := r.Models[0]
	t.title(fmt.Sprintf("Latency on %s, %s of %d", first.Engine, plural(r.Threads, "thread"), r.Processors))
	for i, m := range r.Models {
		if i == 0 || !sameInputs(m.Inputs, first.Inputs) {
			for _, in := range m.Inputs {
				t.printf("input %s %s%s: %s\n", in.Name, in.Type, dims(in.Shape), in.From)
			}
		}
	}
	var times, rest [][]string
	for _, m := range r.Models {
		row := []string{m.Name, fmt.Sprint(m.Runs)}
		for _, s := range []float64{m.Min, m.Median, m.Mean, m.P90, m.P95, m.P99, m.Max} {
			row = append(row, milliseconds(s))
		}
		times = append(times, append(row, fmt.Sprintf("%.4g", m.Throughput)))
		memory := "-"
		if m.PeakMemory > 0 {
			memory = mebibytes(m.PeakMemory)
		}
		rest = append(rest, []string{m.Name, milliseconds(m.Load), milliseconds(m.FirstRun), fmt.Sprint(m.WarmupRuns), memory})
	}
	right := func(names ...string) (list []column) {
		for _, n := range names {
			list = append(list, column{n, true})
		}
		return append([]column{{"model, times in ms", false}}, list...)
	}
	t.table(right("runs", "min", "median", "mean", "p90", "p95", "p99", "max", "runs/s"), times)
	t.printf("\n")
	t.table(right("load", "first run", "warm-up runs", "peak memory"), rest)
	t.printf("peak memory is that of %s\n", first.MemoryOf)
	for _, x := range r.Ratios {
		t.printf("%s\n", benchRatio(x))
	}
}

// benchRatio puts a ratio into words.
func benchRatio(x bench.Ratio) string {
	interval := "too few rounds for an interval"
	verdict := ""
	if x.Low > 0 {
		interval = fmt.Sprintf("%.0f %% interval %.3f to %.3f", 100*x.Confidence, x.Low, x.High)
		switch {
		case x.High < 1:
			verdict = ": faster"
		case x.Low > 1:
			verdict = ": slower"
		default:
			verdict = ": no difference is shown"
		}
	}
	return fmt.Sprintf("%s takes %.3f times as long as %s%s (median of %d rounds, sign test, %s)", x.Model, x.Median, x.Against, verdict, x.Pairs, interval)
}

func sameInputs(a, b []onnxprune.RunInput) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Name != b[i].Name || a[i].Type != b[i].Type || dims(a[i].Shape) != dims(b[i].Shape) {
			return false
		}
	}
	return true
}

func milliseconds(s float64) string {
	digits := 3
	for x := 1000 * s; x >= 10 && digits > 0; x /= 10 {
		digits--
	}
	return strconv.FormatFloat(1000*s, 'f', digits, 64)
}
