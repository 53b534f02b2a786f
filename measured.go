package onnxprune

// How pictures reach a model and what its outputs mean: what evaluation and sensitivity share.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/engine"
	"onnxprune/runtime/evaluation"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/preprocess"
)

// Data says on which pictures a model is measured, how they become its inputs, and what its outputs mean. What is left out is found out:
// from the model's metadata, from files beside it, from names and shapes.
type Data struct {
	Path       string          // folder, or the file that lists the data set
	Set        dataset.Options // its format, and where its parts are
	Family     string          // of models, such as "yolov8": how they are fed and read; see DetectOptions
	Preprocess preprocess.Options
	Head       heads.Options
}

// Engine says what runs a model. The zero value is the embedded runtime with a thread for each processor.
type Engine struct {
	Kind    engine.Kind
	Threads int // pictures at a time on the embedded runtime; threads of ONNX Runtime. 0: one for each processor
}

func (e Engine) check() error {
	if err := (engine.Options{Kind: e.Kind, Threads: e.Threads}).Check(); err != nil {
		return usage("%v", err)
	}
	return nil
}

// gauge measures models of one network on a data set.
type gauge struct {
	pipeline
	set    *dataset.Set
	reader evaluation.Reader
	engine Engine
	notes  []string
}

// newGauge opens the data set and works out how the model is fed and read.
func newGauge(ctx context.Context, m *onnxio.Model, data Data, shapes map[string][]int64, e Engine) (*gauge, error) {
	if data.Path == "" {
		return nil, usage("the data is missing: --data FOLDER")
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	g := &gauge{engine: e}
	open := data.Set
	open.Model = m
	var err error
	if g.set, err = dataset.Open(data.Path, open); err != nil {
		return nil, err
	}
	g.notes = append(g.notes, g.set.Notes...)
	feed := data.Preprocess
	feed.Shapes = shapes
	p, err := newPipeline(m, data.Family, feed, data.Head, g.set.Format == dataset.Tensors)
	if err != nil {
		return nil, err
	}
	g.pipeline = *p
	if err := g.findHead(ctx, m); err != nil {
		return nil, err
	}
	if h := g.reader.Head; h != nil {
		if _, err := g.learn(h); err != nil {
			return nil, err
		}
	}
	return g, g.mapClasses()
}

// findHead finds the model's head. Where the data set has labels there has to be one; else outputs can be compared as they are.
func (g *gauge) findHead(ctx context.Context, m *onnxio.Model) error {
	outputs, at, err := g.firstOutputs(ctx, m)
	if err != nil {
		return err
	}
	head, err := g.head(m, outputs, at)
	var unknown *heads.UnknownError
	boxes, labels := g.set.Labelled()
	switch {
	case errors.As(err, &unknown) && g.read.Profile == "" && g.read.Outputs == nil && !boxes && !labels:
		g.notes = append(g.notes, Line(err)+"; its outputs are compared with the original's as they are")
	case err != nil && errors.As(err, &unknown):
		return &ModelError{m.Path, fmt.Errorf("%w (--family, --outputs)", err)}
	case err != nil:
		return usage("%v", err)
	}
	g.reader.Head = head
	switch {
	case head == nil:
	case boxes && head.Task != heads.Detection:
		return &ModelError{m.Path, fmt.Errorf("the data set %s has boxes, but the model classifies whole pictures (%s)", g.set.Path, head.Reason)}
	case labels && head.Task != heads.Classification:
		return &ModelError{m.Path, fmt.Errorf("the data set %s has a class for each picture, but the model detects boxes (%s)", g.set.Path, head.Reason)}
	}
	if head == nil || head.Dense || head.Task == heads.Classification {
		g.reader.Raw = g.rawOutputs(m)
	}
	return nil
}

// rawOutputs are the outputs that are compared element by element.
func (g *gauge) rawOutputs(m *onnxio.Model) []string {
	if g.reader.Head != nil {
		return g.reader.Head.Reads
	}
	var out []string
	for _, o := range m.Graph.Outputs {
		if o.Type == nil || o.Type.Kind == onnxio.KindUnknown || o.Type.Kind == onnxio.KindTensor && o.Type.Elem.IsFloat() {
			out = append(out, o.Name)
		}
	}
	return out
}

// openSize says what to do about a model that does not run on a picture of its own size, "" where the size is said.
func (g *gauge) openSize() string {
	d := g.pipeline.decision()
	if d == nil || slices.ContainsFunc(d.Settings, func(s preprocess.Setting) bool { return s.Key == "size" && s.Source != preprocess.FromDefault }) {
		return ""
	}
	return "; the model leaves the size of its pictures open, and this one was fed as it is: say the size, as --family yolov5 or --preprocess size=640x640,letterbox"
}

// firstOutputs runs the model on the first picture.
func (g *gauge) firstOutputs(ctx context.Context, m *onnxio.Model) (inputs, detection.Placement, error) {
	var none detection.Placement
	s, err := g.session(m)
	if err != nil {
		return nil, none, err
	}
	defer s.Close()
	for item, err := range g.loader(1).All(ctx) {
		if err != nil {
			return nil, none, err
		}
		out, err := s.Run(ctx, chosen(s, item.Inputs))
		if err != nil {
			return nil, none, &ModelError{m.Path, fmt.Errorf("%s: %w%s", item.Sample.Name, err, g.openSize())}
		}
		return out, item.Placement, nil
	}
	return nil, none, fmt.Errorf("%s: the data set is empty", g.set.Path)
}

// mapClasses finds which class of the model is which of the data set.
func (g *gauge) mapClasses() error {
	d := g.decision()
	head := g.reader.Head
	if head == nil || len(g.set.Classes) == 0 {
		return nil
	}
	known := dataset.ModelClasses{Count: head.Classes, IDs: head.IDs && g.set.Format == dataset.COCO}
	if d != nil && d.Classes != nil {
		known.Names, known.IDs = d.Classes, false
	}
	classes, err := g.set.MapClasses(known)
	if err != nil {
		return err
	}
	g.reader.Classes = classes
	if known.Names == nil || !strings.HasPrefix(classes.How, "by name") || strings.Contains(classes.How, ";") {
		g.notes = append(g.notes, "classes of model and data set are matched "+classes.How)
	}
	return nil
}

// loader makes the data set's samples inputs.
func (g *gauge) loader(workers int) *dataset.Loader {
	return g.set.Load(g.prepare, dataset.LoadOptions{Workers: workers})
}

// workers is how many pictures are run at a time.
func (g *gauge) workers() int {
	if g.engine.Threads > 0 {
		return g.engine.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// session makes a model ready to run on the engine. The embedded runtime runs several pictures at a time, each on one thread, which takes less time than one
// after the other on all threads.
func (g *gauge) session(m *onnxio.Model) (engine.Session, error) {
	opt := engine.Options{Kind: g.engine.Kind, Threads: 1}
	if opt.Kind != "" && opt.Kind != engine.Embedded {
		opt.Threads = g.engine.Threads
	}
	s, err := engine.OpenModel(m, opt)
	if err != nil {
		return nil, engineError(m, err)
	}
	return s, nil
}

func engineError(m *onnxio.Model, err error) error {
	var missing *engine.NotFoundError
	if errors.As(err, &missing) {
		return usage("%v", err)
	}
	var broken *engine.ModelError
	if errors.As(err, &broken) && broken.Path == "" {
		return &ModelError{m.Path, broken.Err}
	}
	return &ModelError{m.Path, err}
}
