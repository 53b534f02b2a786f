package rewrite

import (
	"fmt"
	"maps"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// Resize returns the model for another size of its input picture. It shares weights with m, which must stay open. Constants that all their
// readers want changed in the same way are changed where they are, in the form in which they are stored: so a
// change back gives the bytes of m again.
func Resize(m *onnxio.Model, s *plan.Size) (*onnxio.Model, error) {
	e, err := newEditor(m, sizedNodes(s))
	if err != nil {
		return nil, err
	}
	for _, a := range s.Attributes {
		if err := e.sizedAttribute(a); err != nil {
			return nil, err
		}
	}
	if err := e.sizedOperands(s.Operands); err != nil {
		return nil, err
	}
	for _, g := range s.Grids {
		if err := e.grid(g); err != nil {
			return nil, err
		}
	}
	for _, v := range s.Values {
		if err := e.extents(v); err != nil {
			return nil, err
		}
	}
	for _, m := range s.Metadata {
		e.model.ReplaceMetadata(m.Key, m.Value)
	}
	e.dropUnused()
	return e.model, nil
}

func sizedNodes(s *plan.Size) map[string]bool {
	out := map[string]bool{}
	for _, a := range s.Attributes {
		out[a.Node] = true
	}
	for _, o := range s.Operands {
		out[o.Node] = true
	}
	for _, g := range s.Grids {
		out["="+g.Name] = true
		for _, u := range g.Uses {
			out[u.Node] = true
		}
	}
	return out
}

func (e *editor) sizedAttribute(a plan.Attribute) error {
	n, err := e.node(a.Node)
	if err != nil {
		return err
	}
	old := n.Proto.Attribute(a.Name)
	if old == nil || old.Type != onnxio.AttrInts {
		return fmt.Errorf("the plan does not fit the model: %s has no list %s", n.Title(), a.Name)
	}
	old.SetInts(a.Ints)
	return nil
}

// sizedOperands changes elements of operands. What every reader of a constant wants is done to the constant itself.
func (e *editor) sizedOperands(list []plan.Operand) error {
	wants := map[*graph.Value]map[graph.Use]map[int]int64{} // constant, reading, element
	alone := func(o plan.Operand) (places map[int]place, ok bool) {
		n := e.nodes[o.Node]
		if n == nil || n.Input(o.Input) == nil {
			return nil, false
		}
		places = map[int]place{}
		for k := range o.Elements {
			at, ok := origin(n, o.Input, k)
			if !ok {
				return nil, false
			}
			places[k] = at
		}
		return places, true
	}
	for _, o := range list {
		places, ok := alone(o)
		if !ok {
			continue
		}
		for k, at := range places {
			v := at.node.Inputs[at.input]
			u := graph.Use{Node: at.node, Input: at.input}
			if wants[v] == nil {
				wants[v] = map[graph.Use]map[int]int64{}
			}
			if wants[v][u] == nil {
				wants[v][u] = map[int]int64{}
			}
			wants[v][u][at.element] = o.Elements[k]
		}
	}
	shared := map[*graph.Value]bool{}
	for v, uses := range wants {
		if len(uses) != len(v.Uses) || v.Output || v.Returned {
			continue
		}
		first := uses[v.Uses[0]]
		shared[v] = true
		for _, u := range v.Uses {
			shared[v] = shared[v] && maps.Equal(first, uses[u])
		}
	}
	done := map[*graph.Value]bool{}
	for _, o := range list {
		places, ok := alone(o)
		rest := o
		rest.Elements = maps.Clone(o.Elements)
		if ok {
			for _, k := range slices.Sorted(maps.Keys(places)) {
				at := places[k]
				v := at.node.Inputs[at.input]
				if !shared[v] {
					continue
				}
				delete(rest.Elements, k)
				if done[v] {
					continue
				}
				done[v] = true
				if err := setElements(v, wants[v][v.Uses[0]]); err != nil {
					return err
				}
			}
		}
		if len(rest.Elements) > 0 {
			if err := e.operand(rest); err != nil {
				return err
			}
		}
	}
	return nil
}

// setElements changes elements of an integer constant where it is.
func setElements(v *graph.Value, elements map[int]int64) error {
	vs, err := v.Tensor.Ints()
	if err != nil {
		return err
	}
	for k, x := range elements {
		if k >= len(vs) {
			return fmt.Errorf("the plan does not fit the model: %q has %d elements", v.FullName(), len(vs))
		}
		vs[k] = x
	}
	raw, err := onnxio.NewIntTensor("", v.Tensor.DataType, v.Tensor.Dims, vs).Raw()
	if err != nil {
		return err
	}
	if err := v.Tensor.Restore(v.Tensor.Dims, raw); err != nil {
		return err
	}
	if v.Holder != nil {
		return heldInts(v, vs)
	}
	return nil
}

// heldInts brings integers into a Constant node that holds them as a list, or as a tensor.
func heldInts(v *graph.Value, vs []int64) error {
	if a := v.Holder.Proto.Attribute("value_ints"); a != nil {
		a.SetInts(vs)
		return nil
	}
	hold(v)
	return nil
}

// grid gives a constant, or some of its readers, another content.
func (e *editor) grid(g plan.Grid) error {
	v, err := e.value(g.Name)
	if err != nil {
		return err
	}
	if len(g.Uses) == 0 {
		if v.Tensor == nil {
			return fmt.Errorf("the plan does not fit the model: %q is no constant", g.Name)
		}
		if err := v.Tensor.Restore(g.Shape, g.Data); err != nil {
			return err
		}
		if v.Holder != nil {
			hold(v)
		}
		return nil
	}
	t := onnxio.NewTensor(e.fresh(v.Name+"_sized"), onnxio.DataType(g.Type), g.Shape, g.Data)
	e.addConstant(t)
	for _, u := range g.Uses {
		n, err := e.reader(u, v)
		if err != nil {
			return err
		}
		n.Proto.SetInput(u.Input, t.Name)
	}
	e.replaced = append(e.replaced, v)
	return nil
}

// extents changes what the file declares of a value.
func (e *editor) extents(v plan.Value) error {
	g := e.model.Graph
	for _, list := range [][]*onnxio.ValueInfo{g.Inputs, g.ValueInfos, g.Outputs} {
		for _, vi := range list {
			if vi.Name == v.Name {
				if err := vi.SetExtents(v.Size); err != nil {
					return err
				}
			}
		}
	}
	return nil
}
