package main

import (
	"github.com/urfave/cli/v2"

	"onnxprune"
)

// verifyFiles proves a pruned file against its original: onnxprune verify ORIGINAL PRUNED --plan PLAN.
func verifyFiles(c *cli.Context, t *terminal) error {
	const form = "verify ORIGINAL.onnx PRUNED.onnx --plan PLAN.json"
	args, err := files(c, 2, 2, form)
	if err != nil {
		return err
	}
	if c.String("plan") == "" {
		return &onnxprune.UsageError{Msg: "the plan is missing; usage: onnxprune " + form}
	}
	compare, err := compareOptions(c)
	if err != nil {
		return err
	}
	opt, err := options(c)
	if err != nil {
		return err
	}
	_, step, end := t.progress(c.Bool("quiet") || c.Bool("json"))
	compare.Progress = step
	v, err := onnxprune.Verify(c.Context, args[0], args[1], c.String("plan"), opt, compare)
	end()
	switch {
	case err != nil:
		t.failure(err, c.Bool("quiet") || c.Bool("json"))
		return err
	case c.Bool("json"):
		return t.json(v)
	case !c.Bool("quiet"):
		t.verification(*v)
		for _, n := range v.Notes {
			t.printf("Note: %s\n", n)
		}
	}
	return nil
}
