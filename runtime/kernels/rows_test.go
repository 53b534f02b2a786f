package kernels

import (
	"math"
	"testing"
)

func TestSoftmaxRowsAddUpToOne(t *testing.T) {
	x := []float32{1, 2, 3, 1000, 1000, -1000, 0, 0, 0}
	e := func(v float64) float32 { return float32(v) }
	s := math.Exp(-2) + math.Exp(-1) + 1
	third := 1.0 / 3
	want := []float32{e(math.Exp(-2) / s), e(math.Exp(-1) / s), e(1 / s), 0.5, 0.5, 0, e(third), e(third), e(third)}
	inEveryTier(t, func(t *testing.T) {
		y := make([]float32, 9)
		Softmax(nil, x, 3, 3, y)
		closeTo(t, y, want, 1e-6)
		LogSoftmax(nil, x, 3, 3, y)
		for i := range y {
			y[i] = float32(math.Exp(float64(y[i])))
		}
		closeTo(t, y, want, 1e-6)
		Softmax(nil, nil, 0, 5, nil)
		Softmax(nil, nil, 5, 0, nil)
	})
}

func TestLayerNormRowByHand(t *testing.T) {
	// mean 2, variance 2/3: (x-2)/sqrt(2/3) is -1.2247, 0, 1.2247
	y := make([]float32, 3)
	mean, inv := LayerNormRow(y, []float32{1, 2, 3}, []float32{1, 2, 3}, []float32{0, 1, 2}, 0)
	closeTo(t, y, []float32{-1.2247449, 1, 5.6742346}, 1e-6)
	if mean != 2 || math.Abs(inv-1.224744871) > 1e-8 {
		t.Errorf("mean %v, 1/deviation %v", mean, inv)
	}
}
