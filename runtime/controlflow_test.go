package runtime_test

import (
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

type attrs = testmodels.Attrs

// nested is a Loop of n rounds with an If in it, which reads values of all graphs around it:
//
//	y = x; for i in 0..n-1 { if y > 4 { y = y - x } else { y = y + bias + x } }
func nested() *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 300)
	n := b.Input("n", onnxio.Int64)
	n = b.Reshape(n, 1)
	bias := b.Const(float32(0.5))
	body := b.Body("body")
	body.Input("i", onnxio.Int64)
	cond := body.Input("cond", onnxio.Bool)
	s := body.Input("s", onnxio.Float, 300)
	first := body.Slice(s, 0, 0, 1)
	large := body.Node("Greater", []string{first, body.Const(float32(4))})
	then, other := body.Body("then"), body.Body("else")
	then.Output(then.Sub(s, x), onnxio.Float, 300)
	other.Output(other.Add(other.Add(s, bias), x), onnxio.Float, 300)
	body.Output(body.Node("Identity", []string{cond}), onnxio.Bool)
	body.Output(body.Node("If", []string{large}, attrs{"then_branch": then, "else_branch": other}), onnxio.Float, 300)
	b.Named("outer").NodeTo("Loop", []string{n, "", x}, []string{"y"}, attrs{"body": body})
	b.Output("y", onnxio.Float, 300)
	return b.Model()
}

func nestedResult(x float32, n int) float32 {
	y := x
	for range n {
		if y > 4 {
			y -= x
		} else {
			y += 0.5
			y += x
		}
	}
	return y
}

func TestNestedBodiesReadTheGraphsAroundThem(t *testing.T) {
	onBoth(t, nested(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		for _, x := range []float32{0, 1, 3, 5} {
			for n := range 5 {
				out := run(t, s, values{"x": value.From(slices.Repeat([]float32{x}, 300), 300), "n": value.Scalar(int64(n))})
				if got, want := value.Of[float32](out["y"].(*value.Tensor))[7], nestedResult(x, n); got != want {
					t.Errorf("x = %v, %d rounds: got %v, want %v", x, n, got, want)
				}
			}
		}
		if m := s.Memory(); m.InUse != 0 {
			t.Errorf("%d bytes are still in use", m.InUse)
		}
	})
}

func TestABodysOwnNameHidesTheOuterOne(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1)
	b.NodeTo("Neg", []string{x}, []string{"v"})
	then, other := onnxio.NewGraph("then"), onnxio.NewGraph("else")
	// in the file the reader stands before the writer of the hidden name
	then.AddNode(onnxio.NewNode("Exp", "", []string{"v"}, []string{"out"}))
	then.AddNode(onnxio.NewNode("Relu", "", []string{"v0"}, []string{"v"}))
	then.AddNode(onnxio.NewNode("Sub", "", []string{x, x}, []string{"v0"}))
	then.AddOutput(onnxio.NewValueInfo("out", nil))
	other.AddNode(onnxio.NewNode("Identity", "", []string{"v"}, []string{"out"}))
	other.AddOutput(onnxio.NewValueInfo("out", nil))
	large := b.Node("Greater", []string{x, b.Const([]float32{0})})
	b.NodeTo("If", []string{large}, []string{"y"}, attrs{"then_branch": then, "else_branch": other})
	b.Output("y", onnxio.Float, 1)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		wantFloats(t, run(t, s, values{"x": floats(3)})["y"], 1)  // exp(relu(x-x))
		wantFloats(t, run(t, s, values{"x": floats(-3)})["y"], 3) // the outer v
	})
}

func TestBranchesThatOnlyPassValuesThrough(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 200)
	cond := b.Input("cond", onnxio.Bool)
	then, other := onnxio.NewGraph("then"), onnxio.NewGraph("else")
	then.AddOutput(onnxio.NewValueInfo(x, nil)) // no node at all
	then.AddOutput(onnxio.NewValueInfo(x, nil))
	other.AddInitializer(onnxio.NewFloats32("w", []int64{1}, []float32{7}))
	other.AddOutput(onnxio.NewValueInfo("w", nil))
	other.AddOutput(onnxio.NewValueInfo(x, nil))
	b.NodeTo("If", []string{cond}, []string{"y", "z"}, attrs{"then_branch": then, "else_branch": other})
	b.Output("y", onnxio.Float)
	b.Output("z", onnxio.Float)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		in := value.From(slices.Repeat([]float32{2}, 200), 200)
		out := run(t, s, values{"x": in, "cond": value.Scalar(true)})
		wantFloats(t, out["y"], value.Of[float32](in)...)
		wantFloats(t, out["z"], value.Of[float32](in)...)
		wantFloats(t, run(t, s, values{"x": in, "cond": value.Scalar(false)})["y"], 7)
	})
}

// counting is a Loop with a running sum and two collected outputs; M and the condition come from outside.
func counting(trips, cond string) *onnxio.Model {
	b := testmodels.New(17)
	var m, c string
	if trips != "" {
		m = b.Input(trips, onnxio.Int64)
	}
	if cond != "" {
		c = b.Input(cond, onnxio.Bool)
	}
	x := b.Input("x", onnxio.Float, 2)
	body := b.Body("body")
	i := body.Input("i", onnxio.Int64)
	body.Input("go", onnxio.Bool)
	s := body.Input("s", onnxio.Float, 2)
	fi := body.Cast(i, onnxio.Float)
	next := body.Add(s, fi)
	body.Output(body.Node("Less", []string{fi, body.Const(float32(4))}), onnxio.Bool)
	body.Output(next, onnxio.Float, 2)
	body.Output(body.Node("Identity", []string{next}), onnxio.Float, 2)
	body.OutputType(body.Node("Identity", []string{i}), onnxio.TensorType(onnxio.Int64))
	b.NodeTo("Loop", []string{m, c, x}, []string{"last", "sums", "rounds"}, attrs{"body": body})
	b.Output("last", onnxio.Float, 2)
	b.Output("sums", onnxio.Float, "T", 2)
	b.Output("rounds", onnxio.Int64, "T")
	return b.Model()
}

func TestLoopsEndByCountAndByCondition(t *testing.T) {
	for name, c := range map[string]struct {
		trips, cond string
		in          values
		want        int // rounds
	}{
		"by count":                   {"m", "", values{"m": value.Scalar(int64(3))}, 3},
		"by condition":               {"", "", values{}, 5},
		"by the earlier of both":     {"m", "c", values{"m": value.Scalar(int64(100)), "c": value.Scalar(true)}, 5},
		"not at all: no rounds":      {"m", "", values{"m": value.Scalar(int64(0))}, 0},
		"not at all: negative count": {"m", "", values{"m": value.Scalar(int64(-2))}, 0},
		"not at all: false":          {"m", "c", values{"m": value.Scalar(int64(9)), "c": value.Scalar(false)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, counting(c.trips, c.cond), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
				c.in["x"] = floats(1, 2)
				out := run(t, s, c.in)
				sums, last := []float32{}, []float32{1, 2}
				for i := range c.want {
					last = []float32{last[0] + float32(i), last[1] + float32(i)}
					sums = append(sums, last...)
				}
				wantFloats(t, out["last"], last...)
				wantFloats(t, out["sums"], sums...)
				if got := out["sums"].(*value.Tensor).Shape; !slices.Equal(got, []int{c.want, 2}) {
					t.Errorf("collected shape %v", got)
				}
				if got := out["rounds"].(*value.Tensor).Shape; !slices.Equal(got, []int{c.want}) {
					t.Errorf("collected shape %v", got)
				}
			})
		})
	}
}

func TestLocalFunctionsAreOpenedWithTheirAttributes(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 3)
	b.Function("local", "Leak", []string{"a"}, []string{"b"}, []string{"slope"}, func(f *testmodels.Builder) {
		f.NodeTo("LeakyRelu", []string{"a"}, []string{"b"}, attrs{"alpha": testmodels.Ref{Name: "slope", Type: onnxio.AttrFloat}})
	})
	b.Function("local", "Twice", []string{"a", "add"}, []string{"b"}, []string{"slope"}, func(f *testmodels.Builder) {
		f.NodeTo("local::Leak", []string{"a"}, []string{"h"}, attrs{"slope": testmodels.Ref{Name: "slope", Type: onnxio.AttrFloat}})
		f.NodeTo("local::Leak", []string{"h"}, []string{"h2"}, attrs{"slope": testmodels.Ref{Name: "slope", Type: onnxio.AttrFloat}})
		f.NodeTo("Sum", []string{"h2", "add"}, []string{"b"})
	})
	h := b.Named("first").Node("local::Twice", []string{x, x}, attrs{"slope": 0.5})
	b.NodeTo("local::Twice", []string{h, x}, []string{"y"}) // no slope: LeakyRelu's own default, 0.01
	b.Output("y", onnxio.Float, 3)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		out := run(t, s, values{"x": floats(2, -4, 0)})
		// -4: leak twice 0.5 -> -1, + -4 = -5; leak twice 0.01 -> -0.0005, + -4
		got := value.Of[float32](out["y"].(*value.Tensor))
		if got[0] != 6 || got[1] < -4.00051 || got[1] > -4.00049 || got[2] != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestAFunctionThatCallsItselfIsRefused(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 3)
	b.Function("local", "Round", []string{"a"}, []string{"b"}, nil, func(f *testmodels.Builder) {
		f.NodeTo("local::Round", []string{"a"}, []string{"b"})
	})
	b.NodeTo("local::Round", []string{x}, []string{"y"})
	b.Output("y", onnxio.Float, 3)
	_, err := runtime.Compile(b.Model(), runtime.Options{})
	if err == nil || !strings.Contains(err.Error(), "local.Round may call itself") {
		t.Errorf("got %v", err)
	}
}

func TestFunctionsThatGrowWithoutEndAreRefused(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 3)
	name := "Relu"
	for level := range 8 { // 10^8 nodes
		call := name
		name = "local::F" + string(rune('a'+level))
		b.Function("local", name[7:], []string{"a"}, []string{"b"}, nil, func(f *testmodels.Builder) {
			v := "a"
			for range 9 {
				v = f.Node(call, []string{v})
			}
			f.NodeTo(call, []string{v}, []string{"b"})
		})
	}
	b.NodeTo(name, []string{x}, []string{"y"})
	b.Output("y", onnxio.Float, 3)
	_, err := runtime.Compile(b.Model(), runtime.Options{})
	if err == nil || !strings.Contains(err.Error(), "more than 131072 nodes") {
		t.Errorf("got %v", err)
	}
}

func TestBodiesThatNestTooDeepAreRefused(t *testing.T) {
	relu := func() *onnxio.Graph {
		g := onnxio.NewGraph("relu")
		g.AddNode(onnxio.NewNode("Relu", "", []string{"x"}, []string{"y"}))
		g.AddOutput(onnxio.NewValueInfo("y", nil))
		return g
	}
	inner := relu()
	for range 300 {
		outer := onnxio.NewGraph("outer")
		outer.AddNode(onnxio.NewNode("If", "", []string{"c"}, []string{"y"},
			onnxio.NewGraphAttr("then_branch", inner), onnxio.NewGraphAttr("else_branch", relu())))
		outer.AddOutput(onnxio.NewValueInfo("y", nil))
		inner = outer
	}
	inner.AddInput(onnxio.NewValueInfo("x", nil))
	inner.AddInput(onnxio.NewValueInfo("c", nil))
	_, err := runtime.Compile(onnxio.NewModel(8, "", []onnxio.Opset{{Version: 17}}, inner), runtime.Options{})
	if err == nil || !strings.Contains(err.Error(), "nest deeper than 100") {
		t.Errorf("got %v", err)
	}
}

func TestScanDirectionsAndAxes(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 2, 3)
	start := b.Const([]float32{0, 0})
	body := b.Body("body")
	s := body.Input("s", onnxio.Float, 2)
	e := body.Input("e", onnxio.Float, 2)
	next := body.Add(s, e)
	body.Output(next, onnxio.Float, 2)
	body.Output(body.Node("Identity", []string{next}), onnxio.Float, 2)
	b.NodeTo("Scan", []string{start, x}, []string{"last", "sums"}, attrs{"body": body, "num_scan_inputs": 1,
		"scan_input_axes": []int{-1}, "scan_input_directions": []int{1}, "scan_output_axes": []int{1}, "scan_output_directions": []int{1}})
	b.Output("last", onnxio.Float, 2)
	b.Output("sums", onnxio.Float, 2, 3)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		out := run(t, s, values{"x": value.From([]float32{1, 2, 3, 10, 20, 30}, 2, 3)})
		wantFloats(t, out["last"], 6, 60)
		wantFloats(t, out["sums"], 6, 5, 3, 60, 50, 30) // cumulative from the end, put together from the end
	})
}

func TestACircleIsRefused(t *testing.T) {
	g := onnxio.NewGraph("g")
	g.AddInput(onnxio.NewValueInfo("x", onnxio.TensorType(onnxio.Float, onnxio.Fixed(1))))
	g.AddNode(onnxio.NewNode("Add", "one", []string{"x", "b"}, []string{"a"}))
	g.AddNode(onnxio.NewNode("Relu", "two", []string{"a"}, []string{"b"}))
	g.AddOutput(onnxio.NewValueInfo("b", nil))
	_, err := runtime.Compile(onnxio.NewModel(8, "", []onnxio.Opset{{Version: 17}}, g), runtime.Options{})
	if err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("got %v", err)
	}
	for name, change := range map[string]func(g *onnxio.Graph){
		"an input nothing defines": func(g *onnxio.Graph) { g.AddNode(onnxio.NewNode("Relu", "", []string{"gone"}, []string{"y"})) },
		"an output nothing writes": func(g *onnxio.Graph) {},
		"a value written two times": func(g *onnxio.Graph) {
			g.AddNode(onnxio.NewNode("Relu", "", []string{"x"}, []string{"y"}))
			g.AddNode(onnxio.NewNode("Abs", "", []string{"x"}, []string{"y"}))
		},
	} {
		g := onnxio.NewGraph("g")
		g.AddInput(onnxio.NewValueInfo("x", nil))
		g.AddOutput(onnxio.NewValueInfo("y", nil))
		change(g)
		if s, err := runtime.Compile(onnxio.NewModel(8, "", []onnxio.Opset{{Version: 17}}, g), runtime.Options{}); err == nil {
			t.Errorf("%s is no error", name)
			s.Close()
		}
	}
}
