package ops

// Functions of one floating-point number: roots, exponentials, trigonometry and activations. The table says, for each
// operator, since when it exists, and how its attributes become a function: a loop over float32 where
// the operator is common in networks, and a function of float64 for all else.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// pointwise is a function of one number. loop may be nil.
type pointwise struct {
	f    func(x float64) float64
	loop func(dst, x []float32)
	cost int // elements worth a thread; 0: functionGrain
}

// pointwiseRule is one operator: how a node's attributes become a function.
type pointwiseRule struct {
	op    string
	since []int
	read  func(n *Node) pointwise
}

func fixed(f func(float64) float64) func(*Node) pointwise {
	return func(*Node) pointwise { return pointwise{f: f} }
}

func withLoop(f func(float64) float64, loop func(dst, x []float32)) func(*Node) pointwise {
	return func(*Node) pointwise { return pointwise{f: f, loop: loop} }
}

var pointwiseRules = []pointwiseRule{
	{"Floor", []int{1, 6, 13}, fixed(math.Floor)},
	{"Ceil", []int{1, 6, 13}, fixed(math.Ceil)},
	{"Round", []int{11, 22}, fixed(math.RoundToEven)},
	{"Sqrt", []int{1, 6, 13}, withLoop(math.Sqrt, sqrtLoop)},
	{"Reciprocal", []int{1, 6, 13}, withLoop(func(x float64) float64 { return 1 / x }, reciprocalLoop)},
	{"Exp", []int{1, 6, 13}, withLoop(math.Exp, kernels.ExpSlice)},
	{"Log", []int{1, 6, 13}, fixed(math.Log)},
	{"Sin", []int{7, 22}, fixed(math.Sin)},
	{"Cos", []int{7, 22}, fixed(math.Cos)},
	{"Tan", []int{7, 22}, fixed(math.Tan)},
	{"Asin", []int{7, 22}, fixed(math.Asin)},
	{"Acos", []int{7, 22}, fixed(math.Acos)},
	{"Atan", []int{7, 22}, fixed(math.Atan)},
	{"Sinh", []int{9, 22}, fixed(math.Sinh)},
	{"Cosh", []int{9, 22}, fixed(math.Cosh)},
	{"Asinh", []int{9, 22}, fixed(math.Asinh)},
	{"Acosh", []int{9, 22}, fixed(math.Acosh)},
	{"Atanh", []int{9, 22}, fixed(math.Atanh)},
	{"Erf", []int{9, 13}, withLoop(math.Erf, kernels.ErfSlice)},
	{"Sigmoid", []int{1, 6, 13}, readSigmoid},
	{"Tanh", []int{1, 6, 13}, withLoop(math.Tanh, kernels.TanhSlice)},
	{"Softplus", []int{1, 22}, withLoop(softplus, softplusLoop)},
	{"Softsign", []int{1, 22}, withLoop(func(x float64) float64 { return x / (1 + math.Abs(x)) }, softsignLoop)},
	{"Mish", []int{18, 22}, withLoop(func(x float64) float64 { return x * math.Tanh(softplus(x)) }, kernels.MishSlice)},
	{"HardSwish", []int{14, 22}, readHardSwish},
	{"LeakyRelu", []int{1, 6, 16}, readLeakyRelu},
	{"Elu", []int{1, 6, 22}, readElu},
	{"Celu", []int{12}, readCelu},
	{"Selu", []int{1, 6, 22}, readSelu},
	{"ThresholdedRelu", []int{10, 22}, readThresholdedRelu},
	{"HardSigmoid", []int{1, 6, 22}, readHardSigmoid},
	{"Swish", []int{24}, readSwish},
	{"Gelu", []int{20}, readGelu},
}

func init() {
	for _, r := range pointwiseRules {
		Register("", r.op, buildPointwise(r.read), r.since...)
	}
	Register("", "Affine", buildPointwise(readAffine), 1)
	Register("", "ParametricSoftplus", buildPointwise(readParametricSoftplus), 1)
	Register("", "ScaledTanh", buildPointwise(readScaledTanh), 1)
	Register("com.microsoft", "Gelu", buildPointwise(fixedGelu), 1)
	Register("com.microsoft", "QuickGelu", buildPointwise(readQuickGelu), 1)
}

func buildPointwise(read func(*Node) pointwise) Builder {
	return func(n *Node) (Kernel, error) {
		if err := n.CheckInputs(1, 1); err != nil {
			return nil, err
		}
		ignoreMemoryHint(n)
		p := read(n)
		return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			return oneOutput(p.apply(c, in[0]))
		}), nil
	}
}

// apply computes the function of every element of a float32 or float64 tensor.
func (p pointwise) apply(c *Context, x *value.Tensor) (*value.Tensor, error) {
	if x.Type != onnxio.Float && x.Type != onnxio.Double {
		return nil, fmt.Errorf("it has no meaning for %v", x)
	}
	out, err := c.New(x.Type, x.Shape...)
	if err != nil {
		return nil, err
	}
	grain := p.cost
	if grain == 0 {
		grain = functionGrain
	}
	switch src := x.Data.(type) {
	case []float32:
		loop := p.loop
		if loop == nil {
			loop = loopOf[float32](p.f)
		}
		dst := out.Data.([]float32)
		c.Pool.Do(len(dst), grain, func(lo, hi int) { loop(dst[lo:hi], src[lo:hi]) })
	case []float64:
		loop, dst := loopOf[float64](p.f), out.Data.([]float64)
		c.Pool.Do(len(dst), grain, func(lo, hi int) { loop(dst[lo:hi], src[lo:hi]) })
	}
	return out, nil
}

func loopOf[T kernels.Float](f func(float64) float64) func(dst, x []T) {
	return func(dst, x []T) {
		for i, v := range x {
			dst[i] = T(f(float64(v)))
		}
	}
}

func sqrtLoop(dst, x []float32) {
	for i, v := range x {
		dst[i] = float32(math.Sqrt(float64(v)))
	}
}

func reciprocalLoop(dst, x []float32) {
	for i, v := range x {
		dst[i] = 1 / v
	}
}

func softsignLoop(dst, x []float32) {
	for i, v := range x {
		if v < 0 {
			dst[i] = v / (1 - v)
		} else {
			dst[i] = v / (1 + v)
		}
	}
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// softplus is log(1 + exp(x)) without overflow.
func softplus(x float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func softplusLoop(dst, x []float32) {
	for i, v := range x {
		dst[i] = -float32(math.Abs(float64(v)))
	}
	kernels.ExpSlice(dst, dst)
	for i, v := range x {
		e := float64(dst[i])
		if e > 1e-8 { // below, log(1+e) is e
			e = math.Log(1 + e)
		}
		dst[i] = float32(float64(max(v, 0)) + e)
	}
}

// inPlace runs an activation of package kernels, which replaces its argument.
func inPlace(a kernels.Activation) func(dst, x []float32) {
	return func(dst, x []float32) {
		copy(dst, x)
		a.Apply(dst)
	}
}

func readHardSwish(*Node) pointwise {
	return pointwise{
		f:    func(x float64) float64 { return x * clampFloat(x/6+0.5, 0, 1) },
		loop: inPlace(kernels.Activation{Kind: kernels.HardSwish}), cost: elementGrain,
	}
}

// clampFloat keeps NaN.
func clampFloat(x, lo, hi float64) float64 { return math.Min(math.Max(x, lo), hi) }

func readLeakyRelu(n *Node) pointwise {
	alpha := n.Float("alpha", 0.01)
	return pointwise{
		f: func(x float64) float64 {
			if x < 0 {
				return float64(alpha) * x
			}
			return x
		},
		loop: inPlace(kernels.Activation{Kind: kernels.LeakyRelu, Alpha: alpha}), cost: elementGrain,
	}
}

func readElu(n *Node) pointwise {
	alpha := float64(n.Float("alpha", 1))
	return pointwise{f: func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x)
		}
		return x
	}}
}

func readCelu(n *Node) pointwise {
	alpha := float64(n.Float("alpha", 1))
	return pointwise{f: func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x/alpha)
		}
		return x
	}}
}

func readSelu(n *Node) pointwise {
	alpha, gamma := n.Float("alpha", 1.67326319217681884765625), n.Float("gamma", 1.05070102214813232421875)
	if n.Since < 6 {
		alpha, gamma = n.Float("alpha", 1.6732), n.Float("gamma", 1.0507)
	}
	return pointwise{f: func(x float64) float64 {
		if x <= 0 {
			return float64(gamma) * float64(alpha) * math.Expm1(x)
		}
		return float64(gamma) * x
	}}
}

func readThresholdedRelu(n *Node) pointwise {
	alpha := float64(n.Float("alpha", 1))
	return pointwise{f: func(x float64) float64 {
		if x > alpha {
			return x
		}
		return 0
	}}
}

func readHardSigmoid(n *Node) pointwise {
	alpha, beta := n.Float("alpha", 0.2), n.Float("beta", 0.5)
	return pointwise{
		f:    func(x float64) float64 { return clampFloat(float64(alpha)*x+float64(beta), 0, 1) },
		loop: inPlace(kernels.Activation{Kind: kernels.HardSigmoid, Alpha: alpha, Beta: beta}), cost: elementGrain,
	}
}

// readSigmoid reads Sigmoid. ONNX Runtime's approximation, which gives its bits, is off by up to 1.5e-7 however small the result is:
// where outputs are small probabilities, two models that are equal but for the order of sums would seem to differ.
func readSigmoid(n *Node) pointwise { return pointwise{f: sigmoid, loop: gate(n)} }

// gate is the loop of the logistic function.
func gate(n *Node) func(dst, x []float32) {
	if n.Exact {
		return kernels.SigmoidSlice
	}
	return kernels.LogisticSlice
}

func readSwish(n *Node) pointwise { return scaledSwish(n, n.Float("alpha", 1)) }

// readQuickGelu reads com.microsoft.QuickGelu: x * sigmoid(alpha*x).
func readQuickGelu(n *Node) pointwise { return scaledSwish(n, n.Float("alpha", 1.702)) }

func scaledSwish(n *Node, alpha float32) pointwise {
	p := pointwise{f: func(x float64) float64 { return x * sigmoid(float64(alpha)*x) }}
	gate := gate(n)
	switch {
	case alpha != 1:
		p.loop = func(dst, x []float32) {
			kernels.MulScalar(dst, x, alpha)
			gate(dst, dst)
			kernels.Mul(dst, dst, x)
		}
	case n.Exact:
		p.loop = kernels.ExactSiLUSlice
	default:
		p.loop = kernels.SiLUSlice
	}
	return p
}

func readGelu(n *Node) pointwise {
	if n.OneOf("approximate", "none", "tanh") == "tanh" {
		return pointwise{f: geluTanh, loop: geluTanhLoop}
	}
	return fixedGelu(n)
}

func fixedGelu(*Node) pointwise {
	return pointwise{
		f:    func(x float64) float64 { return 0.5 * x * (1 + math.Erf(x/math.Sqrt2)) },
		loop: inPlace(kernels.Activation{Kind: kernels.Gelu}),
	}
}

// geluTanh is Gelu's approximation by tanh, of Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).
func geluTanh(x float64) float64 {
	return 0.5 * x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x)))
}

func geluTanhLoop(dst, x []float32) {
	for i, v := range x {
		dst[i] = float32(math.Sqrt(2/math.Pi)) * (v + 0.044715*v*v*v)
	}
	kernels.TanhSlice(dst, dst)
	for i, v := range x {
		dst[i] = 0.5 * v * (1 + dst[i])
	}
}

// readAffine reads the experimental Affine of opset 1: alpha*x + beta.
func readAffine(n *Node) pointwise {
	alpha, beta := float64(n.Float("alpha", 1)), float64(n.Float("beta", 0))
	return pointwise{f: func(x float64) float64 { return alpha*x + beta }}
}

// readParametricSoftplus reads the experimental operator of opset 1: alpha * log(1 + exp(beta*x)).
func readParametricSoftplus(n *Node) pointwise {
	alpha, beta := float64(n.Float("alpha", 0)), float64(n.Float("beta", 0))
	return pointwise{f: func(x float64) float64 { return alpha * softplus(beta*x) }}
}

// readScaledTanh reads the experimental operator of opset 1: alpha * tanh(beta*x).
func readScaledTanh(n *Node) pointwise {
	alpha, beta := float64(n.Float("alpha", 0)), float64(n.Float("beta", 0))
	return pointwise{f: func(x float64) float64 { return alpha * math.Tanh(beta*x) }}
}
