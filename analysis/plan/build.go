package plan

import (
	"fmt"
	"maps"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Build works out all that changes when the given classes of channels are removed.
func Build(a *channels.Analysis, removed map[atoms.ID]bool) (*Plan, error) {
	for c := range removed {
		if !a.Removable(c) {
			return nil, fmt.Errorf("channel class %d can not be removed", c)
		}
	}
	b := newBuilder(a, removed)
	b.plan = &Plan{Format: Format, Version: Version, Tensors: []Tensor{}, Masks: []Mask{}}
	if len(removed) == 0 {
		return b.plan, nil
	}
	if err := b.folds(); err != nil {
		return nil, err
	}
	if err := b.tensors(); err != nil {
		return nil, err
	}
	b.shapes()
	b.after = shape.After(a.Graph, a.Shapes, b.dims)
	if err := b.mend(); err != nil {
		return nil, err
	}
	b.freeze()
	b.values()
	b.masks()
	b.inexact()
	return b.plan, nil
}

type builder struct {
	a       *channels.Analysis
	plan    *Plan
	removed []bool                 // by class
	kept    map[*atoms.Array][]int // cache; an entry nil means that all stay
	after   *shape.Result

	fromShape []bool               // by Value.ID: computed from the shape of another value
	idle      map[*graph.Node]bool // nodes whose results nothing reads once the folds are stored
}

func newBuilder(a *channels.Analysis, removed map[atoms.ID]bool) *builder {
	b := &builder{a: a, removed: make([]bool, a.State.Set.Len()), kept: map[*atoms.Array][]int{}}
	for c, goes := range removed {
		b.removed[c] = goes
	}
	return b
}

// goes reports whether an atom is removed. Constants that nothing has read so far have atoms of their own.
func (b *builder) goes(id atoms.ID) bool {
	c := b.a.State.Set.Find(id)
	return int(c) < len(b.removed) && b.removed[c]
}

// keep returns the indices of an axis that stay, nil when all do.
func (b *builder) keep(a atoms.Axis) []int {
	if a.Fixed() {
		return nil
	}
	if k, ok := b.kept[a.Array]; ok {
		return k
	}
	var out []int
	for i, id := range a.IDs {
		switch goes := b.goes(id); {
		case goes && out == nil: // the first one: all before it stay
			out = make([]int, i, len(a.IDs))
			for k := range out {
				out[k] = k
			}
		case !goes && out != nil:
			out = append(out, i)
		}
	}
	b.kept[a.Array] = out
	return out
}

// tensors lists the constants that lose slices.
func (b *builder) tensors() error {
	index := map[string]int{}
	for _, arr := range b.a.State.Set.Arrays() {
		if arr.Owner == nil {
			continue
		}
		keep := b.keep(atoms.Axis{Array: arr})
		if keep == nil {
			continue
		}
		v, use := arr.Owner.Value, arr.Owner.Use
		if b.unread(v, use) {
			continue
		}
		if len(keep) == 0 {
			return fmt.Errorf("every slice of axis %d of %q would go", arr.Owner.Axis, v.FullName())
		}
		key := v.FullName()
		if use.Node != nil {
			key = fmt.Sprintf("%s\x00%s\x00%d", key, use.Node.Path, use.Input)
		}
		i, ok := index[key]
		if !ok {
			i = len(b.plan.Tensors)
			index[key] = i
			t := Tensor{Name: v.FullName(), Shape: v.Tensor.Dims, Keep: map[int][]int{}}
			if use.Node != nil && (len(v.Uses) > 1 || v.Output || v.Returned) {
				t.Uses = []Use{{use.Node.Path, use.Input}}
			}
			b.plan.Tensors = append(b.plan.Tensors, t)
		}
		b.plan.Tensors[i].Keep[arr.Owner.Axis] = keep
	}
	b.joinUses()
	return nil
}

// joinUses makes one entry of several uses of a vector that are cut alike, and drops the list of uses where it names all.
func (b *builder) joinUses() {
	var out []Tensor
	at := map[string][]int{}
	for _, t := range b.plan.Tensors {
		joined := false
		for _, k := range at[t.Name] {
			if len(t.Uses) > 0 && sameKeep(out[k].Keep, t.Keep) {
				out[k].Uses = append(out[k].Uses, t.Uses...)
				joined = true
				break
			}
		}
		if !joined {
			at[t.Name] = append(at[t.Name], len(out))
			out = append(out, t)
		}
	}
	for i, t := range out {
		v := b.value(t.Name)
		if len(at[t.Name]) == 1 && v != nil && len(t.Uses) == len(v.Uses) && !v.Output && !v.Returned {
			out[i].Uses = nil
		}
	}
	b.plan.Tensors = out
}

func sameKeep(a, b map[int][]int) bool {
	if len(a) != len(b) {
		return false
	}
	for k := range a {
		if !slices.Equal(a[k], b[k]) {
			return false
		}
	}
	return true
}

func (b *builder) value(name string) *graph.Value { return named(b.a.Graph, name) }

// named returns the value of that full name, nil for none.
func named(g *graph.Graph, name string) *graph.Value {
	if v := g.Main.Lookup(name); v != nil {
		return v
	}
	for _, v := range g.Values {
		if v.FullName() == name {
			return v
		}
	}
	return nil
}

// dims returns the extents of a value after the cut, nil where they stay.
func (b *builder) dims(v *graph.Value) []shape.Dim {
	axes := b.a.State.Labels[v.ID]
	if v.Constant() {
		axes = b.a.State.SharedLabels(v)
	}
	base := b.a.Shapes.Of(v).Dims
	var out []shape.Dim
	for k, ax := range axes {
		if keep := b.keep(ax); keep != nil {
			if out == nil {
				out = slices.Clone(base)
			}
			out[k] = shape.Const(int64(len(keep)))
		}
	}
	return out
}

// mend asks every rule what operands and attributes must hold.
func (b *builder) mend() error {
	for _, n := range b.a.Graph.Main.Nodes {
		rule, ok := ops.Lookup(n.Domain, n.Op, n.Version)
		if !ok || rule.Mend == nil || len(n.Bodies) > 0 || b.idle[n] || !b.touched(n) {
			continue
		}
		m := &ops.Mend{State: b.a.State, Node: n, Kept: b.keep, After: func(i int) *shape.Info { return b.after.Of(n.Input(i)) }}
		rule.Mend(m)
		b.hold(m, n)
		for _, o := range m.Operands {
			e := Operand{Use: Use{n.Path, o.Input}, Elements: o.Elements, Whole: o.Whole, Scalar: o.Scalar}
			if o.Elements != nil {
				info := b.a.Shapes.Of(n.Input(o.Input))
				e.Size, e.Type = 1, int32(info.Elem)
				for k := range info.Dims {
					d, _ := info.Fixed(k)
					e.Size *= int(d)
				}
			}
			b.plan.Operands = append(b.plan.Operands, e)
		}
		for _, at := range m.Attributes {
			e := Attribute{Node: n.Path, Name: at.Name}
			if at.Type == onnxio.AttrInt {
				e.Int = &at.I
			} else {
				e.Ints = at.Ints
			}
			b.plan.Attributes = append(b.plan.Attributes, e)
		}
		for _, name := range m.Dropped {
			b.plan.Attributes = append(b.plan.Attributes, Attribute{Node: n.Path, Name: name, Remove: true})
		}
	}
	return nil
}

// hold keeps operands that the rule looks after, and that depend on the size of some other axis, at what they were.
func (b *builder) hold(m *ops.Mend, n *graph.Node) {
	for i, v := range n.Inputs {
		if !mended(graph.Use{Node: n, Input: i}) || v == nil || !integer(b.a.Shapes.Of(v)) {
			continue
		}
		ch := b.changes(v)
		for _, k := range slices.Sorted(maps.Keys(ch)) {
			m.Hold(i, k, int64(ch[k]))
		}
	}
}

// touched reports whether the cut changes an axis of an input or output of the node, or the content of an operand.
func (b *builder) touched(n *graph.Node) bool {
	for i := range n.Inputs {
		for _, ax := range b.a.State.Reads[graph.Use{Node: n, Input: i}] {
			if b.keep(ax) != nil {
				return true
			}
		}
		if b.changes(n.Inputs[i]) != nil {
			return true
		}
	}
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		for _, ax := range b.a.State.Labels[v.ID] {
			if b.keep(ax) != nil {
				return true
			}
		}
	}
	return false
}

// changes returns the elements of a small value, computed from a shape, that the cut changes, with what they were; nil where
// none does.
func (b *builder) changes(v *graph.Value) map[int]float64 {
	if v == nil || !b.fromShape[v.ID] || b.dims(v) != nil {
		return nil
	}
	was, is := b.a.Shapes.Of(v), b.after.Of(v)
	var out map[int]float64
	for k, n := range was.Nums {
		f, ok := n.Float()
		if !ok || len(is.Nums) == len(was.Nums) && is.Nums[k].Equal(n) {
			continue
		}
		if out == nil {
			out = map[int]float64{}
		}
		out[k] = f
	}
	return out
}

// shapes marks the values that are computed from the shape of another.
func (b *builder) shapes() {
	b.fromShape = make([]bool, len(b.a.Graph.Values))
	for _, n := range b.a.Graph.Main.Nodes {
		from := n.Op == "Shape" || n.Op == "Size"
		for _, v := range n.Inputs {
			from = from || v != nil && b.fromShape[v.ID]
		}
		for _, v := range n.Outputs {
			if v != nil {
				b.fromShape[v.ID] = from
			}
		}
	}
}

// values lists the declared shapes that change.
func (b *builder) values() {
	for _, v := range b.a.Graph.Main.Declared() {
		ds := b.dims(v)
		if ds == nil || v.Constant() { // what is declared of a constant follows its tensor
			continue
		}
		base := b.a.Shapes.Of(v).Dims
		e := Value{Name: v.FullName(), Size: map[int]int64{}}
		for k := range ds {
			if n, ok := ds[k].Const(); ok && !ds[k].Equal(base[k]) {
				e.Size[k] = n
			}
		}
		b.plan.Values = append(b.plan.Values, e)
	}
}

// inexact says why the result can not equal the masked original, once for every reason.
func (b *builder) inexact() {
	seen := map[string]bool{}
	for _, g := range b.a.Groups {
		if !g.Inexact {
			continue
		}
		for _, c := range g.Classes {
			if r := b.a.State.Set.Pinned(c); b.goes(c) && r != nil && !seen[r.Text] {
				seen[r.Text] = true
				b.plan.Inexact = append(b.plan.Inexact, r.Text)
			}
		}
	}
}
