package onnxprune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/verify"
)

// checkShapes analyses a pruned model from scratch and compares it with what was known before: outputs keep their names, types and
// shapes, tensors have the shapes that the plan gave them, and what the file declares agrees with what is
// inferred. It returns the linked graph of the model, and its cost.
func checkShapes(n *Network, p *plan.Plan, pruned *onnxio.Model) (*graph.Graph, *cost.Report, error) {
	fail := func(format string, args ...any) (*graph.Graph, *cost.Report, error) {
		msg := fmt.Sprintf(format, args...)
		return nil, nil, &VerifyError{Msg: "the pruned model is not right: " + msg, Err: errors.New(msg)}
	}
	g, s, err := infer(pruned, Options{InputShapes: n.options.InputShapes})
	if err != nil {
		return fail("%v", err)
	}
	was, is := n.Graph.Main.Outputs, g.Main.Outputs
	if len(was) != len(is) {
		return fail("it has %d outputs, the original %d", len(is), len(was))
	}
	for i, v := range was {
		a, b := n.Shapes.Of(v), s.Of(is[i])
		if v.Name != is[i].Name || a.Elem != b.Elem || !agree(a, b) {
			return fail("output %q is %v, in the original %q is %v", is[i].Name, b, v.Name, a)
		}
	}
	for _, t := range p.Tensors {
		v := g.Main.Lookup(t.Name)
		if v == nil || len(t.Uses) > 0 { // it lies in a function, or its readers have copies now
			continue
		}
		for axis, keep := range t.Keep {
			if d := v.Data().Dims; axis >= len(d) || d[axis] != int64(len(keep)) {
				return fail("tensor %q has the shape %v, but %d indices of axis %d were kept", t.Name, d, len(keep), axis)
			}
		}
	}
	for _, v := range p.Values {
		if w := g.Main.Lookup(v.Name); w != nil {
			for axis, want := range v.Size {
				if have, known := s.Of(w).Fixed(axis); known && have != want {
					return fail("axis %d of %q is %d, but %d was worked out", axis, v.Name, have, want)
				}
			}
		}
	}
	if err := declaredAgrees(n, g, s); err != nil {
		return fail("%v", err)
	}
	c, _ := costOf(g, s, n.options)
	return g, c, nil
}

// agree reports whether two shapes do not contradict each other.
func agree(a, b *shape.Info) bool {
	if !a.Known || !b.Known {
		return a.Known == b.Known
	}
	if len(a.Dims) != len(b.Dims) {
		return false
	}
	for k := range a.Dims {
		x, known := a.Fixed(k)
		y, also := b.Fixed(k)
		if known != also || x != y {
			return false
		}
	}
	return true
}

// declaredAgrees compares what a model declares of its values with what was inferred. Where the original contradicts itself already, so may
// the pruned model.
func declaredAgrees(n *Network, g *graph.Graph, s *shape.Result) error {
	for _, v := range g.Main.Declared() {
		if contradiction(v, s.Of(v)) == "" {
			continue
		}
		if old := n.Graph.Main.Lookup(v.Name); old != nil && old.Declared != nil && contradiction(old, n.Shapes.Of(old)) != "" {
			continue
		}
		return fmt.Errorf("%s", contradiction(v, s.Of(v)))
	}
	return nil
}

func contradiction(v *graph.Value, in *shape.Info) string {
	t := v.Declared
	if t.Kind != onnxio.KindTensor || !t.HasShape || !in.Known {
		return ""
	}
	wrong := len(t.Shape) != len(in.Dims)
	for k, d := range t.Shape {
		if have, known := in.Fixed(k); known && d.Known && d.Value >= 0 && have != d.Value && (d.Value > 0 || !v.Input) {
			wrong = true
		}
	}
	if wrong {
		return fmt.Sprintf("%q is declared as %v, but it is %v", v.Name, t, in)
	}
	return ""
}

// checkInputs reads the files that a comparison is to run on, so that they are refused before the work and not after.
func (n *Network) checkInputs(opt verify.Options) error {
	var have []string
	for _, v := range n.Graph.Main.Inputs {
		have = append(have, v.Name)
	}
	for _, name := range sortedKeys(opt.Inputs) {
		if !slices.Contains(have, name) {
			return usage("a file is given for the input %q, but the model has no such input; it has %s", name, strings.Join(have, ", "))
		}
	}
	if len(opt.Inputs) == 0 {
		return nil
	}
	_, err := feed.Make(n.Model, feed.Options{Seed: opt.Seed, Files: opt.Inputs, Shapes: n.options.InputShapes, Picture: opt.Picture})
	if err != nil {
		return &ModelError{n.Model.Path, err}
	}
	return nil
}

// compare runs the pruned model against its masked twin.
func (n *Network) compare(ctx context.Context, twin, pruned *onnxio.Model, p *plan.Plan, opt verify.Options) (Verification, error) {
	out := Verification{Mode: VerifyMasked, Status: "passed"}
	removed, err := plan.Removed(n.Channels, p)
	if err != nil {
		return out, refuse("%v", err)
	}
	opt.Shapes, opt.Kept, opt.Inexact = n.options.InputShapes, plan.Kept(n.Channels, removed), len(p.Inexact) > 0
	r, err := verify.Compare(ctx, twin, pruned, opt)
	if err != nil {
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		return out, &VerifyError{Msg: fmt.Sprintf("verification could not run: %s; %s--verify load or off goes without it", obstacle(err), sizeHint(err)), Err: err}
	}
	out.Comparison = r
	if len(p.Inexact) > 0 {
		r.Inexact = p.Inexact
		if len(r.Outputs) == 0 { // it did not run
			return out, &VerifyError{Msg: "verification failed: " + r.Decided, Report: r}
		}
		out.Summary = "inexact by nature (" + strings.Join(p.Inexact, "; ") + "): that the pruned model runs was required, the differences are for information"
		if r.Original != nil {
			out.Summary += "; " + r.Original.String()
		}
		return out, nil
	}
	if !r.Pass {
		return out, &VerifyError{Msg: "verification failed: " + r.Decided, Report: r}
	}
	out.Summary = "equal to the original with the removed channels silenced: " + r.Decided
	if r.Original != nil {
		out.Summary += "; " + r.Original.String()
	}
	return out, nil
}

// sizeHint tells what to do about a size that was chosen and does not suit the model.
func sizeHint(err error) string {
	var size *verify.SizeError
	if !errors.As(err, &size) {
		return ""
	}
	var flags []string
	for _, name := range size.Inputs {
		flags = append(flags, "--input-shape "+name+":…")
	}
	return "give a size at which it runs with " + strings.Join(flags, " ") + "; "
}

// obstacle says why a comparison could not run: in a few words where the runtime lacks operators.
func obstacle(err error) string {
	var lacks *verify.CannotRunError
	if errors.As(err, &lacks) && len(lacks.Operators) > 0 {
		out := "the embedded runtime can not run " + strings.Join(lacks.Operators, ", ")
		if len(lacks.Behind) > 0 {
			out += fmt.Sprintf(", and behind it the plan changes %s (%d nodes in all), which needs a run", lacks.Behind[0], len(lacks.Behind))
		}
		return out
	}
	return err.Error()
}

// Verify proves a pruned model file against its original and the plan by which it was pruned: first that the file is what original and plan make
// it, bit by bit, then shapes, then a run against the masked original.
func Verify(ctx context.Context, original, pruned, planFile string, opt Options, cmp verify.Options) (*Verification, error) {
	if err := cmp.Check(); err != nil {
		return nil, err
	}
	p, err := ReadPlan(planFile)
	if err != nil {
		return nil, err
	}
	n, err := Open(original, opt)
	if err != nil {
		return nil, err
	}
	defer n.Close()
	m, err := onnxio.Open(pruned)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	back := ""
	if p.Size != nil {
		if n, back, err = n.at(p.Size); err != nil {
			return nil, err
		}
	}
	notes := origin(n.Model, m, p)
	if p.Repair != nil && len(p.Repair.Refits) > 0 {
		cut, err := n.unrepaired(p, m)
		if err != nil {
			return nil, foreign(err, notes)
		}
		notes = append(notes, fmt.Sprintf("the model was repaired: %d constants have other elements than the cut, as the plan lists them, and nothing else differs; the cut itself is what is proven here", len(p.Repair.Refits)))
		m = cut
	}
	g, err := graph.Build(m)
	if err != nil {
		return nil, foreign(&VerifyError{Msg: "the pruned model is not right: " + err.Error(), Err: err}, notes)
	}
	static, err := n.prove(p, g)
	if err != nil {
		return nil, foreign(err, notes)
	}
	if _, _, err := checkShapes(n, p, m); err != nil {
		return nil, foreign(err, notes)
	}
	if err := n.checkInputs(cmp); err != nil {
		return nil, err
	}
	twin, err := rewrite.MaskedTwin(n.Model, p)
	if err != nil {
		return nil, refuse("%v", err)
	}
	cmp.Original = n.Model
	v, err := n.compare(ctx, twin, m, p, cmp)
	if err != nil {
		return nil, foreign(err, notes)
	}
	v.Static, v.Notes, v.SizeBack = static, notes, back
	return &v, nil
}

// foreign adds to a proof that failed what the file itself says of where it comes from: the likely reason.
func foreign(err error, notes []string) error {
	var proof *VerifyError
	if errors.As(err, &proof) && len(notes) > 0 {
		proof.Msg += "; " + strings.Join(notes, "; ")
	}
	return err
}
