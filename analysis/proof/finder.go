package proof

import (
	"slices"

	"onnxprune/analysis/graph"
)

// finder looks for the counterparts of nodes in the pruned model's main graph.
type finder struct {
	c        *checker
	units    []unit
	byOutput map[string]int
	theirs   map[string]bool // names of the original's values, those inside of calls included
	last     int             // position of the last counterpart: they must stand in the same order
}

// find returns the position of a node's counterpart, -1 for none: the node of the same operator that writes the same names. A value that
// the plan freezes or folds under its own name is written by another node, or a constant; the computed one has a new name.
func (f *finder) find(op, domain string, n *graph.Node) (int, error) {
	renamed := false
	for _, v := range n.Outputs {
		renamed = renamed || v != nil && f.c.renamed(v)
	}
	if !renamed {
		for _, v := range n.Outputs {
			if v == nil {
				continue
			}
			at, ok := f.byOutput[v.Name]
			switch {
			case !ok:
				return -1, nil
			case !f.writes(at, op, domain, n):
				p := f.units[at].proto
				return -1, fault("%q is written by the node %s %q with the outputs %q, and should be by %s", v.Name, p.OpType, p.Name, p.Outputs, n.Title())
			}
			return at, nil
		}
	}
	best := -1
	for at := range f.units {
		if f.c.kept[f.units[at].proto] || !f.writes(at, op, domain, n) {
			continue
		}
		if f.reads(at, n) {
			return at, nil
		}
		if best < 0 {
			best = at
		}
	}
	return best, nil
}

// writes reports whether a node of the pruned model has the operator, and writes the names that it should.
func (f *finder) writes(at int, op, domain string, n *graph.Node) bool {
	u := f.units[at]
	if len(u.nodes) != 1 || u.call() || u.proto.OpType != op || u.proto.Domain != domain || len(u.nodes[0].Outputs) != len(n.Outputs) {
		return false
	}
	for i, v := range n.Outputs {
		w := u.nodes[0].Outputs[i]
		switch {
		case (v == nil) != (w == nil):
			return false
		case v == nil:
		case f.c.renamed(v):
			if f.theirs[w.Name] {
				return false
			}
		case v.Name != w.Name:
			return false
		}
	}
	return true
}

// reads reports whether a node of the pruned model reads the counterparts of what n reads, as far as they are computed.
func (f *finder) reads(at int, n *graph.Node) bool {
	q := f.units[at].nodes[0]
	for i, v := range n.Inputs {
		if v != nil && !v.Constant() && f.c.peerOf(v) != q.Input(i) {
			return false
		}
	}
	return n.Proto.Name == "" || len(n.Calls) > 0 || n.Proto.Name == q.Proto.Name
}

func (f *finder) take(at int, op string) error {
	if at <= f.last {
		return fault("%s stands before %s, in the original behind it", f.units[at].nodes[0].Title(), f.units[f.last].proto.Name)
	}
	f.last = at
	f.c.kept[f.units[at].proto] = true
	return nil
}

// callOf finds what a call of a function became: the same call, or the nodes that it stands for. It returns those of them that are
// not there.
func (f *finder) callOf(u unit) (dropped []*graph.Node, err error) {
	for at, q := range f.units {
		if q.call() && !f.c.kept[q.proto] && q.proto.OpType == u.proto.OpType && q.proto.Domain == u.proto.Domain && slices.Equal(q.proto.Outputs, u.proto.Outputs) {
			if len(q.nodes) != len(u.nodes) {
				return nil, fault("the call %q of %s stands for %d nodes, in the original for %d", u.proto.Name, u.proto.OpType, len(q.nodes), len(u.nodes))
			}
			if err := f.take(at, u.proto.OpType); err != nil {
				return nil, err
			}
			for i, n := range u.nodes {
				f.c.pairUp(n, q.nodes[i])
			}
			return nil, f.c.callNode(u.proto, q.proto, nil)
		}
	}
	f.c.inlined = true
	for _, n := range u.nodes {
		at, err := f.find(n.Op, n.Domain, n)
		if err != nil {
			return nil, err
		}
		if at < 0 {
			dropped = append(dropped, n)
			continue
		}
		if err := f.take(at, n.Op); err != nil {
			return nil, err
		}
		f.c.pairUp(n, f.units[at].nodes[0])
	}
	for _, name := range u.proto.Outputs { // a further name of a value that the call returns
		if at, ok := f.byOutput[name]; ok && !f.c.kept[f.units[at].proto] && f.units[at].proto.OpType == "Identity" {
			f.c.explained[f.units[at].proto] = true
		}
	}
	return dropped, nil
}
