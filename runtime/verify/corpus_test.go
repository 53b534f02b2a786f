package verify_test

// Real models: everything that can go is pruned by 30 %, and the result is proven.

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/verify"
)

// accepted are the models that must be proven as they are, with a file of each.
var accepted = []string{
	"trained/yolox_nano_416.onnx", "trained/yolov8n_deq32.onnx.gz", "trained/yolov5n_fp32.onnx.gz", "trained/nanodet_m_320.onnx",
	"trained/picodet_s_320.onnx", "trained/ultraface_rfb_320.onnx", "trained/retinaface_mbnet025.onnx", "trained/ppocr_mobile_v2.0_det.onnx",
	"trained/cifar_resnet_2b.onnx", "trained/superres_espcn_core.onnx", "trained/silero_vad_v5.onnx", "trained/yolov8n_int8.onnx",
	"fashion/yolov3_mobilenet_v1_w4_fashion.onnx",
}

func TestPrunedCorpusModelsEqualTheirMaskedTwins(t *testing.T) {
	for _, path := range corpus(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			m := openModel(t, path)
			twin, pruned, kept := prune(t, m, 0.3)
			r, err := verify.Compare(context.Background(), twin, pruned, verify.Options{Kept: kept})
			if lacks := (*verify.CannotRunError)(nil); errors.As(err, &lacks) && !slices.ContainsFunc(accepted, func(a string) bool { return filepath.Base(a) == filepath.Base(path) }) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f s, %s", r.Elapsed.Seconds(), r.Decided)
			for _, in := range r.Inputs {
				t.Logf("input %s %s%v: %s", in.Name, in.Type, in.Shape, in.From)
			}
			for _, o := range r.Outputs {
				if !o.Pass || testing.Verbose() {
					t.Logf("%+v", o)
				}
			}
			if !r.Pass {
				t.Error("it does not pass")
			}
		})
	}
}

// corpus lists the accepted models; ONNXPRUNE_ALL_MODELS adds the rest of the corpus, ONNXPRUNE_FILLED a folder of filled skeletons.
func corpus(t testing.TB) []string {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	var out []string
	for _, name := range accepted {
		out = append(out, filepath.Join(dir, "models", filepath.FromSlash(name)))
	}
	if _, err := os.Stat(out[0]); err != nil {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	if testing.Short() {
		return out[len(out)-1:]
	}
	add := func(pattern string) {
		more, _ := filepath.Glob(pattern)
		for _, f := range more {
			if !strings.Contains(strings.Join(out, "\n")+"\n", f+"\n") && filepath.Base(filepath.Dir(f)) != "invalid" {
				out = append(out, f)
			}
		}
	}
	if os.Getenv("ONNXPRUNE_ALL_MODELS") != "" {
		add(filepath.Join(dir, "models", "*", "*.onnx"))
		add(filepath.Join(dir, "models", "*", "*", "*.onnx"))
		add(filepath.Join(dir, "models", "*", "*.onnx.gz"))
	}
	if filled := os.Getenv("ONNXPRUNE_FILLED"); filled != "" {
		add(filepath.Join(filled, "*.onnx"))
	}
	return out
}

// openModel opens a model, unpacking it first where it is packed.
func openModel(t *testing.T, path string) *onnxio.Model {
	if strings.HasSuffix(path, ".gz") {
		in, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		z, err := gzip.NewReader(in)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".gz"))
		if err := os.WriteFile(path, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// prune takes a share of every parameter that can be pruned.
func prune(t *testing.T, m *onnxio.Model, ratio float64) (twin, pruned *onnxio.Model, kept map[string]map[int][]int) {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := channels.Analyze(g, s, channels.Options{})
	if len(a.Params) == 0 {
		t.Skip("it has no weights of convolutions or linear layers")
	}
	wants, left, err := selection.Resolve(a, []string{"*"}, []float64{ratio})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(a, wants, selection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Removed) == 0 {
		t.Skipf("nothing of it can be pruned: %v", left)
	}
	p, err := plan.Build(a, c.Removed)
	if err != nil {
		t.Fatal(err)
	}
	if pruned, err = rewrite.Apply(m, p); err != nil {
		t.Fatal(err)
	}
	if twin, err = rewrite.MaskedTwin(m, p); err != nil {
		t.Fatal(err)
	}
	return twin, pruned, plan.Kept(a, c.Removed)
}

// TestForgedScoresOfADetectorFail prunes one layer of yolov8n and spoils its class scores, which share an output with boxes that are a thousand times
// larger.
func TestForgedScoresOfADetectorFail(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs a whole detector")
	}
	dir := filepath.Dir(filepath.Dir(filepath.Dir(corpus(t)[0])))
	m := openModel(t, filepath.Join(dir, "models", "trained", "yolov8n_deq32.onnx.gz"))
	channels := make([]int, 6)
	for i := range channels {
		channels[i] = 3 * i
	}
	twin, pruned, kept := pruneAt(t, m, "model.4.m.1.cv1.conv.weight_deq", channels...)
	head := func(level, tensor string) string { return "model.22.cv3." + level + ".2." + tensor }
	for _, c := range []struct {
		title string
		forge func(m *onnxio.Model) *onnxio.Model
	}{
		{"all scores next to zero", func(m *onnxio.Model) *onnxio.Model {
			for _, level := range []string{"0", "1", "2"} {
				m = edit(t, m, head(level, "weight_bias_deq"), func(vs []float32) {
					for i := range vs {
						vs[i] = -30
					}
				})
			}
			return m
		}},
		{"the classes in reverse", func(m *onnxio.Model) *onnxio.Model {
			const classes = 80
			for _, level := range []string{"0", "1", "2"} {
				for _, tensor := range []string{"weight_deq", "weight_bias_deq"} {
					m = edit(t, m, head(level, tensor), func(vs []float32) {
						per := len(vs) / classes
						for i := range classes / 2 {
							for k := range per {
								a, b := i*per+k, (classes-1-i)*per+k
								vs[a], vs[b] = vs[b], vs[a]
							}
						}
					})
				}
			}
			return m
		}},
	} {
		t.Run(c.title, func(t *testing.T) {
			r := compare(t, twin, c.forge(pruned), verify.Options{Kept: kept})
			t.Log(r.Decided)
			if r.Pass {
				t.Fatal("it passes")
			}
			for _, words := range []string{`the models differ first at Conv "/model.22/cv3.0/cv3.0.2/Conv"`, `it is seen in "output0", slices 4 to 83 of axis 1 (from Sigmoid "/model.22/Sigmoid")`} {
				if !strings.Contains(r.Decided, words) {
					t.Errorf("it does not say %s", words)
				}
			}
		})
	}
}
