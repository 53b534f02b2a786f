package verify

// Models that pick by value. A difference in the last bit can swap two equal scores, push a box over a threshold, or turn one
// index into another, and from there on two right models go different ways. Their outputs say nothing then. What
// does, in this order:
//
//  1. Where everything behind the picks is the same in both models, node by node and weight by weight, equal values in front
//     of it prove equal behaviour. So all values are compared that are computed differently and flow into that part.
//  2. Else (a detector whose second stage was pruned too) the reference's picks are given to the pruned model: the
//     indices of its TopK and NonMaxSuppression, the results of its comparisons. What they were picked from is compared, and all
//     outputs must be equal, now that both models went the same way.
//
// A pick that is made in the body of a Loop or Scan, or in a local function, can not be given; behind it only the first
// way is open. A value in front of a pick that differs fails either way.

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"onnxprune/onnxio"
)

// picking are the operators whose result jumps where their input changes a little.
var picking = map[string]bool{
	"NonMaxSuppression": true, "TopK": true, "NonZero": true, "ArgMax": true, "ArgMin": true, "Unique": true, "Hardmax": true,
	"Greater": true, "GreaterOrEqual": true, "Less": true, "LessOrEqual": true, "Equal": true,
	"Round": true, "Floor": true, "Ceil": true, "Sign": true, "Multinomial": true, "Bernoulli": true,
}

// rounding are those that jump by a step which is small by itself: that counts only where the outputs differ without them.
var rounding = map[string]bool{"QuantizeLinear": true, "DynamicQuantizeLinear": true}

// resizing are those that return as many elements as they pick.
var resizing = map[string]bool{"NonMaxSuppression": true, "NonZero": true, "Unique": true}

// picks reports whether a node picks by value itself.
func picks(n *onnxio.Node) bool {
	switch {
	case n.Domain != "" && n.Domain != "ai.onnx":
		return n.Domain == "com.microsoft" && n.OpType == "NonMaxSuppression"
	case n.OpType == "Cast":
		a := n.Attribute("to")
		return a != nil && !onnxio.DataType(a.I).IsFloat()
	case n.OpType == "MaxPool":
		return len(n.Outputs) > 1
	}
	return picking[n.OpType]
}

// picksInside reports whether a node picks in one of its bodies, or in the function that it calls.
func (w *network) picksInside(n *onnxio.Node, depth int) bool {
	const deepest = 100 // local functions may call one another, but not in a circle
	if depth > deepest {
		return true
	}
	inside := func(m *onnxio.Node) bool { return picks(m) || w.picksInside(m, depth+1) }
	for _, a := range n.Attributes {
		for _, body := range a.Subgraphs() {
			if slices.ContainsFunc(body.Nodes, inside) {
				return true
			}
		}
	}
	f := w.function(n)
	return f != nil && slices.ContainsFunc(f.Nodes, inside)
}

// selection is what is known of the picks of two models that differ.
type selection struct {
	a, b    *network
	differs map[*onnxio.Node]bool // nodes of a
	touched map[string]bool       // values of a that hang on them in any way
	unequal map[string]bool       // values of a whose elements may differ in the last bits
	given   []*onnxio.Node        // nodes of a whose picks can be given to b
	closed  []*onnxio.Node        // those whose picks can not be given
}

func (c *comparison) selection() *selection {
	s := &selection{a: networkOf(c.reference.model), b: networkOf(c.candidate.model)}
	s.differs = differing(s.a, s.b)
	s.touched = s.a.reached(s.differs, anything)
	s.unequal = s.a.reached(s.differs, func(n *onnxio.Node) bool { return n.OpType != "Shape" && n.OpType != "Size" })
	for _, n := range s.a.nodes {
		if !slices.ContainsFunc(s.a.reads[n], func(r string) bool { return s.unequal[r] }) && !s.differs[n] {
			continue
		}
		switch {
		case picks(n):
			s.given = append(s.given, n)
		case s.a.picksInside(n, 0):
			s.closed = append(s.closed, n)
		}
	}
	return s
}

func (s *selection) all() []*onnxio.Node { return slices.Concat(s.given, s.closed) }

// behind returns the nodes that hang on picks, and whether all of them are the same in both models.
func (s *selection) behind(picks []*onnxio.Node) (part map[*onnxio.Node]bool, same bool) {
	from := map[*onnxio.Node]bool{}
	for _, n := range picks {
		from[n] = true
	}
	values := s.a.reached(from, anything)
	part, same = map[*onnxio.Node]bool{}, true
	for _, n := range s.a.nodes {
		if slices.ContainsFunc(n.Outputs, func(o string) bool { return o != "" && values[o] }) {
			part[n] = true
			same = same && !s.differs[n]
		}
	}
	return part, same
}

// front lists the values that flow from the models' differences into a part of the network, each with the node that reads it.
type front struct {
	names  []string
	before map[string]string
	of     map[string][]string // by output: which of names it was made from; see squashed
}

// Where the part is not the same in both models, only what picks read is listed: the other values may have lost channels.
func (s *selection) front(part map[*onnxio.Node]bool, same bool) front {
	f := front{before: map[string]string{}}
	add := func(name string, n *onnxio.Node) {
		if maker := s.a.makers[name]; maker == nil || part[maker] || !s.touched[name] || s.b.makers[name] == nil {
			return
		}
		if _, seen := f.before[name]; !seen {
			f.names = append(f.names, name)
			f.before[name] = title(n)
		}
	}
	for _, first := range []bool{true, false} { // name the pick where a pick reads it
		for _, n := range s.a.nodes {
			if part[n] && (picks(n) || !first && same) {
				for _, r := range s.a.reads[n] {
					add(r, n)
				}
			}
		}
	}
	return f
}

// judgeFront compares values in front of picks.
func (c *comparison) judgeFront(f front, want, got []values) []Output {
	out := c.judgeAll(f.names, want, got)
	for i := range out {
		out[i].Before = f.before[out[i].Name]
	}
	return out
}

// telling leaves out shapes and the like, which the models' numbers do not flow into, where they agree.
func (s *selection) telling(outputs []Output) []Output {
	return slices.DeleteFunc(outputs, func(o Output) bool { return o.Pass && !s.unequal[o.Name] })
}

// decideInFront decides where all that hangs on picks is the same in both models: by what flows into it, and by the outputs beside it.
func (c *comparison) decideInFront(s *selection, part map[*onnxio.Node]bool, f front, inFront []Output) {
	decisive := slices.Clone(inFront)
	for _, o := range slices.Concat(c.outputs, c.squashed) {
		if n := s.a.makers[o.Name]; n == nil || !part[n] {
			decisive = append(decisive, o)
		}
	}
	where := pickNames(f, s.all())
	c.report.Pass = passed(decisive)
	if !c.report.Pass {
		c.report.Decided = fmt.Sprintf("the values before %s differ: %s", where, c.describeFailures(decisive))
		return
	}
	c.report.Decided = fmt.Sprintf("decided by the values before %s: %s equal, and all that follows is the same in both models; %s",
		where, isAre(len(inFront), "value"), c.why("the outputs are equal"))
}

// why says for what reason the outputs alone could not decide.
func (c *comparison) why(equal string) string {
	if passed(c.outputs) {
		return fmt.Sprintf("%s, but %s empty or next to zero with these inputs", equal, isAreNamed(c.weak))
	}
	return "the outputs differ only because near-equal values were picked differently" + c.rowsFound()
}

func isAreNamed(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return listed(names) + " are"
}

// pickNames names the picks that read the values in front.
func pickNames(f front, all []*onnxio.Node) string {
	var first []string
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b *onnxio.Node) int { return cmp.Compare(rank(a), rank(b)) })
	for _, n := range all {
		if t := title(n); slices.ContainsFunc(f.names, func(name string) bool { return f.before[name] == t }) {
			first = append(first, t)
		}
	}
	if len(first) == 0 {
		first = append(first, title(all[0]))
	}
	return listed(first)
}

// rank puts first what users know as selections.
func rank(n *onnxio.Node) int {
	if i := slices.Index([]string{"NonMaxSuppression", "TopK"}, n.OpType); i >= 0 {
		return i
	}
	return 2
}

func (c *comparison) rowsFound() string {
	var out []string
	for _, o := range c.report.Outputs {
		if o.Rows != nil {
			out = append(out, fmt.Sprintf("%d of %d rows of %q are found again", o.Rows.Matched, o.Rows.Reference, o.Name))
		}
	}
	if out == nil {
		return ""
	}
	return " (" + strings.Join(out, ", ") + ")"
}

// describeFailures names what did not pass.
func (c *comparison) describeFailures(outputs []Output) string {
	var out []string
	for _, o := range outputs {
		switch {
		case o.Pass:
		case o.Problem != "":
			out = append(out, fmt.Sprintf("%q: %s", o.Name, o.Problem))
		default:
			out = append(out, fmt.Sprintf("%q by up to %.3g (range %.3g): it needs rtol %.2g, %.2g is allowed", o.Name, o.MaxAbs, o.Range, o.NeedRTol, c.opt.RTol))
		}
	}
	if out == nil {
		return "nothing could be compared"
	}
	return listed(out)
}
