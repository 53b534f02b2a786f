package proof

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// planned returns the attributes that a node of the original has after the plan, in order.
func (c *checker) planned(n *graph.Node) []*onnxio.Attribute {
	out := slices.Clone(n.Attrs)
	for _, e := range c.attributes[n.Path] {
		at := slices.IndexFunc(out, func(a *onnxio.Attribute) bool { return a.Name == e.Name })
		switch {
		case e.Remove && at >= 0:
			out = slices.Delete(out, at, at+1)
			continue
		case e.Remove:
			continue
		case at < 0:
			out = append(out, nil)
			at = len(out) - 1
		}
		if e.Int != nil {
			out[at] = onnxio.NewInt(e.Name, *e.Int)
		} else {
			out[at] = onnxio.NewInts(e.Name, e.Ints...)
		}
	}
	return out
}

// attributesOf compares the attributes of a node with the original's after the plan. Bodies are compared as graphs, elsewhere.
func (c *checker) attributesOf(n, q *graph.Node) error {
	want := c.planned(n)
	for i, a := range want {
		if i >= len(q.Attrs) || q.Attrs[i].Name != a.Name {
			return fault("%s should have the attribute %s = %s", n.Title(), a.Name, shown(a))
		}
		if len(a.Subgraphs()) > 0 && len(q.Attrs[i].Subgraphs()) == len(a.Subgraphs()) && a.Type == q.Attrs[i].Type {
			continue
		}
		if why := c.attribute(a, q.Attrs[i]); why != "" {
			return fault("attribute %s of %s %s", a.Name, n.Title(), why)
		}
	}
	if len(q.Attrs) > len(want) {
		a := q.Attrs[len(want)]
		return fault("%s has the attribute %s = %s, which neither the original nor the plan gives it", n.Title(), a.Name, shown(a))
	}
	return nil
}

// attribute says how an attribute differs; "" for not at all.
func (c *checker) attribute(o, p *onnxio.Attribute) string {
	if !c.external && onnxio.Same(o, p) {
		return ""
	}
	plain := o.Name == p.Name && o.Type == p.Type && o.RefName == p.RefName && o.I == p.I && math.Float32bits(o.F) == math.Float32bits(p.F) &&
		bytes.Equal(o.S, p.S) && slices.Equal(o.Ints, p.Ints) && slices.EqualFunc(o.Strings, p.Strings, bytes.Equal) &&
		slices.EqualFunc(o.Floats, p.Floats, func(x, y float32) bool { return math.Float32bits(x) == math.Float32bits(y) })
	if !plain {
		return fmt.Sprintf("is %s, and should be %s", shown(p), shown(o))
	}
	if !onnxio.SameBesides(o, p, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22) { // what is left: types, lists of sparse tensors, the doc string
		return "holds a type, a sparse tensor or a doc string that is not the original's"
	}
	one := func(t *onnxio.Tensor) []*onnxio.Tensor {
		if t == nil {
			return nil
		}
		return []*onnxio.Tensor{t}
	}
	ot, pt := append(one(o.Tensor), o.Tensors...), append(one(p.Tensor), p.Tensors...)
	if len(ot) != len(pt) {
		return fmt.Sprintf("holds %d tensors, and should hold %d", len(pt), len(ot))
	}
	for i, t := range ot {
		if why := tensorAsItIs(t, pt[i]); why != "" {
			return "holds a tensor that is not the original's: " + why
		}
	}
	if (o.Sparse == nil) != (p.Sparse == nil) || o.Sparse != nil && sparseAsItIs(o.Sparse, p.Sparse) != "" {
		return "holds a sparse tensor that is not the original's"
	}
	og, pg := o.Subgraphs(), p.Subgraphs()
	if len(og) != len(pg) {
		return fmt.Sprintf("holds %d graphs, and should hold %d", len(pg), len(og))
	}
	for i, g := range og {
		if err := c.graphAsItIs(g, pg[i]); err != nil {
			return err.(*Fault).Text
		}
	}
	return ""
}

// shown is an attribute's value in a few words.
func shown(a *onnxio.Attribute) string {
	switch a.Type {
	case onnxio.AttrInt:
		return fmt.Sprint(a.I)
	case onnxio.AttrInts:
		return fmt.Sprint(a.Ints)
	case onnxio.AttrFloat:
		return fmt.Sprint(a.F)
	case onnxio.AttrFloats:
		return fmt.Sprint(a.Floats)
	case onnxio.AttrString:
		return fmt.Sprintf("%q", a.S)
	case onnxio.AttrStrings:
		return fmt.Sprintf("%q", a.Strings)
	}
	return "a " + a.Type.String()
}

// What follows compares what the plan never reaches: the bodies of functions.

func (c *checker) graphAsItIs(o, p *onnxio.Graph) error {
	if !c.external && onnxio.Same(o, p) {
		return nil
	}
	if !onnxio.SameBesides(o, p, 1, 5, 15) || len(o.Nodes) != len(p.Nodes) || len(o.Initializers) != len(p.Initializers) || len(o.Sparse) != len(p.Sparse) {
		return fault("graph %q is not the original's", o.Name)
	}
	for i, n := range o.Nodes {
		if err := c.nodeAsItIs(n, p.Nodes[i]); err != nil {
			return err
		}
	}
	for i, t := range o.Initializers {
		if why := tensorAsItIs(t, p.Initializers[i]); why != "" {
			return fault("%s", why)
		}
	}
	for i, t := range o.Sparse {
		if why := sparseAsItIs(t, p.Sparse[i]); why != "" {
			return fault("%s", why)
		}
	}
	return nil
}

func (c *checker) nodeAsItIs(o, p *onnxio.Node) error {
	if !c.external && onnxio.Same(o, p) {
		return nil
	}
	if why := head(o, p); why != "" {
		return fault("node %q %s", o.Name, why)
	}
	if !slices.Equal(o.Inputs, p.Inputs) || !slices.Equal(o.Outputs, p.Outputs) {
		return fault("node %q reads %q and writes %q, and should read %q and write %q", o.Name, p.Inputs, p.Outputs, o.Inputs, o.Outputs)
	}
	if len(o.Attributes) != len(p.Attributes) {
		return fault("node %q has %d attributes, and should have %d", o.Name, len(p.Attributes), len(o.Attributes))
	}
	for i, a := range o.Attributes {
		if why := c.attribute(a, p.Attributes[i]); why != "" {
			return fault("attribute %s of node %q %s", a.Name, o.Name, why)
		}
	}
	return nil
}

// head says how two nodes differ in what is neither an input, an output nor an attribute; "" for not at all.
func head(o, p *onnxio.Node) string {
	switch {
	case o.OpType != p.OpType || o.Domain != p.Domain || o.Overload != p.Overload:
		return fmt.Sprintf("is a %s of domain %q, and should be a %s of domain %q", p.OpType, p.Domain, o.OpType, o.Domain)
	case o.Name != p.Name:
		return fmt.Sprintf("is called %q, and should be called %q", p.Name, o.Name)
	case !onnxio.SameBesides(o, p, 1, 2, 3, 4, 5, 7, 8):
		return "has another doc string or other metadata than the original's"
	}
	return ""
}
