package inputsize

import (
	"fmt"
	"slices"

	"onnxprune/analysis/fold"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// walker follows the axes that depend on the input's size through the model. It is the shape.Visitor of the inference at the new size.
type walker struct {
	graph    *graph.Graph
	base     *shape.Result // at the old size
	after    *shape.Result // at the new size, once the walk is over
	fold     *fold.Values  // what is computed from constants
	from, to Size

	axes     map[int][]Axis  // by Value.ID; absent: nothing of the value depends on the size
	constant map[int]bool    // values that depend on constants alone
	decoded  map[int]bool    // values that are computed from cells in a row: boxes and scores
	demands  []demand        // in the order in which they came up
	sides    []sideUse       // likewise
	reshaped map[int][]int64 // computed constants whose shape changes
	size     *plan.Size
}

// demand is one reading of a constant that has an axis of cells.
type demand struct {
	use   graph.Use
	value *graph.Value
	axes  []Axis
}

// visit is a node in the hands of a rule.
type visit struct {
	*walker
	now  *shape.Result // at the new size, as far as it is known
	node *graph.Node
	seen shape.Seen
}

func (x *visit) fail(input int, format string, args ...any) error {
	e := &Error{Node: x.node, Reason: fmt.Sprintf(format, args...)}
	if v := x.node.Input(max(input, 0)); v != nil && input >= 0 {
		e.Tensor = v.FullName()
	}
	return e
}

// Before mends what the node reads of the old size.
func (k *walker) Before(now *shape.Result, n *graph.Node) (shape.Seen, error) {
	x := &visit{walker: k, now: now, node: n}
	if k.constantOnly(n) {
		for _, o := range n.Outputs {
			if o != nil {
				k.constant[o.ID] = true
			}
		}
		return shape.Seen{}, nil
	}
	if err := x.pictureSides(); err != nil {
		return shape.Seen{}, err
	}
	if !x.touched() {
		return shape.Seen{}, nil
	}
	if n.InBody() || len(n.Bodies) > 0 {
		return shape.Seen{}, x.fail(-1, "what depends on the input's size goes into control flow")
	}
	if err := x.sizeArithmetic(); err != nil {
		return shape.Seen{}, err
	}
	r := lookup(n)
	if r.mend != nil {
		if err := r.mend(x); err != nil {
			return shape.Seen{}, err
		}
	}
	return x.seen, nil
}

// After works out what the outputs' axes are made of.
func (k *walker) After(now *shape.Result, n *graph.Node) error {
	x := &visit{walker: k, now: now, node: n}
	defer x.decode()
	if n.InBody() || !x.touched() {
		return nil
	}
	r := lookup(n)
	if r.axes == nil {
		return x.fail(-1, "there is no rule for how an axis that depends on the input's size passes through %s", n.Op)
	}
	if err := r.axes(x); err != nil {
		return err
	}
	return x.check()
}

// touched reports whether anything that the node reads depends on the input's size.
func (x *visit) touched() bool {
	for _, list := range [][]*graph.Value{x.node.Inputs, x.node.Captures} {
		for _, v := range list {
			if v == nil {
				continue
			}
			if varies(x.walker.axes[v.ID]) || x.moved(v) {
				return true
			}
		}
	}
	return false
}

// moved reports whether the numbers of a small value, or its extents, are others at the new size.
func (x *visit) moved(v *graph.Value) bool {
	was, is := x.base.Of(v), x.now.Of(v)
	if v.Constant() || x.constant[v.ID] {
		return false
	}
	if len(was.Nums) == len(is.Nums) {
		for i := range was.Nums {
			if was.Nums[i].Known() && is.Nums[i].Known() && !was.Nums[i].Equal(is.Nums[i]) {
				return true
			}
		}
	}
	for a := range is.Dims {
		o, known := was.Fixed(a)
		n, also := is.Fixed(a)
		if known && also && o != n {
			return true
		}
	}
	return false
}

// constantOnly reports whether a node reads nothing but constants.
func (k *walker) constantOnly(n *graph.Node) bool {
	if len(n.Bodies) > 0 || len(n.Inputs) == 0 {
		return false
	}
	return !slices.ContainsFunc(n.Inputs, func(v *graph.Value) bool { return v != nil && !k.isConstant(v) })
}

func (k *walker) isConstant(v *graph.Value) bool {
	return v.Constant() && !v.Input || v.Tensor != nil && v.Input || k.constant[v.ID]
}

// check compares the axes that a rule gave with the extents that inference gave.
func (x *visit) check() error {
	for _, o := range x.node.Outputs {
		if o == nil {
			continue
		}
		was, is := x.base.Of(o), x.now.Of(o)
		axes := x.axes[o.ID]
		for a := range is.Dims {
			old, known := was.Fixed(a)
			now, also := is.Fixed(a)
			if !known || !also {
				continue
			}
			if a < len(axes) && axes[a] != nil {
				if axes[a].Old() == old && axes[a].New() == now {
					continue
				}
				return x.fail(-1, "axis %d of %q goes from %d to %d, which was not worked out (%v)", a, o.Name, old, now, axes[a])
			}
			if old != now {
				return x.fail(-1, "axis %d of %q goes from %d to %d, and it is not known what it is made of", a, o.Name, old, now)
			}
		}
	}
	return nil
}

// in returns the axes of an input: those that depend on the size as they are, all others fixed. Nil where its rank is unknown.
func (x *visit) in(i int) []Axis {
	v := x.node.Input(i)
	if v == nil {
		return nil
	}
	return x.of(v)
}

func (x *visit) of(v *graph.Value) []Axis {
	if axes := x.walker.axes[v.ID]; axes != nil {
		return axes
	}
	info := x.base.Of(v)
	if !info.Known {
		return nil
	}
	out := make([]Axis, len(info.Dims))
	for a := range out {
		if n, known := info.Fixed(a); known {
			out[a] = fixed(n)
			if m, also := x.now.Of(v).Fixed(a); also && m != n && !x.isConstant(v) {
				out[a] = Axis{{{n, m, Open}}}
			}
		}
	}
	return out
}

// out sets the axes of an output.
func (x *visit) out(i int, axes []Axis) {
	if v := x.node.Output(i); v != nil && varies(axes) {
		x.walker.axes[v.ID] = axes
	}
}

// demand asks that a constant operand has the given axes at the new size: those that do not depend on the size must be what they are.
func (x *visit) demand(input int, axes []Axis) error {
	v := x.node.Input(input)
	if !varies(axes) {
		return nil
	}
	if info := x.base.Of(v); info.Known {
		dims := slices.Clone(info.Dims)
		for a := range dims {
			if axes[a].Varies() {
				dims[a] = shape.Const(axes[a].New())
			}
		}
		see := *info
		see.Dims, see.Nums = dims, nil
		x.see(input, &see)
	}
	x.demands = append(x.demands, demand{graph.Use{Node: x.node, Input: input}, v, axes})
	return nil
}

func (x *visit) see(input int, in *shape.Info) {
	if x.seen.Inputs == nil {
		x.seen.Inputs = map[int]*shape.Info{}
	}
	x.seen.Inputs[input] = in
}

// setOperand changes elements of an integer operand; is holds the whole operand at the new size.
func (x *visit) setOperand(input int, was, is []int64) {
	o := plan.Operand{Use: plan.Use{Node: x.node.Path, Input: input}, Elements: map[int]int64{}, Size: len(was)}
	for i := range was {
		if was[i] != is[i] {
			o.Elements[i] = is[i]
		}
	}
	if len(o.Elements) == 0 {
		return
	}
	v := x.node.Input(input)
	info := *x.base.Of(v)
	o.Type = int32(info.Elem)
	x.size.Operands = append(x.size.Operands, o)
	info.Nums = make([]shape.Num, len(is))
	for i, n := range is {
		info.Nums[i] = shape.IntNum(shape.Const(n))
	}
	x.see(input, &info)
}

// setInts changes an attribute that is a list of integers.
func (x *visit) setInts(name string, is []int64) {
	x.size.Attributes = append(x.size.Attributes, plan.Attribute{Node: x.node.Path, Name: name, Ints: is})
	x.seen.Attrs = append(x.seen.Attrs, onnxio.NewInts(name, is...))
}

// written returns an integer operand that the file fixes; ok is false where it is computed from what depends on the size, or unknown.
func (x *visit) written(input int) ([]int64, bool) {
	v := x.node.Input(input)
	if v == nil || x.moved(v) {
		return nil, false
	}
	was, ok := x.base.Of(v).Ints()
	if !ok {
		return nil, false
	}
	if now, ok := x.now.Of(v).Ints(); ok && !slices.Equal(was, now) {
		return nil, false
	}
	return was, true
}
