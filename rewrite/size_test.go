package rewrite_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/inputsize"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/testmodels"
)

// resized brings a model to another size.
func resized(t *testing.T, m *onnxio.Model, names []string, to inputsize.Size) (*onnxio.Model, *plan.Size, error) {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := inputsize.Plan(g, names, to)
	if err != nil {
		return nil, nil, err
	}
	out, err := rewrite.Resize(m, s)
	if err != nil {
		t.Fatal(err)
	}
	out, err = onnxio.Parse(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return out, s, nil
}

// eachSize builds networks of which every number is known at every size.
var eachSize = []struct {
	name  string
	build func(w, h int) *testmodels.Builder
}{
	{"yolov3 with suppression", func(w, h int) *testmodels.Builder {
		return testmodels.YOLOv3MobileNetV1(testmodels.YOLOv3Options{Divisor: 16, Size: w})
	}},
	{"yolov3 to boxes", func(w, h int) *testmodels.Builder {
		return testmodels.YOLOv3MobileNetV1(testmodels.YOLOv3Options{Divisor: 16, Size: w, Output: "boxes"})
	}},
	{"faster_rcnn", func(w, h int) *testmodels.Builder {
		return testmodels.FasterRCNNR50(testmodels.RCNNOptions{Divisor: 16, Size: w})
	}},
	{"anchor points and strides", func(w, h int) *testmodels.Builder { return anchorPoints(int64(w), int64(h)) }},
	{"priors", func(w, h int) *testmodels.Builder { return priors(int64(w), int64(h)) }},
	{"vision transformer", func(w, h int) *testmodels.Builder { return transformer(int64(w), int64(h)) }},
}

// anchorPoints is a detector with a head as yolov8's: distances from anchor points in cells, times the stride.
func anchorPoints(w, h int64) *testmodels.Builder {
	b := testmodels.New(17)
	x := b.Input("images", onnxio.Float, 1, 3, h, w)
	x = b.Relu(b.Conv("stem", x, 3, 8, 3, testmodels.Stride(4)))
	var levels []string
	var xs, ys, strides []float32
	for i, stride := range []int64{8, 16, 32} {
		x = b.Relu(b.Conv("down"+string('1'+rune(i)), x, 8, 8, 3, testmodels.Stride(2)))
		rows, columns := h/stride, w/stride
		levels = append(levels, b.Reshape(b.Conv("head"+string('1'+rune(i)), x, 8, 4, 1), 1, 4, rows*columns))
		for r := range rows {
			for c := range columns {
				xs, ys, strides = append(xs, float32(c)+0.5), append(ys, float32(r)+0.5), append(strides, float32(stride))
			}
		}
	}
	n := int64(len(xs))
	points := b.ConstDims("points", []int64{1, 2, n}, append(xs, ys...))
	all := b.Concat(2, levels...)
	lt, rb := b.Sub(points, b.Slice(all, 1, 0, 2)), b.Add(points, b.Slice(all, 1, 2, 4))
	centre := b.Div(b.Add(lt, rb), b.Const(float32(2)))
	b.Output(b.Mul(b.Concat(1, centre, b.Sub(rb, lt)), b.ConstDims("strides", []int64{1, n}, strides)), onnxio.Float, 1, 4, n)
	return b
}

// priors is a detector with a head as SSD's: offsets to two priors a cell, in shares of the picture, brought to pixels.
func priors(w, h int64) *testmodels.Builder {
	b := testmodels.New(13)
	x := b.Input("image", onnxio.Float, 1, 3, h, w)
	x = b.Relu(b.Conv("stem", x, 3, 8, 3, testmodels.Stride(4)))
	var levels []string
	var centres, sizes []float32
	for i, stride := range []int64{8, 16} {
		x = b.Relu(b.Conv("down"+string('1'+rune(i)), x, 8, 8, 3, testmodels.Stride(2)))
		rows, columns := h/stride, w/stride
		m := b.Transpose(b.Conv("head"+string('1'+rune(i)), x, 8, 2*4, 1), 0, 2, 3, 1)
		levels = append(levels, b.Reshape(m, 1, rows*columns*2, 4))
		for r := range rows {
			for c := range columns {
				for k := range 2 {
					side := float64(stride) * []float64{3, 4.5}[k]
					centres = append(centres, float32((float64(c)+0.5)/float64(columns)), float32((float64(r)+0.5)/float64(rows)))
					sizes = append(sizes, float32(side/float64(w)), float32(side/float64(h)))
				}
			}
		}
	}
	n := int64(len(centres) / 2)
	all := b.Concat(1, levels...)
	c, s := b.ConstDims("centres", []int64{1, n, 2}, centres), b.ConstDims("sizes", []int64{1, n, 2}, sizes)
	at := b.Add(b.Mul(b.Mul(b.Slice(all, 2, 0, 2), b.Const(float32(0.1))), s), c)
	size := b.Mul(b.Node("Exp", []string{b.Mul(b.Slice(all, 2, 2, 4), b.Const(float32(0.2)))}), s)
	half := b.Div(size, b.Const(float32(2)))
	boxes := b.Concat(2, b.Sub(at, half), b.Add(at, half))
	b.Output(b.Mul(boxes, b.NamedConst("sides", []float32{float32(w), float32(h), float32(w), float32(h)})), onnxio.Float, 1, n, 4)
	return b
}

// transformer is a block of attention over patches of 8 pixels with the sizes written down, as exporters trace them. It has no position embedding.
func transformer(w, h int64) *testmodels.Builder {
	b := testmodels.New(17)
	x := b.Input("pixels", onnxio.Float, 1, 3, h, w)
	n := (h / 8) * (w / 8)
	tokens := b.Transpose(b.Reshape(b.Conv("patch", x, 3, 16, 8, testmodels.Stride(8), testmodels.Pad(0)), 1, 16, n), 0, 2, 1)
	head := func(name string, perm ...int64) string {
		return b.Transpose(b.Reshape(b.MatMul(name, tokens, 16, 16), 1, n, 2, 8), perm...)
	}
	q, k, v := head("q", 0, 2, 1, 3), head("k", 0, 2, 3, 1), head("v", 0, 2, 1, 3)
	scores := b.Softmax(b.Div(b.Node("MatMul", []string{q, k}), b.Const(float32(2.828427))), -1)
	y := b.Reshape(b.Transpose(b.Node("MatMul", []string{scores, v}), 0, 2, 1, 3), 1, n, 16)
	b.Output(b.ReduceMean(b.Add(tokens, y), 1), onnxio.Float, 1, 1, 16)
	return b
}

// A network that is brought from one size to another is, byte for byte, the one that is built at that size.
func TestAnotherSizeIsTheNetworkBuiltAtThatSize(t *testing.T) {
	for _, c := range eachSize {
		for _, s := range [][2]inputsize.Size{{{Width: 64, Height: 64}, {Width: 96, Height: 96}}, {{Width: 128, Height: 128}, {Width: 64, Height: 64}},
			{{Width: 96, Height: 64}, {Width: 64, Height: 128}}} {
			from, to := s[0], s[1]
			if from.Width != from.Height && strings.HasPrefix(c.name, "yolov3") || from.Width != from.Height && c.name == "faster_rcnn" {
				continue // they are built square
			}
			m := c.build(int(from.Width), int(from.Height)).Model()
			got, plan, err := resized(t, m, pictureOf(m), to)
			if err != nil {
				t.Errorf("%s, %v to %v: %v", c.name, from, to, err)
				continue
			}
			if want := c.build(int(to.Width), int(to.Height)).Bytes(); !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s, %v to %v: it is not the model that is built at that size (plan %+v)", c.name, from, to, plan)
				continue
			}
			back, _, err := resized(t, got, pictureOf(m), from)
			if err != nil || !bytes.Equal(back.Bytes(), m.Bytes()) {
				t.Errorf("%s, %v to %v and back: it is not the model that it was (%v)", c.name, from, to, err)
			}
		}
	}
}

func pictureOf(m *onnxio.Model) []string { return []string{m.Graph.Inputs[0].Name} }

// trainedAt reads a file of the shared test material, which may be packed, or skips.
func trainedAt(t *testing.T, parts ...string) *onnxio.Model {
	t.Helper()
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	f, err := os.Open(filepath.Join(append([]string{dir}, parts...)...))
	if err != nil {
		t.Skipf("test material %s is not here; set ONNXPRUNE_CORPUS to its folder", filepath.Join(parts...))
	}
	defer f.Close()
	var from io.Reader = f
	if strings.HasSuffix(f.Name(), ".gz") {
		if from, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The way to another size and back gives the file's bytes.
func TestThereAndBackIsTheFileOfTheCorpus(t *testing.T) {
	for _, c := range []struct {
		file  string
		sizes []inputsize.Size
		grids int
	}{
		{"yolov8n_deq32.onnx.gz", []inputsize.Size{{Width: 576, Height: 576}, {Width: 448, Height: 320}}, 3},
		{"yolov10n_deq32.onnx.gz", []inputsize.Size{{Width: 576, Height: 576}, {Width: 448, Height: 320}}, 3},
		{"yolov8n_int8.onnx", []inputsize.Size{{Width: 480, Height: 480}, {Width: 320, Height: 256}}, 3},
		{"yolox_nano_416.onnx", []inputsize.Size{{Width: 352, Height: 352}, {Width: 320, Height: 256}}, 0},
		{"nanodet_m_320.onnx", []inputsize.Size{{Width: 256, Height: 256}, {Width: 416, Height: 320}}, 0},
		{"picodet_s_320.onnx", []inputsize.Size{{Width: 256, Height: 256}, {Width: 416, Height: 320}}, 0},
		{"fastestdet.onnx", []inputsize.Size{{Width: 256, Height: 256}, {Width: 416, Height: 320}}, 0},
		{"ultraface_rfb_320.onnx", []inputsize.Size{{Width: 256, Height: 192}, {Width: 320, Height: 320}}, 3},
		{"blazeface_front_128x128.onnx", []inputsize.Size{{Width: 256, Height: 256}, {Width: 192, Height: 128}}, 0},
		{"blazeface_e2e_nms.onnx", []inputsize.Size{{Width: 256, Height: 256}, {Width: 192, Height: 192}}, 3},
		{"yunet_n_320.onnx", []inputsize.Size{{Width: 256, Height: 256}, {Width: 480, Height: 480}}, 0},
	} {
		m := trainedAt(t, "models", "trained", c.file)
		for _, to := range c.sizes {
			other, plan, err := resized(t, m, nil, to)
			if err != nil {
				t.Errorf("%s at %v: %v", c.file, to, err)
				continue
			}
			if len(plan.Grids) != c.grids {
				t.Errorf("%s at %v: %d constants hold something for cells or the picture, want %d", c.file, to, len(plan.Grids), c.grids)
			}
			back, _, err := resized(t, other, nil, inputsize.Size{Width: plan.From.Width, Height: plan.From.Height})
			if err != nil || !bytes.Equal(back.Bytes(), m.Bytes()) {
				t.Errorf("%s at %v and back: it is not the file that it was (%v)", c.file, to, err)
			}
		}
	}
}

func TestModelsMadeForOneSizeAreRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct{ folder, file, tensor, why string }{
		{"trained", "person_reid_0248.onnx", "depthwise/ReadVariableOp", "weights cover the whole map"},
		{"trained", "light_vgg19.onnx", "fc6_w_0", "linear layer over positions"},
		{"trained", "yolov5n_fp32.onnx.gz", `input "images"`, "open already"},
		{"filled", "vit_tiny_p16.onnx", "pos_embedding", "position embeddings"},
		{"filled", "swin_t.onnx", "Reshape_2", "not known how that becomes"},
	} {
		var m *onnxio.Model
		if c.folder == "filled" {
			path := filepath.Join(os.Getenv("ONNXPRUNE_FILLED"), c.file)
			opened, err := onnxio.Open(path)
			if err != nil {
				t.Logf("%s is not here: ONNXPRUNE_FILLED names the folder of filled skeletons", c.file)
				continue
			}
			defer opened.Close()
			m = opened
		} else {
			m = trainedAt(t, "models", c.folder, c.file)
		}
		_, _, err := resized(t, m, nil, inputsize.Size{Width: 256, Height: 256})
		if err == nil || !strings.Contains(err.Error(), c.tensor) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want it to name %s and to say %q", c.file, err, c.tensor, c.why)
		}
	}
}
