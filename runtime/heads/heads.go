// Package heads turns the outputs of a detector into boxes, classes and scores in pixels of the picture, and those of a
// classifier into scores of classes.
//
// Find says which head a model has: by what the user names, by the model's metadata, or by names and shapes of the outputs,
// and it says why. A head then reads the outputs of any run, on this runtime or another:
//
//	head, err := heads.Find(model, outputs, heads.Options{}) // outputs of a first run, or nil where all shapes are declared
//	found, err := head.Detect(outputs, placement)
//
// A head is one file: how its outputs are recognised, how a row becomes a box, and the thresholds by which its authors
// evaluate. The kinds are listed in kinds.go in the order in which they are tried.
package heads

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
)

// Task is what a head says about a picture.
type Task string

// The tasks.
const (
	Detection      Task = "detection"      // boxes: see Head.Detect
	Classification Task = "classification" // one score for each class: see Head.Classify
)

// Head is a model's head, ready to read outputs. Its methods may be called from many goroutines.
type Head struct {
	Name    string   // of the kind, such as "yolov8"
	Task    Task     //
	Classes int      // scores that the model gives each box or picture; 0 where its outputs hold the indices of classes instead
	Reads   []string // names of the outputs that are read
	IDs     bool     // classes are category ids of the data set that the model was trained on, as torchvision and DETR count: COCO's person is 1
	Dense   bool     // the outputs hold every candidate at a place of its own, so that two models can be compared element by element
	Reason  Reason   // why it is this head
	Limits  Limits   // may be changed before the first call

	faces   bool // its only class is the face
	inGraph bool // NMS, or the choice of the best, is part of the model
	picture bool // boxes are in pixels of the picture, because the model was told its size
	read    func(*reading) error
}

// Source is where a decision comes from.
type Source string

// The sources, the strongest first.
const (
	BySpec     Source = "the outputs that were named"
	ByProfile  Source = "the profile"
	ByMetadata Source = "the model's metadata"
	ByOutputs  Source = "the outputs"
)

// Reason says why a model has a head.
type Reason struct {
	By  Source `json:"by"`
	Why string `json:"why"`
}

func (r Reason) String() string { return fmt.Sprintf("decided by %s: %s", r.By, r.Why) }

// Options say what is known about a model beside the model itself. The zero value knows nothing.
type Options struct {
	Profile string // name of a head or of a family of models, see Profiles; "": it is recognised
	Outputs *Spec  // which output is what, where no head fits; see ParseSpec
	Classes int    // number of classes, where the user or the metadata know it; it counts where boxes carry masks or keypoints too
	Width   int    // of the model's input, in pixels, where the model leaves it open; 0: not known
	Height  int
	// PictureSizes: the inputs by which a model scales its boxes (im_size, scale_factor, orig_target_sizes, ...) are given so that boxes
	// are in pixels of the picture, as preprocess does. Otherwise they are given the size of the model's input.
	PictureSizes bool

	Score      *float64 // in place of the standard of the head: see Limits
	IoU        *float64
	Detections *int
	Agnostic   bool
	BestClass  bool
}

// An UnknownError says that a model's outputs are not understood.
type UnknownError struct {
	Outputs []string // name, type and shape of each
	Asked   string   // the profile that does not fit, "" where none was given
	Wants   []string // what the profile's heads would read
	Fit     []string // profiles between which the outputs do not decide
	Open    bool     // shapes are not declared: the outputs of a run may decide
}

func (e *UnknownError) Error() string {
	have := "the model's outputs are " + list(e.Outputs)
	switch {
	case e.Asked != "":
		return fmt.Sprintf("profile %s reads %s, but %s", e.Asked, list(e.Wants), have)
	case len(e.Fit) > 0:
		return fmt.Sprintf("%s, which may be %s: name the profile", have, strings.Join(e.Fit, " or "))
	case e.Open:
		return have + ", which leave open what they hold until the model runs"
	}
	return have + ", which is no head that is known; name one by its profile, or say which outputs are what, as in boxes=NAME,scores=NAME,format=xyxy,units=pixels"
}

// Find returns the head of a model. outputs are those of a run; nil is enough where the model declares its shapes. An
// *UnknownError lists the outputs; with Open it is worth another try with the outputs of a run. Options that can not be are *option.Error.
func Find(m *onnxio.Model, outputs map[string]value.Value, o Options) (*Head, error) {
	s := signatureOf(m, outputs, o)
	h, err := s.head(o)
	if err != nil {
		return nil, err
	}
	if o.Score != nil {
		h.Limits.Score = *o.Score
	}
	if o.IoU != nil {
		h.Limits.IoU = *o.IoU
	}
	if o.Detections != nil {
		h.Limits.Detections = *o.Detections
	}
	h.Limits.Agnostic = h.Limits.Agnostic || o.Agnostic
	h.Limits.BestClass = h.Limits.BestClass || o.BestClass
	return h, h.Limits.check()
}

// Detect returns what a run found in the picture that lies at the given place on the model's input: boxes clipped to the
// picture, the best scores first, those of equal scores in the order of the outputs. Boxes or scores that are no number are left out.
func (h *Head) Detect(outputs map[string]value.Value, at detection.Placement) ([]detection.Detection, error) {
	if h.Task != Detection {
		return nil, fmt.Errorf("head %s gives scores of classes and no boxes", h.Name)
	}
	if !(at.ScaleX > 0 && at.ScaleY > 0 && at.CanvasWidth > 0 && at.CanvasHeight > 0) {
		return nil, errors.New("where the picture lies on the model's input is not known")
	}
	r := &reading{head: h, outputs: outputs, at: at}
	if err := h.read(r); err != nil {
		return nil, fmt.Errorf("head %s: %w", h.Name, err)
	}
	found := r.found
	slices.SortStableFunc(found, better)
	if !h.inGraph {
		found = suppress(found, h.Limits)
	} else if n := h.Limits.Detections; n > 0 {
		found = found[:min(n, len(found))]
	}
	out := make([]detection.Detection, len(found))
	for i, c := range found {
		if !h.picture {
			c.Box = at.ToPicture(c.Box)
		}
		c.Box = at.Clip(c.Box)
		out[i] = c.Detection
	}
	return out, nil
}

// Classify returns a classifier's scores, one for each class, as the model gives them: logits or probabilities.
func (h *Head) Classify(outputs map[string]value.Value) ([]float64, error) {
	if h.Task != Classification {
		return nil, fmt.Errorf("head %s gives boxes and no scores of whole pictures", h.Name)
	}
	r := &reading{head: h, outputs: outputs}
	if err := h.read(r); err != nil {
		return nil, fmt.Errorf("head %s: %w", h.Name, err)
	}
	return r.scores, nil
}

// candidate is a box before it is chosen, at its place among the rows of the outputs.
type candidate struct {
	detection.Detection
	row int
}

// better orders candidates: higher scores first, then by place and class.
func better(a, b candidate) int {
	switch {
	case a.Score > b.Score:
		return -1
	case a.Score < b.Score:
		return 1
	case a.row != b.row:
		return a.row - b.row
	}
	return a.Class - b.Class
}

// reading is one run's outputs while they are read.
type reading struct {
	head    *Head
	outputs map[string]value.Value
	at      detection.Placement
	found   []candidate
	scores  []float64 // of a classifier
}

// add takes a box in pixels of the model's input, if its score is above the threshold. A class below 0 stands for nothing.
func (r *reading) add(row, class int, score float64, box detection.Box) {
	if class < 0 || !(score > r.head.Limits.Score) || math.IsInf(score, 0) || !finite(box) {
		return
	}
	r.found = append(r.found, candidate{detection.Detection{Class: class, Score: score, Box: box}, row})
}

// addClasses takes a box for each class, or for the best, whose score is above the threshold. The box is only made then.
func (r *reading) addClasses(row, classes int, score func(class int) float64, box func() detection.Box) {
	if r.head.Limits.BestClass {
		best, most := 0, math.Inf(-1)
		for k := range classes {
			if s := score(k); s > most {
				best, most = k, s
			}
		}
		if most > r.head.Limits.Score {
			r.add(row, best, most, box())
		}
		return
	}
	var made *detection.Box
	for k := range classes {
		s := score(k)
		if !(s > r.head.Limits.Score) {
			continue
		}
		if made == nil {
			b := box()
			made = &b
		}
		r.add(row, k, s, *made)
	}
}

func finite(b detection.Box) bool {
	for _, v := range [4]float64{b.X0, b.Y0, b.X1, b.Y1} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

// centred returns the box of a centre, a width and a height.
func centred(x, y, w, h float64) detection.Box {
	return detection.Box{X0: x - w/2, Y0: y - h/2, X1: x + w/2, Y1: y + h/2}
}
