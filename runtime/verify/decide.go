package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"onnxprune/runtime/value"
)

// decide sums the comparison up: whether it passes, and in words by what.
func (c *comparison) decide() {
	r, s := c.report, c.selection
	var jumped, wrong, weak, nothing []Output
	for _, o := range r.Outputs {
		switch {
		case o.nothing:
			nothing = append(nothing, o)
		case o.Pass && o.empty:
			weak = append(weak, o)
		case o.Pass:
		case s.behind[o.Name] && o.led:
			jumped = append(jumped, o)
		default:
			wrong = append(wrong, o)
		}
	}
	inside := fmt.Sprintf("%s inside of the models", counted(r.Values.Compared, "value"))
	switch {
	case len(r.Values.Differ) > 0:
		r.Decided = c.firstDifference()
	case len(nothing) > 0:
		r.Decided = c.describeFailures(nothing)
	case len(wrong) > 0:
		r.Decided = "the outputs differ: " + c.describeFailures(wrong)
	case len(s.differs) == 0 && len(jumped) == 0:
		r.Pass = true
		r.Decided = "the models are the same, node by node and weight by weight"
	case len(weak) == len(r.Outputs) && !c.walk.telling:
		r.Decided = "all outputs are empty or zero with these inputs, and so is all that leads to them, so nothing is proven: give real ones"
	case len(jumped) > 0:
		r.Pass = true
		r.Decided = fmt.Sprintf("decided node by node: on equal inputs every node gives equal values (%s); the outputs of whole runs differ only by rounding, and by near-equal values that were picked or rounded differently behind %s%s%s",
			inside, s.named(), c.rowsFound(), c.notRun())
	default:
		r.Pass = true
		r.Decided = fmt.Sprintf("%s, and so are %s%s", c.equal(), inside, c.notRun())
		if len(weak) > 0 {
			r.Decided += fmt.Sprintf("; %s empty or zero with these inputs", isAreNamed(weak))
		}
	}
}

// equal tells what was compared as an output.
func (c *comparison) equal() string {
	fronts := 0
	for _, o := range c.report.Outputs {
		if o.Before != "" {
			fronts++
		}
	}
	var out []string
	if n := len(c.report.Outputs) - fronts; n > 0 {
		out = append(out, fmt.Sprintf("the outputs are equal (%s)", counted(n, "output")))
	}
	if fronts > 0 {
		out = append(out, fmt.Sprintf("what %s reads is equal (%s)", listed(c.report.Cut.Nodes), counted(fronts, "value")))
	}
	return strings.Join(out, ", ")
}

// notRun tells why what was not run is proven all the same.
func (c *comparison) notRun() string {
	cut := c.report.Cut
	if cut == nil {
		return ""
	}
	if len(cut.Nodes) == 1 && cut.Behind == 0 {
		return fmt.Sprintf("; %s, which the runtime does not know, did not run: it is the same in both models", cut.Nodes[0])
	}
	out := "; " + listed(cut.Nodes)
	if cut.Behind > 0 {
		out += fmt.Sprintf(" and the %s behind", counted(cut.Behind, "node"))
	}
	return fmt.Sprintf("%s did not run, because the runtime does not know %s: they are the same in both models", out, listed(cut.Operators))
}

func isAreNamed(outputs []Output) string {
	var names []string
	for _, o := range outputs {
		names = append(names, strconv.Quote(o.Name))
	}
	if len(names) == 1 {
		return names[0] + " is"
	}
	return listed(names) + " are"
}

// firstDifference names the first node whose value differs though its inputs are equal, and the outputs that show it.
func (c *comparison) firstDifference() string {
	all := c.report.Values.Differ
	o := all[0]
	node := o.Node
	if node == "" {
		node = "the node"
	}
	out := fmt.Sprintf("the models differ first at %s: %s", node, c.describeInner(o))
	nodes := []string{o.Node}
	for _, d := range all[1:] {
		if !slices.Contains(nodes, d.Node) {
			nodes = append(nodes, d.Node)
		}
	}
	if len(nodes) > 1 {
		out += fmt.Sprintf("; by themselves differ also %s", listed(nodes[1:]))
	}
	var seen []string
	for i, o := range c.report.Outputs {
		if !o.Pass {
			seen = append(seen, c.where(o, i))
		}
	}
	if seen == nil {
		return out + "; no output shows it with these inputs"
	}
	return out + "; it is seen in " + listed(seen)
}

// describeFailures names what did not pass.
func (c *comparison) describeFailures(outputs []Output) string {
	var out []string
	for _, o := range outputs {
		out = append(out, c.describe(o))
	}
	return listed(out)
}

func (c *comparison) describeInner(i Inner) string {
	return c.describe(Output{Name: i.Name, Shape: i.Shape, MaxAbs: i.MaxAbs, Axis: i.Axis, Slice: i.Slice, Range: i.Range, NeedRTol: i.NeedRTol, Problem: i.Problem})
}

// describe tells by how much a value differs, and where.
func (c *comparison) describe(o Output) string {
	if o.Problem != "" {
		return fmt.Sprintf("%q: %s", o.Name, o.Problem)
	}
	at := ""
	if o.Axis >= 0 {
		at = fmt.Sprintf(" in slice %d of axis %d", o.Slice, o.Axis)
	}
	most := o.MaxAbs
	if o.Slice < len(o.most) {
		most = o.most[o.Slice]
	}
	return fmt.Sprintf("%q %s differs%s by up to %.3g (range %.3g): it needs rtol %.2g, %.2g is allowed", o.Name, dims(o.Shape), at, most, o.Range, o.NeedRTol, c.opt.RTol)
}

// where tells which slices of an output differ, and what these slices are made of.
func (c *comparison) where(o Output, index int) string {
	name := strconv.Quote(o.Name)
	if o.Axis < 0 {
		return name
	}
	var bad []int
	for k, d := range o.most {
		if d > max(c.limits.atol+c.limits.rtol*o.ranges[k], o.floor(k)) {
			bad = append(bad, k)
		}
	}
	if len(bad) == 0 || len(bad) == len(o.most) {
		return name
	}
	return fmt.Sprintf("%s, %s of axis %d%s", name, runsOf(bad), o.Axis, madeBy(c.origin(o.Name, o.Axis, bad[0])))
}

func madeBy(node string) string {
	if node == "" {
		return ""
	}
	return " (from " + node + ")"
}

// runsOf writes indices as ranges: "slices 4 to 83".
func runsOf(list []int) string {
	var parts []string
	for i := 0; i < len(list); {
		j := i
		for j+1 < len(list) && list[j+1] == list[j]+1 {
			j++
		}
		switch {
		case j == i:
			parts = append(parts, strconv.Itoa(list[i]))
		default:
			parts = append(parts, fmt.Sprintf("%d to %d", list[i], list[j]))
		}
		i = j + 1
	}
	if len(list) == 1 {
		return "slice " + parts[0]
	}
	return "slices " + listed(parts)
}

// origin follows an output back to where unlike things were joined along an axis, and names what a slice of it comes from.
func (c *comparison) origin(name string, axis, slice int) string {
	for range 100 { // longer chains of nodes that hand elements on do not occur
		n := c.selection.a.makers[name]
		switch {
		case n == nil || n.Domain != "" || len(n.Inputs) == 0:
			return ""
		case n.OpType == "Concat":
			rank := len(c.shapes[n.Inputs[0]])
			at, ok := 0, false
			if a := n.Attribute("axis"); a != nil && rank > 0 {
				at, ok = (int(a.I)+rank)%rank, true
			}
			if !ok || at != axis {
				return ""
			}
			for _, in := range n.Inputs {
				sh := c.shapes[in]
				if len(sh) != rank {
					return ""
				}
				if slice < sh[axis] {
					if m := c.selection.a.makers[in]; m != nil {
						return title(m)
					}
					return ""
				}
				slice -= sh[axis]
			}
			return ""
		case n.OpType == "Transpose":
			p := n.Attribute("perm")
			if p == nil || axis >= len(p.Ints) {
				return ""
			}
			axis = int(p.Ints[axis])
		case !slices.Equal(c.shapes[name], c.shapes[n.Inputs[0]]):
			if axis = sameAxis(c.shapes[name], axis, c.shapes[n.Inputs[0]]); axis < 0 {
				return ""
			}
		}
		name = n.Inputs[0]
	}
	return ""
}

// sameAxis returns the axis of a reshaped tensor that has the same slices, -1 for none.
func sameAxis(shape []int, axis int, other []int) int {
	if axis >= len(shape) {
		return -1
	}
	before := value.Count(shape[:axis])
	for k, n := range other {
		if n == shape[axis] && value.Count(other[:k]) == before && value.Count(other) == value.Count(shape) {
			return k
		}
	}
	return -1
}

func dims(shape []int) string { return strings.ReplaceAll(fmt.Sprint(shape), " ", ",") }
