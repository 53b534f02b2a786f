package ops

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// State is what the analysis has learnt so far, as rules see and change it.
type State struct {
	Set          *atoms.Set
	Shapes       *shape.Result
	Labels       [][]atoms.Axis // by Value.ID; nil: not labelled yet
	Consumptions []Consumption
	Parameters   []Parameter
	Mixtures     []Mixture
	Folds        *fold.Values               // works out what is computed from constants
	static       []bool                     // by Value.ID: see graph.Static
	shared       map[int][]atoms.Axis       // labels of constants that all uses share, by Value.ID
	Reads        map[graph.Use][]atoms.Axis // labels as each use saw them
}

// NewState returns the state before the first node.
func NewState(g *graph.Graph, s *shape.Result) *State {
	room := 0
	for _, v := range g.Weights() {
		for _, d := range v.Tensor.Dims {
			room += int(min(d, 1<<16))
		}
	}
	return &State{Set: atoms.NewSet(room), Shapes: s, Labels: make([][]atoms.Axis, len(g.Values)), static: g.Static(), Folds: fold.New(g, s),
		shared: map[int][]atoms.Axis{}, Reads: map[graph.Use][]atoms.Axis{}}
}

// Consumption is one summing over channels: a node reads an axis of an input, and multiplies it with an axis of a
// weight before it sums (Weight -1: it sums as it is).
type Consumption struct {
	Node       *graph.Node
	Input      int // the activation
	Axis       int
	Weight     int // the operand that holds the weight
	WeightAxis int
}

// Parameter is one weight of a convolution or linear layer: what users name.
type Parameter struct {
	Node  *graph.Node
	Input int        // which operand of Node it is
	Out   int        // the operand's axis of output channels
	Axis  atoms.Axis // that axis' channels
}

// IsStatic reports whether a value is known before the run: a constant that no input can override, or computed from
// such ones only.
func (s *State) IsStatic(v *graph.Value) bool { return v != nil && (v.Constant() || s.static[v.ID]) }

// Context is one node while its rule runs.
type Context struct {
	*State
	Node *graph.Node
	rule Rule
	read map[string]bool
	fail string // why the node is a barrier after all
}

// NewContext starts a node.
func NewContext(s *State, n *graph.Node) *Context {
	return &Context{State: s, Node: n, read: map[string]bool{}}
}

// Run lets the node's rule say how channels flow.
func (c *Context) Run(r Rule) {
	c.rule = r
	r.Flow(c)
}

// Rank returns the rank of the i-th input.
func (c *Context) Rank(i int) int { return c.Info(i).Rank() }

// Info returns what is known of the i-th input's shape.
func (c *Context) Info(i int) *shape.Info { return c.Shapes.Of(c.Node.Input(i)) }

// OutInfo returns what is known of the i-th output's shape.
func (c *Context) OutInfo(i int) *shape.Info { return c.Shapes.Of(c.Node.Output(i)) }

// Has reports whether the i-th input is there.
func (c *Context) Has(i int) bool { return c.Node.Input(i) != nil }

// In returns the labels of the i-th input, one per axis; nil where it is absent or no tensor.
func (c *Context) In(i int) []atoms.Axis {
	v := c.Node.Input(i)
	if v == nil {
		return nil
	}
	use := graph.Use{Node: c.Node, Input: i}
	if r, ok := c.Reads[use]; ok {
		return r
	}
	r := c.labels(v, use)
	c.Reads[use] = r
	return r
}

// SharedLabels returns the labels that all readings of a value share: nil for a vector that every reader may have cut in its
// own way.
func (s *State) SharedLabels(v *graph.Value) []atoms.Axis {
	if v.Constant() && s.vector(v) {
		return nil
	}
	return s.labels(v, graph.Use{})
}

// vector reports whether a constant has at most one axis of more than one element.
func (s *State) vector(v *graph.Value) bool {
	info, long := s.Shapes.Of(v), 0
	for a := range info.Dims {
		if n, _ := info.Fixed(a); n > 1 {
			long++
		}
	}
	return long <= 1
}

func (s *State) labels(v *graph.Value, use graph.Use) []atoms.Axis {
	if !v.Constant() {
		return s.Labels[v.ID]
	}
	if r := s.shared[v.ID]; r != nil {
		return r
	}
	vector := s.vector(v)
	if !vector {
		use = graph.Use{} // a weight that several nodes read is one weight
	}
	info := s.Shapes.Of(v)
	r := make([]atoms.Axis, len(info.Dims))
	for a := range info.Dims {
		if n, ok := info.Fixed(a); ok && n > 1 && v.Tensor != nil {
			arr := s.Set.New(int(n))
			arr.Owner = &atoms.Source{Value: v, Use: use, Axis: a, Array: arr}
			r[a] = atoms.Axis{Array: arr}
		}
	}
	if !vector {
		s.shared[v.ID] = r
	}
	return r
}

// Out labels the i-th output.
func (c *Context) Out(i int, axes []atoms.Axis) {
	v := c.Node.Output(i)
	if v == nil {
		return
	}
	info := c.Shapes.Of(v)
	if !info.Known || info.Rank() != len(axes) {
		c.Barrier("the rank of its output %q is not known", v.Name)
		return
	}
	for k, a := range axes {
		if n, ok := info.Fixed(k); !a.Fixed() && (!ok || n != int64(len(a.IDs))) {
			c.Barrier("axis %d of its output %q has %v elements, not the %d channels that flow into it", k, v.Name, info.Dims[k], len(a.IDs))
			return
		}
	}
	c.Labels[v.ID] = axes
}

// Fixed returns n axes without channels.
func Fixed(n int) []atoms.Axis { return make([]atoms.Axis, max(n, 0)) }

// OutFixed labels the i-th output as carrying no channels.
func (c *Context) OutFixed(i int) { c.Out(i, Fixed(c.OutInfo(i).Rank())) }

// Reason makes a reason that names this node.
func (c *Context) Reason(format string, args ...any) *atoms.Reason {
	return &atoms.Reason{Node: c.Node, Text: fmt.Sprintf(format, args...)}
}

// Pin fixes an axis.
func (c *Context) Pin(a atoms.Axis, format string, args ...any) {
	if !a.Fixed() {
		c.Set.PinArray(a.Array, c.Reason(format, args...))
	}
}

// PinInexact fixes an axis that a node's results depend on as a whole, unless inexact groups are asked for.
func (c *Context) PinInexact(a atoms.Axis, format string, args ...any) {
	if !a.Fixed() && !c.mix(a) {
		r := c.Reason(format, args...)
		r.Inexact = true
		c.Set.PinArray(a.Array, r)
	}
}

// PinAll fixes all axes of the i-th input.
func (c *Context) PinAll(i int, format string, args ...any) {
	for _, a := range c.In(i) {
		c.Pin(a, format, args...)
	}
}

// Unify makes two axes of the same length the same channels. Where one of them is fixed, so is the other.
func (c *Context) Unify(a, b atoms.Axis, what string) atoms.Axis {
	switch {
	case a.Fixed() && b.Fixed():
		if a.Why == nil {
			return b
		}
		return a
	case a.Fixed():
		c.pinBy(b, a, what)
		return a
	case b.Fixed():
		c.pinBy(a, b, what)
		return b
	case len(a.IDs) != len(b.IDs):
		c.Barrier("axes of %d and %d channels meet", len(a.IDs), len(b.IDs))
		return a
	}
	c.Set.Unify(a.Array, b.Array, c.Node)
	return a
}

// pinBy fixes a because it meets the fixed axis b.
func (c *Context) pinBy(a, b atoms.Axis, what string) {
	if b.Why != nil {
		r := *b.Why
		if !strings.Contains(r.Text, "; it meets") && r.Node != c.Node {
			r.Text = fmt.Sprintf("%s; it meets that %s in %s", r.Text, what, c.Node.Title())
		}
		c.Set.PinArray(a.Array, &r)
		return
	}
	c.Pin(a, "it meets, %s in %s, an axis of which nothing can be removed", what, c.Node.Title())
}

// Free returns an axis of n channels that anything can be cut from: content that is the same at every index.
func (c *Context) Free(n int64) atoms.Axis {
	if n <= 1 {
		return atoms.Axis{}
	}
	return atoms.Axis{Array: c.Set.New(int(n))}
}

// Take returns the axis of the given indices.
func (c *Context) Take(a atoms.Axis, index []int) atoms.Axis {
	if a.Fixed() || len(index) == 0 {
		return atoms.Axis{Why: a.Why}
	}
	ids := make([]atoms.ID, len(index))
	for i, k := range index {
		ids[i] = a.IDs[k]
	}
	return atoms.Axis{Array: c.Set.Wrap(ids)}
}

// Consume says that an axis of an input is summed over, against an axis of a weight operand (-1 for none).
func (c *Context) Consume(input, axis, weight, weightAxis int) {
	if c.computes() {
		c.consumeConstant(input, axis)
		if weight >= 0 {
			c.consumeConstant(weight, weightAxis)
		}
		return
	}
	k := Consumption{c.Node, input, axis, weight, weightAxis}
	c.Consumptions = append(c.Consumptions, k)
	c.provable(k)
}

// Parameter registers an operand as a weight that can be named, with its axis of output channels. A product of two constants is no layer.
func (c *Context) Parameter(input, out int) {
	ax := c.In(input)
	if out >= len(ax) || c.computes() {
		return
	}
	if !slices.Contains(c.rule.Weights, input) && !slices.Contains(c.rule.Weights, AnyInput) {
		panic(fmt.Sprintf("the rule of %s declares no weight at input %d", c.Node.Op, input))
	}
	c.Parameters = append(c.Parameters, Parameter{c.Node, input, out, ax[out]})
}

// Barrier gives the node up: everything that flows in is pinned, and nothing flows out.
func (c *Context) Barrier(format string, args ...any) {
	if c.fail == "" {
		c.fail = fmt.Sprintf(format, args...)
	}
}

// Barred is the reason of everything that a node which is given up pins.
func Barred(n *graph.Node, why string) *atoms.Reason {
	return &atoms.Reason{Node: n, Text: fmt.Sprintf("channels can not be followed through %s: %s", n.Title(), why)}
}

// Finish checks that the rule read every attribute, labels the outputs that it left out, and carries out a barrier. It
// returns the reason of the barrier, nil where there is none.
func (c *Context) Finish() *atoms.Reason {
	for _, a := range c.Node.Attrs {
		if !c.read[a.Name] && c.fail == "" {
			c.fail = fmt.Sprintf("its attribute %s is not known", a.Name)
		}
	}
	var why *atoms.Reason
	if c.fail != "" {
		why = Barred(c.Node, c.fail)
		for i := range c.Node.Inputs {
			for _, a := range c.In(i) {
				if !a.Fixed() {
					c.Set.PinArray(a.Array, why)
				}
			}
		}
	}
	for _, v := range c.Node.Outputs {
		if v == nil || why == nil && c.Labels[v.ID] != nil {
			continue
		}
		for _, a := range c.Labels[v.ID] {
			if !a.Fixed() {
				c.Set.PinArray(a.Array, why)
			}
		}
		axes := Fixed(c.Shapes.Of(v).Rank())
		for k := range axes {
			axes[k].Why = why
		}
		c.Labels[v.ID] = axes
	}
	return why
}

// Int reads an integer attribute.
func (c *Context) Int(name string, def int64) int64 {
	c.read[name] = true
	return c.Node.Int(name, def)
}

// Ints reads a list of integers.
func (c *Context) Ints(name string) ([]int64, bool) {
	c.read[name] = true
	return c.Node.Ints(name)
}

// Text reads a string attribute.
func (c *Context) Text(name, def string) string {
	c.read[name] = true
	return c.Node.Text(name, def)
}

// Attr reads an attribute of any type.
func (c *Context) Attr(name string) *onnxio.Attribute {
	c.read[name] = true
	return c.Node.Attr(name)
}

// Ignore marks attributes as understood that have nothing to do with channels.
func (c *Context) Ignore(names ...string) {
	for _, n := range names {
		c.read[n] = true
	}
}

// Axis brings a possibly negative axis into 0..rank-1; a bad one is a barrier.
func (c *Context) Axis(a int64, rank int) int {
	if a < 0 {
		a += int64(rank)
	}
	if a < 0 || a >= int64(rank) {
		c.Barrier("its axis is outside its input of rank %d", rank)
		return 0
	}
	return int(a)
}

// Constants returns the elements of an integer operand when all are known numbers.
func (c *Context) Constants(i int) ([]int64, bool) {
	if !c.Has(i) {
		return nil, false
	}
	return c.Info(i).Ints()
}
