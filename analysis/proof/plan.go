package proof

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
)

// A plan names the channels that go several times over: in the lists of what every tensor keeps, in its masks, and in its cuts. All of them
// must name the same classes of channels, and all else in the plan must be what the removal of these classes changes in the original.

// checkPlan makes the plan anew out of the channels that it removes, and compares.
func checkPlan(a *channels.Analysis, p *plan.Plan) error {
	r := removal{a: a, gone: map[atoms.ID]place{}}
	if err := r.tensors(p.Tensors); err != nil {
		return err
	}
	r.masks(p.Masks)
	r.folds(p.Folds)
	byCuts, err := r.cuts(p.Cuts)
	if err != nil {
		return err
	}
	removed := map[atoms.ID]bool{}
	for _, from := range []map[atoms.ID]place{r.gone, byCuts} {
		for _, c := range slices.Sorted(maps.Keys(from)) {
			if !a.Removable(c) {
				return planFault("it removes %s, which can not go: %s", from[c], r.why(c))
			}
			removed[c] = true
		}
	}
	if len(p.Cuts) == 0 && len(p.Request.Params) > 0 && len(removed) > 0 {
		return planFault("it says that %q were asked for, but names no cut", p.Request.Params)
	}
	for _, c := range p.Cuts {
		w := a.Params[slices.IndexFunc(a.Params, func(w *channels.Param) bool { return w.Name == c.Param })]
		stay := 0
		for _, class := range a.Classes(w) {
			if !removed[class] {
				stay++
			}
		}
		if c.After < stay || c.After > c.Before-len(c.Removed) {
			return planFault("it says that %d of %d output channels of %q stay where it takes %d, and %d stay in the end", c.After, c.Before, c.Param, len(c.Removed), stay)
		}
	}
	if len(p.Cuts) > 0 {
		for _, c := range slices.Sorted(maps.Keys(r.gone)) {
			if _, named := byCuts[c]; !named {
				return planFault("it removes %s, which none of its cuts names", r.gone[c])
			}
		}
	}
	want, err := plan.Build(a, removed)
	if err != nil {
		return planFault("%v", err)
	}
	return compare(p, want)
}

// planFault is a fault of the plan itself.
func planFault(format string, args ...any) error {
	return &Fault{In: "plan", Text: fmt.Sprintf(format, args...)}
}

// removal collects the classes of channels that a plan removes, each with the first place where it says so.
type removal struct {
	a    *channels.Analysis
	gone map[atoms.ID]place
}

// place is an index of an axis of a tensor, or of an input of a node.
type place struct {
	name        string
	node        bool
	input, axis int
	index       int
}

func (p place) String() string {
	if p.node {
		return fmt.Sprintf("index %d of axis %d of input %d of node %q", p.index, p.axis, p.input, p.name)
	}
	return fmt.Sprintf("index %d of axis %d of %q", p.index, p.axis, p.name)
}

func (r *removal) why(c atoms.ID) string {
	if why := r.a.State.Set.Pinned(c); why != nil {
		return why.Text
	}
	return channels.NoWeight.Text
}

func (r *removal) tensors(list []plan.Tensor) error {
	type axis struct {
		tensor string
		axis   int
	}
	sources := map[axis][]*atoms.Source{}
	for _, arr := range r.a.State.Set.Arrays() {
		if s := arr.Owner; s != nil {
			k := axis{s.Value.FullName(), s.Axis}
			sources[k] = append(sources[k], s)
		}
	}
	for _, t := range list {
		for _, k := range slices.Sorted(maps.Keys(t.Keep)) {
			found := false
			for _, s := range sources[axis{t.Name, k}] {
				if s.Use.Node != nil && len(t.Uses) > 0 && !slices.Contains(t.Uses, plan.Use{Node: s.Use.Node.Path, Input: s.Use.Input}) {
					continue
				}
				found = true
				stays := make([]bool, len(s.Array.IDs))
				for _, i := range t.Keep[k] {
					if i < 0 || i >= len(stays) {
						return planFault("it keeps index %d of axis %d of %q, which has %d", i, k, t.Name, len(stays))
					}
					stays[i] = true
				}
				for i, id := range s.Array.IDs {
					if !stays[i] {
						r.remove(id, place{name: t.Name, axis: k, index: i})
					}
				}
			}
			if !found {
				return planFault("axis %d of %q holds no channels that could go", k, t.Name)
			}
		}
	}
	return nil
}

// masks adds what the masks of activations say: a weight that is computed from a shape has no tensor that could.
func (r *removal) masks(list []plan.Mask) {
	nodes := map[string]*graph.Node{}
	for _, n := range r.a.Graph.Main.Nodes {
		nodes[n.Path] = n
	}
	for _, m := range list {
		axes := r.a.State.Reads[graph.Use{Node: nodes[m.Node], Input: m.Input}]
		if !m.Activation || m.Axis < 0 || m.Axis >= len(axes) || axes[m.Axis].Fixed() {
			continue
		}
		for _, i := range m.Removed {
			if ids := axes[m.Axis].IDs; i >= 0 && i < len(ids) {
				r.remove(ids[i], place{name: m.Node, node: true, input: m.Input, axis: m.Axis, index: i})
			}
		}
	}
}

// folds adds what values that are worked out lose: the constants that they are computed from may have gone with the nodes.
func (r *removal) folds(list []plan.Fold) {
	values := map[string]*graph.Value{}
	for _, v := range r.a.Graph.Main.Nodes {
		for _, out := range v.Outputs {
			if out != nil {
				values[out.FullName()] = out
			}
		}
	}
	for _, f := range list {
		v := values[f.Value]
		if v == nil {
			continue // compare says so
		}
		for k, axis := range r.a.State.Labels[v.ID] {
			keep, cut := f.Keep[k]
			if axis.Fixed() || !cut {
				continue
			}
			for i, id := range axis.IDs {
				if !slices.Contains(keep, i) {
					r.remove(id, place{name: f.Value, axis: k, index: i})
				}
			}
		}
	}
}

// cuts returns the classes that the cuts name.
func (r *removal) cuts(list []plan.Cut) (map[atoms.ID]place, error) {
	out := map[atoms.ID]place{}
	for _, c := range list {
		at := slices.IndexFunc(r.a.Params, func(p *channels.Param) bool { return p.Name == c.Param })
		if at < 0 {
			return nil, planFault("it cuts %q, which is no weight of the original", c.Param)
		}
		p := r.a.Params[at]
		classes := r.a.Classes(p)
		if int64(c.Before) != p.Out {
			return nil, planFault("it cuts %q as if it had %d output channels, the original has %d", c.Param, c.Before, p.Out)
		}
		for _, i := range c.Removed {
			if i < 0 || i >= len(classes) {
				return nil, planFault("it cuts output channel %d of %q, which has %d", i, c.Param, len(classes))
			}
			out[classes[i]] = place{name: c.Param, axis: p.Axis, index: i}
		}
	}
	return out, nil
}

func (r *removal) remove(id atoms.ID, where place) {
	c := r.a.State.Set.Find(id)
	if _, known := r.gone[c]; !known {
		r.gone[c] = where
	}
}

// compare looks for the first entry in which a plan differs from what it should be.
func compare(have, want *plan.Plan) error {
	return cmp.Or(
		entries("the cut of a tensor", have.Tensors, want.Tensors, tensorKey),
		entries("an attribute", have.Attributes, want.Attributes, func(a plan.Attribute) string {
			return fmt.Sprintf("attribute %s of node %q", a.Name, a.Node)
		}),
		entries("an operand", have.Operands, want.Operands, func(o plan.Operand) string {
			return fmt.Sprintf("input %d of node %q", o.Input, o.Node)
		}),
		entries("a frozen number", have.Freezes, want.Freezes, func(f plan.Freeze) string { return fmt.Sprintf("the frozen value %q", f.Value) }),
		entries("a value that is worked out", have.Folds, want.Folds, func(f plan.Fold) string { return fmt.Sprintf("the value %q that is worked out", f.Value) }),
		entries("a declared shape", have.Values, want.Values, func(v plan.Value) string { return fmt.Sprintf("the declared shape of %q", v.Name) }),
		entries("a mask", have.Masks, want.Masks, func(m plan.Mask) string {
			return fmt.Sprintf("the mask of input %d, axis %d, of node %q", m.Input, m.Axis, m.Node)
		}),
		inexact(have.Inexact, want.Inexact),
	)
}

func tensorKey(t plan.Tensor) string {
	s := fmt.Sprintf("the cut of tensor %q", t.Name)
	for i, u := range t.Uses {
		s += fmt.Sprintf("%s input %d of node %q", map[bool]string{true: " for", false: " and"}[i == 0], u.Input, u.Node)
	}
	return s
}

// inexact compares only whether there is a reason: the words are for people. A plan that says so without one would go unproven.
func inexact(have, want []string) error {
	switch {
	case len(have) > 0 && len(want) == 0:
		return planFault("it says that its result is inexact (%s), but removing these channels is exact", have[0])
	case len(have) == 0 && len(want) > 0:
		return planFault("it lacks that its result is inexact: %s", want[0])
	}
	return nil
}

// entries compares two lists of one kind of entry whatever their order.
func entries[T any](kind string, have, want []T, key func(T) string) error {
	left := map[string][]T{}
	for _, e := range want {
		left[key(e)] = append(left[key(e)], e)
	}
	for _, e := range have {
		k := key(e)
		ws := left[k]
		if len(ws) == 0 {
			return planFault("it says more than removing its channels changes in the original: %s, %s", kind, k)
		}
		at := slices.IndexFunc(ws, func(w T) bool { return reflect.DeepEqual(e, w) || text(e) == text(w) }) // JSON tells nothing apart from an empty list
		if at < 0 {
			return planFault("%s is not what removing its channels makes of the original: %s", k, difference(text(e), text(ws[0])))
		}
		left[k] = slices.Delete(slices.Clone(ws), at, at+1)
	}
	for _, e := range want {
		if len(left[key(e)]) > 0 {
			return planFault("it lacks %s that removing its channels changes in the original: %s", kind, key(e))
		}
	}
	return nil
}

func text(e any) string {
	b, err := json.Marshal(e)
	if err != nil { // these are plain structures of numbers, lists and strings
		return err.Error()
	}
	return string(b)
}

// difference shows the first place where two JSON texts differ, with a few characters around it.
func difference(have, want string) string {
	at := 0
	for at < len(have) && at < len(want) && have[at] == want[at] {
		at++
	}
	from := max(strings.LastIndexAny(have[:at], "{[\""), at-20, 0)
	part := func(s string) string {
		part, more := s[from:min(len(s), at+20)], ""
		if at+20 < len(s) {
			more = "…"
		}
		return "…" + strings.ToValidUTF8(part, "") + more
	}
	return fmt.Sprintf("it has %s, that is %s", part(have), part(want))
}
