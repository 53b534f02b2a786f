package heads

// Heads that are not known: the user says which output is what.

import (
	"errors"
	"fmt"
	"strings"

	"onnxprune/analysis/option"
	"onnxprune/runtime/detection"
)

// Format is how four numbers are a box.
type Format string

// The formats.
const (
	XYXY   Format = "xyxy"   // left, top, right, bottom
	YXYX   Format = "yxyx"   // top, left, bottom, right
	XYWH   Format = "xywh"   // left, top, width, height
	CXCYWH Format = "cxcywh" // centre x and y, width, height
)

func (f Format) box(a, b, c, d float64) detection.Box {
	switch f {
	case YXYX:
		return detection.Box{X0: b, Y0: a, X1: d, Y1: c}
	case XYWH:
		return detection.Box{X0: a, Y0: b, X1: a + c, Y1: b + d}
	case CXCYWH:
		return centred(a, b, c, d)
	}
	return detection.Box{X0: a, Y0: b, X1: c, Y1: d}
}

// Activation is what makes scores of the numbers in an output.
type Activation string

// The activations.
const (
	None    Activation = "none"
	Sigmoid Activation = "sigmoid"
	Softmax Activation = "softmax"
)

// Background is a class that stands for nothing.
type Background string

// The places of the background.
const (
	NoBackground    Background = "none"
	FirstBackground Background = "first" // class 0; classes are counted from 0 after it
	LastBackground  Background = "last"
)

// Spec says which outputs of a model are boxes, scores and labels, and how they are written.
type Spec struct {
	Boxes      string // output [boxes, 4] or [4, boxes]; axes of 1 before do not matter
	Scores     string // output [boxes, classes], [classes, boxes], or [boxes] with Labels or a single class
	Labels     string // output [boxes] of indices of classes; "": none
	Format     Format
	Normalised bool // boxes are shares of the input's width and height; else its pixels
	Activation Activation
	Background Background
	NMS        bool // overlapping boxes are suppressed here
}

// ParseSpec reads "boxes=NAME,scores=NAME" with, optionally, labels=NAME, format=xyxy|yxyx|xywh|cxcywh, units=pixels|normalised,
// activation=none|sigmoid|softmax, background=none|first|last and nms=on|off. What is left out is the first of each. Errors are *option.Error.
func ParseSpec(text string) (*Spec, error) {
	s := &Spec{Format: XYXY, Activation: None, Background: NoBackground, NMS: true}
	seen := map[string]bool{}
	for part := range strings.SplitSeq(text, ",") {
		key, v, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok || v == "" {
			return nil, option.Errorf("%q is not of the form KEY=VALUE, as in boxes=NAME,scores=NAME", part)
		}
		if seen[key] {
			return nil, option.Errorf("%s is given twice", key)
		}
		seen[key] = true
		var err error
		switch key {
		case "boxes":
			s.Boxes = v
		case "scores":
			s.Scores = v
		case "labels":
			s.Labels = v
		case "format":
			err = choose(&s.Format, v, XYXY, YXYX, XYWH, CXCYWH)
		case "activation":
			err = choose(&s.Activation, v, None, Sigmoid, Softmax)
		case "background":
			err = choose(&s.Background, v, NoBackground, FirstBackground, LastBackground)
		case "units":
			units := ""
			err = choose(&units, v, "pixels", "normalised")
			s.Normalised = units == "normalised"
		case "nms":
			nms := ""
			err = choose(&nms, v, "on", "off")
			s.NMS = nms == "on"
		default:
			err = errors.New("there are boxes, scores, labels, format, units, activation, background and nms")
		}
		if err != nil {
			return nil, option.Errorf("%s=%s: %v", key, v, err)
		}
	}
	if s.Boxes == "" || s.Scores == "" {
		return nil, option.Errorf("%q names no output for boxes or none for scores, as in boxes=NAME,scores=NAME", text)
	}
	return s, nil
}

// choose sets a word that is one of a few.
func choose[T ~string](to *T, v string, of ...T) error {
	var words []string
	for _, w := range of {
		if string(w) == v {
			*to = w
			return nil
		}
		words = append(words, string(w))
	}
	return fmt.Errorf("there are %s", list(words))
}

// specLimits are ultralytics' of val, as the most common.
var specLimits = Limits{Score: .001, IoU: .7, Candidates: 30000, Detections: 300}

// specified makes a head of what the user named.
func (s *signature) specified(o Options) (*Head, error) {
	p := *o.Outputs
	reads := []string{p.Boxes, p.Scores}
	if p.Labels != "" {
		reads = append(reads, p.Labels)
	}
	for _, name := range reads {
		if _, ok := s.named(name); !ok {
			return nil, option.Errorf("the model has no output %q; it has %s", name, list(s.describe()))
		}
	}
	return &Head{Name: "outputs", Task: Detection, Classes: s.specifiedClasses(p), Reads: reads, Dense: p.NMS, inGraph: !p.NMS, Limits: specLimits,
		Reason:  Reason{BySpec, fmt.Sprintf("boxes are %s, scores %s", p.Boxes, p.Scores)},
		picture: o.PictureSizes && s.hasInput(sizeInputs...) && !p.Normalised, // shares are of the input, whatever the model is told
		read:    func(r *reading) error { return r.specified(p) }}, nil
}

// specifiedClasses counts the scores of a box, without the background; 0 where the shapes do not tell.
func (s *signature) specifiedClasses(p Spec) int {
	boxes, _ := s.named(p.Boxes)
	scores, _ := s.named(p.Scores)
	if p.Labels != "" || !boxes.is(-1, -1) || !scores.is(-1, -1) {
		return 0
	}
	rows := boxes.shape[0]
	if boxes.shape[1] != 4 {
		rows = boxes.shape[1]
	}
	classes := scores.shape[1]
	if scores.shape[0] != rows {
		classes = scores.shape[0]
	}
	if p.Background == FirstBackground || p.Background == LastBackground {
		classes--
	}
	return classes
}

func (r *reading) specified(p Spec) error {
	boxes, err := r.matrix(p.Boxes, -1)
	if err != nil {
		return err
	}
	if boxes.cols != 4 {
		boxes = boxes.transposed()
	}
	if boxes.cols != 4 {
		return fmt.Errorf("output %q has %d columns and %d rows, neither of them 4 as of boxes", p.Boxes, boxes.rows, boxes.cols)
	}
	scores, err := r.matrix(p.Scores, -1)
	if err != nil {
		return err
	}
	if scores.rows != boxes.rows {
		scores = scores.transposed()
	}
	if scores.rows != boxes.rows || scores.cols == 0 {
		return fmt.Errorf("output %q holds scores for %d or %d boxes, output %q holds %d", p.Scores, scores.rows, scores.cols, p.Boxes, boxes.rows)
	}
	sx, sy := 1.0, 1.0
	if p.Normalised {
		sx, sy = float64(r.at.CanvasWidth), float64(r.at.CanvasHeight)
	}
	box := func(i int) detection.Box {
		b := p.Format.box(boxes.corners(i, 0))
		return detection.Box{X0: b.X0 * sx, Y0: b.Y0 * sy, X1: b.X1 * sx, Y1: b.Y1 * sy}
	}
	if p.Labels != "" {
		return r.labelled(p, scores, box)
	}
	first, end := 0, scores.cols
	switch p.Background {
	case FirstBackground:
		first = 1
	case LastBackground:
		end--
	}
	shares := make([]float64, scores.cols)
	for i := range boxes.rows {
		score := func(k int) float64 { return scores.at(i, first+k) }
		switch p.Activation {
		case Sigmoid:
			score = func(k int) float64 { return sigmoid(scores.at(i, first+k)) }
		case Softmax:
			for k := range shares {
				shares[k] = scores.at(i, k)
			}
			softmax(shares)
			score = func(k int) float64 { return shares[first+k] }
		}
		r.addClasses(i, end-first, score, func() detection.Box { return box(i) })
	}
	return nil
}

func (r *reading) labelled(p Spec, scores matrix, box func(int) detection.Box) error {
	labels, err := r.column(p.Labels)
	if err != nil {
		return err
	}
	if len(labels) != scores.rows || scores.cols != 1 {
		return fmt.Errorf("output %q has %d labels, output %q %d x %d scores; there is one of each for a box", p.Labels, len(labels), p.Scores, scores.rows, scores.cols)
	}
	for i, l := range labels {
		s, class := scores.at(i, 0), classOf(float64(l))
		if p.Activation == Sigmoid {
			s = sigmoid(s)
		}
		if p.Background == FirstBackground {
			class--
		}
		r.add(i, class, s, box(i))
	}
	return nil
}
