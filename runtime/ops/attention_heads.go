package ops

// The arithmetic of attention (Vaswani et al. 2017), shared by the operators that attend: heads laid out in
// memory in different ways, products of a head's matrices, and softmax over rows of scores.

import (
	"fmt"
	"math"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// heads is queries, keys or values: a matrix of length x size for every head of every batch entry, whose elements lie
// apart by the given steps.
type heads[T kernels.Float] struct {
	data                        []T
	batch, count, length, size  int
	batchStep, headStep, rowGap int
}

// readHeads takes a tensor of batch x heads x length x size, or of batch x length x heads*size.
func readHeads[T kernels.Float](t *value.Tensor, count int) (heads[T], error) {
	d, err := floatElements[T](t)
	if err != nil {
		return heads[T]{}, err
	}
	s := t.Shape
	switch {
	case len(s) == 4:
		return heads[T]{data: d, batch: s[0], count: s[1], length: s[2], size: s[3], batchStep: s[1] * s[2] * s[3],
			headStep: s[2] * s[3], rowGap: s[3]}, nil
	case len(s) == 3 && count > 0 && s[2]%count == 0:
		size := s[2] / count
		return heads[T]{data: d, batch: s[0], count: count, length: s[1], size: size, batchStep: s[1] * s[2],
			headStep: size, rowGap: s[2]}, nil
	}
	return heads[T]{}, fmt.Errorf("input of shape %v cannot be cut into %d heads", s, count)
}

// head is the memory of one head, from its first element on.
func (h *heads[T]) head(b, i int) []T {
	at := b*h.batchStep + i*h.headStep
	if at >= len(h.data) {
		return nil
	}
	return h.data[at:]
}

// join returns past and these heads one after the other along the length, as batch x heads x length x size.
func (h *heads[T]) join(c *Context, past *value.Tensor, like *value.Tensor) (*value.Tensor, heads[T], error) {
	before := heads[T]{batch: h.batch, count: h.count, size: h.size}
	if past != nil {
		var err error
		if before, err = readHeads[T](past, 0); err != nil {
			return nil, before, err
		}
		if before.batch != h.batch || before.count != h.count || before.size != h.size {
			return nil, before, fmt.Errorf("past of shape %v does not go before heads of %v", past.Shape, like.Shape)
		}
	}
	out, err := newFloatOutput[T](c, like.Type, h.batch, h.count, before.length+h.length, h.size)
	if err != nil {
		return nil, before, err
	}
	to := 0
	for b := range h.batch {
		for i := range h.count {
			for _, from := range []*heads[T]{&before, h} {
				src := from.head(b, i)
				for row := range from.length {
					copy(out.data[to:to+h.size], src[row*from.rowGap:])
					to += h.size
				}
			}
		}
	}
	length := before.length + h.length
	joined := heads[T]{data: out.data, batch: h.batch, count: h.count, length: length, size: h.size,
		batchStep: h.count * length * h.size, headStep: length * h.size, rowGap: h.size}
	return out.done(), joined, nil
}

// matrixProduct sets y = alpha * a * b for one thread, b transposed if asked.
func matrixProduct[T kernels.Float](transB bool, m, n, k int, alpha float64, a []T, lda int, b []T, ldb int, y []T, ldy int) {
	if m == 0 || n == 0 {
		return
	}
	switch a := any(a).(type) {
	case []float32:
		kernels.Gemm(nil, false, transB, m, n, k, float32(alpha), a, lda, any(b).([]float32), ldb, 0, any(y).([]float32), ldy)
	case []float64:
		kernels.Gemm64(nil, false, transB, m, n, k, alpha, a, lda, any(b).([]float64), ldb, 0, any(y).([]float64), ldy)
	}
}

// softmaxRows replaces rows by their softmax.
func softmaxRows[T kernels.Float](x []T, rows, cols int) {
	if x32, ok := any(x).([]float32); ok {
		kernels.Softmax(nil, x32, rows, cols, x32)
		return
	}
	for r := range rows {
		row := x[r*cols : (r+1)*cols]
		top := math.Inf(-1)
		for _, v := range row {
			top = max(top, float64(v))
		}
		var sum float64
		for i, v := range row {
			row[i] = T(math.Exp(float64(v) - top))
			sum += float64(row[i])
		}
		for i := range row {
			row[i] /= T(sum)
		}
	}
}

// softcap sets x = cap*tanh(x/cap).
func softcap[T kernels.Float](x []T, cap float64) {
	for i, v := range x {
		x[i] = T(cap * math.Tanh(float64(v)/cap))
	}
}
