package verify

// Two models side by side: which nodes are the same in both, and what hangs on the others.

import (
	"bytes"
	"math"
	"slices"
	"strconv"

	"onnxprune/onnxio"
)

// network is the main graph of a model with its names looked up.
type network struct {
	model     *onnxio.Model
	nodes     []*onnxio.Node
	makers    map[string]*onnxio.Node
	weights   map[string]*onnxio.Tensor
	sparse    map[string]*onnxio.SparseTensor
	functions map[[3]string]*onnxio.Function
	reads     map[*onnxio.Node][]string // inputs, and what bodies read of the graph
	constant  map[string]bool           // weights, and what is computed from them alone
}

func networkOf(m *onnxio.Model) *network {
	w := &network{model: m, nodes: m.Graph.Nodes, makers: map[string]*onnxio.Node{}, weights: map[string]*onnxio.Tensor{},
		sparse: map[string]*onnxio.SparseTensor{}, functions: map[[3]string]*onnxio.Function{}, reads: map[*onnxio.Node][]string{},
		constant: map[string]bool{}}
	for _, t := range m.Graph.Initializers {
		w.weights[t.Name] = t
		w.constant[t.Name] = true
	}
	for _, t := range m.Graph.Sparse {
		w.sparse[t.Name()] = t
		w.constant[t.Name()] = true
	}
	for _, f := range m.Functions {
		w.functions[[3]string{f.Domain, f.Name, f.Overload}] = f
	}
	for _, n := range w.nodes {
		for _, o := range n.Outputs {
			if o != "" {
				w.makers[o] = n
			}
		}
		w.reads[n] = readsOf(n)
	}
	for grew := true; grew; {
		grew = false
		for _, n := range w.nodes {
			if slices.ContainsFunc(w.reads[n], func(r string) bool { return !w.constant[r] }) {
				continue
			}
			for _, o := range n.Outputs {
				grew = grew || o != "" && !w.constant[o]
				w.constant[o] = true
			}
		}
	}
	delete(w.constant, "")
	return w
}

func (w *network) function(n *onnxio.Node) *onnxio.Function {
	return w.functions[[3]string{n.Domain, n.OpType, n.Overload}]
}

// readsOf returns the names that a node reads of the graph it stands in.
func readsOf(n *onnxio.Node) []string {
	var out []string
	for _, in := range n.Inputs {
		if in != "" {
			out = append(out, in)
		}
	}
	for _, a := range n.Attributes {
		for _, body := range a.Subgraphs() {
			own := map[string]bool{}
			for _, t := range body.Initializers {
				own[t.Name] = true
			}
			for _, t := range body.Sparse {
				own[t.Name()] = true
			}
			for _, in := range body.Inputs {
				own[in.Name] = true
			}
			for _, inner := range body.Nodes {
				for _, o := range inner.Outputs {
					own[o] = true
				}
			}
			var names []string
			for _, inner := range body.Nodes {
				names = append(names, readsOf(inner)...)
			}
			for _, o := range body.Outputs {
				names = append(names, o.Name)
			}
			for _, name := range names {
				if !own[name] {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// counterpart returns the node that makes the same value in another network, nil where there is none.
func (w *network) counterpart(n *onnxio.Node) *onnxio.Node {
	for _, o := range n.Outputs {
		if o != "" {
			return w.makers[o]
		}
	}
	return nil
}

// differing returns the nodes of a that are not the same in b: another operator, other attributes or bodies, other
// names, or weights with other elements.
func differing(a, b *network) map[*onnxio.Node]bool {
	functions := len(a.functions) == len(b.functions)
	for key, f := range a.functions {
		functions = functions && b.functions[key] != nil && sameFunction(f, b.functions[key])
	}
	out := map[*onnxio.Node]bool{}
	for _, n := range a.nodes {
		other := b.counterpart(n)
		calls := a.function(n) != nil || slices.ContainsFunc(n.Attributes, func(x *onnxio.Attribute) bool { return len(x.Subgraphs()) > 0 })
		if other == nil || !sameNode(n, other) || !sameWeights(a, b, a.reads[n]) || calls && !functions {
			out[n] = true
		}
	}
	return out
}

func sameWeights(a, b *network, names []string) bool {
	for _, name := range names {
		s, t := a.sparse[name], b.sparse[name]
		if !sameTensor(a.weights[name], b.weights[name]) || (s == nil) != (t == nil) {
			return false
		}
		if s != nil && (!slices.Equal(s.Dims, t.Dims) || !sameTensor(s.Values, t.Values) || !sameTensor(s.Indices, t.Indices)) {
			return false
		}
	}
	return true
}

func sameFunction(a, b *onnxio.Function) bool {
	return slices.Equal(a.Inputs, b.Inputs) && slices.Equal(a.Outputs, b.Outputs) && slices.EqualFunc(a.Nodes, b.Nodes, sameNode) &&
		slices.EqualFunc(a.AttributeDefaults, b.AttributeDefaults, sameAttribute)
}

func sameNode(a, b *onnxio.Node) bool {
	if a == b {
		return true
	}
	if a.OpType != b.OpType || a.Domain != b.Domain || a.Overload != b.Overload || !slices.Equal(a.Inputs, b.Inputs) ||
		!slices.Equal(a.Outputs, b.Outputs) || len(a.Attributes) != len(b.Attributes) {
		return false
	}
	for _, x := range a.Attributes {
		y := b.Attribute(x.Name)
		if y == nil || !sameAttribute(x, y) {
			return false
		}
	}
	return true
}

func sameAttribute(a, b *onnxio.Attribute) bool {
	if a == b {
		return true
	}
	return a.Name == b.Name && a.Type == b.Type && a.RefName == b.RefName &&
		math.Float32bits(a.F) == math.Float32bits(b.F) && a.I == b.I && bytes.Equal(a.S, b.S) &&
		slices.Equal(a.Floats, b.Floats) && slices.Equal(a.Ints, b.Ints) && slices.EqualFunc(a.Strings, b.Strings, bytes.Equal) &&
		sameTensor(a.Tensor, b.Tensor) && slices.EqualFunc(a.Tensors, b.Tensors, sameTensor) &&
		sameGraph(a.Graph, b.Graph) && slices.EqualFunc(a.Graphs, b.Graphs, sameGraph) && sameSparse(a.Sparse, b.Sparse) &&
		sameType(a.TP, b.TP)
}

func sameSparse(a, b *onnxio.SparseTensor) bool {
	if a == nil || b == nil {
		return a == b
	}
	return slices.Equal(a.Dims, b.Dims) && sameTensor(a.Values, b.Values) && sameTensor(a.Indices, b.Indices)
}

func sameType(a, b *onnxio.Type) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.String() == b.String()
}

func sameGraph(a, b *onnxio.Graph) bool {
	if a == nil || b == nil || a == b {
		return a == b
	}
	names := func(vs []*onnxio.ValueInfo) []string {
		out := make([]string, len(vs))
		for i, v := range vs {
			out[i] = v.Name
		}
		return out
	}
	return slices.Equal(names(a.Inputs), names(b.Inputs)) && slices.Equal(names(a.Outputs), names(b.Outputs)) &&
		slices.EqualFunc(a.Initializers, b.Initializers, sameTensor) && slices.EqualFunc(a.Sparse, b.Sparse, sameSparse) &&
		slices.EqualFunc(a.Nodes, b.Nodes, sameNode)
}

// sameTensor compares names, types and elements.
func sameTensor(a, b *onnxio.Tensor) bool {
	return onnxio.SameElements(a, b) && (a == nil || a.Name == b.Name)
}

// reached returns the values that hang on the given nodes: what they write, and what is computed from that. through
// says whether a node passes on that it hangs on something.
func (w *network) reached(from map[*onnxio.Node]bool, through func(*onnxio.Node) bool) map[string]bool {
	out := map[string]bool{}
	for grew := true; grew; { // files may list nodes in any order that is topological; one pass does then
		grew = false
		for _, n := range w.nodes {
			if !from[n] && !(through(n) && slices.ContainsFunc(w.reads[n], func(r string) bool { return out[r] })) {
				continue
			}
			for _, o := range n.Outputs {
				if o != "" && !out[o] {
					out[o], grew = true, true
				}
			}
		}
	}
	return out
}

// title names a node as the rest of the project does: its operator and its name.
func title(n *onnxio.Node) string {
	op := n.OpType
	if n.Domain != "" {
		op = n.Domain + "." + op
	}
	if n.Name != "" {
		return op + " " + strconv.Quote(n.Name)
	}
	for _, o := range n.Outputs {
		if o != "" {
			return op + " that makes " + strconv.Quote(o)
		}
	}
	return op
}
