package ops

import (
	"math/rand/v2"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// exactTensor holds multiples of 1/8, whose products float32 adds without rounding: no order of a sum shows in it.
func exactTensor(r *rand.Rand, typ onnxio.DataType, shape ...int) *value.Tensor {
	t := randomTensor(r, onnxio.Int32, shape...)
	if !typ.IsFloat() {
		t = randomTensor(r, typ, shape...)
	}
	scaled, _ := castTensor(&Context{}, t, onnxio.Float, castOptions{})
	if d := scaled.Data.([]float32); typ.IsFloat() {
		kernels.MulScalar(d, d, 0.125)
	}
	out, _ := castTensor(&Context{}, scaled, typ, castOptions{})
	return out
}

func TestMatrixProductsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	var cases []oracleCase
	for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.Int32, onnxio.Int64, onnxio.Uint32, onnxio.Uint64} {
		for _, s := range [][2][]int{
			{{3, 4}, {4, 5}}, {{4}, {4, 5}}, {{3, 4}, {4}}, {{4}, {4}}, {{2, 3, 4}, {4, 5}}, {{2, 3, 4}, {2, 4, 5}}, {{3, 4}, {2, 4, 5}},
			{{2, 1, 3, 4}, {5, 4, 2}}, {{6, 1, 3, 4}, {1, 2, 4, 5}}, {{4}, {3, 4, 2}}, {{3, 2, 4}, {4}}, {{0, 4}, {4, 2}}, {{2, 0}, {0, 3}},
			{{2, 3, 4}, {1, 4, 5}}, {{1, 3, 4}, {2, 4, 5}}, {{40, 70}, {70, 33}},
		} {
			a, b := exactTensor(r, typ, s[0]...), exactTensor(r, typ, s[1]...)
			for _, version := range []int{1, 9, 13} {
				cases = append(cases, oracleCase{op: "MatMul", opset: version, in: []*value.Tensor{a, b}},
					oracleCase{op: "MatMul", opset: version, in: []*value.Tensor{a, b}, constant: true})
			}
		}
		for mode := range 4 {
			a, b := exactTensor(r, typ, 3, 20), exactTensor(r, typ, 20, 50)
			if mode&1 != 0 {
				a = exactTensor(r, typ, 20, 3)
			}
			if mode&2 != 0 {
				b = exactTensor(r, typ, 50, 20)
			}
			attrs := []*onnxio.Attribute{onnxio.NewInt("transA", int64(mode&1)), onnxio.NewInt("transB", int64(mode>>1))}
			scaled := append(attrs[:2:2], onnxio.NewFloat("alpha", 0.5), onnxio.NewFloat("beta", 2))
			for _, bias := range []*value.Tensor{nil, exactTensor(r, typ, 50), exactTensor(r, typ, 3, 50), exactTensor(r, typ, 3, 1), exactTensor(r, typ),
				exactTensor(r, typ, 1, 50), exactTensor(r, typ, 1)} {
				in := []*value.Tensor{a, b}
				if bias != nil {
					in = append(in, bias)
				}
				for _, version := range []int{7, 9, 11, 13} {
					for _, constant := range []bool{false, true} {
						cases = append(cases, oracleCase{op: "Gemm", opset: version, attrs: attrs, in: in, constant: constant},
							oracleCase{op: "Gemm", opset: version, attrs: scaled, in: in, constant: constant})
					}
				}
				if typ == onnxio.Float {
					for _, activation := range []string{"Relu", "LeakyRelu", "Sigmoid", "Tanh"} {
						fused := append(scaled[:4:4], onnxio.NewString("activation", activation), onnxio.NewFloat("activation_alpha", 0.1))
						cases = append(cases, oracleCase{domain: "com.microsoft", op: "FusedGemm", opset: 1, attrs: fused, in: in})
					}
				}
			}
			a, b = exactTensor(r, typ, 2, 3, 4, 4), exactTensor(r, typ, 2, 3, 4, 4)
			cases = append(cases, oracleCase{domain: "com.microsoft", op: "FusedMatMul", opset: 1, attrs: append(attrs[:2:2], onnxio.NewFloat("alpha", 0.5)), in: []*value.Tensor{a, b}})
			if mode == 0 {
				continue
			}
			a, b = exactTensor(r, typ, 4, 3, 4, 4), exactTensor(r, typ, 4, 3, 4, 4)
			batch := []*onnxio.Attribute{onnxio.NewInt("transBatchA", 1), onnxio.NewInt("transBatchB", 1)}
			cases = append(cases, oracleCase{domain: "com.microsoft", op: "FusedMatMul", opset: 1, attrs: append(batch, attrs...), in: []*value.Tensor{a, b}})
		}
	}
	compareWithOracle(t, cases)
}

func TestEinsumAgreesWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var cases []oracleCase
	for _, e := range []struct {
		equation string
		shapes   [][]int
	}{
		{"ij,jk->ik", [][]int{{3, 4}, {4, 5}}}, {"ij,jk", [][]int{{3, 4}, {4, 5}}}, {"ij->ji", [][]int{{3, 4}}}, {"ji", [][]int{{3, 4}}},
		{"ii->i", [][]int{{4, 4}}}, {"ii", [][]int{{4, 4}}}, {"ij->", [][]int{{3, 4}}}, {"i,j->ij", [][]int{{3}, {4}}}, {"i,i->", [][]int{{5}, {5}}},
		{"bij,bjk->bik", [][]int{{2, 3, 4}, {2, 4, 5}}}, {"...ij,...jk->...ik", [][]int{{2, 3, 4}, {2, 4, 5}}}, {"...ij,...jk", [][]int{{2, 2, 3, 4}, {2, 4, 5}}},
		{"...ij,...jk->...ik", [][]int{{1, 3, 4}, {2, 4, 5}}}, {"b...i,b...i->b...", [][]int{{2, 3, 4}, {2, 3, 4}}}, {"bhid,bhjd->bhij", [][]int{{2, 3, 4, 5}, {2, 3, 6, 5}}},
		{"bhij,bhjd->bihd", [][]int{{2, 3, 4, 6}, {2, 3, 6, 5}}}, {"ij,jk,kl->il", [][]int{{2, 3}, {3, 4}, {4, 5}}}, {"ij,ij->ij", [][]int{{3, 4}, {3, 4}}},
		{"ij,i->j", [][]int{{3, 4}, {3}}}, {"abc,cd->abd", [][]int{{2, 3, 4}, {4, 5}}}, {"abc,dc->adb", [][]int{{2, 3, 4}, {5, 4}}}, {"iij->ij", [][]int{{3, 3, 2}}},
		{"ijj->i", [][]int{{3, 2, 2}}}, {"nchw,nvc->nvhw", [][]int{{2, 3, 4, 5}, {2, 6, 3}}}, {" i j , j k -> k i", [][]int{{3, 4}, {4, 5}}}, {"Ab,bA->", [][]int{{3, 4}, {4, 3}}},
		{"...->...", [][]int{{3, 4}}}, {"i...->...", [][]int{{3, 4, 2}}}, {",ij->ij", [][]int{{}, {2, 3}}}, {"ij,kl->ijkl", [][]int{{2, 3}, {2, 2}}}, {"ab,ab,ab->a", [][]int{{2, 3}, {2, 3}, {2, 3}}},
		{"ij,jk->ik", [][]int{{0, 4}, {4, 5}}}, {"ij,jk->ik", [][]int{{3, 0}, {0, 5}}},
	} {
		for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Int32, onnxio.Int64, onnxio.Float16} {
			c := oracleCase{op: "Einsum", opset: 12, attrs: []*onnxio.Attribute{onnxio.NewString("equation", e.equation)}}
			for _, s := range e.shapes {
				c.in = append(c.in, exactTensor(r, typ, s...))
			}
			cases = append(cases, c)
		}
	}
	compareWithOracle(t, cases)
}

func TestMatrixOperatorsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	var cases []oracleCase
	for _, typ := range append(allNumbers, onnxio.Bool) {
		x := randomTensor(r, typ, 2, 3, 4)
		for k := -5; k < 6; k++ {
			for upper := range int64(2) {
				attrs := []*onnxio.Attribute{onnxio.NewInt("upper", upper)}
				cases = append(cases, oracleCase{op: "Trilu", opset: 14, attrs: attrs, in: []*value.Tensor{x, value.Scalar(int64(k))}})
			}
			attrs := []*onnxio.Attribute{onnxio.NewInt("k", int64(k))}
			cases = append(cases, oracleCase{op: "EyeLike", opset: 9, attrs: attrs, in: []*value.Tensor{randomTensor(r, typ, 3, 4)}},
				oracleCase{op: "EyeLike", opset: 9, attrs: append(attrs, onnxio.NewInt("dtype", int64(onnxio.Double))), in: []*value.Tensor{randomTensor(r, typ, 5, 2)}})
		}
		cases = append(cases, oracleCase{op: "Trilu", opset: 14, in: []*value.Tensor{x}},
			oracleCase{op: "Det", opset: 11, in: []*value.Tensor{randomTensor(r, typ, 5, 5)}}, oracleCase{op: "Det", opset: 11, in: []*value.Tensor{randomTensor(r, typ, 2, 3, 3)}})
	}
	compareWithOracle(t, cases)
}

func TestLossesAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	var cases []oracleCase
	for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Double} {
		for _, shape := range [][]int{{4, 3}, {2, 3, 5}, {2, 3, 2, 4}} {
			labelShape := append([]int{shape[0]}, shape[2:]...)
			labels := value.New(onnxio.Int64, labelShape...)
			for i := range labels.Data.([]int64) {
				labels.Data.([]int64)[i] = r.Int64N(3)
			}
			narrow, _ := castTensor(&Context{}, labels, onnxio.Int32, castOptions{})
			weights := randomTensor(r, typ, 3)
			for _, reduction := range []string{"none", "sum", "mean"} {
				for _, ignored := range []int64{-1, 1} {
					attrs := []*onnxio.Attribute{onnxio.NewString("reduction", reduction), onnxio.NewInt("ignore_index", ignored)}
					for _, l := range []*value.Tensor{labels, narrow} {
						for _, in := range [][]*value.Tensor{{randomTensor(r, typ, shape...), l}, {randomTensor(r, typ, shape...), l, weights}} {
							cases = append(cases, oracleCase{op: "NegativeLogLikelihoodLoss", opset: 13, attrs: attrs, in: in},
								oracleCase{op: "SoftmaxCrossEntropyLoss", opset: 13, attrs: attrs, in: in, outputs: 2},
								oracleCase{op: "SoftmaxCrossEntropyLoss", opset: 12, attrs: attrs[:1], in: in})
						}
					}
				}
			}
		}
	}
	compareWithOracle(t, cases)
}
