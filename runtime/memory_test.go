package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

const mebi = 1 << 20

func TestAHundredLayersNeedTwoBuffers(t *testing.T) {
	b := testmodels.New(17)
	v := b.Input("x", onnxio.Float, mebi/4) // 1 MiB each
	for range 100 {
		v = b.Relu(v)
	}
	b.Output(v, onnxio.Float, mebi/4)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		for range 3 {
			run(t, s, values{"x": value.New(onnxio.Float, mebi/4)})
		}
		m := s.Memory()
		if m.Peak > 2*mebi+mebi/2 || m.InUse != 0 {
			t.Errorf("the peak is %d bytes and %d are in use, want two buffers of %d and none", m.Peak, m.InUse, mebi)
		}
		if m.Kept > m.Peak {
			t.Errorf("%d bytes are kept, the peak is %d", m.Kept, m.Peak)
		}
		s.Trim()
		if m := s.Memory(); m.Kept != 0 {
			t.Errorf("%d bytes are kept after Trim", m.Kept)
		}
	})
}

func TestAViewKeepsItsMemoryAlive(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1000)
	r := b.Relu(x)
	view := b.Reshape(r, 10, 100) // r has no reader after this
	other := b.Node("Neg", []string{x})
	other = b.Node("Abs", []string{other}) // would take r's block if it were free
	b.NodeTo("Add", []string{view, b.Reshape(other, 10, 100)}, []string{"y"})
	b.Output("y", onnxio.Float, 10, 100)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		for range 3 {
			out := run(t, s, values{"x": value.From(slices.Repeat([]float32{3}, 1000), 1000)})
			wantFloats(t, out["y"], slices.Repeat([]float32{6}, 1000)...)
		}
	})
}

func TestALoopKeepsOnlyItsStates(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, mebi/4)
	body := b.Body("body")
	body.Input("i", onnxio.Int64)
	c := body.Input("c", onnxio.Bool)
	s := body.Input("s", onnxio.Float, mebi/4)
	body.Output(body.Node("Identity", []string{c}), onnxio.Bool)
	body.Output(body.Relu(body.Relu(body.Add(s, x))), onnxio.Float, mebi/4)
	b.Output(b.Node("Loop", []string{b.Const(int64(50)), "", x}, attrs{"body": body}), onnxio.Float, mebi/4)
	onBoth(t, b.Model(), runtime.Options{}, func(t *testing.T, s *runtime.Session) {
		run(t, s, values{"x": value.New(onnxio.Float, mebi/4)})
		if m := s.Memory(); m.Peak > 4*mebi || m.InUse != 0 {
			t.Errorf("the peak is %d bytes and %d are in use, want at most four buffers of %d and none", m.Peak, m.InUse, mebi)
		}
	})
}

func TestAGiantAllocationEndsInAnError(t *testing.T) {
	b := testmodels.New(17)
	shape := b.Input("shape", onnxio.Int64, 3)
	b.Output(b.Node("ConstantOfShape", []string{shape}), onnxio.Float)
	onBoth(t, b.Model(), runtime.Options{MemoryLimit: 10 * mebi}, func(t *testing.T, s *runtime.Session) {
		for _, dims := range [][]int64{{1000, 1000, 1000}, {1 << 40, 1 << 40, 1 << 40}, {1, 1, -1}} {
			if _, err := s.Run(context.Background(), values{"shape": value.From(dims, 3)}); err == nil {
				t.Errorf("%v is no error", dims)
			}
		}
		var limit *runtime.LimitError
		if _, err := s.Run(context.Background(), values{"shape": value.From([]int64{1000, 1000, 1000}, 3)}); !errors.As(err, &limit) || limit.Limit != 10*mebi {
			t.Errorf("got %v", err)
		}
		run(t, s, values{"shape": value.From([]int64{10, 10, 10}, 3)})
		if m := s.Memory(); m.InUse != 0 {
			t.Errorf("%d bytes are in use", m.InUse)
		}
	})
}

func TestResultsDoNotDependOnThreads(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 33, 37)
	v := b.ConvBNRelu("a", x, 3, 16, 3)
	v = b.ConvBNRelu("b", v, 16, 24, 3, testmodels.Stride(2))
	v = b.Conv("c", v, 24, 8, 1)
	v = b.Softmax(b.Flatten(v), 1)
	b.Output(v, onnxio.Float, 1, -1)
	m := b.Model()
	in := value.New(onnxio.Float, 1, 3, 33, 37)
	for i := range value.Of[float32](in) {
		value.Of[float32](in)[i] = float32(i%97) / 97
	}
	var first []float32
	for threads := 1; threads <= 5; threads++ {
		onBoth(t, m, runtime.Options{Threads: threads}, func(t *testing.T, s *runtime.Session) {
			got := value.Of[float32](run(t, s, values{"x": in})[v].(*value.Tensor))
			if first == nil {
				first = got
			}
			if !slices.Equal(got, first) {
				t.Errorf("%d threads give other bits than one", threads)
			}
		})
	}
}

func ExampleSession_Run() {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N")
	b.NodeTo("Relu", []string{x}, []string{"y"})
	b.Output("y", onnxio.Float, "N")
	s, err := runtime.Compile(b.Model(), runtime.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]value.Value{"x": value.From([]float32{-1, 2}, 2)})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(out["y"], value.Of[float32](out["y"].(*value.Tensor)))
	// Output: float32[2] [0 2]
}
