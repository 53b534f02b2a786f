package rewrite_test

import (
	"context"
	"path/filepath"
	"slices"
	"testing"

	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// x -> a -> b -> out, and x -> side -> out2; b is cut.
func TestTheFrontierIsWhatTheCutReads(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	a := b.Relu(b.Conv("a", x, 3, 8, 3))
	y := b.Conv("c", b.Conv("b", a, 8, 8, 3), 8, 4, 1)
	side := b.Conv("side", x, 3, 2, 1)
	b.Output(y, onnxio.Float, 1, 4, 8, 8)
	b.Output(side, onnxio.Float, 1, 2, 8, 8)
	m := b.Model()
	for _, c := range []struct {
		cut  string
		want []string
	}{{"b.weight", []string{a, side}}, {"a.weight", []string{side}}} {
		if got := rewrite.Frontier(m, pruneOne(t, m, c.cut, .5)); !slices.Equal(got, c.want) {
			t.Errorf("with %s cut the frontier is %v, want %v", c.cut, got, c.want)
		}
	}
	if got := rewrite.Frontier(m, m); !slices.Equal(got, []string{y, side}) {
		t.Errorf("of the model itself the frontier is %v, want the outputs", got)
	}
}

func pruneOne(t *testing.T, m *onnxio.Model, name string, ratio float64) *onnxio.Model {
	t.Helper()
	a, err := analysed(m)
	if err != nil {
		t.Fatal(err)
	}
	wants, _, err := selection.Resolve(a, []string{name}, []float64{ratio})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(a, wants, selection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(a, c.Removed)
	if err != nil {
		t.Fatal(err)
	}
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		t.Fatal(err)
	}
	return pruned
}

// The original runs up to the frontier, the pruned model from there on: together they give what the pruned model gives alone.
func TestAPrunedModelRunsFromItsFrontier(t *testing.T) {
	tried := 0
	for _, path := range models(t) {
		switch filepath.Base(path) {
		case "yolov3_mobilenet_v1_w4_fashion.onnx", "yolov3_mobilenet_v1_w4_fashion_fused_prenms.onnx", "ultraface_rfb_320.onnx", "cifar_resnet_2b.onnx":
		default:
			continue
		}
		tried++
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := onnxio.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			a, err := analysed(m)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, p := range a.Params {
				if p.Reason == nil {
					names = append(names, p.Name)
				}
			}
			for _, name := range []string{names[0], names[len(names)/2], names[len(names)-1]} {
				runsFromFrontier(t, m, pruneOne(t, m, name, .4), name)
			}
		})
	}
	if tried == 0 {
		t.Skip("the shared models are not here")
	}
}

func runsFromFrontier(t *testing.T, m, pruned *onnxio.Model, name string) {
	t.Helper()
	session := func(m *onnxio.Model, o runtime.Options) *runtime.Session {
		s, err := runtime.Compile(m, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	call := func(s *runtime.Session, in map[string]value.Value) map[string]value.Value {
		given := map[string]value.Value{}
		for _, i := range s.Inputs() {
			given[i.Name] = in[i.Name]
		}
		out, err := s.Run(context.Background(), given)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	whole := session(pruned, runtime.Options{})
	in := map[string]value.Value{}
	for _, i := range whole.Inputs() {
		var shape []int
		for _, d := range i.Type.Shape {
			shape = append(shape, max(1, int(d.Value)))
		}
		v := value.New(i.Type.Elem, shape...)
		switch d := v.Data.(type) {
		case []float32:
			for k := range d {
				d[k] = float32(k%17)/8 - 1
			}
		case []int32:
			for k := range d {
				d[k] = 128
			}
		}
		in[i.Name] = v
	}
	want := call(whole, in)
	frontier := rewrite.Frontier(m, pruned)
	if len(frontier) > 0 {
		for k, v := range call(session(m, runtime.Options{To: frontier}), in) {
			in[k] = v
		}
	}
	got := call(session(pruned, runtime.Options{From: frontier}), in)
	for k, w := range want {
		x, _ := w.(*value.Tensor).Floats()
		y, _ := got[k].(*value.Tensor).Floats()
		if len(x) != len(y) {
			t.Fatalf("%s cut: output %s has %d values, alone %d", name, k, len(y), len(x))
		}
		for i := range x {
			if d := x[i] - y[i]; d > 1e-3*(1+max(x[i], -x[i])) || -d > 1e-3*(1+max(x[i], -x[i])) {
				t.Fatalf("%s cut: output %s is %v at %d, alone %v", name, k, y[i], i, x[i])
			}
		}
	}
}
