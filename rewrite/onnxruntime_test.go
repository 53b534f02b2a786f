package rewrite_test

import (
	"fmt"
	"math"
	"math/rand/v2"
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
	"onnxprune/runtime/onnxruntime"
	"onnxprune/testmodels"
)

// TestEveryCorpusModelEqualsItsMaskedTwinUnderONNXRuntime prunes every model of the corpus at several ratios of everything that can
// go, and lets ONNX Runtime compare the result with the masked twin: rtol 1e-3 of the output's range.
func TestEveryCorpusModelEqualsItsMaskedTwinUnderONNXRuntime(t *testing.T) {
	lib := oracle(t)
	ratios := []float64{0.1, 0.3, 0.5, 0.7}
	if testing.Short() || os.Getenv("ONNXPRUNE_ALL_RATIOS") == "" {
		ratios = []float64{0.3} // all four take half an hour on two cores
	}
	for _, path := range models(t) {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "fns_candy_v0") || filepath.Base(filepath.Dir(path)) == "invalid" {
			continue
		}
		for _, r := range ratios {
			t.Run(fmt.Sprintf("%s/%v", name, r), func(t *testing.T) { compare(t, lib, path, r) })
		}
	}
}

func oracle(t testing.TB) *onnxruntime.Library {
	path, err := onnxruntime.Find()
	if err != nil {
		t.Skipf("ONNX Runtime is not here: %v", err)
	}
	lib, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// models lists the corpus: the shared models, and the filled skeletons where ONNXPRUNE_FILLED names their folder.
func models(t testing.TB) []string {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	list, _ := filepath.Glob(filepath.Join(dir, "models", "*", "*.onnx"))
	more, _ := filepath.Glob(filepath.Join(dir, "models", "*", "*", "*.onnx"))
	list = append(list, more...)
	if filled := os.Getenv("ONNXPRUNE_FILLED"); filled != "" {
		skeletons, _ := filepath.Glob(filepath.Join(filled, "*.onnx"))
		list = append(list, skeletons...)
	}
	if len(list) == 0 {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	return list
}

func compare(t *testing.T, lib *onnxruntime.Library, path string, ratio float64, names ...string) {
	if names == nil {
		names = []string{"*"}
	}
	compareAt(t, lib, path, names, []float64{ratio})
}

// TestTheSeedsCommandsEqualTheirMaskedTwinsUnderONNXRuntime carries the golden commands out on the networks that they are for.
func TestTheSeedsCommandsEqualTheirMaskedTwinsUnderONNXRuntime(t *testing.T) {
	lib := oracle(t)
	res4f := []string{"res4f_branch2b_weights", "res4f_branch2a_weights"}
	for _, c := range []struct {
		what   string
		model  *testmodels.Builder
		names  []string
		ratios []float64
	}{
		{"yolov3_mobilenet_v1", testmodels.YOLOv3MobileNetV1(testmodels.YOLOv3Options{Size: 320}), heads()[:3], []float64{0.2, 0.3, 0.4}},
		{"faster_rcnn_r50", testmodels.FasterRCNNR50(testmodels.RCNNOptions{ControlFlow: true}), res4f, []float64{0.3, 0.4}},
		{"mask_rcnn_r50", testmodels.MaskRCNNR50(testmodels.RCNNOptions{}), res4f, []float64{0.2, 0.3}},
	} {
		t.Run(c.what, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), c.what+".onnx")
			if err := c.model.Save(path); err != nil {
				t.Fatal(err)
			}
			compareAt(t, lib, path, c.names, c.ratios)
		})
	}
}

func compareAt(t *testing.T, lib *onnxruntime.Library, path string, names []string, ratios []float64) {
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
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
	wants, left, err := selection.Resolve(a, names, ratios)
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
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		t.Fatal(err)
	}
	twin, err := rewrite.MaskedTwin(m, p)
	if err != nil {
		t.Fatal(err)
	}
	probes := beforeSelection(g)
	dir := t.TempDir()
	pf, tf := filepath.Join(dir, "pruned.onnx"), filepath.Join(dir, "twin.onnx")
	for f, model := range map[string]*onnxio.Model{pf: pruned, tf: twin} {
		model = model.Clone()
		for _, v := range probes {
			if !slices.ContainsFunc(model.Graph.Outputs, func(o *onnxio.ValueInfo) bool { return o.Name == v.Name }) {
				model.Graph.AddOutput(onnxio.NewValueInfo(v.Name, onnxio.TensorType(s.Of(v).Elem, make([]onnxio.Dim, s.Of(v).Rank())...)))
			}
		}
		if err := model.Save(f); err != nil {
			t.Fatal(err)
		}
	}
	ps, err := lib.NewSession(pf, onnxruntime.Options{OptimizationLevel: onnxruntime.OptimizeBasic})
	if err != nil {
		t.Fatalf("the pruned model does not load: %v", err)
	}
	defer ps.Close()
	ts, err := lib.NewSession(tf, onnxruntime.Options{OptimizationLevel: onnxruntime.OptimizeBasic})
	if err != nil {
		t.Fatalf("the masked twin does not load: %v", err)
	}
	defer ts.Close()
	inputs := feed(filepath.Base(path), ts)
	want, err := ts.Run(inputs, nil)
	if err != nil {
		t.Fatalf("the masked twin does not run: %v", err)
	}
	got, err := ps.Run(inputs, nil)
	if err != nil {
		t.Fatalf("the pruned model does not run: %v", err)
	}
	probe := map[string]bool{}
	for _, v := range probes {
		probe[v.Name] = true
	}
	worst := 0.0
	for _, o := range ts.Outputs() {
		if len(probes) > 0 && !probe[o.Name] {
			continue // behind a selection by value an equal score may swap places: what flows into it decides
		}
		d, err := difference(got[o.Name], want[o.Name])
		if err != nil {
			t.Errorf("output %s: %v", o.Name, err)
			continue
		}
		worst = max(worst, d)
		if d > 1e-3 {
			t.Errorf("output %s differs by %.2g of its range", o.Name, d)
		}
	}
	t.Logf("%d classes removed, %.1f MB -> %.1f MB, worst difference %.2g of the range", len(c.Removed), float64(m.Size())/1e6, float64(pruned.Size())/1e6, worst)
}

// beforeSelection returns the values that flow into the first operators that select by value: boxes, scores, and what is compared
// with a threshold.
func beforeSelection(g *graph.Graph) []*graph.Value {
	behind := map[*graph.Value]bool{}
	var out []*graph.Value
	add := func(v *graph.Value) {
		if v != nil && !v.Constant() && !v.Input && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	for _, n := range g.Main.Nodes {
		after := false
		for _, v := range append(slices.Clone(n.Inputs), n.Captures...) {
			after = after || v != nil && behind[v]
		}
		selects := slices.Contains([]string{"NonMaxSuppression", "TopK", "NonZero", "ArgMax"}, n.Op)
		if selects && !after {
			add(compared(n.Input(0)))
			if n.Op == "NonMaxSuppression" {
				add(unrooted(n.Input(1)))
			}
		}
		for _, v := range n.Outputs {
			if v != nil {
				behind[v] = after || selects
			}
		}
	}
	return out
}

// compared follows truth values back to the number that was compared.
func compared(v *graph.Value) *graph.Value {
	for v != nil && v.Producer != nil && slices.Contains([]string{"Greater", "Less", "GreaterOrEqual", "LessOrEqual", "Cast", "Not", "And", "Equal", "Reshape"}, v.Producer.Op) {
		v = v.Producer.Inputs[0]
	}
	return v
}

// unrooted follows scores back through a square root, whose slope is without bound where the scores are near zero, as they are on
// pictures that show nothing.
func unrooted(v *graph.Value) *graph.Value {
	if v != nil && v.Producer != nil && v.Producer.Op == "Transpose" && v.Producer.Inputs[0].Producer != nil && v.Producer.Inputs[0].Producer.Op == "Sqrt" {
		return v.Producer.Inputs[0].Producer.Inputs[0]
	}
	return v
}

// feed makes inputs: pictures for the usual shapes, and what certain models need.
func feed(name string, s *onnxruntime.Session) map[string]*onnxruntime.Tensor {
	r := rand.New(rand.NewPCG(7, 7))
	out := map[string]*onnxruntime.Tensor{}
	for _, in := range s.Inputs() {
		shape := slices.Clone(in.Shape)
		for k, d := range shape {
			if d >= 0 {
				continue
			}
			switch shape[k] = 1; {
			case len(shape) == 4 && k >= 2:
				shape[k] = 320
			case strings.HasPrefix(name, "silero") && k == 1:
				shape[k] = 512
			}
		}
		if strings.HasPrefix(name, "yolov5n") && len(shape) == 4 {
			shape[2], shape[3] = 640, 640
		}
		n := int64(1)
		for _, d := range shape {
			n *= d
		}
		switch in.ElemType {
		case onnxruntime.Float:
			vs := make([]float32, n)
			for i := range vs {
				switch {
				case in.Name == "input_mask":
				case in.Name == "im_size" || in.Name == "im_info" || in.Name == "im_shape":
					vs[i] = 320
				case strings.HasPrefix(name, "fns_candy"), strings.HasPrefix(name, "yolox"):
					vs[i] = r.Float32() * 255
				default:
					vs[i] = r.Float32()
				}
			}
			out[in.Name] = onnxruntime.FromFloat32(shape, vs)
		case onnxruntime.Int64:
			vs := make([]int64, n)
			for i := range vs {
				vs[i] = integer(in.Name)
			}
			out[in.Name] = onnxruntime.FromInt64(shape, vs)
		case onnxruntime.Int32:
			vs := make([]int32, n)
			for i := range vs {
				vs[i] = int32(integer(in.Name))
			}
			out[in.Name] = onnxruntime.FromInt32(shape, vs)
		case onnxruntime.Bool:
			vs := make([]bool, n)
			for i := range vs {
				vs[i] = i%2 == 0
			}
			out[in.Name] = onnxruntime.FromBool(shape, vs)
		default:
			out[in.Name] = &onnxruntime.Tensor{Type: in.ElemType, Shape: shape, Data: make([]byte, n*int64(onnxio.DataType(in.ElemType).Bits()/8))}
		}
	}
	return out
}

func integer(name string) int64 {
	switch {
	case name == "sr":
		return 16000
	case strings.Contains(name, "size") || strings.Contains(name, "shape"):
		return 320
	}
	return 3
}

// difference is the largest difference of two tensors as a share of the range of the second.
func difference(got, want *onnxruntime.Tensor) (float64, error) {
	if got == nil || want == nil {
		return 0, fmt.Errorf("it is missing")
	}
	if !slices.Equal(got.Shape, want.Shape) || got.Type != want.Type {
		return 0, fmt.Errorf("it has the shape %v, the masked twin gives %v", got.Shape, want.Shape)
	}
	a, err := got.Numbers()
	if err != nil {
		return 0, err
	}
	b, err := want.Numbers()
	if err != nil {
		return 0, err
	}
	span, worst := 0.0, 0.0
	for i := range b {
		if math.IsNaN(a[i]) != math.IsNaN(b[i]) {
			return 0, fmt.Errorf("element %d is %v, the masked twin gives %v", i, a[i], b[i])
		}
		if !math.IsNaN(b[i]) && !math.IsInf(b[i], 0) {
			span = max(span, math.Abs(b[i]))
		}
		if a[i] != b[i] && !math.IsNaN(a[i]) {
			worst = max(worst, math.Abs(a[i]-b[i]))
		}
	}
	if worst < 1e-6 { // ONNX Runtime's vectorised logistic function is off by about 1e-7 where its result is near zero
		return 0, nil
	}
	return worst / max(span, 1e-30), nil
}
