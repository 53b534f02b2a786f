// Recurrent operators and attention against ONNX Runtime.

package ops

import (
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func TestRecurrentOperatorsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var cases []oracleCase
	for range 300 {
		op := pick(r, "RNN", "GRU", "LSTM")
		gates := map[string]int{"RNN": 1, "GRU": 3, "LSTM": 4}[op]
		steps, batch, input, hidden := 1+r.IntN(5), 1+r.IntN(3), 1+r.IntN(5), 1+r.IntN(5)
		direction := pick(r, "forward", "reverse", "bidirectional")
		dirs := 1
		if direction == "bidirectional" {
			dirs = 2
		}
		typ := pick(r, onnxio.Float, onnxio.Float, onnxio.Double)
		small := func(shape ...int) *value.Tensor {
			w := randomTensor(r, onnxio.Float, shape...)
			for i := range w.Len() {
				value.Of[float32](w)[i] /= 3
			}
			out, err := castTensor(&Context{}, w, typ, castOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		c := oracleCase{op: op, opset: pick(r, 7, 14, 22), outputs: 2, constant: r.IntN(2) == 0,
			attrs: attributes(onnxio.NewString("direction", direction), onnxio.NewInt("hidden_size", int64(hidden)))}
		c.in = []*value.Tensor{small(steps, batch, input), small(dirs, gates*hidden, input), small(dirs, gates*hidden, hidden), nil, nil, nil}
		maybe := func(i int, make func() *value.Tensor) {
			if r.IntN(2) == 0 {
				c.in[i] = make()
			}
		}
		maybe(3, func() *value.Tensor { return small(dirs, 2*gates*hidden) })
		maybe(4, func() *value.Tensor {
			lens := value.New(onnxio.Int32, batch)
			for b := range batch {
				value.Of[int32](lens)[b] = int32(r.IntN(steps + 1))
			}
			return lens
		})
		maybe(5, func() *value.Tensor { return small(dirs, batch, hidden) })
		if r.IntN(3) == 0 {
			c.attrs = append(c.attrs, onnxio.NewFloat("clip", 0.4))
		}
		if r.IntN(3) == 0 {
			c.attrs = append(c.attrs, activationAttributes(r, dirs*map[string]int{"RNN": 1, "GRU": 2, "LSTM": 3}[op])...)
		}
		switch op {
		case "GRU":
			c.attrs = append(c.attrs, onnxio.NewInt("linear_before_reset", int64(r.IntN(2))))
		case "LSTM":
			c.outputs = 3
			c.in = append(c.in, nil, nil)
			maybe(6, func() *value.Tensor { return small(dirs, batch, hidden) })
			maybe(7, func() *value.Tensor { return small(dirs, 3*hidden) })
			if c.in[7] == nil && r.IntN(3) == 0 {
				c.attrs = append(c.attrs, onnxio.NewInt("input_forget", 1))
			}
		}
		cases = append(cases, c)
	}
	compareWithOracle(t, cases)
}

func activationAttributes(r *rand.Rand, n int) []*onnxio.Attribute {
	var names []string
	var alphas, betas []float32
	for range n {
		name := pick(r, "Tanh", "Sigmoid", "Relu", "HardSigmoid", "LeakyRelu", "ScaledTanh", "Elu", "Softsign", "Softplus", "ThresholdedRelu", "Affine")
		names = append(names, name)
		switch name {
		case "HardSigmoid", "ScaledTanh", "Affine":
			alphas, betas = append(alphas, 0.3), append(betas, 0.6)
		case "LeakyRelu", "Elu", "ThresholdedRelu":
			alphas = append(alphas, 0.4)
		}
	}
	return attributes(onnxio.NewStrings("activations", names...), onnxio.NewFloats("activation_alpha", alphas...), onnxio.NewFloats("activation_beta", betas...))
}

func TestAttentionAgreesWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	var cases []oracleCase
	for range 200 {
		const typ = onnxio.Float // in float16 ONNX Runtime rounds between the steps
		heads, group, batch := 1+r.IntN(2), 1+r.IntN(2), 1+r.IntN(2)
		queries, keys, size, vsize, past := 1+r.IntN(4), 1+r.IntN(4), 2*(1+r.IntN(3)), 1+r.IntN(4), 0
		c := oracleCase{op: "Attention", opset: pick(r, 23, 24), outputs: 1}
		if r.IntN(2) == 0 {
			c.in = []*value.Tensor{randomTensor(r, typ, batch, heads*group, queries, size), randomTensor(r, typ, batch, heads, keys, size), randomTensor(r, typ, batch, heads, keys, vsize)}
		} else {
			c.in = []*value.Tensor{randomTensor(r, typ, batch, queries, heads*group*size), randomTensor(r, typ, batch, keys, heads*size), randomTensor(r, typ, batch, keys, heads*vsize)}
			c.attrs = attributes(onnxio.NewInt("q_num_heads", int64(heads*group)), onnxio.NewInt("kv_num_heads", int64(heads)))
		}
		c.in = append(c.in, nil, nil, nil)
		if r.IntN(2) == 0 {
			past = 1 + r.IntN(3)
			c.in[4], c.in[5] = randomTensor(r, typ, batch, heads, past, size), randomTensor(r, typ, batch, heads, past, vsize)
			c.outputs = 3
		}
		switch r.IntN(4) {
		case 0:
			c.in[3] = randomTensor(r, typ, queries, past+keys)
		case 1:
			c.in[3] = randomTensor(r, typ, batch, 1, queries, past+keys)
		case 2:
			mask := randomTensor(r, onnxio.Bool, queries, past+keys)
			for q := range queries { // every query sees something
				value.Of[bool](mask)[q*(past+keys)] = true
			}
			c.in[3] = mask
		}
		causal := queries == keys && r.IntN(2) == 0 // else the documentation says from where to count, and ONNX Runtime does not
		if causal {
			c.attrs = append(c.attrs, onnxio.NewInt("is_causal", 1))
		}
		if r.IntN(3) == 0 {
			c.attrs = append(c.attrs, onnxio.NewFloat("softcap", 1.5))
		}
		if r.IntN(3) == 0 {
			c.attrs = append(c.attrs, onnxio.NewFloat("scale", 0.7))
		}
		if r.IntN(3) == 0 && c.outputs == 3 && !causal { // ONNX Runtime shows hidden scores as the lowest number, not as -Inf
			c.outputs = 4
			c.attrs = append(c.attrs, onnxio.NewInt("qk_matmul_output_mode", int64(r.IntN(4))))
		}
		cases = append(cases, c)
	}
	for range 20 {
		interleaved := onnxio.NewInt("interleaved", int64(r.IntN(2)))
		ids := value.From([]int64{3, 1, 4, 1, 5, 2}, 2, 3)
		cache := func() *value.Tensor { return randomTensor(r, onnxio.Float, 8, 2) }
		cases = append(cases,
			oracleCase{op: "RotaryEmbedding", opset: 23, attrs: attributes(interleaved), in: []*value.Tensor{randomTensor(r, onnxio.Float, 2, 2, 3, 4), cache(), cache(), ids}},
			oracleCase{op: "RotaryEmbedding", opset: 23, attrs: attributes(interleaved, onnxio.NewInt("num_heads", 2), onnxio.NewInt("rotary_embedding_dim", 4)),
				in: []*value.Tensor{randomTensor(r, onnxio.Float, 2, 3, 12), cache(), cache(), ids}},
			oracleCase{domain: "com.microsoft", op: "RotaryEmbedding", opset: 1, attrs: attributes(interleaved), in: []*value.Tensor{randomTensor(r, onnxio.Float, 2, 3, 8), ids, cache(), cache()}},
			oracleCase{domain: "com.microsoft", op: "RotaryEmbedding", opset: 1, attrs: attributes(interleaved), in: []*value.Tensor{randomTensor(r, onnxio.Float, 2, 2, 3, 4), value.From([]int64{2}, 1), cache(), cache()}})
	}
	compareWithOracle(t, cases)
}

func TestSignalOperatorsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var cases []oracleCase
	for n := 1; n < 20; n++ {
		const typ = onnxio.Double // in float32 ONNX Runtime sums up rounding errors
		x := randomTensor(r, typ, 2, n, 1+r.IntN(2))
		parts := int64(2 - x.Shape[2])
		cases = append(cases, oracleCase{op: "DFT", opset: 17, attrs: attributes(onnxio.NewInt("onesided", parts)), in: []*value.Tensor{x}},
			oracleCase{op: "DFT", opset: 17, attrs: attributes(onnxio.NewInt("inverse", 1)), in: []*value.Tensor{randomTensor(r, typ, 2, n, 2)}},
			oracleCase{op: "DFT", opset: 20, in: []*value.Tensor{randomTensor(r, typ, 2, 5, n, 2), value.Scalar[int64](int64(1 + r.IntN(12))), value.Scalar[int64](-2)}},
			oracleCase{op: "STFT", opset: 17, attrs: attributes(onnxio.NewInt("onesided", int64(r.IntN(2)))),
				in: []*value.Tensor{randomTensor(r, typ, 2, 20+n, 1), value.Scalar[int64](3), randomTensor(r, typ, n), value.Scalar[int64](int64(n))}})
		for _, op := range []string{"HannWindow", "HammingWindow", "BlackmanWindow"} {
			cases = append(cases, oracleCase{op: op, opset: 17, attrs: attributes(onnxio.NewInt("periodic", int64(r.IntN(2)))), in: []*value.Tensor{value.Scalar[int64](int64(n))}})
		}
	}
	compareWithOracle(t, cases)
}

func TestTransformerOperatorsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	const microsoft = "com.microsoft"
	f := func(shape ...int) *value.Tensor { return randomTensor(r, onnxio.Float, shape...) }
	d := func(shape ...int) *value.Tensor { return randomTensor(r, onnxio.Double, shape...) }
	var cases []oracleCase
	for range 40 {
		heads, batch, queries, keys, size := 1+r.IntN(3), 1+r.IntN(2), 1+r.IntN(4), 1+r.IntN(4), 4
		hidden := heads * size
		c := oracleCase{domain: microsoft, op: "MultiHeadAttention", opset: 1, attrs: attributes(onnxio.NewInt("num_heads", int64(heads))),
			in: []*value.Tensor{f(batch, queries, hidden), f(batch, keys, hidden), f(batch, keys, hidden), nil, nil, nil}}
		if r.IntN(2) == 0 {
			c.in[3] = f(3 * hidden)
		}
		if r.IntN(2) == 0 {
			c.in[5] = f(1, heads, queries, keys)
		}
		switch r.IntN(3) {
		case 0:
			lens := value.New(onnxio.Int32, batch)
			for b := range batch {
				value.Of[int32](lens)[b] = int32(1 + r.IntN(keys))
			}
			c.in[4] = lens
		case 1:
			flags := value.New(onnxio.Int32, batch, keys)
			for i := range batch * keys {
				value.Of[int32](flags)[i] = int32(r.IntN(2))
			}
			c.in[4] = flags
		}
		cases = append(cases, c)

		k, n, block, bits := 32+8*r.IntN(8), 1+r.IntN(7), 16<<r.IntN(2), pick(r, 4, 4, 8)
		blocks := (k + block - 1) / block
		in := []*value.Tensor{f(batch, queries, k), randomBytes(r, onnxio.Uint8, n, blocks, block*bits/8), randomScales(r, n*blocks)}
		if r.IntN(2) == 0 {
			in = append(in, randomBytes(r, onnxio.Uint8, n*((blocks*bits+7)/8)))
		}
		cases = append(cases, oracleCase{domain: microsoft, op: "MatMulNBits", opset: 1, constant: true, in: in,
			attrs: attributes(onnxio.NewInt("K", int64(k)), onnxio.NewInt("N", int64(n)), onnxio.NewInt("bits", int64(bits)), onnxio.NewInt("block_size", int64(block)))})

		ids := value.From([]int32{3, 1, 2, 0, 4, 2}, 2, 3)
		segments := value.From([]int32{0, 1, 1, 0, 0, 1}, 2, 3)
		mask := value.From([]int32{1, 1, 0, 1, 1, 1}, 2, 3)
		cases = append(cases, oracleCase{domain: microsoft, op: "EmbedLayerNormalization", opset: 1, outputs: 2,
			in: []*value.Tensor{ids, segments, f(5, 4), f(6, 4), f(2, 4), f(4), f(4), mask}})

		groups := 1 + r.IntN(2)
		cases = append(cases, oracleCase{op: "DeformConv", opset: pick(r, 19, 22), attrs: attributes(onnxio.NewInts("kernel_shape", 3, 2), onnxio.NewInts("pads", 1, 0, 1, 1),
			onnxio.NewInts("strides", 2, 1), onnxio.NewInt("group", int64(groups)), onnxio.NewInt("offset_group", 2)),
			in: []*value.Tensor{d(batch, 4, 7, 6), d(2*groups, 4/groups, 3, 2), d(batch, 2*12, 4, 6), d(2 * groups), d(batch, 12, 4, 6)}})
		cases = append(cases, oracleCase{domain: microsoft, op: "FusedConv", opset: 1, constant: true,
			attrs: attributes(onnxio.NewString("activation", "Clip"), onnxio.NewFloats("activation_params", -2, 3)), in: []*value.Tensor{f(1, 2, 5, 5), f(3, 2, 3, 3), f(3), f(1, 3, 3, 3)}},
			oracleCase{domain: microsoft, op: "FusedConv", opset: 1, constant: true,
				attrs: attributes(onnxio.NewString("activation", pick(r, "Relu", "Sigmoid", "Tanh"))), in: []*value.Tensor{f(1, 2, 5, 5), f(3, 2, 3, 3)}},
			oracleCase{domain: microsoft, op: "FusedConv", opset: 1, constant: true,
				attrs: attributes(onnxio.NewString("activation", "HardSigmoid"), onnxio.NewFloats("activation_params", 0.3, 0.4)), in: []*value.Tensor{f(1, 2, 5, 5), f(3, 2, 3, 3), f(3)}})
	}
	compareWithOracle(t, cases)
}
