package runtime

// Hoisting: onnx-go carries a graph's skeleton, but no graph or tensor attributes of every type, no
// absent inputs, domains, names, nor an output that is an input at once. So a graph is
// split into a skeleton that onnx-go can carry, and a side table for the rest:
//
//   - values are numbered; the table holds their names ("" for an absent one);
//   - weights stay out;
//   - an attribute that is no plain number, string or list of them becomes a string that holds a key;
//   - domain, name and opset version travel as string attributes, whose names begin with @;
//   - the graph's outputs become the inputs of one last node, so that any value can be one.

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/owulveryck/onnx-go"

	"onnxprune/onnxio"
)

// graph is a decoded graph: what the compiler works on.
type graph struct {
	name         string
	inputs       []*onnxio.ValueInfo
	outputs      []string
	nodes        []*node // every node behind those it reads from
	initializers []initializer
}

// node is one decoded node. Absent inputs and outputs are "".
type node struct {
	domain, op, overload string
	name                 string
	version              int // 0: the model imports no opset of the domain
	inputs, outputs      []string
	attrs                []*onnxio.Attribute
	index                int // position in the file
}

type initializer struct {
	name   string
	dense  *onnxio.Tensor
	sparse *onnxio.SparseTensor
}

const (
	tagDomain   = "@domain"
	tagName     = "@name"
	tagOverload = "@overload"
	tagVersion  = "@version"
	tagInputs   = "@inputs"
	tagKey      = "@key" // followed by a number
	sinkOp      = "onnxprune.outputs"
)

// sideTable holds what the skeleton does not carry.
type sideTable struct {
	names  []string // of values, by number
	number map[string]int
	attrs  []*onnxio.Attribute
}

// decodeGraph takes a graph through onnx-go. opset says which version is imported of a domain.
func decodeGraph(g *onnxio.Graph, opset func(string) int64) (*graph, error) {
	out := &graph{name: g.Name, inputs: g.Inputs}
	for _, t := range g.Initializers {
		out.initializers = append(out.initializers, initializer{name: t.Name, dense: t})
	}
	for _, s := range g.Sparse {
		out.initializers = append(out.initializers, initializer{name: s.Name(), sparse: s})
	}
	var outputs []string
	for _, o := range g.Outputs {
		outputs = append(outputs, o.Name)
	}
	return decode(out, g.Nodes, outputs, opset)
}

// decodeFunction does the same for a local function's body.
func decodeFunction(f *onnxio.Function, opset func(string) int64) (*graph, error) {
	return decode(&graph{name: f.Name}, f.Nodes, f.Outputs, opset)
}

func decode(out *graph, nodes []*onnxio.Node, outputs []string, opset func(string) int64) (*graph, error) {
	t := &sideTable{number: map[string]int{}}
	sk := &skeleton{}
	if err := onnx.NewModel(sk).UnmarshalBinary(t.hoist(nodes, outputs, opset)); err != nil {
		return nil, fmt.Errorf("graph %q: onnx-go: %w", out.name, err)
	}
	for i, op := range sk.operations {
		n, err := t.restore(sk, op, i)
		if err != nil {
			return nil, fmt.Errorf("graph %q: %w", out.name, err)
		}
		if n.op == sinkOp {
			out.outputs = n.inputs
			continue
		}
		out.nodes = append(out.nodes, n)
	}
	if err := out.sort(); err != nil {
		return nil, fmt.Errorf("graph %q: %w", out.name, err)
	}
	return out, nil
}

// hoist fills the side table and returns the encoded skeleton.
func (t *sideTable) hoist(nodes []*onnxio.Node, outputs []string, opset func(string) int64) []byte {
	var g []byte
	for i, n := range nodes {
		attrs := encodedText(nil, tagDomain, n.Domain)
		attrs = encodedText(attrs, tagName, n.Name)
		attrs = encodedText(attrs, tagOverload, n.Overload)
		attrs = encodedText(attrs, tagVersion, strconv.FormatInt(opset(n.Domain), 10))
		attrs = encodedInt(attrs, tagInputs, int64(len(n.Inputs)))
		for _, a := range n.Attributes {
			attrs = t.attribute(attrs, a)
		}
		// onnx-go names a stand-in for a missing input after the node
		g = encodedNode(g, "n"+strconv.Itoa(i), n.OpType, t.values(n.Inputs), t.values(n.Outputs), attrs)
	}
	g = encodedNode(g, "sink", sinkOp, t.values(outputs), t.values([]string{""}), encodedInt(nil, tagInputs, int64(len(outputs))))
	last := strconv.Itoa(len(t.names) - 1)
	return encodedModel(g, last)
}

// values numbers names. Each absent value gets a number of its own.
func (t *sideTable) values(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		n, ok := t.number[name]
		if !ok || name == "" {
			n = len(t.names)
			t.names = append(t.names, name)
			t.number[name] = n
		}
		out[i] = strconv.Itoa(n)
	}
	return out
}

// attribute appends what goes into the skeleton for an attribute.
func (t *sideTable) attribute(b []byte, a *onnxio.Attribute) []byte {
	if a.RefName == "" && !strings.HasPrefix(a.Name, "@") && strings.ToValidUTF8(a.Name, "?") == a.Name {
		switch a.Type {
		case onnxio.AttrInt:
			return encodedInt(b, a.Name, a.I)
		case onnxio.AttrFloat:
			return encodedFloat(b, a.Name, a.F)
		case onnxio.AttrString:
			return encodedText(b, a.Name, string(a.S))
		case onnxio.AttrInts:
			return encodedInts(b, a.Name, a.Ints)
		case onnxio.AttrFloats:
			return encodedFloats(b, a.Name, a.Floats)
		}
	}
	t.attrs = append(t.attrs, a)
	return encodedText(b, tagKey+strconv.Itoa(len(t.attrs)-1), "")
}

// restore puts a node together from what onnx-go delivered and the side table.
func (t *sideTable) restore(sk *skeleton, op operation, index int) (*node, error) {
	n := &node{op: op.name, index: index}
	var err error
	text := func(key string) string { s, _ := op.attributes[key].(string); return s }
	n.domain, n.name, n.overload = text(tagDomain), text(tagName), text(tagOverload)
	if v := text(tagVersion); v != "" {
		if n.version, err = strconv.Atoi(v); err != nil {
			return nil, fmt.Errorf("node %d: opset version %q", index, v)
		}
	}
	count, _ := op.attributes[tagInputs].(int64)
	for i := range int(count) {
		name, ok := "", false
		if len(op.outputs) > 0 {
			name, ok = sk.input(op.outputs[0], i)
		}
		if !ok && len(op.outputs) > 0 {
			return nil, fmt.Errorf("node %d (%s): onnx-go lost input %d", index, op.name, i)
		}
		n.inputs = append(n.inputs, t.name(name))
	}
	for _, o := range op.outputs {
		n.outputs = append(n.outputs, t.name(sk.names[o]))
	}
	for name, v := range op.attributes {
		a, err := t.restoreAttribute(name, v)
		if err != nil {
			return nil, fmt.Errorf("node %d (%s): %w", index, op.name, err)
		}
		if a != nil {
			n.attrs = append(n.attrs, a)
		}
	}
	return n, nil
}

func (t *sideTable) name(number string) string {
	i, err := strconv.Atoi(number)
	if err != nil || i < 0 || i >= len(t.names) {
		return ""
	}
	return t.names[i]
}

// restoreAttribute returns nil for the tags.
func (t *sideTable) restoreAttribute(name string, v any) (*onnxio.Attribute, error) {
	if key, ok := strings.CutPrefix(name, tagKey); ok {
		i, err := strconv.Atoi(key)
		if err != nil || i < 0 || i >= len(t.attrs) {
			return nil, fmt.Errorf("attribute key %q is unknown", name)
		}
		return t.attrs[i], nil
	}
	if strings.HasPrefix(name, "@") {
		return nil, nil
	}
	switch v := v.(type) {
	case int64:
		return onnxio.NewInt(name, v), nil
	case float32:
		return onnxio.NewFloat(name, v), nil
	case string:
		return onnxio.NewString(name, v), nil
	case []int64:
		return onnxio.NewInts(name, v...), nil
	case []float32:
		return onnxio.NewFloats(name, v...), nil
	}
	return nil, fmt.Errorf("onnx-go gave attribute %s as %T", name, v)
}
