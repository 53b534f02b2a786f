// Package rewrite carries a Plan out: it makes the pruned model, and the masked twin that the pruned model must equal.
//
// Edits are collected and checked against the model first (every node and tensor that the plan names must be there,
// with the shape that the plan expects) and made on a clone. The original is never changed, and weights are not
// copied: a pruned tensor is a view of the original's bytes until it is written.
package rewrite

import (
	"fmt"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// Plan is the complete list of what a prune changes; see package plan.
type Plan = plan.Plan

// Apply returns the pruned model. It shares weights with m, which must stay open. A plan that was made
// for another network is refused, with the node or tensor that does not fit. An empty plan gives a model that is written byte
// for byte as m.
func Apply(m *onnxio.Model, p *Plan) (*onnxio.Model, error) {
	e, err := newEditor(m, touchedNodes(p))
	if err != nil {
		return nil, err
	}
	if p.Empty() {
		return e.model, nil
	}
	folded, err := e.workOut(p.Folds)
	if err != nil {
		return nil, err
	}
	if err := e.tensors(p.Tensors); err != nil {
		return nil, err
	}
	for _, a := range p.Attributes {
		if err := e.attribute(a); err != nil {
			return nil, err
		}
	}
	for _, o := range p.Operands {
		if err := e.operand(o); err != nil {
			return nil, err
		}
	}
	for _, f := range p.Freezes {
		if err := e.freeze(f); err != nil {
			return nil, err
		}
	}
	for i, f := range p.Folds {
		if err := e.store(f, folded[i]); err != nil {
			return nil, err
		}
	}
	for _, v := range p.Values {
		e.declared(v)
	}
	e.dropUnused()
	return e.model, nil
}

// touchedNodes lists the paths of the nodes that a plan changes.
func touchedNodes(p *Plan) map[string]bool {
	out := map[string]bool{}
	for _, t := range p.Tensors {
		out["="+t.Name] = true
		for _, u := range t.Uses {
			out[u.Node] = true
		}
	}
	for _, a := range p.Attributes {
		out[a.Node] = true
	}
	for _, o := range p.Operands {
		out[o.Node] = true
	}
	for _, f := range p.Freezes {
		out["="+f.Value] = true
		for _, u := range f.Uses {
			out[u.Node] = true
		}
	}
	for _, f := range p.Folds {
		out["="+f.Value] = true
	}
	for _, m := range p.Masks {
		out[m.Node] = true
	}
	return out
}

// editor is a clone of a model under change.
type editor struct {
	model    *onnxio.Model
	graph    *graph.Graph
	nodes    map[string]*graph.Node
	values   map[string]*graph.Value
	names    map[string]bool // every name of a value that is taken
	replaced []*graph.Value  // values that may have lost their last reader
}

func newEditor(m *onnxio.Model, touched map[string]bool) (*editor, error) {
	e := &editor{model: m.Clone()}
	if err := e.link(); err != nil {
		return nil, err
	}
	if e.insideFunction(touched) {
		if err := inline(e.model, e.graph); err != nil {
			return nil, err
		}
		if err := e.link(); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *editor) link() error {
	g, err := graph.Build(e.model)
	if err != nil {
		return err
	}
	e.graph = g
	e.nodes, e.values, e.names = map[string]*graph.Node{}, map[string]*graph.Value{}, map[string]bool{}
	for _, n := range g.Nodes {
		e.nodes[n.Path] = n
	}
	for _, v := range g.Values {
		e.values[v.FullName()] = v
		e.names[v.Name] = true
	}
	return nil
}

// insideFunction reports whether the plan changes something in the body of a function: such calls are inlined first.
func (e *editor) insideFunction(touched map[string]bool) bool {
	for _, n := range e.graph.Nodes {
		if len(n.Calls) == 0 {
			continue
		}
		if touched[n.Path] {
			return true
		}
		for _, v := range n.Outputs {
			if v != nil && touched["="+v.FullName()] {
				return true
			}
		}
	}
	return false
}

func (e *editor) node(path string) (*graph.Node, error) {
	if n := e.nodes[path]; n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("the plan does not fit the model: it names the node %q, which is not there", path)
}

func (e *editor) value(name string) (*graph.Value, error) {
	if v := e.values[name]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("the plan does not fit the model: it names the tensor %q, which is not there", name)
}

// fresh returns a name for a new value that is not taken.
func (e *editor) fresh(base string) string {
	name := base
	for i := 2; e.names[name]; i++ {
		name = fmt.Sprintf("%s_%d", base, i)
	}
	e.names[name] = true
	return name
}

// tensors cuts constants. Where readers of one constant are cut in different ways, each way gets a copy.
func (e *editor) tensors(list []plan.Tensor) error {
	uses := map[string]int{} // how many readings the plan moves, by tensor
	for _, t := range list {
		uses[t.Name] += len(t.Uses)
	}
	inPlace := map[string]bool{}
	for _, t := range list {
		v, err := e.value(t.Name)
		if err != nil {
			return err
		}
		if v.Tensor == nil || !slices.Equal(v.Tensor.Dims, t.Shape) && !inPlace[t.Name] {
			return fmt.Errorf("the plan does not fit the model: tensor %q has the shape %v, the plan was made for %v", t.Name, v.Data().Dims, t.Shape)
		}
		if len(t.Uses) == 0 || uses[t.Name] == len(v.Uses) && !v.Output && !v.Returned && !inPlace[t.Name] && len(t.Uses) == uses[t.Name] {
			inPlace[t.Name] = true
			if err := e.cut(v, t); err != nil {
				return err
			}
			continue
		}
		if err := e.cutCopy(v, t); err != nil {
			return err
		}
	}
	return nil
}

func keepLists(t plan.Tensor) ([][]int, error) {
	kept := make([][]int, len(t.Shape))
	for a, k := range t.Keep {
		if a < 0 || a >= len(kept) {
			return nil, fmt.Errorf("the plan names axis %d of tensor %q, which has %d", a, t.Name, len(kept))
		}
		if len(k) == 0 {
			return nil, fmt.Errorf("the plan leaves nothing of axis %d of tensor %q", a, t.Name)
		}
		kept[a] = k
	}
	return kept, nil
}

func (e *editor) cut(v *graph.Value, t plan.Tensor) error {
	kept, err := keepLists(t)
	if err != nil {
		return err
	}
	if err := v.Tensor.Cut(kept); err != nil {
		return err
	}
	if v.Holder != nil {
		hold(v)
	}
	size := map[int]int64{}
	for a, k := range t.Keep {
		size[a] = int64(len(k))
	}
	e.declared(plan.Value{Name: v.Name, Size: size})
	return nil
}

// hold puts a Constant node's tensor into its attribute value, in place of a value_ints or the like.
func hold(v *graph.Value) {
	p := v.Holder.Proto
	if a := p.Attribute("value"); a != nil && a.Tensor == v.Tensor {
		return
	}
	for _, a := range slices.Clone(p.Attributes) {
		p.RemoveAttribute(a.Name)
	}
	p.SetAttribute(onnxio.NewTensorAttr("value", v.Tensor))
}

// cutCopy gives some readers of a constant a copy that is cut.
func (e *editor) cutCopy(v *graph.Value, t plan.Tensor) error {
	kept, err := keepLists(t)
	if err != nil {
		return err
	}
	c := v.Tensor.Copy(e.fresh(v.Name + "_pruned"))
	if err := c.Cut(kept); err != nil {
		return err
	}
	e.addConstant(c)
	for _, u := range t.Uses {
		n, err := e.reader(u, v)
		if err != nil {
			return err
		}
		n.Proto.SetInput(u.Input, c.Name)
	}
	e.replaced = append(e.replaced, v)
	return nil
}

// reader checks that a node reads v at an input.
func (e *editor) reader(u plan.Use, v *graph.Value) (*graph.Node, error) {
	n, err := e.node(u.Node)
	if err != nil {
		return nil, err
	}
	if n.Input(u.Input) != v {
		return nil, fmt.Errorf("the plan does not fit the model: %s does not read %q at input %d", n.Title(), v.FullName(), u.Input)
	}
	return n, nil
}

// addConstant puts a new constant into the main graph: an initializer, or a Constant node where the model's format version demands
// that initializers are inputs too.
func (e *editor) addConstant(t *onnxio.Tensor) {
	if e.model.IRVersion >= 4 {
		e.model.Graph.AddInitializer(t)
		return
	}
	name := t.Name
	e.model.Graph.InsertNode(0, onnxio.NewNode("Constant", "", nil, []string{name}, onnxio.NewTensorAttr("value", t)))
}

func (e *editor) attribute(a plan.Attribute) error {
	n, err := e.node(a.Node)
	if err != nil {
		return err
	}
	switch {
	case a.Remove:
		n.Proto.RemoveAttribute(a.Name)
	case a.Int != nil:
		n.Proto.SetAttribute(onnxio.NewInt(a.Name, *a.Int))
	default:
		n.Proto.SetAttribute(onnxio.NewInts(a.Name, a.Ints...))
	}
	return nil
}

// declared corrects what the file declares of a value.
func (e *editor) declared(v plan.Value) {
	g := e.model.Graph
	for _, list := range [][]*onnxio.ValueInfo{g.Inputs, g.ValueInfos, g.Outputs} {
		for _, vi := range list {
			if vi.Name != v.Name || vi.Type == nil || vi.Type.Kind != onnxio.KindTensor || !vi.Type.HasShape {
				continue
			}
			shape := slices.Clone(vi.Type.Shape)
			for k, n := range v.Size {
				if k < len(shape) && shape[k].Known {
					shape[k].Value = n
				}
			}
			_ = vi.SetShape(shape) // it is a tensor: checked above
		}
	}
}
