package rewrite

import (
	"fmt"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// inline replaces the calls of local functions in the main graph by the nodes that they stand for, under the names and
// paths that the linked graph gave them. Calls inside control-flow bodies stay.
func inline(m *onnxio.Model, g *graph.Graph) error {
	calls := map[*onnxio.Node]bool{}
	for _, n := range g.Main.Nodes {
		if len(n.Calls) == 0 {
			continue
		}
		outer := n.Calls[0].Node
		fn := n.Calls[len(n.Calls)-1].Function
		if have, want := m.Opset(n.Domain), fn.Opset(n.Domain); want != 0 && have != want {
			return fmt.Errorf("function %s was written for version %d of the operator set %q, the model imports %d: it can not be inlined, so what lies in it can not be pruned",
				fn.Name, want, n.Domain, have)
		}
		node, err := inlined(n)
		if err != nil {
			return err
		}
		at := 0
		for i, p := range m.Graph.Nodes {
			if p == outer {
				at = i
			}
		}
		m.Graph.InsertNode(at, node)
		calls[outer] = true
	}
	for call := range calls {
		m.Graph.RemoveNode(call)
	}
	return nil
}

// inlined makes a node of the main graph out of one that came from a function.
func inlined(n *graph.Node) (*onnxio.Node, error) {
	names := func(vs []*graph.Value) []string {
		out := make([]string, len(vs))
		for i, v := range vs {
			if v != nil {
				out[i] = v.Name
			}
		}
		return out
	}
	var attrs []*onnxio.Attribute
	for _, a := range n.Attrs {
		if len(a.Subgraphs()) > 0 {
			renameCaptures(n)
		}
		attrs = append(attrs, a.Renamed(a.Name))
	}
	p := onnxio.NewNode(n.Op, n.Path, names(n.Inputs), names(n.Outputs), attrs...)
	if n.Domain != "" {
		p.SetDomain(n.Domain)
	}
	return p, nil
}

// renameCaptures makes the bodies of a node read outer values by the names that these have in the main graph.
func renameCaptures(n *graph.Node) {
	for _, body := range n.Bodies {
		for _, in := range body.Nodes {
			for i, v := range in.Inputs {
				if v != nil && v.Scope != body && i < len(in.Proto.Inputs) && in.Proto.Inputs[i] != v.Name && len(in.Calls) == len(n.Calls) {
					in.Proto.SetInput(i, v.Name)
				}
			}
			renameCaptures(in)
		}
	}
}
