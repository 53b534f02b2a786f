package runtime_test

import (
	"math"
	"slices"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

func TestValuesCanBeReplacedOnTheWay(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 2)
	b.NodeTo("Add", []string{b.Const([]float32{1, 2}), b.Const([]float32{1, 1})}, []string{"folded"})
	b.NodeTo("Relu", []string{x}, []string{"r"})
	b.NodeTo("Neg", []string{"r"}, []string{"unread"})
	b.NodeTo("Add", []string{"r", "folded"}, []string{"s"})
	b.NodeTo("Neg", []string{"s"}, []string{"y"})
	b.Output("y", onnxio.Float, 2)
	var seen []string
	onBoth(t, b.Model(), runtime.Options{Replace: func(name string, v value.Value) value.Value {
		seen = append(seen, name)
		if name == "s" {
			return value.From([]float32{7, 8}, 2)
		}
		return nil
	}}, func(t *testing.T, s *runtime.Session) {
		want := []string{"r", "s", "y"}
		if got := s.Values(); !slices.Equal(got, want) {
			t.Errorf("it computes %v, want %v", got, want)
		}
		seen = nil
		wantFloats(t, run(t, s, values{"x": floats(-1, 5)})["y"], -7, -8)
		if !slices.Equal(seen, want) {
			t.Errorf("saw %v, want %v", seen, want)
		}
	})
}

func TestHalvesAreReplacedBeforeTheyAreRounded(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float16, 2)
	b.NodeTo("Relu", []string{x}, []string{"r"})
	b.NodeTo("Neg", []string{"r"}, []string{"y"})
	b.Output("y", onnxio.Float16, 2)
	onBoth(t, b.Model(), runtime.Options{Replace: func(name string, v value.Value) value.Value {
		if w, ok := v.(*value.Tensor); !ok || w.Type != onnxio.Float {
			t.Errorf("%s is %v, want float32", name, v)
		}
		if name == "r" {
			return value.From([]float32{1.5, 2}, 2)
		}
		return nil
	}}, func(t *testing.T, s *runtime.Session) {
		in := value.New(onnxio.Float16, 2)
		y := run(t, s, values{"x": in})["y"].(*value.Tensor)
		if got, _ := y.Floats(); y.Type != onnxio.Float16 || !slices.Equal(got, []float64{-1.5, -2}) {
			t.Errorf("got %v %v", y, got)
		}
	})
}

// A sum of 1 and many numbers of half a rounding of 1 shows the order in which it is taken: one by one they are lost, in blocks they are not.
func TestShortSumsAreSumsInAnotherOrder(t *testing.T) {
	const n = 200
	row := slices.Repeat([]float32{float32(math.Ldexp(1, -25))}, n)
	row[0] = 1
	exact := 1 + (n-1)*math.Ldexp(1, -25)
	for _, c := range []struct {
		title string
		build func(b *testmodels.Builder, x string) string
		shape []int
	}{
		{"a matrix product", func(b *testmodels.Builder, x string) string {
			return b.Node("MatMul", []string{x, b.ConstDims("w", []int64{n, 1}, slices.Repeat([]float32{1}, n))})
		}, []int{1, n}},
		{"many products of computed factors", func(b *testmodels.Builder, x string) string {
			return b.Node("MatMul", []string{x, b.Node("Abs", []string{b.Node("Transpose", []string{b.Node("Sign", []string{x})}, testmodels.Attrs{"perm": []int64{0, 2, 1}})})})
		}, []int{64, 1, n}},
		{"a convolution", func(b *testmodels.Builder, x string) string {
			return b.Node("Conv", []string{x, b.ConstDims("w", []int64{1, n, 1, 1}, slices.Repeat([]float32{1}, n))})
		}, []int{1, n, 1, 1}},
	} {
		t.Run(c.title, func(t *testing.T) {
			b := testmodels.New(17)
			dims := make([]any, len(c.shape))
			for i, d := range c.shape {
				dims[i] = d
			}
			b.Output(c.build(b, b.Input("x", onnxio.Float, dims...)), onnxio.Float)
			m := b.Model()
			in := value.From(slices.Repeat(row, value.Count(c.shape)/n), c.shape...)
			var got [2]float64
			for i, o := range []runtime.Options{{Exact: true}, {Exact: true, ShortSums: 24}} {
				s, err := runtime.Compile(m, o)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range run(t, s, values{"x": in}) {
					got[i] = float64(v.(*value.Tensor).Data.([]float32)[0])
				}
				s.Close()
			}
			if got[0] != 1 || math.Abs(got[1]-exact) > math.Ldexp(1, -20) || got[1] == 1 {
				t.Errorf("got %.9g and %.9g, want 1 and about %.9g", got[0], got[1], exact)
			}
		})
	}
}
