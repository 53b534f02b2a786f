package proof

import (
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// unit is one node of a graph as it stands in the file, with the linked nodes that it is: itself, or for a call of a function the nodes that
// the call stands for.
type unit struct {
	proto *onnxio.Node
	nodes []*graph.Node
}

func (u unit) call() bool { return len(u.nodes) == 0 || len(u.nodes[0].Calls) > 0 }

// units lists the nodes of the main graph in the order of the file.
func units(g *graph.Graph) []unit {
	linked := map[*onnxio.Node][]*graph.Node{}
	for _, n := range g.Main.Nodes {
		p := n.Proto
		if len(n.Calls) > 0 {
			p = n.Calls[0].Node
		}
		linked[p] = append(linked[p], n)
	}
	out := make([]unit, len(g.Main.Proto.Nodes))
	for i, p := range g.Main.Proto.Nodes {
		out[i] = unit{p, linked[p]}
	}
	return out
}

// nodes finds the counterpart of every node of the original, and compares the two; then it looks at what has none.
func (c *checker) nodes() error {
	c.inputs()
	pruned := units(c.p)
	byOutput := map[string]int{}
	for i, u := range pruned {
		for _, name := range u.proto.Outputs {
			byOutput[name] = i
		}
	}
	f := &finder{c: c, units: pruned, byOutput: byOutput, theirs: map[string]bool{}, last: -1}
	for _, v := range c.o.Values {
		if v.Scope == c.o.Main {
			f.theirs[v.Name] = true
		}
	}
	var dropped []*graph.Node
	for _, u := range units(c.o) {
		if u.call() {
			gone, err := f.callOf(u)
			if err != nil {
				return err
			}
			dropped = append(dropped, gone...)
			continue
		}
		at, err := f.find(u.proto.OpType, u.proto.Domain, u.nodes[0])
		if err != nil {
			return err
		}
		if at < 0 {
			dropped = append(dropped, u.nodes[0])
			continue
		}
		if err := f.take(at, u.proto.OpType); err != nil {
			return err
		}
		c.pairUp(u.nodes[0], pruned[at].nodes[0])
	}
	c.mend()
	for _, n := range c.o.Main.Nodes { // in the order of the graph: producers before readers
		if q := c.pair[n]; q != nil {
			if err := c.node(n, q); err != nil {
				return err
			}
		}
	}
	return c.outputs(dropped)
}

// inputs makes the inputs and initializers of the two graphs counterparts by their names.
func (c *checker) inputs() {
	for _, v := range c.o.Main.Inputs {
		c.match(v, c.p.Main.Lookup(v.Name))
	}
	for _, v := range c.o.Values {
		if v.Scope == c.o.Main && v.Producer == nil && v.Constant() {
			if q := c.p.Main.Lookup(v.Name); q != nil && q.Producer == nil {
				c.match(v, q)
			}
		}
	}
}

func (c *checker) pairUp(n, q *graph.Node) {
	c.pair[n] = q
	for i, v := range n.Outputs {
		c.match(v, q.Output(i))
	}
}

// callNode compares a call as it stands in the file. What it reads is compared where the nodes of its function do. outer is the call of the
// function that held it where that was inlined.
func (c *checker) callNode(o, p *onnxio.Node, outer *graph.Call) error {
	if why := head(o, p); why != "" {
		return fault("the call %q of a function %s", o.Name, why)
	}
	var attrs []*onnxio.Attribute
	for _, a := range o.Attributes {
		if outer != nil && a.RefName != "" {
			v := outer.Attrs[a.RefName]
			if v == nil {
				continue
			}
			a = v.Renamed(a.Name)
		}
		attrs = append(attrs, a)
	}
	if len(o.Inputs) != len(p.Inputs) || len(attrs) != len(p.Attributes) {
		return fault("the call %q of %s has %d inputs and %d attributes, and should have %d and %d", o.Name, o.OpType, len(p.Inputs), len(p.Attributes), len(o.Inputs), len(attrs))
	}
	if !c.inlined && !slices.Equal(o.Inputs, p.Inputs) { // what the function reads is compared with its nodes: here also what it does not
		return fault("the call %q of %s reads %q, and should read %q", o.Name, o.OpType, p.Inputs, o.Inputs)
	}
	for i, a := range attrs {
		if why := c.attribute(a, p.Attributes[i]); why != "" {
			return fault("attribute %s of the call %q %s", a.Name, o.Name, why)
		}
	}
	return nil
}

// node compares a node with its counterpart: what it is, its attributes, what it reads, and its bodies.
func (c *checker) node(n, q *graph.Node) error {
	if n.Version != q.Version {
		return fault("%s is of version %d, in the original of %d", n.Title(), q.Version, n.Version)
	}
	if flattened := len(n.Calls) > len(q.Calls); flattened {
		if n.Op != q.Op || n.Domain != q.Domain || len(q.Calls) == 0 && !q.InBody() && q.Proto.Name != n.Path {
			return fault("%s should stand for %s of the function that was called", q.Title(), n.Title())
		}
	} else if why := head(n.Proto, q.Proto); why != "" {
		return fault("%s %s", n.Title(), why)
	}
	if len(n.Outputs) != len(q.Outputs) {
		return fault("%s has %d outputs, and should have %d", n.Title(), len(q.Outputs), len(n.Outputs))
	}
	if v := n.Output(0); v == nil || v.Holder == nil {
		if err := c.attributesOf(n, q); err != nil {
			return err
		}
	} else if err := c.holder(n, q); err != nil {
		return err
	}
	for i := range max(len(n.Inputs), len(q.Inputs)) {
		if err := c.reading(n, q, i); err != nil {
			return err
		}
	}
	if len(n.Bodies) != len(q.Bodies) {
		return fault("%s has %d bodies, and should have %d", n.Title(), len(q.Bodies), len(n.Bodies))
	}
	for i, b := range n.Bodies {
		if err := c.body(b, q.Bodies[i], len(n.Calls) > len(q.Calls)); err != nil {
			return err
		}
	}
	return nil
}

// holder compares a Constant node. A tensor that the plan changes stands in its attribute value, in whatever attribute the original has it; the
// content is compared where it is read.
func (c *checker) holder(n, q *graph.Node) error {
	if c.attributesOf(n, q) == nil {
		return nil
	}
	v, w := n.Output(0), q.Output(0)
	if v.Tensor == nil || w == nil || w.Tensor == nil || len(q.Attrs) != 1 || q.Attrs[0].Name != "value" {
		return c.attributesOf(n, q)
	}
	if a := n.Attr("value"); a != nil && (len(n.Attrs) > 1 || !onnxio.SameBesides(a, q.Attrs[0], 1, 5, 20)) { // name, tensor, type
		return c.attributesOf(n, q)
	}
	return nil
}

// outputs compares what the main graph hands out, and accounts for every node and constant that only one of the models has.
func (c *checker) outputs(dropped []*graph.Node) error {
	o, p := c.o.Main.Outputs, c.p.Main.Outputs
	if len(o) != len(p) {
		return fault("it has %d outputs, the original %d", len(p), len(o))
	}
	for i, v := range o {
		if err := c.handedOut(v, p[i], c.o.Main.Proto.Outputs[i].Name); err != nil {
			return err
		}
	}
	if err := c.dropped(dropped); err != nil {
		return err
	}
	for _, v := range c.o.Values {
		if v.Scope == c.o.Main && v.Constant() {
			if err := c.unread(v); err != nil {
				return err
			}
		}
	}
	for _, u := range units(c.p) {
		holder := len(u.nodes) == 1 && u.nodes[0].Output(0) != nil && c.constants[u.nodes[0].Output(0)]
		if !c.kept[u.proto] && !c.explained[u.proto] && !holder {
			return fault("it has the node %s %q, which neither the original nor the plan accounts for", u.proto.OpType, u.proto.Name)
		}
	}
	for _, v := range c.p.Values {
		if v.Scope == c.p.Main && v.Constant() && v.Producer == nil && !c.constants[v] && c.originOf(v) == nil {
			return fault("it has the initializer %q, which neither the original nor the plan accounts for", v.Name)
		}
	}
	return nil
}

// dropped checks that nodes which are not there any more lost their last reader to the plan.
func (c *checker) dropped(list []*graph.Node) error {
	gone := map[*graph.Node]bool{}
	for _, n := range list {
		gone[n] = true
	}
	for _, n := range list {
		uses := 0
		for _, v := range n.Outputs {
			if v == nil {
				continue
			}
			if v.Output || v.Returned {
				if !c.renamed(v) {
					return fault("%s is missing, which writes %q", n.Title(), v.Name)
				}
				uses++
			}
			for _, u := range v.Uses {
				uses++
				if !gone[u.Node] && !c.replaced[u] {
					return fault("%s is missing, which %s reads", n.Title(), u.Node.Title())
				}
			}
		}
		if uses == 0 || len(n.Bodies) > 0 {
			return fault("%s is missing", n.Title())
		}
	}
	return nil
}

// unread looks at a constant of the original that nothing in the pruned model reads: it must be gone where the plan replaced it, and be
// what it was where nothing ever read it.
func (c *checker) unread(v *graph.Value) error {
	q := c.peerOf(v)
	if v.Producer != nil && c.pair[v.Producer] == nil {
		return nil // a Constant node: see dropped
	}
	if q == nil {
		if v.Output || v.Returned || len(v.Uses) == 0 {
			return fault("the tensor %q is missing", v.FullName())
		}
		return nil // what reads it reads something else, which was compared
	}
	if c.constants[q] {
		return nil
	}
	if len(v.Uses) > 0 && !v.Input {
		return fault("the tensor %q is still there, though nothing reads it any more", v.FullName())
	}
	return c.constant(graph.Use{Input: -1}, v, q)
}
