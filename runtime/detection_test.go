package runtime_test

// Quantised detectors on real pictures. A step of 1/255 is decided by a last bit, and a model that quantises by the range
// of what it sees may round otherwise where sums run in another order; what it detects must stay the same. Where every
// bit before the quantisers is ONNX Runtime's, so is the whole output.

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // decodes the pictures
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/image/draw"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

// detection is a class, its score, and a box from corner to corner.
type detection struct {
	class int
	score float64
	box   [4]float64
}

// quantisedDetectors say how a model's outputs are read.
var quantisedDetectors = map[string]func(out map[string]*value.Tensor) []detection{
	"yolov8n_int8.onnx":     func(out map[string]*value.Tensor) []detection { return suppressed(centred(out["output0"])) },
	"deimv2_atto_int8.onnx": selected,
}

const (
	leastScore = 0.25
	scoreApart = 0.02
	leastIoU   = 0.9
)

func TestQuantisedDetectorsFindOnPicturesWhatONNXRuntimeFinds(t *testing.T) {
	library, pictures := oracle(t), cocoPictures(t)[:6]
	for name, detections := range quantisedDetectors {
		t.Run(name, func(t *testing.T) {
			m, ours, theirs := sessionsOf(t, library, name)
			found := 0
			for _, picture := range pictures {
				in := pictureInputs(t, m, name, picture)
				got, want := runBoth(t, ours, theirs, in)
				here, there := detections(tensorsOf(got)), detections(want)
				found += len(confident(there))
				for _, d := range lacking(there, here) {
					t.Errorf("%s: lacks %+v", filepath.Base(picture), d)
				}
				for _, d := range lacking(here, there) {
					t.Errorf("%s: ONNX Runtime lacks %+v", filepath.Base(picture), d)
				}
			}
			if found < 10 {
				t.Errorf("only %d detections on all pictures", found)
			}
		})
	}
}

// runBoth runs a model here and on ONNX Runtime.
func runBoth(t *testing.T, ours *runtime.Session, theirs *onnxruntime.Session, in values) (got values, want map[string]*value.Tensor) {
	t.Helper()
	got, err := ours.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	outs, err := theirs.Run(oracleInputs(in), nil)
	if err != nil {
		t.Fatal(err)
	}
	return got, fromOracle(t, outs)
}

func TestYOLOv8OfIntegersGivesOnPicturesONNXRuntimesOutput(t *testing.T) {
	library, pictures := oracle(t), cocoPictures(t)[6:9]
	const name = "yolov8n_int8.onnx"
	m, ours, theirs := sessionsOf(t, library, name)
	for _, picture := range pictures {
		in := pictureInputs(t, m, name, picture)
		got, want := runBoth(t, ours, theirs, in)
		if err := within(got["output0"], want["output0"], 1e-6); err != nil {
			t.Errorf("%s: %v", filepath.Base(picture), err)
		}
	}
}

func TestUnsteadyModelsEqualONNXRuntimeNodeByNodeOnPictures(t *testing.T) {
	library := oracle(t)
	for name := range quantisedDetectors {
		t.Run(name, func(t *testing.T) {
			m, err := onnxio.Open(trained(t, name))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			nodeByNode(t, library, m, pictureInputs(t, m, name, cocoPictures(t)[1]))
		})
	}
}

func trained(t *testing.T, name string) string {
	file := filepath.Join(corpusFolder(t), "models", "trained", name)
	if _, err := os.Stat(file); err != nil {
		t.Skip(err)
	}
	return file
}

func sessionsOf(t *testing.T, library *onnxruntime.Library, name string) (*onnxio.Model, *runtime.Session, *onnxruntime.Session) {
	file := trained(t, name)
	m, err := onnxio.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	ours, err := runtime.Compile(m, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	theirs, err := library.NewSession(file, onnxruntime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	return m, ours, theirs
}

func cocoPictures(t *testing.T) []string {
	if testing.Short() {
		t.Skip("whole pictures take minutes under the race detector; the run without -short compares them")
	}
	files, err := filepath.Glob(filepath.Join(corpusFolder(t), "data", "coco-val50", "images", "*.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 10 {
		t.Skip("there are no pictures")
	}
	slices.Sort(files)
	return files
}

func pictureInputs(t *testing.T, m *onnxio.Model, name, picture string) map[string]value.Value {
	t.Helper()
	side := 0
	for _, in := range m.Graph.Inputs {
		if in.Name == "images" {
			side = int(in.Type.Shape[3].Value)
		}
	}
	ins, err := feed.Make(m, feed.Options{
		Files:   map[string]string{"images": canvas(t, picture, side)},
		Picture: preprocess.Recipe{Fit: preprocess.Letterbox, Fill: 114},
	})
	if err != nil {
		t.Fatal(err)
	}
	in := feed.Values(ins)
	for k := range in {
		if g := given[name+" "+k]; g != nil {
			in[k] = g
		}
	}
	return in
}

// canvas letterboxes a picture by the means of x/image and returns the file that holds it. So the runtimes are compared on the same pixels, whatever
// package preprocess makes of a picture.
func canvas(t *testing.T, picture string, side int) string {
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
	w, h, size := side, side, img.Bounds().Size()
	if size.X > size.Y {
		h = (size.Y*side + size.X/2) / size.X
	} else {
		w = (size.X*side + size.Y/2) / size.Y
	}
	out := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(out, out.Bounds(), image.NewUniform(color.Gray{114}), image.Point{}, draw.Src)
	at := image.Pt((side-w)/2, (side-h)/2)
	draw.BiLinear.Scale(out, image.Rectangle{at, at.Add(image.Pt(w, h))}, img, img.Bounds(), draw.Over, nil)
	file := filepath.Join(t.TempDir(), "canvas.png")
	to, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(png.Encode(to, out), to.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

func tensorsOf(values map[string]value.Value) map[string]*value.Tensor {
	out := map[string]*value.Tensor{}
	for name, v := range values {
		out[name], _ = v.(*value.Tensor)
	}
	return out
}

func fromOracle(t *testing.T, outs map[string]*onnxruntime.Tensor) map[string]*value.Tensor {
	out := map[string]*value.Tensor{}
	for name, o := range outs {
		v, err := value.FromProto(onnxio.NewTensor(name, onnxio.DataType(o.Type), o.Shape, o.Data))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = v
	}
	return out
}

// centred reads rows of centre x and y, width, height and a score for each class, over all places.
func centred(t *value.Tensor) []detection {
	vs, _ := t.Floats()
	rows, places := t.Shape[1], t.Shape[2]
	at := func(row, place int) float64 { return vs[row*places+place] }
	var out []detection
	for p := range places {
		d := detection{}
		for c := range rows - 4 {
			if s := at(4+c, p); s > d.score {
				d.class, d.score = c, s
			}
		}
		x, y, w, h := at(0, p), at(1, p), at(2, p), at(3, p)
		d.box = [4]float64{x - w/2, y - h/2, x + w/2, y + h/2}
		if d.score >= leastScore-scoreApart {
			out = append(out, d)
		}
	}
	return out
}

// suppressed keeps the best of overlapping boxes of a class.
func suppressed(all []detection) (kept []detection) {
	slices.SortStableFunc(all, func(a, b detection) int { return -int(math.Copysign(1, a.score-b.score)) })
	for _, d := range all {
		if !slices.ContainsFunc(kept, func(k detection) bool { return k.class == d.class && overlap(k.box, d.box) > 0.45 }) {
			kept = append(kept, d)
		}
	}
	return kept
}

// selected reads what a model selected itself.
func selected(out map[string]*value.Tensor) (all []detection) {
	classes, _ := out["labels"].Ints()
	scores, _ := out["scores"].Floats()
	boxes, _ := out["boxes"].Floats()
	for i, s := range scores {
		if s >= leastScore-scoreApart {
			all = append(all, detection{int(classes[i]), s, [4]float64(boxes[4*i : 4*i+4])})
		}
	}
	return all
}

// overlap is intersection over union.
func overlap(a, b [4]float64) float64 {
	area := func(b [4]float64) float64 { return max(0, b[2]-b[0]) * max(0, b[3]-b[1]) }
	both := area([4]float64{max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])})
	return both / (area(a) + area(b) - both)
}

func confident(all []detection) []detection {
	return slices.DeleteFunc(slices.Clone(all), func(d detection) bool { return d.score < leastScore })
}

// lacking returns the confident detections of some that have no partner of their own among others.
func lacking(some, others []detection) (out []detection) {
	others = slices.Clone(others)
	for _, d := range confident(some) {
		i := slices.IndexFunc(others, func(o detection) bool {
			return o.class == d.class && math.Abs(o.score-d.score) <= scoreApart && overlap(o.box, d.box) >= leastIoU
		})
		if i < 0 {
			out = append(out, d)
			continue
		}
		others = slices.Delete(others, i, i+1)
	}
	return out
}

func (d detection) String() string {
	return fmt.Sprintf("class %d, score %.3f, box %.1f", d.class, d.score, d.box)
}
