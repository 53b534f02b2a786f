package ops

// Matrix products of any rank: the last two axes are matrices, those before them are broadcast. A right factor that is
// one matrix makes the whole left factor one tall matrix; if it is a weight, it is packed once.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "MatMul", buildMatMul, 1, 9, 13)
	Register("com.microsoft", "FusedMatMul", buildFusedMatMul, 1)
	Register("com.microsoft", "TransposeMatMul", buildFusedMatMul, 1)
}

func buildMatMul(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	var packed *kernels.PackedB
	run := viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		return oneOutput(matMul(c, in[0], in[1], packed))
	})
	return packing{run, func(p *Packing, in []*value.Tensor) []int {
		if packed = packWeight(p, in[1], false); packed == nil {
			return nil
		}
		return []int{1}
	}}, nil
}

// matrixKey tells packed matrices apart.
type matrixKey struct {
	weights *value.Tensor
	trans   bool
}

// packWeight packs a constant matrix; nil where w is none, or not of float32.
func packWeight(p *Packing, w *value.Tensor, trans bool) *kernels.PackedB {
	if w == nil || len(w.Shape) != 2 || w.Type != onnxio.Float {
		return nil
	}
	k, n := w.Shape[0], w.Shape[1]
	if trans {
		k, n = n, k
	}
	packed, _ := packedOnce(p, matrixKey{w, trans}, func() (*kernels.PackedB, error) {
		return kernels.PackBOn(p.Pool, trans, k, n, value.Of[float32](w), w.Shape[1]), nil
	})
	return packed
}

// buildFusedMatMul makes alpha * op(A) * op(B), where op may swap the last two axes, or move the first axis behind the
// batch axes.
func buildFusedMatMul(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 2); err != nil {
		return nil, err
	}
	alpha := n.Float("alpha", 1)
	swap := [2]bool{n.Bool("transA", false), n.Bool("transB", false)}
	batch := [2]bool{n.Bool("transBatchA", false), n.Bool("transBatchB", false)}
	return viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		var factors [2]*value.Tensor
		for i, t := range in {
			var err error
			if factors[i], err = turned(c, t, swap[i], batch[i]); err != nil {
				return nil, err
			}
		}
		out, err := matMul(c, factors[0], factors[1], nil)
		if err != nil || alpha == 1 {
			return oneOutput(out, err)
		}
		switch d := out.Data.(type) {
		case []float32:
			kernels.MulScalar(d, d, alpha)
		case []float64:
			kernels.MulScalar(d, d, float64(alpha))
		default:
			return nil, fmt.Errorf("attribute alpha has no meaning for %v", out)
		}
		return []*value.Tensor{out}, nil
	}), nil
}

// turned moves the first axis behind the batch axes where batch is set, then swaps the last two where swap is. Vectors
// stay as they are.
func turned(c *Context, t *value.Tensor, swap, batch bool) (*value.Tensor, error) {
	rank := len(t.Shape)
	if rank < 2 || !swap && !batch {
		return t, nil
	}
	perm := make([]int, 0, rank)
	for d := range rank {
		perm = append(perm, d)
	}
	if batch {
		perm = append(append(perm[1:rank-1:rank-1], 0), rank-1)
	}
	if swap {
		perm[rank-1], perm[rank-2] = perm[rank-2], perm[rank-1]
	}
	return transposed(c, t, t.Shape, perm)
}

// matMul is NumPy's matmul. packed is b packed before, or nil.
func matMul(c *Context, a, b *value.Tensor, packed *kernels.PackedB) (*value.Tensor, error) {
	if a.Type != b.Type {
		return nil, fmt.Errorf("inputs %v and %v have different element types", a, b)
	}
	if len(a.Shape) == 0 || len(b.Shape) == 0 {
		return nil, fmt.Errorf("inputs %v and %v: a scalar is no matrix", a, b)
	}
	left, right := a.Shape, b.Shape
	if len(left) == 1 {
		left = []int{1, left[0]}
	}
	if len(right) == 1 {
		right = []int{right[0], 1}
	}
	p := batchedProduct{m: left[len(left)-2], k: left[len(left)-1], n: right[len(right)-1], packed: packed}
	batch, err := broadcastShape(left[:len(left)-2], right[:len(right)-2])
	if err != nil || right[len(right)-2] != p.k {
		return nil, fmt.Errorf("shapes %v and %v cannot be multiplied", a.Shape, b.Shape)
	}
	shape := slices.Clone(batch)
	if len(a.Shape) > 1 {
		shape = append(shape, p.m)
	}
	if len(b.Shape) > 1 {
		shape = append(shape, p.n)
	}
	out, err := c.New(a.Type, shape...)
	if err != nil {
		return nil, err
	}
	p.walk = broadcastTo(batch, left[:len(left)-2], right[:len(right)-2])
	if len(left) > 2 && value.Count(right[:len(right)-2]) == 1 { // one right factor
		p.m *= value.Count(batch)
		p.walk = broadcastTo(nil, nil, nil)
	}
	return out, p.run(c, out, a, b)
}

// batchedProduct is a batch of products of m x k by k x n. walk says which matrices meet.
type batchedProduct struct {
	m, k, n int
	walk    *broadcast
	packed  *kernels.PackedB
}

func (p batchedProduct) run(c *Context, out, a, b *value.Tensor) error {
	switch x := a.Data.(type) {
	case []float32:
		if p.packed != nil {
			kernels.GemmPackedB(c.Pool, false, p.m, 1, x, p.k, p.packed, 0, out.Data.([]float32), p.n, nil, kernels.Activation{})
			return nil
		}
		multiplyEach(c, p, out, x, b, p.gemm32)
		return nil
	case []float64:
		multiplyEach(c, p, out, x, b, func(pool *kernels.Pool, c, a, b []float64) {
			kernels.Gemm64(pool, false, false, p.m, p.n, p.k, 1, a, p.k, b, p.n, 0, c, p.n)
		})
		return nil
	}
	switch a.Type {
	case onnxio.Int8:
		multiplyEach(c, p, out, a.Data.([]int8), b, gemmInts[int8](p))
	case onnxio.Int16:
		multiplyEach(c, p, out, a.Data.([]int16), b, gemmInts[int16](p))
	case onnxio.Int32:
		multiplyEach(c, p, out, a.Data.([]int32), b, gemmInts[int32](p))
	case onnxio.Int64:
		multiplyEach(c, p, out, a.Data.([]int64), b, gemmInts[int64](p))
	case onnxio.Uint8:
		multiplyEach(c, p, out, a.Data.([]uint8), b, gemmInts[uint8](p))
	case onnxio.Uint16:
		multiplyEach(c, p, out, a.Data.([]uint16), b, gemmInts[uint16](p))
	case onnxio.Uint32:
		multiplyEach(c, p, out, a.Data.([]uint32), b, gemmInts[uint32](p))
	case onnxio.Uint64:
		multiplyEach(c, p, out, a.Data.([]uint64), b, gemmInts[uint64](p))
	default:
		return fmt.Errorf("it has no meaning for %v", a)
	}
	return nil
}

func (p batchedProduct) gemm32(pool *kernels.Pool, c, a, b []float32) {
	kernels.Gemm(pool, false, false, p.m, p.n, p.k, 1, a, p.k, b, p.n, 0, c, p.n)
}

// multiplyEach runs one product per element of the batch: many small ones side by side, few large ones one after the
// other with all threads.
func multiplyEach[T any](c *Context, p batchedProduct, out *value.Tensor, a []T, b *value.Tensor, gemm func(pool *kernels.Pool, c, a, b []T)) {
	dst, right := out.Data.([]T), b.Data.([]T)
	if len(dst) == 0 {
		return
	}
	one := func(pool *kernels.Pool, i int) {
		from, with := p.walk.place(0, i)*p.m*p.k, p.walk.place(1, i)*p.k*p.n
		gemm(pool, dst[i*p.m*p.n:(i+1)*p.m*p.n], a[from:from+p.m*p.k], right[with:with+p.k*p.n])
	}
	const largeProduct = 1 << 21 // multiplications
	if p.walk.size < 2*c.Pool.Threads() || p.m*p.n*p.k > largeProduct {
		for i := range p.walk.size {
			one(c.Pool, i)
		}
		return
	}
	c.Pool.Do(p.walk.size, max(1, elementGrain/max(1, p.m*p.n*p.k/8)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			one(c.Pool.Single(), i)
		}
	})
}

// gemmInts multiplies integers, which wrap around.
func gemmInts[T kernels.Integer](p batchedProduct) func(pool *kernels.Pool, c, a, b []T) {
	return func(pool *kernels.Pool, c, a, b []T) {
		pool.Do(p.m, max(1, elementGrain/max(1, p.n*p.k)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				row := c[i*p.n : (i+1)*p.n]
				clear(row)
				for q, scale := range a[i*p.k : (i+1)*p.k] {
					for j, v := range b[q*p.n : (q+1)*p.n] {
						row[j] += scale * v
					}
				}
			}
		})
	}
}
