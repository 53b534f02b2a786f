package channels_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

func analyse(t testing.TB, b *testmodels.Builder) *channels.Analysis {
	t.Helper()
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return channels.Analyze(g, s, channels.Options{})
}

// image is the input of most cases.
func image(b *testmodels.Builder, c int) string { return b.Input("x", onnxio.Float, "N", c, 8, 8) }

// head ends a graph in a convolution of its own, so that what comes before it is free.
func head(b *testmodels.Builder, x string, in int) {
	b.Output(b.Conv("head", x, in, 5, 1), onnxio.Float, "N", 5, "H", "W")
}

// Each case builds a small graph and says, weight by weight, how many output channels can go ("w 8"), or why none can ("w: words"); a line
// "w + v" says that both go together.
func TestChannelsPassThroughOperators(t *testing.T) {
	type B = testmodels.Builder
	cases := []struct {
		what  string
		build func(b *B)
		want  string
	}{
		{"a chain is free, its end is not", func(b *B) {
			x := b.Relu(b.BN("bn", b.Conv("a", image(b, 3), 3, 8, 3), 8))
			head(b, x, 8)
		}, "a 8; head: output"},
		{"a residual add couples both branches", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			head(b, b.Add(x, b.Conv("b", b.Relu(x), 8, 8, 3)), 8)
		}, "a 8; b 8; a + b"},
		{"a residual from the model's input pins the branch", func(b *B) {
			x := image(b, 4)
			head(b, b.Add(x, b.Conv("a", x, 4, 4, 3)), 4)
		}, "a: input"},
		{"channels that a Pad adds to a shortcut go with the branch that they meet", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 4, 3)
			x = b.Add(b.Conv("b", x, 4, 6, 1), b.Node("Pad", []string{x, b.Const([]int64{0, 0, 0, 0, 0, 2, 0, 0})}))
			head(b, x, 6)
		}, "a 4; b 6; a + b"},
		{"channels that a Pad mirrors stay", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 4, 3)
			head(b, b.Node("Pad", []string{x, b.Const([]int64{0, 0, 0, 0, 0, 2, 0, 0})}, testmodels.Attrs{"mode": "reflect"}), 6)
		}, "a: mode reflect"},
		{"concatenated branches stay apart", func(b *B) {
			x := image(b, 3)
			head(b, b.Concat(1, b.Conv("a", x, 3, 8, 3), b.Conv("b", x, 3, 6, 3)), 14)
		}, "a 8; b 6; a | b"},
		{"a concatenation with the input pins nothing but the input", func(b *B) {
			x := image(b, 3)
			head(b, b.Concat(1, b.Conv("a", x, 3, 8, 3), x), 11)
		}, "a 8"},
		{"concatenating a value with itself keeps one channel group", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			head(b, b.Concat(1, x, x), 16)
		}, "a 8"},
		{"a split and a part of it added to another convolution", func(b *B) {
			s := b.Split(b.Conv("a", image(b, 3), 3, 8, 3), 1, 3, 5)
			head(b, b.Concat(1, s[0], b.Add(s[1], b.Conv("b", s[0], 3, 5, 1))), 8)
		}, "a 8; b 5; a + b"},
		{"a depthwise convolution passes channels one by one", func(b *B) {
			x := b.Conv("dw", b.Relu(b.Conv("a", image(b, 3), 3, 8, 1)), 8, 8, 3, testmodels.Groups(8))
			head(b, x, 8)
		}, "a 8; dw 8; a + dw"},
		{"a depthwise convolution of the input is fixed", func(b *B) {
			head(b, b.Conv("dw", image(b, 4), 4, 4, 3, testmodels.Groups(4)), 4)
		}, "dw: input"},
		{"a grouped convolution goes by whole groups or by position", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 12, 1)
			head(b, b.Conv("g", x, 12, 12, 3, testmodels.Groups(2)), 12)
		}, "a 12; g 12; a/6; g/6"},
		{"flattening gives each channel its places as columns", func(b *B) {
			x := b.Conv("a", b.Input("x", onnxio.Float, 1, 3, 4, 4), 3, 8, 3)
			b.Output(b.Gemm("fc", b.Flatten(b.Relu(x)), 8*16, 10), onnxio.Float, 1, 10)
		}, "a 8; fc: output"},
		{"squeeze and excite gates its own channels", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			s := b.Relu(b.Conv("down", b.GlobalAveragePool(x), 8, 2, 1))
			s = b.Sigmoid(b.Conv("up", s, 2, 8, 1))
			head(b, b.Mul(x, s), 8)
		}, "a 8; down 2; up 8; a + up; a | down"},
		{"softmax over channels pins them", func(b *B) {
			head(b, b.Softmax(b.Conv("a", image(b, 3), 3, 8, 3), 1), 8)
		}, "a: Softmax"},
		{"softmax over places does not", func(b *B) {
			head(b, b.Softmax(b.Conv("a", image(b, 3), 3, 8, 3), 3), 8)
		}, "a 8"},
		{"an unknown operator is a barrier, and only there", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			y := b.Node("my.domain::Mystery", []string{b.Conv("b", x, 8, 8, 3)})
			b.ValueInfo(y, onnxio.Float, "N", 8, 8, 8)
			head(b, b.Add(b.Conv("c", x, 8, 5, 1), b.Conv("d", y, 8, 5, 1)), 5)
		}, "a 8; b: no rule for my.domain.Mystery; c 5; d 5; c + d"},
		{"an attribute that is not known makes a barrier", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			head(b, b.Node("Relu", []string{x}, testmodels.Attrs{"strange": 1}), 8)
		}, "a: attribute strange"},
		{"a single channel that is broadcast stays", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			head(b, b.Mul(x, b.Sigmoid(b.Conv("gate", x, 8, 1, 1))), 8)
		}, "a 8; gate: single"},
		{"a transposed convolution's output axis is its second", func(b *B) {
			head(b, b.ConvTranspose("up", b.Conv("a", image(b, 3), 3, 8, 3), 8, 6, 2, testmodels.Stride(2)), 6)
		}, "a 8; up 6; a | up"},
		{"pixel shuffle keeps whole blocks", func(b *B) {
			x := b.Conv("a", b.Input("x", onnxio.Float, 1, 3, 8, 8), 3, 12, 3)
			x = b.Reshape(x, 1, 3, 2, 2, 8, 8)
			x = b.Reshape(b.Transpose(x, 0, 1, 4, 2, 5, 3), 1, 3, 16, 16)
			head(b, x, 3)
		}, "a 12; a/3"},
		{"a channel shuffle keeps the blocks and takes positions", func(b *B) {
			x := b.Conv("a", b.Input("x", onnxio.Float, 1, 3, 8, 8), 3, 12, 1)
			x = b.Reshape(b.Transpose(b.Reshape(x, 1, 2, 6, 8, 8), 0, 2, 1, 3, 4), 1, 12, 8, 8)
			head(b, x, 12)
		}, "a 12; a/6"},
		{"attention written out prunes the width of its heads", func(b *B) {
			x := b.MatMul("embed", b.Input("x", onnxio.Float, 1, 10, 16), 16, 24)
			heads := func(n string) string {
				return b.Transpose(b.Reshape(b.MatMul(n, x, 24, 12), 1, 10, 3, 4), 0, 2, 1, 3)
			}
			q, k, v := heads("q"), heads("k"), heads("v")
			p := b.Softmax(b.Node("MatMul", []string{q, b.Transpose(k, 0, 1, 3, 2)}), -1)
			y := b.Reshape(b.Transpose(b.Node("MatMul", []string{p, v}), 0, 2, 1, 3), 1, 10, 12)
			b.Output(b.MatMul("out", y, 12, 7), onnxio.Float, 1, 10, 7)
		}, "embed 24; q 12; k 12; v 12; q + k; q/4; v/4; q | v; out: output"},
		{"layer normalisation runs across channels", func(b *B) {
			x := b.MatMul("a", b.Input("x", onnxio.Float, 1, 10, 16), 16, 24)
			x = b.Node("LayerNormalization", []string{x, b.Vector("s", 24, 1, 0.1)})
			b.Output(b.MatMul("out", x, 24, 7), onnxio.Float, 1, 10, 7)
		}, "a: LayerNormalization"},
		{"a slice of channels", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			head(b, b.Slice(x, 1, 2, 6), 4)
		}, "a 8"},
		{"constant indices pick channels", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 4, 3)
			head(b, b.Gather(x, b.Const([]int64{3, 0, 1, 2}), 1), 4)
		}, "a 4"},
		{"the indices of a pooling count all channels", func(b *B) {
			x := b.Conv("a", image(b, 3), 3, 8, 3)
			out := b.NodeN("MaxPool", []string{x}, 2, testmodels.Attrs{"kernel_shape": []int{2, 2}})
			b.Output(out[1], onnxio.Int64, "N", 8, 7, 7)
			head(b, out[0], 8)
		}, "a: indices"},
		{"what a branch captures is pinned with everything that is added to it", func(b *B) {
			x := image(b, 3)
			y := b.Add(b.Conv("a", x, 3, 4, 1), b.Conv("b", b.Conv("free", x, 3, 6, 1), 6, 4, 1))
			branch := func(name, op string) *B {
				s := b.Body(name)
				s.Output(s.Node(op, []string{y}), onnxio.Float, "N", 4, 8, 8)
				return s
			}
			cond := b.Input("cond", onnxio.Bool, 1)
			z := b.Named("choice").Node("If", []string{cond}, testmodels.Attrs{"then_branch": branch("then", "Relu"), "else_branch": branch("else", "Tanh")})
			head(b, z, 4)
		}, `a: captured by If "choice"; b: captured by If "choice"; free 6`},
		{"a weight inside a branch, and one that it shares", func(b *B) {
			x := image(b, 4)
			w := b.Weight("shared", 4, 4, 1, 1)
			y := b.Node("Conv", []string{x, w})
			branch := func(name, weight string) *B {
				s := b.Body(name)
				if weight == "" {
					weight = s.Weight("own", 4, 4, 1, 1)
				}
				s.Output(s.Node("Conv", []string{x, weight}), onnxio.Float, "N", 4, 8, 8)
				return s
			}
			cond := b.Input("cond", onnxio.Bool, 1)
			z := b.Named("choice").Node("If", []string{cond}, testmodels.Attrs{"then_branch": branch("then", w), "else_branch": branch("else", "")})
			b.Output(z, onnxio.Float, "N", 4, 8, 8)
			head(b, y, 4)
		}, `shared: shared with the body of If "choice"; choice/else_branch/own: inside the body of If "choice"`},
	}
	for _, c := range cases {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			c.build(b)
			check(t, analyse(t, b), c.want)
		})
	}
}

// check compares an analysis with a description: see TestChannelsPassThroughOperators. "a/6" says that the channels of a go in six
// classes, "a | b" that a and b share none.
func check(t *testing.T, a *channels.Analysis, want string) {
	t.Helper()
	find := func(name string) *channels.Param {
		for _, p := range a.Params {
			if p.Name == name || strings.TrimSuffix(p.Name, ".weight") == name {
				return p
			}
		}
		t.Fatalf("there is no weight %q", name)
		return nil
	}
	classes := func(name string) []string {
		var out []string
		for _, c := range a.Classes(find(name)) {
			out = append(out, fmt.Sprint(c))
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	for _, line := range strings.Split(want, "; ") {
		if x, y, ok := strings.Cut(line, " + "); ok {
			if !share(classes(x), classes(y)) {
				t.Errorf("%s and %s share no channels", x, y)
			}
			continue
		}
		if x, y, ok := strings.Cut(line, " | "); ok {
			if share(classes(x), classes(y)) {
				t.Errorf("%s and %s share channels", x, y)
			}
			continue
		}
		if x, why, ok := strings.Cut(line, ": "); ok {
			if p := find(x); p.Reason == nil || !strings.Contains(p.Reason.Text, why) {
				t.Errorf("%s: %d can go, because %v; want none, because of %q", x, p.Free, p.Reason, why)
			}
			continue
		}
		if x, n, ok := strings.Cut(line, "/"); ok {
			if got := len(classes(x)); fmt.Sprint(got) != n {
				t.Errorf("the channels of %s go in %d classes, want %s", x, got, n)
			}
			continue
		}
		x, n, _ := strings.Cut(line, " ")
		if p := find(x); fmt.Sprint(p.Free) != n {
			t.Errorf("%d channels of %s can go, want %s (%v)", p.Free, x, n, p.Reason)
		}
	}
}

func share(a, b []string) bool {
	return slices.ContainsFunc(a, func(x string) bool { return slices.Contains(b, x) })
}
