package evaluation

import (
	"sync"

	"onnxprune/runtime/dataset"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/metrics"
)

// Kind says what a data set lets be measured of a model.
type Kind string

// The kinds.
const (
	Boxes    Kind = "boxes"    // average precision against labelled boxes
	Labels   Kind = "labels"   // accuracy against labels of whole pictures
	Fidelity Kind = "fidelity" // no labels, or no head that reads them: nearness to the original
)

// KindOf returns what can be measured of a model with that head on a data set.
func KindOf(set *dataset.Set, head *heads.Head) Kind {
	boxes, labels := set.Labelled()
	switch {
	case head != nil && boxes && head.Task == heads.Detection:
		return Boxes
	case head != nil && labels && head.Task == heads.Classification:
		return Labels
	}
	return Fidelity
}

// Tally collects what a model says about the pictures of a data set. It is safe for concurrent use.
type Tally struct {
	kind   Kind
	reader *Reader

	mu       sync.Mutex
	pictures int
	coco     *metrics.COCO
	voc      *metrics.VOC
	accuracy metrics.Accuracy
	fidelity *metrics.Fidelity // nil where no picture was compared
	clock    clock
}

// vocOverlap is Pascal VOC's least IoU of a hit.
const vocOverlap = 0.5

// NewTally returns an empty tally.
func NewTally(set *dataset.Set, r *Reader) *Tally {
	t := &Tally{kind: KindOf(set, r.Head), reader: r}
	if t.kind == Boxes {
		t.coco = metrics.NewCOCO(len(set.Classes))
		if set.Format == dataset.VOC {
			t.voc = metrics.NewVOC(len(set.Classes), vocOverlap)
		}
	}
	return t
}

// Add takes in one picture: its place in the data set, and what the model says; original is what the original says, nil for none.
func (t *Tally) Add(index int, s *dataset.Sample, r, original *Reading) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pictures++
	t.clock.add(r.Preprocess, r.Inference, r.Postprocess)
	switch t.kind {
	case Boxes:
		t.coco.Add(index, s.Objects, r.Found)
		if t.voc != nil {
			t.voc.Add(index, s.Objects, r.Found)
		}
	case Labels:
		t.accuracy.Add(r.Scores, t.reader.label(s.Label))
	}
	if original == nil {
		return nil
	}
	if t.fidelity == nil {
		t.fidelity = metrics.NewFidelity()
	}
	if t.reader.Head != nil && t.reader.Head.Task == heads.Detection {
		t.fidelity.Detections(index, original.Found, r.Found)
	}
	if r.Scores != nil {
		t.fidelity.Classes(original.Scores, r.Scores)
	}
	if len(r.Raw) > 0 {
		return t.fidelity.Outputs(index, original.Raw, r.Raw)
	}
	return nil
}

// Result is what was measured of a model. What was not is nil.
type Result struct {
	Metric   string                  `json:"metric"` // the one figure that stands for all
	Value    float64                 `json:"value"`
	Pictures int                     `json:"pictures"`
	COCO     *metrics.COCOResult     `json:"coco,omitempty"`
	VOC      *metrics.VOCResult      `json:"voc,omitempty"`
	Accuracy *metrics.AccuracyResult `json:"accuracy,omitempty"`
	Fidelity *metrics.FidelityResult `json:"fidelity,omitempty"` // to the original
	Speed    Speed                   `json:"speed"`
}

// The figures that stand for all.
const (
	MetricAP         = "mAP50-95"
	MetricTop1       = "top-1"
	MetricDetections = "mAP50-95 against the original's detections"
	MetricAgreement  = "top-1 agreement with the original"
	MetricOutputs    = "1 - relative squared error of the outputs"
)

// Result computes the figures of all pictures that were added.
func (t *Tally) Result() *Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := &Result{Pictures: t.pictures, Speed: t.clock.speed()}
	if t.fidelity != nil {
		out.Fidelity = t.fidelity.Result()
	}
	if t.voc != nil {
		out.VOC = t.voc.Result()
	}
	switch f := out.Fidelity; {
	case t.kind == Boxes:
		out.COCO = t.coco.Result()
		out.Metric, out.Value = MetricAP, out.COCO.AP
	case t.kind == Labels:
		out.Accuracy = t.accuracy.Result()
		out.Metric, out.Value = MetricTop1, out.Accuracy.Top1
	case f == nil:
	case f.Detections != nil:
		out.Metric, out.Value = MetricDetections, f.Detections.AP
	case f.Top1 != nil:
		out.Metric, out.Value = MetricAgreement, *f.Top1
	case f.Outputs != nil:
		out.Metric, out.Value = MetricOutputs, 1-f.Outputs.Relative
	}
	return out
}
