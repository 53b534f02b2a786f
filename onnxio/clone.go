package onnxio

import "slices"

// Clone returns a copy of the model's structure that can be changed without touching the original.
// Weights and everything unchanged are shared. The original must stay open as long as the clone is used.
func (m *Model) Clone() *Model {
	c := *m
	c.Opsets = slices.Clone(m.Opsets)
	c.Functions = nil
	c.message = m.message.clone(func(e encoder) encoder {
		switch x := e.(type) {
		case *Graph:
			c.Graph = x.clone()
			return c.Graph
		case *Function:
			return cloned(x.clone(), &c.Functions)
		}
		return e
	})
	return &c
}

// clone copies the fields and gives every child to copyChild.
func (m *message) clone(copyChild func(encoder) encoder) message {
	c := message{raw: m.raw, dirty: m.dirty, fields: slices.Clone(m.fields)}
	for i := range c.fields {
		if ch := c.fields[i].child; ch != nil {
			c.fields[i].child = copyChild(ch)
		}
	}
	return c
}

func cloned[T encoder](c T, list *[]T) T {
	*list = append(*list, c)
	return c
}

func (g *Graph) clone() *Graph {
	c := *g
	c.Nodes, c.Initializers, c.Sparse = nil, nil, nil
	c.Inputs, c.Outputs, c.ValueInfos = nil, nil, nil
	c.message = message{raw: g.raw, dirty: g.dirty, fields: slices.Clone(g.fields)}
	for i := range c.fields {
		f := &c.fields[i]
		switch x := f.child.(type) {
		case *Node:
			f.child = cloned(x.clone(), &c.Nodes)
		case *Tensor:
			f.child = cloned(x.clone(), &c.Initializers)
		case *SparseTensor:
			f.child = cloned(x.clone(), &c.Sparse)
		case *ValueInfo:
			list := &c.ValueInfos
			switch f.num {
			case 11:
				list = &c.Inputs
			case 12:
				list = &c.Outputs
			}
			f.child = cloned(x.clone(), list)
		}
	}
	return &c
}

func (fn *Function) clone() *Function {
	c := *fn
	c.Nodes, c.AttributeDefaults, c.ValueInfos = nil, nil, nil
	c.message = fn.message.clone(func(e encoder) encoder {
		switch x := e.(type) {
		case *Node:
			return cloned(x.clone(), &c.Nodes)
		case *Attribute:
			return cloned(x.clone(), &c.AttributeDefaults)
		case *ValueInfo:
			return cloned(x.clone(), &c.ValueInfos)
		}
		return e
	})
	return &c
}

func (n *Node) clone() *Node {
	c := *n
	c.Inputs, c.Outputs = slices.Clone(n.Inputs), slices.Clone(n.Outputs)
	c.Attributes = nil
	c.message = n.message.clone(func(e encoder) encoder {
		return cloned(e.(*Attribute).clone(), &c.Attributes)
	})
	return &c
}

func (a *Attribute) clone() *Attribute {
	c := *a
	c.Tensors, c.Graphs = nil, nil
	c.message = message{raw: a.raw, dirty: a.dirty, fields: slices.Clone(a.fields)}
	for i := range c.fields {
		f := &c.fields[i]
		switch x := f.child.(type) {
		case *Tensor:
			t := x.clone()
			if f.child = t; f.num == 5 {
				c.Tensor = t
			} else {
				c.Tensors = append(c.Tensors, t)
			}
		case *Graph:
			g := x.clone()
			if f.child = g; f.num == 6 {
				c.Graph = g
			} else {
				c.Graphs = append(c.Graphs, g)
			}
		case *SparseTensor:
			c.Sparse = x.clone()
			f.child = c.Sparse
		}
	}
	return &c
}

func (v *ValueInfo) clone() *ValueInfo {
	c := *v
	c.fields = slices.Clone(v.fields) // setting a field moves the others
	return &c
}

func (t *Tensor) clone() *Tensor {
	c := *t
	c.Dims = slices.Clone(t.Dims)
	c.fields = slices.Clone(t.fields)
	return &c
}

// Copy returns a tensor with the same content and another name.
func (t *Tensor) Copy(name string) *Tensor {
	c := t.clone()
	c.SetName(name)
	return c
}

func (s *SparseTensor) clone() *SparseTensor {
	c := *s
	c.message = s.message.clone(func(e encoder) encoder {
		t := e.(*Tensor).clone()
		if e == encoder(s.Values) {
			c.Values = t
		} else {
			c.Indices = t
		}
		return t
	})
	return &c
}
