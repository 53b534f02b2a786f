package rewrite

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/layers"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
)

// Refit returns m with new elements in some of its constants, each in the form that it has: its type, its place, its order, its
// scales. Nothing else changes, but that a bias may be added, and that a constant which others read too is copied first. Names and
// hashes of what was written are noted in the list. Numbers that are not finite, or that a constant's type can not hold, are an
// error. The result shares weights with m.
func Refit(m *onnxio.Model, list []plan.Refit) (*onnxio.Model, error) {
	touched := map[string]bool{}
	for _, r := range list {
		for _, u := range r.Uses {
			touched[u.Node] = true
		}
	}
	e, err := newEditor(m, touched)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := e.refit(&list[i]); err != nil {
			return nil, err
		}
	}
	e.dropUnused()
	return e.model, nil
}

func (e *editor) refit(r *plan.Refit) error {
	var nodes []*graph.Node
	for _, u := range r.Uses {
		n, err := e.node(u.Node)
		if err != nil {
			return err
		}
		nodes = append(nodes, n)
	}
	if len(nodes) == 0 {
		return fmt.Errorf("the repair of %q names no node", r.Tensor)
	}
	if r.Added {
		return e.addBias(r, nodes)
	}
	use := graph.Use{Node: nodes[0], Input: r.Uses[0].Input}
	o, why := layers.Resolve(use)
	if why != "" {
		return fmt.Errorf("input %d of %s can not be fitted: %s", use.Input, use.Node.Title(), why)
	}
	if !slices.Equal(o.Dims, r.Shape) {
		return fmt.Errorf("input %d of %s has the shape %v, the repair was made for %v", use.Input, use.Node.Title(), o.Dims, r.Shape)
	}
	others := slices.ContainsFunc(o.Readers(), func(u graph.Use) bool {
		return !slices.ContainsFunc(r.Uses, func(own plan.Use) bool { return u.Node != nil && own.Node == u.Node.Path && own.Input == u.Input })
	})
	if others || called(o.Value) {
		return e.refitCopy(r, nodes, o)
	}
	raw := r.Raw
	if raw == nil {
		var err error
		if raw, err = o.Encode(r.Values); err != nil {
			return err
		}
	}
	if err := o.Value.Tensor.SetRaw(o.Value.Tensor.Dims, raw); err != nil {
		return err
	}
	if o.Value.Holder != nil {
		hold(o.Value)
	}
	r.Tensor, r.SHA256 = o.Value.FullName(), digest(raw)
	return nil
}

// refitCopy gives the readers that are fitted a constant of their own.
func (e *editor) refitCopy(r *plan.Refit, nodes []*graph.Node, o *layers.Operand) error {
	if o.Quantised() {
		return fmt.Errorf("%q is quantised and read by others too", o.Value.FullName())
	}
	t, raw, err := e.constant(e.fresh(o.Value.Name+"_fitted"), o.Type, r)
	if err != nil {
		return err
	}
	e.addConstant(t)
	for i, n := range nodes {
		if old := n.Input(r.Uses[i].Input); old != nil {
			e.replaced = append(e.replaced, old)
		}
		n.Proto.SetInput(r.Uses[i].Input, t.Name)
	}
	r.Tensor, r.SHA256 = t.Name, digest(raw)
	return nil
}

// addBias gives nodes an input that they lack.
func (e *editor) addBias(r *plan.Refit, nodes []*graph.Node) error {
	n := nodes[0]
	w, why := layers.Resolve(graph.Use{Node: n, Input: 1})
	if why != "" {
		return fmt.Errorf("%s can not be given a bias: %s", n.Title(), why)
	}
	t, raw, err := e.constant(e.fresh(n.Path+"_bias"), w.Type, r)
	if err != nil {
		return err
	}
	e.addConstant(t)
	for i, n := range nodes {
		if n.Input(r.Uses[i].Input) != nil {
			return fmt.Errorf("%s has an input %d, where the repair adds a bias", n.Title(), r.Uses[i].Input)
		}
		n.Proto.SetInput(r.Uses[i].Input, t.Name)
	}
	r.Tensor, r.SHA256 = t.Name, digest(raw)
	return nil
}

// constant makes a tensor of the refit's elements.
func (e *editor) constant(name string, t onnxio.DataType, r *plan.Refit) (*onnxio.Tensor, []byte, error) {
	if r.Raw == nil {
		return layers.NewConstant(name, t, r.Shape, r.Values)
	}
	made, err := layers.FromBytes(name, t, r.Shape, r.Raw)
	return made, r.Raw, err
}

func digest(raw []byte) string {
	h := sha256.Sum256(raw)
	return hex.EncodeToString(h[:])
}
