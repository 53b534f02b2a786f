package shape_test

import (
	"os"
	"path/filepath"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// FuzzInfer: whatever a file says, inference ends with a result or an error. Known elements always fit the shape.
func FuzzInfer(f *testing.F) {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "models", "*", "*.onnx"))
	for _, p := range paths {
		if st, err := os.Stat(p); err == nil && st.Size() < 60_000 {
			if b, err := os.ReadFile(p); err == nil {
				f.Add(b)
			}
		}
	}
	for _, files := range suiteFiles(f) {
		f.Add(files["model.onnx"])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := onnxio.Parse(b)
		if err != nil {
			return
		}
		g, err := graph.Build(m)
		if err != nil {
			return
		}
		r, err := shape.Infer(g, shape.Options{})
		if err != nil {
			return
		}
		for _, v := range g.Values {
			in := r.Of(v)
			if in.Nums == nil {
				continue
			}
			n, ok := in.Len()
			if k, fixed := n.Const(); !ok || fixed && k != int64(len(in.Nums)) {
				t.Errorf("%q: %d elements are known of %v", v.FullName(), len(in.Nums), in)
			}
		}
	})
}
