// Quantized operators against ONNX Runtime: results must be the same integers.

package ops

import (
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// randomBytes makes a tensor over the whole range of an 8-bit type.
func randomBytes(r *rand.Rand, typ onnxio.DataType, shape ...int) *value.Tensor {
	t := value.New(typ, shape...)
	switch d := t.Data.(type) {
	case []int8:
		for i := range d {
			d[i] = int8(r.IntN(256))
		}
	case []uint8:
		for i := range d {
			d[i] = uint8(r.IntN(256))
		}
	}
	return t
}

// randomScales makes positive scales.
func randomScales(r *rand.Rand, shape ...int) *value.Tensor {
	t := value.New(onnxio.Float, shape...)
	for i := range t.Len() {
		value.Of[float32](t)[i] = 0.01 + r.Float32()*0.1
	}
	return t
}

func TestQuantizedOperatorsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	var cases []oracleCase
	add := func(domain, op string, opset int, attrs []*onnxio.Attribute, in ...*value.Tensor) {
		cases = append(cases, oracleCase{domain: domain, op: op, opset: opset, attrs: attrs, in: in})
	}
	const microsoft = "com.microsoft"
	for range 100 {
		typ := pick(r, onnxio.Uint8, onnxio.Int8)
		wtyp := pick(r, typ, onnxio.Int8)
		scale := func() *value.Tensor { return randomScales(r) }
		zero := func() *value.Tensor { return randomBytes(r, typ) }
		m, k, n := 1+r.IntN(14), 1+r.IntN(pick(r, 9, 700)), 1+r.IntN(6)
		x := randomTensor(r, onnxio.Float, 2, 3, 5)
		for _, opset := range []int{10, 13, 19, 21} {
			add("", "QuantizeLinear", opset, nil, x, scale(), zero())
			add("", "DequantizeLinear", opset, nil, randomBytes(r, typ, 2, 3, 5), scale(), zero())
		}
		axis := attributes(onnxio.NewInt("axis", -2))
		add("", "QuantizeLinear", 13, axis, x, randomScales(r, 3), randomBytes(r, typ, 3))
		add("", "DequantizeLinear", 13, axis, randomBytes(r, typ, 2, 3, 5), randomScales(r, 3), randomBytes(r, typ, 3))
		blocks := attributes(onnxio.NewInt("axis", 1), onnxio.NewInt("block_size", 2))
		add("", "QuantizeLinear", 21, blocks, randomTensor(r, onnxio.Float, 2, 4, 5), randomScales(r, 2, 2, 5), randomBytes(r, typ, 2, 2, 5))
		add("", "DequantizeLinear", 21, blocks, randomBytes(r, typ, 2, 4, 5), randomScales(r, 2, 2, 5), randomBytes(r, typ, 2, 2, 5))
		half, err := castTensor(&Context{}, x, onnxio.Float16, castOptions{})
		if err != nil {
			t.Fatal(err)
		}
		halfScale, _ := castTensor(&Context{}, scale(), onnxio.Float16, castOptions{})
		add("", "QuantizeLinear", 19, nil, half, halfScale, zero())
		add("", "QuantizeLinear", 21, nil, half, halfScale, zero())

		a, b := randomBytes(r, typ, 2, m, k), randomBytes(r, wtyp, k, n)
		add("", "MatMulInteger", 10, nil, a, b, zero(), randomBytes(r, wtyp))
		add("", "MatMulInteger", 10, nil, a, b, nil, randomBytes(r, wtyp, n))
		add("", "QLinearMatMul", 10, nil, a, scale(), zero(), b, scale(), randomBytes(r, wtyp), randomScales(r), zero())
		add("", "QLinearMatMul", 10, nil, a, scale(), zero(), b, randomScales(r, n), randomBytes(r, wtyp, n), randomScales(r), zero())
		c := value.New(onnxio.Int32, n)
		for i := range n {
			value.Of[int32](c)[i] = int32(r.IntN(2000) - 1000)
		}
		flat := randomBytes(r, typ, m, k)
		add(microsoft, "QGemm", 1, attributes(onnxio.NewFloat("alpha", 0.5)), flat, scale(), zero(), b, scale(), randomBytes(r, wtyp), c, scale(), zero())
		add(microsoft, "QGemm", 1, attributes(onnxio.NewInt("transB", 1)), flat, scale(), zero(), randomBytes(r, wtyp, n, k), randomScales(r, n), randomBytes(r, wtyp, n), c)
		add(microsoft, "DynamicQuantizeMatMul", 1, nil, randomTensor(r, onnxio.Float, m, k), b, randomScales(r), randomBytes(r, wtyp), randomTensor(r, onnxio.Float, n))
		add(microsoft, "DynamicQuantizeMatMul", 1, nil, randomTensor(r, onnxio.Float, m, k), b, randomScales(r, n))
		add(microsoft, "MatMulIntegerToFloat", 1, nil, a, b, scale(), randomScales(r, n), zero(), randomBytes(r, wtyp, n), randomTensor(r, onnxio.Float, n))

		groups, depth := pick(r, 1, 2), pick(r, 2, 2, 90)
		kernel := upTo(r, 2, 1, 3)
		attrs := append(windowAttributes(r, kernel, true, "", "SAME_UPPER"), onnxio.NewInt("group", int64(groups)))
		fx, fw := randomBytes(r, typ, 2, depth*groups, 6, 7), randomBytes(r, wtyp, 2*groups, depth, int(kernel[0]), int(kernel[1]))
		bias := value.New(onnxio.Int32, 2*groups)
		for i := range 2 * groups {
			value.Of[int32](bias)[i] = int32(r.IntN(20000) - 10000)
		}
		cases = append(cases, oracleCase{op: "QLinearConv", opset: 10, attrs: attrs, constant: true,
			in: []*value.Tensor{fx, scale(), zero(), fw, scale(), randomBytes(r, wtyp), randomScales(r), zero(), bias}})
		if wtyp == onnxio.Int8 {
			cases = append(cases, oracleCase{op: "QLinearConv", opset: 10, attrs: attrs, constant: true,
				in: []*value.Tensor{fx, scale(), zero(), fw, randomScales(r, 2*groups), value.New(wtyp, 2*groups), randomScales(r), zero()}})
		}
		add("", "ConvInteger", 10, attrs, fx, fw, zero(), randomBytes(r, wtyp))

		p, q := randomBytes(r, typ, 2, 3, 4), randomBytes(r, typ, 3, 1)
		add(microsoft, "QLinearAdd", 1, nil, p, scale(), zero(), q, scale(), zero(), scale(), zero())
		add(microsoft, "QLinearMul", 1, nil, p, scale(), zero(), q, scale(), zero(), randomScales(r), zero())
		add(microsoft, "QLinearSigmoid", 1, nil, p, scale(), zero(), value.Scalar[float32](1.0/256), zero())
		add(microsoft, "QLinearLeakyRelu", 1, attributes(onnxio.NewFloat("alpha", 0.2)), p, scale(), zero(), scale(), zero())
		add(microsoft, "QLinearSoftmax", 1, attributes(onnxio.NewInt("axis", int64(r.IntN(3))), onnxio.NewInt("opset", int64(pick(r, 12, 13)))),
			p, scale(), zero(), value.Scalar[float32](1.0/256), zero())
		add(microsoft, "QLinearConcat", 1, attributes(onnxio.NewInt("axis", 1)), scale(), zero(), p, scale(), zero(), randomBytes(r, typ, 2, 2, 4), scale(), zero())
		image := randomBytes(r, typ, 2, 3, 6, 7)
		add(microsoft, "QLinearGlobalAveragePool", 1, attributes(onnxio.NewInt("channels_last", int64(r.IntN(2)))), image, scale(), zero(), scale(), zero())
		add(microsoft, "QLinearAveragePool", 1, append(windowAttributes(r, upTo(r, 2, 2, 3), false, "", "SAME_UPPER"),
			onnxio.NewInt("count_include_pad", int64(r.IntN(2))), onnxio.NewInt("ceil_mode", int64(r.IntN(2)))), image, scale(), zero(), scale(), zero())
		cases = append(cases, oracleCase{op: "DynamicQuantizeLinear", opset: 11, outputs: 3, in: []*value.Tensor{randomTensor(r, onnxio.Float, 3, 7)}})
	}
	compareWithOracle(t, cases)
}
