package calibrate_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/layers"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/recovery"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime"
	"onnxprune/runtime/calibrate"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

type (
	builder = testmodels.Builder
	attrs   = testmodels.Attrs
)

// noise is pictures of random numbers, 3 x 16 x 16.
type noise int

func (n noise) Len() int { return int(n) }

func (n noise) Feed(i int) (map[string]value.Value, error) {
	r := rand.New(rand.NewPCG(7, uint64(i)))
	data := make([]float32, 3*16*16)
	for k := range data {
		data[k] = float32(r.NormFloat64())
	}
	return map[string]value.Value{"x": value.From(data, 1, 3, 16, 16)}, nil
}

// twins is a convolution of eight filters, of which the last four are copies of the first.
func twins(b *builder, x string) string {
	r := rand.New(rand.NewPCG(3, 3))
	w := make([]float32, 8*27)
	for i := range 4 * 27 {
		w[i] = float32(r.NormFloat64())
		w[4*27+i] = w[i]
	}
	b.ConstDims("stem", []int64{8, 3, 3, 3}, w)
	return b.Relu(b.Node("Conv", []string{x, "stem"}, attrs{"pads": []int{1, 1, 1, 1}}))
}

type network struct {
	model *onnxio.Model
	a     *channels.Analysis
}

func analysed(t *testing.T, m *onnxio.Model) network {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return network{m, channels.Analyze(g, s, channels.Options{})}
}

// copies returns the classes of the last four channels of the weight "stem".
func (n network) copies(t *testing.T) map[atoms.ID]bool {
	t.Helper()
	out := map[atoms.ID]bool{}
	for _, p := range n.a.Params {
		if p.Name == "stem" {
			for _, c := range n.a.Classes(p)[4:] {
				out[c] = true
			}
		}
	}
	if len(out) != 4 {
		t.Fatalf("%d channels can go, want 4", len(out))
	}
	return out
}

func output(t *testing.T, m *onnxio.Model, in map[string]value.Value) []float64 {
	t.Helper()
	s, err := runtime.Compile(m, runtime.Options{Engine: runtime.Walk, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	vs, _ := out[m.Graph.Outputs[0].Name].(*value.Tensor).Floats()
	return vs
}

// off is the root of the mean square of b - a, over that of a.
func off(a, b []float64) float64 {
	d, s := 0.0, 0.0
	for i := range a {
		d += (a[i] - b[i]) * (a[i] - b[i])
		s += a[i] * a[i]
	}
	return math.Sqrt(d / s)
}

// Channels that others have copies of go without a loss, once the layer behind is repaired: in every form that its weight may have.
func TestWhatOthersHaveACopyOfGoesWithoutLoss(t *testing.T) {
	conv := attrs{"pads": []int{1, 1, 1, 1}}
	flat := func(b *builder, x string) string { return b.Flatten(b.MaxPool(x, 4, 4)) } // 8 x 4 x 4
	for _, c := range []struct {
		what  string
		build func(b *builder, x string) string // the output, of five channels
		bound float64
	}{
		{"a convolution without a bias", func(b *builder, x string) string { return b.Conv("c", x, 8, 5, 3) }, 0.05},
		{"a convolution with a bias", func(b *builder, x string) string { return b.Conv("c", x, 8, 5, 3, testmodels.Bias()) }, 0.05},
		{"a batch norm behind", func(b *builder, x string) string { return b.BN("n", b.Conv("c", x, 8, 5, 3), 5) }, 0.05},
		{"strides and dilation", func(b *builder, x string) string {
			return b.Conv("c", x, 8, 5, 3, testmodels.Stride(2), testmodels.Dilation(2), testmodels.Pad(2))
		}, 0.05},
		{"padding that the input decides", func(b *builder, x string) string {
			return b.Node("Conv", []string{x, b.Weight("c", 5, 8, 3, 3)}, attrs{"auto_pad": "SAME_UPPER", "strides": []int{2, 2}})
		}, 0.05},
		{"a depthwise convolution between", func(b *builder, x string) string {
			return b.Conv("c", b.Relu(b.Conv("d", x, 8, 8, 1, testmodels.Groups(8))), 8, 5, 1)
		}, 1}, // what its filters make of copies are no copies: only no worse
		{"a transposed convolution", func(b *builder, x string) string {
			return b.Node("ConvTranspose", []string{x, b.Weight("c", 8, 5, 2, 2)}, attrs{"strides": []int{2, 2}})
		}, 0.08},
		{"Gemm behind Flatten", func(b *builder, x string) string { return b.Gemm("c", flat(b, x), 128, 5) }, 0.3},
		{"Gemm with transB", func(b *builder, x string) string {
			return b.Node("Gemm", []string{b.Flatten(b.GlobalAveragePool(x)), b.Weight("c", 5, 8)}, attrs{"transB": 1, "alpha": 0.5})
		}, 0.1},
		{"MatMul and Add", func(b *builder, x string) string {
			y := b.Node("MatMul", []string{b.Transpose(x, 0, 2, 3, 1), b.Weight("c", 8, 5)})
			return b.Add(y, b.Vector("v", 5, 0, 1))
		}, 0.05},
		{"MatMul alone", func(b *builder, x string) string {
			return b.Node("MatMul", []string{b.Transpose(x, 0, 2, 3, 1), b.Weight("c", 8, 5)})
		}, 0.05},
		{"a weight in a Constant node", func(b *builder, x string) string {
			b.Constants = true
			return b.Conv("c", x, 8, 5, 3)
		}, 0.05},
		{"a weight behind Transpose", func(b *builder, x string) string {
			w := b.Transpose(b.Weight("c", 3, 3, 8, 5), 3, 2, 0, 1)
			return b.Node("Conv", []string{x, w}, conv)
		}, 0.05},
		{"a weight behind Reshape and Identity", func(b *builder, x string) string {
			w := b.Node("Identity", []string{b.Reshape(b.Weight("c", 5, 8, 9), 5, 8, 3, 3)})
			return b.Node("Conv", []string{x, w}, conv)
		}, 0.05},
		{"a quantised weight", func(b *builder, x string) string {
			q := make([]int8, 5*8*9)
			r := rand.New(rand.NewPCG(5, 5))
			for i := range q {
				q[i] = int8(r.IntN(100) - 50)
			}
			b.ConstDims("q", []int64{5, 8, 3, 3}, q)
			w := b.Node("DequantizeLinear", []string{"q", b.Const([]float32{.01, .02, .01, .02, .01}), b.Const([]int8{0, 0, 0, 0, 0})}, attrs{"axis": 0})
			return b.Node("Conv", []string{x, w}, conv)
		}, 0.05},
		{"a weight of two layers", func(b *builder, x string) string {
			w := b.Weight("c", 5, 8, 3, 3)
			return b.Concat(1, b.Node("Conv", []string{x, w}, conv), b.Node("Conv", []string{b.MaxPool(x, 1, 1), w}, conv))
		}, 0.05},
		{"two conv groups", func(b *builder, x string) string {
			both := b.Concat(1, x, x)
			return b.Conv("c", both, 16, 6, 3, testmodels.Groups(2))
		}, 0.05},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			x := b.Input("x", onnxio.Float, 1, 3, 16, 16)
			y := c.build(b, twins(b, x))
			b.OutputType(y, nil)
			n := analysed(t, b.Model())
			ls, left := layers.Of(n.a)
			if len(left) > 0 {
				t.Fatalf("left alone: %s: %s", left[0].Node.Path, left[0].Why)
			}
			st, err := calibrate.Collect(context.Background(), n.model, ls, noise(24), calibrate.Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			m, err := recovery.New(n.a, st)
			if err != nil {
				t.Fatal(err)
			}
			removed := n.copies(t)
			p, err := plan.Build(n.a, removed)
			if err != nil {
				t.Fatal(err)
			}
			cut, err := rewrite.Apply(n.model, p)
			if err != nil {
				t.Fatal(err)
			}
			repairs, err := m.Repairs(removed)
			if err != nil {
				t.Fatal(err)
			}
			list, err := m.Refits(repairs, removed, false)
			if err != nil {
				t.Fatal(err)
			}
			fitted, err := rewrite.Refit(cut, list)
			if err != nil {
				t.Fatal(err)
			}
			in, _ := noise(100).Feed(90) // nothing was fitted to it
			want := output(t, n.model, in)
			before, after := off(want, output(t, cut, in)), off(want, output(t, fitted, in))
			if !(after < before) || after > c.bound {
				t.Errorf("the repaired model is off by %.3f, the cut by %.3f; at most %.2f is allowed", after, before, c.bound)
			}
		})
	}
}

// The result does not depend on the number of threads, nor on the run.
func TestStatisticsAreTheSameOnAnyNumberOfThreads(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 16, 16)
	b.Output(b.Conv("c", b.Relu(b.Conv("d", twins(b, x), 8, 24, 3)), 24, 5, 3), onnxio.Float, 1, 5, 16, 16)
	n := analysed(t, b.Model())
	ls, _ := layers.Of(n.a)
	collect := func(threads int) map[string][]float64 {
		st, err := calibrate.Collect(context.Background(), n.model, ls, noise(9), calibrate.Options{Threads: threads, RowsPerPicture: 150})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string][]float64{}
		for k, in := range st.Inputs {
			out[k] = append(append([]float64(nil), in.Moments[0].Mean...), in.Moments[0].Covariance...)
		}
		return out
	}
	one := collect(1)
	if len(one) != 2 {
		t.Fatalf("%d inputs, want 2", len(one))
	}
	for k, vs := range collect(3) {
		for i, v := range vs {
			if math.Float64bits(v) != math.Float64bits(one[k][i]) {
				t.Fatalf("%s: number %d is %v on three threads, %v on one", k, i, v, one[k][i])
			}
		}
	}
}

// Mean and covariance against their definition, over all places of a small map, padding included.
func TestMomentsByDefinition(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 16, 16)
	y := b.MaxPool(twins(b, x), 8, 8) // 2 x 2
	b.NodeTo("Identity", []string{y}, []string{"y"})
	b.Output(b.Conv("c", "y", 8, 5, 3), onnxio.Float, 1, 5, 2, 2)
	n := analysed(t, b.Model())
	ls, _ := layers.Of(n.a)
	st, err := calibrate.Collect(context.Background(), n.model, ls, noise(5), calibrate.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]float64
	s, err := runtime.Compile(n.model, runtime.Options{Keep: []string{"y"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 5 {
		in, _ := noise(5).Feed(i)
		out, err := s.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		vs, _ := out["y"].(*value.Tensor).Floats()
		for py := range 2 {
			for px := range 2 {
				var row []float64
				for c := range 8 {
					for ky := -1; ky <= 1; ky++ {
						for kx := -1; kx <= 1; kx++ {
							v := 0.0
							if yy, xx := py+ky, px+kx; yy >= 0 && yy < 2 && xx >= 0 && xx < 2 {
								v = vs[c*4+yy*2+xx]
							}
							row = append(row, v)
						}
					}
				}
				rows = append(rows, row)
			}
		}
	}
	var m = st.Inputs[ls[len(ls)-1].Key()].Moments[0]
	if m.Size != 72 || m.Rows != 20 {
		t.Fatalf("%d rows of %d columns, want 20 of 72", m.Rows, m.Size)
	}
	for i := range 72 {
		for j := range 72 {
			mi, mj, c := 0.0, 0.0, 0.0
			for _, r := range rows {
				mi, mj = mi+r[i]/20, mj+r[j]/20
			}
			for _, r := range rows {
				c += (r[i] - mi) * (r[j] - mj) / 20
			}
			if math.Abs(m.Mean[i]-mi) > 1e-5 || math.Abs(m.At(i, j)-c) > 1e-4 {
				t.Fatalf("columns %d and %d: mean %v and covariance %v, want %v and %v", i, j, m.Mean[i], m.At(i, j), mi, c)
			}
		}
	}
}
