package onnxprune

import (
	"context"
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
			return difference(ctx, original, p, opt.Compare)
		}
	}
	return coverage.Walk(ctx, dir, c)
}

// difference carries a plan out and returns the smallest tolerance, as a share of an output's range, at which the pruned model equals its masked
// twin.
func difference(ctx context.Context, original *onnxio.Model, p *plan.Plan, opt verify.Options) (float64, string, error) {
	pruned, err := rewrite.Apply(original, p)
	if err != nil {
		return 0, "", err
	}
	twin, err := rewrite.MaskedTwin(original, p)
	if err != nil {
		return 0, "", err
	}
	r, err := verify.Compare(ctx, twin, pruned, opt)
	if err != nil {
		return 0, "", fmt.Errorf("not verified: %s", obstacle(err))
	}
	worst := 0.0
	for _, o := range r.Outputs {
		if o.Pass || len(p.Inexact) > 0 {
			worst = max(worst, o.NeedRTol)
		}
	}
	if !r.Pass && len(p.Inexact) == 0 {
		return worst, "", fmt.Errorf("verification failed: %s", r.Decided)
	}
	return worst, "", nil
}
