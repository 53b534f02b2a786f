package main

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"onnxprune"
)

func explain(c *cli.Context, t *terminal) error {
	args, err := files(c, 2, 2, "explain MODEL.onnx NAME")
	if err != nil {
		return err
	}
	n, err := open(c, args[0])
	if err != nil {
		return err
	}
	defer n.Close()
	e, err := n.Explain(args[1])
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return t.json(e)
	}
	t.explanation(e)
	return nil
}

func (t *terminal) explanation(e *onnxprune.Explanation) {
	t.printf("%s is %s.\n", e.Name, e.Is)
	for _, a := range e.Axes {
		switch {
		case a.Channels == 0 && len(a.Pins) == 0:
			t.printf("\n%s: no channels that could go.\n", a.What)
		case a.Channels == 0:
			t.printf("\n%s: can not be pruned: %s.\n", a.What, a.Pins[0].Text)
		default:
			t.printf("\n%s (axis %d): %d of %d can go.\n", a.What, a.Axis, a.Prunable, a.Channels)
			for _, p := range a.Pins {
				t.printf("  %d stay: %s.\n", p.Count, p.Text)
			}
		}
		for _, g := range a.Groups {
			t.group(g)
		}
	}
	if e.Trial != nil {
		t.trial(e.Trial)
	}
	for _, s := range e.Try {
		t.printf("\nTry: %s\n", s)
	}
}

func (t *terminal) trial(r *onnxprune.Trial) {
	t.printf("\nIf channel %d went, this would change:\n", r.Index)
	for _, part := range []struct {
		what    string
		changes []onnxprune.Change
	}{{"tensor", r.Tensors}, {"operand", r.Operands}, {"attribute", r.Attributes}} {
		for _, c := range part.changes {
			before := ""
			if c.Before != "" {
				before = c.Before + " -> "
			}
			t.printf("  %s\n", fmt.Sprintf("%s %s: %s%s", part.what, c.What, before, c.After))
		}
	}
	for _, v := range r.Frozen {
		t.printf("  number %s, which is computed from a size, would be kept as it is\n", v)
	}
}
