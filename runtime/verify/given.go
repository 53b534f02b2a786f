package verify

// The second way of selection.go: the pruned model is run with the reference's picks. What a pick wrote becomes an input of
// the pruned model, and gets the value that the reference computed.

import (
	"context"
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// decideWithPicksGiven runs the pruned model with the reference's picks.
func (c *comparison) decideWithPicksGiven(ctx context.Context, s *selection) error {
	for _, n := range s.a.nodes {
		if rounding[n.OpType] && slices.ContainsFunc(n.Inputs, func(r string) bool { return s.unequal[r] }) {
			s.given = append(s.given, n)
		}
	}
	if len(s.given) == 0 {
		c.decidePlainly()
		return nil
	}
	c.steps += 3 + 3*len(c.sets)
	want, own, err := c.runBoth(ctx, s.aroundPicks())
	if err != nil || own == nil {
		return err
	}
	forced := s.forced(want, own)
	own = nil
	if len(forced) == 0 {
		c.decidePlainly()
		return nil
	}
	led, extra := give(c.candidate.model, forced, want)
	got, err := c.run(ctx, side{led, c.candidate.name}, s.frontOfPicks(forced).names, extra)
	if failed := c.failed(ctx, err); failed || err != nil {
		if failed {
			return nil
		}
		return err
	}
	c.judgeGiven(s, forced, want, got)
	return nil
}

// decidePlainly decides by the outputs alone.
func (c *comparison) decidePlainly() {
	switch {
	case !passed(c.report.Outputs):
		c.report.Decided = "the outputs differ: " + c.describeFailures(c.report.Outputs)
	case len(c.weak) == len(c.outputs):
		c.report.Decided = "all outputs are empty or next to zero with these inputs, so nothing is proven: give real ones"
	default:
		c.report.Pass = true
		c.report.Decided = c.why(fmt.Sprintf("the outputs are equal (%s)", counted(len(c.outputs), "output")))
	}
}

// aroundPicks lists what the picks read and write.
func (s *selection) aroundPicks() []string {
	var out []string
	for _, n := range s.given {
		for _, name := range slices.Concat(n.Inputs, n.Outputs) {
			if s.touched[name] && s.b.makers[name] != nil && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// forced returns the values to give: what picks wrote that jumps. A value whose shape the pruning changed can not be given; behind picks that
// return more or fewer elements, other extents are no hindrance.
func (s *selection) forced(want, own []values) []string {
	elastic := map[*onnxio.Node]bool{}
	for _, n := range s.given {
		if resizing[n.OpType] {
			elastic[n] = true
		}
	}
	loose := s.a.reached(elastic, anything)
	var out []string
	for _, n := range s.given {
		if s.differs[n] { // its own weights or attributes changed: what it picks is part of what has to be proven
			continue
		}
		for _, name := range n.Outputs {
			if name == "" || s.b.makers[name] == nil {
				continue
			}
			fits := true
			for run := range want {
				w, ok1 := want[run][name].(*value.Tensor)
				o, ok2 := own[run][name].(*value.Tensor)
				fits = fits && ok1 && ok2 && w.Type == o.Type && len(w.Shape) == len(o.Shape) && (loose[name] || slices.Equal(w.Shape, o.Shape)) &&
					(!w.Type.IsFloat() || jumps(n))
			}
			if fits {
				out = append(out, name)
			}
		}
	}
	return out
}

// jumps reports whether a pick's output of floats jumps too: TopK's values, for example, do not.
func jumps(n *onnxio.Node) bool {
	switch n.OpType {
	case "Round", "Floor", "Ceil", "Sign", "Hardmax", "Unique", "Bernoulli":
		return true
	}
	return false
}

// give returns the model with the named values as inputs in place of what its own nodes write, and these inputs per run.
func give(m *onnxio.Model, names []string, want []values) (*onnxio.Model, []values) {
	led := m.Clone()
	for _, n := range led.Graph.Nodes {
		outs := slices.Clone(n.Outputs)
		changed := false
		for i, o := range outs {
			if slices.Contains(names, o) {
				outs[i], changed = o+" before it was given", true
			}
		}
		if changed {
			n.SetOutputs(outs...)
		}
	}
	extra := make([]values, len(want))
	for run := range want {
		extra[run] = values{}
		for _, name := range names {
			extra[run][name] = want[run][name]
		}
	}
	for _, name := range names {
		led.Graph.AddInput(onnxio.NewValueInfo(name, &onnxio.Type{Kind: onnxio.KindTensor, Elem: want[0][name].(*value.Tensor).Type}))
	}
	return led, extra
}

// frontOfPicks lists what the given picks were picked from.
func (s *selection) frontOfPicks(forced []string) front {
	f := front{before: map[string]string{}}
	for _, n := range s.given {
		if !slices.ContainsFunc(n.Outputs, func(o string) bool { return o != "" && slices.Contains(forced, o) }) {
			continue
		}
		for _, name := range n.Inputs {
			if _, seen := f.before[name]; !seen && s.touched[name] && s.b.makers[name] != nil && !slices.Contains(forced, name) {
				f.names = append(f.names, name)
				f.before[name] = title(n)
			}
		}
	}
	return f
}

// judgeGiven compares the outputs, and what picks were made from, now that both models went the same way.
func (c *comparison) judgeGiven(s *selection, forced []string, want, got []values) {
	const note = "the original's picks"
	inFront := s.telling(c.judgeFront(s.frontOfPicks(forced), want, got))
	var led []Output
	for _, o := range c.judgeAll(outputNames(c.reference.model), want, got) {
		if !slices.Contains(forced, o.Name) { // else it was given
			led = append(led, o)
		}
	}
	decisive := slices.Concat(led, inFront)
	for i := range decisive {
		decisive[i].Given = note
	}
	c.report.Outputs = slices.Concat(c.report.Outputs, decisive)
	c.report.Pass = passed(decisive) && len(decisive) > 0
	var where []string
	for _, n := range s.given {
		if !slices.Contains(where, title(n)) && slices.ContainsFunc(n.Outputs, func(o string) bool { return slices.Contains(forced, o) }) {
			where = append(where, title(n))
		}
	}
	if !c.report.Pass {
		c.report.Decided = fmt.Sprintf("the models differ even with the original's picks given to the pruned one (%s): %s", listed(where), c.describeFailures(decisive))
		return
	}
	c.report.Decided = fmt.Sprintf("decided with the original's picks given to the pruned model (%s): %s equal, and %s before them; %s",
		listed(where), isAre(len(led), "output"), counted(len(inFront), "value"), c.why("without them the outputs are equal too"))
}

func isAre(n int, what string) string {
	if n == 1 {
		return counted(n, what) + " is"
	}
	return counted(n, what) + " are"
}
