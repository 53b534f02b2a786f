package ops

// The activations that RNN, GRU and LSTM may name. Those that have parameters take them from activation_alpha and
// activation_beta, each list in the order of the functions that need one.

import (
	"fmt"
	"math"
	"strings"

	"onnxprune/runtime/kernels"
)

// gateActivation is a function of one number with its parameters.
type gateActivation struct {
	of          func(x, alpha, beta float64) float64
	name        string
	alpha, beta float64
}

// gateFunctions are by lower-case name; has tells which parameters a function takes.
var gateFunctions = map[string]struct {
	of       func(x, alpha, beta float64) float64
	hasAlpha bool
	alpha    float64
	hasBeta  bool
	beta     float64
}{
	"relu":            {of: func(x, _, _ float64) float64 { return math.Max(x, 0) }},
	"tanh":            {of: func(x, _, _ float64) float64 { return math.Tanh(x) }},
	"sigmoid":         {of: func(x, _, _ float64) float64 { return 1 / (1 + math.Exp(-x)) }},
	"softsign":        {of: func(x, _, _ float64) float64 { return x / (1 + math.Abs(x)) }},
	"softplus":        {of: func(x, _, _ float64) float64 { return math.Max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }},
	"affine":          {of: func(x, a, b float64) float64 { return a*x + b }, hasAlpha: true, alpha: 1, hasBeta: true},
	"scaledtanh":      {of: func(x, a, b float64) float64 { return a * math.Tanh(b*x) }, hasAlpha: true, alpha: 1, hasBeta: true, beta: 1},
	"hardsigmoid":     {of: func(x, a, b float64) float64 { return math.Max(0, math.Min(1, a*x+b)) }, hasAlpha: true, alpha: 0.2, hasBeta: true, beta: 0.5},
	"leakyrelu":       {of: leaky, hasAlpha: true, alpha: 0.01},
	"thresholdedrelu": {of: thresholded, hasAlpha: true, alpha: 1},
	"elu":             {of: elu, hasAlpha: true, alpha: 1},
}

func leaky(x, alpha, _ float64) float64 {
	if x < 0 {
		return alpha * x
	}
	return x
}

func thresholded(x, alpha, _ float64) float64 {
	if x > alpha {
		return x
	}
	return 0
}

func elu(x, alpha, _ float64) float64 {
	if x < 0 {
		return alpha * math.Expm1(x)
	}
	return x
}

func readGateActivations(names []string, alphas, betas []float32) ([]gateActivation, error) {
	var out []gateActivation
	for _, name := range names {
		f, ok := gateFunctions[strings.ToLower(name)]
		if !ok {
			return nil, fmt.Errorf("attribute activations names %q, which is not known", name)
		}
		a := gateActivation{of: f.of, name: strings.ToLower(name), alpha: f.alpha, beta: f.beta}
		if f.hasAlpha && len(alphas) > 0 {
			a.alpha, alphas = float64(alphas[0]), alphas[1:]
		}
		if f.hasBeta && len(betas) > 0 {
			a.beta, betas = float64(betas[0]), betas[1:]
		}
		out = append(out, a)
	}
	return out, nil
}

// rowActivation returns the activation of a slice in place.
func rowActivation[T kernels.Float](a gateActivation) func(x []T) {
	fast := map[string]func(dst, x []float32){"tanh": kernels.TanhSlice, "sigmoid": kernels.SigmoidSlice}[a.name]
	return func(x []T) {
		if x32, ok := any(x).([]float32); ok && fast != nil {
			fast(x32, x32)
			return
		}
		for i, v := range x {
			x[i] = T(a.of(float64(v), a.alpha, a.beta))
		}
	}
}
