package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/analysis/allocation"
	"onnxprune/analysis/selection"
	"onnxprune/runtime/dataset"
)

// recoveryFlags say how widths are chosen for a budget, and on which pictures the accuracy is kept.
func recoveryFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "target-params", Usage: "choose widths so that this `SHARE` or number of parameters is left"},
		&cli.StringFlag{Name: "target-bytes", Usage: "choose widths so that this `SHARE` or number of bytes of weights is left"},
		&cli.StringFlag{Name: "align-for", Usage: "keep the multiple that a `RUNTIME` computes without waste: " + strings.Join(selection.Runtimes, ", ")},
		&cli.StringFlag{Name: "calibrate", Usage: "learn from the pictures of a `FOLDER`, data set, .npy or .npz what the layers see, and repair them behind the cut; labels are not read"},
		&cli.IntFlag{Name: "calibrate-limit", Usage: "most calibration pictures, evenly spread; 0: 128"},
		&cli.StringFlag{Name: "statistics", Usage: "read what the layers see from a `FILE`, or write it there"},
		&cli.StringFlag{Name: "repair", Usage: "auto (least-squares with --calibrate or a target), none, least-squares", Value: onnxprune.RepairAuto},
		&cli.StringFlag{Name: "data", Usage: "measure original and result on a data set with labels (as eval does), and what a smaller input would give; --annotations and the like are of this one"},
		&cli.IntFlag{Name: "limit", Usage: "measure on the first `N` pictures of --data alone"},
	}, feedFlags()...)
}

// recovery reads recoveryFlags, but for the targets.
func recovery(c *cli.Context, o *onnxprune.PruneOptions) error {
	d, err := feedOptions(c)
	if err != nil {
		return err
	}
	o.Calibration = onnxprune.Calibration{Path: c.String("calibrate"), Limit: c.Int("calibrate-limit"), Statistics: c.String("statistics"),
		Set: d.Set, Family: d.Family, Preprocess: d.Preprocess, Head: d.Head}
	switch d.Path, d.Set.Limit = c.String("data"), c.Int("limit"); {
	case d.Set.Limit < 0:
		return &onnxprune.UsageError{Msg: fmt.Sprintf("--limit %d is negative", d.Set.Limit)}
	case d.Path != "":
		o.Data, o.Engine.Threads = d, c.Int("threads")
		o.Calibration.Set = dataset.Options{}
	case d.Set.Limit > 0:
		return &onnxprune.UsageError{Msg: "--limit says how many pictures of --data are measured, and --data is not given"}
	}
	o.Repair = c.String("repair")
	if name := c.String("align-for"); name != "" {
		if c.IsSet("align") {
			return &onnxprune.UsageError{Msg: "--align and --align-for say the same: give one of them"}
		}
		if o.Request.Align, err = selection.AlignFor(name); err != nil {
			return err
		}
	}
	return nil
}

// budget reads the one target that is given.
func budget(c *cli.Context) (b onnxprune.Budget, err error) {
	for _, unit := range []allocation.Unit{allocation.MACs, allocation.Params, allocation.Bytes} {
		name := "target-" + string(unit)
		if !c.IsSet(name) {
			continue
		}
		if b.Unit != "" {
			return b, &onnxprune.UsageError{Msg: fmt.Sprintf("--target-%s and --%s: only one target can be met", b.Unit, name)}
		}
		if b, err = onnxprune.ParseBudget(unit, c.String(name)); err != nil {
			return b, err
		}
	}
	return b, nil
}

// widths prints how wide every group was and is, where a budget chose.
func (t *terminal) widths(r *onnxprune.Report) {
	b := r.Budget
	t.title(fmt.Sprintf("Pruned %s to %.4g of %.4g %s (%.1f %%)", r.Input, b.After, b.Before, b.Unit, 100*b.After/b.Before))
	var rows [][]string
	for _, w := range r.Widths {
		rows = append(rows, []string{w.Weight, fmt.Sprint(w.Before), fmt.Sprint(w.After), fmt.Sprintf("%.1f %%", 100*float64(w.Before-w.After)/float64(w.Before)), number(w.Share)})
	}
	t.table([]column{{"group of", false}, {"channels", true}, {"kept", true}, {"removed", true}, {"divergence", true}}, rows)
	t.printf("predicted divergence of the heads %s, as a share of their variance; widths are multiples of %d\n", number(b.Divergence), b.Align)
}

// repair prints what was learnt from the calibration pictures, and what it was used for.
func (t *terminal) repair(r *onnxprune.Report) {
	if c := r.Calibration; c != nil {
		t.title("Calibration")
		rows := "rows all over the pictures"
		if c.Head != "" {
			rows = "rows where the original detects something (head " + c.Head + ")"
		}
		t.printf("%d pictures of %s, %d of them held out; %s\n", c.Pictures, c.Path, c.Held, rows)
	}
	p := r.Repair
	if p == nil {
		return
	}
	t.title("Repair")
	if p.Dropped != "" {
		t.printf("taken back: %s\n", p.Dropped)
	} else {
		t.printf("%s fitted by least squares, %s moved (%d added), after the cut was proven\n", plural(p.Weights, "weight"), biases(p.Biases), p.Added)
		t.printf("divergence of the heads on held-out pictures: %s of the cut, %s repaired\n", number(p.Before), number(p.After))
	}
	for i, a := range p.Alone {
		if i == 10 {
			t.printf("and %d more\n", len(p.Alone)-i)
			break
		}
		t.printf("left alone: %s: %s\n", a.Node, a.Why)
	}
}

func biases(n int) string {
	if n == 1 {
		return "1 bias"
	}
	return fmt.Sprintf("%d biases", n)
}
