package onnxprune

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/importance"
	sums "onnxprune/analysis/layers"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/recovery"
	"onnxprune/analysis/statistics"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime"
	"onnxprune/runtime/calibrate"
)

// The ways of repair.
const (
	RepairAuto         = "auto"          // least squares where there are calibration pictures, a budget or a criterion that needs statistics
	RepairLeastSquares = "least-squares" // the layers behind a cut get the weights with which their outputs are closest to what they were
	RepairNone         = "none"
)

// recovering is what a prune knows from calibration pictures.
type recovering struct {
	pictures  *sampled
	fit, held *subset
	model     *recovery.Model
	curves    []*recovery.Curve
	weights   []float64 // by curve
	removed   map[atoms.ID]bool
}

// RepairReport says what was done to the weights after the cut was proven.
type RepairReport struct {
	Method  string       `json:"method"`
	Weights int          `json:"weights"` // that were fitted
	Biases  int          `json:"biases"`  // that moved
	Added   int          `json:"added"`   // of these: were added
	Alone   []plan.Alone `json:"left_alone"`
	Before  float64      `json:"divergence_cut"` // of the heads, on pictures that nothing was fitted to
	After   float64      `json:"divergence_repaired"`
	Dropped string       `json:"dropped,omitempty"` // why it was taken back
}

// settleRecovery decides what of the recovery a prune needs, and refuses what contradicts itself.
func (p *pruning) settleRecovery() error {
	o := &p.opt
	switch o.Repair {
	case "":
		o.Repair = RepairAuto
	case RepairAuto, RepairLeastSquares, RepairNone:
	default:
		return usage("repair %q is not known; there are %s, %s and %s", o.Repair, RepairAuto, RepairNone, RepairLeastSquares)
	}
	b := o.Budget
	switch {
	case b.set() && (len(o.Params) > 0 || len(o.Ratios) > 0):
		return usage("a target chooses the widths of all weights by itself: give a target, or --params and --ratios")
	case b.set() && o.PlanIn != "":
		return usage("a plan says by itself what is cut: give --plan, or a target")
	case b.set() && !(b.Target > 0):
		return usage("a target of %v leaves nothing", b.Target)
	case b.set() && o.Criterion != "" && o.Criterion != importance.Reconstruction:
		return usage("a target chooses channels by the criterion %s, not %s", importance.Reconstruction, o.Criterion)
	}
	if o.PlanIn != "" && o.Repair == RepairAuto {
		if made, err := ReadPlan(o.PlanIn); err == nil && made.Repair != nil && made.Repair.Dropped == "" { // what can not be read is refused later
			o.Repair = RepairLeastSquares
		}
	}
	if o.Allocation != nil && o.Criterion.NeedsStatistics() {
		return usage("ratios from sensitivity curves were measured by a criterion that reads weights: %s reads more", o.Criterion)
	}
	if b.set() || o.Criterion == "" && o.Calibration.Path != "" && o.PlanIn == "" && o.Allocation == nil {
		o.Criterion = importance.Reconstruction
	}
	if b.set() && o.Align == 0 {
		o.Align = budgetAlign
	}
	return nil
}

// budgetAlign is the multiple that widths become under a budget where nothing else is asked for: ONNX Runtime runs odd widths slower.
const budgetAlign = 8

// calibrates reports whether statistics of the original are needed.
func (o *PruneOptions) calibrates() bool {
	return o.Budget.set() || o.Criterion.NeedsStatistics() || o.Repair == RepairLeastSquares || o.Repair != RepairNone && o.Calibration.Path != ""
}

// repairs reports whether the cut model is repaired.
func (o *PruneOptions) repairs() bool { return o.Repair != RepairNone && o.calibrates() }

// step returns what tells the progress of a stage.
func (p *pruning) step(what string) func(done, total int) {
	if p.opt.Compare.Progress == nil {
		return nil
	}
	return func(done, total int) { p.opt.Compare.Progress(done, total, what) }
}

// calibrate loads the pictures, and finds where the objects are in them.
func (p *pruning) calibrate(ctx context.Context) error {
	r := &p.recovering
	var err error
	if r.pictures, err = sample(ctx, p.model, p.opt.Calibration, p.opt.InputShapes); err != nil {
		return err
	}
	if err := r.pictures.findObjects(ctx, p.model, p.opt.Compare.Threads, p.step("detections")); err != nil {
		return p.unrunnable(err)
	}
	n := len(r.pictures.items)
	if p.opt.Budget.set() {
		r.fit, r.held = r.pictures.hold(min(32, max(1, n/4)))
	} else {
		r.fit, r.held = r.pictures.hold(min(16, max(1, n/8)))
	}
	p.report.Calibration = &r.pictures.report
	for _, s := range r.pictures.notes {
		p.note("%s", s)
	}
	if n < fewPictures {
		p.report.Warnings = append(p.report.Warnings, fmt.Sprintf("only %d calibration pictures: with 8 a detector kept mAP .394 where 32 kept .435 and 128 .465", n))
	}
	if r.pictures.report.StandIn {
		p.report.Warnings = append(p.report.Warnings, "no calibration pictures were given, and the demo's stand in for them: pictures of the model's own kind keep more (--calibrate FOLDER; on a detector .493 against .476 with photographs and .359 with drawn shapes)")
	}
	return nil
}

// unrunnable sorts errors of the runtime: what the model can not do is the model's.
func (p *pruning) unrunnable(err error) error {
	var lacks *runtime.UnsupportedError
	var node *runtime.NodeError
	var input *runtime.InputError
	if errors.As(err, &lacks) || errors.As(err, &node) || errors.As(err, &input) {
		return &ModelError{p.in, fmt.Errorf("it can not be run on the calibration pictures: %w", err)}
	}
	var memory *calibrate.MemoryError
	if errors.As(err, &memory) {
		return refuse("%v", err)
	}
	return err
}

// statistics collects what the layers of the original see, or reads it from a file.
func (p *pruning) statistics(ctx context.Context) error {
	r, path := &p.recovering, p.opt.Calibration.Statistics
	s, err := p.readStatistics(path)
	if err != nil {
		return err
	}
	if s == nil {
		ls, _ := sums.Of(p.network.Channels)
		s, err = calibrate.Collect(ctx, p.model, ls, r.fit, calibrate.Options{Threads: p.opt.Compare.Threads, Found: r.fit.detections(), Progress: p.step("statistics")})
		if err != nil {
			return p.unrunnable(err)
		}
		if path != "" {
			if err := writeStatistics(path, s); err != nil {
				return err
			}
		}
	}
	if r.model, err = recovery.New(p.network.Channels, s); err != nil {
		return refuse("%v", err)
	}
	return nil
}

// readStatistics returns nil where there is no file yet.
func (p *pruning) readStatistics(path string) (*statistics.Statistics, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, &ModelError{path, plain(err)}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, &ModelError{path, plain(err)}
	}
	s, err := statistics.Read(f, info.Size())
	if err != nil {
		return nil, &ModelError{path, err}
	}
	if s.Model != p.hash() {
		return nil, refuse("%s: the statistics are those of another model (SHA-256 %.12s…, this one has %.12s…); name a new file to collect them anew", path, s.Model, p.hash())
	}
	p.recovering.pictures.report.FromFile = true
	return s, nil
}

func writeStatistics(path string, s *statistics.Statistics) error {
	tmp, err := stage(filepath.Dir(path), s.Write)
	if err != nil {
		return fmt.Errorf("%s: the statistics were not written: %w", path, plain(err))
	}
	if err := os.Rename(tmp, path); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("%s: the statistics were not written: %w", path, err)
	}
	return nil
}

// scores returns the scores of the criterion, nil for those that read weights alone.
func (p *pruning) scores() func(*channels.Param) ([]float64, error) {
	switch p.opt.Criterion {
	case importance.Reconstruction:
		return p.recovering.model.ByCurve(p.recovering.curves)
	case importance.Activation:
		return p.recovering.model.ByEnergy()
	}
	return nil
}

// removedBy returns the classes of channels that a plan removes.
func (n *Network) removedBy(p *plan.Plan) map[atoms.ID]bool {
	type cut struct {
		name string
		axis int
	}
	kept := map[cut][]plan.Tensor{}
	for _, t := range p.Tensors {
		for axis := range t.Keep {
			k := cut{t.Name, axis}
			kept[k] = append(kept[k], t)
		}
	}
	out := map[atoms.ID]bool{}
	for _, arr := range n.Channels.State.Set.Arrays() {
		o := arr.Owner
		if o == nil {
			continue
		}
		for _, t := range kept[cut{o.Value.FullName(), o.Axis}] {
			if len(t.Uses) > 0 && (o.Use.Node == nil || !slices.Contains(t.Uses, plan.Use{Node: o.Use.Node.Path, Input: o.Use.Input})) {
				continue
			}
			for i, id := range arr.IDs {
				if !slices.Contains(t.Keep[o.Axis], i) {
					out[n.Channels.State.Set.Find(id)] = true
				}
			}
		}
	}
	return out
}

// repair fits the layers behind the cut, once the cut itself is proven. It is taken back where the outputs do not come closer to the
// original's on pictures that nothing was fitted to.
func (p *pruning) repair(ctx context.Context) error {
	r := &p.recovering
	if p.plan.Empty() {
		return nil
	}
	repairs, err := r.model.Repairs(r.removed)
	if err != nil {
		return err
	}
	list, err := r.model.Refits(repairs, r.removed, false)
	if err != nil {
		return err
	}
	out := &RepairReport{Method: RepairLeastSquares, Alone: r.model.Alone(r.removed)}
	for _, e := range list {
		switch {
		case e.Role == "weight":
			out.Weights++
		case e.Added:
			out.Added++
			fallthrough
		default:
			out.Biases++
		}
	}
	p.report.Repair = out
	p.plan.Repair = &plan.Repair{Method: out.Method, Pictures: len(r.fit.index), Statistics: p.hash(), Refits: list, Alone: out.Alone}
	fitted, err := rewrite.Refit(p.pruned, list)
	if err != nil {
		return err
	}
	if _, _, err := checkShapes(p.network, p.plan, fitted); err != nil {
		return err
	}
	off, err := p.compare(nil).Models(ctx, p.model, []*onnxio.Model{p.pruned, fitted}, r.held)
	if err != nil {
		return p.unrunnable(err)
	}
	out.Before, out.After = off[0], off[1]
	p.plan.Repair.Before, p.plan.Repair.After = off[0], off[1]
	if !(off[1] < off[0]) {
		out.Dropped = fmt.Sprintf("on pictures that nothing was fitted to the outputs did not come closer to the original's: %.3g, %.3g without", off[1], off[0])
		p.plan.Repair.Dropped, p.plan.Repair.Refits = out.Dropped, nil
		out.Weights, out.Biases, out.Added = 0, 0, 0
		return nil
	}
	p.pruned = fitted
	p.report.After.FileBytes = fitted.Size() + externalBytes(fitted)
	return nil
}
