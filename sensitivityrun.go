package onnxprune

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/sensitivity"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/engine"
	"onnxprune/runtime/evaluation"
	"onnxprune/runtime/value"
)

// inputs are values by name.
type inputs = map[string]value.Value

func size(vs inputs) int64 {
	n := int64(0)
	for _, v := range vs {
		if t, ok := v.(*value.Tensor); ok {
			n += int64(t.Len()) * int64(max(t.Type.Bits(), 8)) / 8
		}
	}
	return n
}

// session is a model that is ready to run, whole or from some values on.
type session interface {
	Inputs() []*onnxio.ValueInfo
	Run(ctx context.Context, inputs inputs) (inputs, error)
	Close() error
}

// part is a session of a part of a model.
type part struct{ *runtime.Session }

func (p part) Run(ctx context.Context, in inputs) (inputs, error) { return p.Session.Run(ctx, in) }

// part compiles what lies between some values of a model; no values stand for its inputs, or outputs.
func (a *analysing) part(m *onnxio.Model, from, to []string) (session, error) {
	if !a.partial() {
		return a.gauge.session(m)
	}
	s, err := runtime.Compile(m, runtime.Options{Threads: 1, From: from, To: to})
	if err != nil {
		return nil, &ModelError{a.network.Model.Path, err}
	}
	return part{s}, nil
}

// partial reports whether the engine can begin inside of a model.
func (a *analysing) partial() bool {
	return a.gauge.engine.Kind == "" || a.gauge.engine.Kind == engine.Embedded
}

// baseline measures the whole model, and finds out which pictures can be read.
func (a *analysing) baseline(ctx context.Context) error {
	g := a.gauge
	compared := evaluation.KindOf(g.set, g.reader.Head) == evaluation.Fidelity
	known := a.curves.Baseline > 0 && !compared
	s, err := g.session(a.network.Model)
	if err != nil {
		return err
	}
	defer s.Close()
	if !known {
		a.stage("baseline", len(g.set.Samples))
	}
	tally := evaluation.NewTally(g.set, &g.reader)
	run := func(block []*dataset.Item) error {
		at := len(a.items.known)
		a.items.known = append(a.items.known, block...)
		a.originals = append(a.originals, make([]*evaluation.Reading, len(block))...)
		if known {
			return nil
		}
		return a.each(ctx, block, func(ctx context.Context, k int, item *dataset.Item) error {
			r, err := a.reading(ctx, s, item, item.Inputs)
			if err != nil {
				return err
			}
			if compared {
				a.originals[at+k] = r
			}
			return tally.Add(item.Index, item.Sample, r, a.originals[at+k])
		})
	}
	broken, err := a.collect(ctx, run)
	if err != nil {
		return err
	}
	if len(broken) > 0 && a.opt.Broken != nil {
		a.opt.Broken(broken, len(g.set.Samples))
	}
	if known {
		return nil
	}
	r := tally.Result()
	if _, err := sensitivity.Loss(r.Value, r.Value); err != nil {
		return refuse("%v", err)
	}
	a.curves.Baseline, a.curves.Figures = r.Value, figuresOf(r)
	return a.save()
}

// reading runs a session on what it needs of the values, and reads its outputs.
func (a *analysing) reading(ctx context.Context, s session, item *dataset.Item, values inputs) (*evaluation.Reading, error) {
	out, err := s.Run(ctx, chosen(s, values))
	if err != nil {
		return nil, &ModelError{a.network.Model.Path, err}
	}
	if a.opt.Progress != nil {
		a.opt.Progress()
	}
	return a.gauge.reader.Read(out, item.Placement)
}

// chosen are the values that a session needs.
func chosen(s session, values inputs) inputs {
	out := inputs{}
	for _, in := range s.Inputs() {
		if v, ok := values[in.Name]; ok {
			out[in.Name] = v
		}
	}
	return out
}

// figuresOf lists what was measured beside the metric.
func figuresOf(r *evaluation.Result) map[string]float64 {
	out := map[string]float64{}
	if r.COCO != nil {
		out["mAP50"], out["mAP75"] = r.COCO.AP50, r.COCO.AP75
	}
	if r.VOC != nil {
		out["VOC mAP"] = r.VOC.AP
	}
	if r.Accuracy != nil {
		out["top-5"] = r.Accuracy.Top5
	}
	if f := r.Fidelity; f != nil && f.Outputs != nil {
		out["relative squared error"] = f.Outputs.Relative
	}
	return out
}

// cut is a pruned model that stands for one point or more.
type cut struct {
	ratios  []float64
	removed int
	model   *onnxio.Model // nil where nothing is removed
	from    []string      // values where its work begins to differ from the original's

	session session
	tally   *evaluation.Tally
}

// measure measures all ratios of one parameter.
func (a *analysing) measure(ctx context.Context, t sensitivity.Task, done func(sensitivity.Point) error) error {
	cuts, err := a.cuts(t)
	if err != nil {
		return err
	}
	finish := func(c *cut, metric float64, figures map[string]float64) error {
		for _, r := range c.ratios {
			if err := done(sensitivity.Point{Ratio: r, Removed: c.removed, Metric: metric, Figures: figures}); err != nil {
				return err
			}
			if a.opt.Point != nil {
				a.opt.Point(t.Param, *a.curves.Of(t.Param).At(r))
			}
		}
		return nil
	}
	for len(cuts) > 0 {
		if cuts[0].model == nil {
			if err := finish(cuts[0], a.curves.Baseline, a.curves.Figures); err != nil {
				return err
			}
			cuts = cuts[1:]
			continue
		}
		n := 1 // that begin at the same values
		for n < len(cuts) && cuts[n].model != nil && slices.Equal(cuts[n].from, cuts[0].from) {
			n++
		}
		err := a.shared(ctx, cuts[:n], func(c *cut) error {
			r := c.tally.Result()
			return finish(c, r.Value, figuresOf(r))
		})
		if err != nil {
			return fmt.Errorf("%s: %w", t.Param, err)
		}
		cuts = cuts[n:]
	}
	return nil
}

// cuts prunes the model for all ratios; those that remove the same channels share one model.
func (a *analysing) cuts(t sensitivity.Task) ([]*cut, error) {
	var out []*cut
	of := map[string]*cut{}
	for _, ratio := range t.Ratios {
		p, _, err := a.network.Select(Request{Params: []string{t.Param}, Ratios: []float64{ratio}, Criterion: a.opt.Criterion, Vote: a.opt.Vote,
			Align: a.opt.Align, Seed: a.opt.Seed})
		if err != nil {
			return nil, err
		}
		var key strings.Builder
		c := &cut{}
		for _, k := range p.Cuts {
			fmt.Fprint(&key, k.Param, k.Removed)
			c.removed += k.Before - k.After
		}
		if same := of[key.String()]; same != nil {
			same.ratios = append(same.ratios, ratio)
			continue
		}
		c.ratios = []float64{ratio}
		of[key.String()] = c
		out = append(out, c)
		if p.Empty() {
			continue
		}
		if c.model, err = a.network.Apply(p); err != nil {
			return nil, err
		}
		if a.partial() {
			c.from = rewrite.Frontier(a.network.Model, c.model)
		}
	}
	return out, nil
}

// shared measures models that differ from the original from the same values on: what comes before is run once for each picture. finished
// is called with each model as soon as it has seen all pictures.
func (a *analysing) shared(ctx context.Context, group []*cut, finished func(*cut) error) error {
	defer func() {
		for _, c := range group {
			if c.session != nil {
				c.session.Close()
			}
		}
	}()
	var err error
	if group[0].session, err = a.part(group[0].model, group[0].from, nil); err != nil {
		return err
	}
	before := func(_ context.Context, in inputs) (inputs, error) { return chosen(group[0].session, in), nil }
	if from := group[0].from; len(from) > 0 {
		prefix, err := a.part(a.network.Model, nil, from)
		if err != nil {
			return err
		}
		defer prefix.Close()
		before = func(ctx context.Context, in inputs) (inputs, error) {
			out, err := prefix.Run(ctx, chosen(prefix, in))
			if err != nil {
				return nil, err
			}
			for name, v := range chosen(group[0].session, in) { // inputs that are read behind those values too
				out[name] = v
			}
			return out, nil
		}
	}
	return a.blocks(ctx, before, func(block []*dataset.Item, values []inputs, at int) error {
		for _, c := range group {
			if err := a.measureOn(ctx, c, block, values, at); err != nil {
				return err
			}
			if at+len(block) < len(a.items.known) {
				continue
			}
			err := c.session.Close()
			c.session = nil
			if err == nil {
				err = finished(c)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// measureOn adds the pictures of a block, the first of which has the place at among all, to a cut's tally.
func (a *analysing) measureOn(ctx context.Context, c *cut, block []*dataset.Item, values []inputs, at int) (err error) {
	if c.session == nil {
		if c.session, err = a.part(c.model, c.from, nil); err != nil {
			return err
		}
	}
	if c.tally == nil {
		c.tally = evaluation.NewTally(a.gauge.set, &a.gauge.reader)
	}
	return a.each(ctx, block, func(ctx context.Context, k int, item *dataset.Item) error {
		r, err := a.reading(ctx, c.session, item, values[k])
		if err != nil {
			return err
		}
		return c.tally.Add(item.Index, item.Sample, r, a.originals[at+k])
	})
}
