package runtime

// The compiler turns decoded graphs into programs: it resolves the names that each node reads (scope.go), opens calls of
// local functions (function.go), computes what is constant (fold.go), builds a step for the rest, and fuses steps (fuse.go).

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
)

const (
	maxSteps     = 1 << 17 // of a whole model: functions that call functions can grow without end
	maxCallDepth = 100     // of local functions
	maxBodyDepth = 100     // of bodies in bodies
)

// compiler holds what is shared by all graphs of a model.
type compiler struct {
	model     *onnxio.Model
	options   Options
	packing   ops.Packing
	functions map[functionKey]*onnxio.Function
	weights   map[*onnxio.Tensor]*value.Tensor // decoded initializers
	sparse    map[*onnxio.SparseTensor]*value.Tensor
	tapped    map[string]bool
	unpacked  bool // weights stay as they are, for a comparison
	steps     int
	problems  []Unsupported
	folded    int64 // bytes that folding made
	packed    int64 // bytes of weights that were packed since the model's pages were last given back
	wide      map[*value.Tensor]*value.Tensor
	decoded   map[*onnxio.Function]*graph
}

type functionKey struct{ domain, name, overload string }

// errReported says that the reason is among the compiler's problems.
var errReported = errors.New("a node below can not be compiled")

func newCompiler(m *onnxio.Model, o Options, p *kernels.Pool) *compiler {
	c := &compiler{model: m, options: o, packing: ops.Packing{Pool: p}, functions: map[functionKey]*onnxio.Function{},
		weights: map[*onnxio.Tensor]*value.Tensor{}, sparse: map[*onnxio.SparseTensor]*value.Tensor{},
		wide: map[*value.Tensor]*value.Tensor{}, decoded: map[*onnxio.Function]*graph{}, tapped: map[string]bool{}}
	if o.Tap != nil {
		for _, name := range o.Tapped {
			c.tapped[name] = true
		}
	}
	for _, f := range m.Functions {
		c.functions[functionKey{f.Domain, f.Name, f.Overload}] = f
	}
	return c
}

// main compiles the model's graph. frozen initializers that are graph inputs too count as constants.
func (c *compiler) main(frozen bool) (*program, error) {
	g, err := decodeGraph(c.model.Graph, c.model.Opset)
	if err != nil {
		return nil, err
	}
	b := newBuilder(g.name)
	s := &scope{program: b, names: map[string]ref{}, opset: c.model.Opset}
	overridable := map[string]bool{}
	for _, in := range c.model.Graph.Inputs {
		overridable[in.Name] = !frozen
	}
	for _, in := range c.model.Graph.Inputs {
		if frozen && c.hasInitializer(in.Name) {
			continue
		}
		slot := b.slot()
		b.inputs = append(b.inputs, slot)
		s.names[in.Name] = ref{slot: slot}
	}
	s.given = map[string]ref{}
	for _, name := range c.options.From {
		slot := b.slot()
		b.inputs = append(b.inputs, slot)
		s.given[name] = ref{slot: slot}
	}
	if err := c.initializers(s, g, overridable); err != nil {
		return nil, err
	}
	if err := c.nodes(s, g); err != nil {
		return nil, err
	}
	if len(s.given) > 0 {
		return nil, fmt.Errorf("no node writes %s, from which the run should start", quoted(slices.Sorted(maps.Keys(s.given))))
	}
	outputs := g.outputs
	if len(c.options.To) > 0 {
		outputs = c.options.To
	}
	if err := c.results(s, slices.Concat(outputs, c.options.Keep)); err != nil {
		return nil, err
	}
	if len(c.problems) > 0 {
		return nil, &UnsupportedError{c.problems}
	}
	c.finish(b)
	return b.program, nil
}

func (c *compiler) hasInitializer(name string) bool {
	return slices.ContainsFunc(c.model.Graph.Initializers, func(t *onnxio.Tensor) bool { return t.Name == name }) ||
		slices.ContainsFunc(c.model.Graph.Sparse, func(s *onnxio.SparseTensor) bool { return s.Name() == name })
}

// initializers defines the names of a graph's weights, but for those in except.
func (c *compiler) initializers(s *scope, g *graph, except map[string]bool) error {
	for _, i := range g.initializers {
		if except[i.name] {
			continue
		}
		t, err := c.weight(i)
		if err != nil {
			return fmt.Errorf("initializer %q: %w", i.name, err)
		}
		s.names[i.name] = ref{known: t}
	}
	return nil
}

// weight decodes an initializer, once.
func (c *compiler) weight(i initializer) (t *value.Tensor, err error) {
	if i.sparse != nil {
		if t = c.sparse[i.sparse]; t == nil {
			t, err = dense(i.sparse, c.options.MemoryLimit)
			c.sparse[i.sparse] = t
		}
		return t, err
	}
	if t = c.weights[i.dense]; t == nil {
		t, err = value.InPlace(i.dense)
		c.weights[i.dense] = t
	}
	return t, err
}

// results names the values that the program returns.
func (c *compiler) results(s *scope, names []string) error {
	for _, name := range names {
		r, ok := s.lookup(name)
		if !ok || r.absent() {
			if len(c.problems) > 0 {
				continue // the node that should have written it could not be compiled
			}
			return fmt.Errorf("graph %q: no node writes %q, which it should return", s.program.name, name)
		}
		s.program.outputs = append(s.program.outputs, output{name, s.program.slotOf(r)})
	}
	return nil
}

// nodes compiles all nodes of a graph into the scope's program.
func (c *compiler) nodes(s *scope, g *graph) error {
	for _, n := range g.nodes {
		path := s.within(n.label())
		err := c.node(s, n, path)
		s.give(n.outputs)
		var fatal *fatalError
		switch {
		case errors.As(err, &fatal):
			return err
		case err != nil:
			if !errors.Is(err, errReported) {
				c.problems = append(c.problems, Unsupported{path, n.domain, n.op, n.version, err})
			}
			for _, o := range n.outputs { // so that the nodes behind it can be looked at too
				if o != "" {
					s.names[o] = ref{slot: s.program.slot()}
				}
			}
		}
	}
	return nil
}

// give puts what the caller gives in the place of what a node writes.
func (s *scope) give(outputs []string) {
	for _, o := range outputs {
		if r, ok := s.given[o]; ok {
			s.names[o] = r
			delete(s.given, o)
		}
	}
}

// fatalError ends the compilation at once.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// node compiles one node: a call of a local function, or an operator.
func (c *compiler) node(s *scope, n *node, path string) error {
	if c.steps++; c.steps > maxSteps {
		return &fatalError{fmt.Errorf("%s: the model has more than %d nodes once its functions are opened", path, maxSteps)}
	}
	refs := make([]ref, len(n.inputs))
	for i, name := range n.inputs {
		if name == "" {
			refs[i] = absent
			continue
		}
		r, ok := s.lookup(name)
		if !ok {
			return fmt.Errorf("its input %q is defined nowhere", name)
		}
		refs[i] = r
	}
	attrs, err := s.resolve(n.attrs)
	if err != nil {
		return err
	}
	if f := c.function(n); f != nil {
		return c.call(s, f, n, refs, attrs, path)
	}
	return c.operator(s, n, refs, attrs, path)
}

// resolve replaces references to the attributes of a function's call. One that the call leaves out, and that has no
// default, is left out here too.
func (s *scope) resolve(attrs []*onnxio.Attribute) ([]*onnxio.Attribute, error) {
	var out []*onnxio.Attribute
	for _, a := range attrs {
		if a.RefName == "" {
			out = append(out, a)
			continue
		}
		if !s.inFunction {
			return nil, fmt.Errorf("attribute %s refers to %q, but the node is in no function", a.Name, a.RefName)
		}
		if v := s.attributes[a.RefName]; v != nil {
			named := *v
			named.Name, named.RefName = a.Name, ""
			out = append(out, &named)
		}
	}
	return out, nil
}

// operator makes a step, or folds it.
func (c *compiler) operator(s *scope, n *node, refs []ref, attrs []*onnxio.Attribute, path string) error {
	if n.version == 0 {
		if n.domain != "" {
			return fmt.Errorf("the model imports no opset of the domain %q", n.domain)
		}
		return errors.New("the model imports no opset of the default domain")
	}
	st := &step{op: n.op, domain: n.domain, path: path, own: len(refs), version: n.version, attrs: attrs}
	var captured []int // slots of s.program, behind the node's own inputs
	compileBody := func(attribute string, g *onnxio.Graph) (ops.Body, error) {
		b, err := c.body(s, g, path+"/"+attribute)
		if err != nil {
			return nil, err
		}
		for i := range b.captures {
			k := &b.captures[i]
			at := slices.Index(captured, k.outer)
			if at < 0 {
				at = len(captured)
				captured = append(captured, k.outer)
			}
			k.position = st.own + at
		}
		st.bodies = append(st.bodies, b)
		return &body{b}, nil
	}
	var err error
	if st.kernel, err = c.buildKernel(n, path, refs, attrs, compileBody); err != nil {
		return err
	}
	if out := c.fold(st, refs, len(n.outputs)); out != nil {
		for i, o := range n.outputs {
			if o != "" {
				s.names[o] = ref{known: out[i]}
			}
		}
		return nil
	}
	if n.domain == "" && wideOps[n.op] && (len(n.outputs) == 1 || n.op == "MaxPool") {
		var widened bool
		if st.half, widened = c.widenConstants(refs); widened {
			if st.kernel, err = c.buildKernel(n, path, refs, attrs, compileBody); err != nil {
				return err
			}
		}
		st.wide = true
	}
	for _, r := range refs {
		st.in = append(st.in, s.program.slotOf(r))
	}
	st.in = append(st.in, captured...)
	for _, o := range n.outputs {
		slot := -1
		if o != "" {
			slot = s.program.slot()
			s.names[o] = ref{slot: slot}
		}
		st.out = append(st.out, slot)
		st.names = append(st.names, s.within(o))
		if c.tapped[s.within(o)] && slot >= 0 {
			if s.program.taps == nil {
				s.program.taps = map[int]string{}
			}
			s.program.taps[slot] = s.within(o)
		}
	}
	s.program.steps = append(s.program.steps, st)
	return nil
}

// buildKernel asks package ops for a node's kernel.
func (c *compiler) buildKernel(n *node, path string, refs []ref, attrs []*onnxio.Attribute, body func(string, *onnxio.Graph) (ops.Body, error)) (ops.Kernel, error) {
	on := ops.NewNode(n.domain, n.op, n.version, attrs)
	on.Path, on.Compile, on.Exact = path, body, c.options.Exact
	for _, r := range refs {
		on.Inputs = append(on.Inputs, !r.absent())
		t, _ := r.known.(*value.Tensor)
		on.Constants = append(on.Constants, t)
	}
	for _, o := range n.outputs {
		on.Outputs = append(on.Outputs, o != "")
	}
	return ops.Build(on)
}

// body compiles the graph of a control-flow attribute.
func (c *compiler) body(outer *scope, g *onnxio.Graph, path string) (*program, error) {
	if outer.depth >= maxBodyDepth {
		return nil, &fatalError{fmt.Errorf("%s: bodies nest deeper than %d", path, maxBodyDepth)}
	}
	d, err := decodeGraph(g, outer.opset)
	if err != nil {
		return nil, err
	}
	before := len(c.problems)
	b := newBuilder(path)
	s := &scope{parent: outer, program: b, names: map[string]ref{}, opset: outer.opset, path: path,
		attributes: outer.attributes, inFunction: outer.inFunction, calls: outer.calls, depth: outer.depth + 1}
	for _, in := range g.Inputs {
		slot := b.slot()
		b.inputs = append(b.inputs, slot)
		s.names[in.Name] = ref{slot: slot}
	}
	if err := c.initializers(s, d, nil); err != nil {
		return nil, err
	}
	if err := c.nodes(s, d); err != nil {
		return nil, err
	}
	if err := c.results(s, d.outputs); err != nil {
		return nil, err
	}
	if len(c.problems) > before {
		return nil, errReported
	}
	c.finish(b)
	return b.program, nil
}

// finish takes out what nothing needs, fuses, counts readers, and packs weights.
func (c *compiler) finish(b *builder) {
	if c.options.Observe == nil {
		b.dropDead()
		if !c.options.NoFusion && c.options.Replace == nil {
			b.fuse(c.options.Exact)
		}
	}
	b.countReaders()
	b.dropUnread()
	if !c.unpacked {
		c.pack(b.program)
	}
}
