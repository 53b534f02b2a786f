package onnxprune

// Running a model as it is: inputs from files or by chance, every output described in figures and written where it is asked for. A Runner
// keeps the compiled model, so that a folder of pictures is compiled for once.

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
)

// RunOptions say how a model is run and where its outputs go.
type RunOptions struct {
	Feed    feed.Options    // files, and the seed of what is made by chance
	Runtime runtime.Options // engine, threads, memory limit, intermediate values to keep, profile
	Output  string          // folder that outputs are written to; "" writes nothing
	Runs    int             // how often a measured run is repeated, after a first one that does not count; 0: one run, cold
	Format  string          // FormatNPY, FormatPB or FormatRaw; "": FormatNPY
}

// RunReport says what a run was fed and what it gave.
type RunReport struct {
	Model      string      `json:"model"`
	Engine     string      `json:"engine"`
	Seed       uint64      `json:"seed"` // of the inputs that were made by chance
	Inputs     []RunInput  `json:"inputs"`
	Outputs    []RunOutput `json:"outputs"`
	Seconds    float64     `json:"seconds"`             // of the run alone; the mean of many
	Runs       int         `json:"runs"`                // that were measured
	FirstRun   float64     `json:"first_run,omitempty"` // seconds of the first, cold run, where it was not measured
	PeakMemory int64       `json:"peak_memory"`         // most bytes that intermediate values took at one time
	Folder     string      `json:"folder,omitempty"`
}

// RunInput is an input as it was fed.
type RunInput struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Shape []int  `json:"shape"` // of a tensor
	From  string `json:"from"`  // in words
	Made  bool   `json:"made"`  // no file was given, so it follows from the seed
}

// RunOutput describes one tensor that a run gave. The tensors of a sequence or optional are described one by one.
type RunOutput struct {
	Name      string   `json:"name"`
	Kept      bool     `json:"kept,omitempty"` // an intermediate value
	Type      string   `json:"type"`
	Shape     []int    `json:"shape"`
	Min       *float64 `json:"min,omitempty"` // of the finite elements; absent where there are none
	Max       *float64 `json:"max,omitempty"`
	Mean      *float64 `json:"mean,omitempty"`
	NonFinite int      `json:"non_finite,omitempty"` // elements that are infinite or no number
	First     []string `json:"first"`                // the first elements
	File      string   `json:"file,omitempty"`
}

// Runner is a model that is ready to run. Its methods may be called from many goroutines.
type Runner struct {
	path    string
	model   *onnxio.Model
	session *runtime.Session
	opt     RunOptions
}

// NewRunner opens and compiles a model. A node that the runtime can not run is a *ModelError around a *runtime.UnsupportedError.
func NewRunner(path string, opt RunOptions) (*Runner, error) {
	if opt.Format == "" {
		opt.Format = FormatNPY
	}
	if !slices.Contains([]string{FormatNPY, FormatPB, FormatRaw}, opt.Format) {
		return nil, usage("format %q is not known; there are %s, %s and %s", opt.Format, FormatNPY, FormatPB, FormatRaw)
	}
	if opt.Runs < 0 {
		return nil, usage("%d runs: the number is negative", opt.Runs)
	}
	if err := checkFolder(opt.Output); err != nil {
		return nil, err
	}
	m, err := onnxio.Open(path)
	if err != nil {
		return nil, err
	}
	r := &Runner{path: path, model: m, opt: opt}
	if err = r.checkNames(); err == nil {
		if r.session, err = runtime.Compile(m, opt.Runtime); err != nil {
			err = r.failed(err)
		}
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return r, nil
}

// checkNames refuses names of inputs and intermediate values that the model does not have.
func (r *Runner) checkNames() error {
	var inputs []string
	for _, in := range r.model.Graph.Inputs {
		inputs = append(inputs, in.Name)
	}
	var asked []string
	asked = append(asked, sortedKeys(r.opt.Feed.Files)...)
	for _, name := range append(asked, sortedKeys(r.opt.Feed.Shapes)...) {
		if !slices.Contains(inputs, name) {
			return usage("the model has no input %q; it has %s", name, strings.Join(inputs, ", "))
		}
	}
	made := map[string]bool{}
	for _, n := range r.model.Graph.Nodes {
		for _, o := range n.Outputs {
			made[o] = true
		}
	}
	for _, name := range r.opt.Runtime.Keep {
		if name == "" || !made[name] {
			return usage("no node of the main graph computes %q, so it can not be kept", name)
		}
	}
	return nil
}

// failed sorts an error of the runtime: what is wrong with model or data, and what is a fault of the runtime.
func (r *Runner) failed(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.As(err, new(*runtime.PanicError)) {
		return err
	}
	return &ModelError{r.path, err}
}

// Close gives the model back.
func (r *Runner) Close() error {
	r.session.Close()
	return r.model.Close()
}

// Inputs returns the inputs that a run needs.
func (r *Runner) Inputs() []*onnxio.ValueInfo { return r.session.Inputs() }

// Profile returns where the runs so far spent their time, for one of as many as RunOptions.Runs say; Options.Profile must have
// been set.
func (r *Runner) Profile() runtime.Profile { return r.session.Profile().PerRun(max(r.opt.Runs, 1)) }

// Run makes the inputs, runs the model once, and writes the outputs to a folder: Output, or the one below it that is named. Either all
// outputs are written or none.
func (r *Runner) Run(ctx context.Context, files map[string]string, below string) (*RunReport, error) {
	from := r.opt.Feed
	if files != nil {
		from.Files = files
	}
	ins, err := feed.Make(r.model, from)
	if err != nil {
		return nil, &ModelError{r.path, err}
	}
	report := &RunReport{Model: r.path, Engine: r.opt.Runtime.Engine.String(), Seed: from.Seed, Inputs: []RunInput{}, Outputs: []RunOutput{}}
	values, err := r.repeat(ctx, feed.Values(ins), report)
	if err != nil {
		return nil, r.failed(err)
	}
	report.PeakMemory = r.session.Memory().Peak
	for _, in := range ins {
		report.Inputs = append(report.Inputs, describeInput(in, from.Files[in.Name] == ""))
	}
	tensors := r.tensors(values)
	for _, t := range tensors {
		report.Outputs = append(report.Outputs, describeOutput(t))
	}
	if r.opt.Output == "" {
		return report, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	report.Folder = folderBelow(r.opt.Output, below)
	names, err := writeTensors(report.Folder, r.opt.Format, tensors)
	for i, name := range names {
		report.Outputs[i].File = name
	}
	return report, err
}

// repeat runs the model as often as the options say, and times it. What the first of many runs took is not that of the others: memory is
// found, caches are filled; the profile leaves it out too.
func (r *Runner) repeat(ctx context.Context, inputs map[string]value.Value, report *RunReport) (values map[string]value.Value, err error) {
	report.Runs = max(r.opt.Runs, 1)
	start := time.Now()
	if r.opt.Runs > 0 {
		if _, err := r.session.Run(ctx, inputs); err != nil {
			return nil, err
		}
		report.FirstRun = time.Since(start).Seconds()
		r.session.ResetProfile()
		start = time.Now()
	}
	for range report.Runs {
		if values, err = r.session.Run(ctx, inputs); err != nil {
			return nil, err
		}
	}
	report.Seconds = time.Since(start).Seconds() / float64(report.Runs)
	return values, nil
}

// namedTensor is a tensor among the results.
type namedTensor struct {
	name string
	kept bool
	*value.Tensor
}

// tensors lists what a run gave, outputs first, in the model's order.
func (r *Runner) tensors(values map[string]value.Value) []namedTensor {
	var out []namedTensor
	seen := map[string]bool{}
	add := func(name string, kept bool) {
		if !seen[name] {
			seen[name] = true
			out = appendTensors(out, name, kept, values[name])
		}
	}
	for _, o := range r.session.Outputs() {
		add(o.Name, false)
	}
	for _, name := range r.opt.Runtime.Keep {
		add(name, true)
	}
	return out
}

func appendTensors(out []namedTensor, name string, kept bool, v value.Value) []namedTensor {
	switch v := v.(type) {
	case *value.Tensor:
		return append(out, namedTensor{name, kept, v})
	case *value.Sequence:
		for i, item := range v.Items {
			out = appendTensors(out, fmt.Sprintf("%s[%d]", name, i), kept, item)
		}
	case *value.Optional:
		return appendTensors(out, name, kept, v.Value)
	}
	return out
}

// RunModel runs a model once and returns what it gave; it is NewRunner, Run and Close in one.
func RunModel(ctx context.Context, path string, opt RunOptions) (*RunReport, error) {
	r, err := NewRunner(path, opt)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Run(ctx, nil, "")
}

// Lack is a node that the runtime can not run.
type Lack struct {
	Node     string `json:"node"` // its path through bodies
	Operator string `json:"operator"`
	Opset    int    `json:"opset"`
	Reason   string `json:"reason"`
}

// OperatorUse is an operator, and how many nodes of a model use it, those in bodies and functions included.
type OperatorUse struct {
	Operator string `json:"operator"`
	Nodes    int    `json:"nodes"`
}

// RunnableReport says whether the runtime has all that a model needs.
type RunnableReport struct {
	Model     string        `json:"model"`
	Runnable  bool          `json:"runnable"`
	Operators []OperatorUse `json:"operators"`
	Lacks     []Lack        `json:"lacks"`
}

// Runnable compiles a model and lists what the runtime lacks for it.
func Runnable(path string, opt runtime.Options) (*RunnableReport, error) {
	m, err := onnxio.Open(path)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	out := &RunnableReport{Model: path, Operators: uses(m), Lacks: []Lack{}}
	s, err := runtime.Compile(m, opt)
	var lacks *runtime.UnsupportedError
	switch {
	case err == nil:
		out.Runnable = true
		return out, s.Close()
	case !errors.As(err, &lacks):
		return nil, (&Runner{path: path}).failed(err)
	}
	for _, n := range lacks.Nodes {
		out.Lacks = append(out.Lacks, Lack{n.Path, operator(n.Domain, n.Op), n.Version, n.Err.Error()})
	}
	return out, nil
}

func operator(domain, op string) string {
	if domain == "" || domain == "ai.onnx" {
		return op
	}
	return domain + "." + op
}

// uses counts the operators of a model, by name.
func uses(m *onnxio.Model) []OperatorUse {
	count := map[string]int{}
	m.Walk(func(n *onnxio.Node) { count[operator(n.Domain, n.OpType)]++ }, nil)
	out := []OperatorUse{}
	for _, name := range sortedKeys(count) {
		out = append(out, OperatorUse{name, count[name]})
	}
	return out
}
