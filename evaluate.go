package onnxprune

import (
	"context"

	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/evaluation"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/preprocess"
)

// EvaluateOptions say what Evaluate measures beside the model itself.
type EvaluateOptions struct {
	Options
	Data   Data
	Engine Engine

	Request                // a prune that is measured without being written; no Params: none
	Allocation *Allocation // the same, by sensitivity curves; nil: none
	PlanIn     string      // a plan file that is carried out for the measurement; "": none
	Against    string      // the original that the model is put beside; "": none

	// Resize measures the original on smaller pictures too: what the same saving would cost without pruning. Sizes are those of the
	// longer side of the input, in pixels; nil takes steps of the stride down to half.
	Resize bool
	Sizes  []int

	SavePredictions string // file for detections, in COCO's format of results; "": none

	Stage    func(name string, pictures int) // called when a pass over the pictures begins; may be nil
	Progress func()                          // called after each picture, from many goroutines; may be nil
}

// Evaluation is what Evaluate found out.
type Evaluation struct {
	Tool          string               `json:"tool"`
	Model         string               `json:"model"`
	Data          string               `json:"data"`
	Format        dataset.Format       `json:"format"`
	Samples       int                  `json:"samples"`
	Broken        []dataset.Broken     `json:"broken"` // samples that could not be read; they are in no figure
	Engine        string               `json:"engine"`
	Preprocessing *preprocess.Decision `json:"preprocessing,omitempty"`
	Head          *HeadReport          `json:"head,omitempty"`
	Classes       []string             `json:"classes"` // of the data set
	Cuts          []plan.Cut           `json:"cuts,omitempty"`
	Allocated     *Allocated           `json:"allocated,omitempty"` // where ratios follow from sensitivity curves

	Original *Measured `json:"original,omitempty"` // what Result is put beside
	Result   *Measured `json:"result"`
	Resize   []Resized `json:"resize,omitempty"` // the original on smaller pictures, the largest first

	Predictions string   `json:"predictions,omitempty"` // the file that was written
	Notes       []string `json:"notes"`
}

// HeadReport says how outputs are read.
type HeadReport struct {
	Name   string       `json:"name"`
	Task   heads.Task   `json:"task"`
	Reason heads.Reason `json:"reason"`
	Limits heads.Limits `json:"limits"`
}

// Measured is a model and how good it is.
type Measured struct {
	File   string `json:"file"`
	MACs   int64  `json:"macs"`
	Params int64  `json:"params"`
	Bytes  int64  `json:"bytes"`
	*evaluation.Result
}

// Evaluate measures how good a model is on a data set, what a prune would leave of it, and what a smaller input would.
func Evaluate(ctx context.Context, model string, opt EvaluateOptions) (*Evaluation, error) {
	e := &evaluating{opt: opt}
	defer e.close()
	if err := e.open(model); err != nil {
		return nil, err
	}
	first := e.networks[0]
	var err error
	if e.gauge, err = newGauge(ctx, first.Model, opt.Data, opt.InputShapes, opt.Engine); err != nil {
		return nil, err
	}
	if len(e.networks) == 1 && evaluation.KindOf(e.gauge.set, e.gauge.reader.Head) == evaluation.Fidelity {
		return nil, usage("%s has no labels: what is left is the fidelity to another model: --against ORIGINAL.onnx, or a prune (--params and --ratios, or --plan)", opt.Data.Path)
	}
	e.report()
	all, err := e.measure(ctx)
	if err != nil {
		return nil, err
	}
	e.out.Result = all[len(all)-1]
	if len(all) > 1 {
		e.out.Original = all[0]
	}
	if opt.Resize {
		if err := e.resize(ctx); err != nil {
			return nil, err
		}
	}
	e.out.Notes = append(e.out.Notes, e.gauge.notes...)
	return &e.out, nil
}

// evaluating is one evaluation on its way.
type evaluating struct {
	opt      EvaluateOptions
	networks []*Network // the original first, where there are two
	files    []string
	opened   []*onnxio.Model
	gauge    *gauge
	out      Evaluation
}

func (e *evaluating) close() {
	for _, m := range e.opened {
		m.Close()
	}
}

// open reads the models that are measured, and prunes where that is asked for.
func (e *evaluating) open(path string) error {
	prune := len(e.opt.Params) > 0 || e.opt.PlanIn != "" || e.opt.Allocation != nil
	switch {
	case e.opt.PlanIn != "" && (len(e.opt.Params) > 0 || len(e.opt.Ratios) > 0 || e.opt.Allocation != nil):
		return usage("a plan says by itself what is cut: give --plan, or --params and --ratios, or --sensitivity")
	case e.opt.Budget.set():
		return usage("a target without curves needs a calibration: prune to it first, and measure the result with --against; or give --sensitivity")
	case e.opt.Criterion.NeedsStatistics():
		return usage("the criterion %s needs a calibration: prune by it first, and measure the result with --against", e.opt.Criterion)
	case prune && e.opt.Against != "":
		return usage("a prune is put beside the model itself: give --against, or what to prune")
	case len(e.opt.Ratios) > 0 && !prune:
		return usage("ratios without parameters: give --params too")
	case len(e.opt.Sizes) > 0 && !e.opt.Resize:
		return usage("sizes are those of the resize baseline: give --baseline resize too")
	}
	if e.opt.Against != "" {
		if err := e.add(e.opt.Against); err != nil {
			return err
		}
	}
	if err := e.add(path); err != nil {
		return err
	}
	e.out = Evaluation{Tool: "onnxprune " + Version, Model: path, Data: e.opt.Data.Path, Notes: []string{}}
	if !prune {
		return nil
	}
	n := e.networks[0]
	p, err := e.plan(n)
	if err != nil {
		return err
	}
	pruned, err := n.Apply(p)
	if err != nil {
		return err
	}
	if _, _, err := checkShapes(n, p, pruned); err != nil {
		return err
	}
	after, err := Analyze(pruned, e.opt.Options)
	if err != nil {
		return err
	}
	e.networks, e.files = append(e.networks, after), append(e.files, path+" (pruned)")
	e.out.Cuts = p.Cuts
	return nil
}

func (e *evaluating) add(path string) error {
	n, err := Open(path, e.opt.Options)
	if err != nil {
		return err
	}
	e.opened = append(e.opened, n.Model)
	e.networks, e.files = append(e.networks, n), append(e.files, path)
	return nil
}

func (e *evaluating) plan(n *Network) (*plan.Plan, error) {
	if e.opt.PlanIn != "" {
		return ReadPlan(e.opt.PlanIn)
	}
	request := e.opt.Request
	if e.opt.Allocation != nil {
		var err error
		if request, e.out.Allocated, err = n.Allocate(*e.opt.Allocation, request); err != nil {
			return nil, err
		}
		e.out.Notes = append(e.out.Notes, e.out.Allocated.Notes...)
	}
	p, _, err := n.Select(request)
	return p, err
}

// report fills in what is known before the first run.
func (e *evaluating) report() {
	g, out := e.gauge, &e.out
	out.Format, out.Samples, out.Broken = g.set.Format, len(g.set.Samples), []dataset.Broken{}
	out.Classes = []string{}
	for _, c := range g.set.Classes {
		out.Classes = append(out.Classes, c.Name)
	}
	out.Preprocessing = g.decision()
	if h := g.reader.Head; h != nil {
		out.Head = &HeadReport{h.Name, h.Task, h.Reason, h.Limits}
	}
}

// measure runs the models side by side over the pictures, and returns what came of each.
func (e *evaluating) measure(ctx context.Context) (all []*Measured, err error) {
	g := e.gauge
	var models []evaluation.Model
	var tallies []*evaluation.Tally
	for i, n := range e.networks {
		reader := g.reader
		if i > 0 {
			other := *g
			if err := other.findHead(ctx, n.Model); err != nil {
				return nil, err
			}
			if len(other.reader.Raw) != len(g.reader.Raw) || (other.reader.Head == nil) != (g.reader.Head == nil) {
				return nil, refuse("%s and %s have different heads, which can not be compared", e.files[0], e.files[i])
			}
			reader = other.reader
			reader.Classes = g.reader.Classes
		}
		s, err := g.session(n.Model)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		e.out.Engine = s.Engine()
		models = append(models, evaluation.Model{Run: needed(s, e.files[i]), Reader: reader})
		tallies = append(tallies, evaluation.NewTally(g.set, &models[i].Reader))
	}
	var found *predictions
	opt := evaluation.Options{Workers: g.workers(), Progress: e.opt.Progress}
	if e.opt.SavePredictions != "" {
		if h := g.reader.Head; h == nil || h.Task != heads.Detection {
			return nil, usage("--save-predictions: the model detects no boxes")
		}
		found = &predictions{set: g.set, of: len(models) - 1}
		opt.Each = found.add
	}
	e.stage("evaluate")
	loader := g.loader(0)
	if err := evaluation.Run(ctx, loader.All, models, tallies, opt); err != nil {
		return nil, err
	}
	e.out.Broken = loader.Broken()
	for i, n := range e.networks {
		m := e.measured(n, e.files[i])
		m.Result = tallies[i].Result()
		all = append(all, m)
	}
	if found != nil {
		if err := found.write(e.opt.SavePredictions); err != nil {
			return nil, err
		}
		e.out.Predictions = e.opt.SavePredictions
	}
	return all, nil
}

func (e *evaluating) stage(name string) {
	if e.opt.Stage != nil {
		e.opt.Stage(name, len(e.gauge.set.Samples))
	}
}

func (e *evaluating) measured(n *Network, file string) *Measured {
	c, _ := n.Cost()
	k := costs(c, n.Model)
	return &Measured{File: file, MACs: k.MACs, Params: k.Params, Bytes: k.FileBytes}
}

// needed runs a session on those of the inputs that it has. Errors name the model's file.
func needed(s session, file string) func(context.Context, inputs) (inputs, error) {
	return func(ctx context.Context, in inputs) (inputs, error) {
		out, err := s.Run(ctx, chosen(s, in))
		if err != nil {
			return nil, &ModelError{file, err}
		}
		return out, nil
	}
}
