package plan

import (
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Numbers that a model computes from the size of a channel axis (1/sqrt(C), a mean written out, a comparison) are part of its
// arithmetic: the masked twin has the old ones, so the pruned model must keep them. Where a chain of shape arithmetic
// ends in an operator that uses the number as a number, it is frozen at its old content; where it ends in a shape operand,
// that operator's rule says what it must hold.

// freeze finds the ends of such chains.
func (b *builder) freeze() {
	for _, v := range b.a.Graph.Values {
		if v.Scope != b.a.Graph.Main || b.idle[v.Producer] {
			continue
		}
		ch := b.changes(v)
		if ch == nil {
			continue
		}
		info := b.a.Shapes.Of(v)
		f := Freeze{Value: v.FullName(), Type: int32(info.Elem), Elements: ch, Shape: []int64{}}
		for k := range info.Dims {
			n, _ := info.Fixed(k)
			f.Shape = append(f.Shape, n)
		}
		f.Named = v.Output || v.Returned // outputs and bodies read the value by its name
		for _, u := range v.Uses {
			switch {
			case u.Node.Scope != v.Scope:
				f.Named = true
			case len(u.Node.Bodies) > 0 || !b.passes(u):
				f.Uses = append(f.Uses, Use{u.Node.Path, u.Input})
			}
		}
		if !f.Named && len(f.Uses) == 0 {
			continue
		}
		b.plan.Freezes = append(b.plan.Freezes, f)
	}
}

// passes reports whether a reading of a changed number is looked after elsewhere: the reader computes another number
// that is known, or takes it as a shape operand.
func (b *builder) passes(u graph.Use) bool {
	n := u.Node
	if b.idle[n] {
		return true
	}
	if rule, ok := ops.Lookup(n.Domain, n.Op, n.Version); ok && rule.Mend != nil && mended(u) && integer(b.a.Shapes.Of(n.Inputs[u.Input])) {
		return true
	}
	switch n.Op {
	case "Resize", "Upsample", "Shape", "Size":
		return true
	}
	for _, v := range n.Outputs {
		if v != nil && !known(b.a.Shapes.Of(v)) {
			return false
		}
	}
	return true
}

// mended reports whether a reading is of an operand that says how long something is, and not of what flows through the node.
func mended(u graph.Use) bool { return u.Input > 0 || u.Node.Op == "ConstantOfShape" }

func integer(in *shape.Info) bool { return in.Elem == onnxio.Int64 || in.Elem == onnxio.Int32 }

func known(in *shape.Info) bool { return in.Nums != nil }
