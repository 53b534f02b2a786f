package preprocess_test

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// model opens a model of the shared corpus.
func model(t *testing.T, parts ...string) *onnxio.Model {
	t.Helper()
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	f, err := os.Open(filepath.Join(append([]string{root, "models"}, parts...)...))
	if err != nil {
		t.Skipf("the shared corpus is not there: %v", err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(f.Name(), ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// open builds a model whose input leaves height and width open.
func open() *onnxio.Model {
	b := testmodels.New(17)
	b.Output(b.Relu(b.Input("images", onnxio.Float, "N", 3, "H", "W")), onnxio.Float, "N", 3, "H", "W")
	return b.Model()
}

func decide(t *testing.T, m *onnxio.Model, path string, opt preprocess.Options) *preprocess.Decision {
	t.Helper()
	d, err := preprocess.Decide(m, path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// from returns a setting and its source: "letterbox profile".
func from(d *preprocess.Decision, key string) string {
	for _, s := range d.Settings {
		if s.Key == key {
			return s.Value + " " + string(s.Source)
		}
	}
	return ""
}

func TestMetadataOfRealModelsDecides(t *testing.T) {
	for _, c := range []struct {
		file, profile string
		end2end       bool
	}{
		{"yolov8n_deq32.onnx.gz", "yolov8", false},
		{"yolov8n_int8.onnx", "yolov8", false},
		{"yolov10n_deq32.onnx.gz", "yolov10", true},
	} {
		d := decide(t, model(t, "trained", c.file), "", preprocess.Options{})
		if d.Profile != c.profile || d.Facts.End2End != c.end2end || d.Facts.Stride != 32 || d.Facts.Task != "detect" || d.Facts.Author != "Ultralytics" {
			t.Errorf("%s: profile %q, %+v", c.file, d.Profile, d.Facts)
		}
		if len(d.Classes) != 80 || d.Classes[0] != "person" || d.Classes[9] != "traffic light" || d.Classes[79] != "toothbrush" {
			t.Errorf("%s: classes %q", c.file, d.Classes)
		}
		for key, want := range map[string]string{"size": "640x640 model", "fit": "letterbox profile", "fill": "114 profile", "order": "rgb profile", "scale": "1/255 profile"} {
			if got := from(d, key); got != want {
				t.Errorf("%s: %s is %q, want %q", c.file, key, got, want)
			}
		}
		if len(d.Notes) != 0 {
			t.Errorf("%s: %q", c.file, d.Notes)
		}
	}
	five := decide(t, model(t, "trained", "yolov5n_fp32.onnx.gz"), "", preprocess.Options{Profile: "yolov5"})
	if five.Recipe.Width != 640 || five.Recipe.Fit != preprocess.Letterbox || from(five, "size") != "640x640 profile" {
		t.Errorf("%+v", five.Recipe)
	}
	silent := decide(t, model(t, "trained", "yolox_nano_416.onnx"), "", preprocess.Options{})
	if silent.Profile != "" || len(silent.Notes) != 1 || !strings.Contains(silent.Notes[0], "name a profile") || from(silent, "fit") != "stretch default" {
		t.Errorf("a model that says nothing: %+v", silent)
	}
}

func TestOutputsSuggestAProfileWhereNothingElseDoes(t *testing.T) {
	yolox := model(t, "trained", "yolox_nano_416.onnx")
	d := decide(t, yolox, "", preprocess.Options{Head: "yolox"})
	if d.Profile != "yolox" || from(d, "order") != "bgr profile" || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "only the outputs say") {
		t.Errorf("%+v", d)
	}
	if d := decide(t, yolox, "", preprocess.Options{Head: "yolox", Profile: "yolov5"}); d.Profile != "yolov5" || len(d.Notes) != 0 {
		t.Errorf("beside a profile that is named: %+v", d)
	}
	for head, want := range map[string]string{"detr": "dfine", "nanodet_plus": "nanodet", "paddle": "", "rows": "", "blazeface_chosen": "blazeface"} {
		if d := decide(t, yolox, "", preprocess.Options{Head: head}); d.Profile != want {
			t.Errorf("head %s: profile %q, want %q", head, d.Profile, want)
		}
	}
	if d := decide(t, model(t, "trained", "cifar_resnet_2b.onnx"), "", preprocess.Options{Head: "imagenet"}); d.Profile != "" {
		t.Errorf("a classifier of 32 x 32 pixels: %+v", d)
	}
	if d := decide(t, model(t, "trained", "yolov8n_int8.onnx"), "", preprocess.Options{Head: "yolov5"}); d.Profile != "yolov8" {
		t.Errorf("beside metadata: %+v", d)
	}
}

func TestPythonLiteralsOfMetadata(t *testing.T) {
	yolo5 := func(names, stride string) *onnxio.Model {
		m := open()
		m.SetMetadata("names", names)
		m.SetMetadata("stride", stride)
		return m
	}
	for _, c := range []struct {
		names string
		want  []string
	}{
		{`{0: 'person', 1: "driver's seat"}`, []string{"person", "driver's seat"}},
		{`['a', 'b\'c', 'd\\e', '\xe9', 'f\u00fc']`, []string{"a", "b'c", `d\e`, "é", "fü"}},
		{`('a',)`, []string{"a"}},
		{`{1: 'b', 0: 'a'}`, []string{"a", "b"}},
		{`{1: 'b', 2: 'a'}`, nil},
		{`{'a': 1}`, nil},
		{`['a'`, nil},
		{`[` + strings.Repeat("[", 100), nil},
		{`['a', 'b'] # names`, nil},
	} {
		d := decide(t, yolo5(c.names, "32"), "", preprocess.Options{})
		if !slices.Equal(d.Classes, c.want) {
			t.Errorf("%s: %q", c.names, d.Classes)
		}
		if (d.Profile == "yolov5") != (c.want != nil) {
			t.Errorf("%s: profile %q", c.names, d.Profile)
		}
	}
}

func TestEachSettingComesFromTheFirstThatSaysIt(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	m := open()
	m.SetMetadata("author", "Ultralytics")
	m.SetMetadata("task", "detect")
	m.SetMetadata("imgsz", "[320, 416]")
	m.SetMetadata("names", "{0: 'm'}")
	write("preprocessor_config.json", `{"image_processor_type": "X", "do_resize": true, "size": {"height": 100, "width": 200}, "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1], "resample": 3}`)
	write("config.json", `{"id2label": {"0": "sidecar"}}`)
	yaml := write("how.yaml", "order: bgr\nfill: 9\nscale: 1/2\nnames: [y]\n")
	flags, err := preprocess.ParseSettings("fill=8", preprocess.FromFlags, "--fill")
	if err != nil {
		t.Fatal(err)
	}
	d := decide(t, m, filepath.Join(folder, "m.onnx"), preprocess.Options{Settings: flags, File: yaml, Profile: "yolox"})
	for key, want := range map[string]string{
		"fill": "8 flags", "order": "bgr file", "scale": "1/2 file", "size": "416x320 metadata", "mean": "0.1:0.2:0.3 sidecar", "resample": "bicubic-antialias sidecar",
		"fit": "stretch sidecar",
	} {
		if got := from(d, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if d.Profile != "yolox" || !slices.Equal(d.Classes, []string{"y"}) || d.Recipe.Fill != 8 || d.Recipe.Width != 416 || d.Recipe.Height != 320 {
		t.Errorf("profile %s, classes %q, %+v", d.Profile, d.Classes, d.Recipe)
	}
	if !slices.ContainsFunc(d.Notes, func(n string) bool { return strings.Contains(n, "suggests the profile yolov8; yolox was named") }) {
		t.Errorf("notes: %q", d.Notes)
	}
	b, err := json.Marshal(d)
	if err != nil || !strings.Contains(string(b), `{"key":"fill","value":"8","source":"flags","why":"--fill"}`) {
		t.Errorf("%s, %v", b, err)
	}
	if lines := strings.Join(d.Lines(), "\n"); !strings.Contains(lines, "fill: 8 (--fill)") || !strings.Contains(lines, "order: bgr (how.yaml line 1)") {
		t.Error(lines)
	}
}

func TestAnInputOfWhichOneSideIsOpen(t *testing.T) {
	b := testmodels.New(17)
	b.Output(b.Relu(b.Input("images", onnxio.Float, 1, 3, "H", 320)), onnxio.Float, 1, 3, "H", 320)
	m := b.Model()
	d := decide(t, m, "", preprocess.Options{Profile: "yolov8"})
	if d.Recipe.Width != 320 || d.Recipe.Height != 640 {
		t.Errorf("%+v", d.Recipe)
	}
	settings, err := preprocess.ParseSettings("size=640x480", preprocess.FromFlags, "--size")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := preprocess.Decide(m, "", preprocess.Options{Settings: settings}); err == nil || !strings.Contains(err.Error(), "320 wide and any high") {
		t.Errorf("got %v", err)
	}
}

func TestWrongSettingsAreRefused(t *testing.T) {
	fixed := model(t, "trained", "yolox_nano_416.onnx")
	file := func(text string) preprocess.Options {
		path := filepath.Join(t.TempDir(), "how.yaml")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return preprocess.Options{File: path}
	}
	size, err := preprocess.ParseSettings("size=640x640", preprocess.FromFlags, "--size")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		opt     preprocess.Options
		message string
	}{
		{preprocess.Options{Profile: "yolo"}, `profile "yolo" is not known; there are yolov5, yolov8`},
		{preprocess.Options{Settings: size}, "416 wide and 416 high"},
		{preprocess.Options{Input: "x"}, `no such input; it has "images"`},
		{preprocess.Options{File: filepath.Join(t.TempDir(), "none.yaml")}, "no such file"},
		{file("colour: rgb"), `line 1: "colour" is not known; there are size`},
		{file("fill: 300"), "fill=300"},
		{file("names: 3"), "names: they are a list"},
		{file("names: {0: a, 2: b}"), "none for 1"},
		{file("- a"), "no list of keys"},
		{file("a: [b"), "how.yaml"},
		{file("values: {x: 1}"), `no such input`},
	} {
		_, err := preprocess.Decide(fixed, "", c.opt)
		if _, ok := err.(*preprocess.Error); !ok || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%+v: got %v, want %q", c.opt, err, c.message)
		}
	}
}

// What each exporter's file says, for a model whose input is open.
func TestFilesBesideTheModel(t *testing.T) {
	mean := "0.485:0.456:0.406"
	for _, c := range []struct {
		title string
		files map[string]string
		want  map[string]string
		notes int
		names []string
	}{
		{"PaddleDetection, fixed size", map[string]string{"infer_cfg.yml": `
mode: paddle
arch: YOLO
Preprocess:
- {interp: 2, keep_ratio: false, target_size: [320, 416], type: Resize}
- {is_scale: true, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], type: NormalizeImage}
- {type: Permute}
label_list: [face, mask]`},
			map[string]string{"size": "416x320", "fit": "stretch", "resample": "cubic", "scale": "1/255", "mean": mean, "order": "rgb"}, 0, []string{"face", "mask"}},
		{"PaddleDetection, two stages", map[string]string{"infer_cfg.yml": `
Preprocess:
- {interp: 1, keep_ratio: true, target_size: [800, 1333], type: Resize}
- {is_scale: true, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], type: NormalizeImage}
- {type: Permute}
- {stride: 32, type: PadStride}`},
			map[string]string{"fit": "keep-ratio", "shorter": "800", "longer": "1333", "multiple": "32", "fill": "mean", "resample": "linear"}, 0, nil},
		{"PaddleDetection, no mean and a step that is not known", map[string]string{"infer_cfg.yml": `
Preprocess:
- {is_scale: true, norm_type: none, mean: [0, 0, 0], std: [1, 1, 1], type: NormalizeImage}
- {type: WarpAffine}`}, map[string]string{"scale": "1/255", "mean": ""}, 1, nil},
		{"PaddleClas", map[string]string{"inference.yml": `
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 256}
  - CropImage: {size: 224}
  - NormalizeImage: {scale: 1.0/255.0, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], order: ''}
  - ToCHWImage: null
PostProcess: {Topk: {topk: 5, label_list: [a, b]}}`},
			map[string]string{"fit": "crop", "shorter": "256", "size": "224x224", "mean": mean, "resample": "linear"}, 0, []string{"a", "b"}},
		{"mmdeploy", map[string]string{"pipeline.json": `{"pipeline": {"tasks": [{"module": "Transform", "transforms": [{"type": "LoadImageFromFile"},
			{"type": "Resize", "size": [320, 320], "keep_ratio": true}, {"type": "Pad", "size": [320, 320], "pad_val": {"img": [114, 114, 114]}},
			{"type": "Normalize", "mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395], "to_rgb": false}, {"type": "Collect"}]}, {"module": "Net"}]}}`,
			"detail.json": `{"codebase": {"task": "ObjectDetection"}, "onnx_config": {"input_shape": [320, 320]}}`},
			map[string]string{"fit": "keep-ratio", "size": "320x320", "fill": "114", "order": "bgr", "scale": "1", "mean": "103.53:116.28:123.675"}, 0, nil},
		{"transformers, RT-DETR", map[string]string{"preprocessor_config.json": `{"do_normalize": false, "do_pad": false, "do_rescale": true, "do_resize": true,
			"image_mean": [0.485, 0.456, 0.406], "image_processor_type": "RTDetrImageProcessor", "image_std": [0.229, 0.224, 0.225], "resample": 2,
			"rescale_factor": 0.00392156862745098, "size": {"height": 640, "width": 640}}`, "config.json": `{"id2label": {"0": "person", "1": "bicycle", "10": "k"}}`},
			map[string]string{"fit": "stretch", "size": "640x640", "resample": "bilinear-antialias", "scale": "0.00392156862745098", "mean": ""}, 0,
			[]string{"person", "bicycle", "", "", "", "", "", "", "", "", "k"}},
		{"transformers, DETR", map[string]string{"preprocessor_config.json": `{"do_normalize": true, "do_resize": true, "feature_extractor_type": "DetrFeatureExtractor",
			"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "max_size": 1333, "size": 800}`},
			map[string]string{"fit": "keep-ratio", "shorter": "800", "longer": "1333", "mean": mean}, 0, nil},
		{"transformers, a classifier", map[string]string{"preprocessor_config.json": `{"do_resize": true, "do_center_crop": true, "crop_size": {"height": 224, "width": 224},
			"size": {"shortest_edge": 256}, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 3, "image_processor_type": "C"}`},
			map[string]string{"fit": "crop", "shorter": "256", "size": "224x224", "resample": "bicubic-antialias", "mean": "0.5:0.5:0.5"}, 0, nil},
		{"a config.json of something else", map[string]string{"config.json": `{"port": 80}`}, map[string]string{"fit": "stretch"}, 1, nil},
	} {
		t.Run(c.title, func(t *testing.T) {
			folder := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			d := decide(t, open(), filepath.Join(folder, "m.onnx"), preprocess.Options{})
			for key, want := range c.want {
				if got, _, _ := strings.Cut(from(d, key), " "); got != want {
					t.Errorf("%s is %q, want %q", key, got, want)
				}
			}
			if len(d.Notes) != c.notes || !slices.Equal(d.Classes, c.names) {
				t.Errorf("notes %q, classes %q", d.Notes, d.Classes)
			}
		})
	}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "infer_cfg.yml"), []byte("Preprocess: [\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := preprocess.Decide(open(), filepath.Join(folder, "m.onnx"), preprocess.Options{}); err == nil || !strings.Contains(err.Error(), "infer_cfg.yml, beside the model") {
		t.Errorf("a broken file: %v", err)
	}
}

func TestOtherInputsFollowThePicture(t *testing.T) {
	for _, c := range []struct {
		path  []string
		words string
		w, h  int
		want  map[string]string
	}{
		{[]string{"fashion", "yolov3_mobilenet_v1_w4_fashion.onnx"}, "", 200, 100, map[string]string{"im_size": "[100 200]"}},
		{[]string{"trained", "deimv2_atto_int8.onnx"}, "", 200, 100, map[string]string{"orig_target_sizes": "[200 100]"}},
		// 320 pixels of input at 1.6 for one of the picture: the input covers 200 x 200 of it.
		{[]string{"trained", "deimv2_atto_int8.onnx"}, "letterbox-top-left", 200, 100, map[string]string{"orig_target_sizes": "[200 200]"}},
		{[]string{"trained", "blazeface_e2e_nms.onnx"}, "", 200, 100, map[string]string{"conf_threshold": "[0.009999999776482582]", "max_detections": "[100]", "iou_threshold": "[0.5]"}},
		{[]string{"trained", "lstr_360x640.onnx"}, "", 64, 36, map[string]string{"input_mask": ""}},
	} {
		m := model(t, c.path...)
		settings, err := preprocess.ParseSettings(c.words, preprocess.FromFlags, "")
		if err != nil {
			t.Fatal(err)
		}
		p, err := preprocess.New(m, decide(t, m, "", preprocess.Options{Settings: settings}))
		if err != nil {
			t.Errorf("%v: %v", c.path, err)
			continue
		}
		made, err := p.Make(picture.New(c.w, c.h))
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range c.want {
			x, _ := made.Inputs[name].(*value.Tensor)
			if x == nil {
				t.Errorf("%v: %s is missing", c.path, name)
				continue
			}
			vs, _ := x.Floats()
			if want == "" { // the whole input is picture: nothing is hidden
				if slices.Max(vs) != 0 {
					t.Errorf("%v: %s hides something", c.path, name)
				}
			} else if got := fmt.Sprint(vs); got != want {
				t.Errorf("%v: %s is %s, want %s", c.path, name, got, want)
			}
		}
	}
	m := model(t, "trained", "deimv2_atto_int8.onnx")
	settings, _ := preprocess.ParseSettings("letterbox", preprocess.FromFlags, "")
	if _, err := preprocess.New(m, decide(t, m, "", preprocess.Options{Settings: settings})); err == nil || !strings.Contains(err.Error(), "fit=letterbox-top-left") {
		t.Errorf("a picture in the middle, and boxes that the model scales: %v", err)
	}
	if _, err := preprocess.Decide(model(t, "trained", "silero_vad_v5.onnx"), "", preprocess.Options{}); err == nil || !strings.Contains(err.Error(), "looks like a picture") {
		t.Errorf("a model of sounds: %v", err)
	}
}
