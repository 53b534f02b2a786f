package ops

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// Node is what a Builder sees of a node. Reading an attribute marks it as understood.
type Node struct {
	Domain, Op string
	Path       string // for messages: names of the enclosing nodes and bodies, and its own
	Version    int    // the opset version that the model imports of Domain
	Since      int    // the version at which the operator's meaning began; set by Build

	Inputs  []bool // per input of the node: is it there? (optional inputs may be absent)
	Outputs []bool // per output: does the node name it?

	// Constants holds the inputs whose value is known before the run (weights), nil for the others. May be
	// shorter than Inputs.
	Constants []*value.Tensor

	// Exact rules out kernels that give accuracy away for speed.
	Exact bool

	// Compile makes a body graph runnable; the runtime sets it.
	Compile func(attribute string, g *onnxio.Graph) (Body, error)

	attrs []*onnxio.Attribute
	read  map[string]bool
	err   error
}

// Body is a compiled graph of a control-flow operator.
type Body interface {
	// Inputs returns how many inputs the body declares, Outputs how many outputs.
	Inputs() int
	Outputs() int
	// Run computes the body. args are its inputs, by position. in are the inputs of the control-flow node as its
	// kernel got them: behind the node's own, the runtime appends the outer values that the bodies capture,
	// and the body takes what it needs from there.
	Run(c *Context, args []value.Value, in []value.Value) ([]value.Value, error)
}

// NewNode makes a Node with these attributes.
func NewNode(domain, op string, version int, attrs []*onnxio.Attribute) *Node {
	return &Node{Domain: domain, Op: op, Version: version, attrs: attrs, read: map[string]bool{}}
}

// HasInput reports whether the node has its i-th input.
func (n *Node) HasInput(i int) bool { return i < len(n.Inputs) && n.Inputs[i] }

// HasOutput reports whether the node names its i-th output.
func (n *Node) HasOutput(i int) bool { return i < len(n.Outputs) && n.Outputs[i] }

// Constant returns the value of the i-th input where it is known before the run, else nil.
func (n *Node) Constant(i int) *value.Tensor {
	if i < len(n.Constants) {
		return n.Constants[i]
	}
	return nil
}

// CheckInputs returns an error unless the node has from least to most inputs, the first least of them present.
// most < 0 means any number.
func (n *Node) CheckInputs(least, most int) error {
	if most >= 0 && len(n.Inputs) > most {
		return fmt.Errorf("it has %d inputs, at most %d are understood", len(n.Inputs), most)
	}
	for i := range least {
		if !n.HasInput(i) {
			return fmt.Errorf("input %d is missing", i)
		}
	}
	return nil
}

// Has reports whether the attribute is there. It counts as read.
func (n *Node) Has(name string) bool { return n.attr(name, onnxio.AttrUndefined) != nil }

func (n *Node) attr(name string, want onnxio.AttrType) *onnxio.Attribute {
	n.read[name] = true
	for _, a := range n.attrs {
		if a.Name != name {
			continue
		}
		if want != onnxio.AttrUndefined && a.Type != want {
			n.fail(fmt.Errorf("attribute %s is a %v, want a %v", name, a.Type, want))
			return nil
		}
		return a
	}
	return nil
}

func (n *Node) fail(err error) {
	if n.err == nil {
		n.err = err
	}
}

// Int returns an integer attribute, or def where it is absent. A wrong type makes Build fail.
func (n *Node) Int(name string, def int64) int64 {
	if a := n.attr(name, onnxio.AttrInt); a != nil {
		return a.I
	}
	return def
}

// Bool returns an integer attribute as a truth value.
func (n *Node) Bool(name string, def bool) bool {
	d := int64(0)
	if def {
		d = 1
	}
	return n.Int(name, d) != 0
}

// Float returns a float attribute, or def.
func (n *Node) Float(name string, def float32) float32 {
	if a := n.attr(name, onnxio.AttrFloat); a != nil {
		return a.F
	}
	return def
}

// Text returns a string attribute, or def.
func (n *Node) Text(name, def string) string {
	if a := n.attr(name, onnxio.AttrString); a != nil {
		return string(a.S)
	}
	return def
}

// OneOf returns a string attribute that must be one of the allowed words; the first is the default.
func (n *Node) OneOf(name string, allowed ...string) string {
	v := n.Text(name, allowed[0])
	if !slices.Contains(allowed, v) {
		n.fail(fmt.Errorf("attribute %s is %q, known are %s", name, v, strings.Join(allowed, ", ")))
	}
	return v
}

// Ints returns a list of integers, nil where absent.
func (n *Node) Ints(name string) []int {
	a := n.attr(name, onnxio.AttrInts)
	if a == nil {
		return nil
	}
	out := make([]int, len(a.Ints))
	for i, v := range a.Ints {
		out[i] = int(v)
	}
	return out
}

// Floats returns a list of floats, nil where absent.
func (n *Node) Floats(name string) []float32 {
	if a := n.attr(name, onnxio.AttrFloats); a != nil {
		return a.Floats
	}
	return nil
}

// Texts returns a list of strings, nil where absent.
func (n *Node) Texts(name string) []string {
	a := n.attr(name, onnxio.AttrStrings)
	if a == nil {
		return nil
	}
	out := make([]string, len(a.Strings))
	for i, s := range a.Strings {
		out[i] = string(s)
	}
	return out
}

// Tensor returns a tensor attribute decoded, nil where absent.
func (n *Node) Tensor(name string) *value.Tensor {
	a := n.attr(name, onnxio.AttrTensor)
	if a == nil || a.Tensor == nil {
		return nil
	}
	t, err := value.FromProto(a.Tensor)
	if err != nil {
		n.fail(fmt.Errorf("attribute %s: %w", name, err))
		return nil
	}
	return t
}

// Attr returns an attribute of any type as it stands in the file, nil where absent.
func (n *Node) Attr(name string) *onnxio.Attribute { return n.attr(name, onnxio.AttrUndefined) }

// Body compiles the graph of a required attribute.
func (n *Node) Body(name string) (Body, error) {
	a := n.attr(name, onnxio.AttrGraph)
	if a == nil || a.Graph == nil {
		return nil, fmt.Errorf("attribute %s is missing", name)
	}
	return n.Compile(name, a.Graph)
}

// Ignore marks attributes as understood that have no effect on the result.
func (n *Node) Ignore(names ...string) {
	for _, name := range names {
		n.read[name] = true
	}
}

// unread returns the first error of reading, or one that names the attributes nobody read.
func (n *Node) unread() error {
	if n.err != nil {
		return n.err
	}
	var left []string
	for _, a := range n.attrs {
		if !n.read[a.Name] {
			left = append(left, a.Name)
		}
	}
	if len(left) > 0 {
		return fmt.Errorf("attribute %s is not known for opset %d", strings.Join(left, ", "), n.Version)
	}
	return nil
}
