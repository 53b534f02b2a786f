package kernels

// Functions of whole rows: softmax and layer normalization over the last axis.
// Sums run in float64, so that long rows lose nothing; softmax.go has the exception.

import "math"

// finite replaces -Inf, the maximum of a row that holds nothing else: 0/0 then
// gives NaN as the definition does.
func finite(top float32) float32 {
	if math.IsInf(float64(top), -1) {
		return 0
	}
	return top
}

// LogSoftmax sets each row of y to x - max - log(sum(exp(x-max))). y may be x.
func LogSoftmax(p *Pool, x []float32, rows, cols int, y []float32) {
	if rows <= 0 || cols <= 0 {
		return
	}
	p.Do(rows, grainFor(cols), func(lo, hi int) {
		buffer := borrow(cols)
		defer giveBack(buffer)
		for r := lo; r < hi; r++ {
			out := y[r*cols : (r+1)*cols]
			in := x[r*cols : (r+1)*cols]
			AddScalar(out, in, -finite(MaxOf(in)))
			ExpSlice(*buffer, out)
			AddScalar(out, out, float32(-math.Log(Sum(*buffer))))
		}
	})
}

// LayerNormRow normalizes one row to mean 0 and variance 1 (population
// variance, epsilon added to it), then applies scale and bias, each as long as
// the row or nil. It returns the mean and 1/sqrt(variance+epsilon). y may be x.
func LayerNormRow[T Float](y, x, scale, bias []T, epsilon float64) (mean, invStdDev float64) {
	if len(x) == 0 {
		return 0, 0
	}
	mean = Sum(x) / float64(len(x))
	invStdDev = 1 / math.Sqrt(SumOfSquares(x, mean)/float64(len(x))+epsilon)
	ScaleShift(y, x, T(invStdDev), T(-mean*invStdDev))
	if scale != nil {
		Mul(y, y, scale)
	}
	if bias != nil {
		Add(y, y, bias)
	}
	return mean, invStdDev
}

// grainFor is how many items of the given cost (in simple operations) are worth
// handing to another thread: about 10 microseconds of work.
func grainFor(cost int) int {
	return max(1, 16384/max(cost, 1))
}
