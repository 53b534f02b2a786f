package shape

import (
	"fmt"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Scan and SequenceMap: bodies that run once per slice of a tensor, or per element of a sequence.

// scan: state values, then inputs that are cut along an axis; state outputs, then stacked outputs.
func scan(c *call) error {
	b := c.body("body")
	n := int(c.node.Int("num_scan_inputs", 0))
	states := len(c.node.Inputs) - n
	if b == nil || n < 1 || states < 0 || len(b.Inputs) < len(c.node.Inputs) {
		return fmt.Errorf("its body does not fit its %d inputs and num_scan_inputs=%d", len(c.node.Inputs), n)
	}
	axes, _ := c.node.Ints("scan_input_axes")
	inputs := make([]Info, len(c.node.Inputs))
	count, counted := Dim{}, false
	for i := range inputs {
		if err := c.need(i); err != nil {
			return err
		}
		inputs[i] = *c.in(i)
		if i < states || !inputs[i].Known {
			if i >= states {
				inputs[i] = Info{Kind: onnxio.KindTensor, Elem: inputs[i].Elem}
			}
			continue
		}
		at := int64(0)
		if i-states < len(axes) {
			at = axes[i-states]
		}
		a, err := axis(at, len(inputs[i].Dims))
		if err != nil {
			return fmt.Errorf("%w of %s", err, c.show(i))
		}
		length := inputs[i].Dims[a]
		if counted && differ(count, length) {
			return fmt.Errorf("the inputs that are scanned have different lengths: %s", c.shows())
		}
		if !counted {
			count, counted = length, true
		}
		count = agree(count, length)
		inputs[i].Dims = append(cloneDims(inputs[i].Dims[:a]), inputs[i].Dims[a+1:]...)
		inputs[i].Nums = nil
	}
	if err := c.iterate(b, inputs, states, 0, 0, false); err != nil {
		return err
	}
	return c.scanOutputs(b, inputs, states, count, counted)
}

func (c *call) scanOutputs(b *graph.Scope, inputs []Info, states int, count Dim, counted bool) error {
	axes, _ := c.node.Ints("scan_output_axes")
	for i, v := range c.node.Outputs {
		if v == nil || i >= len(b.Outputs) {
			continue
		}
		if i < states {
			c.outInfo(i, c.escape(inputs[i], v, 0))
			continue
		}
		body := *c.res.Of(b.Outputs[i])
		at := 0
		if i-states < len(axes) && body.Known {
			var err error
			if at, err = axis(axes[i-states], len(body.Dims)+1); err != nil {
				return err
			}
		}
		n := count
		if !counted {
			n = c.fresh(v, at, c.depth+1)
		}
		c.outInfo(i, c.stack(body, v, at, n))
	}
	return nil
}

// scan8 is Scan of opset 8: input 0 holds sequence lengths, everything has a leading batch axis, and the
// scanned axis is the second.
func scan8(c *call) error {
	b := c.body("body")
	n := int(c.node.Int("num_scan_inputs", 0))
	states := len(c.node.Inputs) - 1 - n
	if b == nil || n < 1 || states < 0 || len(b.Inputs) < states+n {
		return fmt.Errorf("its body does not fit its %d inputs and num_scan_inputs=%d", len(c.node.Inputs), n)
	}
	inputs := make([]Info, states+n)
	batch, count, counted := Dim{}, Dim{}, false
	for i := range inputs {
		in := *c.in(i + 1)
		in.Nums = nil
		drop := 1
		if i >= states {
			drop = 2
		}
		if in.Known && len(in.Dims) < drop {
			return fmt.Errorf("%s has too few axes", c.show(i+1))
		}
		if in.Known {
			if batch = in.Dims[0]; drop == 2 {
				count, counted = in.Dims[1], true
			}
			in.Dims = in.Dims[drop:]
		}
		inputs[i] = in
	}
	if err := c.iterate(b, inputs, states, 0, 0, false); err != nil {
		return err
	}
	for i, v := range c.node.Outputs {
		if v == nil || i >= len(b.Outputs) {
			continue
		}
		body := c.escape(*c.res.Of(b.Outputs[i]), v, 2)
		if !body.Known || !counted {
			c.outUnknown(i, body.Elem)
			continue
		}
		lead := []Dim{batch}
		if i >= states {
			lead = append(lead, count)
		}
		c.out(i, body.Elem, append(lead, body.Dims...))
	}
	return nil
}

// sequenceMap runs its body once per element of input 0; further inputs are sequences taken along, or tensors handed in.
func sequenceMap(c *call) error {
	b := c.body("body")
	if b == nil {
		return fmt.Errorf("it lacks a body")
	}
	inputs := make([]Info, len(c.node.Inputs))
	for i := range inputs {
		inputs[i] = *c.in(i)
		if inputs[i].Kind == onnxio.KindSequence {
			inputs[i] = Info{}
			if of := c.in(i).Of; of != nil {
				inputs[i] = *of
			}
		}
	}
	if err := c.enter(b, inputs, false); err != nil {
		return err
	}
	for i, v := range c.node.Outputs {
		if v != nil && i < len(b.Outputs) {
			of := c.escape(*c.res.Of(b.Outputs[i]), v, 0)
			c.outInfo(i, Info{Kind: onnxio.KindSequence, Of: &of})
		}
	}
	return nil
}
