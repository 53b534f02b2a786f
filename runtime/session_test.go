package runtime_test

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/ops"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

var engines = []runtime.Engine{runtime.TapeMachine, runtime.Walk}

// onBoth runs a test with a session of each engine.
func onBoth(t *testing.T, m *onnxio.Model, o runtime.Options, f func(t *testing.T, s *runtime.Session)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.String(), func(t *testing.T) {
			o.Engine = e
			s, err := runtime.Compile(m, o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			f(t, s)
		})
	}
}

func run(t *testing.T, s *runtime.Session, in map[string]value.Value, outputs ...string) map[string]value.Value {
	t.Helper()
	out, err := s.Run(context.Background(), in, outputs...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantFloats(t *testing.T, got value.Value, want ...float32) {
	t.Helper()
	g, ok := got.(*value.Tensor)
	if !ok || g.Type != onnxio.Float || !slices.Equal(value.Of[float32](g), want) {
		t.Fatalf("got %v %v, want %v", got, data(got), want)
	}
}

func data(v value.Value) any {
	if t, ok := v.(*value.Tensor); ok {
		return t.Data
	}
	return nil
}

type values = map[string]value.Value

func floats(vs ...float32) *value.Tensor { return value.From(vs, len(vs)) }

// difference is y = x - x*2, with z = relu(y): one value read twice by one node, and by several.
func difference() *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N")
	double := b.Add(x, x)
	y := b.Sub(x, double)
	b.NodeTo("Relu", []string{y}, []string{"z"})
	b.NodeTo("Identity", []string{y}, []string{"y"})
	b.Output("y", onnxio.Float, "N")
	b.Output("z", onnxio.Float, "N")
	b.Output(x, onnxio.Float, "N")
	return b.Model()
}

func TestAValueIsReadTwiceByOneNodeAndIsAnOutputToo(t *testing.T) {
	onBoth(t, difference(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		for range 3 {
			out := run(t, s, values{"x": floats(1, -2, 3)})
			wantFloats(t, out["y"], -1, 2, -3)
			wantFloats(t, out["z"], 0, 2, 0)
			wantFloats(t, out["x"], 1, -2, 3)
		}
		out := run(t, s, values{"x": floats(5)}, "z")
		if len(out) != 1 {
			t.Fatalf("asked for one output, got %v", out)
		}
	})
}

func TestWhatARunReturnsBelongsToTheCaller(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1000)
	w := b.Const(slices.Repeat([]float32{1}, 1000))
	b.NodeTo("Identity", []string{x}, []string{"same"})
	b.NodeTo("Identity", []string{w}, []string{"weight"})
	b.NodeTo("Add", []string{x, w}, []string{"sum"})
	for _, name := range []string{"same", "weight", "sum"} {
		b.Output(name, onnxio.Float, 1000)
	}
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		in := value.From(slices.Repeat([]float32{2}, 1000), 1000)
		for range 2 {
			out := run(t, s, values{"x": in})
			for name, want := range map[string]float32{"same": 2, "weight": 1, "sum": 3} {
				got := value.Of[float32](out[name].(*value.Tensor))
				if got[0] != want || got[999] != want {
					t.Fatalf("%s is %v, want %v", name, got[0], want)
				}
				for i := range got {
					got[i] = 99
				}
			}
			if value.Of[float32](in)[0] != 2 {
				t.Fatal("writing to an output changed the input")
			}
		}
		if m := s.Memory(); m.InUse != 0 {
			t.Errorf("%d bytes are still in use after the runs", m.InUse)
		}
	})
}

func TestInputsAreChecked(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("image", onnxio.Float, "N", 3)
	b.Output(b.Relu(x), onnxio.Float, "N", 3)
	s, err := runtime.Compile(b.Model(), runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, c := range map[string]struct {
		in   values
		want string
	}{
		"missing":         {values{}, `input "image": it is missing; the model wants float32[N,3]`},
		"unknown name":    {values{"x": floats(1)}, `input "x": the model has no such input; it has "image"`},
		"wrong type":      {values{"image": value.New(onnxio.Int64, 1, 3)}, `it is int64[1 3], the model wants float32[N,3]`},
		"wrong rank":      {values{"image": value.New(onnxio.Float, 3)}, `of rank 1; the model wants float32[N,3], of rank 2`},
		"wrong dimension": {values{"image": value.New(onnxio.Float, 1, 4)}, `dimension 1 is 4 instead of 3`},
		"a sequence":      {values{"image": &value.Sequence{}}, `it is a sequence of 0, the model wants float32[N,3]`},
		"too few elements": {values{"image": &value.Tensor{Type: onnxio.Float, Shape: []int{1, 3}, Data: []float32{1}}},
			`holds 1 elements`},
		"another Go type": {values{"image": &value.Tensor{Type: onnxio.Float, Shape: []int{1, 3}, Data: []int64{1, 2, 3}}}, `holds`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.Run(context.Background(), c.in)
			if !errors.As(err, new(*runtime.InputError)) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := s.Run(context.Background(), values{"image": value.New(onnxio.Float, 1, 3)}, "nothing"); err == nil {
		t.Error("an output that does not exist is no error")
	}
}

func TestAnInitializerThatIsAnInputMayBeGiven(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 2)
	w := b.NamedConst("w", []float32{10, 20})
	b.NodeTo("Add", []string{x, b.Relu(w)}, []string{"y"})
	b.Output("y", onnxio.Float, 2)
	m := b.Model()
	m.Graph.AddInput(onnxio.NewValueInfo("w", onnxio.TensorType(onnxio.Float, onnxio.Fixed(2))))
	onBoth(t, m, runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		if len(s.Inputs()) != 1 || len(s.Overridable()) != 1 {
			t.Fatalf("inputs are %d and %d", len(s.Inputs()), len(s.Overridable()))
		}
		wantFloats(t, run(t, s, values{"x": floats(1, 2)})["y"], 11, 22)
		wantFloats(t, run(t, s, values{"x": floats(1, 2), "w": floats(-5, 5)})["y"], 1, 7)
		wantFloats(t, run(t, s, values{"x": floats(1, 2)})["y"], 11, 22)
	})
}

func TestEveryUnknownOperatorAndAttributeIsNamedAtOnce(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 2)
	b.Import("org.example", 1)
	then, other := b.Body("then"), b.Body("else")
	then.Output(then.Named("inner").Node("Frobnicate", []string{x}), onnxio.Float)
	other.Output(other.Relu(x), onnxio.Float)
	cond := b.Const([]bool{true})
	y := b.Named("branch").Node("If", []string{cond}, testmodels.Attrs{"then_branch": then, "else_branch": other})
	y = b.Named("own").Node("org.example::Twirl", []string{y})
	y = b.Named("odd").Node("Relu", []string{y}, testmodels.Attrs{"sharpness": 3})
	b.Output(y, onnxio.Float, 2)
	_, err := runtime.Compile(b.Model(), runtime.Options{})
	var u *runtime.UnsupportedError
	if !errors.As(err, &u) {
		t.Fatalf("got %v", err)
	}
	var paths []string
	for _, n := range u.Nodes {
		paths = append(paths, n.Path)
	}
	if !slices.Equal(paths, []string{"branch/then_branch/inner", "own", "odd"}) {
		t.Errorf("got %v: %v", paths, err)
	}
	var unknown *ops.UnknownError
	if !errors.As(err, &unknown) || unknown.Op != "Frobnicate" {
		t.Errorf("got %v", unknown)
	}
	if !strings.Contains(err.Error(), "org.example.Twirl") || !strings.Contains(err.Error(), "sharpness") {
		t.Errorf("got %v", err)
	}
}

func TestAFailureNamesTheNodeItsOperatorAndItsInputs(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N")
	y := b.Input("y", onnxio.Float, "M")
	body := b.Body("body")
	body.Input("i", onnxio.Int64)
	c := body.Input("c", onnxio.Bool)
	body.Output(body.Node("Identity", []string{c}), onnxio.Bool)
	body.Output(body.Named("sum").Node("Add", []string{x, y}), onnxio.Float)
	b.Output(b.Named("Loop_12").Node("Loop", []string{b.Const(int64(2)), ""}, testmodels.Attrs{"body": body}), onnxio.Float)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		_, err := s.Run(context.Background(), values{"x": floats(1, 2), "y": floats(1, 2, 3)})
		var at *runtime.NodeError
		if !errors.As(err, &at) || at.Path != "Loop_12/body/sum" || at.Op != "Add" {
			t.Fatalf("got %v", err)
		}
		if !slices.Equal(at.Inputs, []string{"float32[2]", "float32[3]"}) {
			t.Errorf("got inputs %v", at.Inputs)
		}
		run(t, s, values{"x": floats(1, 2), "y": floats(3, 4)}) // the session can still be used
		if m := s.Memory(); m.InUse != 0 {
			t.Errorf("%d bytes are still in use after a failure", m.InUse)
		}
	})
}

func TestSixteenRunsOfOneSessionAtOnce(t *testing.T) {
	m := nested()
	onBoth(t, m, runtime.Options{Threads: 2, Profile: true}, func(t *testing.T, s *runtime.Session) {
		var wg sync.WaitGroup
		for g := range 16 {
			wg.Go(func() {
				for i := range 5 {
					x := float32(g*5 + i)
					out, err := s.Run(context.Background(), values{"x": value.From(slices.Repeat([]float32{x}, 300), 300), "n": value.Scalar(int64(g % 4))})
					if err != nil {
						t.Error(err)
						return
					}
					want := nestedResult(x, g%4)
					if got := value.Of[float32](out["y"].(*value.Tensor)); got[0] != want || got[299] != want {
						t.Errorf("got %v, want %v", got[0], want)
					}
				}
			})
		}
		wg.Wait()
		if m := s.Memory(); m.InUse != 0 {
			t.Errorf("%d bytes are still in use", m.InUse)
		}
	})
}

func TestARunIsCancelledByItsContext(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 4)
	body := b.Body("body")
	body.Input("i", onnxio.Int64)
	c := body.Input("c", onnxio.Bool)
	s := body.Input("s", onnxio.Float, 4)
	body.Output(body.Node("Identity", []string{c}), onnxio.Bool)
	body.Output(body.Add(s, x), onnxio.Float, 4)
	b.Output(b.Node("Loop", []string{"", "", x}, testmodels.Attrs{"body": body}), onnxio.Float, 4)
	onBoth(t, b.Model(), runtime.Options{TripLimit: 1 << 40}, func(t *testing.T, s *runtime.Session) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := s.Run(ctx, values{"x": floats(1, 2, 3, 4)})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %v to stop", took)
		}
	})
}

func TestAnEndlessLoopEndsInAnError(t *testing.T) {
	b := testmodels.New(17)
	body := b.Body("body")
	body.Input("i", onnxio.Int64)
	c := body.Input("c", onnxio.Bool)
	body.Output(body.Node("Identity", []string{c}), onnxio.Bool)
	b.Input("x", onnxio.Float)
	b.NodeTo("Loop", []string{"", ""}, nil, testmodels.Attrs{"body": body})
	then := b.Body("body2")
	then.Input("i", onnxio.Int64)
	c = then.Input("c", onnxio.Bool)
	then.Output(then.Node("Identity", []string{c}), onnxio.Bool)
	then.Output(then.Node("Identity", []string{"i"}), onnxio.Int64)
	b.Output(b.Node("Loop", []string{"", ""}, testmodels.Attrs{"body": then}), onnxio.Int64, "N")
	onBoth(t, b.Model(), runtime.Options{TripLimit: 100}, func(t *testing.T, s *runtime.Session) {
		_, err := s.Run(context.Background(), values{"x": value.Scalar(float32(1))})
		if err == nil || !strings.Contains(err.Error(), "100 rounds") {
			t.Errorf("got %v", err)
		}
	})
}

func TestIntermediateValuesCanBeKeptAndObserved(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 2)
	b.NodeTo("Relu", []string{x}, []string{"r"})
	b.NodeTo("Neg", []string{"r"}, []string{"n"})
	b.NodeTo("Exp", []string{"n"}, []string{"y"})
	b.Output("y", onnxio.Float, 2)
	m := b.Model()
	onBoth(t, m, runtime.Options{Keep: []string{"n", "x"}}, func(t *testing.T, s *runtime.Session) {
		out := run(t, s, values{"x": floats(-1, 0)})
		wantFloats(t, out["n"], float32(math.Copysign(0, -1)), 0)
		wantFloats(t, out["x"], -1, 0)
		wantFloats(t, out["y"], 1, 1)
	})
	var seen []string
	onBoth(t, m, runtime.Options{Observe: func(name string, v value.Value) { seen = append(seen, name+" "+v.String()) }}, func(t *testing.T, s *runtime.Session) {
		seen = nil
		run(t, s, values{"x": floats(-1, 0)})
		if want := []string{"r float32[2]", "n float32[2]", "y float32[2]"}; !slices.Equal(seen, want) {
			t.Errorf("saw %v, want %v", seen, want)
		}
	})
	if _, err := runtime.Compile(m, runtime.Options{Keep: []string{"nothing"}}); err == nil {
		t.Error("keeping a value that does not exist is no error")
	}
}

func TestDenseTensorsGoInAndOut(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "H", "W")
	b.NodeTo("Add", []string{x, x}, []string{"y"})
	b.Output("y", onnxio.Float, "H", "W")
	b.NodeTo("Cast", []string{x}, []string{"half"}, testmodels.Attrs{"to": onnxio.Float16})
	b.Output("half", onnxio.Float16, "H", "W")
	b.NodeTo("ReduceSum", []string{x}, []string{"sum"}, testmodels.Attrs{"keepdims": 0})
	b.OutputType("sum", onnxio.TensorType(onnxio.Float))
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		d := tensor.New(tensor.WithShape(2, 3), tensor.WithBacking([]float32{1, 2, 3, 4, 5, 6}))
		out, err := s.RunDense(context.Background(), map[string]*tensor.Dense{"x": d}, "y", "sum")
		if err != nil {
			t.Fatal(err)
		}
		if got := out["y"].Data().([]float32); !slices.Equal(got, []float32{2, 4, 6, 8, 10, 12}) {
			t.Errorf("got %v", got)
		}
		if got := out["sum"].Data(); got != float32(21) {
			t.Errorf("got %v", got)
		}
		if err := d.T(); err != nil { // a transposed view
			t.Fatal(err)
		}
		out, err = s.RunDense(context.Background(), map[string]*tensor.Dense{"x": d}, "y")
		if err != nil {
			t.Fatal(err)
		}
		if got := out["y"].Data().([]float32); !slices.Equal(got, []float32{2, 8, 4, 10, 6, 12}) {
			t.Errorf("transposed: got %v", got)
		}
		_, err = s.RunDense(context.Background(), map[string]*tensor.Dense{"x": d}, "half")
		if err == nil || !strings.Contains(err.Error(), `output "half": *tensor.Dense has no elements of type float16`) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAProfileCountsCallsAndBodies(t *testing.T) {
	onBoth(t, nested(), runtime.Options{Profile: true}, func(t *testing.T, s *runtime.Session) {
		run(t, s, values{"x": value.New(onnxio.Float, 300), "n": value.Scalar(int64(3))})
		p := s.Profile()
		calls := map[string]int64{}
		for _, o := range p.Operators {
			calls[o.Op] = o.Calls
		}
		if calls["Loop"] != 1 || calls["If"] != 3 {
			t.Errorf("got %v", calls)
		}
		var text strings.Builder
		if err := p.Write(&text, 3); err != nil || !strings.Contains(text.String(), "outer (Loop)") && !strings.Contains(text.String(), "Loop") {
			t.Errorf("got %q, %v", text.String(), err)
		}
	})
}
