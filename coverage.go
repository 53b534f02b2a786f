package onnxprune

import (
	"context"
	"errors"
	"fmt"
	"os"

	"onnxprune/analysis/coverage"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/verify"
)

// CoverageOptions of Coverage.
type CoverageOptions struct {
	Options
	Ratios   []float64      // of everything that can go; nil: 10, 30, 50 and 70 %
	Verify   bool           // run every cut against its masked twin
	Compare  verify.Options // how
	Progress func(done, total int, path string)
}

// Coverage measures every *.onnx below a folder: how much of it can go and why the rest stays, and what pruning everything at
// each ratio leaves. A model that can not be read is a row with its error.
func Coverage(ctx context.Context, dir string, opt CoverageOptions) (*coverage.Report, error) {
	if st, err := os.Stat(dir); err != nil {
		return nil, &ModelError{dir, plain(err)}
	} else if !st.IsDir() {
		return nil, usage("%s is not a folder", dir)
	}
	if err := opt.Compare.Check(); err != nil {
		return nil, err
	}
	c := coverage.Options{Ratios: opt.Ratios, AllowInexact: opt.AllowInexact, InputShapes: opt.InputShapes, Progress: opt.Progress}
	if opt.Verify {
		c.Verify = func(ctx context.Context, original *onnxio.Model, p *plan.Plan) (float64, string, error) {
			return difference(ctx, original, p, opt)
		}
	}
	return coverage.Walk(ctx, dir, c)
}

// difference carries a plan out and returns the smallest tolerance, as a share of a slice's range, at which the pruned model equals its masked
// twin.
func difference(ctx context.Context, original *onnxio.Model, p *plan.Plan, opt CoverageOptions) (float64, string, error) {
	pruned, err := rewrite.Apply(original, p)
	if err != nil {
		return 0, "", err
	}
	twin, err := rewrite.MaskedTwin(original, p)
	if err != nil {
		return 0, "", err
	}
	n, err := Analyze(original, opt.Options)
	if err != nil {
		return 0, "", err
	}
	v, err := n.compare(ctx, twin, pruned, p, opt.Compare)
	var lacks *verify.CannotRunError
	if errors.As(err, &lacks) {
		return 0, "", fmt.Errorf("not verified: %s", obstacle(lacks))
	}
	if err != nil {
		return 0, "", err
	}
	return v.Comparison.Largest(len(p.Inexact) > 0), "", nil
}
