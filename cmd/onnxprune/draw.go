package main

// onnxprune run --draw: what a detector finds, drawn into copies of the pictures. A picture that fails is named at the end and the others are
// drawn; an interrupt ends between two pictures or within a run, and what is drawn stays.

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/runtime"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/preprocess"
)

// drawResult is what --json prints.
type drawResult struct {
	onnxprune.DetectorReport
	Total    int           `json:"total"`
	Finished int           `json:"finished"`
	Failed   int           `json:"failed"`
	Pictures []drawnResult `json:"pictures"`
}

type drawnResult struct {
	*onnxprune.PictureReport
	Picture string `json:"picture"`
	Error   string `json:"error,omitempty"`
}

func runDraw(c *cli.Context, t *terminal, model string, given []string) error {
	for _, other := range []string{"input", "output", "format", "raw", "batch", "keep", "seed", "list-ops", "profile", "top"} {
		if c.IsSet(other) {
			return &onnxprune.UsageError{Msg: fmt.Sprintf("--draw and --%s exclude each other", other)}
		}
	}
	opt, err := detectOptions(c)
	if err != nil {
		return err
	}
	pictures, many, err := expand(given)
	if err != nil {
		return err
	}
	targets, err := onnxprune.DrawTargets(c.String("draw"), pictures, many)
	if err != nil {
		return err
	}
	d, err := onnxprune.NewDetector(model, opt)
	if err != nil {
		return err
	}
	defer d.Close()
	quiet := c.Bool("quiet") || c.Bool("json")
	_, step, end := t.progress(quiet)
	r := drawResult{Total: len(pictures), Pictures: []drawnResult{}}
	var stopped, broken error
	for i, p := range pictures {
		if step != nil {
			step(i, len(pictures), filepath.Base(p))
		}
		report, err := d.Draw(c.Context, p, targets[i])
		if err != nil && c.Context.Err() != nil {
			stopped = interrupted{fmt.Sprintf("interrupted: %d of %d pictures are drawn and kept", r.Finished, len(pictures))}
			break
		}
		if err != nil && (len(pictures) == 1 || d.Report().Head == "" || onnxprune.ExitCode(err) != onnxprune.ExitUnreadable) { // the next would fare no better
			broken = err
			break
		}
		r.add(p, report, err)
	}
	end()
	r.DetectorReport = d.Report()
	switch {
	case broken != nil:
		return broken
	case c.Bool("json") && stopped == nil && r.Failed == 0:
		return t.json(r)
	case !quiet:
		t.drawn(r)
	}
	if stopped != nil {
		return stopped
	}
	return r.failure(model)
}

func detectOptions(c *cli.Context) (o onnxprune.DetectOptions, err error) {
	o = onnxprune.DetectOptions{Family: c.String("family"), Preprocess: preprocess.Options{File: c.String("preprocess-file")}}
	words, err := preprocessingWords(c)
	if err != nil {
		return o, err
	}
	for _, from := range [][2]string{{c.String("preprocess"), "--preprocess"}, {words, "the flags"}} {
		settings, err := preprocess.ParseSettings(from[0], preprocess.FromFlags, from[1])
		if err != nil {
			return o, err
		}
		o.Preprocess.Settings = append(o.Preprocess.Settings, settings...)
	}
	if o.Preprocess.Shapes, err = shapes(c); err != nil {
		return o, err
	}
	if c.IsSet("outputs") {
		if o.Head.Outputs, err = heads.ParseSpec(c.String("outputs")); err != nil {
			return o, &onnxprune.UsageError{Msg: "--outputs: " + err.Error()}
		}
	}
	score := c.Float64("score")
	o.Head.Score = &score
	if c.IsSet("iou") {
		iou := c.Float64("iou")
		o.Head.IoU = &iou
	}
	o.Runtime = runtime.Options{Threads: c.Int("threads")}
	if o.Runtime.MemoryLimit, err = byteCount(c.String("memory-limit")); err != nil {
		return o, err
	}
	o.Runtime.Engine, err = machine(c)
	return o, err
}

// expand lists pictures, those of folders by name.
func expand(given []string) (pictures []string, many bool, err error) {
	for _, g := range given {
		if info, err := os.Stat(g); err != nil || !info.IsDir() {
			pictures = append(pictures, g)
			continue
		}
		names, err := picturesOf(g)
		if err != nil {
			return nil, false, err
		}
		for _, n := range names {
			pictures = append(pictures, filepath.Join(g, n))
		}
		many = true
	}
	return pictures, many, nil
}

func (r *drawResult) add(picture string, report *onnxprune.PictureReport, err error) {
	d := drawnResult{PictureReport: report, Picture: picture}
	if err != nil {
		d.Error = onnxprune.Line(err)
		r.Failed++
	} else {
		r.Finished++
	}
	r.Pictures = append(r.Pictures, d)
}

// failure is the error of pictures that failed.
func (r *drawResult) failure(model string) error {
	for _, p := range r.Pictures {
		if p.Error != "" {
			return &onnxprune.ModelError{File: model, Err: fmt.Errorf("%d of %d pictures failed; first %s", r.Failed, r.Total, p.Error)}
		}
	}
	return nil
}

// drawn prints how the detector was fed and read, and a line for every picture.
func (t *terminal) drawn(r drawResult) {
	t.printf("Head %s, %s\n", r.Head, r.Reason)
	var how []string
	for _, s := range r.Preprocessing {
		how = append(how, fmt.Sprintf("%s %s (%s)", s.Key, strings.ReplaceAll(s.Value, ":", ", "), s.Why))
	}
	t.printf("Pictures: %s\n", strings.Join(how, "; "))
	for _, n := range r.Notes {
		t.printf("Note: %s\n", n)
	}
	t.printf("Drawn are scores above %g\n", r.Limits.Score)
	var rows [][]string
	for _, p := range r.Pictures {
		if p.Error != "" {
			rows = append(rows, []string{p.Picture, "-", p.Error, ""})
			continue
		}
		rows = append(rows, []string{p.Picture, seconds(p.Seconds), counts(p.Found), p.Drawn})
	}
	t.title("Detections")
	t.table([]column{{"picture", false}, {"time", true}, {"found", false}, {"drawn", false}}, rows)
}

// counts says how many objects of each class were found, in the order of the best scores.
func counts(found []onnxprune.Detected) string {
	if len(found) == 0 {
		return "nothing"
	}
	n := map[string]int{}
	var names []string
	for _, f := range found {
		if n[f.Name]++; n[f.Name] == 1 {
			names = append(names, f.Name)
		}
	}
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", n[name], name)
	}
	return list(names, 6)
}
