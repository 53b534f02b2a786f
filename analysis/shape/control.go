package shape

import (
	"fmt"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Control flow: bodies are inferred with their inputs bound to what flows in. What a body carries from one
// iteration to the next is widened until it no longer changes; what leaves it mentions no symbol that was
// born inside a loop, where it may be another number each time.

var control = &family{"", []entry{
	{"If", 1, ifRule}, {"Loop", 1, loop}, {"Scan", 9, scan}, {"Scan", 8, scan8}, {"SequenceMap", 17, sequenceMap},
}}

// maxPasses bounds how often a loop body is inferred before what still changes is given up.
const maxPasses = 4

func (c *call) body(name string) *graph.Scope {
	for _, b := range c.node.Bodies {
		if b.Attr == name {
			return b
		}
	}
	return nil
}

// bodiesOfUnknown infers the bodies of an operator without a rule. Nothing is known of their inputs, and not whether they run.
func (c *call) bodiesOfUnknown() {
	for _, b := range c.node.Bodies {
		_ = c.enter(b, nil, true)
	}
}

// enter binds the inputs of a body (those beyond the list stay as declared) and infers its nodes.
func (c *call) enter(b *graph.Scope, inputs []Info, lenient bool) error {
	for i, v := range b.Inputs {
		if v.Constant() {
			continue
		}
		if i < len(inputs) {
			c.res.infos[v.ID] = inputs[i]
		} else {
			c.res.infos[v.ID] = Info{}
		}
		inner := call{inference: c.inference, depth: c.depth + 1}
		inner.complete(v)
	}
	return c.scope(b, c.depth+1, lenient)
}

func ifRule(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	yes, no := c.body("then_branch"), c.body("else_branch")
	if yes == nil || no == nil {
		return fmt.Errorf("it lacks a branch")
	}
	if cond := c.in(0).Nums; len(cond) == 1 {
		if k, ok := cond[0].fixedInt(); ok {
			live, dead := yes, no
			if k == 0 {
				live, dead = no, yes
			}
			_ = c.enter(dead, nil, true) // it never runs: what contradicts itself there does not matter
			if err := c.enter(live, nil, false); err != nil {
				return err
			}
			c.leave(live)
			return nil
		}
	}
	// A branch that contradicts itself is one that these shapes never take, unless both do.
	errYes := c.enter(yes, nil, true)
	errNo := c.enter(no, nil, true)
	switch {
	case errYes != nil && errNo != nil:
		return errYes
	case errYes != nil:
		c.leave(no)
		return nil
	case errNo != nil:
		c.leave(yes)
		return nil
	}
	for i, v := range c.node.Outputs {
		if v == nil || i >= len(yes.Outputs) || i >= len(no.Outputs) {
			continue
		}
		c.outInfo(i, *c.merge(c.res.Of(yes.Outputs[i]), c.res.Of(no.Outputs[i]), v, c.depth+1))
	}
	return nil
}

// leave sets the outputs to those of the branch that runs.
func (c *call) leave(b *graph.Scope) {
	for i := range c.node.Outputs {
		if i < len(b.Outputs) {
			c.outInfo(i, *c.res.Of(b.Outputs[i]))
		}
	}
}

// merge returns what is known of a value that is one or the other. Extents that differ become symbols of v.
func (c *call) merge(a, b *Info, v *graph.Value, born int) *Info {
	if a.empty && a.Kind == b.Kind && a.Elem == b.Elem {
		a = b
	} else if b.empty && a.Kind == b.Kind && a.Elem == b.Elem {
		b = a
	}
	out := &Info{Kind: a.Kind, Elem: a.Elem, empty: a.empty && b.empty}
	if a.Kind != b.Kind {
		return &Info{}
	}
	if a.Elem != b.Elem {
		out.Elem = onnxio.Undefined
	}
	if a.Of != nil && b.Of != nil {
		out.Of = c.merge(a.Of, b.Of, v, born)
	}
	if !a.Known || !b.Known || len(a.Dims) != len(b.Dims) {
		return out
	}
	out.Known, out.Dims = true, c.dims(len(a.Dims))
	same := true
	for i, d := range a.Dims {
		if out.Dims[i] = d; !d.Equal(b.Dims[i]) {
			out.Dims[i] = c.fresh(v, i, born)
			same = false
		}
	}
	if same && len(a.Nums) == len(b.Nums) && a.Nums != nil {
		nums, known := make([]Num, len(a.Nums)), len(a.Nums) == 0
		for i, n := range a.Nums {
			if n.Equal(b.Nums[i]) {
				nums[i], known = n, true
			}
		}
		if known {
			out.Nums = nums
		}
	}
	return out
}

// equal reports whether two infos say the same.
func (in *Info) equal(o *Info) bool {
	if in.Kind != o.Kind || in.empty != o.empty || in.Elem != o.Elem || in.Known != o.Known || len(in.Dims) != len(o.Dims) || len(in.Nums) != len(o.Nums) ||
		(in.Nums == nil) != (o.Nums == nil) || (in.Of == nil) != (o.Of == nil) {
		return false
	}
	for i, d := range in.Dims {
		if !d.Equal(o.Dims[i]) {
			return false
		}
	}
	for i, n := range in.Nums {
		if n.Known() != o.Nums[i].Known() || n.Known() && !n.Equal(o.Nums[i]) {
			return false
		}
	}
	return in.Of == nil || in.Of.equal(o.Of)
}

// iterate infers a body until what it carries no longer changes. inputs are those of the body; carried lists which input
// the outputs first, first+1, ... come back as.
func (c *call) iterate(b *graph.Scope, inputs []Info, carried, first int, at int, lenient bool) error {
	patience := maxPasses - 1 - min(c.depth, maxPasses-1) // nested loops multiply
	for pass := 0; ; pass++ {
		if err := c.enter(b, inputs, lenient); err != nil && !lenient {
			return err
		}
		changed := false
		for k := range carried {
			if first+k >= len(b.Outputs) || at+k >= len(b.Inputs) || at+k >= len(inputs) {
				break
			}
			in := &inputs[at+k]
			next := c.merge(in, c.res.Of(b.Outputs[first+k]), b.Inputs[at+k], c.depth+2)
			if next.equal(in) {
				continue
			}
			if changed = true; pass >= patience {
				next = &Info{Kind: next.Kind, Elem: next.Elem}
			}
			inputs[at+k] = *next
		}
		if !changed {
			return nil
		}
		if pass > patience+1 { // the values hand one another on in a long chain
			for k := at; k < min(at+carried, len(inputs)); k++ {
				inputs[k] = Info{}
			}
		}
	}
}

// escape returns what is known outside of a value that a loop body made: extents that depend on
// symbols of the body become symbols of output i.
func (c *call) escape(in Info, v *graph.Value, offset int) Info {
	in.Nums = nil
	if in.Of != nil {
		of := c.escape(*in.Of, v, offset)
		in.Of = &of
	}
	if in.Known {
		in.Dims = cloneDims(in.Dims)
		for i, d := range in.Dims {
			if d.bornInside(c.depth + 1) {
				in.Dims[i] = c.fresh(v, i+offset, c.depth+1)
			}
		}
	}
	return in
}

// stack adds a leading axis: one entry per iteration.
func (c *call) stack(in Info, v *graph.Value, at int, count Dim) Info {
	in = c.escape(in, v, 1)
	if !in.Known {
		return Info{Kind: onnxio.KindTensor, Elem: in.Elem}
	}
	dims := make([]Dim, 0, len(in.Dims)+1)
	dims = append(append(append(dims, in.Dims[:at]...), count), in.Dims[at:]...)
	in.Kind, in.Dims = onnxio.KindTensor, dims
	return in
}

// loop: inputs are the trip count, the condition and the carried values; the body takes iteration, condition, carried values and
// gives condition, carried values, scan outputs.
func loop(c *call) error {
	b := c.body("body")
	if b == nil {
		return fmt.Errorf("it lacks a body")
	}
	carried := max(0, len(c.node.Inputs)-2)
	if len(b.Inputs) < carried+2 || len(b.Outputs) < carried+1 {
		return fmt.Errorf("its body takes %d inputs and gives %d outputs, which does not fit the %d values that it carries", len(b.Inputs), len(b.Outputs), carried)
	}
	inputs := make([]Info, carried+2)
	inputs[0] = c.tensor(onnxio.Int64, nil)
	inputs[1] = c.tensor(onnxio.Bool, nil)
	for k := range carried {
		inputs[2+k] = *c.in(2 + k)
	}
	trips, limited := Num{}, c.has(0)
	if nums := c.in(0).Nums; len(nums) == 1 {
		trips = nums[0]
	}
	never := trips.Equal(IntNum(Const(0)))
	if cond := c.in(1).Nums; c.has(1) && len(cond) == 1 && cond[0].Equal(boolNum(false)) {
		never = true
	}
	if err := c.iterate(b, inputs, carried, 1, 2, never); err != nil {
		return err
	}
	for k, v := range c.node.Outputs {
		if v == nil || 1+k >= len(b.Outputs) {
			continue
		}
		body := *c.res.Of(b.Outputs[1+k])
		if k < carried {
			in := inputs[2+k]
			if in.Kind == onnxio.KindUnknown {
				in = Info{Kind: body.Kind, Elem: body.Elem}
			}
			c.outInfo(k, c.escape(in, v, 0))
			continue
		}
		count := c.fresh(v, 0, c.depth+1)
		if d, ok := trips.Int(); ok && limited && c.alwaysContinues(b) {
			count = d
		}
		c.outInfo(k, c.stack(body, v, 0, count))
	}
	return nil
}

// alwaysContinues reports whether a Loop body's condition is known to be true, so that the trip count alone ends the loop.
func (c *call) alwaysContinues(b *graph.Scope) bool {
	if cond := c.in(1).Nums; c.has(1) && !(len(cond) == 1 && cond[0].Equal(boolNum(true))) {
		return false
	}
	cond := b.Outputs[0]
	for cond.Producer != nil && cond.Producer.Op == "Identity" && cond.Producer.Domain == "" && cond.Producer.Input(0) != nil {
		cond = cond.Producer.Inputs[0]
	}
	if cond == b.Inputs[1] {
		return true // handed on as it came
	}
	nums := c.res.Of(cond).Nums
	return len(nums) == 1 && nums[0].Equal(boolNum(true))
}
