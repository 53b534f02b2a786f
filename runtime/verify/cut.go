package verify

// Operators that the runtime does not know: plugins of other runtimes, new operators. Everything in front of one is run, and what it reads is compared as an
// output is. It and what hangs on it does not run; it must be the same in both models, node by node and weight by weight, so that equal inputs
// have equal results whatever it computes.

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"onnxprune/onnxio"
)

// Cut is the part of a model that was not run.
type Cut struct {
	Operators []string `json:"operators"` // that the runtime can not run
	Nodes     []string `json:"nodes"`     // of the main graph that hold them
	Behind    int      `json:"behind"`    // how many nodes hang on them
}

// cutOff takes what can not be run, and all that hangs on it, off both models. It returns the error itself where nothing is left to compare, or
// where the models differ in what is taken off.
func (c *comparison) cutOff(err error) error {
	var lacks *CannotRunError
	if !errors.As(err, &lacks) || len(lacks.paths) == 0 {
		return err
	}
	a, b := networkOf(c.reference.model), networkOf(c.candidate.model)
	from, fromB := map[*onnxio.Node]bool{}, map[*onnxio.Node]bool{}
	own := a
	if lacks.Model == c.candidate.name {
		own = b
	}
	cut := &Cut{}
	if c.report.Cut != nil {
		*cut = *c.report.Cut
	}
	for _, path := range lacks.paths {
		n := own.at(path)
		if n == nil {
			return err
		}
		m := n
		if own == a {
			m = b.counterpart(n)
		} else {
			n = a.counterpart(m)
		}
		if n == nil || m == nil {
			return err
		}
		from[n], fromB[m] = true, true
		if t := title(n); !slices.Contains(cut.Nodes, t) {
			cut.Nodes = append(cut.Nodes, t)
		}
	}
	for _, op := range lacks.Operators {
		if !slices.Contains(cut.Operators, op) {
			cut.Operators = append(cut.Operators, op)
		}
	}
	all := func(*onnxio.Node) bool { return true }
	behind, behindB := a.reached(from, all), b.reached(fromB, all)
	differs := differing(a, b)
	var changed []string
	for _, n := range a.nodes {
		if makesAny(n, behind) && differs[n] {
			changed = append(changed, title(n))
		}
	}
	if len(changed) > 0 || len(behind) != len(behindB) {
		lacks.Behind = changed
		return err
	}
	reference, fronts := a.without(behind)
	candidate, frontsB := b.without(behindB)
	if len(reference.Graph.Nodes) == 0 || len(reference.Graph.Outputs) == 0 || !slices.Equal(fronts, frontsB) {
		return err
	}
	for _, n := range a.nodes {
		if makesAny(n, behind) && !from[n] {
			cut.Behind++
		}
	}
	for _, name := range fronts {
		for _, n := range a.nodes {
			if makesAny(n, behind) && slices.Contains(a.reads[n], name) {
				c.before[name] = title(n)
				break
			}
		}
	}
	if c.behind == nil {
		c.behind = map[string]bool{}
	}
	maps.Copy(c.behind, behind)
	c.reference.model, c.candidate.model, c.report.Cut = reference, candidate, cut
	return nil
}

// at returns the node of the main graph that a path of the runtime leads to, or into.
func (w *network) at(path string) *onnxio.Node {
	var found *onnxio.Node
	longest := -1
	for i, n := range w.nodes {
		label := n.Name
		if label == "" {
			label = fmt.Sprintf("%s_%d", n.OpType, i)
		}
		if (path == label || strings.HasPrefix(path, label+"/")) && len(label) > longest {
			found, longest = n, len(label)
		}
	}
	return found
}

func makesAny(n *onnxio.Node, values map[string]bool) bool {
	return slices.ContainsFunc(n.Outputs, func(o string) bool { return o != "" && values[o] })
}

// without returns the model without the nodes that make the given values. What these read of the rest becomes outputs, which are listed.
func (w *network) without(behind map[string]bool) (*onnxio.Model, []string) {
	m := w.model.Clone()
	outputs := map[string]bool{}
	for _, o := range slices.Clone(m.Graph.Outputs) {
		if behind[o.Name] {
			m.Graph.RemoveOutput(o)
		} else {
			outputs[o.Name] = true
		}
	}
	var fronts []string
	for i, n := range slices.Clone(m.Graph.Nodes) {
		if !makesAny(n, behind) {
			continue
		}
		for _, name := range w.reads[w.nodes[i]] {
			if maker := w.makers[name]; maker != nil && !behind[name] && !w.constant[name] && !outputs[name] {
				outputs[name] = true
				fronts = append(fronts, name)
				m.Graph.AddOutput(onnxio.NewValueInfo(name, nil))
			}
		}
		m.Graph.RemoveNode(n)
	}
	return m, fronts
}
