package onnxprune

// Detecting objects in pictures: how a picture becomes the model's input and what the outputs mean is found out from the model, from files
// beside it, and from what the caller says; what was decided, and why, is part of the result.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/draw"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// DetectOptions say how a detector is fed and read. What is left out is found out.
type DetectOptions struct {
	Family     string // of models, such as "yolov8": how they are fed and read; a name of preprocess.Profiles or heads.Profiles
	Preprocess preprocess.Options
	Head       heads.Options // the score is DrawnScore where it is left out
	Runtime    runtime.Options
}

// DrawnScore is the least score of what is shown to people. Evaluation goes down to the head's own threshold.
const DrawnScore = .3

// Detector finds objects in pictures. Its methods may be called from many goroutines.
type Detector struct {
	model   *onnxio.Model
	session *runtime.Session

	mu       sync.Mutex
	pipeline *pipeline
	head     *heads.Head // nil until outputs have shown it; from then on neither changes
}

// Detected is an object that was found.
type Detected struct {
	Class int        `json:"class"` // from 0, in the order of the model's outputs
	Name  string     `json:"name"`  // "class 7" where classes have no names
	Score float64    `json:"score"`
	Box   [4]float64 `json:"box"` // left, top, right and bottom in pixels of the picture
}

// PictureReport says what was found in a picture.
type PictureReport struct {
	Picture string     `json:"picture"`
	Width   int        `json:"width"` // in pixels, after the picture is turned as its EXIF orientation says
	Height  int        `json:"height"`
	Found   []Detected `json:"found"`           // the best first
	Drawn   string     `json:"drawn,omitempty"` // the file that they are drawn in
	Seconds float64    `json:"seconds"`         // of the model alone
}

// DetectorReport says how a detector is fed and read, and why.
type DetectorReport struct {
	Model         string               `json:"model"`
	Head          string               `json:"head"`
	Reason        heads.Reason         `json:"reason"`
	Limits        heads.Limits         `json:"limits"`
	Preprocessing []preprocess.Setting `json:"preprocessing"`
	Notes         []string             `json:"notes"` // what was guessed
}

// NewDetector opens and compiles a model. Options that can not be are *UsageError; a model whose outputs are not understood is a
// *ModelError that lists them, here or, where shapes are open, at the first picture.
func NewDetector(path string, opt DetectOptions) (*Detector, error) {
	if opt.Head.Score == nil {
		score := DrawnScore
		opt.Head.Score = &score
	}
	m, err := onnxio.Open(path)
	if err != nil {
		return nil, err
	}
	d := &Detector{model: m}
	if err = d.prepared(opt); err == nil {
		if d.session, err = runtime.Compile(m, opt.Runtime); err != nil {
			err = (&Runner{path: path}).failed(err)
		}
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return d, nil
}

// prepared decides how pictures become inputs, and finds the head where the declared shapes are enough.
func (d *Detector) prepared(opt DetectOptions) (err error) {
	if d.pipeline, err = newPipeline(d.model, opt.Family, opt.Preprocess, opt.Head, false); err != nil {
		return err
	}
	_, _, err = d.headOf(nil, detection.Placement{}, d.pipeline.prepare)
	var unknown *heads.UnknownError
	if errors.As(err, &unknown) && unknown.Open {
		return nil
	}
	return err
}

// headOf returns the head, which the outputs of a run show where the declared shapes do not. again reports that it also showed how pictures are
// to be fed, and that those of the run were not.
func (d *Detector) headOf(outputs map[string]value.Value, at detection.Placement, fed *preprocess.Preprocessor) (h *heads.Head, again bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.head != nil {
		return d.head, d.pipeline.prepare != fed, nil
	}
	h, err = d.pipeline.head(d.model, outputs, at)
	var unknown *heads.UnknownError
	switch {
	case errors.As(err, &unknown):
		return nil, false, &ModelError{d.model.Path, err}
	case err != nil:
		return nil, false, err
	case h.Task != heads.Detection:
		return nil, false, &ModelError{d.model.Path, fmt.Errorf("the model classifies whole pictures and gives no boxes (%s)", h.Reason)}
	}
	if _, err := d.pipeline.learn(h); err != nil {
		return nil, false, err
	}
	d.head = h
	return h, d.pipeline.prepare != fed, nil
}

// fed is how pictures are fed by now.
func (d *Detector) fed() *preprocess.Preprocessor {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.pipeline.prepare
}

// Close gives the model back.
func (d *Detector) Close() error {
	d.session.Close()
	return d.model.Close()
}

// Report says how pictures are fed and outputs are read; the head is known after the first picture at the latest.
func (d *Detector) Report() DetectorReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	decision := d.pipeline.decision()
	r := DetectorReport{Model: d.model.Path, Preprocessing: decision.Settings, Notes: slices.Clone(decision.Notes)}
	if h := d.head; h != nil {
		r.Head, r.Reason, r.Limits = h.Name, h.Reason, h.Limits
		if _, why := h.Names(decision.Classes); why != "" {
			r.Notes = append(r.Notes, why)
		}
	}
	return r
}

// Detect finds objects in a picture's file. A file that is no picture is a *ModelError.
func (d *Detector) Detect(ctx context.Context, file string) (*PictureReport, error) {
	r, _, err := d.detect(ctx, file)
	return r, err
}

func (d *Detector) detect(ctx context.Context, file string) (*PictureReport, *picture.Picture, error) {
	p, err := picture.Read(file)
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil { // err names the file, too
			err = inner
		}
		return nil, nil, &ModelError{file, err}
	}
	for {
		fed := d.fed()
		in, err := fed.Make(p)
		if err != nil {
			return nil, nil, &ModelError{d.model.Path, fmt.Errorf("%s: %w", file, err)}
		}
		start := time.Now()
		outputs, err := d.session.Run(ctx, in.Inputs)
		if err != nil {
			return nil, nil, (&Runner{path: d.model.Path}).failed(err)
		}
		r := &PictureReport{Picture: file, Width: p.Width, Height: p.Height, Found: []Detected{}, Seconds: time.Since(start).Seconds()}
		head, again, err := d.headOf(outputs, in.Placement, fed)
		if err != nil {
			return nil, nil, err
		}
		if again {
			continue
		}
		found, err := head.Detect(outputs, in.Placement)
		if err != nil {
			return nil, nil, &ModelError{d.model.Path, err}
		}
		names, _ := head.Names(fed.Decision().Classes)
		for _, f := range found {
			b := f.Box
			r.Found = append(r.Found, Detected{f.Class, heads.NameOf(names, f.Class), f.Score, [4]float64{b.X0, b.Y0, b.X1, b.Y1}})
		}
		return r, p, nil
	}
}

// Draw finds objects in a picture's file and writes a copy of the picture with a frame around each, its class and its score, as PNG
// or JPEG by the ending of out. out holds all of it or what it held before.
func (d *Detector) Draw(ctx context.Context, file, out string) (*PictureReport, error) {
	r, p, err := d.detect(ctx, file)
	if err != nil {
		return nil, err
	}
	marks := make([]draw.Mark, len(r.Found))
	for i, f := range r.Found {
		marks[i] = draw.Mark{Box: detection.Box{X0: f.Box[0], Y0: f.Box[1], X1: f.Box[2], Y1: f.Box[3]}, Class: f.Class, Text: fmt.Sprintf("%s %.2f", f.Name, f.Score)}
	}
	img, err := draw.Marks(p, marks)
	if err != nil {
		return nil, err
	}
	b, err := draw.Encode(out, img)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(out), 0o777); err != nil {
		return nil, fmt.Errorf("%s: %w", out, plain(err))
	}
	r.Drawn = out
	return r, WriteFile(out, b)
}

// DrawTargets says which file each picture is drawn into: out itself where there is one picture and out ends like a picture, else a
// file of the picture's name in the folder out; what has another ending than .png and .jpg becomes .png. A picture is
// never drawn over itself.
// With many, there may come to be more than one picture. What can not be is a *UsageError.
func DrawTargets(out string, pictures []string, many bool) ([]string, error) {
	ending := strings.ToLower(filepath.Ext(out))
	isPicture := slices.Contains(picture.Extensions, ending) || slices.Contains([]string{".gif", ".tif", ".tiff", ".avif", ".svg", ".pdf"}, ending)
	info, err := os.Stat(out)
	isFolder := err == nil && info.IsDir()
	switch {
	case len(pictures) == 0:
		return nil, usage("no picture is given to draw into: onnxprune run MODEL PICTURE... --draw OUT")
	case out == "":
		return nil, usage("where drawn pictures are written is missing: --draw FILE, or a FOLDER for many")
	case !isPicture || isFolder:
		return inFolder(out, pictures)
	case len(pictures) > 1 || many:
		return nil, usage("%s is one picture, but a folder of them or more than one is drawn: name a folder", out)
	case !slices.Contains(draw.Extensions, ending):
		return nil, usage("%s: pictures are written as %s", out, strings.Join(draw.Extensions, ", "))
	}
	if err := checkFolder(filepath.Dir(out)); err != nil {
		return nil, err
	}
	return []string{out}, apart(out, pictures[0])
}

func inFolder(out string, pictures []string) ([]string, error) {
	if err := checkFolder(out); err != nil {
		return nil, err
	}
	taken, targets := map[string]bool{}, make([]string, len(pictures))
	for i, p := range pictures {
		ending := filepath.Ext(p)
		name := strings.TrimSuffix(filepath.Base(p), ending)
		if !slices.Contains(draw.Extensions, strings.ToLower(ending)) {
			ending = ".png"
		}
		file := name + ending
		for k := 2; taken[strings.ToLower(file)]; k++ {
			file = fmt.Sprintf("%s_%d%s", name, k, ending)
		}
		taken[strings.ToLower(file)] = true
		targets[i] = filepath.Join(out, file)
		if err := apart(targets[i], p); err != nil {
			return nil, err
		}
	}
	return targets, nil
}

// apart refuses to draw a picture over itself.
func apart(out, from string) error {
	a, err := os.Stat(out)
	b, e := os.Stat(from)
	if err == nil && e == nil && os.SameFile(a, b) {
		return usage("%s would be drawn over itself: name another place", from)
	}
	return nil
}
