package ops

// Scan runs a body over the slices of its inputs along one axis. From opset 9 on the axes and directions
// are free; opset 8 works on a batch of sequences, [batch, time, ...], with a length for each.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Scan", buildScan, 8, 9, 11, 16, 19, 21, 23, 24, 25)
}

// scan is one Scan node.
type scan struct {
	body   Body
	states int
	inputs []scanned
	result []scanned
	batch  bool // opset 8
}

// scanned says along which axis an input is cut or an output put together, and from which end.
type scanned struct {
	axis     int
	reverse  bool
	declared *onnxio.Type // of the body's output, nil where not declared
}

func buildScan(n *Node) (Kernel, error) {
	b, err := n.Body("body")
	if err != nil {
		return nil, err
	}
	k := &scan{body: b, batch: n.Since == 8}
	own := len(n.Inputs)
	if k.batch {
		own--
	}
	count := int(n.Int("num_scan_inputs", 0))
	k.states = own - count
	if count < 1 || k.states < 0 || b.Inputs() != own || b.Outputs() < k.states {
		return nil, fmt.Errorf("%d inputs of which %d are scanned do not fit a body of %d inputs and %d outputs", own, count, b.Inputs(), b.Outputs())
	}
	if len(n.Outputs) > b.Outputs() {
		return nil, fmt.Errorf("it has %d outputs, but its body gives %d", len(n.Outputs), b.Outputs())
	}
	directions, axes := "scan_input_directions", "scan_input_axes"
	if k.batch {
		directions, axes = "directions", ""
	}
	if k.inputs, err = scannedOf(n, count, axes, directions); err != nil {
		return nil, err
	}
	axes, directions = "scan_output_axes", "scan_output_directions"
	if k.batch {
		axes, directions = "", ""
	}
	if k.result, err = scannedOf(n, b.Outputs()-k.states, axes, directions); err != nil {
		return nil, err
	}
	for i, o := range n.Attr("body").Graph.Outputs[k.states:] {
		k.result[i].declared = o.Type
	}
	return k, nil
}

func scannedOf(n *Node, count int, axes, directions string) ([]scanned, error) {
	out := make([]scanned, count)
	read := func(name string, set func(i, v int) error) error {
		if name == "" || !n.Has(name) {
			return nil
		}
		vs := n.Ints(name)
		if len(vs) != count {
			return fmt.Errorf("attribute %s has %d entries, want %d", name, len(vs), count)
		}
		for i, v := range vs {
			if err := set(i, v); err != nil {
				return fmt.Errorf("attribute %s: %w", name, err)
			}
		}
		return nil
	}
	if err := read(axes, func(i, v int) error { out[i].axis = v; return nil }); err != nil {
		return nil, err
	}
	return out, read(directions, func(i, v int) error {
		if v != 0 && v != 1 {
			return fmt.Errorf("direction %d is neither 0 nor 1", v)
		}
		out[i].reverse = v == 1
		return nil
	})
}

// Run computes the outputs: the last states, then what the rounds gave.
func (k *scan) Run(c *Context, in []value.Value) ([]value.Value, error) {
	if k.batch {
		return k.runBatch(c, in)
	}
	own := in[:k.states+len(k.inputs)]
	ts := make([]*value.Tensor, len(own))
	for i, v := range own {
		t, ok := v.(*value.Tensor)
		if !ok {
			return nil, fmt.Errorf("input %d is a %v, want a tensor", i, v)
		}
		ts[i] = t
	}
	states, results, err := k.rounds(c, ts[:k.states], ts[k.states:], -1, in)
	if err != nil {
		return nil, err
	}
	var out []value.Value
	for _, s := range states {
		out = append(out, s)
	}
	for j, r := range results {
		t, err := stacked(c, r, k.result[j].axis, k.result[j].reverse, k.result[j].declared)
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", k.states+j, err)
		}
		out = append(out, t)
	}
	return out, nil
}

// rounds runs the body over the slices of inputs, count of them, or all when count < 0.
func (k *scan) rounds(c *Context, states, inputs []*value.Tensor, count int, in []value.Value) ([]*value.Tensor, [][]*value.Tensor, error) {
	axes := make([]int, len(inputs))
	length := 0
	for i, t := range inputs {
		axis := k.inputs[i].axis
		if axis < 0 {
			axis += len(t.Shape)
		}
		if axis < 0 || axis >= len(t.Shape) {
			return nil, nil, fmt.Errorf("axis %d lies outside of scan input %d, which is %v", k.inputs[i].axis, i, t)
		}
		if axes[i] = axis; i == 0 {
			length = t.Shape[axis]
		} else if t.Shape[axis] != length {
			return nil, nil, fmt.Errorf("scan input %d is %d long, but input 0 is %d long", i, t.Shape[axis], length)
		}
	}
	if count < 0 {
		count = length
	}
	states = slices.Clone(states)
	results := make([][]*value.Tensor, len(k.result))
	args := make([]value.Value, len(states)+len(inputs))
	for i := range count {
		if err := c.cancelled(); err != nil {
			return nil, nil, err
		}
		for j, s := range states {
			args[j] = s
		}
		for j, t := range inputs {
			at := i
			if k.inputs[j].reverse {
				at = count - 1 - i
			}
			piece, err := pieceAt(c, t, axes[j], at)
			if err != nil {
				return nil, nil, err
			}
			args[len(states)+j] = piece
		}
		out, err := k.body.Run(c, args, in)
		if err != nil {
			return nil, nil, fmt.Errorf("round %d: %w", i, err)
		}
		for _, piece := range args[len(states):] {
			c.Drop(piece)
		}
		for j, v := range out {
			t, ok := v.(*value.Tensor)
			if !ok {
				return nil, nil, fmt.Errorf("round %d: output %d of the body is a %v, want a tensor", i, j, v)
			}
			if j >= len(states) {
				results[j-len(states)] = append(results[j-len(states)], t)
				continue
			}
			c.Drop(states[j])
			states[j] = t
		}
	}
	return states, results, nil
}

// pieceAt copies the slice of t at one index of an axis; the axis goes.
func pieceAt(c *Context, t *value.Tensor, axis, index int) (*value.Tensor, error) {
	shape := append(slices.Clone(t.Shape[:axis]), t.Shape[axis+1:]...)
	out, err := c.New(t.Type, shape...)
	if err != nil {
		return nil, err
	}
	steps := rowSteps(t.Shape)
	around := append(slices.Clone(steps[:axis]), steps[axis+1:]...)
	moverOf(out).box(c.Pool, shape, 0, rowSteps(shape), moverOf(t), index*steps[axis], around)
	return out, nil
}

// runBatch is Scan of opset 8: each row of the batch is a scan of its own. What lies behind a
// row's length is zero in the outputs.
func (k *scan) runBatch(c *Context, in []value.Value) ([]value.Value, error) {
	own := in[1 : 1+k.states+len(k.inputs)]
	ts := make([]*value.Tensor, len(own))
	for i, v := range own {
		t, ok := v.(*value.Tensor)
		if !ok || len(t.Shape) < 1 {
			return nil, fmt.Errorf("input %d is a %v, want a tensor with a batch axis", i+1, v)
		}
		if ts[i] = t; t.Shape[0] != ts[0].Shape[0] {
			return nil, fmt.Errorf("input %d is %v, but input 1 has a batch of %d", i+1, t, ts[0].Shape[0])
		}
	}
	if len(ts[k.states].Shape) < 2 {
		return nil, fmt.Errorf("scan input 0 is %v, want [batch, time, ...]", ts[k.states])
	}
	batch, longest := ts[0].Shape[0], ts[k.states].Shape[1]
	lengths, err := rowLengths(in[0], batch, longest)
	if err != nil {
		return nil, err
	}
	outputs := make([][]*value.Tensor, k.body.Outputs())
	for row := range batch {
		rows := make([]*value.Tensor, len(ts))
		for i, t := range ts {
			if rows[i], err = pieceAt(c, t, 0, row); err != nil {
				return nil, err
			}
		}
		states, results, err := k.rounds(c, rows[:k.states], rows[k.states:], lengths[row], in)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", row, err)
		}
		for j, s := range states {
			outputs[j] = append(outputs[j], s)
		}
		for j, r := range results {
			for len(r) > 0 && len(r) < longest { // padding
				zero, err := c.New(r[0].Type, r[0].Shape...)
				if err != nil {
					return nil, err
				}
				r = append(r, zero)
			}
			t, err := stacked(c, r, 0, false, k.result[j].declared)
			if err != nil {
				return nil, fmt.Errorf("output %d: %w", k.states+j, err)
			}
			outputs[k.states+j] = append(outputs[k.states+j], t)
		}
		for _, r := range rows[k.states:] {
			c.Drop(r)
		}
	}
	out := make([]value.Value, len(outputs))
	for j, o := range outputs {
		var declared *onnxio.Type
		if j >= k.states {
			declared = k.result[j-k.states].declared
		}
		t, err := stacked(c, o, 0, false, declared)
		if err != nil {
			return nil, fmt.Errorf("output %d: %w", j, err)
		}
		out[j] = t
	}
	return out, nil
}

// rowLengths reads the lengths of the rows; without them each is as long as the input.
func rowLengths(v value.Value, batch, longest int) ([]int, error) {
	out := make([]int, batch)
	for i := range out {
		out[i] = longest
	}
	if v == nil {
		return out, nil
	}
	t, ok := v.(*value.Tensor)
	if !ok || t.Type != onnxio.Int64 || t.Len() != batch {
		return nil, fmt.Errorf("the lengths are %v, want %d of int64", v, batch)
	}
	for i, n := range value.Of[int64](t) {
		if n < 0 || n > int64(longest) {
			return nil, fmt.Errorf("row %d has length %d, want 0 to %d", i, n, longest)
		}
		out[i] = int(n)
	}
	return out, nil
}
