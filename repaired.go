package onnxprune

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

// unrepaired returns the cut that a repaired model was made of, for a proof: what original and plan make, after it was shown that the
// repaired model is that cut with other elements in the constants that the plan lists, and nothing else.
func (n *Network) unrepaired(p *plan.Plan, repaired *onnxio.Model) (*onnxio.Model, error) {
	fail := func(format string, args ...any) error {
		return &VerifyError{Msg: "the repaired model is not what the plan says: " + fmt.Sprintf(format, args...)}
	}
	g, err := graph.Build(repaired)
	if err != nil {
		return nil, fail("%v", err)
	}
	list := slices.Clone(p.Repair.Refits)
	for i := range list {
		r := &list[i]
		at := slices.IndexFunc(g.Values, func(v *graph.Value) bool { return v.Tensor != nil && v.FullName() == r.Tensor })
		if at < 0 {
			return nil, fail("the constant %q is not there", r.Tensor)
		}
		if r.Raw, err = g.Values[at].Tensor.Raw(); err != nil {
			return nil, fail("%v", err)
		}
		if h := sha256.Sum256(r.Raw); hex.EncodeToString(h[:]) != r.SHA256 {
			return nil, fail("the elements of %q are others (SHA-256 %x…, not %.12s…)", r.Tensor, h[:6], r.SHA256)
		}
	}
	cut, err := n.Apply(p)
	if err != nil {
		return nil, err
	}
	again, err := rewrite.Refit(cut, list)
	if err != nil {
		return nil, fail("%v", err)
	}
	if what := beyondRepair(again, repaired); what != "" {
		return nil, fail("beside the repair it differs from the cut: %s", what)
	}
	return cut, nil
}

// beyondRepair names the first thing that two models differ in, but for metadata; "" where they are equal.
func beyondRepair(a, b *onnxio.Model) string {
	a, b = a.Clone(), b.Clone()
	for _, m := range []*onnxio.Model{a, b} {
		m.RemoveMetadata(metaPrefix)
	}
	external := slices.ContainsFunc(append(a.Tensors(), b.Tensors()...), func(t *onnxio.Tensor) bool { return t.External != nil })
	if !external {
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			return "the files hold other bytes"
		}
		return ""
	}
	x, y := a.Tensors(), b.Tensors()
	if len(x) != len(y) || len(a.Graph.Nodes) != len(b.Graph.Nodes) {
		return fmt.Sprintf("%d tensors and %d nodes, not %d and %d", len(y), len(b.Graph.Nodes), len(x), len(a.Graph.Nodes))
	}
	for i, t := range x {
		p, err1 := t.Raw()
		q, err2 := y[i].Raw()
		if t.Name != y[i].Name || t.DataType != y[i].DataType || !slices.Equal(t.Dims, y[i].Dims) || err1 != nil || err2 != nil || !bytes.Equal(p, q) {
			return fmt.Sprintf("the tensor %q", t.Name)
		}
	}
	for i, n := range a.Graph.Nodes {
		if o := b.Graph.Nodes[i]; n.OpType != o.OpType || !slices.Equal(n.Inputs, o.Inputs) || !slices.Equal(n.Outputs, o.Outputs) {
			return fmt.Sprintf("the node %q", n.Name)
		}
	}
	return ""
}
