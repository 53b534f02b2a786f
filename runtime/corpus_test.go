package runtime_test

// Real models on both engines against ONNX Runtime: the corpus' trained models, the small ones with control flow, and the
// network in several encodings. ONNXPRUNE_MODELS names a folder with more of them.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
)

// sizes gives symbolic dimensions a size; those that are not listed are 1.
var sizes = map[string]int{
	"height": 192, "width": 160, "H": 192, "W": 160, "p2o.DynamicDimension.1": 192, "p2o.DynamicDimension.2": 160, "n": 3,
	"retinaface_mbnet025.onnx 2": 192, "retinaface_mbnet025.onnx 3": 160, "ppocr_v2_cls.onnx 2": 48, "ppocr_v2_cls.onnx 3": 192,
	"silero_vad_v5.onnx 0": 1, "silero_vad_v5.onnx 1": 512,
}

// given are inputs whose elements mean something.
var given = map[string]*value.Tensor{
	"silero_vad_v5.onnx sr":                       value.Scalar(int64(16000)),
	"silero_vad_v5.onnx state":                    value.New(onnxio.Float, 2, 1, 128),
	"blazeface_e2e_nms.onnx conf_threshold":       value.From([]float32{0.2}, 1),
	"blazeface_e2e_nms.onnx max_detections":       value.From([]int64{20}, 1),
	"blazeface_e2e_nms.onnx iou_threshold":        value.From([]float32{0.4}, 1),
	"deimv2_atto_int8.onnx orig_target_sizes":     value.From([]int64{320, 320}, 1, 2),
	"roi_loop.onnx rois":                          value.From([]float32{0, 0, 40, 40, 10, 20, 90, 60, 30, 30, 50, 95}, 3, 4),
	"yolov3_mobilenet_v1_w4_fashion.onnx im_size": value.From([]int32{128, 128}, 1, 2),
	"im_size":                               value.From([]int32{320, 320}, 1, 2),
	"im_info":                               value.From([]float32{320, 320, 1}, 1, 3),
	"im_shape":                              value.From([]float32{320, 320, 1}, 1, 3),
	"onnx2tf_Loop_3_16.onnx Loop_3_counter": value.Scalar(int64(4)),
}

func TestCorpusModelsEqualONNXRuntime(t *testing.T) {
	library := oracle(t)
	for _, file := range corpusModels(t) {
		name := filepath.Base(file)
		if unsteady[name] != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m, err := onnxio.Open(file)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			in := corpusInputs(name, m)
			want := oracleOutputs(t, library, file, in)
			var first map[string]value.Value
			for _, e := range engines {
				s, err := runtime.Compile(m, runtime.Options{Engine: e})
				if err != nil {
					t.Fatal(err)
				}
				got, err := s.Run(context.Background(), in)
				s.Close()
				if err != nil {
					t.Fatalf("%v: %v", e, err)
				}
				if first != nil { // the engines run the same steps
					for output := range want {
						if !slices.Equal(raw(got[output]), raw(first[output])) {
							t.Errorf("output %q: the %v gives other bits", output, e)
						}
					}
					continue
				}
				first = got
				if err := agree(m, got, want); err != nil && selects(m) {
					t.Logf("another selection, so the comparison node by node decides: %v", err)
					nodeByNode(t, library, m, in)
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func raw(v value.Value) []byte {
	if t, ok := v.(*value.Tensor); ok {
		return t.Raw()
	}
	return nil
}

func oracle(t testing.TB) *onnxruntime.Library {
	path, err := onnxruntime.Find()
	if errors.Is(err, onnxruntime.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	library, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return library
}

func corpusModels(t testing.TB) []string {
	root := filepath.Join(corpusFolder(t), "models")
	folders := []string{"trained", "fashion", "control-flow", "encodings"}
	var out []string
	for i, f := range folders {
		folders[i] = filepath.Join(root, f)
	}
	if more := os.Getenv("ONNXPRUNE_MODELS"); more != "" {
		folders = append(folders, more)
	}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && strings.HasSuffix(path, ".onnx") {
				out = append(out, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// corpusInputs makes an input for a model: noise between 0 and 1, the same every time.
func corpusInputs(name string, m *onnxio.Model) map[string]value.Value {
	in := map[string]value.Value{}
	seed := uint64(1)
	for _, v := range m.Graph.Inputs {
		if slices.ContainsFunc(m.Graph.Initializers, func(t *onnxio.Tensor) bool { return t.Name == v.Name }) {
			continue
		}
		if g := cmp.Or(given[name+" "+v.Name], given[v.Name]); g != nil {
			in[v.Name] = g
			continue
		}
		var shape []int
		for i, d := range v.Type.Shape {
			n := cmp.Or(sizes[fmt.Sprintf("%s %d", name, i)], sizes[d.Param], 1)
			if d.Known {
				n = int(d.Value)
			}
			shape = append(shape, n)
		}
		x := value.New(v.Type.Elem, shape...)
		if fs, ok := x.Data.([]float32); ok {
			for i := range fs {
				seed = seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
				fs[i] = float32(seed>>40) / (1 << 24)
			}
		}
		in[v.Name] = x
	}
	return in
}

func oracleInputs(in map[string]value.Value) map[string]*onnxruntime.Tensor {
	ins := map[string]*onnxruntime.Tensor{}
	for name, v := range in {
		x := v.(*value.Tensor)
		shape := make([]int64, len(x.Shape))
		for i, d := range x.Shape {
			shape[i] = int64(d)
		}
		ins[name] = &onnxruntime.Tensor{Type: int32(x.Type), Shape: shape, Data: x.Raw()}
	}
	return ins
}

func oracleOutputs(t testing.TB, library *onnxruntime.Library, file string, in map[string]value.Value) map[string]*value.Tensor {
	t.Helper()
	s, err := library.NewSession(file, onnxruntime.Options{})
	if err != nil {
		t.Skipf("ONNX Runtime can not load it: %v", err)
	}
	defer s.Close()
	outs, err := s.Run(oracleInputs(in), nil)
	if err != nil {
		t.Skipf("ONNX Runtime can not run it: %v", err)
	}
	want := map[string]*value.Tensor{}
	for name, o := range outs {
		w, err := value.FromProto(onnxio.NewTensor(name, onnxio.DataType(o.Type), o.Shape, o.Data))
		if err != nil {
			t.Fatal(err)
		}
		want[name] = w
	}
	return want
}

// agree compares all outputs: element by element; where the model ends in a selection, whose order and last picks hang
// on the last bits of equal scores, as sets of detections.
func agree(m *onnxio.Model, got map[string]value.Value, want map[string]*value.Tensor) error {
	var errs []error
	for output, w := range want {
		if err := near(got[output], w); err != nil {
			errs = append(errs, fmt.Errorf("output %q: %w", output, err))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	if selects(m) {
		found, of := matched(got, want)
		if of > 0 && float64(found) >= 0.95*float64(of) {
			return nil
		}
		errs = append(errs, fmt.Errorf("%d of %d detections are there", found, of))
	}
	return errors.Join(errs...)
}

func selects(m *onnxio.Model) (yes bool) {
	m.Walk(func(n *onnxio.Node) { yes = yes || n.OpType == "NonMaxSuppression" || n.OpType == "TopK" }, nil)
	return yes
}

// matched counts the wanted rows that have a partner of their own among the rows that were got. A row is what
// the outputs say about one detection: class, score, box, mask.
func matched(got map[string]value.Value, want map[string]*value.Tensor) (found, of int) {
	wanted, tolerance := rows(want)
	tensors := map[string]*value.Tensor{}
	for name, v := range got {
		tensors[name], _ = v.(*value.Tensor)
	}
	there, _ := rows(tensors)
	for _, w := range wanted {
		i := slices.IndexFunc(there, func(g []float64) bool {
			for c := range w {
				if c >= len(g) || math.Abs(g[c]-w[c]) > tolerance[c] {
					return false
				}
			}
			return true
		})
		if i >= 0 {
			found++
			there = slices.Delete(there, i, i+1)
		}
	}
	return found, len(wanted)
}

// rows puts the outputs side by side, and returns the tolerance of each column: a thousandth of its output's range.
func rows(outputs map[string]*value.Tensor) (out [][]float64, tolerance []float64) {
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		t := outputs[name]
		if t == nil || len(t.Shape) == 0 || t.Shape[0] == 0 {
			return nil, nil
		}
		vs, _ := t.Floats()
		per := len(vs) / t.Shape[0]
		low, high := slices.Min(vs), slices.Max(vs)
		for range per {
			tolerance = append(tolerance, 1e-3*(high-low)+floor)
		}
		for i := range t.Shape[0] {
			if i == len(out) {
				out = append(out, nil)
			}
			out[i] = append(out[i], vs[i*per:(i+1)*per]...)
		}
	}
	return out, tolerance
}

// floor is the absolute difference that is always allowed: ONNX Runtime's Sigmoid and Softmax are approximations, whose
// last bit is 1.2e-7 also where the result is far smaller.
const floor = 1e-6

// near allows a difference of a thousandth of the range of what is wanted.
func near(got value.Value, want *value.Tensor) error { return within(got, want, 1e-3) }

// within allows a difference of a part of the range of what is wanted.
func within(got value.Value, want *value.Tensor, part float64) error {
	g, ok := got.(*value.Tensor)
	if !ok || g.Type != want.Type || !slices.Equal(g.Shape, want.Shape) {
		return fmt.Errorf("it is %v, want %v", got, want)
	}
	gs, ok := g.Floats()
	ws, _ := want.Floats()
	if !ok || len(ws) == 0 {
		return nil
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, w := range ws {
		if !math.IsInf(w, 0) && !math.IsNaN(w) {
			low, high = min(low, w), max(high, w)
		}
	}
	tolerance := part*max(high-low, 0) + floor*max(1, math.Abs(high), math.Abs(low))
	worst, at := 0.0, 0
	for i, w := range ws {
		if d := math.Abs(gs[i] - w); d > worst || math.IsNaN(d) && !(math.IsNaN(w) && math.IsNaN(gs[i])) && gs[i] != w {
			worst, at = d, i
		}
	}
	if worst > tolerance || math.IsNaN(worst) {
		return fmt.Errorf("%v: element %d is %v, want %v: more than %.3g off", g, at, gs[at], ws[at], tolerance)
	}
	return nil
}
