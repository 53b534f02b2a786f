package kernels

// Functions of whole rows: softmax and layer normalization over the last axis.
// Sums run in float64, in index order, so that long rows lose nothing.

import "math"

// Softmax sets each of the rows of y, cols long, to exp(x-max) / sum. y may be x.
func Softmax(p *Pool, x []float32, rows, cols int, y []float32) {
	if rows <= 0 || cols <= 0 {
		return
	}
	p.Do(rows, grainFor(cols), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			softmaxRow(y[r*cols:(r+1)*cols], x[r*cols:(r+1)*cols])
		}
	})
}

func softmaxRow(y, x []float32) {
	top := maxOf(x)
	if math.IsInf(float64(top), -1) {
		top = 0 // a row of -Inf gives 0/0, as the definition does
	}
	AddScalar(y, x, -top)
	ExpSlice(y, y)
	MulScalar(y, y, float32(1/Sum(y)))
}

// LogSoftmax sets each row of y to x - max - log(sum(exp(x-max))). y may be x.
func LogSoftmax(p *Pool, x []float32, rows, cols int, y []float32) {
	if rows <= 0 || cols <= 0 {
		return
	}
	p.Do(rows, grainFor(cols), func(lo, hi int) {
		for r := lo; r < hi; r++ {
			in, out := x[r*cols:(r+1)*cols], y[r*cols:(r+1)*cols]
			top := maxOf(in)
			var sum float64
			for _, v := range in {
				sum += math.Exp(float64(v - top))
			}
			shift := float64(top) + math.Log(sum)
			for i, v := range in {
				out[i] = float32(float64(v) - shift)
			}
		}
	})
}

func maxOf(x []float32) float32 {
	top := x[0]
	for _, v := range x[1:] {
		if v > top {
			top = v
		}
	}
	return top
}

// LayerNormRow normalizes one row to mean 0 and variance 1 (population
// variance, epsilon added to it), then applies scale and bias, each as long as
// the row or nil. It returns the mean and 1/sqrt(variance+epsilon). y may be x.
func LayerNormRow[T Float](y, x, scale, bias []T, epsilon float64) (mean, invStdDev float64) {
	if len(x) == 0 {
		return 0, 0
	}
	mean = Sum(x) / float64(len(x))
	var squares float64
	for _, v := range x {
		d := float64(v) - mean
		squares += d * d
	}
	invStdDev = 1 / math.Sqrt(squares/float64(len(x))+epsilon)
	for i, v := range x {
		n := (float64(v) - mean) * invStdDev
		if scale != nil {
			n *= float64(scale[i])
		}
		if bias != nil {
			n += float64(bias[i])
		}
		y[i] = T(n)
	}
	return mean, invStdDev
}

// grainFor is how many items of the given cost (in simple operations) are worth
// handing to another thread: about 10 microseconds of work.
func grainFor(cost int) int {
	return max(1, 16384/max(cost, 1))
}
