package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/analysis/allocation"
	"onnxprune/analysis/importance"
	"onnxprune/runtime/preprocess"
)

// The demo prunes the embedded detector to a budget, and by the usual rule to the same MACs.
const (
	demoTarget  = 0.7
	demoRatio   = 0.17 // of every weight: what leaves as many MACs
	demoPicture = "0018.png"
)

// demoResult is what --json prints.
type demoResult struct {
	Tool     string            `json:"tool"`
	Folder   string            `json:"folder,omitempty"` // where the files are kept; "": they are not
	Pictures int               `json:"pictures"`         // that everything is measured on
	Variants []demoVariant     `json:"variants"`
	Prune    *onnxprune.Report `json:"prune"`
	Drawn    []string          `json:"drawn"`
}

type demoVariant struct {
	Name    string  `json:"name"`
	MACs    int64   `json:"macs"`
	Params  int64   `json:"params"`
	Bytes   int64   `json:"bytes"`
	AP      float64 `json:"map"`
	AP50    float64 `json:"map50"`
	Kept    float64 `json:"kept"` // of the original's mAP, a share
	Detects string  `json:"still_detects"`
}

func demo(c *cli.Context, t *terminal) (err error) {
	args, err := files(c, 0, 1, "demo [FOLDER]")
	if err != nil {
		return err
	}
	dir, kept := c.Args().First(), len(args) > 0
	if kept {
		err = os.MkdirAll(dir, 0o777)
	} else if dir, err = os.MkdirTemp("", "onnxprune-demo-"); err == nil {
		defer os.RemoveAll(dir)
	}
	if err != nil {
		return &onnxprune.UsageError{Msg: err.Error()}
	}
	d := demoFolder(dir)
	if err := d.write(); err != nil {
		return err
	}
	r := demoResult{Tool: "onnxprune " + onnxprune.Version, Drawn: []string{}}
	if kept {
		r.Folder = dir
	}
	quiet := c.Bool("quiet") || c.Bool("json")
	stage, step, end := t.progress(quiet)
	err = r.run(c, d, stage, step)
	end()
	switch {
	case err != nil && c.Context.Err() != nil && kept:
		return interrupted{fmt.Sprintf("interrupted: what was finished is kept in %s", dir)}
	case err != nil:
		t.failure(err, quiet)
		return err
	case c.Bool("json"):
		return t.json(r)
	case !quiet:
		t.demonstrated(&r, d)
	}
	return nil
}

// run does the whole job on the files of the folder.
func (r *demoResult) run(c *cli.Context, d demoFolder, stage func(string), step func(done, total int, what string)) error {
	threads := c.Int("threads")
	data := onnxprune.Data{Path: d.val(), Preprocess: preprocess.Options{File: d.settings()}}
	engine := onnxprune.Engine{Threads: threads}

	opt := onnxprune.PruneOptions{Data: data, Engine: engine, PlanOut: d.plan(), Stage: stage}
	opt.Budget = onnxprune.Budget{Unit: allocation.MACs, Target: demoTarget}
	opt.Calibration = onnxprune.Calibration{Path: d.calibration(), Preprocess: data.Preprocess}
	opt.Compare.Threads, opt.Compare.Progress = threads, step
	var err error
	if r.Prune, err = onnxprune.Prune(c.Context, d.detector(), d.pruned(), opt); err != nil {
		return err
	}

	usual := onnxprune.PruneOptions{Stage: stage}
	usual.Params, usual.Ratios, usual.Criterion = []string{"*"}, []float64{demoRatio}, importance.L1Norm
	usual.Compare.Threads, usual.Compare.Progress = threads, step
	if _, err := onnxprune.Prune(c.Context, d.detector(), d.plain(), usual); err != nil {
		return err
	}
	plain, err := onnxprune.Evaluate(c.Context, d.plain(), onnxprune.EvaluateOptions{Data: data, Engine: engine})
	if err != nil {
		return err
	}
	r.compare(plain.Result)
	if r.Folder == "" {
		return nil
	}
	return r.draw(c, d)
}

// compare lists what was measured.
func (r *demoResult) compare(plain *onnxprune.Measured) {
	m := r.Prune.Accuracy.Figures
	r.Pictures = m.Pictures
	add := func(name string, f onnxprune.Figures) {
		kept := f.Value / m.Original.Value
		r.Variants = append(r.Variants, demoVariant{name, f.MACs, f.Params, f.Bytes, f.Value, *f.AP50, kept, verdict(kept)})
	}
	add("original", m.Original)
	add("the usual l1_norm, every layer alike", onnxprune.Figures{MACs: plain.MACs, Params: plain.Params, Bytes: plain.Bytes, Value: plain.COCO.AP, AP50: &plain.COCO.AP50})
	if s := m.Smaller; s != nil {
		add("original, with a smaller input", onnxprune.Figures{MACs: s.MACs, Params: m.Original.Params, Bytes: m.Original.Bytes, Value: s.Value, AP50: s.AP50})
	}
	if m.Cut != nil {
		add("onnxprune, before the repair", *m.Cut)
	}
	add("onnxprune, repaired", m.Pruned)
}

// verdict puts what is kept of the mAP into a word.
func verdict(kept float64) string {
	switch {
	case kept >= 0.9:
		return "yes"
	case kept >= 0.5:
		return "less well"
	case kept >= 0.1:
		return "hardly"
	}
	return "no"
}

// draw draws what the original, the usual prune and the demo's find in a picture.
func (r *demoResult) draw(c *cli.Context, d demoFolder) error {
	for _, f := range []struct{ model, out string }{{d.detector(), "before.png"}, {d.pruned(), "after.png"}, {d.plain(), "after-l1_norm.png"}} {
		detector, err := onnxprune.NewDetector(f.model, onnxprune.DetectOptions{Preprocess: preprocess.Options{File: d.settings()}})
		if err != nil {
			return err
		}
		_, err = detector.Draw(c.Context, filepath.Join(d.val(), "images", demoPicture), d.at(f.out))
		if err = errors.Join(err, detector.Close()); err != nil {
			return err
		}
		r.Drawn = append(r.Drawn, d.at(f.out))
	}
	return nil
}

// demonstrated prints the table, the proof, and how to do it by hand.
func (t *terminal) demonstrated(r *demoResult, d demoFolder) {
	calibration := r.Prune.Calibration.Pictures
	t.printf("A small YOLOv3 that finds ten kinds of clothes loses %.0f %% of its multiply-accumulates (MACs). It is one command:\n\n", 100*(1-demoTarget))
	t.printf("  %s\n\n", t.paint(fmt.Sprintf("onnxprune detector.onnx pruned.onnx --target-macs %v --calibrate calibration/ --data val/ --preprocess-file preprocess.yml", demoTarget), text.Bold))
	t.printf("The widths are chosen, and the weights repaired, on %d pictures without labels; all figures are of %d others.\n", calibration, r.Pictures)
	t.title("What is left")
	var rows [][]string
	for _, v := range r.Variants {
		rows = append(rows, []string{v.Name, thousands(v.MACs), thousands(v.Params), thousands(v.Bytes), share(v.AP), share(v.AP50), fmt.Sprintf("%.0f %%", 100*v.Kept), v.Detects})
	}
	t.table([]column{{"", false}, {"MACs", true}, {"parameters", true}, {"bytes", true}, {"mAP50-95", true}, {"mAP50", true}, {"kept", true}, {"still detects?", false}}, rows)
	t.printf("mAP says how well objects are found: 1 is all of them, exactly. \"kept\" is its share of the original's: from 90 %% yes, below 10 %% no.\n")
	t.printf("A smaller input costs nothing to try, so it is the rival of every prune; its row lies between two sizes that were measured.\n\n")
	t.printf("Proof: %s: %s\n", t.status(r.Prune.Verification), r.Prune.Verification.Summary)
	if r.Folder == "" {
		t.printf("The files are removed again; onnxprune demo FOLDER keeps them, draws what is found, and says how to do each step by hand\n")
		return
	}
	t.title("By hand")
	in, with := d.detector(), "--preprocess-file "+d.settings()
	for _, s := range []struct{ what, command string }{
		{"prune, prove, repair and measure", fmt.Sprintf("onnxprune %s %s --target-macs %v --calibrate %s \\\n    --data %s %s --plan-out %s", in, d.pruned(), demoTarget, d.calibration(), d.val(), with, d.plan())},
		{"the usual rule", fmt.Sprintf("onnxprune %s %s --params '*' --ratios %v --criterion %s", in, d.plain(), demoRatio, importance.L1Norm)},
		{"how good that is, and smaller inputs", fmt.Sprintf("onnxprune eval %s --against %s --data %s %s --baseline resize", d.plain(), in, d.val(), with)},
		{"prove the file again", fmt.Sprintf("onnxprune verify %s %s --plan %s", in, d.pruned(), d.plan())},
		{"draw what it finds", fmt.Sprintf("onnxprune run %s %s %s --draw %s", d.pruned(), filepath.Join(d.val(), "images", demoPicture), with, d.at("after.png"))},
	} {
		t.printf("# %s\n%s\n", s.what, s.command)
	}
	t.printf("\nDrawn: %s\n", list(r.Drawn, 3))
}
