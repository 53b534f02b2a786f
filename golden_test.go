package onnxprune_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/testmodels"
)

// The figures in this file are PaddleSlim's and PaddleDetection's own, for the commands of their documentation. Here they go
// the whole way, from file to file.

// saved writes a model into the test's folder.
func saved(t testing.TB, b *testmodels.Builder) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "in.onnx")
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// prune prunes a file, reads the result back, and returns the report and the new shapes of all cut tensors.
func prune(t testing.TB, in string, params []string, ratios ...float64) (*onnxprune.Report, map[string]string) {
	t.Helper()
	opt := onnxprune.PruneOptions{Verify: onnxprune.VerifyLoad}
	opt.Params, opt.Ratios = params, ratios
	r, err := onnxprune.Prune(t.Context(), in, filepath.Join(t.TempDir(), "out.onnx"), opt)
	if err != nil {
		t.Fatal(err)
	}
	shapes := map[string]string{}
	for _, c := range r.Tensors {
		shapes[c.Name] = fmt.Sprint(c.After)
	}
	return r, shapes
}

func compareShapes(t *testing.T, have, want map[string]string) {
	t.Helper()
	for name, shape := range want {
		if have[name] != shape {
			t.Errorf("%s is %s, want %s", name, have[name], shape)
		}
	}
}

// heads names the 18 convolutions of the three YOLOv3 heads.
func heads() []string {
	var out []string
	for i := range 3 {
		for _, part := range []string{"0.0", "0.1", "1.0", "1.1", "2", "tip"} {
			out = append(out, fmt.Sprintf("yolo_block.%d.%s.conv.weights", i, part))
		}
	}
	return out
}

func TestYOLOv3CostsWhatPaddleSlimPublished(t *testing.T) {
	if testing.Short() {
		t.Skip("writes networks of 100 MB")
	}
	in := saved(t, testmodels.YOLOv3MobileNetV1(testmodels.YOLOv3Options{}))
	for _, c := range []struct {
		name         string
		params       []string
		ratios       []float64
		macs, weight int64 // after; 0 parameters where none are published
	}{
		{"the seed's command", []string{"yolo_block.0.0.0.conv.weights", "yolo_block.0.0.1.conv.weights", "yolo_block.0.1.0.conv.weights"},
			[]float64{0.2, 0.3, 0.4}, 20_116_812_001, 19_913_666},
		{"r578", heads(), slices.Concat(slices.Repeat([]float64{0.5}, 6), slices.Repeat([]float64{0.7}, 6), slices.Repeat([]float64{0.8}, 6)), 6_601_650_320, 0},
		{"sensity", heads(), []float64{0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.2, 0.3, 0.3, 0.3, 0.2, 0.1, 0.3, 0.4, 0.4, 0.4, 0.4, 0.3}, 14_200_138_243, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, shapes := prune(t, in, c.params, c.ratios...)
			if r.Before.MACs != 21_694_656_000 || r.Before.Params != 24_286_881 {
				t.Errorf("before: %d MACs and %d parameters, want 21694656000 and 24286881", r.Before.MACs, r.Before.Params)
			}
			if r.After.MACs != c.macs || c.weight != 0 && r.After.Params != c.weight {
				t.Errorf("after: %d MACs and %d parameters, want %d and %d", r.After.MACs, r.After.Params, c.macs, c.weight)
			}
			if len(c.params) == 3 {
				compareShapes(t, shapes, map[string]string{
					"yolo_block.0.0.0.conv.weights": "[410 1024 1 1]", "yolo_block.0.0.1.conv.weights": "[717 410 3 3]",
					"yolo_block.0.1.0.conv.weights": "[307 717 1 1]", "yolo_block.0.1.1.conv.weights": "[1024 307 3 3]",
					"yolo_block.0.0.0.bn.scale": "[410]", "yolo_block.0.0.1.bn.mean": "[717]", "yolo_block.0.1.0.bn.var": "[307]",
				})
				if len(shapes) != 4+3*4 {
					t.Errorf("%d tensors were cut, want 4 weights and 12 vectors", len(shapes))
				}
			}
		})
	}
}

func TestRCNNDemosHaveTheirPublishedShapes(t *testing.T) {
	if testing.Short() {
		t.Skip("writes networks of 140 MB")
	}
	for _, net := range []struct {
		name    string
		model   *testmodels.Builder
		ratios  []float64 // of res4f_branch2b, res4f_branch2a
		params  int64
		tensors int
		want    map[string]string
	}{
		{"faster_rcnn_r50", testmodels.FasterRCNNR50(testmodels.RCNNOptions{}), []float64{0.3, 0.4}, 33_852_960, 169, map[string]string{
			"res4f_branch2a_weights": "[154 1024 1 1]", "res4f_branch2b_weights": "[179 154 3 3]", "res4f_branch2c_weights": "[1024 179 1 1]"}},
		{"mask_rcnn_r50", testmodels.MaskRCNNR50(testmodels.RCNNOptions{}), []float64{0.2, 0.3}, 35_971_185, 173, map[string]string{
			"res4f_branch2a_weights": "[179 1024 1 1]", "res4f_branch2b_weights": "[205 179 3 3]", "res4f_branch2c_weights": "[1024 205 1 1]"}},
	} {
		t.Run(net.name, func(t *testing.T) {
			r, shapes := prune(t, saved(t, net.model), []string{"res4f_branch2b_weights", "res4f_branch2a_weights"}, net.ratios...)
			if r.Before.Params != net.params || r.Before.ParamTensors != net.tensors {
				t.Errorf("%d parameters in %d tensors, want %d in %d", r.Before.Params, r.Before.ParamTensors, net.params, net.tensors)
			}
			compareShapes(t, shapes, net.want)
		})
	}
}

func TestSixConvolutionsArePrunedAsInPaddleSlimsOwnTest(t *testing.T) {
	r, shapes := prune(t, saved(t, testmodels.SixConvolutions()), []string{"conv4_weights"}, 0.5)
	if r.Before.MACs != 792_576 {
		t.Errorf("%d MACs, want 792576", r.Before.MACs)
	}
	compareShapes(t, shapes, map[string]string{"conv1_weights": "[4 3 3 3]", "conv2_weights": "[4 4 3 3]", "conv3_weights": "[8 4 3 3]",
		"conv4_weights": "[4 8 3 3]", "conv5_weights": "[8 4 3 3]", "conv6_weights": ""})
}

func TestEveryRefusalOfMaskRCNNHasItsReason(t *testing.T) {
	n, err := onnxprune.Open(saved(t, testmodels.MaskRCNNR50(testmodels.RCNNOptions{Divisor: 16})), onnxprune.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	reason := map[string]string{}
	for _, p := range n.Params(true) {
		reason[p.Name] = p.Reason
		if (p.Prunable == 0) != (p.Reason != "") {
			t.Errorf("%s: %d of its channels can go, and the reason is %q", p.Name, p.Prunable, p.Reason)
		}
		if strings.HasPrefix(p.Name, "res5") && p.Channels > 0 && !strings.Contains(p.Reason, "shared with the body of If") {
			t.Errorf("%s: the reason is %q, want that an If shares it", p.Name, p.Reason)
		}
	}
	for name, want := range map[string]string{"res4f_branch2a_weights": "", "res4f_branch2b_weights": "", "res4a_branch1_weights": "captured by If",
		"res4a_branch2c_weights": "captured by If", "res4f_branch2c_weights": "captured by If"} {
		if have := reason[name]; (have == "") != (want == "") || !strings.Contains(have, want) {
			t.Errorf("%s: the reason is %q, want %q", name, have, want)
		}
	}
	_, _, err = n.Select(onnxprune.Request{Params: []string{"res5a_branch2a_weights"}, Ratios: []float64{0.3}})
	if onnxprune.ExitCode(err) != onnxprune.ExitRefused || !strings.Contains(fmt.Sprint(err), "shared with the body of If") {
		t.Errorf("naming res5a_branch2a_weights gives %v", err)
	}
}
