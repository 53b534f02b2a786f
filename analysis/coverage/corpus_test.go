package coverage

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// folders lists where models of the corpus lie: the shared ones, and the filled skeletons where ONNXPRUNE_FILLED names their folder.
func folders(t *testing.T) []string {
	t.Helper()
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	var out []string
	for _, name := range []string{"trained", "control-flow", "encodings", "fashion"} {
		if _, err := os.Stat(filepath.Join(dir, "models", name)); err == nil {
			out = append(out, filepath.Join(dir, "models", name))
		}
	}
	if filled := os.Getenv("ONNXPRUNE_FILLED"); filled != "" {
		out = append(out, filled)
	}
	if len(out) == 0 {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	return out
}

// Every model of the corpus takes a cut of everything, exact channels only and inexact ones too, and what comes out passes shape
// inference. Inexact channels only ever add to what can go.
func TestEveryCorpusModelTakesACutOfEverything(t *testing.T) {
	for _, dir := range folders(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			exact := walk(t, dir, false)
			for i, m := range walk(t, dir, true) {
				if e := exact[i]; m.FreeMACs < e.FreeMACs-1e-9 || m.FreeParams < e.FreeParams-1e-9 {
					t.Errorf("%s: %v of the MACs are free, without inexact channels %v", m.Path, m.FreeMACs, e.FreeMACs)
				}
			}
		})
	}
}

func walk(t *testing.T, dir string, inexact bool) []Model {
	t.Helper()
	r, err := Walk(context.Background(), dir, Options{Ratios: []float64{0.5}, AllowInexact: inexact})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Models {
		if m.Error != "" {
			t.Errorf("%s: %s", m.Path, m.Error)
		}
		for _, c := range m.Cuts {
			switch {
			case c.Error != "":
				t.Errorf("%s, inexact channels %v: %s", m.Path, inexact, c.Error)
			case c.OfMACs > 1 || m.FreeMACs > 0.9 && c.OfMACs > 0.8:
				t.Errorf("%s, inexact channels %v: %v of the MACs are left, though %v can go", m.Path, inexact, c.OfMACs, m.FreeMACs)
			}
		}
	}
	return r.Models
}

// At least these shares of MACs can go, exactly, in plain classifiers, detectors and transformers.
func TestSharesOfTheCorpus(t *testing.T) {
	want := map[string]float64{
		"cifar_resnet_2b.onnx": 0.95, "light_densenet121.onnx": 0.95, "light_inception_v2.onnx": 0.95, "light_resnet50.onnx": 0.95,
		"light_squeezenet.onnx": 0.95, "light_vgg19.onnx": 0.95, "yolov8n_int8.onnx": 0.95, "yolox_nano_416.onnx": 0.95,
		"yolov3_mobilenet_v1_w4_fashion.onnx": 0.95, "light_shufflenet.onnx": 0.6, "mobilenet_v2_bn.onnx": 0.95, "resnet18_bn.onnx": 0.95,
		"googlenet.onnx": 0.95, "inception_v3.onnx": 0.95, "efficientnet_b0.onnx": 0.95, "vgg11_bn_keepbn.onnx": 0.95,
		"yolov3_mobilenet_v1.onnx": 0.95, "ssd300_vgg16.onnx": 0.9, "retinanet_resnet50_fpn.onnx": 0.9, "fasterrcnn_resnet50_fpn.onnx": 0.9,
		"fasterrcnn_mobilenet_v3_large_320_fpn.onnx": 0.9, "maskrcnn_resnet50_fpn.onnx": 0.9, "shufflenet_v2_x0_5_bn.onnx": 0.6,
		"shufflenet_static_bn.onnx": 0.6, "swin_t.onnx": 0.6, "vit_tiny_p16.onnx": 0.6, "convnext_tiny.onnx": 0.6,
	}
	for _, dir := range folders(t) {
		r, err := Walk(context.Background(), dir, Options{Ratios: []float64{}})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range r.Models {
			if least, ok := want[filepath.Base(m.Path)]; ok && m.FreeMACs < least {
				t.Errorf("%s: %.3f of the MACs can go, want %v", m.Path, m.FreeMACs, least)
			}
			if filepath.Base(m.Path) == "mobilenet_v2_bn.onnx" && m.Touched < 50 {
				t.Errorf("%s: %d of %d convolutions can lose channels", m.Path, m.Touched, m.Convolutions)
			}
		}
	}
}
