package ops

// MatMulNBits of ONNX Runtime: a product with weights of 2, 4 or 8 bits, a scale and a zero point per block of a row.
// The weights are widened to float32, once where they are constant.

import (
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func init() { Register("com.microsoft", "MatMulNBits", buildMatMulNBits, 1) }

// blockedWeights are n rows of k weights.
type blockedWeights struct{ k, n, bits, block int }

func buildMatMulNBits(n *Node) (Kernel, error) {
	w := &blockedWeights{k: int(n.Int("K", 0)), n: int(n.Int("N", 0)), bits: int(n.Int("bits", 4)), block: int(n.Int("block_size", 0))}
	n.Ignore("accuracy_level") // how it may be computed
	if w.k < 1 || w.n < 1 || w.block < 1 || !slices.Contains([]int{2, 4, 8}, w.bits) {
		return nil, fmt.Errorf("attributes K, N, bits and block_size are %d, %d, %d and %d", w.k, w.n, w.bits, w.block)
	}
	if n.HasInput(4) {
		return nil, fmt.Errorf("an order of groups (input g_idx) is not known")
	}
	if n.Int("weight_prepacked", 0) != 0 {
		return nil, fmt.Errorf("weights packed for a device are not known")
	}
	var packed *kernels.PackedB
	if n.Constant(1) != nil && n.Constant(2) != nil && (!n.HasInput(3) || n.Constant(3) != nil) {
		var err error
		if packed, err = w.pack([]*value.Tensor{nil, n.Constant(1), n.Constant(2), n.Constant(3)}); err != nil {
			return nil, err
		}
	}
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		b := packed
		if b == nil {
			var err error
			if b, err = w.pack(in); err != nil {
				return nil, err
			}
		}
		return oneOutput(w.multiply(c, in, b))
	}), n.CheckInputs(3, 6)
}

func (w *blockedWeights) multiply(c *Context, in []*value.Tensor, b *kernels.PackedB) (*value.Tensor, error) {
	a := in[0]
	last := len(a.Shape) - 1
	if last < 0 || a.Shape[last] != w.k {
		return nil, fmt.Errorf("input of shape %v for rows of %d weights", a.Shape, w.k)
	}
	x, err := floatElements[float32](a)
	if err != nil {
		return nil, err
	}
	bias, err := optionalFloats[float32](in, 5)
	if err != nil {
		return nil, err
	}
	if bias != nil && len(bias) != w.n {
		return nil, fmt.Errorf("bias of shape %v for %d rows of weights", in[5].Shape, w.n)
	}
	y, err := newFloatOutput[float32](c, a.Type, append(slices.Clone(a.Shape[:last]), w.n)...)
	if err != nil {
		return nil, err
	}
	kernels.GemmPackedB(c.Pool, false, product(a.Shape[:last]), 1, x, w.k, b, 0, y.data, w.n, bias, kernels.Activation{})
	return y.done(), nil
}

// pack widens the weights: inputs 1 to 3 are weights, scales and zero points.
func (w *blockedWeights) pack(in []*value.Tensor) (*kernels.PackedB, error) {
	blocks := (w.k + w.block - 1) / w.block
	rowBytes := blocks * ((w.block*w.bits + 7) / 8)
	raw, ok := in[1].Data.([]uint8)
	if !ok || len(raw) != w.n*rowBytes {
		return nil, fmt.Errorf("weights are %v, want %d bytes", in[1], w.n*rowBytes)
	}
	scales, err := floatElements[float32](in[2])
	if err != nil {
		return nil, fmt.Errorf("scales: %w", err)
	}
	if len(scales) != w.n*blocks {
		return nil, fmt.Errorf("scales are %v, want %d", in[2], w.n*blocks)
	}
	zero, err := w.zeros(in, blocks)
	if err != nil {
		return nil, err
	}
	wide := make([]float32, w.n*w.k)
	perByte := 8 / w.bits
	for row := range w.n {
		for i := range w.k {
			q := raw[row*rowBytes+i/perByte] >> (i % perByte * w.bits) & (1<<w.bits - 1)
			wide[row*w.k+i] = (float32(q) - zero(row, i/w.block)) * scales[row*blocks+i/w.block]
		}
	}
	return kernels.PackB(true, w.k, w.n, wide, w.k), nil
}

// zeros returns the zero point of a row's block: packed like weights, or of a float type, or half of the range.
func (w *blockedWeights) zeros(in []*value.Tensor, blocks int) (func(row, block int) float32, error) {
	if len(in) < 4 || in[3] == nil {
		middle := float32(int(1) << (w.bits - 1))
		return func(int, int) float32 { return middle }, nil
	}
	if in[3].Type != onnxio.Uint8 {
		z, err := floatElements[float32](in[3])
		if err != nil || len(z) != w.n*blocks {
			return nil, fmt.Errorf("zero points are %v, want %d", in[3], w.n*blocks)
		}
		return func(row, block int) float32 { return z[row*blocks+block] }, nil
	}
	z := value.Of[uint8](in[3])
	rowBytes, perByte := (blocks*w.bits+7)/8, 8/w.bits
	if len(z) != w.n*rowBytes {
		return nil, fmt.Errorf("zero points are %v, want %d bytes", in[3], w.n*rowBytes)
	}
	return func(row, block int) float32 {
		return float32(z[row*rowBytes+block/perByte] >> (block % perByte * w.bits) & (1<<w.bits - 1))
	}, nil
}
