package main

import (
	"slices"
	"strings"

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

// How much of a long answer is printed; --json has all of it.
const (
	mostGroups  = 3 // of those that can go
	mostHeld    = 2 // of those that can not, where none can
	mostPins    = 4
	mostMembers = 12
	mostChanges = 12
)

func (t *terminal) explanation(e *onnxprune.Explanation) {
	t.printf("%s is %s.\n", e.Name, e.Is)
	if !slices.ContainsFunc(e.Axes, func(a onnxprune.Axis) bool { return a.Channels > 0 || len(a.Pins) > 0 }) {
		t.printf("\nNone of its axes holds channels, so there is nothing to prune in it by itself.\n")
	}
	printed := map[int]bool{}
	for i := 0; i < len(e.Axes); i++ {
		a := e.Axes[i]
		switch {
		case a.Channels > 0:
			t.axis(a, printed)
		case len(a.Pins) > 0:
			axes := []int{a.Axis}
			for i+1 < len(e.Axes) && likewise(a, e.Axes[i+1]) {
				i++
				axes = append(axes, e.Axes[i].Axis)
			}
			t.printf("\n%s (%s): can not be pruned: %s.\n", a.What, axesOf(axes), a.Pins[0].Text)
		}
	}
	if e.Trial != nil {
		t.trial(e.Trial)
	}
	for _, s := range e.Try {
		t.printf("\nTry: %s\n", s)
	}
}

// likewise reports whether two axes without channels can stand in one line.
func likewise(a, b onnxprune.Axis) bool {
	return b.Channels == 0 && a.What == b.What && len(b.Pins) > 0 && a.Pins[0].Text == b.Pins[0].Text
}

// axesOf writes "axis 0" or "axes 0, 2, 3".
func axesOf(axes []int) string {
	list := strings.Trim(strings.ReplaceAll(dims(axes), ",", ", "), "[]")
	if len(axes) == 1 {
		return "axis " + list
	}
	return "axes " + list
}

// axis prints how many channels of an axis can go, why the others stay, and what hangs together with them: with those that can go, where some can.
func (t *terminal) axis(a onnxprune.Axis, printed map[int]bool) {
	t.printf("\n%s (axis %d): %d of %d can go.\n", a.What, a.Axis, a.Prunable, a.Channels)
	stay := 0
	for i, p := range a.Pins {
		if i < mostPins {
			t.printf("  %d stay: %s.\n", p.Count, p.Text)
		} else {
			stay += p.Count
		}
	}
	if stay > 0 {
		t.printf("  %d more stay, for %s.\n", stay, plural(len(a.Pins)-mostPins, "other reason"))
	}
	groups, most := a.Groups, mostHeld
	if a.Prunable > 0 {
		most = mostGroups
		groups = slices.DeleteFunc(slices.Clone(groups), func(g onnxprune.Group) bool { return !g.Prunable })
	}
	shown := 0
	for i, g := range groups {
		if printed[g.ID] {
			continue
		}
		if shown == most {
			t.printf("\nand %s: onnxprune groups MODEL --all lists them\n", plural(len(groups)-i, "more group"))
			break
		}
		printed[g.ID], shown = true, shown+1
		t.group(g, mostMembers)
	}
}

func (t *terminal) trial(r *onnxprune.Trial) {
	t.printf("\nIf channel %d of axis %d went, this would change:\n", r.Index, r.Axis)
	for _, part := range []struct {
		mark, what string
		changes    []onnxprune.Change
	}{{"tensor ", "tensor", r.Tensors}, {"", "operand", r.Operands}, {"", "attribute", r.Attributes}} {
		for i, c := range part.changes {
			if i == mostChanges {
				t.printf("  and %s\n", plural(len(part.changes)-i, "more "+part.what))
				break
			}
			before := ""
			if c.Before != "" {
				before = c.Before + " -> "
			}
			t.printf("  %s%s: %s%s\n", part.mark, c.What, before, c.After)
		}
	}
	for i, v := range r.Stored {
		if i == mostChanges {
			t.printf("  and %s\n", plural(len(r.Stored)-i, "more value"))
			break
		}
		t.printf("  %s, which is computed from constants, would be worked out before the cut and stored\n", v)
	}
	for i, v := range r.Frozen {
		if i == mostChanges {
			t.printf("  and %s\n", plural(len(r.Frozen)-i, "more number"))
			break
		}
		t.printf("  %s, a number that is computed from a size, would be kept as it is\n", v)
	}
}
