package verify

// Models that jump. Operators that pick by value (NonMaxSuppression, TopK, thresholds) or round (QuantizeLinear) can turn a difference in the last
// bit into another pick, and from there on two right models go different ways: their outputs say nothing then. Node by node they still agree,
// because each node is tried on the reference's inputs (together.go), and that decides. Here is told which outputs hang on such
// a node, so that no other output may differ.

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
	"Round": true, "Floor": true, "Ceil": true, "Sign": true, "Mod": true, "Shrink": true, "ThresholdedRelu": true, "Binarizer": true,
	"IsInf": true, "IsNaN": true, "Multinomial": true, "Bernoulli": true, "MaxRoiPool": true, "QuantizeLinear": true,
}

// rounds reports whether an operator rounds its result to a step that is not the type's own.
func rounds(op string) bool {
	return strings.HasPrefix(op, "QLinear") || strings.HasPrefix(op, "DynamicQuantize")
}

// picks reports whether a node picks by value itself.
func picks(n *onnxio.Node) bool {
	switch {
	case rounds(n.OpType):
		return true
	case n.Domain != "" && n.Domain != "ai.onnx":
		return n.Domain == "com.microsoft" && n.OpType == "NonMaxSuppression"
	case n.OpType == "Cast":
		a := n.Attribute("to")
		return a != nil && !onnxio.DataType(a.I).IsFloat()
	case n.OpType == "MaxPool":
		return len(n.Outputs) > 1
	case n.OpType == "GridSample":
		a := n.Attribute("mode")
		return a != nil && string(a.S) == "nearest"
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

// selection is what is known of the jumps of two models that differ.
type selection struct {
	a, b    *network
	differs map[*onnxio.Node]bool // nodes of a
	unequal map[string]bool       // values of a whose elements may differ in the last bits
	jumps   []*onnxio.Node        // nodes of a that can jump
	behind  map[string]bool       // values of a that hang on a jump
}

// jumps looks at both models.
func (c *comparison) jumps() *selection {
	s := &selection{a: networkOf(c.reference.model), b: networkOf(c.candidate.model)}
	s.differs = differing(s.a, s.b)
	s.unequal = s.a.reached(s.differs, func(n *onnxio.Node) bool { return n.OpType != "Shape" && n.OpType != "Size" })
	from := map[*onnxio.Node]bool{}
	for _, n := range s.a.nodes {
		reads := s.differs[n] || slices.ContainsFunc(s.a.reads[n], func(r string) bool { return s.unequal[r] })
		if reads && (picks(n) || s.a.picksInside(n, 0)) {
			s.jumps = append(s.jumps, n)
			from[n] = true
		}
	}
	s.behind = s.a.reached(from, func(*onnxio.Node) bool { return true })
	return s
}

// named lists the jumps, those first that users know as selections.
func (s *selection) named() string {
	rank := func(n *onnxio.Node) int {
		if i := slices.Index([]string{"NonMaxSuppression", "TopK"}, n.OpType); i >= 0 {
			return i
		}
		return 2
	}
	all := slices.Clone(s.jumps)
	slices.SortStableFunc(all, func(a, b *onnxio.Node) int { return cmp.Compare(rank(a), rank(b)) })
	var out []string
	for _, n := range all {
		out = append(out, title(n))
	}
	return listed(out)
}

// rowsFound tells how many detections of outputs that differ are found again.
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
