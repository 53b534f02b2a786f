package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

var update = flag.Bool("update", false, "write the snapshots of testdata/explain anew")

// corpus lists the folders of the shared models, and that of the filled skeletons where ONNXPRUNE_FILLED names it.
func corpus() []string {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	var out []string
	for _, name := range []string{"trained", "fashion", "fashion/classifiers", "control-flow", "encodings", "encodings/external"} {
		out = append(out, filepath.Join(dir, "models", name))
	}
	if filled := os.Getenv("ONNXPRUNE_FILLED"); filled != "" {
		out = append(out, filled)
	}
	return out
}

// corpusModel returns the path of a model of the corpus, unpacked; it skips where the model is not here.
func corpusModel(t *testing.T, name string) string {
	t.Helper()
	for _, dir := range corpus() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return unpacked(t, path)
		}
	}
	t.Skipf("%s is not here; set ONNXPRUNE_CORPUS to the folder of the shared models, and ONNXPRUNE_FILLED to that of the filled skeletons", name)
	return ""
}

func unpacked(t *testing.T, path string) string {
	t.Helper()
	if !strings.HasSuffix(path, ".gz") {
		return path
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), strings.TrimSuffix(filepath.Base(path), ".gz"))
	if err := os.WriteFile(out, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return out
}

// answer is what the command prints about a name, or the line that it fails with.
func answer(n *onnxprune.Network, name string) string {
	e, err := n.Explain(name)
	if err != nil {
		return onnxprune.Line(err) + "\n"
	}
	var b bytes.Buffer
	newTerminal(&b, &b).explanation(e)
	return b.String()
}

// The snapshots are what a user reads about the cases that users ask about. Look at every one that changes: it must say what hangs
// together and why, and what to do.
func TestExplanationsAreAsTheirSnapshots(t *testing.T) {
	made := func(m *onnxio.Model) func(t *testing.T) string {
		return func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "model.onnx")
			if err := m.Save(path); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	shared := func(name string) func(t *testing.T) string {
		return func(t *testing.T) string { return corpusModel(t, name) }
	}
	rcnn := testmodels.MaskRCNNR50(testmodels.RCNNOptions{Divisor: 16})
	for _, c := range []struct {
		what  string // the snapshot's name
		model func(t *testing.T) string
		names []string
	}{
		{"demo", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "demo.onnx")
			if err := os.WriteFile(path, testmodels.DemoModel(), 0o644); err != nil {
				t.Fatal(err)
			}
			return path
		}, []string{"yolo_block.0.0.0.conv.weights", "yolo_block.0.0.0.conv.weight"}},
		{"names", made(testmodels.SixConvolutions().Model()), []string{"conv4", "conv3_bn_scale", "conv6_bn_scale", "image", "batchnormalization_6", "conv6_weights",
			"conv3_weight", "batchnormalisation_5", "nothing like it"}},
		{"branch", made(rcnn.Model()), []string{"res5a_branch2a_weights", "res4a_branch1_weights", "res4f_branch2b_weights"}},
		{"shared_head", made(fiveLevels().Model()), []string{"rpn.weight"}},
		{"norms", made(norms().Model()), []string{"a.weight", "b.weight", "c.weight", "d.weight"}},
		{"open", made(openPicture().Model()), []string{"first.weight", "second.weight"}},
		{"unknown_operator", made(mystery().Model()), []string{"a.weight"}},
		{"function", made(otherVersion()), []string{"between.weight", "Old(old_1)/c"}},
		{"residual", shared("resnet18_bn.onnx"), []string{"layer2.0.conv2.weight", "fc.weight"}},
		{"depthwise", shared("mobilenet_v2_bn.onnx"), []string{"features.2.conv.1.0.weight"}},
		{"grouped", shared("regnet_x_400mf_bn.onnx"), []string{"trunk_output.block1.block1-0.f.b.0.weight"}},
		{"shuffle", shared("shufflenet_v2_x0_5_bn.onnx"), []string{"stage2.0.branch2.5.weight", "stage2.1.branch2.3.weight"}},
		{"attention_vit", shared("vit_tiny_p16.onnx"), []string{"onnx::MatMul_657", "conv_proj.weight"}},
		{"attention_swin", shared("swin_t.onnx"), []string{"onnx::MatMul_7225"}},
		{"loop", shared("loop_conv.onnx"), []string{"body.weight", "pre.weight", "/Loop"}},
		{"mask_rcnn", shared("mask_rcnn_r50.onnx"), []string{"res5a_branch2a_weights", "res4a_branch1_weights"}},
		{"rpn", shared("maskrcnn_resnet50_fpn.onnx"), []string{"rpn.head.conv.0.0.weight"}},
		{"c2f", shared("yolov8n_deq32.onnx.gz"), []string{"model.2.cv1.conv.weight_deq", "model.2.m.0.cv2.conv.weight_deq"}},
		{"lrn", shared("light_bvlc_alexnet.onnx"), []string{"conv1_w_0"}},
		{"pad", shared("blazeface_e2e_nms.onnx"), []string{"conv2d_5"}},
		{"mean", shared("person_reid_0248.onnx"), []string{"model/conv2d/Conv2D/ReadVariableOp:0", "model/tf.linalg.matmul/MatMul/b:0"}},
		{"quantized", shared("yolov8n_int8.onnx"), []string{"model.1.conv.weight_quantized", "model.22.dfl.conv.weight_quantized"}},
		{"silero", shared("silero_vad_v5.onnx"), []string{"If_0/then_branch/If_0_then_branch__Inline_0__encoder.1.reparam_conv.weight"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			n, err := onnxprune.Open(c.model(t), onnxprune.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			var b bytes.Buffer
			for _, name := range c.names {
				fmt.Fprintf(&b, "$ onnxprune explain MODEL %s\n%s\n", name, answer(n, name))
			}
			path := filepath.Join("testdata", "explain", c.what+".txt")
			if *update {
				if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(want) {
				t.Errorf("the answers differ from %s; where they are better, write it anew with -update. They are\n%s", path, b.String())
			}
		})
	}
}

// fiveLevels is a head that five levels share, as the RPN of Faster R-CNN is.
func fiveLevels() *testmodels.Builder {
	b := testmodels.New(17)
	x := b.Input("image", onnxio.Float, 1, 3, 32, 32)
	w, bias, last := b.Weight("rpn.weight", 8, 8, 3, 3), b.Vector("rpn.bias", 8, 0, 0.1), b.Weight("objectness.weight", 3, 8, 1, 1)
	for i, size := range []int{32, 16, 8, 4, 2} {
		if i > 0 {
			x = b.MaxPool(x, 2, 2)
		}
		level := b.Conv(fmt.Sprintf("level%d", i), x, 3, 8, 3)
		y := b.Relu(b.Node("Conv", []string{level, w, bias}, testmodels.Attrs{"pads": []int{1, 1, 1, 1}}))
		b.Output(b.Node("Conv", []string{y, last}), onnxio.Float, 1, 3, size, size)
	}
	return b
}

// norms has a layer in front of each kind of normalisation across channels.
func norms() *testmodels.Builder {
	b := testmodels.New(21)
	x := b.Input("image", onnxio.Float, 1, 3, 8, 8)
	a := b.Node("GroupNormalization", []string{b.Conv("a", x, 3, 8, 3), b.Vector("a.scale", 8, 1, 0.1), b.Vector("a.shift", 8, 0, 0.1)}, testmodels.Attrs{"num_groups": 4})
	c := b.Node("GroupNormalization", []string{b.Conv("b", a, 8, 8, 3), b.Vector("b.scale", 8, 1, 0.1), b.Vector("b.shift", 8, 0, 0.1)}, testmodels.Attrs{"num_groups": 1})
	rows := b.Transpose(b.Reshape(b.Conv("c", c, 8, 8, 3), 1, 8, 64), 0, 2, 1)
	n := b.Node("LayerNormalization", []string{rows, b.Vector("c.scale", 8, 1, 0.1), b.Vector("c.shift", 8, 0, 0.1)}, testmodels.Attrs{"axis": -1})
	b.Output(b.Softmax(b.MatMul("d", n, 8, 5), -1), onnxio.Float, 1, 64, 5)
	return b
}

// openPicture flattens a picture of open size and unfolds it again, so that how many elements a channel has on the way is not known.
func openPicture() *testmodels.Builder {
	b := testmodels.New(17)
	x := b.Input("image", onnxio.Float, "N", 3, "H", "W")
	flat := b.Node("Reshape", []string{b.Conv("first", x, 3, 8, 3), b.Const([]int64{0, -1})})
	rows := b.Node("Reshape", []string{b.Relu(flat), b.Const([]int64{0, 8, -1})})
	sums := b.Node("ReduceSum", []string{rows, b.Const([]int64{2})}, testmodels.Attrs{"keepdims": 0})
	b.Output(b.Gemm("second", sums, 8, 4), onnxio.Float, "N", 4)
	return b
}

// otherVersion calls a function that is written for older operators than the model.
func otherVersion() *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("image", onnxio.Float, 1, 3, 8, 8)
	b.Function("local", "Old", []string{"v"}, []string{"w"}, nil, func(f *testmodels.Builder) {
		f.NodeTo("Relu", []string{f.Conv("c", "v", 8, 8, 3)}, []string{"w"})
	})
	b.Output(b.Node("local::Old", []string{b.Conv("between", x, 3, 8, 3)}), onnxio.Float, 1, 8, 8, 8)
	m := b.Model()
	f := m.Functions[0]
	f = onnxio.NewFunction(f.Domain, f.Name, f.Inputs, f.Outputs, []onnxio.Opset{{Version: 16}}, f.Nodes...)
	return onnxio.NewModel(m.IRVersion, "test", m.Opsets, m.Graph, f)
}

func mystery() *testmodels.Builder {
	b := testmodels.New(17)
	x := b.Input("image", onnxio.Float, 1, 3, 8, 8)
	b.Import("my.domain", 1)
	y := b.Node("my.domain::Mystery", []string{b.Conv("a", x, 3, 8, 3)})
	b.Output(y, onnxio.Float, 1, 8, 8, 8)
	return b
}

// A wordless answer says that something stays, and not why; jargon is what only the code knows.
var (
	quoted = regexp.MustCompile(`"[^"]+"`)
	jargon = regexp.MustCompile(`\b(atoms?|unif\w+|union|pinned|array|nil|<nil>|%!\w)\b`)
)

// Every name of every model has an answer: of parameters all, of other values and nodes a part.
func TestEveryNameOfTheCorpusHasAnAnswer(t *testing.T) {
	var paths []string
	for _, dir := range corpus() {
		for _, pattern := range []string{"*.onnx", "*.onnx.gz"} {
			list, _ := filepath.Glob(filepath.Join(dir, pattern))
			paths = append(paths, list...)
		}
	}
	if len(paths) == 0 {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	if testing.Short() {
		t.Skip("reads every model of the corpus")
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			n, err := onnxprune.Open(unpacked(t, path), onnxprune.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			tried := map[string]bool{}
			for _, p := range n.Channels.Params {
				text := checkAnswer(t, n, p.Name)
				switch {
				case p.Free > 0 && !strings.Contains(text, "Try: --params "):
					t.Errorf("%s can be pruned, and the answer does not say how:\n%s", p.Name, text)
				case p.Free == 0 && (!strings.Contains(text, p.Reason.Text) || !strings.Contains(text, "Try: ")):
					t.Errorf("%s can not be pruned, and the answer lacks the reason or what to do:\n%s", p.Name, text)
				}
				for _, m := range regexp.MustCompile(`Try: (?:.*: )?--params (\S+) --ratios 0.3\n`).FindAllStringSubmatch(text, -1) {
					name := strings.Trim(m[1], "'")
					if tried[name] {
						continue
					}
					tried[name] = true
					if _, _, err := n.Select(onnxprune.Request{Params: []string{name}, Ratios: []float64{0.3}}); err != nil {
						t.Errorf("%s: what the answer says to try fails: %v", p.Name, err)
					}
				}
			}
			for i, v := range n.Graph.Values {
				if i%97 == 0 || v.Output || v.Input {
					checkAnswer(t, n, v.FullName())
				}
			}
			for i, node := range n.Graph.Nodes {
				if i%97 == 0 || len(node.Bodies) > 0 {
					checkAnswer(t, n, node.Path)
				}
			}
		})
	}
}

// checkAnswer explains a name, and checks what holds for every answer.
func checkAnswer(t *testing.T, n *onnxprune.Network, name string) string {
	t.Helper()
	e, err := n.Explain(name)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return ""
	}
	var b bytes.Buffer
	newTerminal(&b, &b).explanation(e)
	text := b.String()
	if lines := strings.Count(text, "\n"); lines > 120 {
		t.Errorf("%s: the answer has %d lines", name, lines)
	}
	plain := strings.ReplaceAll(text, name, "")
	if word := jargon.FindString(quoted.ReplaceAllString(plain, "")); word != "" && !strings.Contains(name, word) {
		t.Errorf("%s: the answer says %q:\n%s", name, word, text)
	}
	for _, a := range e.Axes {
		stay := 0
		for _, p := range a.Pins {
			stay += p.Count
			if !quoted.MatchString(p.Text) && !slices.Contains(nodeless, p.Text) {
				t.Errorf("%s: the reason names no node or tensor: %s", name, p.Text)
			}
		}
		if a.Channels > 0 && a.Prunable+stay != a.Channels {
			t.Errorf("%s: axis %d has %d channels, %d can go, and %d have a reason to stay", name, a.Axis, a.Channels, a.Prunable, stay)
		}
	}
	return text
}

// nodeless lists reasons that are about the weight itself.
var nodeless = []string{"it has a single output channel", "no weight of a convolution or linear layer produces it",
	"all indices of the axis are one and the same channel here"}
