package onnxprune_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/analysis/sensitivity"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/preprocess"
)

// shared returns a path of the test material, and skips where it is not there.
func shared(t testing.TB, parts ...string) string {
	t.Helper()
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "shared")
	}
	path := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the test material is not here; set ONNXPRUNE_CORPUS to its folder: %v", err)
	}
	return path
}

func readJSON(t testing.TB, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const fashionModel = "yolov3_mobilenet_v1_w4_fashion.onnx"

// fashion is the data of the fashion detector, with the preprocessing that its meta.json tells.
func fashion(t testing.TB, limit int) onnxprune.Data {
	t.Helper()
	settings, err := preprocess.ParseSettings("stretch,rgb,scale=1/255,mean=0.5:0.5:0.5,std=0.25:0.25:0.25", preprocess.FromFlags, "--preprocess")
	if err != nil {
		t.Fatal(err)
	}
	return onnxprune.Data{Path: shared(t, "data", "fashion-val300"), Set: dataset.Options{Limit: limit}, Preprocess: preprocess.Options{Settings: settings}}
}

// The figures are those of torch and ONNX Runtime, scored by pycocotools' method: meta.json.
func TestTheFashionDetectorIsAsGoodAsInTorch(t *testing.T) {
	var meta struct {
		Torch struct {
			AP   float64 `json:"mAP"`
			AP50 float64 `json:"mAP50"`
			AP75 float64 `json:"mAP75"`
		} `json:"torch"`
	}
	readJSON(t, shared(t, "models", "fashion", "meta.json"), &meta)
	for _, name := range []string{fashionModel, "yolov3_mobilenet_v1_w4_fashion_fused_prenms.onnx"} {
		t.Run(name, func(t *testing.T) {
			r, err := onnxprune.Evaluate(t.Context(), shared(t, "models", "fashion", name), onnxprune.EvaluateOptions{Data: fashion(t, 0)})
			if err != nil {
				t.Fatal(err)
			}
			c := r.Result.COCO
			for _, f := range [][2]float64{{c.AP, meta.Torch.AP}, {c.AP50, meta.Torch.AP50}, {c.AP75, meta.Torch.AP75}} {
				if math.Abs(f[0]-f[1]) > 1e-4 {
					t.Errorf("got %.6f, want %.6f", f[0], f[1])
				}
			}
			if r.Result.Pictures != 300 || len(r.Broken) != 0 {
				t.Errorf("%d pictures, broken: %v", r.Result.Pictures, r.Broken)
			}
		})
	}
}

type referencePoint struct {
	Removed int     `json:"n"`
	AP      float64 `json:"mAP"`
}

// The reference zeroes filters in torch; here channels are removed for real. ONNXPRUNE_REFERENCE=all tests all 72 points and 8
// joint runs, which takes minutes.
func TestSensitivityEqualsTheReference(t *testing.T) {
	var ref struct {
		Params map[string]map[string]json.RawMessage `json:"params"`
		Joint  map[string]referencePoint             `json:"joint"`
	}
	readJSON(t, shared(t, "models", "fashion", "sensitivity_reference.json"), &ref)
	all := os.Getenv("ONNXPRUNE_REFERENCE") == "all"
	model := shared(t, "models", "fashion", fashionModel)
	opt := onnxprune.SensitivityOptions{Data: fashion(t, 0), Params: []string{"conv2_1_sep_weights", "yolo_block.2.tip.conv.weights"}, Ratios: []float64{.3}}
	if all {
		opt.Params, opt.Ratios = nil, []float64{.1, .3, .5}
		for name := range ref.Params {
			opt.Params = append(opt.Params, name)
		}
	}
	c, err := onnxprune.Sensitivity(t.Context(), model, opt)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(opt.Params) * len(opt.Ratios); c.Points() != want {
		t.Fatalf("%d points, want %d", c.Points(), want)
	}
	for _, k := range c.Curves {
		for _, p := range k.Points {
			var want referencePoint
			if err := json.Unmarshal(ref.Params[k.Param][number(p.Ratio)], &want); err != nil {
				t.Fatal(err)
			}
			if p.Removed != want.Removed || math.Abs(p.Metric-want.AP) > .005 {
				t.Errorf("%s at %v: %d channels go and mAP is %.5f, want %d and %.5f", k.Param, p.Ratio, p.Removed, p.Metric, want.Removed, want.AP)
			}
		}
	}
	for name, want := range ref.Joint {
		what, ratio, _ := strings.Cut(name, "@")
		if !all && (ratio != "0.1" || what == "all24") {
			continue
		}
		e := onnxprune.EvaluateOptions{Data: fashion(t, 0)}
		for p := range ref.Params {
			if what == "all24" || strings.HasPrefix(p, "conv5_") || strings.HasPrefix(p, "yolo_block.0") || strings.HasPrefix(p, "yolo_block.1") {
				e.Params = append(e.Params, p)
			}
		}
		var r float64
		if err := json.Unmarshal([]byte(ratio), &r); err != nil {
			t.Fatal(err)
		}
		e.Ratios = []float64{r}
		got, err := onnxprune.Evaluate(t.Context(), model, e)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(got.Result.COCO.AP-want.AP) > .005 {
			t.Errorf("%s: mAP is %.5f, want %.5f", name, got.Result.COCO.AP, want.AP)
		}
	}
}

func number(v float64) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// One run, two shards on other numbers of threads and in little memory, and a run that is stopped and taken up give the same bytes.
func TestShardsAndResumedRunsGiveTheBytesOfOne(t *testing.T) {
	model, dir := shared(t, "models", "fashion", fashionModel), t.TempDir()
	opt := onnxprune.SensitivityOptions{Data: fashion(t, 10), Params: []string{"conv4_1_sep_weights", "conv5_6_sep_weights", "yolo_block.2.2.conv.weights"}, Ratios: []float64{.3, .01, .8}}
	measure := func(file string, change func(*onnxprune.SensitivityOptions)) error {
		o := opt
		o.File = filepath.Join(dir, file)
		if change != nil {
			change(&o)
		}
		_, err := onnxprune.Sensitivity(t.Context(), model, o)
		return err
	}
	if err := measure("one.json", nil); err != nil {
		t.Fatal(err)
	}
	for i := 1; i <= 2; i++ {
		err := measure(string(rune('0'+i))+".json", func(o *onnxprune.SensitivityOptions) {
			o.Shard, o.Engine.Threads, o.Memory = sensitivity.Shard{I: i, N: 2}, 2*i-1, int64(i)<<19
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	merged, conflicts, err := onnxprune.MergeCurves(filepath.Join(dir, "1.json"), filepath.Join(dir, "2.json"))
	if err != nil || len(conflicts) > 0 {
		t.Fatal(err, conflicts)
	}
	if err := merged.Write(filepath.Join(dir, "merged.json")); err != nil {
		t.Fatal(err)
	}
	points := 0
	stop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	o := opt
	o.File, o.Point = filepath.Join(dir, "resumed.json"), func(string, sensitivity.Point) {
		if points++; points == 4 {
			cancel(stop)
		}
	}
	if _, err := onnxprune.Sensitivity(ctx, model, o); err == nil {
		t.Fatal("a cancelled run ends without an error")
	}
	taken := 0
	if err := measure("resumed.json", func(o *onnxprune.SensitivityOptions) { o.Resumed = func(n int) { taken = n } }); err != nil {
		t.Fatal(err)
	}
	if taken != 4 {
		t.Errorf("%d points are taken up, want 4", taken)
	}
	want, _ := os.ReadFile(filepath.Join(dir, "one.json"))
	for _, file := range []string{"merged.json", "resumed.json"} {
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != string(want) {
			t.Errorf("%s is not one.json: %v", file, err)
		}
	}
	if err := measure("one.json", func(o *onnxprune.SensitivityOptions) { o.Align = 8 }); onnxprune.ExitCode(err) != onnxprune.ExitUsage {
		t.Errorf("points of another alignment are added: %v", err)
	}
}

// Without labels a prune is held against the original's own detections.
func TestFidelityNeedsNoLabels(t *testing.T) {
	data := fashion(t, 12)
	data.Path, data.Set.Format = shared(t, "data", "fashion-val300", "images"), dataset.Pictures
	model := shared(t, "models", "fashion", "yolov3_mobilenet_v1_w4_fashion_fused_prenms.onnx")
	if _, err := onnxprune.Evaluate(t.Context(), model, onnxprune.EvaluateOptions{Data: data}); onnxprune.ExitCode(err) != onnxprune.ExitUsage {
		t.Errorf("nothing to compare with: %v", err)
	}
	r, err := onnxprune.Evaluate(t.Context(), model, onnxprune.EvaluateOptions{Data: data, Against: model})
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Result.Fidelity; r.Result.Value != 1 || f.Outputs.Squared != 0 || math.Abs(f.Outputs.Cosine-1) > 1e-12 {
		t.Errorf("a model beside itself: %v, %+v", r.Result.Value, f.Outputs)
	}
	opt := onnxprune.EvaluateOptions{Data: data}
	opt.Params, opt.Ratios = []string{"*"}, []float64{.05}
	r, err = onnxprune.Evaluate(t.Context(), model, opt)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Result.Fidelity; !(r.Result.Value > 0 && r.Result.Value < 1) || f.Outputs.Squared <= 0 || f.Outputs.NonFinite != 0 {
		t.Errorf("a prune beside the original: %v, %+v", r.Result.Value, f.Outputs)
	}
	opt.Engine.Threads = 3
	again, err := onnxprune.Evaluate(t.Context(), model, opt)
	if err != nil {
		t.Fatal(err)
	}
	again.Result.Speed = r.Result.Speed
	if !reflect.DeepEqual(again.Result, r.Result) {
		t.Errorf("on 3 threads %+v, before %+v", again.Result, r.Result)
	}
}

// Broken pictures are named and are in no figure; what else can be wrong with data is one line.
func TestWhatIsWrongWithDataIsSaid(t *testing.T) {
	var coco map[string]any
	from := shared(t, "data", "fashion-val300")
	readJSON(t, filepath.Join(from, "instances.json"), &coco)
	images := coco["images"].([]any)[:6]
	coco["images"] = images
	ids := map[any]bool{}
	for _, i := range images {
		ids[i.(map[string]any)["id"]] = true
	}
	var kept []any
	for _, a := range coco["annotations"].([]any) {
		if ids[a.(map[string]any)["image_id"]] {
			kept = append(kept, a)
		}
	}
	coco["annotations"] = kept
	folder := func(change func(c map[string]any), broken ...int) string {
		dir := t.TempDir()
		c := map[string]any{}
		b, _ := json.Marshal(coco)
		if err := json.Unmarshal(b, &c); err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(c)
		}
		for k, i := range images {
			name := i.(map[string]any)["file_name"].(string)
			b, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				t.Fatal(err)
			}
			for j, at := range broken {
				if at == k {
					b = b[:len(b)/(2+j)]
				}
			}
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if len(broken) > 1 && broken[1] == k {
				continue // it is missing
			}
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, _ = json.Marshal(c)
		if err := os.WriteFile(filepath.Join(dir, "instances.json"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	model := shared(t, "models", "fashion", fashionModel)
	evaluate := func(model, path string) (*onnxprune.Evaluation, error) {
		data := fashion(t, 0)
		data.Path = path
		return onnxprune.Evaluate(t.Context(), model, onnxprune.EvaluateOptions{Data: data})
	}
	r, err := evaluate(model, folder(nil, 1, 3))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Broken) != 2 || r.Broken[0].Name != images[1].(map[string]any)["file_name"] || !strings.Contains(r.Broken[1].Reason, "no such file") || r.Result.Pictures != 4 {
		t.Errorf("%d pictures, broken: %+v", r.Result.Pictures, r.Broken)
	}
	objects := 0
	for _, k := range r.Result.COCO.Classes {
		objects += k.Objects
	}
	if objects == 0 || objects >= len(kept) {
		t.Errorf("%d objects of %d count, though two pictures are broken", objects, len(kept))
	}
	for _, c := range []struct {
		name, model string
		change      func(c map[string]any)
		code        int
		want        string
	}{
		{"a category that is not listed", model, func(c map[string]any) { c["annotations"].([]any)[0].(map[string]any)["category_id"] = 77 }, onnxprune.ExitUnreadable, "77"},
		{"a box of three numbers", model, func(c map[string]any) { c["annotations"].([]any)[0].(map[string]any)["bbox"] = []int{1, 2, 3} }, onnxprune.ExitUnreadable, "bbox"},
		{"no image", model, func(c map[string]any) { c["images"], c["annotations"] = []any{}, []any{} }, onnxprune.ExitUnreadable, "empty"},
		{"another number of classes", shared(t, "models", "fashion", "yolov3_mobilenet_v1_w4_fashion_fused_prenms.onnx"),
			func(c map[string]any) {
				c["categories"] = append(c["categories"].([]any), map[string]any{"id": 99, "name": "hat"})
			}, onnxprune.ExitUnreadable, "11 classes"},
		{"a classifier and boxes", shared(t, "models", "trained", "cifar_resnet_2b.onnx"), nil, onnxprune.ExitUnreadable, "boxes"},
		{"an unknown head", shared(t, "models", "trained", "fns_candy.onnx"), nil, onnxprune.ExitUnreadable, "--outputs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := evaluate(c.model, folder(c.change))
			if onnxprune.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v (exit code %d), want %q and %d", err, onnxprune.ExitCode(err), c.want, c.code)
			}
		})
	}
}
