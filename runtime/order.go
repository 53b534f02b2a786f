package runtime

import (
	"fmt"

	"onnxprune/onnxio"
)

// sort puts every node behind the nodes it reads from, and otherwise keeps the file's order. What the bodies of
// a node read of this graph counts as read by the node.
func (g *graph) sort() error {
	producer := map[string]*node{}
	for _, n := range g.nodes {
		for _, o := range n.outputs {
			if o == "" {
				continue
			}
			if other := producer[o]; other != nil {
				return fmt.Errorf("value %q is written by two nodes (%s and %s)", o, other.label(), n.label())
			}
			producer[o] = n
		}
	}
	const open, done = 1, 2
	state := make(map[*node]int, len(g.nodes))
	sorted := make([]*node, 0, len(g.nodes))
	type visit struct {
		n     *node
		reads []string
	}
	for _, root := range g.nodes {
		if state[root] == done {
			continue
		}
		state[root] = open
		stack := []visit{{root, root.reads()}}
		for len(stack) > 0 {
			top := &stack[len(stack)-1]
			if len(top.reads) == 0 {
				state[top.n] = done
				sorted = append(sorted, top.n)
				stack = stack[:len(stack)-1]
				continue
			}
			p := producer[top.reads[0]]
			top.reads = top.reads[1:]
			if p == nil || state[p] == done {
				continue
			}
			if state[p] == open {
				return fmt.Errorf("the nodes go in a circle through %s", p.label())
			}
			state[p] = open
			stack = append(stack, visit{p, p.reads()})
		}
	}
	g.nodes = sorted
	return nil
}

// label is the node's name, or its operator and place in the file.
func (n *node) label() string {
	if n.name != "" {
		return n.name
	}
	return fmt.Sprintf("%s_%d", n.op, n.index)
}

// reads returns the names that a node and its bodies read.
func (n *node) reads() []string {
	names := append([]string(nil), n.inputs...)
	for _, a := range n.attrs {
		for _, b := range a.Subgraphs() {
			names = append(names, freeNames(b)...)
		}
	}
	return names
}

// freeNames returns the names that a body reads without defining them.
func freeNames(g *onnxio.Graph) []string {
	local := map[string]bool{"": true}
	for _, v := range g.Inputs {
		local[v.Name] = true
	}
	for _, t := range g.Initializers {
		local[t.Name] = true
	}
	for _, s := range g.Sparse {
		local[s.Name()] = true
	}
	for _, n := range g.Nodes {
		for _, o := range n.Outputs {
			local[o] = true
		}
	}
	var free []string
	read := func(name string) {
		if !local[name] {
			free = append(free, name)
		}
	}
	for _, n := range g.Nodes {
		for _, in := range n.Inputs {
			read(in)
		}
		for _, a := range n.Attributes {
			for _, b := range a.Subgraphs() {
				for _, name := range freeNames(b) {
					read(name)
				}
			}
		}
	}
	for _, o := range g.Outputs {
		read(o.Name)
	}
	return free
}
