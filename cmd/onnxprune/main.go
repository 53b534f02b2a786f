// Command onnxprune prunes channels of ONNX models, and proves the result before it is saved.
//
// It holds flags, printing and progress; all work is done by package onnxprune at the root of the module.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/urfave/cli/v2"

	"onnxprune"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program; it returns the exit code. Whatever goes wrong is one line on stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (code int) {
	fail := func(err error) int {
		code := onnxprune.ExitCode(err)
		message := onnxprune.Line(err)
		if errors.Is(err, context.Canceled) && !errors.As(err, new(interrupted)) {
			message = "interrupted, nothing was written"
		}
		fmt.Fprintf(stderr, "onnxprune: %s\n", message)
		return code
	}
	defer func() {
		if p := recover(); p != nil {
			code = fail(fmt.Errorf("internal error: %v; please report it with the command and the model", p))
		}
	}()
	app := newApp(stdout, stderr)
	ordered, err := reorder(app, args)
	if err == nil {
		err = app.RunContext(ctx, append([]string{"onnxprune"}, ordered...))
	}
	if err != nil {
		return fail(err)
	}
	return onnxprune.ExitDone
}

func newApp(stdout, stderr io.Writer) *cli.App {
	t := newTerminal(stdout, stderr)
	return &cli.App{
		Name:      "onnxprune",
		Usage:     "remove channels from the convolutions of an ONNX model, with proof",
		UsageText: "onnxprune IN.onnx OUT.onnx --target-macs SHARE --calibrate PICTURES [--data FOLDER] [flags]\nonnxprune IN.onnx OUT.onnx --params NAMES --ratios RATIOS [flags]\nonnxprune COMMAND MODEL [flags]",
		Description: "NAMES are parameters as `onnxprune params MODEL` lists them, or patterns such as 'yolo_block.*.weights'; RATIOS are shares of channels to remove,\n" +
			"one for each name or one for all. Flags may stand before or after the files.",
		Writer: stdout, ErrWriter: stderr,
		HideVersion: true, HideHelpCommand: true,
		Flags:  pruneFlags(),
		Action: func(c *cli.Context) error { return prune(c, t) },
		Commands: []*cli.Command{
			{Name: "params", Usage: "list the parameters of a model: shape, layer, group, MACs, prunable or why not", ArgsUsage: "MODEL",
				Flags: listFlags(allFlag), Action: func(c *cli.Context) error { return params(c, t) }},
			{Name: "groups", Usage: "list the channel groups of a model: what is cut with what", ArgsUsage: "MODEL",
				Flags: listFlags(allFlag), Action: func(c *cli.Context) error { return groups(c, t) }},
			{Name: "explain", Usage: "explain one parameter, tensor, node or output", ArgsUsage: "MODEL NAME",
				Flags: listFlags(), Action: func(c *cli.Context) error { return explain(c, t) }},
			{Name: "verify", Usage: "prove a pruned model against its original and the plan", ArgsUsage: "ORIGINAL PRUNED",
				Flags: verifyFlags(), Action: func(c *cli.Context) error { return verifyFiles(c, t) }},
			{Name: "coverage", Usage: "measure every model below a folder: what can go, why the rest stays, and what pruning leaves", ArgsUsage: "FOLDER",
				Flags: coverageFlags(), Action: func(c *cli.Context) error { return coverageOf(c, t) }},
			{Name: "run", Usage: "run a model on files, on a folder of pictures, or on random inputs", ArgsUsage: "MODEL [FILE…]",
				Flags: runFlags(), Action: func(c *cli.Context) error { return runModel(c, t) }},
			{Name: "bench", Usage: "measure how long runs of models take, side by side", ArgsUsage: "MODEL…",
				Flags: benchFlags(), Action: func(c *cli.Context) error { return benchModels(c, t) }},
			{Name: "eval", Usage: "measure how good a model is on a data set, what a prune would leave of it, and what a smaller input would", ArgsUsage: "MODEL",
				Flags: evalFlags(), Action: func(c *cli.Context) error { return evaluate(c, t) }},
			{Name: "sensitivity", Usage: "measure what removing channels of single parameters costs; `merge` unites files of curves, `show` prints and draws one",
				ArgsUsage: "MODEL | merge CURVES… | show CURVES", Flags: sensitivityFlags(), Action: func(c *cli.Context) error { return sensitivityOf(c, t) }},
			{Name: "demo", Usage: "prune an embedded detector to 70 % of its MACs, and measure what that leaves beside the usual ways", ArgsUsage: "[FOLDER]",
				Flags: demoFlags(), Action: func(c *cli.Context) error { return demo(c, t) }},
			{Name: "version", Usage: "print the version", Flags: []cli.Flag{jsonFlag()}, Action: func(c *cli.Context) error { return version(c, t) }},
		},
		OnUsageError:   func(_ *cli.Context, err error, _ bool) error { return &onnxprune.UsageError{Msg: err.Error()} },
		ExitErrHandler: func(*cli.Context, error) {},
	}
}

func version(c *cli.Context, t *terminal) error {
	if c.Bool("json") {
		return t.json(map[string]string{"tool": "onnxprune", "version": onnxprune.Version})
	}
	_, err := fmt.Fprintln(t.out, "onnxprune", onnxprune.Version)
	return err
}

// files returns the positional arguments of a command, and refuses a wrong number of them.
func files(c *cli.Context, least, most int, want string) ([]string, error) {
	args := c.Args().Slice()
	switch {
	case len(args) < least:
		return nil, &onnxprune.UsageError{Msg: "too few arguments; usage: onnxprune " + want}
	case len(args) > most:
		return nil, &onnxprune.UsageError{Msg: fmt.Sprintf("unexpected argument %q; usage: onnxprune %s", args[most], want)}
	}
	return args, nil
}
