package main

// onnxprune run: a model as it is, on files, on chance, or on a folder of pictures. What was done to pictures and which inputs are chance is
// part of what is printed, since no figure means anything without it.

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/preprocess"
)

func runFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "input", Usage: "feed an input, as `NAME=FILE` (.npy, .npz, .pb, .png, .jpg, .bmp, .webp); repeatable"},
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "write the outputs to a `FOLDER`"},
		&cli.StringFlag{Name: "format", Usage: "how outputs are written: npy, pb", Value: onnxprune.FormatNPY},
		&cli.BoolFlag{Name: "raw", Usage: "write the elements alone, little-endian"},
		&cli.StringFlag{Name: "batch", Usage: "run on every picture of a folder, as `[NAME=]FOLDER`"},
		&cli.StringFlag{Name: "draw", Usage: "detect objects in pictures and draw them: a `FILE` (.png, .jpg) for one picture, a folder for many"},
		&cli.StringFlag{Name: "family", Usage: "--draw: the `FAMILY` that the model is of, which says how it is fed and read (yolov8, yolox, paddle, ...)"},
		&cli.StringFlag{Name: "preprocess", Usage: "--draw: how pictures become inputs, as `size=640x640,letterbox,fill=114,bgr,scale=1/255,mean=..,std=..`"},
		&cli.StringFlag{Name: "preprocess-file", Usage: "--draw: the same as a YAML `FILE`, with the names of the classes"},
		&cli.StringFlag{Name: "outputs", Usage: "--draw: which output is what, as `boxes=NAME,scores=NAME`, with labels=, format=, units=, activation=, background=, nms="},
		&cli.Float64Flag{Name: "score", Usage: "--draw: least score that is drawn", Value: onnxprune.DrawnScore},
		&cli.Float64Flag{Name: "iou", Usage: "--draw: overlap above which a detection is suppressed, in place of the family's"},
		&cli.StringFlag{Name: "size", Usage: "size of pictures, as `WxH`; else what the model says, else their own"},
		&cli.BoolFlag{Name: "letterbox", Usage: "scale pictures as a whole and fill the rest, instead of stretching"},
		&cli.StringFlag{Name: "fill", Usage: "`GREY` of what letterboxing leaves over, 0 to 255"},
		&cli.StringFlag{Name: "scale", Usage: "`FACTOR` by which pixels in 0..255 are multiplied first, such as 1/255 (the default for floats)"},
		&cli.StringFlag{Name: "mean", Usage: "`NUMBERS` subtracted then, one or one per channel, separated by commas"},
		&cli.StringFlag{Name: "std", Usage: "`NUMBERS` divided by then"},
		&cli.StringFlag{Name: "channel-order", Usage: "rgb (default) or bgr"},
		&cli.StringFlag{Name: "layout", Usage: "nchw or nhwc; else what the input's shape looks like"},
		shapeFlag(),
		&cli.Uint64Flag{Name: "seed", Usage: "of inputs that no file is given for"},
		&cli.StringSliceFlag{Name: "keep", Usage: "return also the intermediate value `NAME`; repeatable"},
		&cli.StringFlag{Name: "engine", Usage: "tape (gorgonia's machine) or walk (our own)", Value: "tape"},
		&cli.IntFlag{Name: "threads", Usage: "threads of the runtime; 0: one per processor"},
		&cli.StringFlag{Name: "memory-limit", Usage: "most memory for intermediate values, in bytes or as 512M, 2G; else three quarters of the machine's"},
		&cli.BoolFlag{Name: "profile", Usage: "print the time per operator and per node"},
		&cli.IntFlag{Name: "runs", Usage: "run `N` times after a first, cold run that does not count; times and profile are those of one run"},
		&cli.IntFlag{Name: "top", Usage: "how many nodes --profile lists", Value: 10},
		&cli.BoolFlag{Name: "list-ops", Usage: "run nothing; list the nodes that the runtime can not run"},
		jsonFlag(), quietFlag(),
	}
}

// runResult is what --json prints of one run.
type runResult struct {
	*onnxprune.RunReport
	Profile *profile `json:"profile,omitempty"`
}

// profile is a session's times for --json.
type profile struct {
	Operators []timing `json:"operators"`
	Nodes     []timing `json:"nodes"`
}

type timing struct {
	Node     string  `json:"node,omitempty"`
	Operator string  `json:"operator"`
	Calls    int64   `json:"calls"`
	Self     float64 `json:"self"`  // seconds
	Total    float64 `json:"total"` // seconds, with bodies
}

// runModel is onnxprune run.
func runModel(c *cli.Context, t *terminal) error {
	args, err := files(c, 1, math.MaxInt, "run MODEL.onnx [FILE…] [--input NAME=FILE] [--output FOLDER] [--draw FILE]")
	if err != nil {
		return err
	}
	if c.IsSet("draw") {
		return runDraw(c, t, args[0], args[1:])
	}
	for _, name := range []string{"family", "preprocess", "preprocess-file", "outputs", "score", "iou"} {
		if c.IsSet(name) {
			return &onnxprune.UsageError{Msg: fmt.Sprintf("--%s is for --draw", name)}
		}
	}
	opt, err := runOptions(c)
	if err != nil {
		return err
	}
	if c.Bool("list-ops") {
		return listOps(c, t, args[0], opt.Runtime)
	}
	r, err := onnxprune.NewRunner(args[0], opt)
	if err != nil {
		return err
	}
	defer r.Close()
	given, err := positional(r, opt.Feed.Files, args[1:])
	if err != nil {
		return err
	}
	if c.IsSet("batch") {
		return runBatch(c, t, r, args[0], given)
	}
	report, err := r.Run(c.Context, given, "")
	switch {
	case err != nil:
		return err
	case c.Bool("json"):
		return t.json(runResult{report, profileOf(c, r)})
	case !c.Bool("quiet"):
		t.runReport(report)
	}
	return printProfile(c, t, r)
}

func runOptions(c *cli.Context) (o onnxprune.RunOptions, err error) {
	fail := func(format string, args ...any) (onnxprune.RunOptions, error) {
		return o, &onnxprune.UsageError{Msg: fmt.Sprintf(format, args...)}
	}
	o = onnxprune.RunOptions{Output: c.String("output"), Format: c.String("format"), Runs: c.Int("runs"),
		Feed:    feed.Options{Seed: c.Uint64("seed"), Files: map[string]string{}},
		Runtime: runtime.Options{Threads: c.Int("threads"), Keep: c.StringSlice("keep"), Profile: c.Bool("profile"), Seed: c.Uint64("seed")}}
	for _, s := range c.StringSlice("input") {
		name, file, ok := strings.Cut(s, "=")
		if !ok || name == "" || file == "" {
			return fail("--input %q is not of the form NAME=FILE", s)
		}
		if o.Feed.Files[name] != "" {
			return fail("--input gives %q twice", name)
		}
		o.Feed.Files[name] = file
	}
	if o.Runtime.Engine, err = machine(c); err != nil {
		return o, err
	}
	switch {
	case c.Bool("raw") && c.IsSet("format"):
		return fail("--raw and --format exclude each other")
	case c.Bool("raw"):
		o.Format = onnxprune.FormatRaw
	}
	if o.Output == "" && (c.IsSet("output") || c.Bool("raw") || c.IsSet("format")) {
		return fail("where outputs are written is missing: --output FOLDER")
	}
	if c.IsSet("runs") && c.Int("runs") < 1 {
		return fail("--runs %d: at least 1 run is needed", c.Int("runs"))
	}
	if c.IsSet("runs") && c.IsSet("batch") {
		return fail("--runs and --batch exclude each other: pictures are runs")
	}
	if c.Int("top") < 0 {
		return fail("--top can not be negative")
	}
	if o.Runtime.MemoryLimit, err = byteCount(c.String("memory-limit")); err != nil {
		return o, err
	}
	if o.Feed.Shapes, err = shapes(c); err != nil {
		return o, err
	}
	o.Feed.Picture, err = preprocessing(c)
	return o, err
}

// machine reads --engine.
func machine(c *cli.Context) (runtime.Engine, error) {
	switch c.String("engine") {
	case "tape":
		return runtime.TapeMachine, nil
	case "walk":
		return runtime.Walk, nil
	}
	return runtime.TapeMachine, &onnxprune.UsageError{Msg: fmt.Sprintf("engine %q is not known; there are tape and walk", c.String("engine"))}
}

// byteCount reads a number of bytes; K, M and G stand for powers of 1024.
func byteCount(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimSuffix(strings.TrimSuffix(strings.ToUpper(s), "B"), "I")
	unit := 1.0
	for i, letter := range []string{"K", "M", "G", "T"} {
		if d, ok := strings.CutSuffix(digits, letter); ok {
			digits, unit = d, math.Pow(1024, float64(i+1))
			break
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !(n*unit >= 1) || n*unit >= math.MaxInt64 {
		return 0, &onnxprune.UsageError{Msg: fmt.Sprintf("--memory-limit %q is not a number of bytes, such as 512M or 2G", s)}
	}
	return int64(n * unit), nil
}

// preprocessing reads the flags of preprocessing.
func preprocessing(c *cli.Context) (preprocess.Recipe, error) {
	words, err := preprocessingWords(c)
	if err != nil {
		return preprocess.Recipe{}, err
	}
	p, err := preprocess.Parse(words)
	if err != nil {
		return p, &onnxprune.UsageError{Msg: err.Error()}
	}
	return p, nil
}

// preprocessingWords brings the flags of preprocessing into the words of package preprocess.
func preprocessingWords(c *cli.Context) (string, error) {
	var words []string
	for _, name := range []string{"size", "fill", "scale", "mean", "std"} {
		if !c.IsSet(name) {
			continue
		}
		text := c.String(name)
		if name == "mean" || name == "std" {
			text = strings.ReplaceAll(text, ",", ":")
		}
		if text == "" || strings.ContainsAny(text, ",=") {
			return "", &onnxprune.UsageError{Msg: fmt.Sprintf("--%s %q is not understood", name, c.String(name))}
		}
		words = append(words, name+"="+text)
	}
	for _, choice := range []struct{ flag, one, other string }{{"channel-order", "rgb", "bgr"}, {"layout", "nchw", "nhwc"}} {
		word := strings.ToLower(c.String(choice.flag))
		switch {
		case !c.IsSet(choice.flag):
		case word == choice.one || word == choice.other:
			words = append(words, word)
		default:
			return "", &onnxprune.UsageError{Msg: fmt.Sprintf("--%s %q is not known; there are %s and %s", choice.flag, word, choice.one, choice.other)}
		}
	}
	if c.Bool("letterbox") {
		words = append(words, "letterbox")
	}
	return strings.Join(words, ","), nil
}

// positional gives files without a name to the inputs that have none yet, in the model's order.
func positional(r *onnxprune.Runner, named map[string]string, rest []string) (map[string]string, error) {
	for _, in := range r.Inputs() {
		if len(rest) > 0 && named[in.Name] == "" {
			named[in.Name], rest = rest[0], rest[1:]
		}
	}
	if len(rest) > 0 {
		return nil, &onnxprune.UsageError{Msg: fmt.Sprintf("%q is one file more than the model has inputs", rest[0])}
	}
	return named, nil
}

// runReport prints what a run was fed and what it gave.
func (t *terminal) runReport(r *onnxprune.RunReport) {
	t.inputs(r.Inputs, r.Seed)
	t.title("Outputs")
	t.outputs(r.Outputs)
	if r.FirstRun > 0 {
		t.printf("\nThe first run took %s; then %s, each %s", seconds(r.FirstRun), plural(r.Runs, "run"), seconds(r.Seconds))
	} else {
		t.printf("\nRan in %s", seconds(r.Seconds))
	}
	t.printf(" on the %s; at most %s of intermediate values at one time\n", r.Engine, mebibytes(r.PeakMemory))
	if r.Folder != "" {
		t.printf("Wrote %s to %s\n", plural(len(r.Outputs), "file"), r.Folder)
	}
}

func (t *terminal) inputs(ins []onnxprune.RunInput, seed uint64) {
	t.title("Inputs")
	for _, in := range ins {
		t.printf("%s %s%s: %s", in.Name, in.Type, dims(in.Shape), in.From)
		if in.Made {
			t.printf(" (no file was given; seed %d)", seed)
		}
		t.printf("\n")
	}
}

func (t *terminal) outputs(outs []onnxprune.RunOutput) {
	var rows [][]string
	for _, o := range outs {
		name := o.Name
		if o.Kept {
			name += " (kept)"
		}
		first := "empty"
		if len(o.First) > 0 {
			first = strings.Join(o.First, ", ")
		}
		if o.NonFinite > 0 {
			first += fmt.Sprintf("; %d not finite", o.NonFinite)
		}
		rows = append(rows, []string{name, o.Type, dims(o.Shape), figure(o.Min), figure(o.Max), figure(o.Mean), first})
	}
	t.table([]column{{"output", false}, {"type", false}, {"shape", false}, {"min", true}, {"max", true}, {"mean", true}, {"first elements", false}}, rows)
}

func figure(f *float64) string {
	if f == nil {
		return "-"
	}
	return fmt.Sprintf("%.6g", *f)
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func printProfile(c *cli.Context, t *terminal, r *onnxprune.Runner) error {
	if !c.Bool("profile") || c.Bool("quiet") {
		return nil
	}
	if n := c.Int("runs"); n > 0 {
		t.title(fmt.Sprintf("Profile of one run, the mean of %d", n))
	} else if c.IsSet("batch") {
		t.title("Profile")
	} else {
		t.title("Profile of one cold run; --runs N gives that of warm ones")
	}
	return r.Profile().Write(t.out, c.Int("top"))
}

func profileOf(c *cli.Context, r *onnxprune.Runner) *profile {
	if !c.Bool("profile") {
		return nil
	}
	p := r.Profile()
	list := func(ts []runtime.Timing) []timing {
		out := []timing{}
		for _, x := range ts {
			out = append(out, timing{x.Path, x.Op, x.Calls, x.Self.Seconds(), x.Total.Seconds()})
		}
		return out
	}
	return &profile{list(p.Operators), list(p.Nodes[:min(c.Int("top"), len(p.Nodes))])}
}

// listOps prints which operators a model has, and which nodes the runtime can not run.
func listOps(c *cli.Context, t *terminal, path string, opt runtime.Options) error {
	opt.Keep = nil
	r, err := onnxprune.Runnable(path, opt)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return t.json(r)
	}
	if !r.Runnable && len(r.Lacks) == 0 {
		return errors.New("internal error: the model can not be run, and no node is named")
	}
	nodes := 0
	for _, o := range r.Operators {
		nodes += o.Nodes
	}
	if r.Runnable {
		t.printf("The runtime has all %s that the model's %s use\n\n", plural(len(r.Operators), "operator"), plural(nodes, "node"))
		var rows [][]string
		for _, o := range r.Operators {
			rows = append(rows, []string{o.Operator, fmt.Sprint(o.Nodes)})
		}
		t.table([]column{{"operator", false}, {"nodes", true}}, rows)
		return nil
	}
	t.printf("%s of %d can not be run\n\n", plural(len(r.Lacks), "node"), nodes)
	var rows [][]string
	for _, l := range r.Lacks {
		rows = append(rows, []string{l.Node, l.Operator, fmt.Sprint(l.Opset), l.Reason})
	}
	t.table([]column{{"node", false}, {"operator", false}, {"opset", true}, {"why", false}}, rows)
	return nil
}
