package rewrite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/testmodels"
)

// The golden figures are what PaddleSlim gives for the same request: widths, MACs and parameters.

// network is a model with its analysis.
type network struct {
	model    *onnxio.Model
	graph    *graph.Graph
	shapes   *shape.Result
	channels *channels.Analysis
}

func analyse(t testing.TB, m *onnxio.Model) *network {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &network{m, g, s, channels.Analyze(g, s, channels.Options{})}
}

func (n *network) prune(t testing.TB, names []string, ratios []float64) *network {
	t.Helper()
	p, err := n.plan(names, ratios)
	if err != nil {
		t.Fatal(err)
	}
	m, err := rewrite.Apply(n.model, p)
	if err != nil {
		t.Fatal(err)
	}
	return analyse(t, m)
}

func (n *network) plan(names []string, ratios []float64) (*plan.Plan, error) {
	wants, _, err := selection.Resolve(n.channels, names, ratios)
	if err != nil {
		return nil, err
	}
	c, err := selection.Select(n.channels, wants, selection.Options{})
	if err != nil {
		return nil, err
	}
	return plan.Build(n.channels, c.Removed)
}

// dims returns the shape of a constant.
func (n *network) dims(name string) []int64 { return n.graph.Main.Lookup(name).Data().Dims }

// heads names the 18 convolutions of YOLOv3's heads.
func heads() []string {
	var out []string
	for i := range 3 {
		for _, k := range []string{"0.0", "0.1", "1.0", "1.1", "2", "tip"} {
			out = append(out, fmt.Sprintf("yolo_block.%d.%s.conv.weights", i, k))
		}
	}
	return out
}

func repeat(v float64, n int) []float64 { return slices.Repeat([]float64{v}, n) }

func TestYOLOv3PrunesToTheGoldenFigures(t *testing.T) {
	seed := []string{"yolo_block.0.0.0.conv.weights", "yolo_block.0.0.1.conv.weights", "yolo_block.0.1.0.conv.weights"}
	r578 := slices.Concat(repeat(0.5, 6), repeat(0.7, 6), repeat(0.8, 6))
	sensity := []float64{0.1, 0.2, 0.2, 0.2, 0.2, 0.1, 0.2, 0.3, 0.3, 0.3, 0.2, 0.1, 0.3, 0.4, 0.4, 0.4, 0.4, 0.3}
	for _, c := range []struct {
		what          string
		classes       int
		names         []string
		ratios        []float64
		before, after int64 // MACs
		params        [2]int64
	}{
		{"the seed's command on VOC", 20, seed, []float64{0.2, 0.3, 0.4}, 21694656000, 20116812001, [2]int64{24286881, 19913666}},
		{"the seed's command on COCO", 80, seed, []float64{0.2, 0.3, 0.4}, 22160432640, 20582588641, [2]int64{24609981, 20236766}},
		{"r578 on VOC", 20, heads(), r578, 21694656000, 6601650320, [2]int64{}},
		{"r578 on COCO", 80, heads(), r578, 22160432640, 6727971440, [2]int64{}},
		{"sensity on VOC", 20, heads(), sensity, 21694656000, 14200138243, [2]int64{}},
		{"sensity on COCO", 80, heads(), sensity, 22160432640, 14565975643, [2]int64{}},
	} {
		t.Run(c.what, func(t *testing.T) {
			before := analyse(t, testmodels.YOLOv3MobileNetV1(testmodels.YOLOv3Options{Classes: c.classes}).Model())
			after := before.prune(t, c.names, c.ratios)
			was, is := cost.Of(before.graph, before.shapes), cost.Of(after.graph, after.shapes)
			if was.MACs() != c.before || is.MACs() != c.after {
				t.Errorf("MACs %d -> %d, want %d -> %d", was.MACs(), is.MACs(), c.before, c.after)
			}
			if c.params != [2]int64{} && [2]int64{was.Params, is.Params} != c.params {
				t.Errorf("parameters %d -> %d, want %v", was.Params, is.Params, c.params)
			}
			if c.params == [2]int64{} {
				return
			}
			for name, want := range map[string][]int64{
				"yolo_block.0.0.0.conv.weights": {410, 1024, 1, 1}, "yolo_block.0.0.1.conv.weights": {717, 410, 3, 3},
				"yolo_block.0.1.0.conv.weights": {307, 717, 1, 1}, "yolo_block.0.1.1.conv.weights": {1024, 307, 3, 3},
				"yolo_block.0.0.0.bn.scale": {410}, "yolo_block.0.0.0.bn.offset": {410}, "yolo_block.0.0.0.bn.mean": {410}, "yolo_block.0.0.0.bn.var": {410},
				"yolo_block.0.0.1.bn.scale": {717}, "yolo_block.0.1.0.bn.var": {307},
			} {
				if got := after.dims(name); !slices.Equal(got, want) {
					t.Errorf("%s has the shape %v, want %v", name, got, want)
				}
			}
		})
	}
}

func TestTheRCNNDemosPruneToTheGoldenShapes(t *testing.T) {
	for _, c := range []struct {
		what    string
		model   *testmodels.Builder
		ratios  []float64
		a, b    int64
		params  int64
		tensors int
	}{
		{"Faster R-CNN", testmodels.FasterRCNNR50(testmodels.RCNNOptions{}), []float64{0.3, 0.4}, 154, 179, 33852960, 169},
		{"Mask R-CNN", testmodels.MaskRCNNR50(testmodels.RCNNOptions{}), []float64{0.2, 0.3}, 179, 205, 35971185, 173},
	} {
		t.Run(c.what, func(t *testing.T) {
			before := analyse(t, c.model.Model())
			r := cost.Of(before.graph, before.shapes)
			if r.Params != c.params || r.ParamTensors != c.tensors {
				t.Errorf("%d parameters in %d tensors, want %d in %d", r.Params, r.ParamTensors, c.params, c.tensors)
			}
			after := before.prune(t, []string{"res4f_branch2b_weights", "res4f_branch2a_weights"}, c.ratios)
			for name, want := range map[string][]int64{"res4f_branch2a_weights": {c.a, 1024, 1, 1}, "res4f_branch2b_weights": {c.b, c.a, 3, 3},
				"res4f_branch2c_weights": {1024, c.b, 1, 1}} {
				if got := after.dims(name); !slices.Equal(got, want) {
					t.Errorf("%s has the shape %v, want %v", name, got, want)
				}
			}
		})
	}
}

// In Mask R-CNN stage 5 and the mask head stand in a branch; what it captures, and what feeds that, can not be pruned.
func TestMaskRCNNsControlFlowPinsExactlyWhatFeedsIt(t *testing.T) {
	n := analyse(t, testmodels.MaskRCNNR50(testmodels.RCNNOptions{}).Model())
	for _, p := range n.channels.Params {
		pinned := strings.HasPrefix(p.Name, "res5") || p.Name == "res4a_branch1_weights" ||
			strings.HasPrefix(p.Name, "res4") && strings.HasSuffix(p.Name, "_branch2c_weights") ||
			strings.Contains(p.Name, "mask") || p.Name == "rpn_cls_logits_w" || p.Name == "rpn_bbox_pred_w" || p.Name == "cls_score_w"
		if pinned && p.Reason == nil {
			t.Errorf("%s can be pruned, though it lies in or before control flow or at the end", p.Name)
		}
		if !pinned && p.Reason != nil {
			t.Errorf("%s can not be pruned: %s", p.Name, p.Reason.Text)
		}
	}
	_, err := n.plan([]string{"res5a_branch2a_weights"}, []float64{0.2})
	if err == nil || !strings.Contains(err.Error(), "If") {
		t.Errorf("naming res5a_branch2a_weights: %v, want a refusal that names the If", err)
	}
}

func TestSixConvolutionsPruneAsPaddleSlimsOwnTestDoes(t *testing.T) {
	before := analyse(t, testmodels.SixConvolutions().Model())
	if got := cost.Of(before.graph, before.shapes).MACs(); got != 792576 {
		t.Errorf("%d MACs, want 792576", got)
	}
	after := before.prune(t, []string{"conv4_weights"}, []float64{0.5})
	for name, want := range map[string][]int64{"conv1_weights": {4, 3, 3, 3}, "conv2_weights": {4, 4, 3, 3}, "conv3_weights": {8, 4, 3, 3},
		"conv4_weights": {4, 8, 3, 3}, "conv5_weights": {8, 4, 3, 3}, "conv6_weights": {8, 8, 3, 3}} {
		if got := after.dims(name); !slices.Equal(got, want) {
			t.Errorf("%s has the shape %v, want %v", name, got, want)
		}
	}
}

// PaddleSlim itself pruned ppocr_mobile_v2.0_det; asked for the same widths, every convolution must come out with the same
// shape.
func TestPPOCRPrunedToPaddleSlimsWidthsHasPaddleSlimsShapes(t *testing.T) {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	open := func(name string) *network {
		m, err := onnxio.Open(filepath.Join(dir, "models", "trained", name))
		if os.IsNotExist(err) || err != nil && strings.Contains(err.Error(), "no such file") {
			t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
		}
		if err != nil {
			t.Fatal(err)
		}
		return analyse(t, m)
	}
	theirs, before := open("ppocr_mobile_v2.0_det_prune.onnx"), open("ppocr_mobile_v2.0_det.onnx")
	want := convolutions(theirs)
	var names []string
	for i, w := range convolutions(before)[:56] {
		if w.Shape[0] != want[i].Shape[0] && w.Shape[1] > 1 {
			names = append(names, w.Name)
		}
	}
	after := convolutions(before.prune(t, names, []float64{0.2}))
	for i, w := range after[:56] { // the training model has a second head behind the 56th
		if !slices.Equal(w.Shape, want[i].Shape) {
			t.Errorf("%s has the shape %v, PaddleSlim's %s has %v", w.Name, w.Shape, want[i].Name, want[i].Shape)
		}
	}
}

// convolutions lists the weights of the convolutions in graph order.
func convolutions(n *network) []*channels.Param {
	var out []*channels.Param
	for _, p := range n.channels.Params {
		if p.Nodes[0].Op == "Conv" {
			out = append(out, p)
		}
	}
	return out
}
