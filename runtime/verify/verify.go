// Package verify proves a pruned model against its masked twin: both run on the embedded runtime on the same inputs, and
// their outputs are compared element by element.
//
// An element passes where |a-b| <= atol + rtol*range, the range being the largest finite magnitude of the reference's
// output. The range is that of the whole output, not the element's own magnitude: what is pruned changes the order of sums, and
// the error of a sum goes with its largest terms, not with how close they come to cancelling out. The
// default rtol 1e-3 leaves room for some hundred layers of float32 (6e-8 each, and the fast convolutions' 5e-5); a wrong
// channel misses it by orders of magnitude. The default atol 1e-7 is the last bit of numbers about 1: what 1-x leaves where x is
// nearly 1. Where atol is more than a tenth of what rtol allows, the output is too small to prove much: it is weak
// then, like an empty one, and the values before the sigmoid or softmax that made it so are compared as well.
//
// Models that pick by value (NonMaxSuppression, TopK, thresholds) can turn a difference in the last bit into another
// pick. How they are decided is told in selection.go.
package verify

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// The tolerances where Options say nothing.
const (
	DefaultRTol = 1e-3
	DefaultATol = 1e-7
)

// Options of Compare.
type Options struct {
	Runs    int                // how many sets of inputs; 0: 1
	Seed    uint64             // of the random inputs; later runs take the next seeds
	Inputs  map[string]string  // files to take inputs from, by input name: .npy, .npz, .pb, .png, .jpg, .bmp, .webp
	Shapes  map[string][]int64 // shapes of inputs that the model leaves open
	Picture preprocess.Recipe  // what is done to picture files
	Threads int                // 0: all processors
	RTol    float64            // relative to the range of the output; 0: DefaultRTol
	ATol    float64            // 0: DefaultATol

	Progress func(done, total int, what string) // called between steps; may be nil
}

// Report says how far two models agree.
type Report struct {
	Pass    bool          `json:"pass"`
	Runs    int           `json:"runs"`
	Seed    uint64        `json:"seed"`
	RTol    float64       `json:"rtol"`
	ATol    float64       `json:"atol"`
	Inputs  []Input       `json:"inputs"` // of the first run
	Outputs []Output      `json:"outputs"`
	Decided string        `json:"decided"`           // which comparison decided, in words
	Inexact []string      `json:"inexact,omitempty"` // why the twin can not be equal, from the plan
	Elapsed time.Duration `json:"elapsed_ns"`
}

// Input is one input as it was fed.
type Input struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
	From  string `json:"from"` // "random, like a picture in 0..1", a file's name and what was done to it, …
}

// Output is the comparison of one output, or of a value before an operator that picks by value. Where there are several
// runs it is that of the worst one.
type Output struct {
	Name   string  `json:"name"`
	Shape  []int   `json:"shape"`
	Before string  `json:"before,omitempty"` // set for a value before an operator that picks by value: that node
	Given  string  `json:"given,omitempty"`  // set where the pruned model was given the reference's picks: says so
	Pass   bool    `json:"pass"`
	MaxAbs float64 `json:"max_abs"`
	MaxRel float64 `json:"max_rel"`  // over elements of the reference of at least rtol of its range
	Mean   float64 `json:"mean_abs"` // of the absolute differences
	Cosine float64 `json:"cosine"`
	Range  float64 `json:"range"` // largest magnitude of the reference
	// Minimum required tolerance: the smallest rtol with which the output passes at ATol, and the smallest atol at rtol 0.
	NeedRTol float64 `json:"need_rtol"`
	NeedATol float64 `json:"need_atol"`
	Problem  string  `json:"problem,omitempty"` // shapes or types that differ, numbers that are not finite
	Rows     *Rows   `json:"rows,omitempty"`    // of an output that holds detections and differs: how many are found again

	integral bool // its elements are integers, bools or strings
}

// Compare runs both models on the same inputs, one after the other, and compares their outputs. A model that the runtime
// can not run is a *CannotRunError; inputs that can not be read are an error too, and options that can not be meant an *option.Error. A candidate that fails where the
// reference runs is a report that does not pass.
func Compare(ctx context.Context, reference, candidate *onnxio.Model, opt Options) (*Report, error) {
	start := time.Now()
	if err := opt.Check(); err != nil {
		return nil, err
	}
	opt.complete()
	c := &comparison{opt: opt, steps: 2 + 2*opt.Runs,
		reference: side{reference, "the masked original"}, candidate: side{candidate, "the pruned model"}}
	c.report = &Report{Runs: opt.Runs, Seed: opt.Seed, RTol: opt.RTol, ATol: opt.ATol}
	err := c.compare(ctx)
	if err != nil {
		return nil, err
	}
	c.progress("compared")
	c.report.Elapsed = time.Since(start)
	return c.report, nil
}

// comparison is one call of Compare.
type comparison struct {
	opt                  Options
	reference, candidate side
	sets                 [][]feed.Input // per run
	report               *Report
	done, steps          int

	outputs  []Output // as they came out without any help
	squashed []Output // values before the sigmoid or softmax that made outputs small
	weak     []string // outputs that are empty or too small to prove anything
}

// side is one of the two models.
type side struct {
	model *onnxio.Model
	name  string
}

// values are those of one run, by name.
type values = map[string]value.Value

func (c *comparison) progress(what string) {
	if c.opt.Progress != nil {
		c.opt.Progress(c.done, c.steps, what)
	}
}

// step tells that work begins, and counts it as done once the next one begins.
func (c *comparison) step(what string) {
	c.progress(what)
	c.done++
}

func (c *comparison) compare(ctx context.Context) error {
	if err := c.makeInputs(); err != nil {
		return err
	}
	s := c.selection()
	part, same := s.behind(s.all())
	f, squashed := s.front(part, same), s.squashed()
	want, got, err := c.runBoth(ctx, slices.Concat(f.names, squashed.names))
	if err != nil || got == nil {
		return err
	}
	names := outputNames(c.reference.model)
	c.outputs = c.judgeAll(names, want, got)
	if !passed(c.outputs) {
		matchRows(c.outputs, names, want, got)
	}
	c.weigh(squashed, want, got)
	inFront := s.telling(c.judgeFront(f, want, got))
	c.report.Outputs = slices.Concat(c.outputs, c.squashed, inFront)
	switch {
	case passed(c.report.Outputs) && len(c.weak) == 0:
		c.report.Pass = true
		c.report.Decided = fmt.Sprintf("the outputs are equal (%s%s)", counted(len(names), "output"), c.beside(inFront))
		return nil
	case passed(c.report.Outputs) && len(s.differs) == 0:
		c.report.Pass = true
		c.report.Decided = "the models are the same, node by node and weight by weight"
		return nil
	case same && len(inFront) > 0:
		c.decideInFront(s, part, f, inFront)
		return nil
	}
	want, got = nil, nil
	return c.decideWithPicksGiven(ctx, s)
}

// weigh lists the outputs that prove little, and compares what made them so small.
func (c *comparison) weigh(squashed front, want, got []values) {
	for _, o := range c.outputs {
		empty := o.Shape != nil && value.Count(o.Shape) == 0
		if !o.Pass || !empty && c.opt.ATol <= c.opt.RTol*o.Range/10 || o.Range == 0 && !empty && o.integral {
			continue
		}
		var inputs []string
		if !empty {
			inputs = squashed.of[o.Name]
		}
		if inputs == nil {
			c.weak = append(c.weak, strconv.Quote(o.Name))
		}
		for _, name := range inputs {
			if !slices.ContainsFunc(c.squashed, func(o Output) bool { return o.Name == name }) {
				c.squashed = append(c.squashed, c.judgeFront(front{names: []string{name}, before: squashed.before}, want, got)...)
			}
		}
	}
}

func (c *comparison) beside(inFront []Output) string {
	out := ""
	if len(c.squashed) > 0 {
		out += fmt.Sprintf(", some so small that %s before %s were compared too", counted(len(c.squashed), "value"), c.squashed[0].Before)
	}
	if len(inFront) > 0 {
		out += fmt.Sprintf(", and %s before picks by value", counted(len(inFront), "value"))
	}
	return out
}

// runBoth runs one model after the other. Where the candidate does not run though the reference does, the report
// says so and got is nil.
func (c *comparison) runBoth(ctx context.Context, keep []string) (want, got []values, err error) {
	if want, err = c.run(ctx, c.reference, keep, nil); err != nil {
		return nil, nil, err
	}
	got, err = c.run(ctx, c.candidate, keep, nil)
	if c.failed(ctx, err) {
		return nil, nil, nil
	}
	return want, got, err
}

// failed makes a report of a candidate that does not run though it compiles and the reference runs.
func (c *comparison) failed(ctx context.Context, err error) bool {
	if err == nil || ctx.Err() != nil || cannotRun(err) {
		return false
	}
	c.report.Decided = err.Error()
	return true
}

// makeInputs reads or makes the inputs of every run.
func (c *comparison) makeInputs() error {
	for run := range c.opt.Runs {
		ins, err := feed.Make(c.reference.model, feed.Options{Seed: c.opt.Seed + uint64(run), Files: c.opt.Inputs,
			Shapes: c.opt.Shapes, Picture: c.opt.Picture})
		if err != nil {
			return err
		}
		c.sets = append(c.sets, ins)
	}
	for _, in := range c.sets[0] {
		r := Input{Name: in.Name, Type: in.Value.String(), From: in.From}
		if t, ok := in.Value.(*value.Tensor); ok {
			r.Type, r.Shape = t.Type.String(), t.Shape
		}
		c.report.Inputs = append(c.report.Inputs, r)
	}
	return nil
}

// run compiles a model and runs it on all sets of inputs. keep names inner values to return beside the outputs; extra
// holds inputs of single runs on top.
func (c *comparison) run(ctx context.Context, s side, keep []string, extra []values) ([]values, error) {
	c.step("compiling " + s.name)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	session, err := runtime.Compile(s.model, runtime.Options{Threads: c.opt.Threads, Keep: keep, Exact: true})
	if err != nil {
		return nil, compileError(s.name, err)
	}
	defer session.Close()
	var out []values
	for i, set := range c.sets {
		c.step(fmt.Sprintf("running %s (%d of %d)", s.name, i+1, len(c.sets)))
		in := feed.Values(set)
		if extra != nil {
			for name, v := range extra[i] {
				in[name] = v
			}
		}
		vs, err := session.Run(ctx, in)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, runError(s.name, err)
		}
		out = append(out, vs)
	}
	return out, nil
}

// judgeAll compares values of all runs, and keeps of each the worst.
func (c *comparison) judgeAll(names []string, want, got []values) []Output {
	var out []Output
	for _, name := range names {
		var worst Output
		for run := range want {
			o := judge(name, want[run][name], got[run][name], c.opt.RTol, c.opt.ATol)
			if run == 0 || worse(o, worst) {
				worst = o
			}
		}
		out = append(out, worst)
	}
	return out
}

// worse reports whether a is further from passing than b.
func worse(a, b Output) bool {
	switch {
	case a.Pass != b.Pass:
		return !a.Pass
	case (a.Problem != "") != (b.Problem != ""):
		return a.Problem != ""
	}
	return a.NeedRTol > b.NeedRTol || a.NeedRTol == b.NeedRTol && a.MaxAbs > b.MaxAbs
}

func passed(outputs []Output) bool {
	for _, o := range outputs {
		if !o.Pass {
			return false
		}
	}
	return true
}

func outputNames(m *onnxio.Model) []string {
	var names []string
	seen := map[string]bool{}
	for _, o := range m.Graph.Outputs {
		if !seen[o.Name] {
			names = append(names, o.Name)
		}
		seen[o.Name] = true
	}
	return names
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// listed names a few things and counts the others.
func listed(names []string) string {
	const most = 3
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
