package main

import (
	"bytes"
	"fmt"

	"github.com/urfave/cli/v2"

	"onnxprune"
	"onnxprune/runtime/verify"
)

func coverageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "ratios", Usage: "shares of everything that can go, each carried out; without it 0.1,0.3,0.5,0.7"},
		&cli.StringFlag{Name: "out", Usage: "write the report as Markdown to a `FILE`, instead of printing it"},
		&cli.StringFlag{Name: "verify", Usage: "masked (run every cut against the masked original), off", Value: onnxprune.VerifyMasked},
		&cli.Float64Flag{Name: "tolerance", Usage: "largest difference that passes, as a share of a slice's range", Value: verify.DefaultRTol},
		&cli.IntFlag{Name: "verify-runs", Usage: "how many sets of inputs to compare on", Value: 1},
		&cli.Uint64Flag{Name: "seed", Usage: "of random inputs"},
		&cli.IntFlag{Name: "threads", Usage: "threads of the runtime; 0: one per processor"},
		shapeFlag(), inexactFlag(), jsonFlag(), quietFlag(),
	}
}

// coverageOf measures the models below a folder.
func coverageOf(c *cli.Context, t *terminal) error {
	args, err := files(c, 1, 1, "coverage FOLDER")
	if err != nil {
		return err
	}
	o := onnxprune.CoverageOptions{}
	if o.Options, err = options(c); err != nil {
		return err
	}
	if o.Ratios, err = ratios(c.StringSlice("ratios")); err != nil {
		return err
	}
	switch v := c.String("verify"); v {
	case onnxprune.VerifyMasked:
		o.Verify = true
	case onnxprune.VerifyOff:
	default:
		return &onnxprune.UsageError{Msg: fmt.Sprintf("--verify %q is not known here; there are masked and off", v)}
	}
	if o.Compare, err = compareOptions(c); err != nil {
		return err
	}
	o.Compare.Shapes = o.InputShapes
	_, step, end := t.progress(c.Bool("quiet") || c.Bool("json"))
	if step != nil {
		o.Progress = func(done, total int, path string) { step(done, total, path) }
	}
	r, err := onnxprune.Coverage(c.Context, args[0], o)
	end()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := r.Markdown(&b); err != nil {
		return err
	}
	if out := c.String("out"); out != "" {
		if err := onnxprune.WriteFile(out, b.Bytes()); err != nil {
			return err
		}
	}
	switch {
	case c.Bool("json"):
		return r.JSON(t.out)
	case c.String("out") == "" && !c.Bool("quiet"):
		t.printf("%s", b.Bytes())
	}
	return nil
}
