package onnxprune_test

import (
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"

	"onnxprune"
)

// A model that says nothing of itself and leaves its shapes open: only a first run shows that it is RetinaFace, and how its pictures are made. What it finds
// then is what it finds where the family is named, and lies on the person of COCO's annotations.
func TestAHeadThatOnlyARunShowsSaysHowPicturesAreFed(t *testing.T) {
	model, picture := shared(t, "models", "trained", "retinaface_mbnet025.onnx"), shared(t, "data", "coco-val50", "images", "000000085329.jpg")
	detect := func(family string) (*onnxprune.PictureReport, onnxprune.DetectorReport) {
		d, err := onnxprune.NewDetector(model, onnxprune.DetectOptions{Family: family})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		r, err := d.Detect(t.Context(), picture)
		if err != nil {
			t.Fatal(err)
		}
		return r, d.Report()
	}
	want, _ := detect("retinaface")
	got, how := detect("")
	if len(want.Found) == 0 || !reflect.DeepEqual(got.Found, want.Found) {
		t.Errorf("found %v, and where the family is named %v", got.Found, want.Found)
	}
	if how.Head != "retinaface" || len(how.Notes) == 0 {
		t.Errorf("%+v", how)
	}
	face := want.Found[0]
	if person := annotated(t, "000000085329.jpg", 1); !inside(face.Box, person) {
		t.Errorf("the face %v is not on the person %v", face.Box, person)
	}

	dir := t.TempDir()
	b, err := json.Marshal(map[string]any{
		"images":      []any{map[string]any{"id": 1, "file_name": filepath.ToSlash(absolute(t, picture)), "width": want.Width, "height": want.Height}},
		"annotations": []any{map[string]any{"id": 1, "image_id": 1, "category_id": 1, "bbox": []float64{face.Box[0], face.Box[1], face.Box[2] - face.Box[0], face.Box[3] - face.Box[1]}, "area": 1000, "iscrowd": 0}},
		"categories":  []any{map[string]any{"id": 1, "name": "face"}},
	})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "faces.json"), b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := onnxprune.Evaluate(t.Context(), model, onnxprune.EvaluateOptions{Data: onnxprune.Data{Path: dir}})
	if err != nil {
		t.Fatal(err)
	}
	if r.Preprocessing.Profile != "retinaface" || math.Abs(r.Result.COCO.AP-1) > 1e-9 {
		t.Errorf("mAP %v with profile %q, want 1 with retinaface", r.Result.COCO.AP, r.Preprocessing.Profile)
	}
}

// Where shapes are declared, the head is known before the first run.
func TestAHeadOfDeclaredShapesSaysHowPicturesAreFed(t *testing.T) {
	opt := onnxprune.EvaluateOptions{Data: onnxprune.Data{Path: shared(t, "data", "coco-val50")}}
	opt.Data.Set.Limit = 1
	for name, profile := range map[string]string{"yolox_nano_416.onnx": "yolox", "nanodet_m_320.onnx": "nanodet"} {
		model := shared(t, "models", "trained", name)
		r, err := onnxprune.Evaluate(t.Context(), model, opt)
		if err != nil {
			t.Fatal(err)
		}
		if r.Preprocessing.Profile != profile {
			t.Errorf("%s is fed by profile %q, want %s", name, r.Preprocessing.Profile, profile)
		}
		d, err := onnxprune.NewDetector(model, onnxprune.DetectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Report().Preprocessing; !reflect.DeepEqual(got, r.Preprocessing.Settings) {
			t.Errorf("%s is drawn by %v, and measured by %v", name, got, r.Preprocessing.Settings)
		}
		d.Close()
	}
}

// annotated returns the largest box of a class in a picture of COCO: left, top, right, bottom.
func annotated(t *testing.T, file string, class int) (out [4]float64) {
	t.Helper()
	var coco struct {
		Images []struct {
			ID   int    `json:"id"`
			File string `json:"file_name"`
		} `json:"images"`
		Annotations []struct {
			Image    int        `json:"image_id"`
			Category int        `json:"category_id"`
			Box      [4]float64 `json:"bbox"`
		} `json:"annotations"`
	}
	readJSON(t, shared(t, "data", "coco-val50", "instances.json"), &coco)
	largest := 0.0
	for _, i := range coco.Images {
		for _, a := range coco.Annotations {
			if b := a.Box; filepath.Base(i.File) == file && a.Image == i.ID && a.Category == class && b[2]*b[3] > largest {
				largest, out = b[2]*b[3], [4]float64{b[0], b[1], b[0] + b[2], b[1] + b[3]}
			}
		}
	}
	return out
}

// inside allows a tenth of the inner box over the outer one's edge.
func inside(in, out [4]float64) bool {
	w, h := (in[2]-in[0])/10, (in[3]-in[1])/10
	return in[0] > out[0]-w && in[1] > out[1]-h && in[2] < out[2]+w && in[3] < out[3]+h
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	out, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A model whose branches meet only where height and width are even, fed a picture of odd height.
func TestAnOpenSizeThatDoesNotRunIsToBeSaid(t *testing.T) {
	dir := t.TempDir()
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, "height", "width")
	half := b.Node("MaxPool", []string{x}, testmodels.Attrs{"kernel_shape": []int64{2, 2}, "strides": []int64{2, 2}})
	scales := b.Const([]float32{1, 1, 2, 2})
	b.NodeTo("Add", []string{x, b.Node("Resize", []string{half, "", scales}, testmodels.Attrs{"mode": "nearest"})}, []string{"y"})
	b.Output("y", onnxio.Float, 1, 3, "height", "width")
	model := filepath.Join(dir, "open.onnx")
	if err := b.Save(model); err != nil {
		t.Fatal(err)
	}
	pictures := filepath.Join(dir, "pictures")
	if err := os.Mkdir(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(pictures, "odd.png"))
	if err == nil {
		err = errors.Join(png.Encode(f, image.NewRGBA(image.Rect(0, 0, 16, 13))), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	_, err = onnxprune.Evaluate(t.Context(), model, onnxprune.EvaluateOptions{Data: onnxprune.Data{Path: pictures}})
	if err == nil || onnxprune.ExitCode(err) != onnxprune.ExitUnreadable || !strings.Contains(err.Error(), "leaves the size of its pictures open") || !strings.Contains(err.Error(), "odd.png") {
		t.Errorf("%v", err)
	}
}
