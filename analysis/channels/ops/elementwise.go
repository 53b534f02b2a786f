package ops

import "onnxprune/analysis/channels/atoms"

// Element-wise operators: what comes out at an index depends on the operands at that index only, so channels pass as
// they are, and where several operands meet they are the same channels.

// unary lists operators of one operand, each with the attributes that it may have.
var unary = map[string][]string{
	"Abs": {"consumed_inputs"}, "Acos": nil, "Acosh": nil, "Asin": nil, "Asinh": nil, "Atan": nil, "Atanh": nil, "BitwiseNot": nil,
	"Cast": {"to", "saturate", "round_mode"}, "CastLike": {"saturate", "round_mode"}, "Ceil": {"consumed_inputs"}, "Celu": {"alpha"},
	"Clip": {"min", "max", "consumed_inputs"}, "Cos": nil, "Cosh": nil, "Dropout": {"ratio", "is_test", "seed", "consumed_inputs"},
	"Elu": {"alpha", "consumed_inputs"}, "Erf": nil, "Exp": {"consumed_inputs"}, "Floor": {"consumed_inputs"}, "Gelu": {"approximate"},
	"HardSigmoid": {"alpha", "beta", "consumed_inputs"}, "HardSwish": nil, "Identity": nil, "IsInf": {"detect_negative", "detect_positive"},
	"IsNaN": nil, "LeakyRelu": {"alpha", "consumed_inputs"}, "Log": {"consumed_inputs"}, "Mish": nil, "Neg": {"consumed_inputs"}, "Not": nil,
	"Reciprocal": {"consumed_inputs"}, "Relu": {"consumed_inputs"}, "Round": nil, "Selu": {"alpha", "gamma", "consumed_inputs"},
	"Shrink": {"bias", "lambd"}, "Sigmoid": {"consumed_inputs"}, "Sign": nil, "Sin": nil, "Sinh": nil, "Softplus": nil, "Softsign": nil,
	"Sqrt": {"consumed_inputs"}, "Swish": {"alpha"}, "Tan": nil, "Tanh": {"consumed_inputs"}, "ThresholdedRelu": {"alpha"},
	"ScaledTanh": {"alpha", "beta"}, "BitCast": {"to"},
}

// broadcasting lists operators of several operands that broadcast.
var broadcasting = map[string][]string{
	"Add": nil, "Sub": nil, "Mul": nil, "Div": nil, "Pow": nil, "Mod": {"fmod"}, "Min": nil, "Max": nil, "Sum": nil, "Mean": nil,
	"And": nil, "Or": nil, "Xor": nil, "Equal": nil, "Greater": nil, "Less": nil, "GreaterOrEqual": nil, "LessOrEqual": nil, "Where": nil,
	"BitShift": {"direction"}, "BitwiseAnd": nil, "BitwiseOr": nil, "BitwiseXor": nil,
}

func init() {
	for op, attrs := range unary {
		register("", op, Rule{Title: "same", Flow: func(c *Context) { c.Ignore(attrs...); passUnary(c) }})
	}
	for op, attrs := range broadcasting {
		flow := func(c *Context) {
			c.Ignore(attrs...)
			c.Ignore("axis", "broadcast", "consumed_inputs") // before opset 7, see passBroadcast
			c.Out(0, c.broadcastAll())
		}
		register("", op, Rule{Title: "unify, broadcasting", Flow: flow})
	}
	for _, op := range []string{"Gelu", "FastGelu", "QuickGelu", "BiasGelu"} {
		register("com.microsoft", op, Rule{Title: "unify, broadcasting", Flow: func(c *Context) {
			c.Ignore("alpha")
			c.Out(0, c.broadcastAll())
		}})
	}
	for _, op := range []string{"QLinearAdd", "QLinearMul"} {
		register("com.microsoft", op, Rule{Title: "unify, broadcasting", Flow: func(c *Context) { c.Out(0, c.broadcast(0, 3)) }})
	}
	for _, op := range []string{"QLinearSigmoid", "QLinearLeakyRelu"} {
		register("com.microsoft", op, Rule{Title: "same", Flow: func(c *Context) { c.Ignore("alpha"); c.Out(0, c.In(0)) }})
	}
}

// passUnary labels every output as the first input. Further operands (bounds of Clip, Dropout's ratio) are scalars.
func passUnary(c *Context) {
	in := c.In(0)
	if c.Node.Op != "CastLike" {
		for i := 1; i < len(c.Node.Inputs); i++ {
			c.PinAll(i, "it is an operand of %s that holds no channels", c.Node.Title())
		}
	}
	for i := range c.Node.Outputs {
		c.Out(i, in)
	}
}

func (c *Context) broadcastAll() []atoms.Axis {
	var ins []int
	for i, v := range c.Node.Inputs {
		if v != nil {
			ins = append(ins, i)
		}
	}
	return c.broadcast(ins...)
}

// broadcast unifies the axes of operands as numpy aligns them, last axis to last axis, and returns the result's. An
// extent of one carries nothing. Before opset 7 the attribute axis says where the second operand starts.
func (c *Context) broadcast(ins ...int) []atoms.Axis {
	rank := 0
	for _, i := range ins {
		rank = max(rank, c.Rank(i))
	}
	out := Fixed(rank)
	have := make([]bool, rank)
	for _, i := range ins {
		offset := rank - c.Rank(i)
		if a := c.Node.Attr("axis"); a != nil && i == 1 && c.Node.Domain == "" && c.Node.Version < 7 {
			offset = c.Axis(a.I, rank)
		}
		axes := c.In(i)
		if len(axes) != c.Rank(i) || offset+len(axes) > rank {
			c.Barrier("the shapes of its operands do not align")
			return out
		}
		for k, a := range axes {
			if n, ok := c.Info(i).Fixed(k); ok && n == 1 {
				continue
			}
			if !have[offset+k] {
				out[offset+k], have[offset+k] = a, true
			} else {
				out[offset+k] = c.Unify(out[offset+k], a, "in an element-wise operation")
			}
		}
	}
	return out
}
