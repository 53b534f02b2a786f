package ops

// Normalization of rows: LayerNormalization, RMSNormalization, and ONNX Runtime's versions of them, which may
// first add a residual (SkipLayerNormalization, SkipSimplifiedLayerNormalization) or are older than
// the standard's (LayerNormalization and SimplifiedLayerNormalization since version 1).

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "LayerNormalization", buildLayerNorm, 1, 17)
	Register("", "SimplifiedLayerNormalization", buildSimplifiedLayerNorm, 1)
	Register("", "RMSNormalization", buildRMSNorm, 23)
	Register("com.microsoft", "SkipLayerNormalization", buildSkipLayerNorm, 1)
	Register("com.microsoft", "SkipSimplifiedLayerNormalization", buildSkipSimplified, 1)
}

// rowNorm normalizes rows of everything from axis on.
type rowNorm struct {
	axis     int
	epsilon  float64
	centered bool            // take the mean away first
	stash    onnxio.DataType // type of the statistics
}

func buildLayerNorm(n *Node) (Kernel, error) {
	r, err := readRowNorm(n, true)
	if err != nil {
		return nil, err
	}
	return forOutputs(n, byFloat(rowNormKernel[float32](r), rowNormKernel[float64](r))), n.CheckInputs(2, 3)
}

func buildSimplifiedLayerNorm(n *Node) (Kernel, error) {
	r, err := readRowNorm(n, false)
	if err != nil {
		return nil, err
	}
	withoutMean := func(f TensorFunc) TensorFunc { // the second output is the inverse deviation
		return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
			out, err := f(c, in)
			if err != nil {
				return nil, err
			}
			return []*value.Tensor{out[0], out[2]}, nil
		}
	}
	return forOutputs(n, withoutMean(byFloat(rowNormKernel[float32](r), rowNormKernel[float64](r)))), n.CheckInputs(2, 2)
}

func buildRMSNorm(n *Node) (Kernel, error) {
	r, err := readRowNorm(n, false)
	if err != nil {
		return nil, err
	}
	return forOutputs(n, byFloat(rowNormKernel[float32](r), rowNormKernel[float64](r))), n.CheckInputs(2, 2)
}

func readRowNorm(n *Node, centered bool) (*rowNorm, error) {
	r := &rowNorm{axis: int(n.Int("axis", -1)), epsilon: float64(n.Float("epsilon", 1e-5)), centered: centered,
		stash: onnxio.DataType(n.Int("stash_type", int64(onnxio.Float)))}
	if !r.stash.IsFloat() {
		return nil, fmt.Errorf("attribute stash_type is %v", r.stash)
	}
	return r, nil
}

func rowNormKernel[T kernels.Float](r *rowNorm) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		axis := r.axis
		if axis < 0 {
			axis += len(x.Shape)
		}
		if axis < 0 || axis >= len(x.Shape) {
			return nil, fmt.Errorf("axis %d for an input of shape %v", r.axis, x.Shape)
		}
		xs, err := floatElements[T](x)
		if err != nil {
			return nil, err
		}
		scale, err := rowParameter[T](in, 1, x.Shape[axis:])
		if err != nil {
			return nil, err
		}
		bias, err := rowParameter[T](in, 2, x.Shape[axis:])
		if err != nil {
			return nil, err
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		reduced := slices.Concat(x.Shape[:axis], slices.Repeat([]int{1}, len(x.Shape)-axis))
		rows := newRowStatistics(product(reduced))
		normalizeRows(c, r, rows, product(x.Shape[axis:]), scale, bias, xs, y.data)
		return r.results(c, y.done(), rows, reduced)
	}
}

// rowParameter returns scale or bias with one element for each of a row, nil where absent. Shapes that broadcast
// to the row's are spread.
func rowParameter[T kernels.Float](in []*value.Tensor, i int, row []int) ([]T, error) {
	v, err := optionalFloats[T](in, i)
	if err != nil || v == nil || len(v) == product(row) {
		return v, err
	}
	shape := in[i].Shape
	for len(shape) > len(row) && shape[0] == 1 {
		shape = shape[1:]
	}
	if len(shape) > len(row) {
		return nil, fmt.Errorf("input %d of shape %v does not broadcast to %v", i, in[i].Shape, row)
	}
	shape = append(slices.Repeat([]int{1}, len(row)-len(shape)), shape...)
	for d := range row {
		if shape[d] != 1 && shape[d] != row[d] {
			return nil, fmt.Errorf("input %d of shape %v does not broadcast to %v", i, in[i].Shape, row)
		}
	}
	out, at := make([]T, product(row)), make([]int, len(row))
	for j := range out {
		unravelIndex(j, row, at)
		from := 0
		for d := range at {
			from = from*shape[d] + at[d]%shape[d]
		}
		out[j] = v[from]
	}
	return out, nil
}

// rowStatistics are the mean and the inverse standard deviation of every row.
type rowStatistics struct{ mean, inv []float64 }

func newRowStatistics(rows int) rowStatistics {
	return rowStatistics{make([]float64, rows), make([]float64, rows)}
}

func normalizeRows[T kernels.Float](c *Context, r *rowNorm, s rowStatistics, cols int, scale, bias, x, y []T) {
	c.Pool.Do(len(s.mean), max(1, 4096/max(1, cols)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			from, to := x[i*cols:(i+1)*cols], y[i*cols:(i+1)*cols]
			if r.centered {
				s.mean[i], s.inv[i] = kernels.LayerNormRow(to, from, scale, bias, r.epsilon)
			} else {
				s.inv[i] = rmsNormRow(to, from, scale, bias, r.epsilon)
			}
		}
	})
}

// rmsNormRow sets y = x/sqrt(mean(x^2)+epsilon)*scale + bias and returns the factor of x.
func rmsNormRow[T kernels.Float](y, x, scale, bias []T, epsilon float64) float64 {
	inv := 1 / math.Sqrt(kernels.Dot(x, x)/float64(max(1, len(x)))+epsilon)
	for i, v := range x {
		n := float64(v) * inv
		if scale != nil {
			n *= float64(scale[i])
		}
		if bias != nil {
			n += float64(bias[i])
		}
		y[i] = T(n)
	}
	return inv
}

// results puts the statistics behind the output.
func (r *rowNorm) results(c *Context, y *value.Tensor, s rowStatistics, shape []int) ([]*value.Tensor, error) {
	out := []*value.Tensor{y}
	for _, from := range [][]float64{s.mean, s.inv} {
		t, err := newFloatOutput[float64](c, r.stash, shape...)
		if err != nil {
			return nil, err
		}
		copy(t.data, from)
		out = append(out, t.done())
	}
	return out, nil
}

func buildSkipLayerNorm(n *Node) (Kernel, error) {
	r := &rowNorm{axis: -1, epsilon: float64(n.Float("epsilon", 1e-12)), centered: true, stash: onnxio.Float}
	// inputs: X, skip, gamma, beta, bias
	return forOutputs(n, byFloat(skipNormKernel[float32](r, 2, 3, 4), skipNormKernel[float64](r, 2, 3, 4))), n.CheckInputs(3, 5)
}

func buildSkipSimplified(n *Node) (Kernel, error) {
	r := &rowNorm{axis: -1, epsilon: float64(n.Float("epsilon", 1e-12)), stash: onnxio.Float}
	// inputs: X, skip, gamma, bias
	return forOutputs(n, byFloat(skipNormKernel[float32](r, 2, -1, 3), skipNormKernel[float64](r, 2, -1, 3))), n.CheckInputs(3, 4)
}

// skipNormKernel normalizes X + skip + bias; the sum is the fourth output.
func skipNormKernel[T kernels.Float](r *rowNorm, gamma, beta, bias int) TensorFunc {
	return func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if len(x.Shape) < 2 || len(in[1].Shape) < 2 {
			return nil, fmt.Errorf("inputs of shape %v and %v", x.Shape, in[1].Shape)
		}
		cols := x.Shape[len(x.Shape)-1]
		row := []int{cols}
		sum, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		if err := addRows(sum.data, x.Shape, in, []int{0, 1, bias}); err != nil {
			return nil, err
		}
		scale, err := rowParameter[T](in, gamma, row)
		if err != nil {
			return nil, err
		}
		var shift []T
		if beta >= 0 {
			if shift, err = rowParameter[T](in, beta, row); err != nil {
				return nil, err
			}
		}
		y, err := newFloatOutput[T](c, x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		reduced := append(slices.Clone(x.Shape[:len(x.Shape)-1]), 1)
		s := newRowStatistics(product(reduced))
		normalizeRows(c, r, s, cols, scale, shift, sum.data, y.data)
		out, err := r.results(c, y.done(), s, reduced)
		return append(out, sum.done()), err
	}
}

// addRows adds inputs that repeat themselves over the leading axes.
func addRows[T kernels.Float](sum []T, shape []int, in []*value.Tensor, which []int) error {
	for _, i := range which {
		v, err := optionalFloats[T](in, i)
		if err != nil {
			return err
		}
		if v == nil {
			continue
		}
		own := in[i].Shape
		for len(own) > 0 && own[0] == 1 {
			own = own[1:]
		}
		if len(own) > len(shape) || !slices.Equal(own, shape[len(shape)-len(own):]) {
			return fmt.Errorf("input %d of shape %v is added to an input of shape %v", i, in[i].Shape, shape)
		}
		for j := range sum {
			sum[j] += v[j%len(v)]
		}
	}
	return nil
}
