package ops

// Matrix products of 8-bit integers: MatMulInteger, QLinearMatMul, and ONNX Runtime's QGemm, DynamicQuantizeMatMul and
// MatMulIntegerToFloat. The product is exact, in 32-bit integers; what follows it differs.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "MatMulInteger", buildMatMulInteger, 10)
	Register("", "QLinearMatMul", buildQLinearMatMul, 10, 21)
	Register("com.microsoft", "QGemm", buildQGemm, 1)
	Register("com.microsoft", "DynamicQuantizeMatMul", buildDynamicQuantizeMatMul, 1)
	Register("com.microsoft", "MatMulIntegerToFloat", buildMatMulIntegerToFloat, 1)
}

// signedBytes returns 8-bit integers as int8: unsigned ones are shifted by 128, which cancels out where their zero point
// is shifted too. Products of any two kinds need one kernel then.
func signedBytes(t *value.Tensor) ([]int8, error) {
	switch t.Type {
	case onnxio.Int8:
		return value.Of[int8](t), nil
	case onnxio.Uint8:
		d := value.Of[uint8](t)
		out := make([]int8, len(d))
		for i, v := range d {
			out[i] = int8(v ^ 0x80)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%v is not of 8-bit integers", t)
}

// signedZeros is signedBytes for the zero point of a tensor: 0 where it is absent.
func signedZeros(in []*value.Tensor, i int, of *value.Tensor) ([]int8, error) {
	if i >= len(in) || in[i] == nil {
		if of.Type == onnxio.Uint8 {
			return []int8{-128}, nil
		}
		return []int8{0}, nil
	}
	if in[i].Type != of.Type {
		return nil, fmt.Errorf("zero point %v for %v", in[i], of)
	}
	return signedBytes(in[i])
}

// byteProduct is a batch of products of 8-bit matrices.
type byteProduct struct {
	a, b           []int8
	zeroA, zeroB   []int8 // one, or one per row of A and column of B (of the whole batch if they have axes for it)
	batch          []int  // shape of the leading axes
	shape          []int  // of the result
	m, n, k        int
	stepsA, stepsB []int // matrices to go per step of each batch axis
	manyA, manyB   bool  // zero points per row of every matrix
}

// newByteProduct checks A [.. m k] and B [.. k n] and their zero points.
func newByteProduct(a, b *value.Tensor, in []*value.Tensor, zeroA, zeroB int) (*byteProduct, error) {
	p := &byteProduct{}
	var err error
	if p.a, err = signedBytes(a); err != nil {
		return nil, err
	}
	if p.b, err = signedBytes(b); err != nil {
		return nil, err
	}
	if p.zeroA, err = signedZeros(in, zeroA, a); err != nil {
		return nil, err
	}
	if p.zeroB, err = signedZeros(in, zeroB, b); err != nil {
		return nil, err
	}
	if err := p.layOut(a.Shape, b.Shape); err != nil {
		return nil, err
	}
	p.manyA, p.manyB = len(p.zeroA) > p.m && len(p.zeroA) != 1, len(p.zeroB) > p.n && len(p.zeroB) != 1
	if n := len(p.zeroA); n != 1 && n != p.m && n*p.k != len(p.a) {
		return nil, fmt.Errorf("%d zero points for a matrix of shape %v", n, a.Shape)
	}
	if n := len(p.zeroB); n != 1 && n != p.n && n*p.k != len(p.b) {
		return nil, fmt.Errorf("%d zero points for a matrix of shape %v", n, b.Shape)
	}
	return p, nil
}

// layOut broadcasts the batch axes as MatMul does; vectors are matrices of one row or column.
func (p *byteProduct) layOut(a, b []int) error {
	mismatch := fmt.Errorf("matrices of shape %v and %v do not fit", a, b)
	if len(a) == 0 || len(b) == 0 {
		return mismatch
	}
	vectorA, vectorB := len(a) == 1, len(b) == 1
	if vectorA {
		a = []int{1, a[0]}
	}
	if vectorB {
		b = []int{b[0], 1}
	}
	la, lb := len(a)-2, len(b)-2
	p.m, p.k, p.n = a[la], a[la+1], b[lb+1]
	if b[lb] != p.k {
		return mismatch
	}
	rank := max(la, lb)
	batchA := append(slices.Repeat([]int{1}, rank-la), a[:la]...)
	batchB := append(slices.Repeat([]int{1}, rank-lb), b[:lb]...)
	p.stepsA, p.stepsB, p.batch = make([]int, rank), make([]int, rank), make([]int, rank)
	stepA, stepB := 1, 1
	for d := rank - 1; d >= 0; d-- {
		switch {
		case batchA[d] == batchB[d], batchB[d] == 1:
			p.batch[d] = batchA[d]
		case batchA[d] == 1:
			p.batch[d] = batchB[d]
		default:
			return mismatch
		}
		if batchA[d] != 1 {
			p.stepsA[d] = stepA
		}
		if batchB[d] != 1 {
			p.stepsB[d] = stepB
		}
		stepA, stepB = stepA*batchA[d], stepB*batchB[d]
	}
	p.shape = slices.Clone(p.batch)
	if !vectorA {
		p.shape = append(p.shape, p.m)
	}
	if !vectorB {
		p.shape = append(p.shape, p.n)
	}
	return nil
}

// fewRows is below which a product is not worth widening its right factor.
const fewRows = 8

// rowZeros returns A's zero points, one per row of the whole batch, or one for all.
func (p *byteProduct) rowZeros() []int8 {
	if len(p.zeroA) == 1 || p.manyA {
		return p.zeroA
	}
	return slices.Repeat(p.zeroA, len(p.a)/(p.m*p.k))
}

// plainB is B without its zero points.
func (p *byteProduct) plainB() []float32 {
	if !p.manyB {
		return zerosTaken(p.b, p.n, p.zeroB, true)
	}
	var out []float32
	for i := 0; i*p.k*p.n < len(p.b); i++ {
		out = append(out, zerosTaken(p.b[i*p.k*p.n:(i+1)*p.k*p.n], p.n, p.zeroB[i*p.n:(i+1)*p.n], true)...)
	}
	return out
}

// run computes the products into dst.
func (p *byteProduct) run(c *Context, dst []int32) {
	at := make([]int, len(p.batch))
	var plainA, plainB []float32
	if p.m >= fewRows && len(p.a) > 0 && len(p.b) > 0 {
		plainA, plainB = zerosTaken(p.a, p.k, p.rowZeros(), false), p.plainB()
	}
	for i := range product(p.batch) {
		unravelIndex(i, p.batch, at)
		ia, ib := 0, 0
		for d, v := range at {
			ia, ib = ia+v*p.stepsA[d], ib+v*p.stepsB[d]
		}
		if plainA != nil {
			exactProduct(c.Pool, p.m, p.n, p.k, plainA[ia*p.m*p.k:], p.k, plainB[ib*p.k*p.n:], p.n, dst[i*p.m*p.n:], p.n)
			continue
		}
		za, zb := p.zeroA, p.zeroB
		if p.manyA {
			za = za[ia*p.m : (ia+1)*p.m]
		}
		if p.manyB {
			zb = zb[ib*p.n : (ib+1)*p.n]
		}
		kernels.GemmInt32(c.Pool, p.m, p.n, p.k, p.a[ia*p.m*p.k:], p.k, za, p.b[ib*p.k*p.n:], p.n, zb, dst[i*p.m*p.n:], p.n)
	}
}

func buildMatMulInteger(n *Node) (Kernel, error) {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		p, err := newByteProduct(in[0], in[1], in, 2, 3)
		if err != nil {
			return nil, err
		}
		y, err := c.New(onnxio.Int32, p.shape...)
		if err != nil {
			return nil, err
		}
		p.run(c, value.Of[int32](y))
		return []*value.Tensor{y}, nil
	}), n.CheckInputs(2, 4)
}

// spreadScale returns a function from row and column to a scale, which is one for all, one per row, or one per column.
func spreadScale(t *value.Tensor, m, n int, perRow bool) (func(i, j int) float32, error) {
	v, err := scaleElements(t)
	if err != nil {
		return nil, err
	}
	switch {
	case len(v) == 1:
		return func(int, int) float32 { return v[0] }, nil
	case perRow && len(v) == m:
		return func(i, _ int) float32 { return v[i] }, nil
	case !perRow && len(v) == n:
		return func(_, j int) float32 { return v[j] }, nil
	}
	return nil, fmt.Errorf("scale of shape %v for a product of %d rows and %d columns", t.Shape, m, n)
}

func buildQLinearMatMul(n *Node) (Kernel, error) {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		p, err := newByteProduct(in[0], in[3], in, 2, 5)
		if err != nil {
			return nil, err
		}
		scaleA, err := spreadScale(in[1], p.m, p.n, true)
		if err != nil {
			return nil, err
		}
		scaleB, err := spreadScale(in[4], p.m, p.n, false)
		if err != nil {
			return nil, err
		}
		scaleY, err := spreadScale(in[6], p.m, p.n, true)
		if err != nil {
			return nil, err
		}
		sums := make([]int32, product(p.shape))
		p.run(c, sums)
		return oneOutput(requantized(c, sums, p.shape, in[7], p.n, func(row, column int) float32 {
			i := row % max(p.m, 1)
			return scaleA(i, column) * scaleB(i, column) / scaleY(i, column)
		}))
	}), n.CheckInputs(8, 8)
}

// requantized turns sums into 8-bit integers of the type of the zero point; scale is what a unit of a sum, by row and
// column, is worth in units of the result.
func requantized(c *Context, sums []int32, shape []int, zero *value.Tensor, columns int, scale func(row, column int) float32) (*value.Tensor, error) {
	zeros, ok := zero.Ints()
	if !ok || len(zeros) != 1 && columns*len(zeros) != len(sums) {
		return nil, fmt.Errorf("zero point of the output is %v", zero)
	}
	y, err := c.New(zero.Type, shape...)
	if err != nil {
		return nil, err
	}
	one := func(i int, least, most int32) int32 {
		row := i / columns
		z := zeros[0]
		if len(zeros) > 1 {
			z = zeros[row]
		}
		return saturate(float32(sums[i])*scale(row, i%columns), int32(z), least, most)
	}
	switch d := y.Data.(type) {
	case []uint8:
		c.Pool.Do(len(d), granuleGrain, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				d[i] = uint8(one(i, 0, 255))
			}
		})
	case []int8:
		c.Pool.Do(len(d), granuleGrain, func(lo, hi int) {
			for i := lo; i < hi; i++ {
				d[i] = int8(one(i, -128, 127))
			}
		})
	default:
		return nil, fmt.Errorf("zero point of the output is %v", zero)
	}
	return y, nil
}

// buildQGemm reads A, scale, zero, B, scale, zero, C (int32), and optionally scale and zero of Y: without these, Y is float32.
func buildQGemm(n *Node) (Kernel, error) {
	transA, transB, alpha := n.Bool("transA", false), n.Bool("transB", false), n.Float("alpha", 1)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		a, b := in[0], in[3]
		if len(a.Shape) != 2 || len(b.Shape) != 2 {
			return nil, fmt.Errorf("matrices of shape %v and %v do not fit", a.Shape, b.Shape)
		}
		a, b = transposedBytes(a, transA), transposedBytes(b, transB)
		p, err := newByteProduct(a, b, in, 2, 5)
		if err != nil {
			return nil, err
		}
		sums := make([]int32, product(p.shape))
		p.run(c, sums)
		if err := addInt32Bias(sums, p, in, 6); err != nil {
			return nil, err
		}
		scaleA, err := spreadScale(in[1], p.m, p.n, true)
		if err != nil {
			return nil, err
		}
		scaleB, err := spreadScale(in[4], p.m, p.n, false)
		if err != nil {
			return nil, err
		}
		if len(in) > 8 && in[7] != nil && in[8] != nil {
			scaleY, err := spreadScale(in[7], p.m, p.n, true)
			if err != nil {
				return nil, err
			}
			return oneOutput(requantized(c, sums, p.shape, in[8], p.n, func(i, j int) float32 {
				return alpha * scaleA(i, j) * scaleB(i, j) / scaleY(i, j)
			}))
		}
		return oneOutput(scaledSums(c, sums, p, nil, func(i, j int) float32 { return alpha * scaleA(i, j) * scaleB(i, j) }))
	}), n.CheckInputs(6, 9)
}

func transposedBytes(t *value.Tensor, flip bool) *value.Tensor {
	if !flip {
		return t
	}
	out := value.New(t.Type, t.Shape[1], t.Shape[0])
	perm := []int{1, 0}
	switch d := t.Data.(type) {
	case []int8:
		_ = kernels.Transpose(nil, value.Of[int8](out), d, t.Shape, perm)
	case []uint8:
		_ = kernels.Transpose(nil, value.Of[uint8](out), d, t.Shape, perm)
	}
	return out
}

// addInt32Bias adds C, which is broadcast to the product.
func addInt32Bias(sums []int32, p *byteProduct, in []*value.Tensor, i int) error {
	if i >= len(in) || in[i] == nil {
		return nil
	}
	bias, ok := in[i].Data.([]int32)
	shape := in[i].Shape
	for len(shape) < 2 {
		shape = append([]int{1}, shape...)
	}
	if !ok || len(shape) != 2 || shape[0] != 1 && shape[0] != p.m || shape[1] != 1 && shape[1] != p.n {
		return fmt.Errorf("bias %v for a product of shape %v", in[i], p.shape)
	}
	for j := range sums {
		sums[j] += bias[j/p.n%shape[0]*shape[1]+j%p.n%shape[1]]
	}
	return nil
}

// scaledSums turns sums into float32 and adds a bias, one number per column or none.
func scaledSums(c *Context, sums []int32, p *byteProduct, bias []float32, scale func(i, j int) float32) (*value.Tensor, error) {
	if bias != nil && len(bias) != p.n {
		return nil, fmt.Errorf("bias of %d numbers for a product of shape %v", len(bias), p.shape)
	}
	y, err := c.New(onnxio.Float, p.shape...)
	if err != nil {
		return nil, err
	}
	for i, d := 0, value.Of[float32](y); i < len(d); i++ {
		row, column := i/p.n%p.m, i%p.n
		d[i] = float32(sums[i]) * scale(row, column)
		if bias != nil {
			d[i] += bias[column]
		}
	}
	return y, nil
}

// buildDynamicQuantizeMatMul reads A (float32), B, B's scale, zero and a bias; A is quantized on the way.
func buildDynamicQuantizeMatMul(n *Node) (Kernel, error) {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		x, err := floatElements[float32](in[0])
		if err != nil {
			return nil, err
		}
		scale, zero := dynamicRange(x)
		a := value.New(onnxio.Uint8, in[0].Shape...)
		quantizeBytes(c, value.Of[uint8](a), x, scale, int32(zero))
		zeros := []*value.Tensor{value.Scalar(zero), nil} // of A and of B
		if len(in) > 3 {
			zeros[1] = in[3]
		}
		p, err := newByteProduct(a, in[1], zeros, 0, 1)
		if err != nil {
			return nil, err
		}
		return oneOutput(p.toFloat(c, value.Scalar(scale), in[2], in, 4))
	}), n.CheckInputs(3, 5)
}

// buildMatMulIntegerToFloat reads A, B, their scales, their zero points and a bias.
func buildMatMulIntegerToFloat(n *Node) (Kernel, error) {
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		p, err := newByteProduct(in[0], in[1], in, 4, 5)
		if err != nil {
			return nil, err
		}
		return oneOutput(p.toFloat(c, in[2], in[3], in, 6))
	}), n.CheckInputs(4, 7)
}

// toFloat multiplies and applies scales and the bias, input i.
func (p *byteProduct) toFloat(c *Context, scaleA, scaleB *value.Tensor, in []*value.Tensor, i int) (*value.Tensor, error) {
	sa, err := spreadScale(scaleA, p.m, p.n, true)
	if err != nil {
		return nil, err
	}
	sb, err := spreadScale(scaleB, p.m, p.n, false)
	if err != nil {
		return nil, err
	}
	bias, err := optionalFloats[float32](in, i)
	if err != nil {
		return nil, err
	}
	sums := make([]int32, product(p.shape))
	p.run(c, sums)
	return scaledSums(c, sums, p, bias, func(i, j int) float32 { return sa(i, j) * sb(i, j) })
}
