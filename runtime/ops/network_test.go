// Operators of neural networks: old versions by hand, element types against each other, empty tensors, and results
// that do not depend on the number of threads.

package ops

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

func TestOldVersionsKeepTheirMeaning(t *testing.T) {
	f := func(shape []int, vs ...float32) *value.Tensor { return value.From(vs, shape...) }
	attrs := func(as ...*onnxio.Attribute) []*onnxio.Attribute { return as }
	four := f([]int{4, 1}, 1, 2, 3, 4)
	one := func(v float32) *value.Tensor { return f([]int{1}, v) }
	for _, c := range []struct {
		name string
		oracleCase
		want []*value.Tensor
	}{
		{"BatchNormalization 6 with one output uses the statistics that it is given",
			oracleCase{op: "BatchNormalization", opset: 6, attrs: attrs(onnxio.NewFloat("epsilon", 0)), in: []*value.Tensor{four, one(2), one(1), one(10), one(4)}},
			[]*value.Tensor{f([]int{4, 1}, -8, -7, -6, -5)}},
		{"BatchNormalization 6 with is_test uses them whatever it has as outputs",
			oracleCase{op: "BatchNormalization", opset: 6, outputs: 5, attrs: attrs(onnxio.NewFloat("epsilon", 0), onnxio.NewInt("is_test", 1)),
				in: []*value.Tensor{four, one(2), one(1), one(10), one(4)}},
			[]*value.Tensor{f([]int{4, 1}, -8, -7, -6, -5)}},
		{"BatchNormalization 6 in training takes those of the batch, and has them as outputs", // mean 2.5, variance 1.25
			oracleCase{op: "BatchNormalization", opset: 6, outputs: 5, attrs: attrs(onnxio.NewFloat("epsilon", 1), onnxio.NewFloat("momentum", 0.5)),
				in: []*value.Tensor{four, one(3), one(0), one(10), one(4)}},
			[]*value.Tensor{f([]int{4, 1}, -3, -1, 1, 3), one(6.25), one(2.625), one(2.5), one(2.0 / 3)}},
		{"BatchNormalization 1 without spatial normalizes every position by itself",
			oracleCase{op: "BatchNormalization", opset: 1, attrs: attrs(onnxio.NewInt("spatial", 0), onnxio.NewFloat("epsilon", 0), onnxio.NewInts("consumed_inputs", 0, 0, 0, 1, 1)),
				in: []*value.Tensor{f([]int{2, 1, 2}, 1, 2, 3, 4), f([]int{1, 2}, 1, 2), f([]int{1, 2}, 0, 1), f([]int{1, 2}, 1, 0), f([]int{1, 2}, 1, 4)}},
			[]*value.Tensor{f([]int{2, 1, 2}, 0, 3, 2, 5)}},
		{"LpPool 1 has its order as a float", // sqrt(3^2+4^2)
			oracleCase{op: "LpPool", opset: 1, attrs: attrs(onnxio.NewInts("kernel_shape", 2), onnxio.NewFloat("p", 2)), in: []*value.Tensor{f([]int{1, 1, 3}, 3, 4, 3)}},
			[]*value.Tensor{f([]int{1, 1, 2}, 5, 5)}},
		{"GlobalLpPool 1 too",
			oracleCase{op: "GlobalLpPool", opset: 1, attrs: attrs(onnxio.NewFloat("p", 1)), in: []*value.Tensor{f([]int{1, 1, 3}, 3, -4, 3)}},
			[]*value.Tensor{f([]int{1, 1, 1}, 10)}},
		{"AveragePool 1 never counts padding",
			oracleCase{op: "AveragePool", opset: 1, attrs: attrs(onnxio.NewInts("kernel_shape", 2), onnxio.NewInts("pads", 1, 1)), in: []*value.Tensor{f([]int{1, 1, 2}, 2, 4)}},
			[]*value.Tensor{f([]int{1, 1, 3}, 2, 3, 4)}},
		{"AveragePool 7 counts it where asked",
			oracleCase{op: "AveragePool", opset: 7, attrs: attrs(onnxio.NewInts("kernel_shape", 2), onnxio.NewInts("pads", 1, 1), onnxio.NewInt("count_include_pad", 1)),
				in: []*value.Tensor{f([]int{1, 1, 2}, 2, 4)}},
			[]*value.Tensor{f([]int{1, 1, 3}, 1, 3, 2)}},
		{"MaxPool counts positions column by column with storage_order", // the plane is 1 3 / 4 2: 4 lies at row 1, column 0
			oracleCase{op: "MaxPool", opset: 8, outputs: 2, attrs: attrs(onnxio.NewInts("kernel_shape", 2, 2), onnxio.NewInt("storage_order", 1)),
				in: []*value.Tensor{f([]int{1, 1, 2, 2}, 1, 3, 4, 2)}},
			[]*value.Tensor{f([]int{1, 1, 1, 1}, 4), value.From([]int64{1}, 1, 1, 1, 1)}},
		{"a window that starts behind the input does not count with ceil_mode",
			oracleCase{op: "MaxPool", opset: 10, attrs: attrs(onnxio.NewInts("kernel_shape", 1), onnxio.NewInts("strides", 2), onnxio.NewInt("ceil_mode", 1)),
				in: []*value.Tensor{f([]int{1, 1, 2}, 1, 3)}},
			[]*value.Tensor{f([]int{1, 1, 1}, 1)}},
		{"GroupNormalization 18 scales by group", // groups 1 3 and 2 6: normalized -1 1 each
			oracleCase{op: "GroupNormalization", opset: 18, attrs: attrs(onnxio.NewInt("num_groups", 2), onnxio.NewFloat("epsilon", 0)),
				in: []*value.Tensor{f([]int{1, 4, 1}, 1, 3, 2, 6), f([]int{2}, 1, 10), f([]int{2}, 0, 5)}},
			[]*value.Tensor{f([]int{1, 4, 1}, -1, 1, -5, 15)}},
		{"GroupNormalization 21 scales by channel",
			oracleCase{op: "GroupNormalization", opset: 21, attrs: attrs(onnxio.NewInt("num_groups", 2), onnxio.NewFloat("epsilon", 0)),
				in: []*value.Tensor{f([]int{1, 4, 1}, 1, 3, 2, 6), f([]int{4}, 1, 10, 100, 1000), f([]int{4}, 0, 1, 2, 3)}},
			[]*value.Tensor{f([]int{1, 4, 1}, -1, 11, -98, 1003)}},
		{"QuantizeLinear 10 rounds half to even and saturates",
			oracleCase{op: "QuantizeLinear", opset: 10, in: []*value.Tensor{f([]int{6}, 1, 3, -5, 1000, 5, -1), value.Scalar[float32](2)}},
			[]*value.Tensor{value.From([]uint8{0, 2, 0, 255, 2, 0}, 6)}},
		{"GRU 1 applies the reset gate before the product", // all weights 0 but Rh: z = r = 1/2, h = tanh(1/2*2*1), H = (h+2)/2
			oracleCase{op: "GRU", opset: 1, outputs: 2, attrs: attrs(onnxio.NewInt("hidden_size", 1), onnxio.NewInt("output_sequence", 1)),
				in: []*value.Tensor{f([]int{1, 1, 1}, 1), f([]int{1, 3, 1}, 0, 0, 0), f([]int{1, 3, 1}, 0, 0, 1), nil, nil, f([]int{1, 1, 1}, 2)}},
			[]*value.Tensor{f([]int{1, 1, 1, 1}, float32(math.Tanh(1)+2)/2), f([]int{1, 1, 1}, float32(math.Tanh(1)+2)/2)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.ours(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range c.want {
				if err := sameTensor(got[i].(*value.Tensor), want, 1e-6, 1e-6); err != nil {
					t.Errorf("output %d: %v", i, err)
				}
			}
		})
	}
}

// typedCases are nodes whose floating-point inputs are small whole numbers: sums of their products are exact in
// every type, so all types must give the same.
func typedCases() []oracleCase {
	r := rand.New(rand.NewPCG(9, 9))
	w := func(shape ...int) *value.Tensor { // -2 to 2
		v := value.New(onnxio.Float, shape...)
		for i := range v.Len() {
			value.Of[float32](v)[i] = float32(r.IntN(5) - 2)
		}
		return v
	}
	ints := onnxio.NewInts
	return []oracleCase{
		{op: "Conv", opset: 22, attrs: []*onnxio.Attribute{ints("pads", 1, 0, 0, 1), ints("strides", 2, 1), onnxio.NewInt("group", 2)}, in: []*value.Tensor{w(2, 4, 5, 6), w(4, 2, 3, 2), w(4)}},
		{op: "Conv", opset: 22, attrs: []*onnxio.Attribute{ints("dilations", 2), onnxio.NewString("auto_pad", "SAME_LOWER")}, in: []*value.Tensor{w(1, 2, 9), w(3, 2, 2)}},
		{op: "ConvTranspose", opset: 22, attrs: []*onnxio.Attribute{ints("pads", 1, 0, 0, 1), ints("strides", 2, 3), ints("output_padding", 1, 2), onnxio.NewInt("group", 2)},
			in: []*value.Tensor{w(2, 4, 3, 4), w(4, 1, 3, 2), w(2)}},
		{op: "ConvTranspose", opset: 22, attrs: []*onnxio.Attribute{ints("dilations", 2), onnxio.NewString("auto_pad", "SAME_UPPER")}, in: []*value.Tensor{w(1, 2, 5), w(2, 3, 2)}},
		{op: "MaxPool", opset: 22, attrs: []*onnxio.Attribute{ints("kernel_shape", 2, 3), ints("strides", 2, 2)}, in: []*value.Tensor{w(1, 2, 6, 7)}},
		{op: "AveragePool", opset: 22, attrs: []*onnxio.Attribute{ints("kernel_shape", 2, 2)}, in: []*value.Tensor{w(1, 2, 6, 7)}},
		{op: "LpPool", opset: 22, attrs: []*onnxio.Attribute{ints("kernel_shape", 2, 2), onnxio.NewInt("p", 1)}, in: []*value.Tensor{w(1, 2, 6, 7)}},
		{op: "GlobalMaxPool", opset: 22, in: []*value.Tensor{w(2, 3, 4)}},
		{op: "GlobalAveragePool", opset: 22, in: []*value.Tensor{w(2, 3, 2, 4)}},
		{op: "BatchNormalization", opset: 15, attrs: []*onnxio.Attribute{onnxio.NewFloat("epsilon", 0)},
			in: []*value.Tensor{w(2, 3, 4), w(3), w(3), w(3), value.From([]float32{1, 4, 16}, 3)}},
		{op: "DeformConv", opset: 22, attrs: []*onnxio.Attribute{ints("kernel_shape", 2, 2)}, in: []*value.Tensor{w(1, 2, 4, 4), w(2, 2, 2, 2), w(1, 8, 3, 3), w(2), w(1, 4, 3, 3)}},
		{op: "LinearAttention", opset: 27, outputs: 2, attrs: []*onnxio.Attribute{onnxio.NewString("update_rule", "linear"), onnxio.NewInt("q_num_heads", 2), onnxio.NewInt("kv_num_heads", 1), onnxio.NewFloat("scale", 1)},
			in: []*value.Tensor{w(1, 3, 4), w(1, 3, 2), w(1, 3, 2), w(1, 1, 2, 2)}},
		{op: "CausalConvWithState", opset: 27, outputs: 2, in: []*value.Tensor{w(2, 3, 5), w(3, 1, 4), w(3), w(2, 3, 3)}},
	}
}

func converted(t *testing.T, x *value.Tensor, typ onnxio.DataType) *value.Tensor {
	out, err := castTensor(&Context{}, x, typ, castOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestAllFloatTypesGiveTheSameOnWholeNumbers(t *testing.T) {
	for _, c := range typedCases() {
		want, err := c.ours(nil)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		for _, typ := range []onnxio.DataType{onnxio.Double, onnxio.Float16, onnxio.BFloat16} {
			typed := c
			typed.in = slices.Clone(c.in)
			for i, x := range typed.in {
				typed.in[i] = converted(t, x, typ)
			}
			got, err := typed.ours(nil)
			if err != nil {
				t.Errorf("%v: %v", typed, err)
				continue
			}
			for i, w := range want {
				if err := sameTensor(got[i].(*value.Tensor), converted(t, w.(*value.Tensor), typ), 0, 0); err != nil {
					t.Errorf("%v: output %d: %v", typed, i, err)
				}
			}
		}
	}
}

func TestABatchOfZeroGivesABatchOfZero(t *testing.T) {
	cases := typedCases()
	f := func(shape ...int) *value.Tensor { return value.New(onnxio.Float, shape...) }
	bytes := func(shape ...int) *value.Tensor { return value.New(onnxio.Uint8, shape...) }
	scale := value.Scalar[float32](1)
	heads := []*onnxio.Attribute{onnxio.NewInt("q_num_heads", 2), onnxio.NewInt("kv_num_heads", 2)}
	cases = append(cases,
		oracleCase{op: "InstanceNormalization", opset: 22, in: []*value.Tensor{f(1, 3, 4), f(3), f(3)}},
		oracleCase{op: "GroupNormalization", opset: 21, attrs: []*onnxio.Attribute{onnxio.NewInt("num_groups", 2)}, in: []*value.Tensor{f(1, 4, 4), f(4), f(4)}},
		oracleCase{op: "LayerNormalization", opset: 17, outputs: 3, in: []*value.Tensor{f(1, 3, 4), f(4), f(4)}},
		oracleCase{op: "RMSNormalization", opset: 23, in: []*value.Tensor{f(1, 3, 4), f(4)}},
		oracleCase{op: "MeanVarianceNormalization", opset: 13, in: []*value.Tensor{f(1, 3, 4, 5)}},
		oracleCase{op: "LRN", opset: 13, attrs: []*onnxio.Attribute{onnxio.NewInt("size", 3)}, in: []*value.Tensor{f(1, 3, 4, 5)}},
		oracleCase{op: "QuantizeLinear", opset: 21, in: []*value.Tensor{f(1, 3), scale}},
		oracleCase{op: "DequantizeLinear", opset: 21, in: []*value.Tensor{bytes(1, 3), scale}},
		oracleCase{op: "MatMulInteger", opset: 10, in: []*value.Tensor{bytes(1, 3, 4), bytes(4, 5)}},
		oracleCase{op: "ConvInteger", opset: 10, in: []*value.Tensor{bytes(1, 2, 4), bytes(3, 2, 2)}},
		oracleCase{op: "LSTM", opset: 14, outputs: 3, attrs: []*onnxio.Attribute{onnxio.NewInt("layout", 1)}, in: []*value.Tensor{f(1, 3, 2), f(1, 8, 2), f(1, 8, 2)}},
		oracleCase{op: "GRU", opset: 14, outputs: 2, attrs: []*onnxio.Attribute{onnxio.NewInt("layout", 1)}, in: []*value.Tensor{f(1, 3, 2), f(1, 6, 2), f(1, 6, 2)}},
		oracleCase{op: "Attention", opset: 23, outputs: 4, attrs: heads, in: []*value.Tensor{f(1, 3, 4), f(1, 5, 4), f(1, 5, 4)}},
		oracleCase{op: "DFT", opset: 20, in: []*value.Tensor{f(1, 6, 2)}},
		oracleCase{op: "STFT", opset: 17, in: []*value.Tensor{f(1, 6, 1), value.Scalar[int64](2), nil, value.Scalar[int64](4)}})
	for _, c := range cases {
		if len(c.in) == 0 || c.in[0].Shape[0] == 0 {
			continue
		}
		batch := c.in[0].Shape[0]
		perBatch := map[string][]int{"Attention": {1, 2}, "LinearAttention": {1, 2, 3}, "CausalConvWithState": {3}, "DeformConv": {2, 4}}[c.op]
		c.in = slices.Clone(c.in)
		for _, i := range append(perBatch, 0) {
			shape := slices.Clone(c.in[i].Shape)
			shape[0] = 0
			c.in[i] = value.New(c.in[i].Type, shape...)
		}
		got, err := c.ours(nil)
		if err != nil {
			t.Errorf("%v, batch of %d made empty: %v", c, batch, err)
			continue
		}
		if y := got[0].(*value.Tensor); y.Len() != 0 || !slices.Contains(y.Shape, 0) {
			t.Errorf("%v gave %v", c, y)
		}
	}
}

func TestResultsDoNotDependOnTheNumberOfThreads(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 10))
	f := func(shape ...int) *value.Tensor { return randomTensor(r, onnxio.Float, shape...) }
	for _, c := range []oracleCase{
		{op: "Conv", opset: 22, attrs: []*onnxio.Attribute{onnxio.NewInts("pads", 1, 1, 1, 1)}, in: []*value.Tensor{f(2, 32, 40, 40), f(48, 32, 3, 3), f(48)}},
		{op: "ConvTranspose", opset: 22, attrs: []*onnxio.Attribute{onnxio.NewInts("strides", 2, 2)}, in: []*value.Tensor{f(1, 32, 20, 20), f(32, 16, 3, 3)}},
		{op: "LayerNormalization", opset: 17, in: []*value.Tensor{f(64, 300), f(300), f(300)}},
		{op: "InstanceNormalization", opset: 22, in: []*value.Tensor{f(2, 16, 64, 64), f(16), f(16)}},
		{op: "LSTM", opset: 14, outputs: 3, in: []*value.Tensor{f(6, 8, 64), f(1, 256, 64), f(1, 256, 64)}},
		{op: "Attention", opset: 23, in: []*value.Tensor{f(2, 4, 50, 32), f(2, 4, 60, 32), f(2, 4, 60, 32)}},
		{op: "DFT", opset: 20, in: []*value.Tensor{f(9, 1000, 2)}},
	} {
		want, err := c.ours(nil)
		if err != nil {
			t.Fatalf("%v: %v", c, err)
		}
		for _, threads := range []int{2, 5} {
			pool := kernels.NewPool(threads)
			got, err := c.ours(pool)
			pool.Close()
			if err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			if !slices.Equal(got[0].(*value.Tensor).Raw(), want[0].(*value.Tensor).Raw()) {
				t.Errorf("%v differs with %d threads", c, threads)
			}
		}
	}
}

func TestNetworkOperatorsRefuseWhatTheyDoNotUnderstand(t *testing.T) {
	f := func(shape ...int) *value.Tensor { return value.New(onnxio.Float, shape...) }
	for _, c := range []struct {
		oracleCase
		want string
	}{
		{oracleCase{op: "Conv", opset: 22, attrs: []*onnxio.Attribute{onnxio.NewInt("channels_last", 1)}, in: []*value.Tensor{f(1, 2, 3), f(1, 2, 1)}}, "channels_last"},
		{oracleCase{op: "Conv", opset: 22, in: []*value.Tensor{f(1, 2, 3), f(1, 3, 1)}}, "input of shape [1 2 3], weights of shape [1 3 1]"},
		{oracleCase{op: "Conv", opset: 22, attrs: []*onnxio.Attribute{onnxio.NewString("auto_pad", "SAME")}, in: []*value.Tensor{f(1, 2, 3), f(1, 2, 1)}}, "auto_pad"},
		{oracleCase{op: "MaxPool", opset: 8, attrs: []*onnxio.Attribute{onnxio.NewInts("kernel_shape", 2), onnxio.NewInt("ceil_mode", 1)}, in: []*value.Tensor{f(1, 1, 3)}}, "ceil_mode is not known for opset 8"},
		{oracleCase{op: "MaxPool", opset: 22, attrs: []*onnxio.Attribute{onnxio.NewInts("kernel_shape", 4)}, in: []*value.Tensor{f(1, 1, 3)}}, "smaller than the kernel"},
		{oracleCase{domain: "com.microsoft", op: "FusedConv", opset: 1, attrs: []*onnxio.Attribute{onnxio.NewString("activation", "Sine")}, in: []*value.Tensor{f(1, 2, 3), f(1, 2, 1)}}, "Sine"},
		{oracleCase{op: "BatchNormalization", opset: 15, in: []*value.Tensor{f(1, 2, 3), f(2), f(2), f(2), f(3)}}, "input 4 has shape [3]"},
		{oracleCase{op: "LSTM", opset: 22, attrs: []*onnxio.Attribute{onnxio.NewStrings("activations", "Sigmoid", "Tanh")}, in: []*value.Tensor{f(1, 1, 1), f(1, 4, 1), f(1, 4, 1)}}, "activations"},
		{oracleCase{op: "Attention", opset: 23, in: []*value.Tensor{f(1, 2, 3, 4), f(1, 2, 3, 5), f(1, 2, 3, 4)}}, "[1 2 3 5]"},
	} {
		if _, err := c.ours(nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, want an error that names %q", c.oracleCase, err, c.want)
		}
	}
}

// doubling is a body that gives its input times two.
type doubling struct{}

func (doubling) Inputs() int  { return 1 }
func (doubling) Outputs() int { return 1 }
func (doubling) Run(_ *Context, args []value.Value, _ []value.Value) ([]value.Value, error) {
	x := args[0].(*value.Tensor)
	y := value.New(onnxio.Float, x.Shape...)
	for i, v := range value.Of[float32](x) {
		value.Of[float32](y)[i] = 2 * v
	}
	return []value.Value{y}, nil
}

func TestFlexAttentionRunsItsBodies(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	in := []value.Value{randomTensor(r, onnxio.Float, 1, 2, 3, 4), randomTensor(r, onnxio.Float, 1, 1, 5, 4), randomTensor(r, onnxio.Float, 1, 1, 5, 2)}
	run := func(domain, op string, version int, attrs ...*onnxio.Attribute) *value.Tensor {
		n := NewNode(domain, op, version, attrs)
		n.Inputs, n.Outputs = []bool{true, true, true}, []bool{true}
		n.Compile = func(string, *onnxio.Graph) (Body, error) { return doubling{}, nil }
		k, err := Build(n)
		if err != nil {
			t.Fatal(err)
		}
		out, err := k.Run(&Context{}, in)
		if err != nil {
			t.Fatal(err)
		}
		return out[0].(*value.Tensor)
	}
	graph := onnxio.NewGraph("mod")
	for _, c := range []struct {
		body   string
		scale  float32 // of plain attention that does the same
		factor float32
	}{{"score_mod", 0.6, 1}, {"prob_mod", 0.3, 2}} {
		got := run("ai.onnx.preview", "FlexAttention", 1, onnxio.NewFloat("scale", 0.3), onnxio.NewGraphAttr(c.body, graph))
		want := run("", "Attention", 23, onnxio.NewFloat("scale", c.scale))
		for i := range value.Of[float32](want) {
			value.Of[float32](want)[i] *= c.factor
		}
		if err := sameTensor(got, want, 1e-6, 1e-6); err != nil {
			t.Errorf("%s: %v", c.body, err)
		}
	}
}
