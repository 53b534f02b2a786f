package kernels

// Reductions. Sums run in float64, in an order that depends on the tier and the
// length alone.

import (
	"math"
	"sync"
)

// Sum is the sum of x.
func Sum[T Float](x []T) float64 {
	var sum float64
	if f, ok := any(x).([]float32); ok {
		var done int
		sum, done = vectors().sumOf(f)
		x = x[done:]
	}
	for _, v := range x {
		sum += float64(v)
	}
	return sum
}

// SumOfSquares is the sum of (x[i]-mean)^2.
func SumOfSquares[T Float](x []T, mean float64) float64 {
	var sum float64
	if f, ok := any(x).([]float32); ok {
		var done int
		sum, done = vectors().squaresOf(f, mean)
		x = x[done:]
	}
	for _, v := range x {
		d := float64(v) - mean
		sum += d * d
	}
	return sum
}

// Dot is the sum of a[i]*b[i].
func Dot[T Float](a, b []T) float64 {
	b = b[:len(a)]
	var sum float64
	for i, v := range a {
		sum += float64(v) * float64(b[i])
	}
	return sum
}

// MaxOf is the largest element but for NaN; -Inf if there is none.
func MaxOf(x []float32) float32 {
	top := float32(math.Inf(-1))
	if m := vectors(); m != nil && len(x) >= m.lanes {
		lanes := tails.Get().(*[16]float32)
		for i := range lanes {
			lanes[i] = top
		}
		whole := len(x) / m.lanes
		m.maximum(&lanes[0], &x[0], whole)
		for _, v := range lanes[:m.lanes] {
			top = max(top, v)
		}
		tails.Put(lanes)
		x = x[whole*m.lanes:]
	}
	for _, v := range x {
		if v > top {
			top = v
		}
	}
	return top
}

// sumOf adds the whole blocks of x and returns how many elements these were.
func (m *vectorMaths) sumOf(x []float32) (sum float64, done int) {
	if m == nil || len(x) < 2*m.lanes {
		return 0, 0
	}
	lanes := partialSums.Get().(*[8]float64)
	blocks := len(x) / (2 * m.lanes)
	m.sum(&lanes[0], &x[0], blocks)
	return m.sumOfLanes(lanes), blocks * 2 * m.lanes
}

// squaresOf is sumOf for the squares of x less mean.
func (m *vectorMaths) squaresOf(x []float32, mean float64) (sum float64, done int) {
	if m == nil || len(x) < 2*m.lanes {
		return 0, 0
	}
	lanes := partialSums.Get().(*[8]float64)
	blocks := len(x) / (2 * m.lanes)
	m.squares(&lanes[0], &x[0], blocks, mean)
	return m.sumOfLanes(lanes), blocks * 2 * m.lanes
}

var partialSums = sync.Pool{New: func() any { return new([8]float64) }}

// sumOfLanes adds the partial sums and gives their buffer back.
func (m *vectorMaths) sumOfLanes(lanes *[8]float64) (sum float64) {
	for _, v := range lanes[:m.lanes/2] {
		sum += v
	}
	partialSums.Put(lanes)
	return sum
}
