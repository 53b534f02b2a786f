package onnxio

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Opset says which version of an operator domain a model was written for. The
// default domain "ai.onnx" is written "".
type Opset struct {
	Domain  string
	Version int64
}

// Model is an ONNX ModelProto. It is safe for concurrent readers; setters are for one
// goroutine, on a Clone that no one reads yet.
type Model struct {
	message
	Path         string // where it was read from; "" for a model made here
	IRVersion    int64
	Producer     string
	ProducerVers string
	Opsets       []Opset
	Graph        *Graph
	Functions    []*Function

	file  *source // the mapped file and its external data
	split bool    // it came with external data, and is saved with some
}

// Graph is a GraphProto: the main graph, or a body of If, Loop, Scan or SequenceMap.
type Graph struct {
	message
	Name         string
	Nodes        []*Node
	Initializers []*Tensor
	Sparse       []*SparseTensor
	Inputs       []*ValueInfo
	Outputs      []*ValueInfo
	ValueInfos   []*ValueInfo
	Quantization []QuantAnnotation
}

// Function is a FunctionProto: an operator defined by the model itself.
type Function struct {
	message
	Name, Domain, Overload string
	Inputs, Outputs        []string
	AttributeNames         []string     // attributes without a default
	AttributeDefaults      []*Attribute // attributes with one
	Nodes                  []*Node
	Opsets                 []Opset
	ValueInfos             []*ValueInfo
}

// Node is a NodeProto. Absent optional inputs and outputs have the name "".
type Node struct {
	message
	Name, OpType, Domain, Overload string
	Inputs, Outputs                []string
	Attributes                     []*Attribute
}

// QuantAnnotation is a TensorAnnotation: names of a tensor's quantisation parameters.
type QuantAnnotation struct {
	Tensor string
	Params map[string]string
}

// Attribute returns the attribute of that name, or nil.
func (n *Node) Attribute(name string) *Attribute {
	for _, a := range n.Attributes {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Opset returns the version that the model imports of a domain ("" or "ai.onnx" is the
// default one), and 0 when it imports none.
func (m *Model) Opset(domain string) int64 { return opsetOf(m.Opsets, domain) }

// Opset returns the version that the function imports of a domain, 0 for none.
func (f *Function) Opset(domain string) int64 { return opsetOf(f.Opsets, domain) }

func opsetOf(os []Opset, domain string) int64 {
	domain = NormalDomain(domain)
	v := int64(0)
	for _, o := range os {
		if o.Domain == domain {
			v = max(v, o.Version)
		}
	}
	return v
}

// NormalDomain maps the two spellings of the default domain, "ai.onnx" and "", to "".
func NormalDomain(d string) string {
	if d == "ai.onnx" {
		return ""
	}
	return d
}

// parser carries what a nested message needs to know while it is decoded.
type parser struct {
	file  *source
	depth int
}

func (p parser) deeper() (parser, error) {
	if p.depth >= maxDepth {
		return p, fmt.Errorf("graphs, attributes or types nest deeper than %d", maxDepth)
	}
	p.depth++
	return p, nil
}

// str decodes a string field into dst.
func (f *field) str(dst *string) error {
	b, err := f.bytes()
	*dst = string(b)
	return err
}

func (f *field) strs(dst *[]string) error {
	b, err := f.bytes()
	*dst = append(*dst, string(b))
	return err
}

func (f *field) int(dst *int64) error {
	v, err := f.varint()
	*dst = int64(v)
	return err
}

// parseChild decodes a sub-message, links it into its field and appends it to list.
func parseChild[T encoder](p parser, f *field, list *[]T, parse func(parser, []byte) (T, error)) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	c, err := parse(p, b)
	if err != nil {
		return err
	}
	f.child, f.raw = c, nil
	*list = append(*list, c)
	return nil
}

func parseModel(b []byte, file *source) (*Model, error) {
	m := &Model{file: file}
	var err error
	if m.message, err = readFields(b); err != nil {
		return nil, err
	}
	p := parser{file: file}
	var graphs []*Graph
	for i := range m.fields {
		f := &m.fields[i]
		switch f.num {
		case 1:
			err = f.int(&m.IRVersion)
		case 2:
			err = f.str(&m.Producer)
		case 3:
			err = f.str(&m.ProducerVers)
		case 7:
			err = parseChild(p, f, &graphs, parseGraph)
		case 8:
			err = parseOpset(f, &m.Opsets)
		case 25:
			err = parseChild(p, f, &m.Functions, parseFunction)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case len(graphs) == 0:
		return nil, fmt.Errorf("it holds no graph")
	case len(graphs) > 1:
		return nil, fmt.Errorf("it holds %d graphs, want one", len(graphs))
	}
	m.Graph = graphs[0]
	return m, nil
}

func parseOpset(f *field, list *[]Opset) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	m, err := readFields(b)
	if err != nil {
		return fmt.Errorf("opset import: %w", err)
	}
	var o Opset
	for i := range m.fields {
		switch f := &m.fields[i]; f.num {
		case 1:
			err = f.str(&o.Domain)
		case 2:
			err = f.int(&o.Version)
		}
		if err != nil {
			return fmt.Errorf("opset import: %w", err)
		}
	}
	o.Domain = NormalDomain(o.Domain)
	*list = append(*list, o)
	return nil
}

func parseGraph(p parser, b []byte) (*Graph, error) {
	p, err := p.deeper()
	if err != nil {
		return nil, err
	}
	g := &Graph{}
	if g.message, err = readFields(b); err != nil {
		return nil, fmt.Errorf("graph: %w", err)
	}
	for i := range g.fields {
		f := &g.fields[i]
		switch f.num {
		case 1:
			err = parseChild(p, f, &g.Nodes, parseNode)
		case 2:
			err = f.str(&g.Name)
		case 5:
			err = parseChild(p, f, &g.Initializers, parseTensor)
		case 11:
			err = parseChild(p, f, &g.Inputs, parseValueInfo)
		case 12:
			err = parseChild(p, f, &g.Outputs, parseValueInfo)
		case 13:
			err = parseChild(p, f, &g.ValueInfos, parseValueInfo)
		case 14:
			err = parseQuantization(f, &g.Quantization)
		case 15:
			err = parseChild(p, f, &g.Sparse, parseSparse)
		}
		if err != nil {
			return nil, fmt.Errorf("graph %q: %w", g.Name, err)
		}
	}
	return g, nil
}

func parseQuantization(f *field, list *[]QuantAnnotation) error {
	b, err := f.bytes()
	if err != nil {
		return err
	}
	m, err := readFields(b)
	if err != nil {
		return fmt.Errorf("quantization annotation: %w", err)
	}
	q := QuantAnnotation{Params: map[string]string{}}
	for i := range m.fields {
		switch f := &m.fields[i]; f.num {
		case 1:
			err = f.str(&q.Tensor)
		case 2:
			var kv []byte
			if kv, err = f.bytes(); err == nil {
				err = q.param(kv)
			}
		}
		if err != nil {
			return fmt.Errorf("quantization annotation: %w", err)
		}
	}
	*list = append(*list, q)
	return nil
}

func (q *QuantAnnotation) param(b []byte) error {
	k, v, err := keyValue(b)
	if err == nil {
		q.Params[k] = v
	}
	return err
}

// keyValue decodes a StringStringEntryProto.
func keyValue(b []byte) (key, value string, err error) {
	m, err := readFields(b)
	if err != nil {
		return "", "", err
	}
	for i := range m.fields {
		switch f := &m.fields[i]; f.num {
		case 1:
			err = f.str(&key)
		case 2:
			err = f.str(&value)
		}
		if err != nil {
			return "", "", err
		}
	}
	return key, value, nil
}

func parseFunction(p parser, b []byte) (*Function, error) {
	p, err := p.deeper()
	if err != nil {
		return nil, err
	}
	fn := &Function{}
	if fn.message, err = readFields(b); err != nil {
		return nil, fmt.Errorf("function: %w", err)
	}
	for i := range fn.fields {
		f := &fn.fields[i]
		switch f.num {
		case 1:
			err = f.str(&fn.Name)
		case 4:
			err = f.strs(&fn.Inputs)
		case 5:
			err = f.strs(&fn.Outputs)
		case 6:
			err = f.strs(&fn.AttributeNames)
		case 7:
			err = parseChild(p, f, &fn.Nodes, parseNode)
		case 9:
			err = parseOpset(f, &fn.Opsets)
		case 10:
			err = f.str(&fn.Domain)
		case 11:
			err = parseChild(p, f, &fn.AttributeDefaults, parseAttribute)
		case 12:
			err = parseChild(p, f, &fn.ValueInfos, parseValueInfo)
		case 13:
			err = f.str(&fn.Overload)
		}
		if err != nil {
			return nil, fmt.Errorf("function %q: %w", fn.Name, err)
		}
	}
	fn.Domain = NormalDomain(fn.Domain)
	return fn, nil
}

func parseNode(p parser, b []byte) (*Node, error) {
	p, err := p.deeper()
	if err != nil {
		return nil, err
	}
	n := &Node{}
	if n.message, err = readFields(b); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	for i := range n.fields {
		f := &n.fields[i]
		switch f.num {
		case 1:
			err = f.strs(&n.Inputs)
		case 2:
			err = f.strs(&n.Outputs)
		case 3:
			err = f.str(&n.Name)
		case 4:
			err = f.str(&n.OpType)
		case 5:
			err = parseChild(p, f, &n.Attributes, parseAttribute)
		case 7:
			err = f.str(&n.Domain)
		case 8:
			err = f.str(&n.Overload)
		}
		if err != nil {
			return nil, fmt.Errorf("node %s %q: %w", n.OpType, n.Name, err)
		}
	}
	n.Domain = NormalDomain(n.Domain)
	return n, nil
}

// rawBytes decodes every bytes field of one number.
func (m *message) rawBytes(num protowire.Number) [][]byte {
	var out [][]byte
	for i := range m.fields {
		if f := &m.fields[i]; f.num == num && f.raw != nil {
			if b, err := f.bytes(); err == nil {
				out = append(out, b)
			}
		}
	}
	return out
}
