package shape

import "fmt"

// Losses of opset 12, and the optimizers of ai.onnx.preview.training.

var loss = &family{"", []entry{
	{"NegativeLogLikelihoodLoss", 12, lossRule}, {"SoftmaxCrossEntropyLoss", 12, lossRule},
}}

// lossRule: scores are [N, C, d1, ...], labels [N, d1, ...]; unreduced, the loss has the labels' shape.
func lossRule(c *call) error {
	if err := c.need(0, 1); err != nil {
		return err
	}
	scores, labels := c.in(0), c.in(1)
	if scores.Known && labels.Known && len(labels.Dims)+1 != len(scores.Dims) {
		return fmt.Errorf("the labels %s must have one axis less than the scores %s", c.show(1), c.show(0))
	}
	if c.node.Text("reduction", "mean") == "none" {
		c.outShape(0, scores.Elem, labels)
	} else {
		c.out(0, scores.Elem, nil)
	}
	c.outShape(1, scores.Elem, scores) // SoftmaxCrossEntropyLoss: the logarithms of the probabilities
	return nil
}

// optimizers of ai.onnx.preview.training: rate, count, then tensors, gradients and states; the new tensors and
// states come out.
var optimizers = &family{"ai.onnx.preview.training", []entry{
	{"Adagrad", 1, optimizer(2, 3)}, {"Momentum", 1, optimizer(2, 3)}, {"Adam", 1, optimizer(3, 4)},
}}

// optimizer: outputs groups of n tensors each, inputs has that many groups behind the first two inputs, of which the
// second holds gradients.
func optimizer(outputs, inputs int) rule {
	return func(c *call) error {
		n := (len(c.node.Inputs) - 2) / inputs
		if n < 1 || len(c.node.Inputs) != 2+inputs*n {
			return fmt.Errorf("it has %d inputs, want two and %d for each tensor", len(c.node.Inputs), inputs)
		}
		for g := range outputs {
			for i := range n {
				in := c.in(2 + i)
				c.outShape(g*n+i, in.Elem, in)
			}
		}
		return nil
	}
}
