package onnxprune_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/analysis/selection"
	"onnxprune/runtime"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/verify"
	"onnxprune/testmodels"
)

// Whatever a program asks for that can not be meant is refused where the option is used, whether or not the command line could have
// asked for it, with the exit code of a wrong call or of a request that is refused; and nothing is written.
func TestOptionsThatCanNotBeMeantAreRefused(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.onnx"), filepath.Join(dir, "out.onnx")
	if err := testmodels.SixConvolutions().Save(in); err != nil {
		t.Fatal(err)
	}
	prune := func(change func(*onnxprune.PruneOptions)) func() error {
		return func() error {
			opt := onnxprune.PruneOptions{Request: onnxprune.Request{Params: []string{"conv1_weights"}, Ratios: []float64{0.5}}}
			change(&opt)
			_, err := onnxprune.Prune(context.Background(), in, out, opt)
			return err
		}
	}
	compare := func(change func(*verify.Options)) func() error {
		return prune(func(o *onnxprune.PruneOptions) { change(&o.Compare) })
	}
	run := func(change func(*onnxprune.RunOptions)) func() error {
		return func() error {
			opt := onnxprune.RunOptions{Output: filepath.Join(dir, "run")}
			change(&opt)
			_, err := onnxprune.RunModel(context.Background(), in, opt)
			return err
		}
	}
	picture := func(p preprocess.Recipe) func() error {
		return compare(func(o *verify.Options) { o.Picture = p })
	}
	nan := math.NaN()
	for _, c := range []struct {
		what, says string
		code       int
		do         func() error
	}{
		{"a criterion", `criterion "l3_norm" is not known`, onnxprune.ExitUsage, prune(func(o *onnxprune.PruneOptions) { o.Criterion = "l3_norm" })},
		{"a vote", `vote "loudest" is not known`, onnxprune.ExitUsage, prune(func(o *onnxprune.PruneOptions) { o.Vote = selection.Vote("loudest") })},
		{"an alignment", "align -4", onnxprune.ExitUsage, prune(func(o *onnxprune.PruneOptions) { o.Align = -4 })},
		{"a ratio that is no number", "ratio NaN", onnxprune.ExitRefused, prune(func(o *onnxprune.PruneOptions) { o.Ratios = []float64{nan} })},
		{"a ratio of all", "ratio 1 ", onnxprune.ExitRefused, prune(func(o *onnxprune.PruneOptions) { o.Ratios = []float64{1} })},
		{"a mode", `verify "twice" is not known`, onnxprune.ExitUsage, prune(func(o *onnxprune.PruneOptions) { o.Verify = "twice" })},
		{"the shape of no input", "nothing", onnxprune.ExitUsage, prune(func(o *onnxprune.PruneOptions) { o.InputShapes = map[string][]int64{"nothing": {1}} })},
		{"a negative extent", "negative", onnxprune.ExitUsage, prune(func(o *onnxprune.PruneOptions) { o.InputShapes = map[string][]int64{"image": {1, 3, -8, 8}} })},
		{"a tolerance", "tolerance -1", onnxprune.ExitUsage, compare(func(o *verify.Options) { o.RTol = -1 })},
		{"a tolerance that is no number", "tolerance NaN", onnxprune.ExitUsage, compare(func(o *verify.Options) { o.RTol = nan })},
		{"a tolerance that passes all", "tolerance +Inf", onnxprune.ExitUsage, compare(func(o *verify.Options) { o.RTol = math.Inf(1) })},
		{"an absolute tolerance", "tolerance NaN", onnxprune.ExitUsage, compare(func(o *verify.Options) { o.ATol = nan })},
		{"runs", "-1 runs", onnxprune.ExitUsage, compare(func(o *verify.Options) { o.Runs = -1 })},
		{"threads of the comparison", "threads -2", onnxprune.ExitUsage, compare(func(o *verify.Options) { o.Threads = -2 })},
		{"a fit", `fit "squeeze"`, onnxprune.ExitUsage, picture(preprocess.Recipe{Fit: "squeeze"})},
		{"a layout", `layout "CHWN"`, onnxprune.ExitUsage, picture(preprocess.Recipe{Layout: "CHWN"})},
		{"a size", "-1x0 pixels", onnxprune.ExitUsage, picture(preprocess.Recipe{Width: -1})},
		{"a deviation", "deviation of zero", onnxprune.ExitUsage, picture(preprocess.Recipe{Std: []float64{1, 0, 1}})},
		{"a mean", "not all numbers", onnxprune.ExitUsage, picture(preprocess.Recipe{Mean: []float64{nan}})},
		{"threads of a run", "threads -2", onnxprune.ExitUsage, run(func(o *onnxprune.RunOptions) { o.Runtime.Threads = -2 })},
		{"an engine", "engine 7", onnxprune.ExitUsage, run(func(o *onnxprune.RunOptions) { o.Runtime.Engine = runtime.Engine(7) })},
		{"a limit of memory", "memory limit -1", onnxprune.ExitUsage, run(func(o *onnxprune.RunOptions) { o.Runtime.MemoryLimit = -1 })},
		{"a limit of trips", "trip limit -1", onnxprune.ExitUsage, run(func(o *onnxprune.RunOptions) { o.Runtime.TripLimit = -1 })},
		{"a format", `format "csv" is not known`, onnxprune.ExitUsage, run(func(o *onnxprune.RunOptions) { o.Format = "csv" })},
		{"a ratio of coverage", "ratio 2", onnxprune.ExitRefused, func() error {
			_, err := onnxprune.Coverage(context.Background(), dir, onnxprune.CoverageOptions{Ratios: []float64{2}})
			return err
		}},
		{"a tolerance of coverage", "tolerance -1", onnxprune.ExitUsage, func() error {
			_, err := onnxprune.Coverage(context.Background(), dir, onnxprune.CoverageOptions{Compare: verify.Options{RTol: -1}})
			return err
		}},
		{"a tolerance of verify", "tolerance -1", onnxprune.ExitUsage, func() error {
			_, err := onnxprune.Verify(context.Background(), in, in, "plan.json", onnxprune.Options{}, verify.Options{RTol: -1})
			return err
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			err := c.do()
			if err == nil || onnxprune.ExitCode(err) != c.code || !strings.Contains(onnxprune.Line(err), c.says) {
				t.Errorf("exit code %d, %v; want %d and %q", onnxprune.ExitCode(err), err, c.code, c.says)
			}
			for _, name := range []string{"out.onnx", "run"} {
				if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
					t.Errorf("%s was written", name)
				}
			}
		})
	}
}
