package onnxprune

// Calibration: pictures without labels, on which the original is run to learn what its layers see, and what the outputs feel of a cut.

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/calibrate"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// Calibration says on which pictures a model is run to learn what its layers see. What is left out is found out, as for a measurement.
type Calibration struct {
	Path       string          // folder of pictures, data set (its labels are not read), .npy or .npz; "": none is named
	Limit      int             // most pictures, evenly spread over what there is; 0: 128
	Set        dataset.Options // its format, and where its parts are
	Family     string          // of models that it belongs to: how it is fed and read; "": told by the model
	Preprocess preprocess.Options
	Head       heads.Options
	Statistics string // file of statistics: read where it is there, else written; "": none
}

const (
	defaultPictures = 128
	fewPictures     = 8         // fewer are warned of
	heldInputs      = 768 << 20 // bytes of inputs that are kept in memory
)

// CalibrationReport says what a calibration ran on.
type CalibrationReport struct {
	Path       string           `json:"path"`
	StandIn    bool             `json:"stand_in"` // no pictures were given: the demo's calibration pictures took their place
	Pictures   int              `json:"pictures"`
	Held       int              `json:"held_out"` // of these: nothing is fitted to them
	Broken     []dataset.Broken `json:"broken"`
	Head       string           `json:"head,omitempty"` // by which rows are drawn where the objects are
	Statistics string           `json:"statistics,omitempty"`
	FromFile   bool             `json:"from_file"` // the statistics were read, not collected
}

// sampled is a calibration set in memory.
type sampled struct {
	items  []*dataset.Item
	head   *heads.Head // the same, nil where it detects nothing
	found  [][]detection.Detection
	report CalibrationReport
	notes  []string
}

// Len implements calibrate.Pictures.
func (s *sampled) Len() int { return len(s.items) }

// Feed implements calibrate.Pictures.
func (s *sampled) Feed(i int) (map[string]value.Value, error) { return s.items[i].Inputs, nil }

// subset is a part of a calibration set.
type subset struct {
	*sampled
	index []int
}

func (s *subset) Len() int                                   { return len(s.index) }
func (s *subset) Feed(i int) (map[string]value.Value, error) { return s.sampled.Feed(s.index[i]) }

// detections returns what the original finds in the subset's pictures; nil where nothing is known.
func (s *subset) detections() [][]detection.Detection {
	if s.found == nil {
		return nil
	}
	out := make([][]detection.Detection, len(s.index))
	for i, k := range s.index {
		out[i] = s.found[k]
	}
	return out
}

// sample loads the pictures of a calibration and makes them the model's inputs.
func sample(ctx context.Context, m *onnxio.Model, c Calibration, shapes map[string][]int64) (*sampled, error) {
	s := &sampled{report: CalibrationReport{Path: c.Path, Broken: []dataset.Broken{}, Statistics: c.Statistics}}
	if c.Limit < 0 {
		return nil, usage("a limit of %d calibration pictures: at least one is needed", c.Limit)
	}
	if c.Path == "" {
		dir, err := demoPictures()
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		c.Path, s.report.StandIn, s.report.Path = dir, true, "the demo's calibration pictures"
	}
	open := c.Set
	open.Model = m
	set, err := dataset.Open(c.Path, open)
	if err != nil {
		return nil, err
	}
	if len(set.Samples) == 0 {
		return nil, usage("%s: there are no pictures to calibrate on", c.Path)
	}
	limit := c.Limit
	if limit == 0 {
		limit = defaultPictures
	}
	set.Samples = spread(set.Samples, limit)
	prepare, err := s.prepare(ctx, m, set, c, shapes)
	if err != nil {
		return nil, err
	}
	return s, s.load(ctx, set, prepare)
}

// prepare decides how pictures become the model's inputs, and finds how its detections are read: that may say how it is fed.
func (s *sampled) prepare(ctx context.Context, m *onnxio.Model, set *dataset.Set, c Calibration, shapes map[string][]int64) (*preprocess.Preprocessor, error) {
	feed := c.Preprocess
	feed.Shapes = shapes
	p, err := newPipeline(m, c.Family, feed, c.Head, set.Format == dataset.Tensors)
	if err != nil || p.prepare == nil {
		return nil, err
	}
	for item, err := range set.Load(p.prepare, dataset.LoadOptions{Workers: 1}).All(ctx) {
		if err != nil {
			return nil, err
		}
		if err := s.findHead(ctx, m, p, item); err != nil {
			return nil, err
		}
		break
	}
	s.notes = append(s.notes, p.decision().Notes...)
	return p.prepare, nil
}

// spread picks up to n samples, evenly.
func spread(list []dataset.Sample, n int) []dataset.Sample {
	if len(list) <= n {
		return list
	}
	var out []dataset.Sample
	for i := range n {
		out = append(out, list[i*len(list)/n])
	}
	return out
}

// load keeps the inputs of all pictures that memory has room for.
func (s *sampled) load(ctx context.Context, set *dataset.Set, prepare *preprocess.Preprocessor) error {
	loader := set.Load(prepare, dataset.LoadOptions{})
	held := int64(0)
	for item, err := range loader.All(ctx) {
		if err != nil {
			return err
		}
		size := int64(0)
		for _, v := range item.Inputs {
			if t, ok := v.(*value.Tensor); ok {
				size += int64(t.Len()) * 4
			}
		}
		if held += size; held > heldInputs && len(s.items) > 0 {
			s.notes = append(s.notes, fmt.Sprintf("calibration took the first %d of %d pictures: no more fit into %d MiB", len(s.items), len(set.Samples), heldInputs>>20))
			break
		}
		s.items = append(s.items, item)
	}
	s.report.Broken, s.report.Pictures = loader.Broken(), len(s.items)
	if n := len(s.report.Broken); n > 0 {
		s.notes = append(s.notes, fmt.Sprintf("%d calibration pictures could not be read and were left out; the first, %s: %s", n, s.report.Broken[0].Name, s.report.Broken[0].Reason))
	}
	return nil
}

// findHead finds how the model's outputs are read, so that rows can be drawn where the objects are. A model without a head that is
// known is calibrated all over the picture.
func (s *sampled) findHead(ctx context.Context, m *onnxio.Model, p *pipeline, item *dataset.Item) error {
	session, err := runtime.Compile(m, runtime.Options{Engine: runtime.Walk})
	if err != nil {
		return nil // whoever collects statistics says so
	}
	defer session.Close()
	outputs, err := session.Run(ctx, item.Inputs)
	if err != nil {
		return nil
	}
	head, err := p.head(m, outputs, item.Placement)
	if err != nil {
		s.notes = append(s.notes, "rows are drawn all over the pictures, since the model's head is not known: "+Line(err))
		return nil
	}
	if head.Task == heads.Detection {
		s.head, s.report.Head = head, head.Name
	}
	_, err = p.learn(head)
	return err
}

// leastScore is the score from which a detection counts.
const leastScore = 0.1

// detect is what the original finds, in shares of its input.
func (s *sampled) detect(i int, outputs map[string]value.Value) ([]detection.Detection, error) {
	at := s.items[i].Placement
	found, err := s.head.Detect(outputs, at)
	if err != nil {
		return nil, err
	}
	var out []detection.Detection
	for _, d := range found {
		if d.Score <= leastScore {
			continue
		}
		b := at.ToCanvas(d.Box)
		w, h := float64(at.CanvasWidth), float64(at.CanvasHeight)
		d.Box = detection.Box{X0: b.X0 / w, Y0: b.Y0 / h, X1: b.X1 / w, Y1: b.Y1 / h}
		out = append(out, d)
	}
	return out, nil
}

// findObjects runs the original on all pictures, where its detections can be read.
func (s *sampled) findObjects(ctx context.Context, m *onnxio.Model, threads int, progress func(done, total int)) (err error) {
	if s.head == nil {
		return nil
	}
	s.found, err = calibrate.Detections(ctx, m, s, s.detect, threads, progress)
	return err
}

// hold sets pictures aside, evenly spread, to which nothing is fitted. A set of one picture serves for both.
func (s *sampled) hold(n int) (fit, held *subset) {
	fit, held = &subset{sampled: s}, &subset{sampled: s}
	total := len(s.items)
	if n >= total {
		n = total / 2
	}
	for i := range total {
		if (i+1)*n/total > i*n/total {
			held.index = append(held.index, i)
		} else {
			fit.index = append(fit.index, i)
		}
	}
	if len(held.index) == 0 {
		held.index = fit.index
	}
	s.report.Held = len(held.index)
	return fit, held
}

// demoPictures writes the demo's calibration pictures to a folder of their own.
func demoPictures() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "onnxprune-calibration-"); err != nil {
		return "", err
	}
	files := testmodels.CalibrationImages()
	names, err := fs.Glob(files, "*.png")
	for _, name := range names {
		var b []byte
		if b, err = fs.ReadFile(files, name); err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			break
		}
	}
	if err != nil {
		os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}
