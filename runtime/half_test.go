package runtime_test

import (
	"slices"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// sixteenBits makes a tensor of small floats.
func sixteenBits(t onnxio.DataType, vs ...float32) *value.Tensor {
	x := value.New(t, len(vs))
	for i, v := range vs {
		if t == onnxio.Float16 {
			value.Of[uint16](x)[i] = onnxio.Float32ToFloat16(v)
		} else {
			value.Of[uint16](x)[i] = onnxio.Float32ToBFloat16(v)
		}
	}
	return x
}

func TestSmallFloatsStayWideBetweenNodesAndAreRoundedAtTheEnds(t *testing.T) {
	for _, c := range []struct {
		elem  onnxio.DataType
		large float32 // large + 1 is not a number of the type
	}{{onnxio.Float16, 4096}, {onnxio.BFloat16, 512}} {
		b := testmodels.New(17)
		x := b.Input("x", c.elem, "N")
		y := b.Input("y", c.elem, "N")
		sum := b.Add(x, y) // large + 1, rounded to large where it is looked at
		b.NodeTo("Sub", []string{sum, x}, []string{"wide"})
		b.NodeTo("Identity", []string{sum}, []string{"sum"})
		b.NodeTo("Sub", []string{"sum", x}, []string{"rounded"}) // Identity has rounded it
		b.NodeTo("Identity", []string{x}, []string{"same"})
		for _, name := range []string{"sum", "wide", "rounded", "same"} {
			b.Output(name, c.elem, "N")
		}
		onBoth(t, b.Model(), runtime.Options{Keep: []string{sum}}, func(t *testing.T, s *runtime.Session) {
			n := 600 // enough for the memory to be counted
			out := run(t, s, values{"x": sixteenBits(c.elem, slices.Repeat([]float32{c.large}, n)...), "y": sixteenBits(c.elem, slices.Repeat([]float32{1}, n)...)})
			for name, want := range map[string]float32{"sum": c.large, sum: c.large, "wide": 1, "rounded": 0, "same": c.large} {
				g := out[name].(*value.Tensor)
				fs, _ := g.Floats()
				if g.Type != c.elem || fs[0] != float64(want) || fs[n-1] != float64(want) {
					t.Errorf("%s is %v of %v, want %v of %v", name, fs[0], g.Type, want, c.elem)
				}
			}
			if m := s.Memory(); m.InUse != 0 {
				t.Errorf("%d bytes are in use", m.InUse)
			}
		})
	}
}

func TestSmallFloatsReachBodiesRounded(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float16, 2)
	one := b.Input("one", onnxio.Float16, 2)
	cond := b.Input("cond", onnxio.Bool)
	sum := b.Add(x, one)
	then, other := b.Body("then"), b.Body("else")
	then.Output(then.Sub(sum, x), onnxio.Float16, 2)
	other.Output(other.Node("Identity", []string{sum}), onnxio.Float16, 2)
	b.NodeTo("If", []string{cond}, []string{"y"}, attrs{"then_branch": then, "else_branch": other})
	b.Output("y", onnxio.Float16, 2)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		out := run(t, s, values{"x": sixteenBits(onnxio.Float16, 4096, 8), "one": sixteenBits(onnxio.Float16, 1, 1), "cond": value.Scalar(true)})
		if fs, _ := out["y"].(*value.Tensor).Floats(); !slices.Equal(fs, []float64{0, 1}) {
			t.Errorf("got %v", fs)
		}
	})
}

func TestAFloat16ConvolutionIsFusedWithItsWeightsWidened(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float16, 1, 2, 6, 6)
	w := b.WeightOf(onnxio.Float16, "w", 4, 2, 3, 3)
	y := b.Relu(b.Node("Conv", []string{x, w}))
	b.Output(y, onnxio.Float16, 1, 4, 4, 4)
	m := b.Model()
	in := value.New(onnxio.Float16, 1, 2, 6, 6)
	for i := range value.Of[uint16](in) {
		value.Of[uint16](in)[i] = onnxio.Float32ToFloat16(float32(i%7) - 3)
	}
	plain, err := runtime.Compile(m, runtime.Options{NoFusion: true})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	want := run(t, plain, values{"x": in})[y].(*value.Tensor)
	onBoth(t, m, runtime.Options{Profile: true}, func(t *testing.T, s *runtime.Session) {
		got := run(t, s, values{"x": in})[y]
		if err := within(got, want, 1e-3); err != nil {
			t.Error(err)
		}
		if p := s.Profile(); len(p.Operators) != 1 || p.Operators[0].Op != "Conv+Relu" {
			t.Errorf("left are %v", p.Operators)
		}
	})
}
