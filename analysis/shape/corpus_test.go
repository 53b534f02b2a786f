package shape_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// corpusModels lists the valid models of the corpus, and the filled skeletons where ONNXPRUNE_FILLED says they are.
func corpusModels(t testing.TB) []string {
	paths, _ := filepath.Glob(filepath.Join(corpus(t), "models", "*", "*.onnx"))
	nested, _ := filepath.Glob(filepath.Join(corpus(t), "models", "*", "*", "*.onnx"))
	packed, _ := filepath.Glob(filepath.Join(corpus(t), "models", "*", "*.onnx.gz"))
	var out []string
	for _, p := range append(append(paths, nested...), packed...) {
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

// read opens a model file, packed or not.
func read(path string) (*onnxio.Model, error) {
	if !strings.HasSuffix(path, ".gz") {
		return onnxio.Open(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	return onnxio.Parse(b)
}

// open links a model that is to be closed after the test.
func open(t testing.TB, path string) *graph.Graph {
	m, err := read(path)
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

// openRanks says in which models ranks stay open, of how many values, and why. In every other model all ranks are known.
var openRanks = map[string]int{
	"superres_espcn.onnx":        4,  // custom operators
	"superres_prepost_op18.onnx": 4,  // custom operators
	"blazeface_e2e_nms.onnx":     2,  // a Squeeze without axes of the boxes that NonMaxSuppression selects
	"silero_vad_v5.onnx":         62, // branches of an If have different ranks, and the input's length decides
}

// TestCorpusModelsInfer infers every valid model, once as it is and once without what the file declares of anything but the
// model's inputs: no error, and nothing that contradicts the shapes that the exporters wrote.
func TestCorpusModelsInfer(t *testing.T) {
	values, unknown := 0, 0
	for _, path := range corpusModels(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			g := open(t, path)
			declared := make([]*onnxio.Type, len(g.Values))
			for i, v := range g.Values {
				declared[i] = v.Declared
			}
			r, err := shape.Infer(g, shape.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range g.Values {
				contradiction(t, v, r.Of(v), declared[i])
				if !v.Input || v.InBody() {
					v.Declared = nil
				}
			}
			if r, err = shape.Infer(g, shape.Options{}); err != nil {
				t.Fatal(err)
			}
			missing := 0
			for i, v := range g.Values {
				in := r.Of(v)
				values++
				if in.Kind == onnxio.KindUnknown || in.Kind == onnxio.KindTensor && !in.Known {
					missing++
					if missing < 4 && v.Producer != nil {
						t.Logf("nothing is known of %q out of %s", v.FullName(), v.Producer.Title())
					}
				}
				contradiction(t, v, in, declared[i])
			}
			if unknown += missing; missing > openRanks[filepath.Base(path)] {
				t.Errorf("%d of %d values have an unknown rank", missing, len(g.Values))
			}
		})
	}
	t.Logf("%d of %d values have an unknown rank", unknown, values)
}

// contradiction reports fixed extents that differ from what the file declares.
func contradiction(t *testing.T, v *graph.Value, in *shape.Info, d *onnxio.Type) {
	if d == nil || d.Kind != onnxio.KindTensor || !d.HasShape || !in.Known {
		return
	}
	bad := in.Elem != d.Elem || len(in.Dims) != len(d.Shape)
	for i := 0; i < len(d.Shape) && !bad; i++ {
		n, ok := in.Dims[i].Const()
		bad = ok && d.Shape[i].Known && d.Shape[i].Value >= 0 && n != d.Shape[i].Value
	}
	if bad {
		t.Errorf("%q: inferred %v, declared %v", v.FullName(), in, d)
	}
}

// TestInvalidConcatIsNamed: the error says in one line which node is wrong, and the shapes of its inputs.
func TestInvalidConcatIsNamed(t *testing.T) {
	g := open(t, filepath.Join(corpus(t), "models", "invalid", "yolo_fastest_xl.onnx"))
	_, err := shape.Infer(g, shape.Options{})
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{`Concat "Concat_231"`, `"817"`, "axis 1"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not mention %s", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than one line", err)
	}
}

// BenchmarkInfer measures the whole inference of the model with the most nodes.
func BenchmarkInfer(b *testing.B) {
	for _, path := range corpusModels(b) {
		switch name := filepath.Base(path); name {
		case "swin_t.onnx", "maskrcnn_resnet50_fpn.onnx", "mask_rcnn_r50.onnx", "deimv2_atto_int8.onnx", "yolov3_mobilenet_v1_w4_fashion.onnx":
			b.Run(name, func(b *testing.B) {
				g := open(b, path)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := shape.Infer(g, shape.Options{}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(len(g.Nodes)), "nodes")
			})
		}
	}
}
