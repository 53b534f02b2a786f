package testmodels_test

import (
	"bytes"
	"encoding/json"
	"image"
	_ "image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/onnxruntime"
	. "onnxprune/testmodels"
)

// annotations is what the tests read of COCO's format.
type annotations struct {
	Images []struct {
		ID       int
		FileName string `json:"file_name"`
	}
	Annotations []struct {
		ImageID    int `json:"image_id"`
		CategoryID int `json:"category_id"`
		BBox       [4]float64
	}
	Categories []struct{ Name string }
}

func demoAnnotations(t *testing.T) annotations {
	var a annotations
	if err := json.Unmarshal(DemoAnnotations(), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDemoIsPartOfTheSharedMaterial(t *testing.T) {
	want, err := os.ReadFile(corpus(t, "models", "fashion", "yolov3_mobilenet_v1_w4_fashion.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(DemoModel(), want) {
		t.Error("the model differs")
	}
	for _, im := range demoAnnotations(t).Images {
		got, err := fs.ReadFile(DemoImages(), im.FileName)
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(corpus(t, "data", "fashion-val300", im.FileName))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs: %v", im.FileName, err)
		}
	}
}

func TestDemoIsComplete(t *testing.T) {
	m, err := onnxio.Parse(DemoModel())
	if err != nil {
		t.Fatal(err)
	}
	dims, _ := parameters(m)
	if dims["yolo_block.0.0.0.conv.weights"] == nil || m.Graph.Outputs[0].Name != "bbox" {
		t.Error("the model does not have Paddle's names")
	}
	a := demoAnnotations(t)
	classes := map[int]bool{}
	for _, b := range a.Annotations {
		classes[b.CategoryID] = true
	}
	if len(a.Images) != 48 || len(a.Categories) != 10 || len(classes) != 10 {
		t.Errorf("%d pictures with %d of %d classes, want 48 and 10 of 10", len(a.Images), len(classes), len(a.Categories))
	}
	for _, im := range a.Images {
		if s := demoPicture(t, im.FileName).Bounds().Size(); s.X != 128 || s.Y != 128 {
			t.Errorf("%s is %v", im.FileName, s)
		}
	}
	licence, err := fs.ReadFile(DemoImages(), "LICENSE.fashion-mnist")
	if err != nil || !strings.Contains(string(licence), "Zalando SE") {
		t.Errorf("the pictures' licence: %v", err)
	}
	if !json.Valid(DemoMeta()) {
		t.Error("meta.json is not JSON")
	}
}

func demoPicture(t *testing.T, name string) image.Image {
	f, err := DemoImages().Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestDemoFindsMostObjectsInONNXRuntime(t *testing.T) {
	path, err := onnxruntime.Find()
	if err != nil {
		t.Skip(err)
	}
	lib, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s, err := lib.NewSessionFromBytes(DemoModel(), onnxruntime.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a := demoAnnotations(t)
	found := 0
	for _, im := range a.Images {
		p := demoPicture(t, im.FileName)
		v := make([]float32, 3*128*128)
		for y := range 128 {
			for x := range 128 {
				r, g, b, _ := p.At(x, y).RGBA()
				for c, u := range [3]uint32{r, g, b} {
					v[(c*128+y)*128+x] = (float32(u>>8)/255 - 0.5) / 0.25
				}
			}
		}
		out, err := s.Run(map[string]*onnxruntime.Tensor{"image": onnxruntime.FromFloat32([]int64{1, 3, 128, 128}, v),
			"im_size": onnxruntime.FromInt32([]int64{1, 2}, []int32{128, 128})}, nil)
		if err != nil {
			t.Fatal(err)
		}
		rows, err := out["bbox"].Numbers()
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range a.Annotations {
			if want.ImageID == im.ID && detected(rows, want.CategoryID, want.BBox) {
				found++
			}
		}
	}
	if share := float64(found) / float64(len(a.Annotations)); share < 0.6 {
		t.Errorf("%.0f %% of the objects are found, want at least 60", 100*share)
	}
}

// detected reports whether a detection of the class, with a score above 0.3, overlaps the box x, y, w, h by half.
func detected(rows []float64, class int, box [4]float64) bool {
	for ; len(rows) > 0; rows = rows[6:] {
		w := min(rows[4], box[0]+box[2]) - max(rows[2], box[0])
		h := min(rows[5], box[1]+box[3]) - max(rows[3], box[1])
		union := (rows[4]-rows[2])*(rows[5]-rows[3]) + box[2]*box[3] - w*h
		if int(rows[0]) == class && rows[1] > 0.3 && w > 0 && h > 0 && w*h > union/2 {
			return true
		}
	}
	return false
}

func TestCalibrationPicturesAreNoValidationPictures(t *testing.T) {
	names, err := fs.Glob(CalibrationImages(), "*.png")
	if err != nil || len(names) != 48 {
		t.Fatalf("%d pictures, want 48: %v", len(names), err)
	}
	measured := map[string]bool{}
	for _, im := range demoAnnotations(t).Images {
		b, err := fs.ReadFile(DemoImages(), im.FileName)
		if err != nil {
			t.Fatal(err)
		}
		measured[string(b)] = true
	}
	shared := ""
	for _, name := range names {
		got, err := fs.ReadFile(CalibrationImages(), name)
		if err != nil {
			t.Fatal(err)
		}
		if measured[string(got)] {
			t.Errorf("%s is a validation picture", name)
		}
		if shared == "" {
			shared = corpus(t, "data", "fashion-calib128", "images")
		}
		want, err := os.ReadFile(filepath.Join(shared, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s differs from the shared one: %v", name, err)
		}
	}
}
