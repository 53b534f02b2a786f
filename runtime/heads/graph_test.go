package heads

// Heads whose raw outputs are in the middle of a graph that goes on to the boxes: what is read from the middle equals the end.

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/value"
)

func filled(t *testing.T, name string) *onnxio.Model {
	t.Helper()
	folder := os.Getenv("ONNXPRUNE_FILLED")
	if folder == "" {
		t.Skip("set ONNXPRUNE_FILLED to the folder of filled skeletons (tools/skeleton of the test material)")
	}
	if testing.Short() {
		t.Skip("whole networks take long under the race detector")
	}
	m, err := onnxio.Open(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// runKeeping runs a network on noise and returns its outputs and some values of its middle.
func runKeeping(t *testing.T, m *onnxio.Model, size int, keep ...string) map[string]value.Value {
	t.Helper()
	s, err := runtime.Compile(m, runtime.Options{Keep: keep})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	in := map[string]value.Value{}
	for _, i := range s.Inputs() {
		if i.Name == "im_size" {
			in[i.Name] = value.From([]int32{int32(size), int32(size)}, 1, 2)
			continue
		}
		x := value.New(onnxio.Float, append([]int{1, 3, size, size}[4-len(i.Type.Shape):], []int{}...)...)
		for k := range value.Of[float32](x) {
			value.Of[float32](x)[k] = r.Float32()
		}
		in[i.Name] = x
	}
	out, err := s.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// middle is the signature of a model that ends at values of its middle.
func middle(m *onnxio.Model, values map[string]value.Value, size int, names ...string) *signature {
	s := &signature{model: m, width: size, height: size, ran: true}
	for _, n := range names {
		s.outputs = append(s.outputs, outputOf(&onnxio.ValueInfo{Name: n}, values[n]))
	}
	return s
}

func square(size int) detection.Placement {
	return detection.Placement{Width: size, Height: size, CanvasWidth: size, CanvasHeight: size, ScaleX: 1, ScaleY: 1}
}

func headOf(t *testing.T, s *signature, o Options) *Head {
	t.Helper()
	h, err := s.head(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestSSDReadFromItsHeadEqualsTorchvisionsGraph(t *testing.T) {
	m := filled(t, "ssd300_vgg16.onnx")
	var logits, corrections string // the last of what the levels give
	for _, n := range m.Graph.Nodes {
		switch {
		case n.OpType == "Concat" && strings.HasPrefix(n.Outputs[0], "/head/classification_head/"):
			logits = n.Outputs[0]
		case n.OpType == "Concat" && strings.HasPrefix(n.Outputs[0], "/head/regression_head/"):
			corrections = n.Outputs[0]
		}
	}
	values := runKeeping(t, m, 300, logits, corrections)
	raw := headOf(t, middle(m, values, 300, corrections, logits), Options{})
	end, err := Find(m, values, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if raw.Name != "ssd" || end.Name != "torchvision" {
		t.Fatalf("heads %s and %s", raw.Name, end.Name)
	}
	got, err := raw.Detect(values, square(300))
	if err != nil {
		t.Fatal(err)
	}
	want, err := end.Detect(values, square(300))
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 20 || len(got) < len(want) { // the file was exported to give fewer than torchvision's 200
		t.Fatalf("%d detections, the graph has %d", len(got), len(want))
	}
	got = got[:len(want)]
	for i, w := range want {
		if !slices.ContainsFunc(got, func(g detection.Detection) bool {
			return g.Class == w.Class && math.Abs(g.Score-w.Score) < 1e-5 && g.Box.IoU(w.Box) > .999
		}) {
			t.Fatalf("detection %d of the graph, %+v, is lacking", i, w)
		}
	}
}

func TestYOLOv3ReadFromItsMapsEqualsPaddlesBoxes(t *testing.T) {
	m := filled(t, "yolov3_mobilenet_v1_prenms.onnx")
	var maps []string
	for _, n := range m.Graph.Nodes {
		if w := n.Inputs; n.OpType == "Conv" && len(w) > 1 && slices.ContainsFunc(m.Graph.Initializers, func(i *onnxio.Tensor) bool { return i.Name == w[1] && i.Dims[0] == 75 }) {
			maps = append(maps, n.Outputs[0])
		}
	}
	if len(maps) != 3 {
		t.Fatalf("%d maps", len(maps))
	}
	values := runKeeping(t, m, 320, maps...)
	raw := headOf(t, middle(m, values, 320, maps...), Options{})
	end, err := Find(m, values, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if raw.Name != "yolov3" || end.Name != "paddle_boxes" {
		t.Fatalf("heads %s and %s", raw.Name, end.Name)
	}
	read := func(h *Head) []candidate {
		r := &reading{head: h, outputs: values, at: square(320)}
		if err := h.read(r); err != nil {
			t.Fatal(err)
		}
		return r.found
	}
	got, want := map[[2]int]candidate{}, read(end)
	for _, c := range read(raw) {
		got[[2]int{c.row, c.Class}] = c
	}
	if len(want) < 100 {
		t.Fatalf("%d candidates", len(want))
	}
	for _, w := range want {
		g := got[[2]int{w.row, w.Class}]
		// Paddle clips to the picture, to the last pixel's centre.
		g.Box = detection.Box{X0: max(g.Box.X0, 0), Y0: max(g.Box.Y0, 0), X1: min(g.Box.X1, 319), Y1: min(g.Box.Y1, 319)}
		if math.Abs(g.Score-w.Score) > 1e-4 || math.Abs(g.Box.X0-w.Box.X0)+math.Abs(g.Box.Y0-w.Box.Y0)+math.Abs(g.Box.X1-w.Box.X1)+math.Abs(g.Box.Y1-w.Box.Y1) > .05 {
			t.Fatalf("row %d, class %d: %+v, the graph has %+v", w.row, w.Class, g, w)
		}
	}
}
