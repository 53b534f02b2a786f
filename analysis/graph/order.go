package graph

import (
	"fmt"

	"onnxprune/onnxio"
)

// ONNX demands that nodes stand in an order in which every value is written before it is read. Most files keep to it; the others
// are sorted here, stably.

// sorted returns the nodes in an order in which names are written before they are read, keeping the
// file's order wherever it serves.
func sorted(protos []*onnxio.Node, names *binding, path string) ([]*onnxio.Node, error) {
	seen := map[string]bool{}
	ready := func(p *onnxio.Node) string {
		for _, in := range reads(p) {
			if _, known := names.find(in); !known && !seen[in] {
				return in
			}
		}
		return ""
	}
	inOrder := true
	for _, p := range protos {
		if inOrder = ready(p) == ""; !inOrder {
			break
		}
		for _, o := range p.Outputs {
			seen[o] = true
		}
	}
	if inOrder {
		return protos, nil
	}
	return kahn(protos, names, path)
}

// kahn is a stable topological sort for files that are not in order.
func kahn(protos []*onnxio.Node, names *binding, path string) ([]*onnxio.Node, error) {
	producer := map[string]int{}
	for i, p := range protos {
		for _, o := range p.Outputs {
			if o != "" {
				producer[o] = i
			}
		}
	}
	var out []*onnxio.Node
	state := make([]byte, len(protos)) // 0 new, 1 on the way, 2 done
	var visit func(i, depth int) error
	visit = func(i, depth int) error {
		switch state[i] {
		case 1:
			return fmt.Errorf("%s %q depends on its own output", protos[i].OpType, protos[i].Name)
		case 2:
			return nil
		}
		state[i] = 1
		for _, in := range reads(protos[i]) {
			if k, ok := producer[in]; ok {
				if err := visit(k, depth+1); err != nil {
					return err
				}
			}
		}
		state[i] = 2
		out = append(out, protos[i])
		return nil
	}
	for i := range protos {
		if err := visit(i, 0); err != nil {
			if path != "" {
				return nil, fmt.Errorf("graph %s: %w", path, err)
			}
			return nil, err
		}
	}
	return out, nil
}

// reads lists the names that a node reads: its inputs, and what its bodies take from outside.
func reads(p *onnxio.Node) []string {
	var out []string
	for _, in := range p.Inputs {
		if in != "" {
			out = append(out, in)
		}
	}
	for _, a := range p.Attributes {
		for _, g := range a.Subgraphs() {
			out = append(out, free(g)...)
		}
	}
	return out
}

// free lists the names that a graph reads and does not define.
func free(g *onnxio.Graph) []string {
	own := map[string]bool{}
	for _, v := range g.Inputs {
		own[v.Name] = true
	}
	for _, t := range g.Initializers {
		own[t.Name] = true
	}
	for _, t := range g.Sparse {
		own[t.Name()] = true
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			own[o] = true
		}
	}
	var out []string
	for _, n := range g.Nodes {
		for _, in := range reads(n) {
			if !own[in] {
				out = append(out, in)
			}
		}
	}
	for _, v := range g.Outputs {
		if !own[v.Name] {
			out = append(out, v.Name)
		}
	}
	return out
}
