package shape

import (
	"fmt"
)

// Recurrent layers. X is [length, batch, input]; with layout 1 batch comes first. W is [directions, gates*hidden, input],
// R [directions, gates*hidden, hidden].

var recurrent = &family{"", []entry{
	{"RNN", 1, recurrentOf(1)}, {"GRU", 1, recurrentOf(3)}, {"LSTM", 1, recurrentOf(4)},
}}

var recurrentMicrosoft = &family{"com.microsoft", []entry{{"DynamicQuantizeLSTM", 1, quantizedLSTM}}}

func recurrentOf(gates int64) rule {
	return func(c *call) error {
		if err := c.need(0, 1, 2); err != nil {
			return err
		}
		w, r := c.in(1), c.in(2)
		for i := range 3 {
			if err := c.wantRank(i, 3); err != nil {
				return err
			}
		}
		x := c.in(0)
		if x.Known && w.Known && differ(x.Dims[2], w.Dims[2]) {
			return fmt.Errorf("the input %s and the weight %s differ in their last axis", c.show(0), c.show(1))
		}
		hidden, known := c.hiddenSize()
		if !known && r.Known {
			hidden, known = r.Dims[2], true
		}
		if known && w.Known && differ(w.Dims[1], hidden.Mul(Const(gates))) {
			return fmt.Errorf("the weight %s must have %d times the hidden size %v along axis 1", c.show(1), gates, hidden)
		}
		if known && r.Known && differ(r.Dims[2], hidden) {
			return fmt.Errorf("the weight %s must have the hidden size %v along axis 2", c.show(2), hidden)
		}
		return c.recurrentOutputs(hidden, known)
	}
}

func (c *call) hiddenSize() (Dim, bool) {
	n := c.node.Int("hidden_size", 0)
	return Const(n), n > 0
}

func (c *call) recurrentOutputs(hidden Dim, known bool) error {
	x := c.in(0)
	directions := Const(1)
	if c.node.Text("direction", "forward") == "bidirectional" {
		directions = Const(2)
	}
	layout := c.node.Int("layout", 0)
	for i := range c.node.Outputs {
		if c.node.Outputs[i] == nil {
			continue
		}
		length, batch, h := c.freshOut(i, 0), c.freshOut(i, 1), hidden
		if x.Known && layout == 0 {
			length, batch = x.Dims[0], x.Dims[1]
		} else if x.Known {
			batch, length = x.Dims[0], x.Dims[1]
		}
		if !known {
			h = c.freshOut(i, 3)
		}
		switch {
		case i == 0 && layout == 0:
			c.out(i, x.Elem, []Dim{length, directions, batch, h})
		case i == 0:
			c.out(i, x.Elem, []Dim{batch, length, directions, h})
		case layout == 0:
			c.out(i, x.Elem, []Dim{directions, batch, h})
		default:
			c.out(i, x.Elem, []Dim{batch, directions, h})
		}
	}
	return nil
}

// quantizedLSTM has transposed weights, so the hidden size comes from its attribute.
func quantizedLSTM(c *call) error {
	if err := c.need(0); err != nil {
		return err
	}
	if err := c.wantRank(0, 3); err != nil {
		return err
	}
	hidden, known := c.hiddenSize()
	return c.recurrentOutputs(hidden, known)
}
