package onnxprune_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// The figures in this file are PaddleSlim's and PaddleDetection's own, for the networks of their documentation.

// analyse fails the test where a model can not be analysed.
func analyse(t *testing.T, m *onnxio.Model) *onnxprune.Network {
	t.Helper()
	n, err := onnxprune.Analyze(m, onnxprune.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// cut prunes in memory and returns the network that comes out.
func cut(t *testing.T, n *onnxprune.Network, params []string, ratios ...float64) *onnxprune.Network {
	t.Helper()
	p, _, err := n.Select(onnxprune.Request{Params: params, Ratios: ratios})
	if err != nil {
		t.Fatal(err)
	}
	m, err := n.Apply(p)
	if err != nil {
		t.Fatal(err)
	}
	return analyse(t, m)
}

func shapesOf(n *onnxprune.Network) map[string]string {
	out := map[string]string{}
	for _, p := range n.Params(true) {
		out[p.Name] = fmt.Sprint(p.Shape)
	}
	return out
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

var (
	seedParams = []string{"yolo_block.0.0.0.conv.weights", "yolo_block.0.0.1.conv.weights", "yolo_block.0.1.0.conv.weights"}
	seedRatios = []float64{0.2, 0.3, 0.4}
	r578       = slices.Concat(slices.Repeat([]float64{0.5}, 6), slices.Repeat([]float64{0.7}, 6), slices.Repeat([]float64{0.8}, 6))
	sensity    = []float64{0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.2, 0.3, 0.3, 0.3, 0.2, 0.1, 0.3, 0.4, 0.4, 0.4, 0.4, 0.3}
)

func TestYOLOv3CostsWhatPaddleSlimPublished(t *testing.T) {
	if testing.Short() {
		t.Skip("builds networks of 100 MB")
	}
	for _, net := range []struct {
		name           string
		classes        int
		macs, params   int64
		seed, seedLeft int64
		r578, sensity  int64
	}{
		{"VOC at 608", 20, 21_694_656_000, 24_286_881, 20_116_812_001, 19_913_666, 6_601_650_320, 14_200_138_243},
		{"COCO at 608", 80, 22_160_432_640, 24_609_981, 20_582_588_641, 20_236_766, 6_727_971_440, 14_565_975_643},
	} {
		t.Run(net.name, func(t *testing.T) {
			n := analyse(t, testmodels.YOLOv3MobileNetV1(testmodels.YOLOv3Options{Classes: net.classes}).Model())
			check := func(what string, n *onnxprune.Network, macs, params int64) {
				t.Helper()
				c, _ := n.Cost()
				if c.MACs() != macs || params != 0 && c.Params != params {
					t.Errorf("%s: %d MACs and %d parameters, want %d and %d", what, c.MACs(), c.Params, macs, params)
				}
			}
			check("as it is", n, net.macs, net.params)
			check("r578", cut(t, n, heads(), r578...), net.r578, 0)
			check("sensity", cut(t, n, heads(), sensity...), net.sensity, 0)
			seed := cut(t, n, seedParams, seedRatios...)
			check("the seed's command", seed, net.seed, net.seedLeft)
			have := shapesOf(seed)
			want := map[string]string{
				"yolo_block.0.0.0.conv.weights": "[410 1024 1 1]", "yolo_block.0.0.1.conv.weights": "[717 410 3 3]",
				"yolo_block.0.1.0.conv.weights": "[307 717 1 1]", "yolo_block.0.1.1.conv.weights": "[1024 307 3 3]",
			}
			for block, width := range map[string]int{"0.0.0": 410, "0.0.1": 717, "0.1.0": 307} {
				for _, vector := range []string{"scale", "offset", "mean", "var"} {
					want["yolo_block."+block+".bn."+vector] = fmt.Sprintf("[%d]", width)
				}
			}
			for name, shape := range want {
				if have[name] != shape {
					t.Errorf("%s is %s, want %s", name, have[name], shape)
				}
			}
		})
	}
}

func TestRCNNDemosHaveTheirPublishedShapes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds networks of 140 MB")
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
			n := analyse(t, net.model.Model())
			if c, _ := n.Cost(); c.Params != net.params || c.ParamTensors != net.tensors {
				t.Errorf("%d parameters in %d tensors, want %d in %d", c.Params, c.ParamTensors, net.params, net.tensors)
			}
			have := shapesOf(cut(t, n, []string{"res4f_branch2b_weights", "res4f_branch2a_weights"}, net.ratios...))
			for name, shape := range net.want {
				if have[name] != shape {
					t.Errorf("%s is %s, want %s", name, have[name], shape)
				}
			}
		})
	}
}

func TestControlFlowOfMaskRCNNIsRefusedWithTheReason(t *testing.T) {
	n := analyse(t, testmodels.MaskRCNNR50(testmodels.RCNNOptions{Divisor: 16}).Model())
	prunable := map[string]bool{}
	for _, p := range n.Params(true) {
		prunable[p.Name] = p.Prunable > 0
		if p.Prunable == 0 && p.Reason == "" {
			t.Errorf("%s can not be pruned, and no reason is given", p.Name)
		}
		inStage5 := strings.HasPrefix(p.Name, "res5") && p.Channels > 0
		if inStage5 && !strings.Contains(p.Reason, "shared with the body of If") {
			t.Errorf("%s: the reason is %q, want that an If shares it", p.Name, p.Reason)
		}
	}
	for _, name := range []string{"res4f_branch2a_weights", "res4f_branch2b_weights"} {
		if !prunable[name] {
			t.Errorf("%s can not be pruned", name)
		}
	}
	for _, name := range []string{"res4a_branch1_weights", "res4a_branch2c_weights", "res4f_branch2c_weights"} {
		if prunable[name] {
			t.Errorf("%s can be pruned, though an If captures stage 4", name)
		}
	}
	_, _, err := n.Select(onnxprune.Request{Params: []string{"res5a_branch2a_weights"}, Ratios: []float64{0.3}})
	if onnxprune.ExitCode(err) != onnxprune.ExitRefused || !strings.Contains(fmt.Sprint(err), "shared with the body of If") {
		t.Errorf("naming res5a_branch2a_weights gives %v", err)
	}
}

func TestSixConvolutionsArePrunedAsPaddleSlimsOwnTest(t *testing.T) {
	n := analyse(t, testmodels.SixConvolutions().Model())
	if c, _ := n.Cost(); c.MACs() != 792_576 {
		t.Errorf("%d MACs, want 792576", c.MACs())
	}
	have := shapesOf(cut(t, n, []string{"conv4_weights"}, 0.5))
	for i, want := range []string{"[4 3 3 3]", "[4 4 3 3]", "[8 4 3 3]", "[4 8 3 3]", "[8 4 3 3]", "[8 8 3 3]"} {
		if name := fmt.Sprintf("conv%d_weights", i+1); have[name] != want {
			t.Errorf("%s is %s, want %s", name, have[name], want)
		}
	}
}

func TestRemovedChannelsAreRoundedHalfToEven(t *testing.T) {
	for _, c := range []struct {
		channels int
		ratio    float64
		removed  int
	}{
		{5, 0.5, 2}, {25, 0.1, 2}, {15, 0.1, 2}, {35, 0.7, 24}, {45, 0.7, 31}, {90, 0.35, 31}, {85, 0.7, 59}, {165, 0.7, 115},
		{512, 0.2, 102}, {1024, 0.3, 307}, {512, 0.4, 205}, {256, 0.3, 77}, {256, 0.4, 102}, {256, 0.2, 51}, {1024, 0.2, 205},
		{512, 0.1, 51}, {128, 0.8, 102}, {256, 0.8, 205}, {256, 0.7, 179}, {512, 0.7, 358}, {128, 0.3, 38}, {1, 0.9, 0},
	} {
		if got := selection.RemovedCount(c.channels, c.ratio); got != c.removed {
			t.Errorf("of %d channels at %v go %d, want %d", c.channels, c.ratio, got, c.removed)
		}
	}
}
