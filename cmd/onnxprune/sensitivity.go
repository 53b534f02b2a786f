package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/sensitivity"
	"onnxprune/analysis/sensitivity/chart"
	"onnxprune/runtime/dataset"
)

func sensitivityFlags() []cli.Flag {
	return slices.Concat(dataFlags(), []cli.Flag{
		&cli.StringSliceFlag{Name: "params", Usage: "parameters to measure: `NAMES` or patterns; left out: one of every group that can be pruned"},
		&cli.StringSliceFlag{Name: "ratios", Usage: "shares of channels to remove; left out: 0.1 to 0.9"},
		&cli.Uint64Flag{Name: "seed", Usage: "of the criterion random"},
		&cli.StringFlag{Name: "out", Aliases: []string{"o"}, Usage: "the `FILE` of the curves (.json, or PaddleSlim's .pickle): every finished point is saved, what it holds is taken up; left out: MODEL.sensitivity.json"},
		&cli.StringFlag{Name: "shard", Usage: "measure the `I/N`-th part alone; merge puts the parts together"},
		&cli.StringFlag{Name: "memory", Usage: "bound of the values that are kept of the pictures, such as 2GiB", Value: "1GiB"},
		&cli.StringFlag{Name: "plot", Usage: "draw the curves to a `FILE` (.svg, .png, .html)"},
		&cli.Float64Flag{Name: "max-loss", Usage: "also print the ratios at which each parameter loses at most this share"},
		shapeFlag(), inexactFlag(), jsonFlag(), quietFlag(),
	}, criterionFlags())
}

// sensitivityOf is onnxprune sensitivity MODEL --data FOLDER, sensitivity merge FILE..., and sensitivity show FILE.
func sensitivityOf(c *cli.Context, t *terminal) error {
	switch c.Args().First() {
	case "merge":
		return mergeCurves(c, t)
	case "show":
		args, err := files(c, 2, 2, "sensitivity show CURVES.json")
		if err != nil {
			return err
		}
		curves, err := onnxprune.ReadCurves(args[1])
		if err != nil {
			return err
		}
		return t.showCurves(c, curves)
	}
	args, err := files(c, 1, 1, "sensitivity MODEL.onnx --data FOLDER")
	if err != nil {
		return err
	}
	opt, err := sensitivityOptions(c, args[0])
	if err != nil {
		return err
	}
	quiet := c.Bool("quiet") || c.Bool("json")
	begin, step, end := t.pictures(quiet)
	opt.Stage, opt.Progress = begin, step
	if !quiet {
		t.follow(&opt)
	}
	curves, err := onnxprune.Sensitivity(c.Context, args[0], opt)
	end()
	if errors.Is(err, context.Canceled) {
		return interrupted{fmt.Sprintf("interrupted: every finished point is kept in %s, and the same command goes on from there", opt.File)}
	}
	if err != nil {
		return err
	}
	if err := t.showCurves(c, curves); err != nil {
		return err
	}
	if !quiet {
		t.printf("Wrote the curves to %s\n", opt.File)
	}
	return nil
}

func sensitivityOptions(c *cli.Context, model string) (opt onnxprune.SensitivityOptions, err error) {
	if opt.Data, opt.Engine, err = dataOptions(c); err != nil {
		return opt, err
	}
	if opt.Options, err = options(c); err != nil {
		return opt, err
	}
	opt.Params = words(c.StringSlice("params"))
	if opt.Ratios, err = ratios(c.StringSlice("ratios")); err != nil {
		return opt, err
	}
	opt.Criterion, opt.Vote, opt.Align, opt.Seed = importance.Criterion(c.String("criterion")), selection.Vote(c.String("vote")), c.Int("align"), c.Uint64("seed")
	if s := c.String("shard"); s != "" {
		if opt.Shard, err = sensitivity.ParseShard(s); err != nil {
			return opt, &onnxprune.UsageError{Msg: "--shard: " + err.Error()}
		}
	}
	if opt.Memory, err = byteCount(c.String("memory")); err != nil {
		return opt, err
	}
	if opt.File = c.String("out"); opt.File == "" {
		opt.File = strings.TrimSuffix(filepath.Base(model), ".onnx") + ".sensitivity.json"
		if opt.Shard.N > 1 {
			opt.File = strings.TrimSuffix(opt.File, "json") + fmt.Sprintf("%dof%d.json", opt.Shard.I, opt.Shard.N)
		}
	}
	if name := c.String("plot"); name != "" && !slices.Contains(chart.Formats, strings.ToLower(filepath.Ext(name))) {
		return opt, &onnxprune.UsageError{Msg: fmt.Sprintf("--plot %q ends in none of %s", name, strings.Join(chart.Formats, ", "))}
	}
	return opt, nil
}

// follow tells what becomes of a long analysis: with a line for each point where no progress bar can be watched.
func (t *terminal) follow(opt *onnxprune.SensitivityOptions) {
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(t.err, format+"\n", args...)
	}
	opt.Note = func(text string) { say("Note: %s", text) }
	opt.Resumed = func(points int) { say("%s holds %s, which are taken up", opt.File, plural(points, "point")) }
	opt.Broken = func(all []dataset.Broken, of int) {
		say("%d of %d pictures could not be read, and are in no figure; the first is %s: %s", len(all), of, all[0].Name, all[0].Reason)
	}
	if !t.bar {
		opt.Point = func(param string, p sensitivity.Point) {
			say("%s at %v: %.4f, loss %.4f", param, p.Ratio, p.Metric, p.Loss)
		}
	}
}

// mergeCurves is onnxprune sensitivity merge FILE... --out FILE.
func mergeCurves(c *cli.Context, t *terminal) error {
	args, err := files(c, 2, 1<<20, "sensitivity merge CURVES... --out FILE")
	if err != nil {
		return err
	}
	out := c.String("out")
	if out == "" {
		return &onnxprune.UsageError{Msg: "the output is missing; usage: onnxprune sensitivity merge CURVES... --out FILE"}
	}
	curves, conflicts, err := onnxprune.MergeCurves(args[1:]...)
	if err != nil {
		return err
	}
	if err := curves.Write(out); err != nil {
		return &onnxprune.UsageError{Msg: fmt.Sprintf("%s: the curves can not be written: %v", out, err)}
	}
	for _, k := range conflicts {
		fmt.Fprintf(t.err, "Conflict: %s\n", k)
	}
	return t.showCurves(c, curves)
}

// showCurves prints, draws and chooses as the flags say.
func (t *terminal) showCurves(c *cli.Context, curves *sensitivity.Curves) error {
	if name := c.String("plot"); name != "" {
		b, err := chart.Draw(curves, name)
		if err == nil {
			err = os.WriteFile(name, b, 0o644)
		}
		if err != nil {
			return &onnxprune.UsageError{Msg: fmt.Sprintf("--plot: %v", err)}
		}
	}
	var chosen []sensitivity.Ratio
	if c.IsSet("max-loss") {
		chosen = curves.Ratios(c.Float64("max-loss"))
	}
	switch {
	case c.Bool("json"):
		return t.json(struct {
			*sensitivity.Curves
			Chosen []sensitivity.Ratio `json:"chosen,omitempty"`
		}{curves, chosen})
	case c.Bool("quiet"):
		return nil
	}
	t.curves(curves)
	if !c.IsSet("max-loss") {
		return nil
	}
	t.title(fmt.Sprintf("At a loss of at most %v each", c.Float64("max-loss")))
	var names, shares []string
	for _, r := range chosen {
		names, shares = append(names, r.Param), append(shares, strconv.FormatFloat(r.Ratio, 'g', 6, 64))
	}
	if len(names) == 0 {
		t.printf("no parameter: each loses more at every measured ratio\n")
		return nil
	}
	t.printf("--params %s --ratios %s\n", strings.Join(names, ","), strings.Join(shares, ","))
	return nil
}

// curves prints losses, a row for each parameter. Ratios that no parameter has share a column only where they are equal.
func (t *terminal) curves(c *sensitivity.Curves) {
	if c.Setting.Model != "" {
		t.printf("%s on %d pictures: %s %.6g; losses are shares of it\n", c.Setting.Model, c.Setting.Pictures, c.Setting.Metric, c.Baseline)
	}
	var ratios []float64
	for _, k := range c.Curves {
		for _, p := range k.Points {
			if !slices.Contains(ratios, p.Ratio) {
				ratios = append(ratios, p.Ratio)
			}
		}
	}
	slices.Sort(ratios)
	columns := []column{{name: "parameter"}, {"channels", true}}
	for _, r := range ratios {
		columns = append(columns, column{strconv.FormatFloat(r, 'g', 4, 64), true})
	}
	var rows [][]string
	for _, k := range c.Curves {
		row := []string{k.Param, ""}
		if k.Channels > 0 {
			row[1] = fmt.Sprint(k.Channels)
		}
		for _, r := range ratios {
			cell := ""
			if p := k.At(r); p != nil {
				cell = fmt.Sprintf("%.4f", p.Loss)
				switch {
				case p.Loss > 0.2:
					cell = t.paint(cell, text.FgRed)
				case p.Loss > 0.05:
					cell = t.paint(cell, text.FgYellow)
				}
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	t.table(columns, rows)
}
