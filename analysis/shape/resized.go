package shape

import (
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Visitor follows an inference node by node.
type Visitor interface {
	// Before is called when a node's inputs are known. What it returns is what the node sees in place of its own
	// operands and attributes.
	Before(r *Result, n *graph.Node) (Seen, error)
	// After is called when a node's outputs are known.
	After(r *Result, n *graph.Node) error
}

// Seen replaces what a node sees. The zero Seen replaces nothing.
type Seen struct {
	Inputs map[int]*Info       // by position: what is known of an operand
	Attrs  []*onnxio.Attribute // attributes in place of those of the same name
}

// Resized infers the model at other shapes of its inputs. The declarations of inner values and outputs are left out of
// account, since they say what the shapes were; so an extent that only they tell is unknown. Errors name the node, the tensors and their shapes.
func Resized(g *graph.Graph, inputs map[*graph.Value][]Dim, visit Visitor) (*Result, error) {
	inf := &inference{res: &Result{infos: make([]Info, len(g.Values))}, visit: visit}
	for _, v := range g.Values {
		switch {
		case v.Tensor != nil:
			inf.constant(v)
		case v.Sparse != nil:
			inf.res.infos[v.ID] = inf.tensor(inf.sparseElem(v.Sparse), v.Sparse.Dims)
		}
	}
	if err := inf.inputs(g.Main, Options{}); err != nil {
		return nil, err
	}
	for v, dims := range inputs {
		inf.res.infos[v.ID].Dims = dims
	}
	if err := inf.scope(g.Main, 0, false); err != nil {
		return nil, err
	}
	return inf.res, nil
}

// visited runs a node between the calls of the visitor, with what the node is to see.
func (c *call) visited() error {
	n := c.node
	seen, err := c.visit.Before(c.res, n)
	if err != nil {
		return err
	}
	if seen.Attrs != nil {
		other := *n
		other.Attrs = merged(n.Attrs, seen.Attrs)
		c.node = &other
	}
	was := map[int]Info{} // by Value.ID
	for i, in := range seen.Inputs {
		if v := n.Input(i); v != nil {
			if _, twice := was[v.ID]; !twice {
				was[v.ID] = c.res.infos[v.ID]
			}
			c.res.infos[v.ID] = *in
		}
	}
	err = c.run()
	for id, in := range was {
		c.res.infos[id] = in
	}
	if err != nil {
		return err
	}
	return c.visit.After(c.res, n)
}

func merged(attrs, over []*onnxio.Attribute) []*onnxio.Attribute {
	var out []*onnxio.Attribute
	for _, a := range attrs {
		kept := a
		for _, o := range over {
			if o.Name == a.Name {
				kept = o
			}
		}
		out = append(out, kept)
	}
	return out
}
