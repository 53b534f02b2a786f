package onnxprune

// What comes before and after a model's run: pictures become inputs, outputs become boxes and classes. Each says something about the other,
// and where shapes are open only a run shows the head. Evaluation, sensitivity and drawing share this.

import (
	"errors"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// pipeline is how a model is fed and read, as far as it is known.
type pipeline struct {
	model   *onnxio.Model
	feed    preprocess.Options
	read    heads.Options
	prepare *preprocess.Preprocessor // nil where there are no pictures, but tensors, which are inputs
}

// newPipeline decides how a model is fed, with the head that its declared outputs show.
func newPipeline(m *onnxio.Model, family string, feed preprocess.Options, read heads.Options, tensors bool) (*pipeline, error) {
	p := &pipeline{model: m, feed: feed, read: read}
	p.read.PictureSizes = true
	if err := p.family(family); err != nil || tensors {
		return p, err
	}
	if h, err := heads.Find(m, nil, p.read); err == nil {
		p.feed.Head = h.Name
	}
	return p, p.decide()
}

// family spreads the name of a family to what feeds and what reads.
func (p *pipeline) family(name string) error {
	if name == "" {
		return nil
	}
	var known []string
	for _, p := range preprocess.Profiles {
		known = append(known, p.Name)
	}
	feeds, reads := slices.Contains(known, name), slices.Contains(heads.Profiles(), name)
	if !feeds && !reads {
		known = append(known, heads.Profiles()...)
		slices.Sort(known)
		return usage("family %q is not known; there are %s", name, strings.Join(slices.Compact(known), ", "))
	}
	if feeds {
		p.feed.Profile = name
	}
	if reads && p.read.Outputs == nil {
		p.read.Profile = name
	}
	return nil
}

func (p *pipeline) decide() error {
	d, err := preprocess.Decide(p.model, p.model.Path, p.feed)
	if err != nil {
		return p.inFile(err)
	}
	prepare, err := preprocess.New(p.model, d)
	if err != nil {
		return p.inFile(err)
	}
	p.prepare = prepare
	return nil
}

// inFile names the model in an error that is about it.
func (p *pipeline) inFile(err error) error {
	var e *preprocess.ModelError
	if errors.As(err, &e) {
		return &ModelError{p.model.Path, err}
	}
	return err
}

// decision says how pictures become inputs, nil for tensors.
func (p *pipeline) decision() *preprocess.Decision {
	if p.prepare == nil {
		return nil
	}
	return p.prepare.Decision()
}

// head returns the head of m, this model or one that is measured beside it, which the outputs of a run show, or, where they are nil, the declared shapes.
func (p *pipeline) head(m *onnxio.Model, outputs map[string]value.Value, at detection.Placement) (*heads.Head, error) {
	o, suggested := p.read, ""
	if d := p.decision(); d != nil {
		if o.Classes == 0 {
			o.Classes = len(d.Classes)
		}
		o.Width, o.Height = d.Recipe.Width, d.Recipe.Height
		if slices.Contains(heads.Profiles(), d.Profile) {
			suggested = d.Profile
		}
	}
	if at.CanvasWidth > 0 {
		o.Width, o.Height = at.CanvasWidth, at.CanvasHeight
	}
	h, err := heads.Find(m, outputs, o)
	var unknown *heads.UnknownError
	if suggested != "" && o.Profile == "" && errors.As(err, &unknown) && !unknown.Open {
		o.Profile = suggested // by the metadata or a file beside the model: it tells heads apart that look alike
		if again, e := heads.Find(m, outputs, o); e == nil {
			return again, nil
		}
	}
	return h, err
}

// learn takes up what a head tells about how its models are fed, and reports whether pictures are fed otherwise than before.
func (p *pipeline) learn(h *heads.Head) (bool, error) {
	if p.prepare == nil || h.Name == p.feed.Head {
		return false, nil
	}
	before := p.prepare
	p.feed.Head = h.Name
	if err := p.decide(); err != nil {
		return false, err
	}
	if slices.Equal(before.Decision().Settings, p.prepare.Decision().Settings) {
		p.prepare = before
		return false, nil
	}
	return true, nil
}
