package heads_test

// Heads of real, trained models on real pictures. What is right comes from outside: objects that people have labelled, ONNX Runtime's
// outputs, and models whose last steps are in the graph beside the same without them.

import (
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/heads"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
)

// fit is where a picture is put on the input.
type fit int

const (
	stretch   fit = iota // over all of it
	letterbox            // in the middle, the rest grey
	topLeft              // in the left top corner, the rest grey
)

// subject is a model with what its authors do to pictures.
type subject struct {
	file          string
	width, height int
	fit           fit
	bgr           bool
	mean, std     [3]float64 // of pixels in 0..255; std 0: 1
	channelsLast  bool
	head          string
	confident     float64 // score from which most of its detections are right; 0: .5
}

var (
	unit     = [3]float64{255, 255, 255}
	imagenet = [2][3]float64{{123.675, 116.28, 103.53}, {58.395, 57.12, 57.375}}
)

var coco = []subject{
	{file: "yolov8n_deq32.onnx.gz", width: 640, height: 640, fit: letterbox, std: unit, head: "yolov8"},
	{file: "yolov10n_deq32.onnx.gz", width: 640, height: 640, fit: letterbox, std: unit, head: "yolov10"},
	{file: "yolov5n_fp32.onnx.gz", width: 640, height: 640, fit: letterbox, std: unit, head: "yolov5"},
	{file: "yolox_nano_416.onnx", width: 416, height: 416, fit: topLeft, bgr: true, head: "yolox"},
	{file: "nanodet_m_320.onnx", width: 320, height: 320, bgr: true, mean: [3]float64{103.53, 116.28, 123.675}, std: [3]float64{57.375, 57.12, 58.395}, head: "nanodet"},
	{file: "picodet_s_320.onnx", width: 320, height: 320, mean: imagenet[0], std: imagenet[1], head: "picodet"},
	{file: "fastestdet.onnx", width: 352, height: 352, bgr: true, std: unit, head: "fastestdet"},
	{file: "deimv2_atto_int8.onnx", width: 320, height: 320, std: unit, head: "detr", confident: .6},
}

var faces = []subject{
	{file: "yunet_n_320.onnx", width: 320, height: 320, fit: topLeft, bgr: true, head: "yunet"},
	{file: "yunet_n_dynamic.onnx", width: 640, height: 480, fit: topLeft, bgr: true, head: "yunet"},
	{file: "ultraface_rfb_320.onnx", width: 320, height: 240, mean: [3]float64{127, 127, 127}, std: [3]float64{128, 128, 128}, head: "ultraface"},
	{file: "ultraface_rfb_320_nopost.onnx", width: 320, height: 240, mean: [3]float64{127, 127, 127}, std: [3]float64{128, 128, 128}, head: "ultraface"},
	{file: "ultraface_slim_320.onnx", width: 320, height: 240, mean: [3]float64{127, 127, 127}, std: [3]float64{128, 128, 128}, head: "ultraface"},
	{file: "retinaface_mbnet025.onnx", width: 600, height: 452, fit: topLeft, bgr: true, mean: [3]float64{104, 117, 123}, head: "retinaface"},
	{file: "blazeface_front_128x128.onnx", width: 128, height: 128, fit: letterbox, mean: [3]float64{127.5, 127.5, 127.5}, std: [3]float64{127.5, 127.5, 127.5}, channelsLast: true, head: "blazeface"},
	{file: "blazeface_e2e_nms.onnx", width: 128, height: 128, fit: letterbox, mean: [3]float64{127.5, 127.5, 127.5}, std: [3]float64{127.5, 127.5, 127.5}, channelsLast: true, head: "blazeface_chosen"},
}

func TestDetectorsFindWhatPeopleHaveLabelled(t *testing.T) {
	pictures := labelled(t, "coco-val50", "000000397133.jpg", "000000329323.jpg")
	for _, s := range coco {
		t.Run(s.file, func(t *testing.T) {
			m, session := s.open(t)
			found, right, large, seen := 0, 0, 0, 0
			for _, p := range pictures {
				head, outputs, at := s.run(t, m, session, p.file)
				if head.Name != s.head {
					t.Fatalf("head %s (%s), want %s", head.Name, head.Reason, s.head)
				}
				ds := detect(t, head, outputs, at)
				for _, d := range ds {
					if d.Score < cmp.Or(s.confident, .5) {
						break
					}
					found++
					if slices.ContainsFunc(p.objects, func(o detection.Object) bool { return o.Class == d.Class && o.Box.IoU(d.Box) > .5 }) {
						right++
					}
				}
				for _, o := range p.objects {
					if o.Crowd || o.Area < 96*96 { // COCO's large
						continue
					}
					large++
					if slices.ContainsFunc(ds, func(d detection.Detection) bool { return d.Score > .1 && d.Class == o.Class && o.Box.IoU(d.Box) > .5 }) {
						seen++
					}
				}
			}
			t.Logf("%d of %d detections are labelled, %d of %d large objects are found", right, found, seen, large)
			if found == 0 || right*5 < found*3 || seen*2 < large {
				t.Errorf("%d of %d detections are labelled, %d of %d large objects are found", right, found, seen, large)
			}
		})
	}
}

// Eight exports of five families, trained by different people: what they agree on is there.
func TestFaceDetectorsAgree(t *testing.T) {
	picture := filepath.Join(corpus(t), "data", "coco-val50", "images", "000000085329.jpg") // one large face
	var all []detection.Box
	for _, s := range faces {
		m, session := s.open(t)
		head, outputs, at := s.run(t, m, session, picture)
		if head.Name != s.head {
			t.Fatalf("%s: head %s (%s), want %s", s.file, head.Name, head.Reason, s.head)
		}
		ds := detect(t, head, outputs, at)
		if len(ds) == 0 || ds[0].Score < .8 || ds[0].Class != 0 {
			t.Fatalf("%s finds %v", s.file, ds)
		}
		if len(ds) > 1 && ds[1].Score > .5 {
			t.Errorf("%s finds a second face: %v", s.file, ds[1])
		}
		all = append(all, ds[0].Box)
	}
	for i, b := range all {
		if iou := b.IoU(all[0]); iou < .7 {
			t.Errorf("%s finds the face at %v, %s at %v: IoU %.2f", faces[i].file, b, faces[0].file, all[0], iou)
		}
	}
}

// Some files exist twice: with the last steps in the graph and without.
func TestHeadsEqualWhatTheGraphDoes(t *testing.T) {
	face := filepath.Join(corpus(t), "data", "coco-val50", "images", "000000329323.jpg")
	for _, c := range []struct {
		with, without subject
		pictures      []string
		least         float64 // score
	}{
		{faces[2], faces[3], []string{face}, .02},
		{faces[7], faces[6], []string{filepath.Join(filepath.Dir(face), "000000085329.jpg")}, .5},
		{fashion("yolov3_mobilenet_v1_w4_fashion.onnx", "paddle"), fashion("yolov3_mobilenet_v1_w4_fashion_fused_prenms.onnx", "paddle_boxes"), scenes(t)[:6], .01},
	} {
		mw, with := c.with.open(t)
		mo, without := c.without.open(t)
		for _, p := range c.pictures {
			hw, want, at := c.with.run(t, mw, with, p)
			ho, got, _ := c.without.run(t, mo, without, p)
			if hw.Name != c.with.head || ho.Name != c.without.head {
				t.Fatalf("heads %s and %s", hw.Name, ho.Name)
			}
			a, b := detect(t, hw, want, at), detect(t, ho, got, at)
			if len(b) == 0 || len(a) != len(b) {
				t.Fatalf("%s on %s: %d detections, with the graph's last steps %d", c.without.file, filepath.Base(p), len(b), len(a))
			}
			same(t, c.without.file+" on "+filepath.Base(p), b, a, 1e-3, c.with.head == "blazeface_chosen")
		}
	}
}

func TestONNXRuntimesOutputsGiveTheSameDetections(t *testing.T) {
	path, err := onnxruntime.Find()
	if errors.Is(err, onnxruntime.ErrNotFound) {
		t.Skip(err)
	}
	library, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(corpus(t), "data", "coco-val50", "images", "000000329323.jpg")
	seen := map[string]bool{"detr": true, "yolov5": true, "yolov8": true, "yolov10": true} // too slow for a second engine, or compared in runtime
	for _, s := range slices.Concat(coco, faces) {
		if seen[s.head] {
			continue
		}
		seen[s.head] = true
		m, session := s.open(t)
		theirs, err := library.NewSession(m.Path, onnxruntime.Options{})
		if err != nil {
			t.Fatal(err)
		}
		head, outputs, at := s.run(t, m, session, picture)
		tensors := map[string]*onnxruntime.Tensor{}
		in, _ := s.inputs(t, session, picture)
		for name, v := range in {
			x := v.(*value.Tensor)
			shape := make([]int64, len(x.Shape))
			for i, d := range x.Shape {
				shape[i] = int64(d)
			}
			tensors[name] = &onnxruntime.Tensor{Type: int32(x.Type), Shape: shape, Data: x.Raw()}
		}
		outs, err := theirs.Run(tensors, nil)
		theirs.Close()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]value.Value{}
		for name, o := range outs {
			v, err := value.FromProto(onnxio.NewTensor(name, onnxio.DataType(o.Type), o.Shape, o.Data))
			if err != nil {
				t.Fatal(err)
			}
			want[name] = v
		}
		confident := func(ds []detection.Detection) []detection.Detection {
			return slices.DeleteFunc(ds, func(d detection.Detection) bool { return d.Score < .3 })
		}
		same(t, s.file, confident(detect(t, head, outputs, at)), confident(detect(t, head, want, at)), 1e-3, false)
	}
}

// same compares detections, scores by a tolerance and boxes by a hundred times as many pixels.
func same(t *testing.T, what string, got, want []detection.Detection, tolerance float64, boxesOnly bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d detections, want %d", what, len(got), len(want))
		return
	}
	near := func(a, b, d float64) bool { return a-b <= d && b-a <= d }
	for i, g := range got {
		w := want[i]
		pixels := 100 * tolerance
		if g.Class != w.Class || !boxesOnly && !near(g.Score, w.Score, tolerance) || !near(g.Box.X0, w.Box.X0, pixels) || !near(g.Box.Y0, w.Box.Y0, pixels) ||
			!near(g.Box.X1, w.Box.X1, pixels) || !near(g.Box.Y1, w.Box.Y1, pixels) {
			t.Errorf("%s: detection %d is %+v, want %+v", what, i, g, w)
			return
		}
	}
}

func detect(t *testing.T, h *heads.Head, outputs map[string]value.Value, at detection.Placement) []detection.Detection {
	t.Helper()
	ds, err := h.Detect(outputs, at)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

func fashion(file, head string) subject {
	mid := [3]float64{127.5, 127.5, 127.5}
	return subject{file: "../fashion/" + file, width: 128, height: 128, mean: mid, std: [3]float64{63.75, 63.75, 63.75}, head: head}
}

// open opens and compiles the model. What is packed is unpacked.
func (s subject) open(t *testing.T) (*onnxio.Model, *runtime.Session) {
	t.Helper()
	path := filepath.Join(corpus(t), "models", "trained", s.file)
	if strings.HasSuffix(path, ".gz") {
		path = unpacked(t, path)
	}
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	session, err := runtime.Compile(m, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return m, session
}

func unpacked(t *testing.T, path string) string {
	t.Helper()
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
	if err := os.WriteFile(out, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return out
}

// run runs the model on a picture and finds its head.
func (s subject) run(t *testing.T, m *onnxio.Model, session *runtime.Session, picture string) (*heads.Head, map[string]value.Value, detection.Placement) {
	t.Helper()
	in, at := s.inputs(t, session, picture)
	outputs, err := session.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	head, err := heads.Find(m, outputs, heads.Options{Width: s.width, Height: s.height, PictureSizes: true})
	if err != nil {
		t.Fatal(err)
	}
	return head, outputs, at
}

// inputs are a picture, and what tells the model its size.
func (s subject) inputs(t *testing.T, session *runtime.Session, picture string) (map[string]value.Value, detection.Placement) {
	t.Helper()
	x, at := s.feed(t, picture)
	in := map[string]value.Value{}
	for _, i := range session.Inputs() {
		switch {
		case len(i.Type.Shape) == 4:
			in[i.Name] = x
		case i.Name == "im_size":
			in[i.Name] = value.From([]int32{int32(at.Height), int32(at.Width)}, 1, 2)
		case i.Name == "orig_target_sizes":
			in[i.Name] = value.From([]int64{int64(at.Width), int64(at.Height)}, 1, 2)
		case i.Name == "conf_threshold":
			in[i.Name] = value.From([]float32{.5}, 1)
		case i.Name == "iou_threshold":
			in[i.Name] = value.From([]float32{.3}, 1)
		case i.Name == "max_detections":
			in[i.Name] = value.From([]int64{100}, 1)
		}
	}
	return in, at
}

func (s subject) feed(t *testing.T, picture string) (*value.Tensor, detection.Placement) {
	t.Helper()
	f, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	size := img.Bounds().Size()
	at := detection.Placement{Width: size.X, Height: size.Y, CanvasWidth: s.width, CanvasHeight: s.height,
		ScaleX: float64(s.width) / float64(size.X), ScaleY: float64(s.height) / float64(size.Y)}
	to := image.Rect(0, 0, s.width, s.height)
	if s.fit != stretch {
		scale := min(at.ScaleX, at.ScaleY)
		at.ScaleX, at.ScaleY = scale, scale
		to = image.Rect(0, 0, int(float64(size.X)*scale+.5), int(float64(size.Y)*scale+.5))
		if s.fit == letterbox {
			to = to.Add(image.Pt((s.width-to.Dx())/2, (s.height-to.Dy())/2))
		}
		at.OffsetX, at.OffsetY = float64(to.Min.X), float64(to.Min.Y)
	}
	canvas := image.NewRGBA(image.Rect(0, 0, s.width, s.height))
	draw.Draw(canvas, canvas.Bounds(), image.NewUniform(color.Gray{114}), image.Point{}, draw.Src)
	xdraw.BiLinear.Scale(canvas, to, img, img.Bounds(), draw.Src, nil)
	n := s.width * s.height
	data := make([]float32, 3*n)
	for i := range n {
		for c := range 3 {
			from := c
			if s.bgr {
				from = 2 - c
			}
			v := float64(canvas.Pix[4*i+from]) - s.mean[c]
			if s.std[c] != 0 {
				v /= s.std[c]
			}
			if s.channelsLast {
				data[3*i+c] = float32(v)
			} else {
				data[c*n+i] = float32(v)
			}
		}
	}
	if s.channelsLast {
		return value.From(data, 1, s.height, s.width, 3), at
	}
	return value.From(data, 1, 3, s.height, s.width), at
}

func corpus(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("whole pictures take minutes under the race detector; the run without -short reads them")
	}
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("the test material is not here; set ONNXPRUNE_CORPUS to its folder: %v", err)
	}
	return root
}

func scenes(t *testing.T) []string {
	files, err := filepath.Glob(filepath.Join(corpus(t), "data", "fashion-val300", "images", "*.png"))
	if err != nil || len(files) < 10 {
		t.Skipf("there are no scenes: %v", err)
	}
	slices.Sort(files)
	return files
}

// example is a picture with what people have labelled, classes counted in the order of the categories.
type example struct {
	file    string
	objects []detection.Object
}

func labelled(t *testing.T, set string, files ...string) []example {
	t.Helper()
	folder := filepath.Join(corpus(t), "data", set)
	var all struct {
		Images []struct {
			ID       int
			FileName string `json:"file_name"`
		}
		Annotations []struct {
			ImageID    int `json:"image_id"`
			CategoryID int `json:"category_id"`
			BBox       [4]float64
			Area       float64
			IsCrowd    int
		}
		Categories []struct{ ID int }
	}
	b, err := os.ReadFile(filepath.Join(folder, "instances.json"))
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	class := map[int]int{}
	for i, c := range all.Categories {
		class[c.ID] = i
	}
	var out []example
	for _, im := range all.Images {
		if !slices.Contains(files, im.FileName) {
			continue
		}
		e := example{file: filepath.Join(folder, "images", im.FileName)}
		for _, a := range all.Annotations {
			if a.ImageID == im.ID {
				x, y := a.BBox[0], a.BBox[1]
				e.objects = append(e.objects, detection.Object{Class: class[a.CategoryID], Area: a.Area, Crowd: a.IsCrowd == 1,
					Box: detection.Box{X0: x, Y0: y, X1: x + a.BBox[2], Y1: y + a.BBox[3]}})
			}
		}
		out = append(out, e)
	}
	if len(out) != len(files) {
		t.Fatalf("%d of the pictures %v are in %s", len(out), files, folder)
	}
	return out
}
