package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/selection"
	"onnxprune/runtime/verify"
)

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print one JSON object on stdout, and nothing else"}
}

func shapeFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "input-shape", Usage: "fix the shape of an input, as `NAME:1x3x608x608`; repeatable"}
}

func quietFlag() cli.Flag {
	return &cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print nothing but errors"}
}

var allFlag cli.Flag = &cli.BoolFlag{Name: "all", Usage: "list what is left out otherwise: vectors, bodies, groups that can not be pruned"}

func inexactFlag() cli.Flag {
	return &cli.BoolFlag{Name: "allow-inexact", Usage: "prune also channels that a normalisation or mean runs across; the result is not exact"}
}

func listFlags(more ...cli.Flag) []cli.Flag {
	return append([]cli.Flag{jsonFlag(), shapeFlag(), inexactFlag()}, more...)
}

// compareFlags are those of the comparison.
func compareFlags() []cli.Flag {
	return []cli.Flag{
		&cli.Float64Flag{Name: "tolerance", Usage: "largest difference that passes, as a share of a slice's range", Value: verify.DefaultRTol},
		&cli.StringSliceFlag{Name: "verify-input", Usage: "compare on real data, as `NAME=FILE` (.npy, .npz, .pb, .png, .jpg, .bmp, .webp); repeatable"},
		&cli.IntFlag{Name: "verify-runs", Usage: "how many sets of inputs to compare on", Value: 1},
		&cli.Uint64Flag{Name: "seed", Usage: "of random inputs and of the criterion random"},
		&cli.IntFlag{Name: "threads", Usage: "threads of the runtime; 0: one per processor"},
	}
}

// criterionFlags say how channels are chosen.
func criterionFlags() []cli.Flag {
	criteria := make([]string, len(importance.Criteria))
	for i, c := range importance.Criteria {
		criteria[i] = string(c)
	}
	return []cli.Flag{
		&cli.StringFlag{Name: "criterion", Aliases: []string{"prune_criterion"}, Usage: "how channels are scored: " + strings.Join(criteria, ", "), DefaultText: criteria[0] + "; reconstruction with --calibrate or a target"},
		&cli.StringFlag{Name: "vote", Usage: "whose scores count in a group: named, sum, mean, max", Value: string(selection.VoteNamed)},
		&cli.IntFlag{Name: "align", Usage: "keep a multiple of `N` channels; 8 with a target, unless said otherwise"},
	}
}

// requestFlags say what is cut.
func requestFlags() []cli.Flag {
	return slices.Concat([]cli.Flag{
		&cli.StringSliceFlag{Name: "params", Aliases: []string{"pruned_params"}, Usage: "parameters to prune: `NAMES` or patterns, separated by commas or spaces; repeatable"},
		&cli.StringSliceFlag{Name: "ratios", Aliases: []string{"pruned_ratios"}, Usage: "shares of channels to remove: one `RATIO` for each name, or one for all"},
	}, criterionFlags(), []cli.Flag{
		&cli.Float64Flag{Name: "max-ratio", Usage: "most that patterns take of any axis of a tensor, coupled ones too; else the ratio and one step of the coupling"},
		&cli.IntFlag{Name: "min-channels", Usage: "keep at least `N` output channels of every weight"},
		&cli.StringSliceFlag{Name: "protect", Usage: "`NAMES` or patterns of weights that lose no output channel; repeatable"},
		&cli.StringFlag{Name: "sensitivity", Usage: "take the ratios from a `FILE` of sensitivity curves, with --max-loss or --target-macs"},
		&cli.Float64Flag{Name: "max-loss", Usage: "with --sensitivity: the loss that each parameter may have alone"},
		&cli.StringFlag{Name: "target-macs", Usage: "choose widths so that this `SHARE` (0.7) or number (850M) of MACs is left: by what the outputs feel, or by --sensitivity"},
		&cli.StringFlag{Name: "plan", Usage: "carry out a plan `FILE`, on this or another checkpoint of the same network"},
	})
}

func pruneFlags() []cli.Flag {
	return slices.Concat(requestFlags(), recoveryFlags(), []cli.Flag{
		&cli.StringSliceFlag{Name: "input-size", Usage: "bring the model to another size of its picture first: `WIDTHxHEIGHT`, or NAME:WIDTHxHEIGHT; repeatable"},
		&cli.StringFlag{Name: "plan-out", Usage: "write the plan to a `FILE`"},
		&cli.BoolFlag{Name: "force", Usage: "replace an existing output even where it is a model that onnxprune did not write"},
		&cli.BoolFlag{Name: "no-metadata", Usage: "leave no entries of onnxprune in the output's metadata"},
		&cli.BoolFlag{Name: "dry-run", Usage: "work everything out, write nothing"},
		&cli.StringFlag{Name: "verify", Usage: "masked (run it against the masked original), load (read it back), off", Value: onnxprune.VerifyMasked},
		&cli.BoolFlag{Name: "all", Usage: "list all weights that lose channels, and not just the 25 that lose most"},
		&cli.BoolFlag{Name: "bench", Usage: "measure the latency of input and output, when all is done"},
		shapeFlag(), inexactFlag(), jsonFlag(), quietFlag(),
	}, compareFlags(), engineFlags("bench-engine"))
}

func verifyFlags() []cli.Flag {
	return append([]cli.Flag{&cli.StringFlag{Name: "plan", Usage: "the plan `FILE` by which the model was pruned"}, shapeFlag(), jsonFlag(), quietFlag()}, compareFlags()...)
}

func demoFlags() []cli.Flag {
	return []cli.Flag{jsonFlag(), quietFlag(), &cli.IntFlag{Name: "threads", Usage: "threads of the runtime; 0: one per processor"}}
}

// words splits lists at commas and spaces, as PaddleSlim's users write them.
func words(lists []string) []string {
	var out []string
	for _, l := range lists {
		out = append(out, strings.FieldsFunc(l, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })...)
	}
	return out
}

func ratios(lists []string) ([]float64, error) {
	var out []float64
	for _, w := range words(lists) {
		r, err := strconv.ParseFloat(w, 64)
		if err != nil && r == 0 {
			return nil, &onnxprune.UsageError{Msg: fmt.Sprintf("ratio %q is not a number", w)}
		}
		out = append(out, r)
	}
	return out, nil
}

// shapes reads --input-shape.
func shapes(c *cli.Context) (map[string][]int64, error) {
	out := map[string][]int64{}
	for _, s := range c.StringSlice("input-shape") {
		bad := func() error {
			return &onnxprune.UsageError{Msg: fmt.Sprintf("--input-shape %q is not of the form NAME:1x3x608x608", s)}
		}
		at := strings.LastIndex(s, ":") // names may hold colons, shapes do not
		if at <= 0 || out[s[:at]] != nil {
			return nil, bad()
		}
		dims := []int64{}
		for _, d := range strings.Split(s[at+1:], "x") {
			n, err := strconv.ParseInt(d, 10, 64)
			if err != nil || n < 0 {
				return nil, bad()
			}
			dims = append(dims, n)
		}
		out[s[:at]] = dims
	}
	return out, nil
}

func options(c *cli.Context) (onnxprune.Options, error) {
	s, err := shapes(c)
	return onnxprune.Options{InputShapes: s, AllowInexact: c.Bool("allow-inexact")}, err
}

func compareOptions(c *cli.Context) (verify.Options, error) {
	o := verify.Options{Runs: c.Int("verify-runs"), Seed: c.Uint64("seed"), Threads: c.Int("threads"), RTol: c.Float64("tolerance"), Inputs: map[string]string{}}
	switch { // where nothing is given the program takes its defaults, so a zero that is given is none of its values
	case o.RTol == 0:
		return o, &onnxprune.UsageError{Msg: "--tolerance 0 is not a positive number"}
	case o.Runs == 0:
		return o, &onnxprune.UsageError{Msg: "--verify-runs 0: at least 1 run is needed; --verify off runs nothing"}
	}
	for _, s := range c.StringSlice("verify-input") {
		name, file, ok := strings.Cut(s, "=")
		if !ok || name == "" || file == "" {
			return o, &onnxprune.UsageError{Msg: fmt.Sprintf("--verify-input %q is not of the form NAME=FILE", s)}
		}
		o.Inputs[name] = file
	}
	return o, nil
}

// benchAfter reads the flags of a measurement after the prune.
func benchAfter(c *cli.Context, o *onnxprune.PruneOptions) error {
	for _, name := range []string{"bench-engine", "duration", "warmup"} {
		if c.IsSet(name) && !c.Bool("bench") {
			return &onnxprune.UsageError{Msg: fmt.Sprintf("--%s says how --bench measures, and --bench is not given", name)}
		}
	}
	if !c.Bool("bench") {
		return nil
	}
	b, err := benchOptions(c, "bench-engine")
	o.Bench = &b
	return err
}

func pruneOptions(c *cli.Context) (o onnxprune.PruneOptions, err error) {
	o = onnxprune.PruneOptions{PlanIn: c.String("plan"), PlanOut: c.String("plan-out"), DryRun: c.Bool("dry-run"), Verify: c.String("verify"),
		Force: c.Bool("force"), NoMetadata: c.Bool("no-metadata")}
	if o.Options, err = options(c); err != nil {
		return o, err
	}
	if o.Compare, err = compareOptions(c); err != nil {
		return o, err
	}
	if err := benchAfter(c, &o); err != nil {
		return o, err
	}
	if o.InputSize, err = inputSize(c); err != nil {
		return o, err
	}
	if o.Request, o.Allocation, err = request(c); err != nil {
		return o, err
	}
	return o, recovery(c, &o)
}

// inputSize reads --input-size: one size, for the picture or for the inputs that are named.
func inputSize(c *cli.Context) (*onnxprune.InputSize, error) {
	var out *onnxprune.InputSize
	for _, s := range c.StringSlice("input-size") {
		bad := func(why string) (*onnxprune.InputSize, error) {
			return nil, &onnxprune.UsageError{Msg: fmt.Sprintf("--input-size %q %s", s, why)}
		}
		at := strings.LastIndex(s, ":")
		name, size := s[:max(at, 0)], s[at+1:]
		w, h, ok := strings.Cut(size, "x")
		width, err1 := strconv.ParseInt(w, 10, 64)
		height, err2 := strconv.ParseInt(h, 10, 64)
		switch {
		case !ok || err1 != nil || err2 != nil || at == 0:
			return bad("is not of the form 576x576 or NAME:576x576, width before height")
		case width < 1 || height < 1:
			return bad("is no size of a picture: width and height are at least 1 pixel")
		case out == nil:
			out = &onnxprune.InputSize{Width: width, Height: height}
		case out.Width != width || out.Height != height:
			return bad("is another size than the one before: a picture and what belongs to it have one size")
		case name == "" || len(out.Inputs) == 0:
			return bad("is a second size: name the inputs, as NAME:576x576")
		}
		if name != "" {
			out.Inputs = append(out.Inputs, name)
		}
	}
	return out, nil
}

// request reads requestFlags, but for --plan.
func request(c *cli.Context) (r onnxprune.Request, a *onnxprune.Allocation, err error) {
	r = onnxprune.Request{Params: words(c.StringSlice("params")), Criterion: importance.Criterion(c.String("criterion")),
		Vote: selection.Vote(c.String("vote")), Align: c.Int("align"), Seed: c.Uint64("seed"),
		MaxRatio: c.Float64("max-ratio"), MinChannels: c.Int("min-channels"), Protect: words(c.StringSlice("protect"))}
	target, err := budget(c)
	if err != nil {
		return r, nil, err
	}
	switch loss := c.Float64("max-loss"); {
	case c.String("sensitivity") != "":
		a = &onnxprune.Allocation{Curves: c.String("sensitivity"), TargetMACs: target.Target}
		if c.IsSet("max-loss") {
			a.MaxLoss = &loss
		}
	case c.IsSet("max-loss"):
		return r, nil, &onnxprune.UsageError{Msg: "--max-loss needs the curves that it chooses from: --sensitivity FILE"}
	default:
		r.Budget = target
	}
	r.Ratios, err = ratios(c.StringSlice("ratios"))
	return r, a, err
}
