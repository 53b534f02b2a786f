package ops

// Operators on matrices that are no products: determinant, triangles and diagonals.

import (
	"fmt"
	"math"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Det", buildDet, 11, 22)
	Register("", "Trilu", buildTrilu, 14)
	Register("", "EyeLike", buildEyeLike, 9, 22)
}

func buildDet(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		rank := len(x.Shape)
		if rank < 2 || x.Shape[rank-1] != x.Shape[rank-2] {
			return nil, fmt.Errorf("%v holds no square matrices", x)
		}
		out, err := c.New(x.Type, x.Shape[:rank-2]...)
		if err != nil {
			return nil, err
		}
		size := x.Shape[rank-1]
		switch d := x.Data.(type) {
		case []float32:
			eachDeterminant(c, out, d, size)
		case []float64:
			eachDeterminant(c, out, d, size)
		default:
			return nil, fmt.Errorf("it has no meaning for %v", x)
		}
		return []*value.Tensor{out}, nil
	}), nil
}

func eachDeterminant[T kernels.Float](c *Context, out *value.Tensor, x []T, size int) {
	dst := out.Data.([]T)
	c.Pool.Do(len(dst), max(1, elementGrain/max(1, size*size*size)), func(lo, hi int) {
		m := make([]float64, size*size)
		for i := lo; i < hi; i++ {
			for j, v := range x[i*size*size : (i+1)*size*size] {
				m[j] = float64(v)
			}
			dst[i] = T(determinant(m, size))
		}
	})
}

// determinant eliminates with the largest pivot of each column. It overwrites m.
func determinant(m []float64, n int) float64 {
	det := 1.0
	for k := range n {
		pivot := k
		for i := k + 1; i < n; i++ {
			if math.Abs(m[i*n+k]) > math.Abs(m[pivot*n+k]) {
				pivot = i
			}
		}
		if pivot != k {
			for j := range n {
				m[k*n+j], m[pivot*n+j] = m[pivot*n+j], m[k*n+j]
			}
			det = -det
		}
		det *= m[k*n+k]
		if m[k*n+k] == 0 {
			return det
		}
		for i := k + 1; i < n; i++ {
			f := m[i*n+k] / m[k*n+k]
			for j := k; j < n; j++ {
				m[i*n+j] -= f * m[k*n+j]
			}
		}
	}
	return det
}

// buildTrilu keeps the upper or lower triangle of the last two axes, from the k-th diagonal on.
func buildTrilu(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 2); err != nil {
		return nil, err
	}
	upper := n.Bool("upper", true)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x, k := in[0], 0
		rank := len(x.Shape)
		if rank < 2 {
			return nil, fmt.Errorf("%v holds no matrices", x)
		}
		if len(in) > 1 && in[1] != nil {
			var err error
			if k, err = oneInt(in[1], "the diagonal"); err != nil {
				return nil, err
			}
		}
		out, err := c.New(x.Type, x.Shape...)
		if err != nil {
			return nil, err
		}
		rows, cols := x.Shape[rank-2], x.Shape[rank-1]
		to, from := moverOf(out), moverOf(x)
		for i := range value.Count(x.Shape[:rank-1]) {
			diagonal := min(max(k, -rows-1), cols) + i%rows
			lo, hi := max(diagonal, 0), cols
			if !upper {
				lo, hi = 0, min(diagonal+1, cols)
			}
			if lo < hi {
				to.box(nil, []int{hi - lo}, i*cols+lo, []int{1}, from, i*cols+lo, []int{1})
			}
		}
		return []*value.Tensor{out}, nil
	}), nil
}

// buildEyeLike makes a matrix of zeros, with ones along the k-th diagonal, in the input's shape.
func buildEyeLike(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	dtype, k := onnxio.DataType(n.Int("dtype", 0)), int(n.Int("k", 0))
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x := in[0]
		if len(x.Shape) != 2 {
			return nil, fmt.Errorf("%v is no matrix", x)
		}
		typ := dtype
		if typ == onnxio.Undefined {
			typ = x.Type
		}
		out, err := c.New(typ, x.Shape...)
		if err != nil {
			return nil, err
		}
		one, err := castTensor(c, value.Scalar(float32(1)), typ, castOptions{})
		if err != nil {
			return nil, err
		}
		rows, cols := x.Shape[0], x.Shape[1]
		diagonal := min(max(k, -rows), cols)
		row, col := max(0, -diagonal), max(0, diagonal)
		if length := min(rows-row, cols-col); length > 0 {
			moverOf(out).box(nil, []int{length}, row*cols+col, []int{cols + 1}, moverOf(one), 0, []int{0})
		}
		return []*value.Tensor{out}, nil
	}), nil
}
