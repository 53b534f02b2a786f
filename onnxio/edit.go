package onnxio

import (
	"fmt"
	"slices"
	"strings"
)

// NewModel makes a model around a graph.
func NewModel(irVersion int64, producer string, opsets []Opset, g *Graph, functions ...*Function) *Model {
	m := &Model{IRVersion: irVersion, Producer: producer, Opsets: slices.Clone(opsets), Graph: g, Functions: functions}
	m.fields = []field{varintField(1, irVersion), stringField(2, producer), childField(7, g)}
	for _, o := range opsets {
		m.fields = append(m.fields, bytesField(8, encodeOpset(o)))
	}
	for _, f := range functions {
		m.fields = append(m.fields, childField(25, f))
	}
	return m
}

func encodeOpset(o Opset) []byte {
	if o.Domain == "" {
		return varintField(2, o.Version).raw
	}
	return plain(stringField(1, o.Domain), varintField(2, o.Version))
}

// NewGraph makes an empty graph.
func NewGraph(name string) *Graph {
	g := &Graph{Name: name}
	g.fields = []field{stringField(2, name)}
	return g
}

// NewNode makes a node of the default domain; see SetDomain.
func NewNode(op, name string, inputs, outputs []string, attrs ...*Attribute) *Node {
	n := &Node{Name: name, OpType: op, Inputs: slices.Clone(inputs), Outputs: slices.Clone(outputs), Attributes: attrs}
	n.fields = append(stringFields(1, inputs), stringFields(2, outputs)...)
	if name != "" {
		n.fields = append(n.fields, stringField(3, name))
	}
	n.fields = append(n.fields, stringField(4, op))
	for _, a := range attrs {
		n.fields = append(n.fields, childField(5, a))
	}
	return n
}

// NewFunction makes a function of a domain.
func NewFunction(domain, name string, inputs, outputs []string, opsets []Opset, nodes ...*Node) *Function {
	f := &Function{Name: name, Domain: domain, Inputs: slices.Clone(inputs), Outputs: slices.Clone(outputs),
		Opsets: slices.Clone(opsets), Nodes: nodes}
	f.fields = append([]field{stringField(1, name)}, append(stringFields(4, inputs), stringFields(5, outputs)...)...)
	for _, n := range nodes {
		f.fields = append(f.fields, childField(7, n))
	}
	for _, o := range opsets {
		f.fields = append(f.fields, bytesField(9, encodeOpset(o)))
	}
	f.fields = append(f.fields, stringField(10, domain))
	return f
}

// AddAttributeNames declares attributes that a call of the function may set.
func (f *Function) AddAttributeNames(names ...string) {
	f.AttributeNames = slices.Concat(f.AttributeNames, names)
	f.set(6, stringFields(6, f.AttributeNames)...)
}

// SetRef makes the attribute stand for an attribute of the function's call.
func (a *Attribute) SetRef(name string) {
	a.RefName = name
	a.set(21, stringField(21, name))
}

// SetDomain moves the node's operator to a domain.
func (n *Node) SetDomain(domain string) {
	n.Domain = NormalDomain(domain)
	n.set(7, stringField(7, domain))
}

// SetOp changes the node's operator.
func (n *Node) SetOp(op string) {
	n.OpType = op
	n.set(4, stringField(4, op))
}

// SetInputs replaces the node's input names.
func (n *Node) SetInputs(names ...string) {
	n.Inputs = slices.Clone(names)
	n.set(1, stringFields(1, names)...)
}

// SetInput replaces one input name; missing inputs before it become absent.
func (n *Node) SetInput(i int, name string) {
	ins := slices.Clone(n.Inputs)
	for len(ins) <= i {
		ins = append(ins, "")
	}
	ins[i] = name
	n.SetInputs(ins...)
}

// SetOutputs replaces the node's output names.
func (n *Node) SetOutputs(names ...string) {
	n.Outputs = slices.Clone(names)
	n.set(2, stringFields(2, names)...)
}

// SetAttribute replaces the attribute of the same name, or adds it.
func (n *Node) SetAttribute(a *Attribute) {
	n.dirty = true
	for i := range n.fields {
		if old, ok := n.fields[i].child.(*Attribute); ok && old.Name == a.Name {
			n.fields[i].child = a
			n.Attributes[slices.Index(n.Attributes, old)] = a
			return
		}
	}
	n.Attributes = append(n.Attributes, a)
	n.insert(len(n.Attributes), childField(5, a))
}

// RemoveAttribute takes the attribute of that name out, if there is one.
func (n *Node) RemoveAttribute(name string) {
	if a := n.Attribute(name); a != nil {
		n.remove(a)
		n.Attributes = slices.DeleteFunc(n.Attributes, func(x *Attribute) bool { return x == a })
	}
}

// SetTensor replaces the tensor that the attribute holds.
func (a *Attribute) SetTensor(t *Tensor) error {
	if a.Type != AttrTensor {
		return fmt.Errorf("attribute %q is a %v, not a tensor", a.Name, a.Type)
	}
	a.Tensor = t
	a.set(5, childField(5, t))
	return nil
}

// InsertNode puts n before the i-th node; i = len(g.Nodes) appends.
func (g *Graph) InsertNode(i int, n *Node) {
	g.insert(i, childField(1, n))
	g.Nodes = slices.Insert(g.Nodes, i, n)
}

// AddNode appends a node.
func (g *Graph) AddNode(n *Node) { g.InsertNode(len(g.Nodes), n) }

// RemoveNode takes a node out.
func (g *Graph) RemoveNode(n *Node) {
	g.remove(n)
	g.Nodes = slices.DeleteFunc(g.Nodes, func(x *Node) bool { return x == n })
}

// AddInitializer appends an initializer.
func (g *Graph) AddInitializer(t *Tensor) {
	g.insert(len(g.Initializers), childField(5, t))
	g.Initializers = append(g.Initializers, t)
}

// RemoveInitializer takes an initializer out.
func (g *Graph) RemoveInitializer(t *Tensor) {
	g.remove(t)
	g.Initializers = slices.DeleteFunc(g.Initializers, func(x *Tensor) bool { return x == t })
}

// AddInput appends a graph input.
func (g *Graph) AddInput(v *ValueInfo) {
	g.insert(len(g.Inputs), childField(11, v))
	g.Inputs = append(g.Inputs, v)
}

// AddOutput appends a graph output.
func (g *Graph) AddOutput(v *ValueInfo) {
	g.insert(len(g.Outputs), childField(12, v))
	g.Outputs = append(g.Outputs, v)
}

// AddValueInfo appends the declaration of an inner value.
func (g *Graph) AddValueInfo(v *ValueInfo) {
	g.insert(len(g.ValueInfos), childField(13, v))
	g.ValueInfos = append(g.ValueInfos, v)
}

// RemoveValueInfo takes the declaration of an inner value out.
func (g *Graph) RemoveValueInfo(v *ValueInfo) {
	g.remove(v)
	g.ValueInfos = slices.DeleteFunc(g.ValueInfos, func(x *ValueInfo) bool { return x == v })
}

// RemoveInput takes a graph input out.
func (g *Graph) RemoveInput(v *ValueInfo) {
	g.remove(v)
	g.Inputs = slices.DeleteFunc(g.Inputs, func(x *ValueInfo) bool { return x == v })
}

// RemoveOutput takes a graph output out.
func (g *Graph) RemoveOutput(v *ValueInfo) {
	g.remove(v)
	g.Outputs = slices.DeleteFunc(g.Outputs, func(x *ValueInfo) bool { return x == v })
}

// SetOpset imports a version of an operator domain, in place of one that was imported before.
func (m *Model) SetOpset(domain string, version int64) {
	domain = NormalDomain(domain)
	m.Opsets = slices.DeleteFunc(slices.Clone(m.Opsets), func(o Opset) bool { return o.Domain == domain })
	m.Opsets = append(m.Opsets, Opset{domain, version})
	fs := make([]field, len(m.Opsets))
	for i, o := range m.Opsets {
		fs[i] = bytesField(8, encodeOpset(o))
	}
	m.set(8, fs...)
}

// SetMetadata puts a key and its value into the model's metadata_props, in place of an older
// value of the same key.
func (m *Model) SetMetadata(key, value string) {
	var fs []field
	for i := range m.fields {
		if f := m.fields[i]; f.num == 14 {
			if k, _ := metadata(&f); k != key {
				fs = append(fs, f)
			}
		}
	}
	fs = append(fs, bytesField(14, plain(stringField(1, key), stringField(2, value))))
	m.set(14, fs...)
}

// RemoveMetadata removes the entries of metadata_props whose keys begin with prefix.
func (m *Model) RemoveMetadata(prefix string) {
	var fs []field
	found := false
	for i := range m.fields {
		f := m.fields[i]
		if f.num != 14 {
			continue
		}
		if k, _ := metadata(&f); k != "" && strings.HasPrefix(k, prefix) {
			found = true
		} else {
			fs = append(fs, f)
		}
	}
	if found {
		m.set(14, fs...)
	}
}

// Metadata returns the value of a key of metadata_props, "" for none.
func (m *Model) Metadata(key string) string {
	for i := range m.fields {
		if m.fields[i].num == 14 {
			if k, v := metadata(&m.fields[i]); k == key {
				return v
			}
		}
	}
	return ""
}

func metadata(f *field) (key, value string) {
	b, err := f.bytes()
	if err != nil {
		return "", ""
	}
	key, value, _ = keyValue(b) // a broken entry has neither
	return key, value
}

// Renamed returns a copy of the attribute under a name, without a reference to a function's attribute.
func (a *Attribute) Renamed(name string) *Attribute {
	c := a.clone()
	c.Name, c.RefName = name, ""
	c.set(1, stringField(1, name))
	c.set(21)
	return c
}
