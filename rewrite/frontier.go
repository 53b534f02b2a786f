package rewrite

import (
	"bytes"
	"slices"

	"onnxprune/onnxio"
)

// Frontier returns the values of the main graph up to which a pruned model computes what the original computes: from them on the pruned
// model can be run without what comes before, whatever the order of nodes. They are listed in the pruned model's order; inputs of
// the model and what depends on no input are not among them. Nil means that the work differs from the inputs on.
//
// Two nodes compute the same where operator, attributes and names agree and all inputs are the same. Nodes with bodies and calls
// of local functions count as different.
func Frontier(original, pruned *onnxio.Model) []string {
	c := comparison{of: map[string]*onnxio.Node{}, same: map[string]bool{}, fed: map[string]bool{}}
	for _, n := range original.Graph.Nodes {
		for _, o := range n.Outputs {
			c.of[o] = n
		}
	}
	c.constants(original.Graph, pruned.Graph)
	called := func(n *onnxio.Node) bool {
		return slices.ContainsFunc(pruned.Functions, func(f *onnxio.Function) bool { return f.Domain == n.Domain && f.Name == n.OpType })
	}
	var produced []string
	kept := map[string]bool{}
	for _, n := range pruned.Graph.Nodes {
		reads := slices.Concat(n.Inputs, captured(n))
		fed := slices.ContainsFunc(reads, func(name string) bool { return c.fed[name] })
		if !called(n) && c.equal(n) {
			for _, o := range n.Outputs {
				c.same[o] = true
				c.fed[o] = fed
			}
			if fed {
				produced = append(produced, n.Outputs...)
			}
			continue
		}
		for _, o := range n.Outputs {
			c.fed[o] = true // what it is computed from may be anything
		}
		for _, name := range reads {
			kept[name] = true
		}
	}
	for _, o := range pruned.Graph.Outputs {
		kept[o.Name] = true
	}
	return slices.DeleteFunc(produced, func(name string) bool { return !kept[name] || name == "" })
}

// comparison knows of every value whether both models compute it alike, and whether it depends on an input.
type comparison struct {
	of        map[string]*onnxio.Node // of the original, by output
	same, fed map[string]bool
}

// constants compares inputs and initializers.
func (c *comparison) constants(original, pruned *onnxio.Graph) {
	tensors := map[string]*onnxio.Tensor{}
	for _, t := range original.Initializers {
		tensors[t.Name] = t
	}
	for _, in := range pruned.Inputs {
		c.same[in.Name], c.fed[in.Name] = true, true
	}
	for _, t := range pruned.Initializers {
		c.same[t.Name], c.fed[t.Name] = onnxio.SameElements(tensors[t.Name], t), false
	}
	for _, t := range pruned.Sparse {
		c.same[t.Name()], c.fed[t.Name()] = false, false
	}
}

func (c *comparison) equal(n *onnxio.Node) bool {
	if len(n.Outputs) == 0 {
		return false
	}
	o := c.of[n.Outputs[0]]
	if o == nil || o.OpType != n.OpType || o.Domain != n.Domain || o.Overload != n.Overload || len(o.Attributes) != len(n.Attributes) ||
		!slices.Equal(o.Inputs, n.Inputs) || !slices.Equal(o.Outputs, n.Outputs) {
		return false
	}
	for _, in := range n.Inputs {
		if in != "" && !c.same[in] {
			return false
		}
	}
	for _, a := range n.Attributes {
		if !equalAttributes(o.Attribute(a.Name), a) {
			return false
		}
	}
	return true
}

func equalAttributes(a, b *onnxio.Attribute) bool {
	return a != nil && a.Type == b.Type && a.Graph == nil && b.Graph == nil && a.Graphs == nil && b.Graphs == nil && a.Sparse == nil && b.Sparse == nil &&
		a.Tensors == nil && b.Tensors == nil && a.TP == nil && b.TP == nil && a.RefName == b.RefName &&
		a.F == b.F && a.I == b.I && bytes.Equal(a.S, b.S) && slices.Equal(a.Floats, b.Floats) && slices.Equal(a.Ints, b.Ints) &&
		slices.EqualFunc(a.Strings, b.Strings, bytes.Equal) && onnxio.SameElements(a.Tensor, b.Tensor)
}

// captured lists the names that the bodies of a node read, their own among them.
func captured(n *onnxio.Node) []string {
	var out []string
	for _, a := range n.Attributes {
		bodies := a.Graphs
		if a.Graph != nil {
			bodies = append(slices.Clone(bodies), a.Graph)
		}
		for _, g := range bodies {
			for _, o := range g.Outputs {
				out = append(out, o.Name)
			}
			for _, m := range g.Nodes {
				out = append(append(out, m.Inputs...), captured(m)...)
			}
		}
	}
	return out
}
