package ops

import (
	"slices"

	"onnxprune/analysis/channels/atoms"
)

// Fused linear layers of com.microsoft: a matrix product with transposes, scales or an activation in the same node. Where an
// activation is quantised on the fly its scale spans all of its elements, so a removed channel must be zero before the
// node, not only in the weight behind it.

// fusedActivations lists the activations of fused nodes that work on every element by itself.
var fusedActivations = []string{"", "Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "Selu", "Celu", "HardSigmoid", "HardSwish", "Softplus", "Softsign",
	"ThresholdedRelu", "Gelu", "FastGelu", "QuickGelu", "Erf", "Clip"}

func init() {
	microsoft := func(op string, r Rule) { register("com.microsoft", op, r) }
	const inner = "inner axes unified, outer axes pass"
	for _, op := range []string{"FusedMatMul", "TransposeMatMul", "FusedMatMulActivation"} {
		microsoft(op, Rule{Title: inner, Flow: flowFusedMatMul, Weights: []int{1, 0}})
	}
	microsoft("GemmFastGelu", Rule{Title: inner, Weights: []int{1, 0}, Flow: func(c *Context) { flowMatMul(c, 0, 1, map[int]int{2: 1}) }})
	microsoft("MatMulInteger16", Rule{Title: inner, Weights: []int{1, 0}, Flow: func(c *Context) { flowMatMul(c, 0, 1, nil) }})
	microsoft("QLinearMatMul", Rule{Title: inner, Weights: []int{3, 0},
		Flow: func(c *Context) { flowMatMul(c, 0, 3, map[int]int{4: 1, 5: 1, 1: 0, 2: 0}) }})
	microsoft("DynamicQuantizeMatMul", Rule{Title: inner + "; removed channels are zero before it", Flow: flowDynamicMatMul, Weights: []int{1}})
	microsoft("QGemm", Rule{Title: inner, Flow: flowQGemm, Weights: []int{3, 0}})
	microsoft("MatMulNBits", Rule{Title: "outer axes of the activation pass; the packed weight is pinned", Flow: flowPackedMatMul, Weights: []int{1}})
	microsoft("Attention", Rule{Title: "input axis of the weight unified; heads pinned", Flow: flowPackedAttention, Weights: []int{1}})
}

func flowFusedMatMul(c *Context) {
	c.Ignore("alpha", "activation_alpha", "activation_beta", "activation_gamma", "activation_axis")
	if act := c.Text("activation", ""); !slices.Contains(fusedActivations, act) {
		c.Barrier("its activation %s may run across channels", act)
		return
	}
	ta, tb := int(c.Int("transA", 0)), int(c.Int("transB", 0))
	if c.Int("transBatchA", 0) != 0 || c.Int("transBatchB", 0) != 0 {
		c.Barrier("it moves a batch axis of an operand into its rows")
		return
	}
	if ta == 0 && tb == 0 {
		flowMatMul(c, 0, 1, nil)
		return
	}
	a, b := c.In(0), c.In(1)
	if len(a) < 2 || len(b) < 2 || ta>>1 != 0 || tb>>1 != 0 {
		c.Barrier("it transposes operands of ranks %d and %d", len(a), len(b))
		return
	}
	na, nb := len(a), len(b)
	c.contract(0, na-1-ta, 1, nb-2+tb)
	var out []atoms.Axis
	for k := range max(na, nb) - 2 {
		out = append(out, c.meet(0, k-max(nb-na, 0), 1, k-max(na-nb, 0)))
	}
	if c.Static(1) {
		c.Parameter(1, nb-1-tb)
	} else if c.Static(0) {
		c.Parameter(0, na-2+ta)
	}
	c.Out(0, append(out, a[na-2+ta], b[nb-1-tb]))
}

// columnVectors unifies operands that hold one value per output feature, or one for all.
func (c *Context) columnVectors(out atoms.Axis, inputs ...int) {
	for _, i := range inputs {
		axes := c.In(i)
		for k, a := range axes {
			if n, ok := c.Info(i).Fixed(k); ok && n == 1 {
				continue
			}
			if k == len(axes)-1 {
				c.Unify(out, a, "as scales or a bias of a matrix product")
			} else {
				c.Pin(a, "it is an operand of %s that does not follow its channels", c.Node.Title())
			}
		}
	}
}

// flowDynamicMatMul: A, which is quantised by the range of all its elements, B, and scale, zero point and bias per column of B.
func flowDynamicMatMul(c *Context) {
	a, b := c.In(0), c.In(1)
	if len(a) < 1 || len(b) != 2 {
		c.Barrier("its operands have ranks %d and %d", len(a), len(b))
		return
	}
	c.Unify(a[len(a)-1], b[0], "as the inner axis of a matrix product")
	for k, ax := range a {
		if !ax.Fixed() {
			c.Consume(0, k, -1, 0)
		}
	}
	c.columnVectors(b[1], 2, 3, 4)
	c.Parameter(1, 1)
	c.Out(0, append(slices.Clone(a[:len(a)-1]), b[1]))
}

// flowQGemm: A, its scale and zero point; B, its scales and zero points; C; scale and zero point of the result.
func flowQGemm(c *Context) {
	c.Ignore("alpha")
	ta, tb := int(c.Int("transA", 0)), int(c.Int("transB", 0))
	a, b := c.In(0), c.In(3)
	if len(a) != 2 || len(b) != 2 || ta>>1 != 0 || tb>>1 != 0 {
		c.Barrier("its operands have ranks %d and %d", len(a), len(b))
		return
	}
	c.contract(0, 1-ta, 3, tb)
	rows, columns := a[ta], b[1-tb]
	c.columnVectors(columns, 4, 5)
	if c.Has(6) {
		bias := c.In(6)
		for k, ax := range bias {
			if n, ok := c.Info(6).Fixed(k); ok && n == 1 {
				continue
			}
			if k == len(bias)-1 {
				c.Unify(columns, ax, "as the bias of a linear layer")
			} else {
				rows = c.Unify(rows, ax, "as the bias of a linear layer")
			}
		}
	}
	for _, i := range []int{1, 2, 7, 8} {
		c.PinAll(i, "it is an operand of %s that does not follow its channels", c.Node.Title())
	}
	if c.Static(3) {
		c.Parameter(3, 1-tb)
	} else if c.Static(0) {
		c.Parameter(0, ta)
	}
	c.Out(0, []atoms.Axis{rows, columns})
}

// flowPackedMatMul: the weight is stored in blocks of a few bits, so nothing of it can be cut; the rows of the activation pass.
func flowPackedMatMul(c *Context) {
	c.IgnoreAll()
	a := c.In(0)
	if len(a) < 1 {
		c.Barrier("its input is a scalar")
		return
	}
	c.Pin(a[len(a)-1], "the weight of %s is packed in blocks along it", c.Node.Title())
	for i := 1; i < len(c.Node.Inputs); i++ {
		c.PinAll(i, "%s keeps it packed in blocks", c.Node.Title())
	}
	c.Parameter(1, 0)
	out := append(slices.Clone(a[:len(a)-1]), atoms.Axis{Why: c.Reason("the weight of %s is packed in blocks", c.Node.Title())})
	c.Out(0, out)
}

// flowPackedAttention: X [batch, length, width] times a weight [width, 3*hidden], whose columns are split into heads.
func flowPackedAttention(c *Context) {
	c.IgnoreAll()
	x, w := c.In(0), c.In(1)
	if len(x) != 3 || len(w) != 2 {
		c.Barrier("its input has rank %d and its weight rank %d", len(x), len(w))
		return
	}
	c.Unify(x[2], w[0], "as the input of an attention")
	c.Consume(0, 2, 1, 0)
	c.Pin(x[0], "it is the batch axis of %s", c.Node.Title())
	c.Pin(x[1], "it is the sequence axis of %s", c.Node.Title())
	c.Pin(w[1], "%s splits it into heads", c.Node.Title())
	for i := 2; i < len(c.Node.Inputs); i++ {
		c.PinAll(i, "%s splits it into heads", c.Node.Title())
	}
	c.Parameter(1, 1)
	for i, v := range c.Node.Outputs {
		if v == nil || !c.OutInfo(i).Known {
			continue
		}
		out := Fixed(c.OutInfo(i).Rank())
		for k := range out {
			out[k].Why = c.Reason("%s splits it into heads", c.Node.Title())
		}
		c.Out(i, out)
	}
}
