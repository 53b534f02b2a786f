// Package verify proves a pruned model against its masked twin: both run on the embedded runtime on the same inputs, side by side, and every
// value that both compute is compared, element by element.
//
// Each node of the pruned model is given what its counterpart in the twin was given (together.go). So it is compared on equal inputs: what earlier
// nodes rounded does not count, a fault shows at the node that has it, and models that pick by value go the same way. By induction over the
// nodes, a pruned model whose nodes all agree computes what the twin computes. The outputs of a run of its own are compared
// too, and are what the report shows.
//
// An element passes where |a-b| <= atol + rtol*range, the range being the largest finite magnitude of the reference in the element's
// slice (slices.go). The range is that of a slice, not the element's own magnitude: what is pruned changes the order of sums, and
// the error of a sum goes with its largest terms, not with how close they come to cancelling out. The default rtol 1e-5 is some hundred roundings
// of float32 (6e-8 each). Where sums cancel so far that it is not enough, the twin is run once more with its sums taken in another order, and
// what that changes is the noise that is allowed (noise.go).
package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// DefaultRTol is the relative tolerance where Options say nothing.
const DefaultRTol = 1e-5

// Options of Compare.
type Options struct {
	Runs    int                // how many sets of inputs; 0: 1
	Seed    uint64             // of the random inputs; later runs take the next seeds
	Inputs  map[string]string  // files to take inputs from, by input name: .npy, .npz, .pb, .png, .jpg, .bmp, .webp
	Shapes  map[string][]int64 // shapes of inputs that the model leaves open
	Picture preprocess.Recipe  // what is done to picture files
	Samples []feed.Sample      // in place of random inputs: of run i the sample i, beginning again after the last; Inputs come first
	Threads int                // 0: all processors
	RTol    float64            // relative to the range of a slice; 0: DefaultRTol
	ATol    float64            // absolute, on top

	// Kept says which indices the candidate keeps of values inside of the model, by name and axis: plan.Kept. Without it such values are not compared.
	Kept map[string]map[int][]int
	// Original, where given, is run too, and the report says how far the candidate is from it.
	Original *onnxio.Model

	Progress func(done, total int, what string) // called between steps; may be nil
}

// Report says how far two models agree.
type Report struct {
	Pass     bool          `json:"pass"`
	Runs     int           `json:"runs"`
	Seed     uint64        `json:"seed"`
	RTol     float64       `json:"rtol"`
	ATol     float64       `json:"atol"`
	Inputs   []Input       `json:"inputs"`             // of the first run
	Outputs  []Output      `json:"outputs"`            // of whole runs
	Values   Values        `json:"values"`             // inside of the models, node by node
	Original *Drift        `json:"original,omitempty"` // against the original itself, where it passes
	Cut      *Cut          `json:"cut,omitempty"`      // what was not run, because the runtime can not
	Decided  string        `json:"decided"`            // which comparison decided, in words
	Inexact  []string      `json:"inexact,omitempty"`  // why the twin can not be equal, from the plan
	Elapsed  time.Duration `json:"elapsed_ns"`
}

// Input is one input as it was fed.
type Input struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"`
	From  string `json:"from"` // "random, like a picture in 0..1", a file's name and what was done to it, …
}

// Output is the comparison of one output, or of a value inside of the models. Where there are several runs it is that of the worst one.
type Output struct {
	Name   string  `json:"name"`
	Before string  `json:"before,omitempty"` // no output, but what a node reads that can not be run: that node
	Shape  []int   `json:"shape"`
	Pass   bool    `json:"pass"`
	MaxAbs float64 `json:"max_abs"`
	MaxRel float64 `json:"max_rel"`  // largest |a-b|/|a| over elements a of the reference of at least a thousandth of their slice's range
	Mean   float64 `json:"mean_abs"` // of the absolute differences
	Cosine float64 `json:"cosine"`
	Axis   int     `json:"axis"`  // whose slices have ranges of their own; -1: the whole has one
	Slice  int     `json:"slice"` // the one that is furthest from passing
	Range  float64 `json:"range"` // of that slice: largest magnitude of the reference
	// Minimum required tolerance: the smallest rtol with which every slice passes at ATol, and the smallest atol at rtol 0.
	NeedRTol float64 `json:"need_rtol"`
	NeedATol float64 `json:"need_atol"`
	Noise    float64 `json:"noise,omitempty"`   // set where it passes for the measured noise alone: how much that allows
	Problem  string  `json:"problem,omitempty"` // shapes or types that differ, numbers that are not finite
	Rows     *Rows   `json:"rows,omitempty"`    // of an output that holds detections and differs: how many are found again

	node     string // of a value inside of the models: what computes it
	integral bool   // its elements are integers, bools or strings
	hard     bool   // the problem is none of size: no tolerance would help
	empty    bool   // no elements, or zero everywhere
	nothing  bool   // the reference gives no number at all

	ranges, most, noise []float64 // by slice: range, largest difference, and what another order of sums changes
	run                 int
}

// Largest is the largest difference that passed, as a share of its slice's range; with all, of whatever was compared.
func (r *Report) Largest(all bool) float64 {
	largest := 0.0
	for _, o := range r.Outputs {
		if all || o.Pass {
			largest = max(largest, o.NeedRTol)
		}
	}
	if w := r.Values.Worst; w != nil && (all || len(r.Values.Differ) == 0) {
		largest = max(largest, w.NeedRTol)
	}
	return largest
}

// Compare runs both models on the same inputs and compares what they compute. A model that the runtime
// can not run is a *CannotRunError; inputs that can not be read are an error too, and options that can not be meant an *option.Error. A candidate that fails where the
// reference runs is a report that does not pass.
func Compare(ctx context.Context, reference, candidate *onnxio.Model, opt Options) (*Report, error) {
	start := time.Now()
	if err := opt.Check(); err != nil {
		return nil, err
	}
	opt.complete()
	c := &comparison{opt: opt, steps: 2 + 2*opt.Runs, limits: tolerance{opt.RTol, opt.ATol}, before: map[string]string{},
		reference: side{reference, "the masked original"}, candidate: side{candidate, "the pruned model"}}
	c.report = &Report{Runs: opt.Runs, Seed: opt.Seed, RTol: opt.RTol, ATol: opt.ATol}
	if err := c.prove(ctx); err != nil {
		return nil, err
	}
	if c.report.Pass && opt.Original != nil {
		c.steps += 1 + len(c.sets)
		if err := c.drift(ctx); err != nil {
			return nil, err
		}
	}
	c.progress("compared")
	c.report.Elapsed = time.Since(start)
	return c.report, nil
}

// comparison is one call of Compare.
type comparison struct {
	opt                  Options
	limits               tolerance
	reference, candidate side
	sets                 [][]feed.Input // per run
	report               *Report
	done, steps          int

	selection *selection
	walk      *walk
	want, got []values          // outputs, per run
	outputs   [][]Output        // per run, in the model's order
	shapes    map[string][]int  // of the reference's values in the last run
	behind    map[string]bool   // values that hang on what can not be run
	before    map[string]string // of values that are compared as outputs: the node that reads them and can not be run
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

// prove compares at the first of the sizes that could be chosen at which the reference runs.
func (c *comparison) prove(ctx context.Context) error {
	var size SizeError
	for choice := range feed.Choices {
		sizes, err := c.makeInputs(choice)
		if err != nil {
			return err
		}
		if slices.Contains(size.Tried, sizes) {
			continue
		}
		if len(size.Tried) > 0 {
			c.steps += c.done
		}
		size.Tried = append(size.Tried, sizes)
		for err = c.compare(ctx); err != nil; err = c.compare(ctx) {
			if err = c.cutOff(err); err != nil {
				break
			}
		}
		if err == nil || !errors.As(err, &failedRun{}) {
			if len(size.Tried) > 1 && err == nil {
				c.report.Inputs[0].From += fmt.Sprintf("; the model does not run at %s", size.Tried[0])
			}
			return err
		}
		if size.Err == nil {
			size.Err, size.Inputs = err, c.open()
		}
		if len(size.Inputs) == 0 {
			return err
		}
	}
	return &size
}

// open names the inputs whose size was chosen.
func (c *comparison) open() []string {
	var out []string
	for _, in := range c.sets[0] {
		if in.Open {
			out = append(out, in.Name)
		}
	}
	return out
}

func (c *comparison) compare(ctx context.Context) error {
	c.want, c.got, c.outputs = nil, nil, nil
	c.selection = c.jumps()
	c.walk = &walk{limits: c.limits, reference: c.selection.a, kept: c.opt.Kept, sized: c.selection.a.sized(),
		unequal: c.selection.unequal, inner: map[string]*inner{}}
	m := &meeting{}
	first, err := c.compile(ctx, c.reference, runtime.Options{Exact: true, Replace: m.first})
	if err != nil {
		return err
	}
	defer first.Close()
	second, err := c.compile(ctx, c.candidate, runtime.Options{Exact: true, Replace: m.second})
	if err != nil {
		return err
	}
	defer second.Close()
	m.common = common(first.Values(), second.Values())
	if err := c.run(ctx, m, first, second); err != nil || len(c.got) < len(c.sets) {
		return err
	}
	if err := c.measureNoise(ctx, m, first); err != nil {
		return err
	}
	c.report.Outputs = worstOf(c.outputs)
	if !passed(c.report.Outputs) {
		matchRows(c.report.Outputs, c.want, c.got)
	}
	c.report.Values = c.walk.values()
	c.decide()
	return nil
}

// run runs both models on all inputs: side by side, and the candidate by itself where that is not the same.
func (c *comparison) run(ctx context.Context, m *meeting, first, second *runtime.Session) error {
	names := outputNames(c.reference.model)
	for i, set := range c.sets {
		c.step(fmt.Sprintf("running both models (%d of %d)", i+1, len(c.sets)))
		c.walk.replaced = false
		want, got, err1, err2 := m.run(ctx, first, second, feed.Values(set), func(name string, want, got value.Value) value.Value {
			return c.walk.judge(i, name, want, got)
		})
		c.shapes = m.shapes
		if err1 != nil {
			return c.runError(ctx, c.reference, err1)
		}
		if err2 == nil && c.walk.replaced {
			got, err2 = c.alone(ctx, c.candidate, second, i)
		} else {
			c.done++
		}
		if err := c.runError(ctx, c.candidate, err2); err != nil {
			if ctx.Err() != nil || cannotRun(err) {
				return err
			}
			c.report.Decided = err.Error()
			return nil
		}
		var outs []Output
		for _, name := range names {
			o := c.limits.judge(name, want[name], got[name])
			o.empty, o.Before = hollow(want[name]), c.before[name]
			outs = append(outs, o)
		}
		c.want, c.got, c.outputs = append(c.want, want), append(c.got, got), append(c.outputs, outs)
	}
	return nil
}

// common lists the names that both models compute, each once.
func common(a, b []string) map[string]bool {
	times := map[string]int{}
	for _, n := range a {
		times[n]++
	}
	for _, n := range b {
		times[n] += 1 << 20
	}
	out := map[string]bool{}
	for n, k := range times {
		if k == 1+1<<20 && n != "" {
			out[n] = true
		}
	}
	return out
}

// makeInputs reads or makes the inputs of every run, and tells their shapes.
func (c *comparison) makeInputs(choice int) (sizes string, err error) {
	c.sets, c.report.Inputs = nil, nil
	for run := range c.opt.Runs {
		opt := feed.Options{Seed: c.opt.Seed + uint64(run), Files: c.opt.Inputs, Shapes: c.opt.Shapes, Picture: c.opt.Picture, Choice: choice}
		if n := len(c.opt.Samples); n > 0 {
			opt.Sample = c.opt.Samples[run%n]
		}
		ins, err := feed.Make(c.reference.model, opt)
		if err != nil {
			return "", err
		}
		c.sets = append(c.sets, ins)
	}
	var shapes []string
	for _, in := range c.sets[0] {
		r := Input{Name: in.Name, Type: in.Value.String(), From: in.From}
		if t, ok := in.Value.(*value.Tensor); ok {
			r.Type, r.Shape = t.Type.String(), t.Shape
		}
		c.report.Inputs = append(c.report.Inputs, r)
		shapes = append(shapes, in.Name+" "+strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Shape), " ", "x"), "[]"))
	}
	return strings.Join(shapes, ", "), nil
}

// worstOf keeps of each output the worst run.
func worstOf(runs [][]Output) []Output {
	out := slices.Clone(runs[0])
	for _, outs := range runs[1:] {
		for i, o := range outs {
			if worse(o, out[i]) {
				out[i] = o
			}
		}
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
	return !slices.ContainsFunc(outputs, func(o Output) bool { return !o.Pass })
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

func sortedKeys[K int | string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
