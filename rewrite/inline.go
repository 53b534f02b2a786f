package rewrite

import (
	"fmt"
	"maps"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Calls of local functions in the main graph are replaced by the nodes that they stand for, under the names and paths that the
// linked graph gave them. Bodies of control flow inside a function come along: what they capture gets the name that it has in
// the main graph, references to the call's attributes become values, and names of their own that the main graph uses
// too are changed. Calls inside bodies stay calls, and so do those of functions that are written for other versions of the operators than
// the main graph: nothing changes in them.

// inliner is one inlining.
type inliner struct {
	model *onnxio.Model
	taken map[string]bool // every name of a value of the main graph
}

func inline(m *onnxio.Model, g *graph.Graph) error {
	e := &inliner{model: m, taken: map[string]bool{}}
	for _, v := range g.Values {
		if v.Scope == g.Main {
			e.taken[v.Name] = true
		}
	}
	var calls []*graph.Call // those of the main graph, in order
	for _, n := range g.Main.Nodes {
		if len(n.Calls) == 0 || n.Calls[0].Foreign != "" {
			continue
		}
		node, err := e.inlined(n)
		if err != nil {
			return err
		}
		m.Graph.InsertNode(slices.Index(m.Graph.Nodes, n.Calls[0].Node), node)
		if !slices.Contains(calls, n.Calls[0]) {
			calls = append(calls, n.Calls[0])
		}
	}
	for _, c := range calls {
		e.returned(c)
		m.Graph.RemoveNode(c.Node)
	}
	return nil
}

// returned hands a value of a function to its caller under a further name, where the caller knows it by several.
func (e *inliner) returned(c *graph.Call) {
	for i, name := range c.Node.Outputs {
		if name == "" || i >= len(c.Function.Outputs) {
			continue
		}
		if v, _ := c.Value(c.Function.Outputs[i]); v != nil && v.Name != name {
			e.model.Graph.InsertNode(slices.Index(e.model.Graph.Nodes, c.Node), onnxio.NewNode("Identity", "", []string{v.Name}, []string{name}))
		}
	}
}

// inlined makes a node of the main graph out of one that came from a function.
func (e *inliner) inlined(n *graph.Node) (*onnxio.Node, error) {
	names := func(vs []*graph.Value) []string {
		out := make([]string, len(vs))
		for i, v := range vs {
			if v != nil {
				out[i] = v.Name
			}
		}
		return out
	}
	call := n.Calls[len(n.Calls)-1]
	if err := e.sameVersion(n.Domain, call.Function); err != nil {
		return nil, err
	}
	outer := func(name string) string {
		switch v, known := call.Value(name); {
		case !known:
			return name
		case v == nil: // the call leaves it out
			return ""
		default:
			return v.Name
		}
	}
	var attrs []*onnxio.Attribute
	for _, a := range n.Attrs {
		a = a.Renamed(a.Name)
		for _, sub := range a.Subgraphs() {
			if err := e.body(sub, n.Path+":", outer, call); err != nil {
				return nil, err
			}
		}
		attrs = append(attrs, a)
	}
	p := onnxio.NewNode(n.Op, n.Path, names(n.Inputs), names(n.Outputs), attrs...)
	if n.Domain != "" {
		p.SetDomain(n.Domain)
	}
	return p, nil
}

// sameVersion checks that an operator means the same in the main graph as in the function. An operator set that only the function
// imports is imported by the model too.
func (e *inliner) sameVersion(domain string, fn *onnxio.Function) error {
	have, want := e.model.Opset(domain), fn.Opset(domain)
	switch {
	case want == 0 || have == want:
		return nil
	case have == 0:
		e.model.SetOpset(domain, want)
		return nil
	}
	return fmt.Errorf("function %s was written for version %d of the operator set %q, the model imports %d: it can not be inlined, so what lies in it can not be pruned",
		fn.Name, want, domain, have)
}

// body makes a control-flow body of a function one of the main graph. outer gives the names around it their new ones; names of the
// body itself that are taken there get the prefix.
func (e *inliner) body(g *onnxio.Graph, prefix string, outer func(string) string, call *graph.Call) error {
	own := map[string]string{}
	define := func(name string) {
		if own[name] = name; e.taken[name] {
			own[name] = prefix + name
		}
	}
	for _, in := range g.Inputs {
		define(in.Name)
	}
	for _, t := range g.Initializers {
		define(t.Name)
	}
	for _, t := range g.Sparse {
		define(t.Name())
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			if o != "" {
				define(o)
			}
		}
	}
	name := func(s string) string {
		if s == "" {
			return ""
		}
		if to, ok := own[s]; ok {
			return to
		}
		return outer(s)
	}
	for _, n := range slices.Clone(g.Nodes) {
		if err := e.bodyNode(n, prefix, name, call); err != nil {
			return err
		}
	}
	for _, t := range g.Initializers {
		if to := name(t.Name); to != t.Name {
			t.SetName(to)
		}
	}
	for _, t := range g.Sparse {
		if to := name(t.Name()); to != t.Name() {
			t.Values.SetName(to)
		}
	}
	renameValues(g, own, name)
	return nil
}

// bodyNode renames what a node of a body reads and writes, and resolves its references to the call's attributes.
func (e *inliner) bodyNode(n *onnxio.Node, prefix string, name func(string) string, call *graph.Call) error {
	if err := e.sameVersion(n.Domain, call.Function); err != nil {
		return err
	}
	renamed := func(list []string) []string {
		out := make([]string, len(list))
		for i, s := range list {
			out[i] = name(s)
		}
		return out
	}
	if to := renamed(n.Inputs); !slices.Equal(to, n.Inputs) {
		n.SetInputs(to...)
	}
	if to := renamed(n.Outputs); !slices.Equal(to, n.Outputs) {
		n.SetOutputs(to...)
	}
	for _, a := range slices.Clone(n.Attributes) {
		if a.RefName != "" {
			if v := call.Attrs[a.RefName]; v != nil {
				n.SetAttribute(v.Renamed(a.Name))
			} else {
				n.RemoveAttribute(a.Name) // the call does not set it: the operator's default holds
			}
			continue
		}
		for _, sub := range a.Subgraphs() {
			if err := e.body(sub, prefix, name, call); err != nil {
				return err
			}
		}
	}
	return nil
}

// renameValues renames what a body declares. A value from outside that the body hands out as it is passes through an
// Identity, since the format wants a body's outputs to be its own.
func renameValues(g *onnxio.Graph, own map[string]string, name func(string) string) {
	if slices.ContainsFunc(g.Inputs, func(v *onnxio.ValueInfo) bool { return own[v.Name] != v.Name }) {
		for _, v := range slices.Clone(g.Inputs) {
			g.RemoveInput(v)
			g.AddInput(onnxio.NewValueInfo(own[v.Name], v.Type))
		}
	}
	used := map[string]bool{}
	for to := range maps.Values(own) {
		used[to] = true
	}
	for _, v := range slices.Clone(g.Outputs) { // each goes to the end in turn, so the order stays
		to := name(v.Name)
		if _, ok := own[v.Name]; !ok {
			from := to
			for to += "_out"; used[to]; {
				to += "_out"
			}
			used[to] = true
			g.AddNode(onnxio.NewNode("Identity", "", []string{from}, []string{to}))
		}
		g.RemoveOutput(v)
		g.AddOutput(onnxio.NewValueInfo(to, v.Type))
	}
	for _, v := range slices.Clone(g.ValueInfos) {
		if to := name(v.Name); to != v.Name {
			g.RemoveValueInfo(v)
			g.AddValueInfo(onnxio.NewValueInfo(to, v.Type))
		}
	}
}
