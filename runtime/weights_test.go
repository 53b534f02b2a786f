package runtime_test

import (
	"path/filepath"
	goruntime "runtime"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// heapInUse returns the bytes that the program still refers to.
func heapInUse() int64 {
	goruntime.GC()
	goruntime.GC() // scratch memory of the kernels lives through one collection
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestASessionHoldsWeightsOnce(t *testing.T) {
	const weights = 4 * mebi // elements of all of them: 16 MiB
	for name, write := range map[string]func(b *testmodels.Builder){
		"of a convolution": func(b *testmodels.Builder) {
			x := b.Input("x", onnxio.Float, 1, 2048, 2, 2)
			b.Output(b.Relu(b.Conv("c", x, 2048, 2048, 1, testmodels.Bias())), onnxio.Float)
		},
		"of a convolution that takes over a normalisation and a sum": func(b *testmodels.Builder) {
			x := b.Input("x", onnxio.Float, 1, 2048, 2, 2)
			b.Output(b.Relu(b.Add(x, b.BN("n", b.Conv("c", x, 2048, 2048, 1), 2048))), onnxio.Float)
		},
		"of a fully connected layer": func(b *testmodels.Builder) {
			x := b.Input("x", onnxio.Float, 1, 2048)
			b.Output(b.Gemm("fc", x, 2048, 2048), onnxio.Float)
		},
		"of a matrix product": func(b *testmodels.Builder) {
			x := b.Input("x", onnxio.Float, 1, 2048)
			b.Output(b.MatMul("mm", x, 2048, 2048), onnxio.Float)
		},
		"of one convolution in five places": func(b *testmodels.Builder) {
			x := b.Input("x", onnxio.Float, 1, 2048, 2, 2)
			w := b.Weight("w", 2048, 2048, 1, 1)
			for range 5 {
				x = b.Node("Conv", []string{x, w})
			}
			b.Output(x, onnxio.Float)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := testmodels.New(17)
			write(b)
			file := filepath.Join(t.TempDir(), "m.onnx")
			if err := b.Save(file); err != nil {
				t.Fatal(err)
			}
			b = nil
			m, err := onnxio.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			in := corpusInputs("", m)
			before := heapInUse()
			onBoth(t, m, runtime.Options{Threads: 1}, func(t *testing.T, s *runtime.Session) {
				run(t, s, in)
				if grown := heapInUse() - before; grown < 4*weights || grown > 4*weights*5/4 {
					t.Errorf("the heap grew by %.1f MiB, want little more than the %d MiB of the weights", float64(grown)/mebi, 4*weights/mebi)
				}
			})
		})
	}
}

// What is live behind each node follows from the graph: what the node read and wrote, and what a later node reads.
func TestTheGraphHoldsNoDeadBuffers(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, mebi/4) // 1 MiB, as all that follow; the caller's own, so not counted
	var names []string
	node := func(op string, inputs ...string) string {
		names = append(names, b.Node(op, inputs))
		return names[len(names)-1]
	}
	p := node("Relu", x)     // p
	q := node("Abs", p)      // p q
	r := node("Add", p, q)   // p q r: p and q are read for the last time
	s := node("Neg", r)      // r s
	u := node("Exp", s)      // r s u: r has another reader
	v := node("Mul", u, r)   // r u v
	w := node("Identity", v) // v, shared by w
	y := node("Relu", w)     // v y
	node("Abs", y)           // y z
	b.Output(names[len(names)-1], onnxio.Float, mebi/4)
	live := []int64{1, 2, 3, 2, 3, 3, 1, 2, 2}
	for _, e := range engines {
		t.Run(e.String(), func(t *testing.T) {
			var session *runtime.Session
			at := 0
			var err error
			session, err = runtime.Compile(b.Model(), runtime.Options{Engine: e, Observe: func(name string, _ value.Value) {
				if got := session.Memory().InUse; got != live[at]*mebi || name != names[at] {
					t.Errorf("%d KiB are in use behind node %d, %s, want %d", got>>10, at, name, live[at]<<10)
				}
				at++
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			for range 2 {
				at = 0
				run(t, session, values{"x": value.New(onnxio.Float, mebi/4)})
				if m := session.Memory(); at != len(live) || m.InUse != 0 {
					t.Errorf("%d nodes were seen, and %d bytes are in use behind the run", at, m.InUse)
				}
			}
		})
	}
}
