package runtime_test

import (
	"context"
	"math"
	"slices"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// Each case is written fused and not; the second is what the nodes say.
func TestFusedStepsEqualTheNodesTheyReplace(t *testing.T) {
	image := func(b *testmodels.Builder) string { return b.Input("x", onnxio.Float, 2, 3, 14, 13) }
	for name, c := range map[string]struct {
		build func(b *testmodels.Builder) string
		want  []string // operators that are left
	}{
		"batch normalisation": {func(b *testmodels.Builder) string {
			return b.BN("n", b.Conv("c", image(b), 3, 8, 3), 8)
		}, []string{"Conv+BatchNormalization"}},
		"with a bias": {func(b *testmodels.Builder) string {
			return b.BN("n", b.Conv("c", image(b), 3, 8, 3, testmodels.Bias()), 8)
		}, []string{"Conv+BatchNormalization"}},
		"depthwise, with ReLU": {func(b *testmodels.Builder) string {
			return b.Relu(b.BN("n", b.Conv("c", image(b), 3, 6, 3, testmodels.Groups(3)), 6))
		}, []string{"Conv+BatchNormalization+Relu"}},
		"Clip": {func(b *testmodels.Builder) string {
			return b.Clip(b.Conv("c", image(b), 3, 8, 3), -0.1, 0.3)
		}, []string{"Conv+Clip"}},
		"LeakyRelu": {func(b *testmodels.Builder) string {
			return b.LeakyRelu(b.Conv("c", image(b), 3, 8, 3), 0.3)
		}, []string{"Conv+LeakyRelu"}},
		"SiLU": {func(b *testmodels.Builder) string {
			v := b.BN("n", b.Conv("c", image(b), 3, 8, 3), 8)
			return b.Mul(b.Sigmoid(v), v)
		}, []string{"Conv+BatchNormalization+Sigmoid+Mul"}},
		"hard swish of two nodes": {func(b *testmodels.Builder) string {
			v := b.Conv("c", image(b), 3, 8, 3)
			return b.Mul(v, b.Node("HardSigmoid", []string{v}, attrs{"alpha": float32(1.0 / 6), "beta": 0.5}))
		}, []string{"Conv+HardSigmoid+Mul"}},
		"a gate that is no hard swish": {func(b *testmodels.Builder) string {
			v := b.Conv("c", image(b), 3, 8, 3)
			return b.Mul(v, b.Node("HardSigmoid", []string{v}, attrs{"alpha": 0.3, "beta": 0.5}))
		}, []string{"Conv", "HardSigmoid", "Mul"}},
		"a residual block": {func(b *testmodels.Builder) string {
			x := b.Conv("in", image(b), 3, 8, 3)
			v := b.ConvBNRelu("a", x, 8, 8, 3)
			v = b.BN("bn", b.Conv("b", v, 8, 8, 3), 8)
			return b.Relu(b.Add(v, x))
		}, []string{"Conv", "Conv+BatchNormalization+Add+Relu", "Conv+BatchNormalization+Relu"}},
		"two convolutions added": {func(b *testmodels.Builder) string {
			x := image(b)
			return b.Clip(b.Add(b.Conv("a", x, 3, 8, 3), b.Conv("b", x, 3, 8, 1)), 0, 6)
		}, []string{"Conv", "Conv+Add+Clip"}},
		"a sum that broadcasts": {func(b *testmodels.Builder) string {
			x := image(b)
			pooled := b.GlobalAveragePool(b.Conv("b", x, 3, 8, 1))
			return b.Clip(b.Add(b.Conv("a", x, 3, 8, 3), pooled), -0.2, 0.4)
		}, []string{"Conv", "Conv+Add+Clip", "GlobalAveragePool"}},
		"a sum that broadcasts the convolution": {func(b *testmodels.Builder) string {
			x := image(b)
			small := b.Conv("a", b.GlobalAveragePool(x), 3, 3, 1)
			return b.Relu(b.Add(b.Relu(x), small))
		}, []string{"Conv+Add+Relu", "GlobalAveragePool", "Relu"}},
		"a result with two readers": {func(b *testmodels.Builder) string {
			v := b.Conv("c", image(b), 3, 8, 3)
			return b.Concat(1, b.Relu(v), v)
		}, []string{"Concat", "Conv", "Relu"}},
		"twice the same": {func(b *testmodels.Builder) string {
			v := b.Conv("c", image(b), 3, 8, 3)
			return b.Mul(v, v)
		}, []string{"Conv", "Mul"}},
		"behind a transposed convolution": {func(b *testmodels.Builder) string {
			return b.BN("n", b.ConvTranspose("c", image(b), 3, 8, 2), 8)
		}, []string{"BatchNormalization", "ConvTranspose"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := testmodels.New(17)
			y := c.build(b)
			b.Output(y, onnxio.Float)
			m := b.Model()
			in := value.New(onnxio.Float, 2, 3, 14, 13)
			for i := range value.Of[float32](in) {
				value.Of[float32](in)[i] = float32(math.Sin(float64(i) * 1.7))
			}
			plain, err := runtime.Compile(m, runtime.Options{NoFusion: true})
			if err != nil {
				t.Fatal(err)
			}
			defer plain.Close()
			want := run(t, plain, values{"x": in})[y].(*value.Tensor)
			onBoth(t, m, runtime.Options{Profile: true}, func(t *testing.T, s *runtime.Session) {
				got := run(t, s, values{"x": in})[y]
				if err := within(got, want, 1e-5); err != nil {
					t.Error(err)
				}
				var left []string
				for _, n := range s.Profile().Nodes {
					left = append(left, n.Op)
				}
				slices.Sort(left)
				if !slices.Equal(left, c.want) {
					t.Errorf("left are %v, want %v", left, c.want)
				}
				if m := s.Memory(); m.InUse != 0 {
					t.Errorf("%d bytes are in use", m.InUse)
				}
			})
		})
	}
}

func TestWhatIsAskedForIsNotFusedAway(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	v := b.Conv("c", x, 3, 4, 3)
	n := b.BN("n", v, 4)
	y := b.Relu(n)
	b.Output(y, onnxio.Float)
	b.Output(n, onnxio.Float)
	m := b.Model()
	s, err := runtime.Compile(m, runtime.Options{Keep: []string{v}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	out, err := s.Run(context.Background(), values{"x": value.New(onnxio.Float, 1, 3, 8, 8)})
	if err != nil || out[v] == nil || out[n] == nil || out[y] == nil {
		t.Errorf("got %v, %v", out, err)
	}
}
