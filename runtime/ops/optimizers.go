package ops

// One step of the training optimizers of ai.onnx.preview.training. Inputs are the rate R, the count of steps T, then all
// tensors X, all gradients G, and one or two groups of state; outputs are the new X and the new state. Gradient, the
// fourth operator of that domain, is not there: it needs automatic differentiation.

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

const trainingDomain = "ai.onnx.preview.training"

func init() {
	Register(trainingDomain, "Adagrad", buildAdagrad, 1)
	Register(trainingDomain, "Adam", buildAdam, 1)
	Register(trainingDomain, "Momentum", buildMomentum, 1)
}

// updateRule changes one element: from x, its gradient and its state to the new x, with the state changed in place.
type updateRule func(x, gradient float64, state []float64) float64

// buildOptimizer makes an optimizer with so many groups of state. at gives the rule for a rate and a count of steps.
func buildOptimizer(n *Node, states int, at func(rate float64, steps int64) updateRule) (Kernel, error) {
	groups := 2 + states
	if (len(n.Inputs)-2)%groups != 0 || len(n.Inputs) < 2+groups {
		return nil, fmt.Errorf("it has %d inputs, want 2 and then groups of %d", len(n.Inputs), groups)
	}
	if err := n.CheckInputs(len(n.Inputs), -1); err != nil {
		return nil, err
	}
	count := (len(n.Inputs) - 2) / groups
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		rate, ok := in[0].Floats()
		steps, whole := in[1].Ints()
		if !ok || !whole || len(rate) != 1 || len(steps) != 1 {
			return nil, fmt.Errorf("rate %v and step count %v, want one float and one integer", in[0], in[1])
		}
		rule := at(rate[0], steps[0])
		out := make([]*value.Tensor, count*(1+states))
		for i := range count {
			x := in[2+i]
			group := []*value.Tensor{x}
			for s := 1; s < groups; s++ {
				t := in[2+s*count+i]
				if t.Type != x.Type || !slices.Equal(t.Shape, x.Shape) {
					return nil, fmt.Errorf("inputs %d and %d are %v and %v, which do not match", 2+i, 2+s*count+i, x, t)
				}
				group = append(group, t)
			}
			made := make([]*value.Tensor, 1+states)
			for s := range made {
				var err error
				if made[s], err = c.New(x.Type, x.Shape...); err != nil {
					return nil, err
				}
				out[s*count+i] = made[s]
			}
			switch x.Type {
			case onnxio.Float:
				updateAll[float32](rule, made, group)
			case onnxio.Double:
				updateAll[float64](rule, made, group)
			default:
				return nil, fmt.Errorf("it has no meaning for %v", x)
			}
		}
		return out, nil
	}), nil
}

// updateAll applies the rule to x, gradient and states; made is the new x and the new states.
func updateAll[T kernels.Float](rule updateRule, made, group []*value.Tensor) {
	state := make([]float64, len(made)-1)
	x, gradient := group[0].Data.([]T), group[1].Data.([]T)
	for i := range x {
		for s := range state {
			state[s] = float64(group[2+s].Data.([]T)[i])
		}
		made[0].Data.([]T)[i] = T(rule(float64(x[i]), float64(gradient[i]), state))
		for s, v := range state {
			made[1+s].Data.([]T)[i] = T(v)
		}
	}
}

func buildAdagrad(n *Node) (Kernel, error) {
	decay, epsilon := float64(n.Float("decay_factor", 0)), float64(n.Float("epsilon", 1e-6))
	norm := float64(n.Float("norm_coefficient", 0))
	return buildOptimizer(n, 1, func(rate float64, steps int64) updateRule {
		rate /= 1 + float64(steps)*decay
		return func(x, g float64, state []float64) float64 {
			g += norm * x
			state[0] += g * g
			return x - rate*g/(math.Sqrt(state[0])+epsilon)
		}
	})
}

func buildAdam(n *Node) (Kernel, error) {
	alpha, beta := float64(n.Float("alpha", 0.9)), float64(n.Float("beta", 0.999))
	epsilon := float64(n.Float("epsilon", 1e-6))
	norm, post := float64(n.Float("norm_coefficient", 0)), float64(n.Float("norm_coefficient_post", 0))
	return buildOptimizer(n, 2, func(rate float64, steps int64) updateRule {
		if steps > 0 {
			rate *= math.Sqrt(1-math.Pow(beta, float64(steps))) / (1 - math.Pow(alpha, float64(steps)))
		}
		return func(x, g float64, state []float64) float64 {
			g += norm * x
			state[0] = alpha*state[0] + (1-alpha)*g
			state[1] = beta*state[1] + (1-beta)*g*g
			return (1 - post) * (x - rate*state[0]/(math.Sqrt(state[1])+epsilon))
		}
	})
}

func buildMomentum(n *Node) (Kernel, error) {
	for _, name := range []string{"alpha", "beta", "mode", "norm_coefficient"} {
		if !n.Has(name) {
			return nil, fmt.Errorf("attribute %s is missing", name)
		}
	}
	alpha, beta := float64(n.Float("alpha", 0)), float64(n.Float("beta", 0))
	norm := float64(n.Float("norm_coefficient", 0))
	nesterov := n.OneOf("mode", "standard", "nesterov") == "nesterov"
	return buildOptimizer(n, 1, func(rate float64, steps int64) updateRule {
		weight := beta
		if steps == 0 {
			weight = 1
		}
		return func(x, g float64, state []float64) float64 {
			g += norm * x
			state[0] = alpha*state[0] + weight*g
			if nesterov {
				return x - rate*(g+alpha*state[0])
			}
			return x - rate*state[0]
		}
	})
}
