package shape_test

import (
	"os"
	"path/filepath"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// corpus returns the folder of the shared models, or skips.
func corpus(t testing.TB) string {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(filepath.Join(dir, "models")); err != nil {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	return dir
}

// corpusModels lists the valid models of the corpus and the filled skeletons where ONNXPRUNE_FILLED says they are.
func corpusModels(t testing.TB) []string {
	paths, _ := filepath.Glob(filepath.Join(corpus(t), "models", "*", "*.onnx"))
	nested, _ := filepath.Glob(filepath.Join(corpus(t), "models", "*", "*", "*.onnx"))
	var out []string
	for _, p := range append(paths, nested...) {
		if base := filepath.Base(p); base != "fns_candy_v0.onnx" && base != "yolo_fastest_xl.onnx" {
			out = append(out, p)
		}
	}
	if dir := os.Getenv("ONNXPRUNE_FILLED"); dir != "" {
		filled, _ := filepath.Glob(filepath.Join(dir, "*.onnx"))
		out = append(out, filled...)
	}
	return out
}

// open links a model that is to be closed after the test.
func open(t testing.TB, path string) *graph.Graph {
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	g, err := graph.Build(m)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return g
}

// TestCorpusModelsInfer infers every valid model: no error, nothing that contradicts a declared shape, ranks known.
func TestCorpusModelsInfer(t *testing.T) {
	values, unknown := 0, 0
	for _, path := range corpusModels(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			g := open(t, path)
			r, err := shape.Infer(g, shape.Options{})
			if err != nil {
				t.Fatal(err)
			}
			missing := 0
			for _, v := range g.Values {
				in := r.Of(v)
				values++
				if in.Kind == onnxio.KindUnknown || in.Kind == onnxio.KindTensor && !in.Known {
					unknown++
					missing++
					if missing < 4 && v.Producer != nil {
						t.Logf("nothing is known of %q out of %s", v.FullName(), v.Producer.Title())
					}
				}
				contradiction(t, v, in)
			}
			if missing > 0 {
				t.Logf("%d of %d values have an unknown rank", missing, len(g.Values))
			}
		})
	}
	t.Logf("%d of %d values have an unknown rank", unknown, values)
}

// contradiction reports fixed extents that differ from what the file declares.
func contradiction(t *testing.T, v *graph.Value, in *shape.Info) {
	d := v.Declared
	if d == nil || d.Kind != onnxio.KindTensor || !d.HasShape || !in.Known {
		return
	}
	if in.Elem != d.Elem {
		t.Errorf("%q: inferred %v, declared %v", v.FullName(), in, d)
		return
	}
	if len(in.Dims) != len(d.Shape) {
		t.Errorf("%q: inferred %v, declared %v", v.FullName(), in, d)
		return
	}
	for i, e := range d.Shape {
		if n, ok := in.Dims[i].Const(); ok && e.Known && e.Value >= 0 && n != e.Value {
			t.Errorf("%q: inferred %v, declared %v", v.FullName(), in, d)
			return
		}
	}
}
