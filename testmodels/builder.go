// Package testmodels makes ONNX models by code: small graphs in a few lines for the tests of the other
// packages, and the networks that the tool is measured by.
//
// A Builder writes one graph from its inputs to its outputs. Every call that makes a value returns the
// value's name, which later calls take as input; names are made up where none is given. Weights are drawn
// from their name and the builder's seed alone, so a model's bytes depend on nothing else.
//
//	b := testmodels.New(17)
//	x := b.Input("x", onnxio.Float, "N", 3, 16, 16)
//	y := b.Relu(b.BN("bn1", b.Conv("conv1", x, 3, 8, 3), 8))
//	b.Output(y, onnxio.Float, "N", 8, 16, 16)
//	m := b.Model()
//
// The builder is for tests: a call that makes no sense, such as one that reads a name which nothing
// makes, panics with a message that says so.
package testmodels

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/onnxio"
)

// Builder writes a graph: the main one, the body of a control-flow node, or a function.
type Builder struct {
	Seed      uint64 // changes every weight that is drawn
	Constants bool   // weights become Constant nodes, as Paddle2ONNX writes them, not initializers

	graph  *onnxio.Graph
	outer  *Builder // the graph around a body
	shared *shared
	made   map[string]bool
	name   string // the next node's, set by Named
	inFunc bool   // a function has no initializers
}

// shared is what the graphs of one model have in common.
type shared struct {
	opsets    []onnxio.Opset
	functions []*onnxio.Function
	counts    map[string]int // made-up names
}

// New starts a model of an opset.
func New(opset int64) *Builder {
	return newBuilder("main", &shared{opsets: []onnxio.Opset{{Version: opset}}, counts: map[string]int{}})
}

func newBuilder(name string, sh *shared) *Builder {
	return &Builder{graph: onnxio.NewGraph(name), shared: sh, made: map[string]bool{}}
}

// Body starts the body of an If, Loop, Scan or SequenceMap node: it sees the names that the builder has
// made so far. Give the body itself as the attribute's value.
//
//	then := b.Body("then")
//	then.Output(then.Relu(x), onnxio.Float, 1, 8)
//	y := b.Node("If", []string{cond}, testmodels.Attrs{"then_branch": then, "else_branch": other})
func (b *Builder) Body(name string) *Builder {
	c := newBuilder(name, b.shared)
	c.outer, c.Seed, c.Constants = b, b.Seed, b.Constants
	return c
}

// Function adds a function to the model. write makes its nodes: it is given a builder that knows the
// function's inputs, and must make values named as its outputs. Weights in it are Constant nodes.
// A call is b.Node("domain::name", ...).
func (b *Builder) Function(domain, name string, inputs, outputs, attributes []string, write func(f *Builder)) {
	f := newBuilder(name, b.shared)
	f.Seed, f.inFunc = b.Seed, true
	for _, in := range inputs {
		f.define(in)
	}
	write(f)
	for _, out := range outputs {
		f.check("function "+name, out)
	}
	fn := onnxio.NewFunction(domain, name, inputs, outputs, b.shared.opsets, f.graph.Nodes...)
	if len(attributes) > 0 {
		fn.AddAttributeNames(attributes...)
	}
	b.shared.functions = append(b.shared.functions, fn)
	b.Import(domain, 1)
}

// Import lets the model use a domain's operators; the first version that is named stays.
func (b *Builder) Import(domain string, version int64) {
	if !slices.ContainsFunc(b.shared.opsets, func(o onnxio.Opset) bool { return o.Domain == domain }) {
		b.shared.opsets = append(b.shared.opsets, onnxio.Opset{Domain: domain, Version: version})
	}
}

// Opset returns the version of the default domain.
func (b *Builder) Opset() int64 { return b.shared.opsets[0].Version }

// Input declares a graph input. A dimension is a number, a name, or -1 for one that nothing is known of.
func (b *Builder) Input(name string, elem onnxio.DataType, dims ...any) string {
	b.define(name)
	b.graph.AddInput(onnxio.NewValueInfo(name, tensorType(elem, dims)))
	return name
}

// InputType declares a graph input of any type; nil for none, as bodies may.
func (b *Builder) InputType(name string, t *onnxio.Type) string {
	b.define(name)
	b.graph.AddInput(onnxio.NewValueInfo(name, t))
	return name
}

// Output declares a value as a graph output; dimensions are given as to Input. With none the
// output has a type but no shape; see OutputType for scalars.
func (b *Builder) Output(name string, elem onnxio.DataType, dims ...any) {
	t := tensorType(elem, dims)
	t.HasShape = len(dims) > 0
	b.OutputType(name, t)
}

// OutputType declares a value as a graph output of any type.
func (b *Builder) OutputType(name string, t *onnxio.Type) {
	b.check("graph output", name)
	b.graph.AddOutput(onnxio.NewValueInfo(name, t))
}

// ValueInfo declares the type of an inner value.
func (b *Builder) ValueInfo(name string, elem onnxio.DataType, dims ...any) {
	b.check("value info", name)
	b.graph.AddValueInfo(onnxio.NewValueInfo(name, tensorType(elem, dims)))
}

// tensorType reads dimensions given as int, int64, string, or a list of int64.
func tensorType(elem onnxio.DataType, dims []any) *onnxio.Type {
	shape := []onnxio.Dim{}
	for _, d := range dims {
		switch d := d.(type) {
		case int:
			shape = append(shape, fixedDim(int64(d)))
		case int64:
			shape = append(shape, fixedDim(d))
		case string:
			shape = append(shape, onnxio.Named(d))
		case []int64:
			for _, v := range d {
				shape = append(shape, fixedDim(v))
			}
		default:
			panic(fmt.Sprintf("testmodels: a dimension is an int, an int64 or a string, not %T", d))
		}
	}
	return onnxio.TensorType(elem, shape...)
}

func fixedDim(n int64) onnxio.Dim {
	if n < 0 {
		return onnxio.Dim{}
	}
	return onnxio.Fixed(n)
}

// Named gives the next node a name.
func (b *Builder) Named(name string) *Builder {
	b.name = name
	return b
}

// Node adds a node with one output and returns the output's name. An operator of another domain is
// written "domain::Op"; an absent input is "".
func (b *Builder) Node(op string, inputs []string, attrs ...Attrs) string {
	return b.NodeN(op, inputs, 1, attrs...)[0]
}

// NodeN adds a node with n outputs.
func (b *Builder) NodeN(op string, inputs []string, n int, attrs ...Attrs) []string {
	outs := make([]string, n)
	for i := range outs {
		outs[i] = b.fresh(op)
	}
	b.NodeTo(op, inputs, outs, attrs...)
	return outs
}

// NodeTo adds a node whose outputs have the given names; "" for an output that is left out.
func (b *Builder) NodeTo(op string, inputs, outputs []string, attrs ...Attrs) *onnxio.Node {
	for _, in := range inputs {
		if in != "" {
			b.check("node "+op, in)
		}
	}
	domain, typ := "", op
	if d, t, ok := strings.Cut(op, "::"); ok {
		domain, typ = d, t
	}
	name := b.name
	b.name = ""
	n := onnxio.NewNode(typ, name, inputs, outputs, attributes(op, attrs)...)
	if domain != "" {
		n.SetDomain(domain)
		b.Import(domain, 1)
	}
	b.graph.AddNode(n)
	for _, out := range outputs {
		if out != "" {
			b.define(out)
		}
	}
	return n
}

// fresh makes up a value name, unique in the whole model.
func (b *Builder) fresh(op string) string {
	base := strings.ToLower(op[strings.LastIndex(op, ":")+1:])
	for {
		b.shared.counts[base]++
		name := fmt.Sprintf("%s_%d", base, b.shared.counts[base])
		if !b.sees(name) {
			return name
		}
	}
}

func (b *Builder) define(name string) {
	if b.sees(name) {
		panic(fmt.Sprintf("testmodels: %q is made twice", name))
	}
	b.made[name] = true
}

func (b *Builder) sees(name string) bool {
	return b.made[name] || b.outer != nil && b.outer.sees(name)
}

func (b *Builder) check(who, name string) {
	if !b.sees(name) {
		panic(fmt.Sprintf("testmodels: %s reads %q, which nothing in reach makes", who, name))
	}
}

// Graph returns the graph as it is so far.
func (b *Builder) Graph() *onnxio.Graph { return b.graph }

// model is the model as the builder made it, nothing encoded yet.
func (b *Builder) model() *onnxio.Model {
	if b.outer != nil || b.inFunc {
		panic("testmodels: only the main graph's builder makes a model")
	}
	return onnxio.NewModel(irVersion(b.Opset()), "testmodels", b.shared.opsets, b.graph, b.shared.functions...)
}

// Bytes returns the model's encoding.
func (b *Builder) Bytes() []byte { return b.model().Bytes() }

// Model returns the model as if it had been read from a file.
func (b *Builder) Model() *onnxio.Model {
	m, err := onnxio.Parse(b.Bytes())
	if err != nil {
		panic("testmodels: what was built can not be read: " + err.Error())
	}
	return m
}

// Save writes the model to a file.
func (b *Builder) Save(path string) error {
	return b.model().Save(path)
}

// irVersion returns the file format version of the ONNX release that brought the opset, but at least 4:
// before that, initializers had to be graph inputs too.
func irVersion(opset int64) int64 {
	versions := []struct{ opset, ir int64 }{{24, 12}, {23, 11}, {21, 10}, {19, 9}, {15, 8}, {12, 7}, {11, 6}, {10, 5}}
	for _, v := range versions {
		if opset >= v.opset {
			return v.ir
		}
	}
	return 4
}
