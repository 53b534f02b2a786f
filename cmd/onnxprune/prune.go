package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/runtime/verify"
)

// prune is the main form: onnxprune IN OUT --params … --ratios ….
func prune(c *cli.Context, t *terminal) error {
	const form = "IN.onnx OUT.onnx --params NAMES --ratios RATIOS"
	if c.NArg() == 0 && c.NumFlags() == 0 {
		_ = cli.ShowAppHelp(c)
		return &onnxprune.UsageError{Msg: "nothing to do; usage: onnxprune " + form}
	}
	args, err := files(c, 1, 2, form)
	if err != nil {
		return err
	}
	opt, err := pruneOptions(c)
	if err != nil {
		return err
	}
	t.all = c.Bool("all")
	return pruneFile(c, t, args[0], append(args, "")[1], opt)
}

// pruneFile prunes and prints the report.
func pruneFile(c *cli.Context, t *terminal, in, out string, opt onnxprune.PruneOptions) error {
	quiet := c.Bool("quiet")
	stage, step, end := t.progress(quiet || c.Bool("json"))
	opt.Stage, opt.Compare.Progress = stage, step
	if opt.Bench != nil {
		opt.Bench.Progress = step
	}
	r, err := onnxprune.Prune(c.Context, in, out, opt)
	end()
	switch {
	case err != nil:
		t.failure(err, quiet || c.Bool("json"))
		return err
	case c.Bool("json"):
		return t.json(r)
	case quiet:
		return nil
	}
	t.report(r)
	return nil
}

// report prints what a prune did.
func (t *terminal) report(r *onnxprune.Report) {
	if r.Size != nil {
		t.size(r)
	}
	switch {
	case r.Budget != nil:
		t.widths(r)
	case r.Size == nil || len(r.Weights) > 0:
		t.cuts(r)
	}
	t.figures(r)
	t.verification(r.Verification)
	t.repair(r)
	t.accuracy(r.Accuracy.Figures)
	if r.Bench != nil {
		t.bench(r.Bench)
	}
	stages, total := []string{}, 0.0
	for _, s := range r.Stages {
		stages = append(stages, fmt.Sprintf("%s %s", s.Name, seconds(s.Seconds)))
		total += s.Seconds
	}
	t.printf("\nTime: %s; in all %s\n", strings.Join(stages, ", "), seconds(total))
	for _, w := range r.Warnings {
		t.printf("%s %s\n", t.paint("Warning:", text.FgYellow), w)
	}
	for _, n := range r.Notes {
		t.printf("Note: %s\n", n)
	}
	for _, f := range []struct{ what, name string }{{"plan", r.PlanOut}, {"model", r.Output}} {
		if f.name != "" {
			t.printf("Wrote the %s to %s\n", f.what, f.name)
		}
	}
	if r.DryRun {
		t.printf("Dry run: nothing was written\n")
	}
	t.printf("Proof: %s; %s\n", t.status(r.Verification), r.Accuracy.Summary)
}

func seconds(s float64) string {
	switch {
	case s < 0.0995:
		return fmt.Sprintf("%.1f ms", 1000*s)
	case s < 9.95:
		return fmt.Sprintf("%.2f s", s)
	}
	return fmt.Sprintf("%.0f s", s)
}

// size prints what another input size changed.
func (t *terminal) size(r *onnxprune.Report) {
	z := r.Size
	t.title(fmt.Sprintf("%s of %s: %dx%d -> %dx%d (width x height)", strings.Join(z.Inputs, ", "), r.Input, z.From.Width, z.From.Height, z.To.Width, z.To.Height))
	t.printf("%s, %s, %s, %s\n", plural(z.Operands, "operand"), plural(z.Attributes, "attribute"), plural(len(z.Grids), "constant"), plural(z.Declared, "declared shape"))
	var rows [][]string
	for _, g := range z.Grids {
		exact := "yes"
		if !g.Exact {
			exact = "to rounding"
		}
		rows = append(rows, []string{g.Name, g.What, strings.Join(g.Levels, ", "), exact})
	}
	if len(rows) > 0 {
		t.table([]column{{"constant", false}, {"holds", false}, {"maps", false}, {"exact", false}}, rows)
	}
	for _, e := range z.Metadata {
		t.printf("metadata %s: %s\n", e.Key, e.Value)
	}
}

// cuts prints a row for every weight that lost channels.
func (t *terminal) cuts(r *onnxprune.Report) {
	t.title("Pruned " + r.Input)
	shape := map[string]string{}
	for _, c := range r.Tensors {
		shape[c.Name] = dims(c.Before) + " -> " + dims(c.After)
	}
	most := len(r.Weights)
	if !t.all {
		most = min(most, 25)
	}
	var rows [][]string
	follow := len(r.Tensors)
	for i, w := range r.Weights {
		if w.After < w.Before {
			follow--
		}
		if i >= most {
			continue
		}
		ratio, with := "-", "-"
		if w.Ratio > 0 {
			ratio = fmt.Sprint(w.Ratio)
		}
		if len(w.Coupled) > 0 {
			with = list(w.Coupled, 3)
		}
		rows = append(rows, []string{w.Name, ratio, fmt.Sprintf("%d -> %d", w.Before, w.After), shape[w.Name], fmt.Sprintf("%.1f %%", 100*w.Lost), with})
	}
	t.table([]column{{"parameter", false}, {"ratio", true}, {"channels", true}, {"shape, other cuts included", false}, {"lost", true}, {"coupled with", false}}, rows)
	if n := len(r.Weights) - most; n > 0 {
		t.printf("and %s that lost no larger share: --all lists them\n", plural(n, "weight"))
	}
	if follow > 0 {
		t.printf("and %d other tensors that follow: vectors of the same channels, and the weights that read them\n", follow)
	}
	for _, l := range r.Left {
		t.printf("Pattern %q: %d of %d matching parameters pruned", l.Pattern, l.Taken, l.Matched)
		if l.Taken == l.Matched {
			t.printf("\n")
			continue
		}
		t.printf(", %d left:\n", l.Matched-l.Taken)
		for _, why := range l.Reasons {
			t.printf("  %4d  %s\n", why.Count, why.Text)
		}
	}
}

// figures prints MACs, parameters and bytes before and after.
func (t *terminal) figures(r *onnxprune.Report) {
	at := []string{}
	for _, s := range r.InputShapes {
		at = append(at, s.Name+" "+dims(s.Shape))
	}
	with := "Cost, with inputs " + strings.Join(at, ", ")
	if z := r.Size; z != nil {
		with += fmt.Sprintf("; before at %dx%d", z.From.Width, z.From.Height)
	}
	t.title(with)
	var rows [][]string
	b, a := r.Before, r.After
	for _, f := range []struct {
		name          string
		before, after int64
		always        bool
	}{
		{"MACs", b.MACs, a.MACs, true},
		{"  convolutions", b.ConvMACs, a.ConvMACs, false},
		{"  transposed convolutions", b.ConvTransposeMACs, a.ConvTransposeMACs, false},
		{"  linear layers", b.LinearMACs, a.LinearMACs, false},
		{"parameters", b.Params, a.Params, true},
		{"bytes of weights", b.WeightBytes, a.WeightBytes, true},
		{"bytes of the model", b.FileBytes, a.FileBytes, true},
	} {
		if f.always || f.before > 0 {
			rows = append(rows, []string{f.name, thousands(f.before), thousands(f.after), percent(f.before, f.after)})
		}
	}
	t.table([]column{{"", false}, {"before", true}, {"after", true}, {"change", true}}, rows)
}

// verification prints the comparison, output by output, and the sentence that sums it up.
func (t *terminal) verification(v onnxprune.Verification) {
	t.title("Verification")
	if s := v.Static; s != nil {
		t.printf("every node, attribute and tensor is what the original and the plan make it: %d nodes, %d tensors, %d of them cut\n", s.Nodes, s.Tensors, s.Cut)
	}
	if v.SizeBack != "" {
		t.printf("back at the old input size it is %s\n", v.SizeBack)
	}
	if v.Comparison != nil {
		t.comparison(v.Comparison)
	}
	if summary, ok := strings.CutPrefix(v.Summary, v.Status+": "); ok {
		v.Summary = summary
	}
	t.printf("%s: %s\n", t.status(v), v.Summary)
}

func (t *terminal) status(v onnxprune.Verification) string {
	if v.Status == "passed" {
		return t.paint(v.Status, text.FgGreen)
	}
	return t.paint(v.Status, text.FgYellow)
}

// failure prints the comparison that failed: what differs, and by how much.
func (t *terminal) failure(err error, quiet bool) {
	var failed *onnxprune.VerifyError
	if !quiet && errors.As(err, &failed) && failed.Report != nil {
		t.title("Verification")
		t.comparison(failed.Report)
	}
}

func (t *terminal) comparison(r *verify.Report) {
	for _, in := range r.Inputs {
		t.printf("input %s %s%s: %s\n", in.Name, in.Type, dims(in.Shape), in.From)
	}
	var rows [][]string
	for _, o := range r.Outputs {
		name := o.Name
		if o.Before != "" {
			name += " (before " + o.Before + ")"
		}
		verdict := "yes"
		switch {
		case !o.Pass && o.Rows != nil:
			verdict = fmt.Sprintf("no, %d of %d rows", o.Rows.Matched, o.Rows.Reference)
		case !o.Pass:
			verdict = "no"
		}
		rows = append(rows, []string{name, dims(o.Shape), number(o.MaxAbs), number(o.MaxRel), number(o.Mean), fmt.Sprintf("%.7f", o.Cosine), number(o.NeedRTol), number(o.NeedATol), verdict})
	}
	t.table([]column{{"output", false}, {"shape", false}, {"max abs", true}, {"max rel", true}, {"mean abs", true}, {"cosine", true},
		{"needs rtol", true}, {"or atol", true}, {"equal", false}}, rows)
	t.inside(r.Values)
	t.printf("allowed: %s of a slice's range; %s, seed %d\n", number(r.RTol), plural(r.Runs, "run"), r.Seed)
}

// inside prints what came of the values inside of the models.
func (t *terminal) inside(v verify.Values) {
	t.printf("inside of the models: %s compared, %d of them the same bit by bit", plural(v.Compared, "value"), v.Identical)
	if w := v.Worst; w != nil && len(v.Differ) == 0 {
		t.printf("; the largest difference is %s of its slice's range, at %s", number(w.NeedRTol), w.Node)
	}
	t.printf("\n")
	for _, o := range v.Noisy {
		t.printf("  %s: %s of its range, as much as another order of its sums changes\n", o.Node, number(o.NeedRTol))
	}
	const most = 5
	for i, o := range v.Differ {
		if i == most {
			t.printf("  and %d more\n", len(v.Differ)-most)
			break
		}
		t.printf("  %s: %q %s differs by up to %s, %s of its slice's range\n", o.Node, o.Name, dims(o.Shape), number(o.MaxAbs), number(o.NeedRTol))
	}
}

func number(f float64) string { return fmt.Sprintf("%.2g", f) }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
