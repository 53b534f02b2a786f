package ops

// If, Loop and SequenceMap: operators that run a graph of their own. What a body reads of the graph
// around it stands behind the node's own inputs, and is handed through to it. Scan has its own file.

import (
	"errors"
	"fmt"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "If", buildIf, 1, 11, 13, 16, 19, 21, 23, 24, 25)
	Register("", "Loop", buildLoop, 1, 11, 13, 16, 19, 21, 23, 24, 25)
	Register("", "SequenceMap", buildSequenceMap, 17)
}

func buildIf(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	var branches [2]Body
	for i, name := range []string{"else_branch", "then_branch"} {
		b, err := n.Body(name)
		if err != nil {
			return nil, err
		}
		if b.Inputs() != 0 || b.Outputs() < len(n.Outputs) {
			return nil, fmt.Errorf("%s takes %d inputs and gives %d outputs, want none and at least %d", name, b.Inputs(), b.Outputs(), len(n.Outputs))
		}
		branches[i] = b
	}
	return Func(func(c *Context, in []value.Value) ([]value.Value, error) {
		cond, err := truth(in[0])
		if err != nil {
			return nil, fmt.Errorf("condition: %w", err)
		}
		if cond {
			return branches[1].Run(c, nil, in)
		}
		return branches[0].Run(c, nil, in)
	}), nil
}

// truth reads a condition: a tensor of one bool.
func truth(v value.Value) (bool, error) {
	t, ok := v.(*value.Tensor)
	if !ok || t.Type != onnxio.Bool || t.Len() != 1 {
		return false, fmt.Errorf("it is %v, want one bool", v)
	}
	return value.Of[bool](t)[0], nil
}

// loop is one Loop node.
type loop struct {
	body     Body
	states   int // values that go round
	hasTrips bool
	hasCond  bool
	optional []bool         // per state: the body takes it as an optional
	scans    []*onnxio.Type // declared types of the outputs that are collected, nil where not declared
}

func buildLoop(n *Node) (Kernel, error) {
	b, err := n.Body("body")
	if err != nil {
		return nil, err
	}
	k := &loop{body: b, states: max(0, len(n.Inputs)-2), hasTrips: n.HasInput(0), hasCond: n.HasInput(1)}
	for i := 2; i < len(n.Inputs); i++ {
		if !n.Inputs[i] {
			return nil, fmt.Errorf("input %d is missing: a loop-carried value needs a start", i)
		}
	}
	if b.Inputs() != 2+k.states || b.Outputs() < 1+k.states {
		return nil, fmt.Errorf("its body takes %d inputs and gives %d outputs, want %d and at least %d", b.Inputs(), b.Outputs(), 2+k.states, 1+k.states)
	}
	g := n.Attr("body").Graph
	for _, v := range g.Inputs[2:] {
		k.optional = append(k.optional, v.Type != nil && v.Type.Kind == onnxio.KindOptional)
	}
	for _, o := range g.Outputs[1+k.states:] {
		k.scans = append(k.scans, o.Type)
	}
	if len(n.Outputs) > k.states+len(k.scans) {
		return nil, fmt.Errorf("it has %d outputs, but its body gives %d", len(n.Outputs), k.states+len(k.scans))
	}
	return k, nil
}

// Run goes round. The memory of a state is given back as soon as the next one is there.
func (k *loop) Run(c *Context, in []value.Value) ([]value.Value, error) {
	trips, cond, err := k.bounds(in)
	if err != nil {
		return nil, err
	}
	var state []value.Value
	if k.states > 0 {
		state = append(state, in[2:2+k.states]...)
	}
	collected := make([][]*value.Tensor, len(k.scans))
	for i := int64(0); cond && (trips < 0 || i < trips); i++ {
		if c.TripLimit > 0 && i >= c.TripLimit {
			return nil, fmt.Errorf("the loop is still going after %d rounds, which is the limit", i)
		}
		if err := c.cancelled(); err != nil {
			return nil, err
		}
		out, err := k.body.Run(c, k.arguments(i, cond, state), in)
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", i, err)
		}
		if cond, err = truth(out[0]); err != nil {
			return nil, fmt.Errorf("round %d: condition: %w", i, err)
		}
		c.Drop(out[0])
		for j, old := range state {
			c.Drop(old)
			state[j] = out[1+j]
		}
		for j := range collected {
			t, ok := out[1+k.states+j].(*value.Tensor)
			if !ok {
				return nil, fmt.Errorf("round %d: output %d of the body is a %v, only tensors can be collected", i, 1+k.states+j, out[1+k.states+j])
			}
			collected[j] = append(collected[j], t)
		}
	}
	for j, ts := range collected {
		t, err := stacked(c, ts, 0, false, k.scans[j])
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", k.states+j, err)
		}
		state = append(state, t)
	}
	return state, nil
}

// arguments returns the inputs of one round. A body may declare a state as optional and give it back plain.
func (k *loop) arguments(round int64, cond bool, state []value.Value) []value.Value {
	args := append([]value.Value{value.Scalar(round), value.Scalar(cond)}, state...)
	for j, v := range state {
		if _, already := v.(*value.Optional); k.optional[j] && !already {
			args[2+j] = &value.Optional{Value: v}
		}
	}
	return args
}

// bounds reads the trip count, -1 for none, and the condition.
func (k *loop) bounds(in []value.Value) (trips int64, cond bool, err error) {
	trips, cond = -1, true
	if k.hasTrips {
		t, ok := in[0].(*value.Tensor)
		if !ok || t.Type != onnxio.Int64 || t.Len() != 1 {
			return 0, false, fmt.Errorf("the trip count is %v, want one int64", in[0])
		}
		trips = max(0, value.Of[int64](t)[0])
	}
	if k.hasCond {
		if cond, err = truth(in[1]); err != nil {
			return 0, false, fmt.Errorf("condition: %w", err)
		}
	}
	return trips, cond, nil
}

// cancelled returns the error of a run that was called off.
func (c *Context) cancelled() error {
	if c.Context == nil {
		return nil
	}
	return c.Err()
}

// stacked joins tensors of one shape along a new axis, last first where reverse says so, and drops them. Of none the result is
// empty, with the declared type as its shape (unknown dimensions are 0).
func stacked(c *Context, ts []*value.Tensor, axis int, reverse bool, declared *onnxio.Type) (*value.Tensor, error) {
	if len(ts) == 0 {
		return nothingStacked(c, axis, declared)
	}
	first := ts[0]
	rank := len(first.Shape) + 1
	if axis < 0 {
		axis += rank
	}
	if axis < 0 || axis >= rank {
		return nil, fmt.Errorf("axis %d lies outside of rank %d", axis, rank)
	}
	shape := append(append(append([]int{}, first.Shape[:axis]...), len(ts)), first.Shape[axis:]...)
	out, err := c.New(first.Type, shape...)
	if err != nil {
		return nil, err
	}
	steps := rowSteps(shape)
	around := append(append([]int{}, steps[:axis]...), steps[axis+1:]...)
	for i, t := range ts {
		if t.Type != first.Type || !equalShape(t.Shape, first.Shape) {
			return nil, fmt.Errorf("round 0 gave %v, but round %d gave %v", first, i, t)
		}
		at := i
		if reverse {
			at = len(ts) - 1 - i
		}
		moverOf(out).box(c.Pool, t.Shape, at*steps[axis], around, moverOf(t), 0, rowSteps(t.Shape))
		c.Drop(t)
	}
	return out, nil
}

func nothingStacked(c *Context, axis int, declared *onnxio.Type) (*value.Tensor, error) {
	if declared == nil || declared.Kind != onnxio.KindTensor {
		return nil, errors.New("the body did not run, and does not declare the type of what it collects")
	}
	shape := []int{}
	for _, d := range declared.Shape {
		shape = append(shape, int(max(0, d.Value)))
	}
	if axis < 0 {
		axis += len(shape) + 1
	}
	if axis < 0 || axis > len(shape) {
		return nil, fmt.Errorf("axis %d lies outside of rank %d", axis, len(shape)+1)
	}
	shape = append(shape[:axis:axis], append([]int{0}, shape[axis:]...)...)
	return c.New(declared.Elem, shape...)
}

// rowSteps returns how far apart neighbours along each axis lie in row-major order.
func rowSteps(shape []int) []int {
	steps := make([]int, len(shape))
	n := 1
	for d := len(shape) - 1; d >= 0; d-- {
		steps[d] = n
		n *= shape[d]
	}
	return steps
}

func equalShape(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func buildSequenceMap(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, -1); err != nil {
		return nil, err
	}
	b, err := n.Body("body")
	if err != nil {
		return nil, err
	}
	own := len(n.Inputs)
	if b.Inputs() != own || b.Outputs() != len(n.Outputs) {
		return nil, fmt.Errorf("its body takes %d inputs and gives %d outputs, want %d and %d", b.Inputs(), b.Outputs(), own, len(n.Outputs))
	}
	declared := n.Attr("body").Graph.Outputs
	return Func(func(c *Context, in []value.Value) ([]value.Value, error) {
		first, ok := in[0].(*value.Sequence)
		if !ok {
			return nil, fmt.Errorf("input 0 is a %v, want a sequence", in[0])
		}
		results := make([]*value.Sequence, b.Outputs())
		for j := range results {
			results[j] = &value.Sequence{Elem: declared[j].Type}
		}
		args := make([]value.Value, own)
		for i := range first.Items {
			if err := c.cancelled(); err != nil {
				return nil, err
			}
			for j := range args {
				if args[j] = in[j]; in[j] == nil {
					return nil, fmt.Errorf("input %d is missing", j)
				}
				if s, ok := in[j].(*value.Sequence); ok {
					if len(s.Items) != len(first.Items) {
						return nil, fmt.Errorf("input %d has %d elements, but input 0 has %d", j, len(s.Items), len(first.Items))
					}
					args[j] = s.Items[i]
				}
			}
			out, err := b.Run(c, args, in)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", i, err)
			}
			for j, v := range out {
				results[j].Items = append(results[j].Items, v)
			}
		}
		out := make([]value.Value, len(results))
		for j, s := range results {
			out[j] = s
		}
		return out, nil
	}), nil
}
