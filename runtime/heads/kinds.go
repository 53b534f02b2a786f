package heads

// The kinds of heads, and the choice among them.

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/option"
)

// kind is a way of writing detections into outputs.
type kind struct {
	name   string
	reads  string                     // the outputs in words
	limits Limits                     // by which its authors evaluate
	match  func(s *signature) *layout // nil where the outputs are others

	inGraph bool // NMS, or another choice of the best, is part of the model
	queries bool // a box for each query, among which nothing is suppressed
	asked   bool // its outputs do not tell it from another: only by profile
	ids     bool // see Head.IDs
	faces   bool // its only class is the face
}

// layout is how a model of a kind is read.
type layout struct {
	why     string // what it was recognised by
	outputs []string
	classes int
	read    func(*reading) error

	limits *Limits // where they depend on more than the kind
	sized  bool    // boxes are in pixels of whatever the model was told as the picture's size
}

// kinds are tried in this order: the first that fits is taken. What is recognised by names or by many outputs comes before what is
// recognised by one shape.
var kinds = []kind{
	yuNet, nanoDet, picoDet, scrfd, retinaFace, ultraFace, ssd, blazeFace, blazeFaceChosen,
	detr, torchVision, rfDETR, queriesSigmoid, queriesSoftmax, yoloV3,
	nanoDetPlus, yoloX, yoloV5, yoloV8, endToEnd, fastestDet,
	rows, paddleRows, paddleBoxes, imageNet,
}

// families say which heads the models of a family are exported with.
var families = map[string][]string{
	"yolov5":      {"yolov5", "yolov8", "yolov10"},
	"yolov8":      {"yolov8", "yolov10"},
	"yolov10":     {"yolov10", "yolov8"},
	"yolox":       {"yolox", "yolov5", "rows"},
	"nanodet":     {"nanodet", "nanodet_plus"},
	"picodet":     {"picodet", "paddle", "paddle_boxes"},
	"paddle":      {"paddle", "paddle_boxes", "yolov3", "picodet"},
	"torchvision": {"torchvision", "ssd"},
	"ssd":         {"torchvision", "ssd"},
	"blazeface":   {"blazeface", "blazeface_chosen"},
	"detr":        {"detr", "detr_softmax"},
	"dfine":       {"detr", "detr_sigmoid", "paddle"},
}

// Profiles returns the names that Options.Profile takes, sorted.
func Profiles() []string {
	var out []string
	for name := range families {
		out = append(out, name)
	}
	for _, k := range kinds {
		if families[k.name] == nil {
			out = append(out, k.name)
		}
	}
	slices.Sort(out)
	return out
}

func (s *signature) head(o Options) (*Head, error) {
	if o.Outputs != nil {
		return s.specified(o)
	}
	if o.Profile != "" {
		return s.ofProfile(o)
	}
	by, detail, want, err := s.metadata()
	if err != nil {
		return nil, err
	}
	var fit []string
	for i := range kinds {
		k := &kinds[i]
		if want != nil && !slices.Contains(want, k.name) {
			continue
		}
		l := k.match(s)
		switch {
		case l != nil && k.asked:
			fit = append(fit, k.name)
		case l != nil:
			return k.head(l, Reason{by, detail + l.why}, o), nil
		}
	}
	return nil, &UnknownError{Outputs: s.describe(), Fit: fit, Open: s.open()}
}

// ofProfile takes the first head of a family that fits.
func (s *signature) ofProfile(o Options) (*Head, error) {
	names := families[o.Profile]
	if names == nil {
		names = []string{o.Profile}
	}
	var wants []string
	for _, name := range names {
		i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
		if i < 0 {
			return nil, option.Errorf("profile %q is not known; there are %s", o.Profile, list(Profiles()))
		}
		wants = append(wants, kinds[i].reads)
		if l := kinds[i].match(s); l != nil {
			return kinds[i].head(l, Reason{ByProfile, o.Profile + ": " + l.why}, o), nil
		}
	}
	return nil, &UnknownError{Outputs: s.describe(), Asked: o.Profile, Wants: wants, Open: s.open()}
}

func (k *kind) head(l *layout, why Reason, o Options) *Head {
	h := &Head{Name: k.name, Task: Detection, Classes: l.classes, Reads: l.outputs, Dense: !k.inGraph, Reason: why,
		IDs: k.ids, faces: k.faces, Limits: k.limits, inGraph: k.inGraph || k.queries, picture: l.sized && o.PictureSizes, read: l.read}
	if l.limits != nil {
		h.Limits = *l.limits
	}
	if k.name == imageNet.name {
		h.Task = Classification
	}
	return h
}

// metadata reads what ultralytics writes into its exports: https://docs.ultralytics.com/modes/export/. want lists the heads
// that are left, nil for all.
func (s *signature) metadata() (by Source, detail string, want []string, err error) {
	task, head, end := s.model.Metadata("task"), s.model.Metadata("head"), s.model.Metadata("end2end")
	if task == "" {
		return ByOutputs, "", nil, nil
	}
	var words []string
	for _, w := range [][2]string{{"task", task}, {"head", head}, {"end2end", end}} {
		if w[1] != "" {
			words = append(words, w[0]+" "+w[1])
		}
	}
	detail = strings.Join(words, ", ") + "; "
	switch {
	case task == "classify":
		want = []string{imageNet.name}
	case task == "obb":
		return by, "", nil, fmt.Errorf("the model's metadata says task %s: rotated boxes are not read", task)
	case end == "True":
		want = []string{endToEnd.name}
	default: // also what does NMS in the graph
		want = []string{yoloV8.name, yoloV5.name, endToEnd.name}
	}
	return ByMetadata, detail, want, nil
}
