package graph

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
)

// maxCalls bounds how deep function calls may nest; a function that calls itself ends here.
const maxCalls = 64

// maxNodes bounds how many nodes the calls of functions may unfold to.
const maxNodes = 2_000_000

// Build links the model. Errors name the graph, node and tensor that are wrong.
func Build(m *onnxio.Model) (*Graph, error) {
	g := &Graph{Model: m}
	b := &builder{g: g, functions: map[[3]string]*onnxio.Function{}, paths: map[string]int{}, imported: map[string]int64{}}
	for _, f := range m.Functions {
		b.functions[[3]string{f.Domain, f.Name, f.Overload}] = f
	}
	main, err := b.scope(m.Graph, nil, "", nil, nil, nil, m.Opset)
	if err != nil {
		return nil, err
	}
	g.Main = main
	for _, n := range g.Nodes {
		for _, body := range n.Bodies {
			for _, v := range body.captured() {
				if v.Scope != n.Scope && !n.Scope.encloses(v.Scope) {
					continue
				}
				if !slices.Contains(n.Captures, v) {
					n.Captures = append(n.Captures, v)
				}
			}
		}
	}
	return g, nil
}

// encloses reports whether v's scope lies outside of s: s's owner's scope, or further out.
func (s *Scope) encloses(outer *Scope) bool {
	for o := s.Owner; o != nil; o = o.Scope.Owner {
		if o.Scope == outer {
			return true
		}
	}
	return false
}

// captured returns the values of outer scopes that s and the bodies in it read, in order.
func (s *Scope) captured() []*Value {
	var out []*Value
	add := func(v *Value) {
		if v != nil && v.Scope != s && s.encloses(v.Scope) {
			out = append(out, v)
		}
	}
	for _, n := range s.Nodes {
		for _, v := range n.Inputs {
			add(v)
		}
		for _, body := range n.Bodies {
			for _, v := range body.captured() {
				add(v)
			}
		}
	}
	for _, v := range s.Outputs {
		add(v)
	}
	return out
}

type builder struct {
	g         *Graph
	functions map[[3]string]*onnxio.Function
	paths     map[string]int   // by path: the last number that was put to it
	imported  map[string]int64 // by domain that the model does not import: the version that its functions do
}

// binding is one level of names: a scope's own, or those inside a function call. A name that stands for nothing is an input that the
// call leaves out: whoever reads it reads as if it had the empty name there.
type binding struct {
	names  map[string]*Value
	outer  *binding
	barred bool // a function body sees nothing of its caller
}

// find looks a name up. It is known with no value where it is an input that a call leaves out.
func (b *binding) find(name string) (v *Value, known bool) {
	for ; b != nil; b = b.outer {
		if v, known = b.names[name]; known || b.barred {
			return v, known
		}
	}
	return nil, false
}

func (b *builder) value(s *Scope, name string) *Value {
	v := &Value{ID: len(b.g.Values), Name: name, Scope: s}
	b.g.Values = append(b.g.Values, v)
	return v
}

// scope links one graph. outer holds the names that it sees, attrs the attributes of the function call that it lies in, opset the
// versions that apply.
func (b *builder) scope(p *onnxio.Graph, owner *Node, attr string, outer *binding, calls []*Call, attrs map[string]*onnxio.Attribute, opset func(string) int64) (*Scope, error) {
	s := &Scope{Proto: p, Owner: owner, Attr: attr, names: map[string]*Value{}}
	where := "graph"
	if owner != nil {
		s.Path = owner.Path + "/" + attr
		where = "graph " + s.Path
	}
	names := &binding{names: s.names, outer: outer}
	for _, in := range p.Inputs {
		if s.names[in.Name] != nil {
			return nil, fmt.Errorf("%s: input %q is declared twice", where, in.Name)
		}
		v := b.value(s, in.Name)
		v.Input, v.Declared = true, in.Type
		s.names[in.Name] = v
		s.Inputs = append(s.Inputs, v)
	}
	constant := func(name string) (*Value, error) {
		v := s.names[name]
		if v == nil {
			v = b.value(s, name)
			s.names[name] = v
		} else if v.Constant() {
			return nil, fmt.Errorf("%s: initializer %q stands twice", where, name)
		}
		return v, nil
	}
	for _, t := range p.Initializers {
		v, err := constant(t.Name)
		if err != nil {
			return nil, err
		}
		v.Tensor = t
	}
	for _, t := range p.Sparse {
		v, err := constant(t.Name())
		if err != nil {
			return nil, err
		}
		v.Sparse = t
	}
	if err := b.nodes(s, p.Nodes, names, calls, attrs, opset); err != nil {
		return nil, err
	}
	for _, vi := range p.ValueInfos {
		if v := s.names[vi.Name]; v != nil && v.Declared == nil {
			v.Declared = vi.Type
		}
	}
	for _, o := range p.Outputs {
		v, known := names.find(o.Name)
		if known && v == nil {
			return nil, fmt.Errorf("%s: output %q is an input that the call of its function leaves out", where, o.Name)
		}
		if !known {
			return nil, fmt.Errorf("%s: output %q is produced by no node", where, o.Name)
		}
		if v.Scope == s {
			v.Output = true
			if v.Declared == nil {
				v.Declared = o.Type
			}
		} else {
			v.Returned = true
		}
		s.Outputs = append(s.Outputs, v)
	}
	return s, nil
}

// nodes links a list of nodes into scope s, in an order in which every value is produced before it is read.
func (b *builder) nodes(s *Scope, protos []*onnxio.Node, names *binding, calls []*Call, attrs map[string]*onnxio.Attribute, opset func(string) int64) error {
	order, err := sorted(protos, names, s.Path)
	if err != nil {
		return err
	}
	for _, p := range order {
		if err := b.node(s, p, names, calls, attrs, opset); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) node(s *Scope, p *onnxio.Node, names *binding, calls []*Call, attrs map[string]*onnxio.Attribute, opset func(string) int64) error {
	if len(b.g.Nodes) >= maxNodes {
		return fmt.Errorf("the calls of functions unfold to more than %d nodes", maxNodes)
	}
	n := &Node{ID: len(b.g.Nodes), Op: p.OpType, Domain: p.Domain, Proto: p, Scope: s, Calls: calls}
	n.Path = b.path(s, p, calls)
	n.Version = int(opset(p.Domain))
	for _, a := range p.Attributes {
		if a.RefName == "" {
			n.Attrs = append(n.Attrs, a)
		} else if v := attrs[a.RefName]; v != nil {
			c := *v
			c.Name = a.Name
			n.Attrs = append(n.Attrs, &c)
		}
	}
	for _, name := range p.Inputs {
		var v *Value
		if name != "" {
			var known bool
			if v, known = names.find(name); !known {
				return fmt.Errorf("%s reads %q, which nothing produces", n.Title(), name)
			}
		}
		n.Inputs = append(n.Inputs, v)
	}
	if f := b.functions[[3]string{p.Domain, p.OpType, p.Overload}]; f != nil {
		return b.call(n, f, names)
	}
	if n.Version == 0 {
		if p.Domain == "" {
			return fmt.Errorf("%s: the model imports no version of the default operator set", n.Title())
		}
		n.Version = 1 // custom domains are often left undeclared
	}
	b.foreign(n)
	b.g.Nodes = append(b.g.Nodes, n)
	s.Nodes = append(s.Nodes, n)
	for i, v := range n.Inputs {
		if v != nil {
			v.Uses = append(v.Uses, Use{n, i})
		}
	}
	for _, a := range n.Attrs {
		for k, sub := range a.Subgraphs() {
			attr := a.Name
			if a.Type == onnxio.AttrGraphs {
				attr = fmt.Sprintf("%s[%d]", a.Name, k)
			}
			body, err := b.scope(sub, n, attr, names, calls, attrs, opset)
			if err != nil {
				return err
			}
			n.Bodies = append(n.Bodies, body)
		}
	}
	for i, name := range p.Outputs {
		if name == "" {
			n.Outputs = append(n.Outputs, nil)
			continue
		}
		if old := names.names[name]; old != nil {
			return fmt.Errorf("%s writes %q, which is there already", n.Title(), name)
		}
		full := name
		if len(calls) > 0 && names.barred {
			full = n.Path + ":" + name // inside a call: the name is the function's own
		}
		v := b.value(s, full)
		v.Producer, v.Index = n, i
		names.names[name] = v
		n.Outputs = append(n.Outputs, v)
	}
	if n.Op == "Constant" && n.Domain == "" && n.Output(0) != nil {
		v := n.Outputs[0]
		v.Holder = n
		if err := v.readConstant(n); err != nil {
			return fmt.Errorf("%s: %w", n.Title(), err)
		}
	}
	return nil
}

// foreign notes where an operator means another version in its function than it would in the main graph. Calls in bodies stay calls
// wherever they stand, so what lies behind them does not matter.
func (b *builder) foreign(n *Node) {
	if len(n.Calls) == 0 || n.Calls[0].Foreign != "" || behindBody(n) {
		return
	}
	f := n.Calls[len(n.Calls)-1].Function
	want := f.Opset(n.Domain)
	if want == 0 {
		return
	}
	have := b.g.Model.Opset(n.Domain)
	if have == 0 {
		if have = b.imported[n.Domain]; have == 0 {
			b.imported[n.Domain], have = want, want
		}
	}
	if have != want {
		domain := n.Domain
		if domain == "" {
			domain = "ai.onnx"
		}
		n.Calls[0].Foreign = fmt.Sprintf("it lies in the function %s, which is written for version %d of the operators of %s, and the model for version %d", f.Name, want, domain, have)
	}
}

// behindBody reports whether a node came out of a call that stands in a body.
func behindBody(n *Node) bool {
	o := n.Scope.Owner
	return o != nil && len(n.Calls) > len(o.Calls)
}

// call unfolds a function into the scope.
func (b *builder) call(n *Node, f *onnxio.Function, names *binding) error {
	if len(n.Calls) >= maxCalls {
		return fmt.Errorf("%s: functions call one another more than %d deep", n.Title(), maxCalls)
	}
	inner := &binding{names: map[string]*Value{}, barred: true}
	if len(n.Inputs) > len(f.Inputs) {
		return fmt.Errorf("%s has %d inputs, the function %s takes %d", n.Title(), len(n.Inputs), f.Name, len(f.Inputs))
	}
	for i, name := range f.Inputs {
		inner.names[name] = n.Input(i)
	}
	attrs := map[string]*onnxio.Attribute{}
	for _, a := range append(slices.Clone(f.AttributeDefaults), n.Attrs...) {
		attrs[a.Name] = a
	}
	call := &Call{Node: n.Proto, Path: n.Path, Function: f, Attrs: attrs, names: inner.names}
	calls := append(slices.Clone(n.Calls), call)
	if err := b.nodes(n.Scope, f.Nodes, inner, calls, attrs, f.Opset); err != nil {
		return fmt.Errorf("in function %s: %w", f.Name, err)
	}
	renamed := map[*Value]bool{}
	for i, name := range n.Proto.Outputs {
		if name == "" || i >= len(f.Outputs) {
			continue
		}
		v := inner.names[f.Outputs[i]]
		if v == nil {
			return fmt.Errorf("%s: the function does not produce its output %q", n.Title(), f.Outputs[i])
		}
		if names.names[name] != nil {
			return fmt.Errorf("%s writes %q, which is there already", n.Title(), name)
		}
		if v.Producer != nil && slices.Contains(v.Producer.Calls, call) && !renamed[v] { // known outside by the caller's name
			renamed[v] = true
			if v.Name = name; names.barred {
				v.Name = n.Path + ":" + name
			}
		}
		names.names[name] = v
	}
	return nil
}

// path makes a unique, readable path for a node.
func (b *builder) path(s *Scope, p *onnxio.Node, calls []*Call) string {
	name := p.Name
	if name == "" {
		name = p.OpType
		for _, o := range p.Outputs {
			if o != "" {
				name = p.OpType + "(" + o + ")"
				break
			}
		}
	}
	switch {
	case len(calls) > 0 && (s.Owner == nil || len(s.Owner.Calls) < len(calls)):
		name = calls[len(calls)-1].Path + "/" + name
	case s.Path != "":
		name = s.Path + "/" + name
	}
	unique := name
	for b.paths[unique] > 0 { // a node may be called as another's number makes it
		b.paths[name]++
		unique = fmt.Sprintf("%s#%d", name, b.paths[name])
	}
	b.paths[unique]++
	return unique
}
