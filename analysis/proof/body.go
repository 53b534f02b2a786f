package proof

import (
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// body compares a control-flow body. The plan changes nothing in it, but what it reads from outside may have changed. Bodies of functions
// that were inlined have other names for their values where the main graph knew those already.
func (c *checker) body(o, p *graph.Scope, inlined bool) error {
	at := o.Path
	if !onnxio.SameBesides(o.Proto, p.Proto, 1, 5, 11, 12, 13, 15) || len(o.Proto.Initializers) != len(p.Proto.Initializers) ||
		len(o.Proto.Sparse) != len(p.Proto.Sparse) || len(o.Inputs) != len(p.Inputs) || len(o.Outputs) != len(p.Outputs) {
		return fault("the body %s is not the original's: its name, doc string, or the number of its inputs, outputs or initializers", at)
	}
	for i, v := range o.Inputs {
		c.match(v, p.Inputs[i])
	}
	for i, t := range o.Proto.Initializers {
		c.match(o.Lookup(t.Name), p.Lookup(p.Proto.Initializers[i].Name))
	}
	for i, t := range o.Proto.Sparse {
		c.match(o.Lookup(t.Name()), p.Lookup(p.Proto.Sparse[i].Name()))
	}
	if len(p.Nodes) < len(o.Nodes) || len(p.Nodes) > len(o.Nodes) && !inlined {
		return fault("the body %s has %d nodes, and should have %d", at, len(p.Nodes), len(o.Nodes))
	}
	for i, n := range o.Nodes {
		q := p.Nodes[i]
		if !c.inlined && !slices.Equal(n.Proto.Outputs, q.Proto.Outputs) {
			return fault("%s writes %q, and should write %q", n.Title(), q.Proto.Outputs, n.Proto.Outputs)
		}
		c.pairUp(n, q)
		if err := c.node(n, q); err != nil {
			return err
		}
		for k, call := range q.Calls {
			at := len(n.Calls) - len(q.Calls) + k
			var outer *graph.Call // that was inlined: references to its attributes are its attributes now
			if at > k && k == 0 {
				outer = n.Calls[at-1]
			}
			if err := c.callNode(n.Calls[at].Node, call.Node, outer); err != nil {
				return err
			}
		}
	}
	for _, q := range p.Nodes[len(o.Nodes):] { // what a body hands out of what lies outside must be its own after inlining
		if q.Op != "Identity" || q.Domain != "" || len(q.Inputs) != 1 || len(q.Outputs) != 1 {
			return fault("the body %s has the node %s, which the original does not have", at, q.Title())
		}
		c.explained[q.Proto] = true
	}
	for i, v := range o.Outputs {
		w := p.Outputs[i]
		switch f := c.freezes[v.FullName()]; {
		case f != nil && v.Scope == c.o.Main:
			if err := c.frozenValue(v, w, "the body "+at); err != nil {
				return err
			}
		case c.constantly(v) && v.Scope != o: // of a scope around it
			if err := c.constant(graph.Use{Input: -1}, v, c.through(w)); err != nil {
				return err
			}
		case !c.is(w, v):
			return fault("output %d of the body %s is %s, and should be %s", i, at, named(w), named(v))
		}
	}
	for _, v := range own(o) {
		if err := c.constant(graph.Use{Input: -1}, v, c.peerOf(v)); err != nil {
			return err
		}
	}
	return c.declaredInBody(o, p, inlined)
}

// declaredInBody compares what a body declares of its inputs, outputs and values.
func (c *checker) declaredInBody(o, p *graph.Scope, inlined bool) error {
	for _, l := range []struct {
		what string
		o, p []*onnxio.ValueInfo
	}{{"input", o.Proto.Inputs, p.Proto.Inputs}, {"output", o.Proto.Outputs, p.Proto.Outputs}, {"value_info", o.Proto.ValueInfos, p.Proto.ValueInfos}} {
		if len(l.o) != len(l.p) {
			return fault("the body %s declares %d of %s, and should declare %d", o.Path, len(l.p), l.what, len(l.o))
		}
		for i, v := range l.o {
			w := l.p[i]
			if inlined { // names may differ, and with them the order of value_info
				if l.what == "value_info" {
					name := v.Name
					if q := c.peerOf(o.Lookup(v.Name)); q != nil {
						name = q.Name
					}
					if k := slices.IndexFunc(l.p, func(x *onnxio.ValueInfo) bool { return x.Name == name }); k >= 0 {
						w = l.p[k]
					}
				}
				if !sameType(v.Type, w.Type) {
					return fault("%s %q of the body %s is declared as %v, and should be %v", l.what, v.Name, o.Path, w.Type, v.Type)
				}
				continue
			}
			if why := declared(v, w, nil); why != "" {
				return fault("%s %q of the body %s %s", l.what, v.Name, o.Path, why)
			}
		}
	}
	return nil
}

// own lists the constants of a body, read or not.
func own(s *graph.Scope) []*graph.Value {
	var out []*graph.Value
	for _, t := range s.Proto.Initializers {
		out = append(out, s.Lookup(t.Name))
	}
	for _, t := range s.Proto.Sparse {
		out = append(out, s.Lookup(t.Name()))
	}
	for _, n := range s.Nodes {
		if v := n.Output(0); v != nil && v.Holder != nil {
			out = append(out, v)
		}
	}
	return out
}
