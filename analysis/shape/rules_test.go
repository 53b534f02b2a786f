package shape_test

import (
	"fmt"
	"strings"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	tm "onnxprune/testmodels"
)

const float = onnxio.Float

// infer builds the graph and infers it.
func infer(t *testing.T, b *tm.Builder, opt shape.Options) (*graph.Graph, *shape.Result, error) {
	t.Helper()
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	r, err := shape.Infer(g, opt)
	return g, r, err
}

// TestSymbolicShapes: the value y of small graphs over an image [N,3,H,W], by hand.
func TestSymbolicShapes(t *testing.T) {
	ints := func(v ...int64) []int64 { return v }
	for _, c := range []struct {
		name  string
		write func(b *tm.Builder, x string) string
		want  string
	}{
		{"a convolution with stride 2 and padding 1", func(b *tm.Builder, x string) string {
			return b.Node("Conv", []string{x, b.Weight("w", 8, 3, 3, 3)}, tm.Attrs{"strides": ints(2, 2), "pads": ints(1, 1, 1, 1)})
		}, "float32[N,8,floor((H+1)/2),floor((W+1)/2)]"},
		{"a dilated convolution", func(b *tm.Builder, x string) string {
			return b.Node("Conv", []string{x, b.Weight("w", 8, 3, 3, 3)}, tm.Attrs{"dilations": ints(2, 2), "pads": ints(2, 2, 2, 2)})
		}, "float32[N,8,H,W]"},
		{"SAME_UPPER rounds up", func(b *tm.Builder, x string) string {
			return b.Node("Conv", []string{x, b.Weight("w", 8, 3, 3, 3)}, tm.Attrs{"strides": ints(2, 2), "auto_pad": "SAME_UPPER"})
		}, "float32[N,8,floor((H+1)/2),floor((W+1)/2)]"},
		{"a pool with ceil_mode", func(b *tm.Builder, x string) string {
			return b.Node("MaxPool", []string{x}, tm.Attrs{"kernel_shape": ints(2, 2), "strides": ints(2, 2), "ceil_mode": 1})
		}, "float32[N,3,floor((H+1)/2),floor((W+1)/2)]"},
		{"a transposed convolution doubles", func(b *tm.Builder, x string) string {
			return b.Node("ConvTranspose", []string{x, b.Weight("w", 3, 4, 2, 2)}, tm.Attrs{"strides": ints(2, 2)})
		}, "float32[N,4,2*H,2*W]"},
		{"Resize by scales of 2", func(b *tm.Builder, x string) string {
			return b.Node("Resize", []string{x, "", b.Const([]float32{1, 1, 2, 2})})
		}, "float32[N,3,2*H,2*W]"},
		{"Resize by scales of one half", func(b *tm.Builder, x string) string {
			return b.Node("Resize", []string{x, "", b.Const([]float32{1, 1, 0.5, 0.5})})
		}, "float32[N,3,floor(H/2),floor(W/2)]"},
		{"Flatten", func(b *tm.Builder, x string) string { return b.Node("Flatten", []string{x}) }, "float32[N,3*H*W]"},
		{"Reshape with 0 and -1", func(b *tm.Builder, x string) string {
			return b.Node("Reshape", []string{x, b.Const([]int64{0, 3, -1})})
		}, "float32[N,3,H*W]"},
		{"Reshape of a product back", func(b *tm.Builder, x string) string {
			y := b.Node("Reshape", []string{x, b.Const([]int64{0, 3, -1})})
			s := b.Node("Shape", []string{x})
			return b.Node("Reshape", []string{y, s})
		}, "float32[N,3,H,W]"},
		{"a target that Shape, Gather and Concat compute", func(b *tm.Builder, x string) string {
			s := b.Node("Shape", []string{x})
			batch := b.Node("Gather", []string{s, b.Const([]int64{0})})
			return b.Node("Reshape", []string{x, b.Node("Concat", []string{batch, b.Const([]int64{-1, 3})}, tm.Attrs{"axis": 0})})
		}, "float32[N,H*W,3]"},
		{"sizes that floats compute: Floor(Cast(H)*2)", func(b *tm.Builder, x string) string {
			s := b.Node("Slice", []string{b.Node("Shape", []string{x}), b.Const([]int64{2}), b.Const([]int64{4})})
			f := b.Node("Cast", []string{s}, tm.Attrs{"to": onnxio.Float})
			d := b.Node("Floor", []string{b.Node("Mul", []string{f, b.Const([]float32{2, 1.5})})})
			i := b.Node("Cast", []string{d}, tm.Attrs{"to": onnxio.Int64})
			sizes := b.Node("Concat", []string{b.Node("Slice", []string{b.Node("Shape", []string{x}), b.Const([]int64{0}), b.Const([]int64{2})}), i}, tm.Attrs{"axis": 0})
			return b.Node("Resize", []string{x, "", "", sizes})
		}, "float32[N,3,2*H,W+floor(W/2)]"},
		{"Slice to the middle", func(b *tm.Builder, x string) string {
			extent := b.Node("Gather", []string{b.Node("Shape", []string{x}), b.Const([]int64{2})})
			half := b.Node("Div", []string{extent, b.Const([]int64{2})})
			return b.Node("Slice", []string{x, b.Const([]int64{0}), half, b.Const([]int64{2})})
		}, "float32[N,3,floor(H/2),W]"},
		{"Slice that drops the first and the last", func(b *tm.Builder, x string) string {
			return b.Node("Slice", []string{x, b.Const([]int64{1}), b.Const([]int64{-1}), b.Const([]int64{1})})
		}, "float32[N,1,H,W]"},
		{"Slice every other from the end", func(b *tm.Builder, x string) string {
			return b.Node("Slice", []string{x, b.Const([]int64{-1}), b.Const([]int64{-1 << 40}), b.Const([]int64{3}), b.Const([]int64{-2})})
		}, "float32[N,3,H,floor((W+1)/2)]"},
		{"Concat adds extents", func(b *tm.Builder, x string) string {
			return b.Node("Concat", []string{x, b.Node("Relu", []string{x})}, tm.Attrs{"axis": 2})
		}, "float32[N,3,2*H,W]"},
		{"broadcasting against a vector of channels", func(b *tm.Builder, x string) string {
			return b.Node("Mul", []string{x, b.ConstDims("s", ints(3, 1, 1), []float32{1, 2, 3})})
		}, "float32[N,3,H,W]"},
		{"DepthToSpace", func(b *tm.Builder, x string) string {
			y := b.Node("Conv", []string{x, b.Weight("w", 12, 3, 1, 1)})
			return b.Node("DepthToSpace", []string{y}, tm.Attrs{"blocksize": 2})
		}, "float32[N,3,2*H,2*W]"},
		{"Transpose", func(b *tm.Builder, x string) string {
			return b.Node("Transpose", []string{x}, tm.Attrs{"perm": ints(0, 2, 3, 1)})
		}, "float32[N,H,W,3]"},
		{"MatMul of the last axis", func(b *tm.Builder, x string) string {
			y := b.Node("Transpose", []string{x}, tm.Attrs{"perm": ints(0, 2, 3, 1)})
			return b.Node("MatMul", []string{y, b.Weight("w", 3, 7)})
		}, "float32[N,H,W,7]"},
		{"Einsum", func(b *tm.Builder, x string) string {
			return b.Node("Einsum", []string{x, x}, tm.Attrs{"equation": "bchw,bkhw->bck"})
		}, "float32[N,3,3]"},
		{"ConstantOfShape of a shape", func(b *tm.Builder, x string) string {
			return b.Node("ConstantOfShape", []string{b.Node("Shape", []string{x})})
		}, "float32[N,3,H,W]"},
		{"Range over the width", func(b *tm.Builder, x string) string {
			extent := b.Node("Gather", []string{b.Node("Shape", []string{x}), b.ConstDims("three", nil, []int64{3})})
			return b.Node("Range", []string{b.ConstDims("zero", nil, []int64{0}), extent, b.ConstDims("one", nil, []int64{1})})
		}, "int64[W]"},
		{"ReduceMean without keepdims", func(b *tm.Builder, x string) string {
			return b.Node("ReduceMean", []string{x}, tm.Attrs{"axes": ints(2, 3), "keepdims": 0})
		}, "float32[N,3]"},
		{"an If that its condition decides", func(b *tm.Builder, x string) string {
			channels := b.Node("Gather", []string{b.Node("Shape", []string{x}), b.ConstDims("one", nil, []int64{1})})
			cond := b.Node("Equal", []string{channels, b.ConstDims("k", nil, []int64{4})})
			yes, no := b.Body("yes"), b.Body("no")
			yes.Output(yes.Node("Squeeze", []string{x, yes.Const([]int64{1})}), float)
			no.Output(no.Node("Identity", []string{x}), float)
			return b.Node("If", []string{cond}, tm.Attrs{"then_branch": yes, "else_branch": no})
		}, "float32[N,3,H,W]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := tm.New(17)
			y := c.write(b, b.Input("x", float, "N", 3, "H", "W"))
			b.Output(y, float)
			g, r, err := infer(t, b, shape.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Of(g.Main.Lookup(y)).String(); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestContradictionsAreNamed: what can not run is an error that names the node, its tensors and their shapes.
func TestContradictionsAreNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(b *tm.Builder, x string) string
		parts []string
	}{
		{"Concat of unequal shapes", func(b *tm.Builder, x string) string {
			return b.Named("join").Node("Concat", []string{x, b.Weight("c", 1, 3, 9, 8)}, tm.Attrs{"axis": 1})
		}, []string{`Concat "join"`, `"x" float32[1,3,8,8]`, `"c" float32[1,3,9,8]`, "axis 2"}},
		{"Concat along an axis that is not there", func(b *tm.Builder, x string) string {
			return b.Named("join").Node("Concat", []string{x, x}, tm.Attrs{"axis": 4})
		}, []string{`Concat "join"`, "axis 4", `"x" float32[1,3,8,8]`}},
		{"a weight of other channels", func(b *tm.Builder, x string) string {
			return b.Named("conv").Node("Conv", []string{x, b.Weight("w", 8, 4, 3, 3)})
		}, []string{`Conv "conv"`, `"x" float32[1,3,8,8]`, `"w" float32[8,4,3,3]`, "3 channels", "takes 4"}},
		{"a bias of another length", func(b *tm.Builder, x string) string {
			return b.Named("conv").Node("Conv", []string{x, b.Weight("w", 8, 3, 3, 3), b.Weight("bias", 7)})
		}, []string{`Conv "conv"`, `"bias" float32[7]`, "length 8"}},
		{"filters that do not divide into groups", func(b *tm.Builder, x string) string {
			return b.Named("conv").Node("Conv", []string{x, b.Weight("w", 8, 1, 3, 3)}, tm.Attrs{"group": 3})
		}, []string{`Conv "conv"`, `"w" float32[8,1,3,3]`, "3 groups"}},
		{"a kernel larger than its input", func(b *tm.Builder, x string) string {
			return b.Named("conv").Node("Conv", []string{x, b.Weight("w", 8, 3, 9, 9)})
		}, []string{`Conv "conv"`, "larger"}},
		{"shapes that can not be broadcast", func(b *tm.Builder, x string) string {
			return b.Named("sum").Node("Add", []string{x, b.Weight("c", 1, 4, 8, 8)})
		}, []string{`Add "sum"`, `"x" float32[1,3,8,8]`, `"c" float32[1,4,8,8]`}},
		{"a shape that does not hold the elements", func(b *tm.Builder, x string) string {
			return b.Named("r").Node("Reshape", []string{x, b.Const([]int64{1, 100})})
		}, []string{`Reshape "r"`, "192 elements", "[1 100]"}},
		{"a -1 that does not come out", func(b *tm.Builder, x string) string {
			return b.Named("r").Node("Reshape", []string{x, b.Const([]int64{5, -1})})
		}, []string{`Reshape "r"`, "192 elements", "[5 -1]"}},
		{"inner extents that differ", func(b *tm.Builder, x string) string {
			return b.Named("m").Node("MatMul", []string{x, b.Weight("w", 9, 4)})
		}, []string{`MatMul "m"`, `"w" float32[9,4]`, "inner extents"}},
		{"a Gemm of inner extents that differ", func(b *tm.Builder, x string) string {
			flat := b.Node("Flatten", []string{x})
			return b.Named("m").Node("Gemm", []string{flat, b.Weight("w", 10, 100)}, tm.Attrs{"transB": 1})
		}, []string{`Gemm "m"`, `"w" float32[10,100]`, "192", "100"}},
		{"batch norm vectors of another length", func(b *tm.Builder, x string) string {
			v := b.Weight("v", 4)
			return b.Named("bn").Node("BatchNormalization", []string{x, v, v, v, v})
		}, []string{`BatchNormalization "bn"`, `"v" float32[4]`, "length 3"}},
		{"parts that do not make the whole", func(b *tm.Builder, x string) string {
			return b.Named("s").NodeN("Split", []string{x, b.Const([]int64{1, 1})}, 2, tm.Attrs{"axis": 1})[0]
		}, []string{`Split "s"`, "[1 1]", "3 entries"}},
		{"a permutation of other axes", func(b *tm.Builder, x string) string {
			return b.Named("t").Node("Transpose", []string{x}, tm.Attrs{"perm": []int64{0, 1, 2}})
		}, []string{`Transpose "t"`, "[0 1 2]"}},
		{"an index outside of its axis", func(b *tm.Builder, x string) string {
			return b.Named("g").Node("Gather", []string{x, b.Const([]int64{3})}, tm.Attrs{"axis": 1})
		}, []string{`Gather "g"`, "index 3", "axis 1"}},
		{"removing an axis that is not 1", func(b *tm.Builder, x string) string {
			return b.Named("q").Node("Squeeze", []string{x, b.Const([]int64{1})})
		}, []string{`Squeeze "q"`, "axis 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := tm.New(17)
			y := c.write(b, b.Input("x", float, 1, 3, 8, 8))
			b.Output(y, float)
			_, _, err := infer(t, b, shape.Options{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range c.parts {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not mention %s", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q is more than one line", err)
			}
		})
	}
}

func TestInputShapesCanBeFixed(t *testing.T) {
	build := func() *tm.Builder {
		b := tm.New(17)
		x := b.Input("image", float, "N", 3, "H", -1)
		b.Output(b.Node("Conv", []string{x, b.Weight("w", 8, 3, 3, 3)}, tm.Attrs{"strides": []int64{2, 2}, "pads": []int64{1, 1, 1, 1}}), float)
		return b
	}
	for _, c := range []struct {
		name   string
		inputs map[string][]int64
		want   string // the output, or a part of the error
	}{
		{"nothing is fixed", nil, "float32[N,8,floor((H+1)/2),floor((image.3+1)/2)]"},
		{"all axes are fixed", map[string][]int64{"image": {2, 3, 608, 320}}, "float32[2,8,304,160]"},
		{"an input that the model does not have", map[string][]int64{"img": {1, 3, 8, 8}}, `no input "img"`},
		{"another number of axes", map[string][]int64{"image": {3, 8, 8}}, `input "image" has 4 axes`},
		{"another number of channels", map[string][]int64{"image": {1, 4, 8, 8}}, `input "image": axis 1 is 3`},
		{"a negative extent", map[string][]int64{"image": {-1, 3, 8, 8}}, "negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, r, err := infer(t, build(), shape.Options{Inputs: c.inputs})
			got := fmt.Sprint(err)
			if err == nil {
				got = r.Of(g.Main.Outputs[0]).String()
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// TestDeclarationsFillWhatIsOpen: a declared extent takes the place of an invented symbol, and of nothing else.
func TestDeclarationsFillWhatIsOpen(t *testing.T) {
	b := tm.New(17)
	x := b.Input("x", float, "N", 3, 8, 8)
	hits := b.Node("NonZero", []string{x})
	b.ValueInfo(hits, onnxio.Int64, 4, 100)
	y := b.Node("Relu", []string{x})
	b.ValueInfo(y, float, 1, 3, 8, 8)
	other := b.Node("Sigmoid", []string{x})
	b.ValueInfo(other, float, 1, 5, 8, 8)
	unknown := b.Node("acme::Mystery", []string{x})
	b.ValueInfo(unknown, float, "M", 7)
	b.Output(unknown, float)
	g, r, err := infer(t, b, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{hits: "int64[4,100]", y: "float32[N,3,8,8]", other: "float32[N,3,8,8]", unknown: "float32[" + unknown + ".0,7]"} {
		if got := r.Of(g.Main.Lookup(name)).String(); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// TestLoopsWiden: what a loop carries keeps the extents that no iteration changes, and those alone.
func TestLoopsWiden(t *testing.T) {
	b := tm.New(17)
	x := b.Input("x", float, "N", 4)
	trips := b.Input("trips", onnxio.Int64)
	keep := b.ConstDims("true", nil, []bool{true})
	body := b.Body("body")
	body.Input("i", onnxio.Int64)
	body.Input("go", onnxio.Bool)
	grows := body.InputType("grows", nil)
	stays := body.InputType("stays", nil)
	grown := body.Node("Concat", []string{grows, x}, tm.Attrs{"axis": 0})
	kept := body.Node("Relu", []string{stays})
	scan := body.Node("Identity", []string{grown})
	body.Output(body.Node("Identity", []string{"go"}), onnxio.Bool)
	body.Output(grown, float)
	body.Output(kept, float)
	body.Output(scan, float)
	body.Output(body.Node("Relu", []string{x}), float)
	out := b.NodeN("Loop", []string{trips, keep, x, x}, 4, tm.Attrs{"body": body})
	for _, o := range out {
		b.Output(o, float)
	}
	g, r, err := infer(t, b, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"float32[" + out[0] + ".0,4]", "float32[N,4]", "float32[" + out[2] + ".0," + out[2] + ".1,4]", "float32[" + out[3] + ".0,N,4]"} {
		if got := r.Of(g.Main.Lookup(out[i])).String(); got != want {
			t.Errorf("output %d: got %s, want %s", i, got, want)
		}
	}
}

// TestBodiesThatNeverRunDoNotContradict: the branch that the condition rules out may be wrong, the other may not.
func TestBodiesThatNeverRunDoNotContradict(t *testing.T) {
	build := func(cond bool) *tm.Builder {
		b := tm.New(17)
		x := b.Input("x", float, 1, 3, 8, 8)
		yes, no := b.Body("yes"), b.Body("no")
		yes.Output(yes.Node("Add", []string{x, yes.Weight("w", 1, 4, 8, 8)}), float)
		no.Output(no.Node("Relu", []string{x}), float)
		b.Output(b.Node("If", []string{b.ConstDims("c", nil, []bool{cond})}, tm.Attrs{"then_branch": yes, "else_branch": no}), float)
		return b
	}
	if _, _, err := infer(t, build(true), shape.Options{}); err == nil {
		t.Error("the branch that runs contradicts itself, and that is no error")
	}
	g, r, err := infer(t, build(false), shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Of(g.Main.Outputs[0]).String(); got != "float32[1,3,8,8]" {
		t.Errorf("got %s", got)
	}
}

// TestEveryListedOperatorIsRegisteredOnce: no operator has two rules from the same version on.
func TestEveryListedOperatorIsRegisteredOnce(t *testing.T) {
	seen := map[shape.Operator]bool{}
	for _, o := range shape.Operators() {
		if seen[o] {
			t.Errorf("%v has two rules", o)
		}
		seen[o] = true
	}
	if len(seen) < 250 {
		t.Errorf("only %d operators are registered", len(seen))
	}
}

// standard lists the operators of ai.onnx up to opset 26, as ONNX's own Operators.md does.
const standard = `Abs Acos Acosh Add AffineGrid And ArgMax ArgMin Asin Asinh Atan Atanh Attention AveragePool BatchNormalization
	Bernoulli BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Cast CastLike Ceil Celu CenterCropPad Clip Col2Im
	Compress Concat ConcatFromSequence Constant ConstantOfShape Conv ConvInteger ConvTranspose Cos Cosh CumProd CumSum DFT DeformConv
	DepthToSpace DequantizeLinear Det Div Dropout DynamicQuantizeLinear Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather
	GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization
	HammingWindow HannWindow HardSigmoid HardSwish Hardmax Identity If ImageDecoder InstanceNormalization IsInf IsNaN LRN LSTM
	LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul MatMulInteger Max MaxPool MaxRoiPool
	MaxUnpool Mean MeanVarianceNormalization MelWeightMatrix Min Mish Mod Mul Multinomial Neg NegativeLogLikelihoodLoss NonMaxSuppression
	NonZero Not OneHot Optional OptionalGetElement OptionalHasElement Or PRelu Pad Pow QLinearConv QLinearMatMul QuantizeLinear
	RMSNormalization RNN RandomNormal RandomNormalLike RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum
	ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare RegexFullMatch Relu Reshape Resize ReverseSequence
	RoiAlign RotaryEmbedding Round STFT Scan Scatter ScatterElements ScatterND Selu SequenceAt SequenceConstruct SequenceEmpty SequenceErase
	SequenceInsert SequenceLength SequenceMap Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax SoftmaxCrossEntropyLoss Softplus Softsign
	SpaceToDepth Split SplitToSequence Sqrt Squeeze StringConcat StringNormalizer StringSplit Sub Sum Swish Tan Tanh TensorScatter
	TfIdfVectorizer ThresholdedRelu Tile TopK Transpose Trilu Unique Unsqueeze Upsample Where Xor`

func TestEveryStandardOperatorHasARule(t *testing.T) {
	has := map[string]bool{}
	for _, o := range shape.Operators() {
		if o.Domain == "" {
			has[o.Name] = true
		}
	}
	for _, op := range strings.Fields(standard) {
		if !has[op] {
			t.Errorf("%s has no rule", op)
		}
	}
}
