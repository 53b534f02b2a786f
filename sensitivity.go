package onnxprune

// A sensitivity analysis measures a model hundreds of times, each time with other channels of one parameter gone. What comes before the
// first layer that a parameter's cut changes is the same for all of its ratios: it is run once per picture, and what the rest
// reads of it is kept (sensitivityrun.go).

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/sensitivity"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/evaluation"
)

// SensitivityOptions say what Sensitivity measures.
type SensitivityOptions struct {
	Options
	Data   Data
	Engine Engine

	Params    []string  // names or patterns; nil: one parameter of every group that can be pruned
	Ratios    []float64 // nil: .1, .2, .. .9
	Criterion importance.Criterion
	Vote      selection.Vote
	Align     int
	Seed      uint64

	Shard  sensitivity.Shard // the part that is measured here; zero: all
	File   string            // where every finished point is saved, and what is there is taken up; "": nowhere
	Memory int64             // bytes of values that are kept of the pictures; 0: 1 GiB

	Stage    func(name string, runs int)             // called when a part begins, with the number of runs to come; may be nil
	Progress func()                                  // called after each run, from many goroutines; may be nil
	Point    func(param string, p sensitivity.Point) // called with each finished point; may be nil
	Resumed  func(points int)                        // called with the number of points that File held already; may be nil
	Note     func(text string)                       // called with what a reader should know; may be nil
	Broken   func(samples []dataset.Broken, of int)  // called with the samples that can not be read; may be nil
}

// Sensitivity measures what removing channels of single parameters costs.
func Sensitivity(ctx context.Context, model string, opt SensitivityOptions) (*sensitivity.Curves, error) {
	if len(opt.Ratios) == 0 {
		for i := 1; i <= 9; i++ {
			opt.Ratios = append(opt.Ratios, float64(i)/10)
		}
	}
	if opt.Memory <= 0 {
		opt.Memory = 1 << 30
	}
	if opt.Criterion.NeedsStatistics() {
		return nil, usage("the criterion %s needs a calibration, which sensitivity does not make: choose another", opt.Criterion)
	}
	n, err := Open(model, opt.Options)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	tasks, err := sensitivityTasks(n, opt)
	if err != nil {
		return nil, err
	}
	g, err := newGauge(ctx, n.Model, opt.Data, opt.InputShapes, opt.Engine)
	if err != nil {
		return nil, err
	}
	a := &analysing{opt: opt, network: n, gauge: g, tasks: opt.Shard.Of(tasks)}
	if err := a.resume(); err != nil {
		return nil, err
	}
	if opt.Note != nil {
		notes := g.notes
		if d := g.decision(); d != nil {
			notes = slices.Concat(d.Notes, notes)
		}
		for _, text := range notes {
			opt.Note(text)
		}
	}
	if err := a.baseline(ctx); err != nil {
		return nil, err
	}
	left := 0
	for _, t := range a.curves.Left(a.tasks) {
		left += len(t.Ratios)
	}
	a.stage("sensitivity", left*len(a.items.known))
	return a.curves, a.curves.Measure(ctx, a.tasks, a.measure, a.save)
}

// sensitivityTasks lists the parameters in the model's order.
func sensitivityTasks(n *Network, opt SensitivityOptions) ([]sensitivity.Task, error) {
	names := opt.Params
	if len(names) == 0 {
		names = []string{"*"}
	}
	for i, r := range opt.Ratios {
		if !(r > 0 && r < 1) {
			return nil, refuse("ratio %v is not between 0 and 1 (exclusive): it is the share of channels to remove", r)
		}
		for _, other := range opt.Ratios[:i] {
			if r == other {
				return nil, refuse("ratio %v is given twice", r)
			}
		}
	}
	wants, left, err := selection.Resolve(n.Channels, names, []float64{opt.Ratios[0]})
	if err != nil {
		return nil, n.hint(err, names)
	}
	if len(wants) == 0 {
		return nil, refuse("none of the %d parameters that %s matches can be pruned; see why with: onnxprune params MODEL", left[0].Matched, left[0].Pattern)
	}
	place := map[*channels.Param]int{}
	for i, p := range n.Channels.Params {
		place[p] = i
	}
	covered := map[atoms.ID]bool{}
	var out []sensitivity.Task
	for _, w := range wants {
		pattern := strings.ContainsAny(w.Name, "*?[") && w.Name != w.Param.Name
		fresh := false
		for _, c := range n.Channels.Classes(w.Param) {
			fresh = fresh || n.Channels.Removable(c) && !covered[c]
		}
		if pattern && !fresh { // its channels go with those of an earlier one
			continue
		}
		for _, c := range n.Channels.Classes(w.Param) {
			covered[c] = true
		}
		out = append(out, sensitivity.Task{Param: w.Param.Name, Place: place[w.Param], Channels: int(w.Param.Out), Ratios: opt.Ratios})
	}
	return out, nil
}

// analysing is one analysis on its way.
type analysing struct {
	opt     SensitivityOptions
	network *Network
	gauge   *gauge
	tasks   []sensitivity.Task
	curves  *sensitivity.Curves

	items     items
	originals []*evaluation.Reading // what the whole model says, by place in items.known; only where that is what it is compared with
}

func (a *analysing) stage(name string, runs int) {
	if a.opt.Stage != nil {
		a.opt.Stage(name, runs)
	}
}

// setting is what the losses depend on.
func (a *analysing) setting() sensitivity.Setting {
	g := a.gauge
	s := sensitivity.Setting{Model: filepath.Base(a.network.Model.Path), SHA256: a.network.Model.SHA256(), Data: digest(g.set), Pictures: len(g.set.Samples),
		Metric: a.metric(), Criterion: string(a.opt.Criterion), Vote: string(a.opt.Vote), Align: a.opt.Align, Seed: a.opt.Seed, Engine: string(g.engine.Kind)}
	if s.Criterion == "" {
		s.Criterion = string(importance.L1Norm)
	}
	if s.Vote == "" {
		s.Vote = string(selection.VoteNamed)
	}
	if s.Engine == "" {
		s.Engine = "embedded"
	}
	if d := g.decision(); d != nil {
		var words []string
		for _, k := range d.Settings {
			words = append(words, k.Key+"="+k.Value)
		}
		s.Inputs = strings.Join(words, ",")
	}
	return s
}

func (a *analysing) metric() string {
	head := a.gauge.reader.Head
	switch evaluation.KindOf(a.gauge.set, head) {
	case evaluation.Boxes:
		return evaluation.MetricAP
	case evaluation.Labels:
		return evaluation.MetricTop1
	}
	switch {
	case head == nil:
		return evaluation.MetricOutputs
	case len(a.gauge.reader.Raw) > 0 && head.Task != "detection":
		return evaluation.MetricAgreement
	}
	return evaluation.MetricDetections
}

// digest identifies a data set's samples and labels.
func digest(set *dataset.Set) string {
	h := sha256.New()
	for _, s := range set.Samples {
		fmt.Fprintf(h, "%d %q %d %v\n", s.ID, s.Name, s.Label, s.Objects)
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}

// resume takes up the file of an earlier run.
func (a *analysing) resume() error {
	a.curves = sensitivity.New(a.setting())
	if a.opt.File == "" {
		return nil
	}
	old, err := sensitivity.Read(a.opt.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a.save() // what can not be written is told before hours of work
	case err != nil:
		return &ModelError{a.opt.File, errors.Unwrap(err)}
	}
	if d := a.curves.Setting.Differs(old.Setting); d != "" {
		return usage("%s: it was measured otherwise: %s; name another file, or remove it", a.opt.File, d)
	}
	if old.Setting.SHA256 == "" {
		old.Setting = a.curves.Setting
	}
	a.curves = old
	if a.opt.Resumed != nil && old.Points() > 0 {
		a.opt.Resumed(old.Points())
	}
	return nil
}

func (a *analysing) save() error {
	if a.opt.File == "" {
		return nil
	}
	if err := a.curves.Write(a.opt.File); err != nil {
		return usage("%s: the curves can not be written: %v", a.opt.File, plain(err))
	}
	return nil
}

// ReadCurves reads a file of sensitivity curves: JSON, or PaddleSlim's pickle.
func ReadCurves(path string) (*sensitivity.Curves, error) {
	c, err := sensitivity.Read(path)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner
		}
		return nil, &ModelError{path, err}
	}
	return c, nil
}

// MergeCurves unites files of curves. Of two measurements of one point the later file's counts; those that differ are returned.
func MergeCurves(paths ...string) (*sensitivity.Curves, []sensitivity.Conflict, error) {
	var all []*sensitivity.Curves
	for _, p := range paths {
		c, err := ReadCurves(p)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, c)
	}
	out, conflicts, err := sensitivity.Merge(all...)
	if err != nil {
		return nil, nil, refuse("%v", err)
	}
	return out, conflicts, nil
}
