package ops

// Gemm: alpha * op(A) * op(B) + beta * C for matrices. C is broadcast to the result; before opset 7 only where the
// attribute broadcast asked for it. Constant weights are packed once.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "Gemm", buildGemm, 1, 6, 7, 9, 11, 13)
	Register("com.microsoft", "FusedGemm", buildFusedGemm, 1)
}

// gemmNode is what a node says of its product.
type gemmNode struct {
	transA, transB bool
	alpha, beta    float32
	exactC         bool             // C must have the result's shape
	packed         *kernels.PackedB // B; nil where it is not constant, or not packed yet
	act            kernels.Activation
}

func buildGemm(n *Node) (Kernel, error) {
	g, err := readGemm(n)
	if err != nil {
		return nil, err
	}
	return packing{viaFloat32(g.run), g.pack}, nil
}

func readGemm(n *Node) (*gemmNode, error) {
	least := 3
	if n.Since >= 11 || n.Domain != "" {
		least = 2
	}
	g := &gemmNode{
		transA: n.Bool("transA", false), transB: n.Bool("transB", false),
		alpha: n.Float("alpha", 1), beta: n.Float("beta", 1),
	}
	if n.Domain == "" && n.Since < 7 {
		g.exactC = !n.Bool("broadcast", false)
	}
	return g, n.CheckInputs(least, 3)
}

func (g *gemmNode) pack(p *Packing, in []*value.Tensor) []int {
	if g.packed = packWeight(p, in[1], g.transB); g.packed == nil {
		return nil
	}
	return []int{1}
}

// buildFusedGemm makes com.microsoft.FusedGemm: Gemm followed by an activation.
func buildFusedGemm(n *Node) (Kernel, error) {
	g, err := readGemm(n)
	if err != nil {
		return nil, err
	}
	alpha, beta := n.Float("activation_alpha", 0), n.Float("activation_beta", 0)
	kinds := map[string]kernels.ActivationKind{
		"": kernels.NoActivation, "Relu": kernels.Relu, "LeakyRelu": kernels.LeakyRelu, "Sigmoid": kernels.Sigmoid,
		"Tanh": kernels.Tanh, "HardSigmoid": kernels.HardSigmoid,
	}
	name := n.Text("activation", "")
	kind, ok := kinds[name]
	if !ok {
		return nil, fmt.Errorf("attribute activation is %q, which is not known", name)
	}
	g.act = kernels.Activation{Kind: kind, Alpha: alpha, Beta: beta, Exact: n.Exact}
	return packing{viaFloat32(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if in[0].Type != onnxio.Float {
			return nil, fmt.Errorf("it has no meaning for %v", in[0])
		}
		return g.run(c, in)
	}), g.pack}, nil
}

func (g *gemmNode) run(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
	a, b := in[0], in[1]
	var bias *value.Tensor
	if len(in) > 2 {
		bias = in[2]
	}
	if len(a.Shape) != 2 || len(b.Shape) != 2 || a.Type != b.Type || bias != nil && bias.Type != a.Type {
		return nil, fmt.Errorf("inputs %v, want matrices of one element type", in)
	}
	m, k, n := a.Shape[0], a.Shape[1], b.Shape[1]
	if g.transA {
		m, k = k, m
	}
	deep := b.Shape[0]
	if g.transB {
		deep, n = n, deep
	}
	if deep != k {
		return nil, fmt.Errorf("shapes %v and %v (transA %v, transB %v) cannot be multiplied", a.Shape, b.Shape, g.transA, g.transB)
	}
	out, err := c.New(a.Type, m, n)
	if err != nil {
		return nil, err
	}
	if bias != nil {
		full, err := broadcastShape(out.Shape, bias.Shape)
		if err != nil || !slices.Equal(full, out.Shape) || g.exactC && !slices.Equal(bias.Shape, out.Shape) {
			return nil, fmt.Errorf("input C of shape %v does not broadcast to %v", bias.Shape, out.Shape)
		}
	}
	switch d := out.Data.(type) {
	case []float32:
		g.multiply32(c, d, a, b, bias, m, n, k)
	case []float64:
		beta := spreadBias(c, d, out.Shape, bias, float64(g.beta))
		kernels.Gemm64(c.Pool, g.transA, g.transB, m, n, k, float64(g.alpha), a.Data.([]float64), a.Shape[1],
			b.Data.([]float64), b.Shape[1], beta, d, n)
	default:
		return g.runInts(c, a, b, bias)
	}
	return []*value.Tensor{out}, nil
}

// multiply32 adds a C of one row as a bias of the columns while the product is still in cache; any other C is spread over
// the result before.
func (g *gemmNode) multiply32(c *Context, dst []float32, a, b, bias *value.Tensor, m, n, k int) {
	x := a.Data.([]float32)
	if g.packed == nil {
		beta := spreadBias(c, dst, []int{m, n}, bias, g.beta)
		kernels.Gemm(c.Pool, g.transA, g.transB, m, n, k, g.alpha, x, a.Shape[1], b.Data.([]float32), b.Shape[1], beta, dst, n)
		g.act.Apply(dst)
		return
	}
	var columns []float32
	beta := float32(0)
	switch {
	case bias == nil || g.beta == 0:
	case len(bias.Shape) > 0 && bias.Len() == n && bias.Shape[len(bias.Shape)-1] == n:
		columns = bias.Data.([]float32)
		if g.beta != 1 {
			columns = make([]float32, n)
			kernels.MulScalar(columns, bias.Data.([]float32), g.beta)
		}
	default:
		beta = spreadBias(c, dst, []int{m, n}, bias, g.beta)
	}
	kernels.GemmPackedB(c.Pool, g.transA, m, g.alpha, x, a.Shape[1], g.packed, beta, dst, n, columns, g.act)
}

// spreadBias broadcasts C into the result, and returns the factor with which the product has to take it: zero for
// no C.
func spreadBias[T any, F kernels.Float](c *Context, dst []T, shape []int, bias *value.Tensor, beta F) F {
	if bias == nil || beta == 0 {
		return 0
	}
	w := broadcastTo(shape, bias.Shape)
	x := bias.Data.([]T)
	c.Pool.Do(w.size, elementGrain, func(lo, hi int) {
		from := newOperand(w, 0, x)
		w.runs(lo, hi, func(at, n int) { copy(dst[at:at+n], from.piece(at, n)) })
	})
	return beta
}

// runInts multiplies integers exactly where alpha and beta are one, and refuses other factors.
func (g *gemmNode) runInts(c *Context, a, b, bias *value.Tensor) ([]*value.Tensor, error) {
	if g.alpha != 1 || g.beta != 1 && bias != nil {
		return nil, fmt.Errorf("attributes alpha %v and beta %v: for integers only 1 is known", g.alpha, g.beta)
	}
	a, err := turned(c, a, g.transA, false)
	if err != nil {
		return nil, err
	}
	if b, err = turned(c, b, g.transB, false); err != nil {
		return nil, err
	}
	out, err := matMul(c, a, b, nil)
	if err != nil || bias == nil {
		return oneOutput(out, err)
	}
	return oneOutput(numbers.apply(c, "Add", out, bias))
}
