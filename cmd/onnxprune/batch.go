package main

// onnxprune run --batch: one run for every picture of a folder. A picture that fails is reported and the others go on; an interrupt ends
// the batch between two pictures or within a run, and what was finished stays.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/onnxio"
)

// batchResult is what --json prints of a batch.
type batchResult struct {
	Model    string          `json:"model"`
	Input    string          `json:"input"` // that takes the pictures
	Total    int             `json:"total"`
	Finished int             `json:"finished"`
	Failed   int             `json:"failed"`
	Seconds  float64         `json:"seconds"` // of the runs alone
	Pictures []pictureResult `json:"pictures"`
	Profile  *profile        `json:"profile,omitempty"`
}

type pictureResult struct {
	Picture string               `json:"picture"`
	Error   string               `json:"error,omitempty"`
	Report  *onnxprune.RunReport `json:"report,omitempty"`
}

// interrupted is a batch that was stopped: main prints it as it is.
type interrupted struct{ msg string }

func (e interrupted) Error() string { return e.msg }

func (e interrupted) Unwrap() error { return context.Canceled }

func runBatch(c *cli.Context, t *terminal, r *onnxprune.Runner, model string, given map[string]string) error {
	input, folder, err := batchInput(r, c.String("batch"), given)
	if err != nil {
		return err
	}
	pictures, err := picturesOf(folder)
	if err != nil {
		return err
	}
	quiet := c.Bool("quiet") || c.Bool("json")
	_, step, end := t.progress(quiet)
	result := batchResult{Model: model, Input: input, Total: len(pictures), Pictures: []pictureResult{}}
	var stopped, broken error
	for i, name := range pictures {
		if step != nil {
			step(i, len(pictures), name)
		}
		given[input] = filepath.Join(folder, name)
		report, err := r.Run(c.Context, given, name)
		if err != nil && c.Context.Err() != nil {
			stopped = interrupted{fmt.Sprintf("interrupted: %d of %d pictures are finished and kept", result.Finished, len(pictures))}
			break
		}
		if code := onnxprune.ExitCode(err); code == onnxprune.ExitInternal || code == onnxprune.ExitUsage { // the next would fare no better
			broken = fmt.Errorf("%s: %w", name, err)
			break
		}
		result.add(name, report, err)
	}
	end()
	result.Profile = profileOf(c, r)
	switch {
	case broken != nil:
		return broken
	case c.Bool("json") && stopped == nil && result.Failed == 0:
		return t.json(result)
	case !quiet:
		t.batch(result, c.String("output"))
		if err := printProfile(c, t, r); err != nil {
			return err
		}
	}
	if stopped != nil {
		return stopped
	}
	return result.failure(folder)
}

func (b *batchResult) add(name string, report *onnxprune.RunReport, err error) {
	p := pictureResult{Picture: name, Report: report}
	if err != nil {
		p.Error, p.Report = onnxprune.Line(err), nil
		b.Failed++
	} else {
		b.Finished++
		b.Seconds += report.Seconds
	}
	b.Pictures = append(b.Pictures, p)
}

// failure is the error of a batch in which pictures failed.
func (b *batchResult) failure(folder string) error {
	for _, p := range b.Pictures {
		if p.Error != "" {
			return &onnxprune.ModelError{File: folder, Err: fmt.Errorf("%d of %d pictures failed; first %s: %s", b.Failed, b.Total, p.Picture, p.Error)}
		}
	}
	return nil
}

// batchInput reads --batch: the folder, and the input that takes its pictures.
func batchInput(r *onnxprune.Runner, text string, given map[string]string) (input, folder string, err error) {
	fail := func(format string, args ...any) (string, string, error) {
		return "", "", &onnxprune.UsageError{Msg: fmt.Sprintf(format, args...)}
	}
	if text == "" {
		return fail("--batch names no folder")
	}
	var all, fit []string
	for _, in := range r.Inputs() {
		all = append(all, in.Name)
		if given[in.Name] == "" && takesPictures(in.Type) {
			fit = append(fit, in.Name)
		}
	}
	if name, rest, ok := strings.Cut(text, "="); ok && slices.Contains(all, name) {
		if given[name] != "" {
			return fail("--batch and --input both feed %q", name)
		}
		return name, rest, nil
	}
	if len(fit) != 1 {
		return fail("which input takes the pictures can not be told: --batch NAME=FOLDER; the model has %s", strings.Join(all, ", "))
	}
	return fit[0], text, nil
}

// takesPictures reports whether a picture could go into an input: floats or bytes, in three or four axes.
func takesPictures(t *onnxio.Type) bool {
	if t == nil || t.Kind != onnxio.KindTensor || !(t.Elem.IsFloat() || t.Elem == onnxio.Uint8) {
		return false
	}
	return !t.HasShape || len(t.Shape) == 3 || len(t.Shape) == 4
}

// picturesOf lists the pictures of a folder by name.
func picturesOf(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return nil, &onnxprune.ModelError{File: folder, Err: err}
	}
	var out []string
	for _, e := range entries {
		ending := strings.ToLower(filepath.Ext(e.Name()))
		if !e.IsDir() && slices.Contains([]string{".png", ".jpg", ".jpeg", ".bmp", ".webp"}, ending) && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	if len(out) == 0 {
		return nil, &onnxprune.ModelError{File: folder, Err: errors.New("the folder has no pictures (.png, .jpg, .bmp, .webp)")}
	}
	return out, nil
}

// batch prints what a batch gave: the inputs of the first picture, whose preprocessing holds for all, and a line for every picture.
func (t *terminal) batch(b batchResult, output string) {
	var rows [][]string
	shown := false
	for _, p := range b.Pictures {
		if p.Report == nil {
			rows = append(rows, []string{p.Picture, "-", p.Error})
			continue
		}
		if !shown {
			t.inputs(p.Report.Inputs, p.Report.Seed)
			t.printf("and so for every picture\n")
			shown = true
		}
		outs := make([]string, len(p.Report.Outputs))
		for i, o := range p.Report.Outputs {
			outs[i] = o.Name + " " + dims(o.Shape)
		}
		rows = append(rows, []string{p.Picture, seconds(p.Report.Seconds), list(outs, 6)})
	}
	t.title("Outputs")
	t.table([]column{{"picture", false}, {"time", true}, {"outputs", false}}, rows)
	t.printf("\n%d of %d pictures finished", b.Finished, b.Total)
	if b.Finished > 0 {
		t.printf(", %s each", seconds(b.Seconds/float64(b.Finished)))
	}
	t.printf("\n")
	if output != "" && b.Finished > 0 {
		t.printf("Wrote a folder for each picture to %s\n", output)
	}
}
