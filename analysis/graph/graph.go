// Package graph turns a model into values and nodes that know one another: who produces a value,
// who reads it, which names a control-flow body captures from outside.
//
// Scopes nest as graphs nest: the main graph, and the bodies of If, Loop, Scan and SequenceMap. Calls
// of model-local functions are looked through: every call becomes nodes of the scope that calls, with the
// function's formal names bound to the call's values, so no later stage knows of functions.
package graph

import (
	"strconv"

	"onnxprune/onnxio"
)

// Graph is a model with its scopes linked.
type Graph struct {
	Model  *onnxio.Model
	Main   *Scope
	Nodes  []*Node  // of all scopes; a control-flow node stands before the nodes of its bodies
	Values []*Value // of all scopes; Value.ID is the index
}

// Scope is the main graph or one control-flow body.
type Scope struct {
	Path    string // "" for the main graph, "Loop_12/body" for a body
	Proto   *onnxio.Graph
	Owner   *Node  // the control-flow node; nil for the main graph
	Attr    string // the attribute of Owner that holds the body
	Nodes   []*Node
	Inputs  []*Value // formal inputs, initializers of the same name included
	Outputs []*Value
	names   map[string]*Value
}

// Value is one tensor, sequence or optional of a scope.
type Value struct {
	ID       int
	Name     string
	Scope    *Scope
	Producer *Node // nil for inputs and initializers
	Index    int   // which output of Producer
	Tensor   *onnxio.Tensor
	Sparse   *onnxio.SparseTensor // a sparse initializer
	Holder   *Node                // the Constant node that holds Tensor; nil for initializers
	Input    bool                 // a formal input of its scope (perhaps with an initializer as default)
	Output   bool                 // an output of its scope
	Returned bool                 // a body inside its scope hands it out
	Uses     []Use
	Declared *onnxio.Type // from the file; nil where nothing is declared
}

// Use is one reading of a value. Node may lie in a body inside the value's own scope: a capture.
type Use struct {
	Node  *Node
	Input int
}

// Node is one operator call.
type Node struct {
	ID       int
	Path     string // unique and readable: names of enclosing nodes and bodies, then its own
	Op       string
	Domain   string // "" for ai.onnx
	Version  int    // opset version imported for Domain
	Proto    *onnxio.Node
	Scope    *Scope
	Inputs   []*Value // nil where absent
	Outputs  []*Value // nil where absent
	Attrs    []*onnxio.Attribute
	Bodies   []*Scope
	Captures []*Value // outer values that the bodies read by name, nested bodies included, in order of first use
	Calls    []*Call  // the function calls that this node came out of, outermost first
}

// Call is one call of a model-local function.
type Call struct {
	Node     *onnxio.Node // the calling node
	Path     string
	Function *onnxio.Function
	Attrs    map[string]*onnxio.Attribute // of the call, defaults included
	Foreign  string                       // of a call in the main graph: why the nodes that it stands for can not stand there, "" where they can
	names    map[string]*Value            // inside of the call
}

// Value returns what a name inside of the call stands for. A name that is known and has no value is an input that the call leaves out.
func (c *Call) Value(name string) (v *Value, known bool) {
	v, known = c.names[name]
	return v, known
}

// Constant reports whether the value is known from the file: an initializer that no input
// can override, or the output of a Constant node.
func (v *Value) Constant() bool { return v.Tensor != nil || v.Sparse != nil }

// InBody reports whether the value belongs to a control-flow body.
func (v *Value) InBody() bool { return v.Scope.Owner != nil }

// InBody reports whether the node lies in a control-flow body.
func (n *Node) InBody() bool { return n.Scope.Owner != nil }

// Attr returns the attribute of that name, references to a function's attributes resolved; nil for none.
func (n *Node) Attr(name string) *onnxio.Attribute {
	for _, a := range n.Attrs {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// Int returns an integer attribute, or def.
func (n *Node) Int(name string, def int64) int64 {
	if a := n.Attr(name); a != nil && a.Type == onnxio.AttrInt {
		return a.I
	}
	return def
}

// Ints returns a list of integers; ok is false where the attribute is absent.
func (n *Node) Ints(name string) (vs []int64, ok bool) {
	if a := n.Attr(name); a != nil && a.Type == onnxio.AttrInts {
		return a.Ints, true
	}
	return nil, false
}

// Text returns a string attribute, or def.
func (n *Node) Text(name, def string) string {
	if a := n.Attr(name); a != nil && a.Type == onnxio.AttrString {
		return string(a.S)
	}
	return def
}

// Float returns a float attribute, or def.
func (n *Node) Float(name string, def float32) float32 {
	if a := n.Attr(name); a != nil && a.Type == onnxio.AttrFloat {
		return a.F
	}
	return def
}

// Input returns the i-th input, nil where it is absent.
func (n *Node) Input(i int) *Value {
	if i < len(n.Inputs) {
		return n.Inputs[i]
	}
	return nil
}

// Output returns the i-th output, nil where it is absent.
func (n *Node) Output(i int) *Value {
	if i < len(n.Outputs) {
		return n.Outputs[i]
	}
	return nil
}

// Title names the node for people: its operator and its path.
func (n *Node) Title() string {
	if n.Domain != "" {
		return n.Domain + "." + n.Op + " " + strconv.Quote(n.Path)
	}
	return n.Op + " " + strconv.Quote(n.Path)
}

// FullName is the value's name with the path of its body: unique in the model.
func (v *Value) FullName() string {
	if v.Scope.Path == "" {
		return v.Name
	}
	return v.Scope.Path + "/" + v.Name
}

// Lookup returns the value of that name in the scope itself, nil for none.
func (s *Scope) Lookup(name string) *Value { return s.names[name] }

// Weights returns every constant tensor of all scopes, in order of first use.
func (g *Graph) Weights() []*Value {
	var out []*Value
	for _, v := range g.Values {
		if v.Tensor != nil {
			out = append(out, v)
		}
	}
	return out
}

// Data returns the value's tensor, an empty one where it has none.
func (v *Value) Data() *onnxio.Tensor {
	if v == nil || v.Tensor == nil {
		return &onnxio.Tensor{}
	}
	return v.Tensor
}

// Declared returns the scope's values whose type the file declares, in order.
func (s *Scope) Declared() []*Value {
	var out []*Value
	add := func(name string) {
		if v := s.names[name]; v != nil && v.Declared != nil {
			out = append(out, v)
		}
	}
	for _, vi := range s.Proto.Inputs {
		add(vi.Name)
	}
	for _, vi := range s.Proto.ValueInfos {
		add(vi.Name)
	}
	for _, vi := range s.Proto.Outputs {
		add(vi.Name)
	}
	return out
}
