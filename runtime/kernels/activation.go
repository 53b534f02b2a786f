package kernels

// Activations are applied in the epilogue of a convolution or a matrix product,
// while the tile just computed is still in cache. NaN stays NaN.

// ActivationKind names a function of one number.
type ActivationKind uint8

// The activations, with their formulas and what Alpha and Beta mean.
const (
	NoActivation ActivationKind = iota // x
	Relu                               // max(x, 0)
	LeakyRelu                          // x < 0 ? Alpha*x : x
	Clip                               // min(max(x, Alpha), Beta)
	Sigmoid                            // 1 / (1 + exp(-x)) as LogisticSlice
	SiLU                               // x * Sigmoid(x)
	HardSwish                          // x * min(max(x/6 + 1/2, 0), 1)
	HardSigmoid                        // min(max(Alpha*x + Beta, 0), 1)
	Tanh                               // tanh(x)
	Mish                               // x * tanh(log(1 + exp(x)))
	Gelu                               // x * (1 + erf(x/sqrt(2))) / 2
)

// Activation is a function of one number with its parameters. The zero value
// leaves its argument as it is.
type Activation struct {
	Kind        ActivationKind
	Alpha, Beta float32
	Exact       bool // Sigmoid and SiLU with small results as accurate as large ones
}

// Apply replaces each element of x by its activation.
func (a Activation) Apply(x []float32) {
	switch a.Kind {
	case NoActivation:
	case Relu:
		ReluSlice(x, x)
	case LeakyRelu:
		LeakyReluSlice(x, x, a.Alpha)
	case Clip:
		ClipSlice(x, x, a.Alpha, a.Beta)
	case Sigmoid:
		if a.Exact {
			SigmoidSlice(x, x)
		} else {
			LogisticSlice(x, x)
		}
	case SiLU:
		if a.Exact {
			ExactSiLUSlice(x, x)
		} else {
			SiLUSlice(x, x)
		}
	case HardSwish:
		HardSwishSlice(x, x)
	case HardSigmoid:
		HardSigmoidSlice(x, x, a.Alpha, a.Beta)
	case Tanh:
		TanhSlice(x, x)
	case Mish:
		MishSlice(x, x)
	case Gelu:
		GeluSlice(x, x)
	}
}

// clamp keeps NaN, which the built-in min and max do as well but more slowly.
func clamp(v, lo, hi float32) float32 {
	if v < lo {
		return lo
	}
	if v > hi {
		return hi
	}
	return v
}
