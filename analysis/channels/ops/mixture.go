package ops

import (
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
)

// A weight may be computed in the graph: scaled by the norm of another constant, standardised, divided by its largest singular value. Most
// nodes of such a computation pass channels as those of activations do, and a cut of the constants that enter it is a cut of the weight. A
// node that runs over an axis as a whole is different. Behind a layer a removed channel is silent, so a sum over it loses nothing; the
// slices of a weight are no zeros, and a norm without some of them is another norm, by which every channel that stays would be scaled.
// What such a node gives is therefore worked out before the cut and stored in its place: see package fold, and Folds of the plan.

// Mixture is a node that computes from constants only, and an axis of its operands that all of its results depend on: where an index of the
// axis goes, what the node gave before the cut has to be stored.
type Mixture struct {
	Node *graph.Node
	Axis atoms.Axis
}

// computes reports whether the node computes from constants only.
func (c *Context) computes() bool {
	for _, v := range c.Node.Outputs {
		if v != nil {
			return c.static[v.ID]
		}
	}
	return false
}

// mix notes that the node's results depend on an axis as a whole. It reports false where they can not be stored: the node's operands are
// no constants, or not such that can be worked out beforehand.
func (c *Context) mix(a atoms.Axis) bool {
	if !c.computes() {
		return false
	}
	for _, v := range Results(c.Node) {
		if !c.Folds.Can(v) {
			return false
		}
	}
	c.Mixtures = append(c.Mixtures, Mixture{c.Node, a})
	return true
}

// Results returns the outputs of a node that something reads; all of them where nothing reads any.
func Results(n *graph.Node) []*graph.Value {
	var read, all []*graph.Value
	for _, v := range n.Outputs {
		if v == nil {
			continue
		}
		if all = append(all, v); len(v.Uses) > 0 || v.Output || v.Returned {
			read = append(read, v)
		}
	}
	if read == nil {
		return all
	}
	return read
}

// consumeConstant handles an axis of constants that is summed over.
func (c *Context) consumeConstant(input, axis int) {
	axes := c.In(input)
	if axis >= len(axes) || axes[axis].Fixed() || c.mix(axes[axis]) {
		return
	}
	c.Pin(axes[axis], "%s sums constants over it, and what that gives can not be worked out before the cut", c.Node.Title())
}

// PinAcross fixes an axis that the results of a node depend on as a whole.
func (c *Context) PinAcross(a atoms.Axis, format string, args ...any) {
	if !a.Fixed() && !c.mix(a) {
		c.Pin(a, format, args...)
	}
}
