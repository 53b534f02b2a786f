// Operators of neural networks against ONNX Runtime, in many combinations of attributes and element types that ONNX's
// suite does not have.

package ops

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// pick returns one of the choices.
func pick[T any](r *rand.Rand, choices ...T) T { return choices[r.IntN(len(choices))] }

// upTo returns n numbers from lo to hi.
func upTo(r *rand.Rand, n, lo, hi int) []int64 {
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(lo + r.IntN(hi-lo+1))
	}
	return out
}

// windowAttributes are strides, dilations and one way of padding.
func windowAttributes(r *rand.Rand, kernel []int64, dilations bool, autoPads ...string) []*onnxio.Attribute {
	rank := len(kernel)
	attrs := []*onnxio.Attribute{onnxio.NewInts("kernel_shape", kernel...), onnxio.NewInts("strides", upTo(r, rank, 1, 3)...)}
	if dilations && r.IntN(2) == 0 {
		attrs = append(attrs, onnxio.NewInts("dilations", upTo(r, rank, 1, 2)...))
	}
	if pad := pick(r, autoPads...); pad != "" {
		return append(attrs, onnxio.NewString("auto_pad", pad))
	}
	pads := make([]int64, 2*rank)
	for d := range pads {
		pads[d] = int64(r.IntN(int(kernel[d%rank])))
	}
	return append(attrs, onnxio.NewInts("pads", pads...))
}

func lengths(ns ...[]int64) []int {
	var out []int
	for _, s := range ns {
		for _, v := range s {
			out = append(out, int(v))
		}
	}
	return out
}

func TestConvolutionsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var cases []oracleCase
	for i := range 400 {
		rank, groups := 1+r.IntN(3), pick(r, 1, 1, 2, 4)
		kernel := upTo(r, rank, 1, 4-rank/3)
		spatial := upTo(r, rank, 5, 9)
		in, out := groups*(1+r.IntN(3)), groups*(1+r.IntN(3))
		typ := pick(r, onnxio.Float, onnxio.Float, onnxio.Double, onnxio.Float16)
		c := oracleCase{op: "Conv", opset: pick(r, 1, 10, 11, 22), constant: i%2 == 0}
		c.attrs = append(windowAttributes(r, kernel, true, "", "", "VALID", "SAME_UPPER", "SAME_LOWER"), onnxio.NewInt("group", int64(groups)))
		c.in = []*value.Tensor{randomTensor(r, typ, append([]int{r.IntN(3), in}, lengths(spatial)...)...),
			randomTensor(r, typ, append([]int{out, in / groups}, lengths(kernel)...)...)}
		if r.IntN(2) == 0 {
			c.in = append(c.in, randomTensor(r, typ, out))
		}
		cases = append(cases, c)
		if typ != onnxio.Float {
			continue
		}
		c = oracleCase{op: "ConvTranspose", opset: pick(r, 1, 11, 22), constant: i%2 == 0}
		c.attrs = append(windowAttributes(r, kernel, true, "", "", "VALID", "SAME_UPPER", "SAME_LOWER"), onnxio.NewInt("group", int64(groups)))
		if r.IntN(3) == 0 {
			c.attrs = append(c.attrs, onnxio.NewInts("output_shape", upTo(r, rank, 12, 20)...))
		}
		c.in = []*value.Tensor{randomTensor(r, typ, append([]int{1 + r.IntN(2), in}, lengths(spatial)...)...),
			randomTensor(r, typ, append([]int{in, out / groups}, lengths(kernel)...)...)}
		if r.IntN(2) == 0 {
			c.in = append(c.in, randomTensor(r, typ, out))
		}
		cases = append(cases, c)
	}
	compareWithOracle(t, cases)
}

// samePadded reports whether the output is to be as large as the input.
func samePadded(attrs []*onnxio.Attribute) bool {
	return slices.ContainsFunc(attrs, func(a *onnxio.Attribute) bool { return strings.HasPrefix(string(a.S), "SAME") })
}

func TestPoolingsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var cases []oracleCase
	for range 500 {
		rank := 1 + r.IntN(3)
		kernel := upTo(r, rank, 2, 4) // SAME with a window two shorter than its step makes ONNX Runtime crop, in poolings only
		c := oracleCase{op: pick(r, "MaxPool", "AveragePool", "LpPool"), opset: pick(r, 1, 7, 8, 10, 11, 12, 18, 19, 22)}
		since, _ := Lookup("", c.op, c.opset)
		dilated := map[string]int{"MaxPool": 10, "AveragePool": 19, "LpPool": 18}[c.op] <= since.Since
		ceil := map[string]int{"MaxPool": 10, "AveragePool": 10, "LpPool": 18}[c.op] <= since.Since
		c.attrs = windowAttributes(r, kernel, dilated, "", "", "", "VALID", "SAME_UPPER", "SAME_LOWER")
		if samePadded(c.attrs) { // ONNX Runtime leaves dilations out when it pads, against the documentation
			c.attrs = slices.DeleteFunc(c.attrs, func(a *onnxio.Attribute) bool { return a.Name == "dilations" })
		}
		typ := pick(r, onnxio.Float, onnxio.Float, onnxio.Double, onnxio.Float16)
		if ceil && r.IntN(2) == 0 {
			c.attrs = append(c.attrs, onnxio.NewInt("ceil_mode", 1))
		}
		switch c.op {
		case "MaxPool":
			if since.Since >= 12 {
				typ = pick(r, typ, onnxio.Int8, onnxio.Uint8)
			}
			if since.Since >= 8 && r.IntN(2) == 0 {
				c.outputs = 2
				c.attrs = append(c.attrs, onnxio.NewInt("storage_order", int64(r.IntN(2))))
			}
		case "AveragePool":
			if since.Since >= 7 {
				c.attrs = append(c.attrs, onnxio.NewInt("count_include_pad", int64(r.IntN(2))))
			}
		case "LpPool":
			if since.Since >= 2 {
				c.attrs = append(c.attrs, onnxio.NewInt("p", int64(1+r.IntN(3))))
			}
		}
		c.in = []*value.Tensor{randomTensor(r, typ, append([]int{1 + r.IntN(2), 2}, lengths(upTo(r, rank, 7, 9))...)...)}
		cases = append(cases, c)
	}
	for _, op := range []string{"GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"} {
		for _, typ := range allFloats {
			cases = append(cases, oracleCase{op: op, opset: 11, in: []*value.Tensor{randomTensor(r, typ, 2, 3, 4, 5)}})
		}
	}
	compareWithOracle(t, cases)
}

func TestNormalizationsAgreeWithONNXRuntime(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	positive := func(typ onnxio.DataType, shape ...int) *value.Tensor {
		v := randomTensor(r, onnxio.Float, shape...)
		for i, x := range value.Of[float32](v) {
			value.Of[float32](v)[i] = x*x + 0.25
		}
		out, err := castTensor(&Context{}, v, typ, castOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	var cases []oracleCase
	for _, typ := range []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16} {
		for _, opset := range []int{6, 7, 8, 9, 14, 15} {
			for _, shape := range [][]int{{2, 3, 4, 5}, {2, 3}, {0, 3, 2}, {2, 3, 7}, {1, 3, 2, 2, 2}} {
				c := oracleCase{op: "BatchNormalization", opset: opset, attrs: attributes(onnxio.NewFloat("epsilon", 0.01))}
				c.in = []*value.Tensor{randomTensor(r, typ, shape...), randomTensor(r, typ, 3), randomTensor(r, typ, 3), randomTensor(r, typ, 3), positive(typ, 3)}
				cases = append(cases, c)
				if c.opset < 14 {
					c.outputs = 5
				} else {
					c.outputs = 3
					c.attrs = append(c.attrs, onnxio.NewInt("training_mode", 1))
				}
				cases = append(cases, c)
			}
		}
		per := []int{3, 2, 2}
		cases = append(cases, oracleCase{op: "BatchNormalization", opset: 7, attrs: attributes(onnxio.NewInt("spatial", 0)),
			in: []*value.Tensor{randomTensor(r, typ, 2, 3, 2, 2), randomTensor(r, typ, per...), randomTensor(r, typ, per...), randomTensor(r, typ, per...), positive(typ, per...)}})
		for _, opset := range []int{6, 22} {
			cases = append(cases, oracleCase{op: "InstanceNormalization", opset: opset,
				in: []*value.Tensor{randomTensor(r, typ, 2, 3, 4, 5), randomTensor(r, typ, 3), randomTensor(r, typ, 3)}})
		}
		cases = append(cases, oracleCase{op: "GroupNormalization", opset: 18, attrs: attributes(onnxio.NewInt("num_groups", 2)),
			in: []*value.Tensor{randomTensor(r, typ, 2, 4, 3, 3), randomTensor(r, typ, 2), randomTensor(r, typ, 2)}},
			oracleCase{op: "LRN", opset: 13, attrs: attributes(onnxio.NewInt("size", 3), onnxio.NewFloat("alpha", 0.5)),
				in: []*value.Tensor{randomTensor(r, typ, 2, 6, 3, 3)}},
			oracleCase{op: "MeanVarianceNormalization", opset: 13, in: []*value.Tensor{randomTensor(r, typ, 2, 3, 4, 5)}},
			oracleCase{op: "MeanVarianceNormalization", opset: 8, attrs: attributes(onnxio.NewInt("across_channels", 1)), in: []*value.Tensor{randomTensor(r, typ, 2, 3, 4, 5)}},
			oracleCase{op: "MeanVarianceNormalization", opset: 8, attrs: attributes(onnxio.NewInt("normalize_variance", 0)), in: []*value.Tensor{randomTensor(r, typ, 2, 3, 4, 5)}})
		if typ != onnxio.Double { // ONNX Runtime computes float64 in float32 here
			cases = append(cases, oracleCase{op: "GroupNormalization", opset: 21, attrs: attributes(onnxio.NewInt("num_groups", 2)),
				in: []*value.Tensor{randomTensor(r, typ, 2, 4, 3, 3), randomTensor(r, typ, 4), randomTensor(r, typ, 4)}})
		}
		for axis := range 3 {
			row := []int{2, 3, 4}[axis:]
			x := randomTensor(r, typ, 2, 3, 4)
			cases = append(cases, oracleCase{op: "LayerNormalization", opset: 17, outputs: 3, attrs: attributes(onnxio.NewInt("axis", int64(axis))),
				in: []*value.Tensor{x, randomTensor(r, typ, row...), randomTensor(r, typ, row...)}},
				oracleCase{op: "RMSNormalization", opset: 23, attrs: attributes(onnxio.NewInt("axis", int64(axis))),
					in: []*value.Tensor{x, randomTensor(r, typ, row...)}},
				oracleCase{op: "SimplifiedLayerNormalization", opset: 1, attrs: attributes(onnxio.NewInt("axis", int64(axis))), outputs: 2,
					in: []*value.Tensor{x, randomTensor(r, typ, row...)}})
		}
		x, skip, row := randomTensor(r, typ, 2, 3, 4), randomTensor(r, typ, 2, 3, 4), randomTensor(r, typ, 4)
		cases = append(cases, oracleCase{domain: "com.microsoft", op: "SkipLayerNormalization", opset: 1, in: []*value.Tensor{x, skip, row, row}},
			oracleCase{domain: "com.microsoft", op: "SkipLayerNormalization", opset: 1, in: []*value.Tensor{x, randomTensor(r, typ, 3, 4), row, row, row}},
			oracleCase{domain: "com.microsoft", op: "SkipSimplifiedLayerNormalization", opset: 1, in: []*value.Tensor{x, skip, row, row}})
	}
	compareWithOracle(t, cases)
}
