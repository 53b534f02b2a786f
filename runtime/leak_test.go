package runtime_test

import (
	"context"
	goruntime "runtime"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// A program that opens one model after the other must not keep the weights of those that it is done with.
func TestAClosedSessionIsCollected(t *testing.T) {
	const weights = 4 << 20 // elements of the largest weight
	use := func() {
		b := testmodels.New(17)
		x := b.Input("x", onnxio.Float, 1, 1024)
		b.Output(b.Gemm("fc", x, 1024, weights/1024), onnxio.Float, 1, weights/1024)
		s, err := runtime.Compile(b.Model(), runtime.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Run(context.Background(), map[string]value.Value{"x": value.New(onnxio.Float, 1, 1024)}); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() uint64 {
		goruntime.GC()
		goruntime.GC()
		var m goruntime.MemStats
		goruntime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	use()
	before := heap()
	for range 8 {
		use()
	}
	if after := heap(); after > before+2*4*weights {
		t.Errorf("the heap grew from %d to %d MB over 8 sessions of %d MB of weights each", before>>20, after>>20, 4*weights>>20)
	}
}
