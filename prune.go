package onnxprune

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/proof"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/verify"
)

// PruneOptions say how Prune works. Request is what is cut; with PlanIn it must be empty.
type PruneOptions struct {
	Request
	Options

	InputSize *InputSize // bring the model to another size of its picture first; nil: it keeps its size

	Allocation *Allocation // what is cut follows from sensitivity curves; nil: Request says it

	PlanIn  string // a plan file to carry out, made for this or another checkpoint of the same network
	PlanOut string // where to write the plan; "": nowhere
	DryRun  bool   // work everything out, write nothing, run nothing

	Data   Data   // on which the accuracy is measured before and after; no path: it is not
	Engine Engine // that measures

	Calibration Calibration
	Repair      string // RepairAuto ("" too), RepairLeastSquares or RepairNone

	Force      bool // replace an existing output even where it is a model that this tool did not write
	NoMetadata bool // leave no entries of onnxprune in the output's metadata_props

	Verify  string         // VerifyMasked ("" too), VerifyLoad or VerifyOff
	Compare verify.Options // of the comparison

	Bench *BenchOptions // measure the latency before and after; nil: not

	Stage func(name string) // called when a stage begins; may be nil
}

// Prune reads a model, prunes it, proves the result and saves it: out holds the whole verified model, or what it held
// before. ctx ends the work between two steps of the comparison.
func Prune(ctx context.Context, in, out string, opt PruneOptions) (*Report, error) {
	p := &pruning{in: in, out: out, opt: opt, clock: clock{begin: opt.Stage}}
	defer p.close()
	if err := p.settleRecovery(); err != nil {
		return nil, err
	}
	o := &p.opt
	for _, s := range []struct {
		name string
		do   func(context.Context) error
		skip bool
	}{
		{"check", p.check, false},
		{"read", p.read, false},
		{"resize", p.resize, opt.InputSize == nil && opt.PlanIn == ""},
		{"analyse", p.analyse, false},
		{"data", p.data, opt.Data.Path == ""},
		{"calibrate", p.calibrate, !o.calibrates()},
		{"statistics", p.statistics, !o.calibrates()},
		{"curves", p.curves, o.Criterion != importance.Reconstruction},
		{"weights", p.weigh, !o.Budget.set()},
		{"select", p.choose, false},
		{"rewrite", p.rewrite, false},
		{"way back", p.wayBack, opt.InputSize == nil && opt.PlanIn == "" || opt.DryRun || opt.Verify == VerifyOff},
		{"prove", p.prove, opt.DryRun || opt.Verify == VerifyOff},
		{"verify", p.verify, opt.DryRun || opt.Verify == VerifyOff},
		{"repair", p.repair, opt.DryRun || !o.repairs()},
		{"measure", p.measure, opt.Data.Path == ""},
		{"save", p.save, opt.DryRun},
		{"reload", p.reload, opt.DryRun || opt.Verify == VerifyOff},
	} {
		if s.skip {
			continue
		}
		if err := ctx.Err(); err != nil && p.report.Output == "" { // what is saved is checked to the end
			return nil, err
		}
		if err := p.clock.run(s.name, func() error { return s.do(ctx) }); err != nil {
			var proof *VerifyError
			if errors.As(err, &proof) {
				proof.Msg += "; no output was kept"
			}
			return nil, err
		}
	}
	if p.planOut != nil {
		if err := p.planOut.commit(); err != nil {
			return nil, err
		}
		p.report.PlanOut = p.opt.PlanOut
	}
	if opt.Bench != nil {
		_ = p.clock.run("bench", func() error { p.bench(ctx); return nil })
	}
	if !p.report.Accuracy.Measured {
		p.report.Accuracy = unmeasured(p.report.Output, p.unchanged())
	}
	p.report.Stages = p.clock.stages
	return &p.report, nil
}

// pruning is one prune on its way.
type pruning struct {
	in, out string
	opt     PruneOptions
	clock   clock
	report  Report

	original *onnxio.Model // the file
	model    *onnxio.Model // what is pruned: the original, or what it is at another size
	size     *plan.Size    // what made it that; nil: nothing
	hash     func() string // SHA-256 of the model file
	hashing  bool          // it is worked out beside the analysis
	network  *Network
	plan     *plan.Plan
	pruned   *onnxio.Model
	cut      *onnxio.Model // pruned as it was before any repair
	linked   *graph.Graph  // of pruned
	static   *proof.Report
	back     string // what a change back to the old input size gives
	planOut  *planFile

	recovering recovering
	gauge      *gauge // nil where there is no data to measure on
}

func (p *pruning) close() {
	p.planOut.drop()
	if p.original != nil {
		if p.hashing {
			p.hash() // no one may read the model any more
		}
		p.original.Close()
	}
}

// unchanged reports whether the output is the input.
func (p *pruning) unchanged() bool { return p.plan.Empty() && p.size.Empty() }

// check refuses what can be refused before any work.
func (p *pruning) check(context.Context) error {
	switch p.opt.Verify {
	case "":
		p.opt.Verify = VerifyMasked
	case VerifyMasked, VerifyLoad, VerifyOff:
	default:
		return usage("verify %q is not known; there are masked, load and off", p.opt.Verify)
	}
	if err := p.opt.Compare.Check(); err != nil {
		return err
	}
	if p.opt.PlanIn != "" && (len(p.opt.Params) > 0 || len(p.opt.Ratios) > 0 || len(p.opt.Protect) > 0 || p.opt.MaxRatio != 0 || p.opt.MinChannels != 0 ||
		p.opt.Allocation != nil) {
		return usage("a plan says by itself what is cut: give --plan, or --params and --ratios, or --sensitivity")
	}
	if z := p.opt.InputSize; z != nil {
		switch {
		case z.Width < 1 || z.Height < 1:
			return usage("--input-size %dx%d: width and height are at least 1", z.Width, z.Height)
		case p.opt.PlanIn != "":
			return usage("a plan says by itself which input size it makes: give --plan, or --input-size")
		}
	}
	if p.opt.DryRun && p.opt.Data.Path != "" {
		return usage("a dry run runs nothing, so it can not measure accuracy: leave --data out")
	}
	if p.opt.Bench != nil {
		if p.opt.DryRun {
			return usage("a dry run runs nothing, so it can not measure latency")
		}
		if err := p.opt.Bench.check(); err != nil {
			return err
		}
	}
	if p.opt.DryRun {
		return nil
	}
	if p.out == "" {
		return usage("the output file is missing: onnxprune IN.onnx OUT.onnx --params NAMES --ratios RATIOS (or --dry-run)")
	}
	if err := writable(p.in, p.out); err != nil {
		return err
	}
	if p.opt.PlanOut == "" {
		return nil
	}
	if sameFile(p.out, p.opt.PlanOut) {
		return usage("%s: the plan can not be written to the output file", p.opt.PlanOut)
	}
	return writable(p.in, p.opt.PlanOut)
}

// writable refuses an output that is the input, or that can not be written.
func writable(in, out string) error {
	st, err := os.Stat(out)
	switch {
	case err == nil && st.IsDir():
		return usage("%s: it is a folder; name a file", out)
	case sameFile(in, out):
		return usage("%s: it is the input file; choose another name for the output", out)
	case err == nil && !st.Mode().IsRegular(): // a device or a pipe
		return nil
	case err == nil:
		f, err := os.OpenFile(out, os.O_WRONLY, 0)
		if err != nil {
			return usage("%s: the output can not be written: %v", out, plain(err))
		}
		f.Close()
	}
	probe, err := os.CreateTemp(filepath.Dir(out), ".onnxprune-*.tmp")
	if err != nil {
		return usage("%s: the output can not be written: %v", out, plain(err))
	}
	probe.Close()
	return os.Remove(probe.Name())
}

func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	if err1 == nil && err2 == nil {
		return os.SameFile(x, y)
	}
	return filepath.Clean(a) == filepath.Clean(b)
}

// plain drops the path that an error of the os package repeats.
func plain(err error) error {
	var at *os.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

func (p *pruning) read(context.Context) (err error) {
	if p.original, err = onnxio.Open(p.in); err != nil {
		return err
	}
	p.model = p.original
	p.hash = sync.OnceValue(p.model.SHA256)
	if p.opt.DryRun {
		return nil
	}
	if !p.opt.NoMetadata || p.opt.PlanOut != "" {
		p.hashing = true
		go p.hash()
	}
	if !p.opt.Force {
		if err := replaceable(p.model, p.hash, p.out); err != nil {
			return err
		}
		if p.opt.PlanOut != "" {
			if err := noModel(p.opt.PlanOut, "the plan"); err != nil {
				return err
			}
		}
	}
	for _, t := range p.model.Tensors() {
		if t.External == nil {
			continue
		}
		data := filepath.Join(filepath.Dir(p.in), filepath.FromSlash(t.External.Location))
		for _, out := range []string{p.out, p.out + ".data", p.opt.PlanOut} {
			if out != "" && sameFile(data, out) {
				return usage("%s: it holds weights of the input; choose another name for the output", out)
			}
		}
	}
	return nil
}

func (p *pruning) analyse(context.Context) (err error) {
	if p.network, err = Analyze(p.model, p.opt.Options); err != nil {
		return err
	}
	p.network.size = p.size
	before, shapes := p.network.Cost()
	if p.size != nil { // costs before are those of the file at its own size
		g, s, err := infer(p.original, Options{})
		if err != nil {
			return err
		}
		before, _ = costOf(g, s, Options{})
	}
	p.report = Report{Tool: "onnxprune " + Version, Input: p.in, DryRun: p.opt.DryRun, Plan: p.opt.PlanIn,
		InputShapes: shapes, Before: costs(before, p.original)}
	if p.size != nil {
		p.report.Size = describeSize(p.size)
	}
	if p.opt.DryRun || p.opt.Verify != VerifyMasked {
		return nil
	}
	return p.network.checkInputs(p.opt.Compare)
}

func (p *pruning) choose(context.Context) error {
	if p.opt.Allocation != nil {
		request, chosen, err := p.network.Allocate(*p.opt.Allocation, p.opt.Request)
		if err != nil {
			return err
		}
		p.opt.Request, p.report.Allocated = request, chosen
		p.note("ratios follow from %s: each parameter alone may lose %.4g; %.1f %% of the MACs are left", chosen.Curves, chosen.Limit, 100*chosen.Share)
		for _, text := range chosen.Notes {
			p.note("%s", text)
		}
	}
	switch {
	case p.opt.PlanIn == "" && p.size != nil && len(p.opt.Params) == 0 && len(p.opt.Ratios) == 0 && !p.opt.Budget.set(): // the size alone
		made, err := plan.Build(p.network.Channels, nil)
		if err != nil {
			return err
		}
		made.Source = plan.Source{File: p.model.Path, Bytes: p.original.Size()}
		if p.opt.PlanOut != "" {
			made.Source.SHA256 = p.hash()
		}
		p.plan = made
	case p.opt.PlanIn == "":
		made, choice, left, err := p.selected()
		if err != nil {
			return err
		}
		p.recovering.removed = choice.Removed
		made.Source.Bytes = p.original.Size()
		if p.opt.PlanOut != "" {
			made.Source.SHA256 = p.hash()
		}
		p.plan, p.report.Left = made, leftOf(left)
		p.bounds(choice.Bounded)
	default: // resize has read it
		if p.plan.Source.SHA256 != "" && p.plan.Source.SHA256 != p.hash() {
			p.note("the plan was made for another file (%s); its names and shapes fit this one", p.plan.Source.File)
		}
		p.plan.Repair = nil // another checkpoint is repaired from statistics of its own
		p.recovering.removed = p.network.removedBy(p.plan)
	}
	p.plan.Size = p.size
	p.report.Cuts, p.report.Request, p.report.Tensors = p.plan.Cuts, p.plan.Request, tensorCuts(p.plan)
	if p.report.Cuts == nil {
		p.report.Cuts = []plan.Cut{}
	}
	p.report.Weights = p.network.losses(p.plan)
	p.spilled()
	if odd := oddWidths(p.report.Weights, p.plan.Request.Align); odd != "" {
		p.report.Warnings = append(p.report.Warnings, odd)
	}
	switch {
	case p.unchanged():
		p.note("no channel goes: the output is the input, byte for byte")
	case p.plan.Empty() && len(p.plan.Request.Params) > 0:
		p.note("no channel goes: only the input size changes")
	}
	return nil
}

// selected picks what goes: by the budget, or by names and ratios.
func (p *pruning) selected() (*plan.Plan, *selection.Choice, []selection.Left, error) {
	if !p.opt.Budget.set() {
		return p.network.choose(p.opt.Request, p.scores())
	}
	choice, err := p.allocate()
	if err != nil {
		return nil, nil, nil, err
	}
	made, err := p.network.planOf(p.opt.Request, choice)
	return made, choice, nil, err
}

func (p *pruning) note(format string, args ...any) {
	p.report.Notes = append(p.report.Notes, fmt.Sprintf(format, args...))
}

func (p *pruning) rewrite(context.Context) (err error) {
	if p.pruned, err = p.network.Apply(p.plan); err != nil {
		return err
	}
	// What comes out must be a model that the same analysis understands, with the shapes that the plan worked out.
	linked, after, err := checkShapes(p.network, p.plan, p.pruned)
	if err != nil {
		return err
	}
	p.linked = linked
	p.report.After = costs(after, p.pruned)
	p.metadata()
	p.cut = p.pruned
	p.notes()
	p.report.Verification = Verification{Mode: VerifyOff, Status: "not verified", Summary: "not verified: verification was switched off"}
	if p.opt.DryRun {
		p.report.Verification.Summary = "not verified: a dry run writes nothing and runs nothing"
	}
	return nil
}

// notes tells what the figures leave out.
func (p *pruning) notes() {
	open := false
	for _, s := range p.report.InputShapes {
		if s.Open {
			open = true
			p.note("input %s has open extents, %s, which count as 1: give --input-shape %s:… for real MACs", s.Name, dims(s.Shape), s.Name)
		}
	}
	if n := p.report.Before.OpenLayers; n > 0 && !open {
		p.note("%d layers have an extent that only a run knows, such as a number of boxes: it counts as 1", n)
	}
	if p.report.Before.BodyMACs > 0 {
		p.note("control-flow bodies hold %d more MACs for one pass of each; how often they run is known only at run time", p.report.Before.BodyMACs)
	}
	if folds := p.plan.Folds; len(folds) > 0 {
		names := make([]string, len(folds))
		for i, f := range folds {
			names[i] = f.Value
		}
		const most = 3
		text := strings.Join(names[:min(most, len(names))], ", ")
		if more := len(names) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		p.note("computed from constants in a way that the cut would change, so worked out before it and stored: %s", text)
	}
	for _, why := range p.plan.Inexact {
		p.note("inexact: %s", why)
	}
}

// prove checks, without a run, that the pruned model follows from the original and the plan.
func (p *pruning) prove(context.Context) (err error) {
	p.static, err = p.network.prove(p.plan, p.linked)
	return err
}

func (p *pruning) verify(ctx context.Context) error {
	if p.opt.Verify == VerifyLoad { // what is left to prove is proven on the file, in reload
		return nil
	}
	twin, err := rewrite.MaskedTwin(p.model, p.plan)
	if err != nil {
		return &VerifyError{Msg: fmt.Sprintf("verification could not run: the masked original can not be made: %v", err), Err: err}
	}
	opt := p.opt.Compare
	opt.Original = p.model
	if len(opt.Inputs) == 0 {
		if opt.Samples, err = p.samples(ctx, max(opt.Runs, 1)); err != nil {
			return err
		}
	}
	p.report.Verification, err = p.network.compare(ctx, twin, p.pruned, p.plan, opt)
	p.report.Verification.Static, p.report.Verification.SizeBack = p.static, p.back
	if err == nil && p.size != nil {
		err = p.finite(ctx)
	}
	return err
}

func (p *pruning) save(context.Context) (err error) {
	if p.opt.PlanOut != "" {
		if p.planOut, err = stagePlan(p.opt.PlanOut, p.plan); err != nil {
			return err
		}
	}
	if err := p.pruned.Save(p.out); err != nil {
		return fmt.Errorf("the output was not written: %w", err)
	}
	p.report.Output = p.out
	return nil
}

// reload reads the file that was written, and checks it as the model in memory was checked. Where it is not to be run, it is at
// least compiled for a run.
func (p *pruning) reload(ctx context.Context) error {
	if p.opt.Verify == VerifyLoad {
		p.report.Verification = Verification{Mode: VerifyLoad, Status: "passed", Static: p.static, SizeBack: p.back,
			Summary: "the output was loaded again, its shapes are those that were worked out, and it compiles; it was not run"}
	}
	if st, err := os.Stat(p.out); err != nil || !st.Mode().IsRegular() {
		p.report.Verification.Summary += "; what went into a stream was not read again"
		return err
	}
	fail := func(err error) error {
		os.Remove(p.out)
		if slices.ContainsFunc(p.model.Tensors(), func(t *onnxio.Tensor) bool { return t.External != nil }) {
			os.Remove(p.out + ".data")
		}
		return &VerifyError{Msg: fmt.Sprintf("%s: what was written can not be used, and was removed again: %v", p.out, err), Err: err}
	}
	m, err := onnxio.Open(p.out)
	if err != nil {
		return fail(err)
	}
	defer m.Close()
	if _, _, err := checkShapes(p.network, p.plan, m); err != nil {
		return fail(err)
	}
	if p.opt.Verify != VerifyLoad {
		return nil
	}
	var lacks *verify.CannotRunError
	if err := verify.Load(ctx, p.out); errors.As(err, &lacks) {
		p.report.Verification.Summary = fmt.Sprintf("the output was loaded again and its shapes are those that were worked out; it was not run: %s", obstacle(lacks))
	} else if err != nil {
		return fail(err)
	}
	return nil
}
