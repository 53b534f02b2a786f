package dataset_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// files writes a folder of texts and pictures: "a.png" with the text "100x80" is a picture of that size.
func files(t *testing.T, all map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range all {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		var w, h int
		if _, err := fmt.Sscanf(text, "%dx%d", &w, &h); err == nil && len(text) < 8 {
			img := image.NewRGBA(image.Rect(0, 0, w, h))
			for k := range w * h {
				img.Set(k%w, k/w, color.RGBA{uint8(k), uint8(k / 7), uint8(len(name)), 255})
			}
			var b bytes.Buffer
			if filepath.Ext(name) == ".jpg" {
				err = jpeg.Encode(&b, img, nil)
			} else {
				err = png.Encode(&b, img)
			}
			if err != nil {
				t.Fatal(err)
			}
			text = b.String()
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// The same two pictures with the same boxes, as each format writes them: a cat at 10..40 x 20..60, a dog at 0..100 x 0..80 of a picture of 100x80.
var same = map[dataset.Format]map[string]string{
	dataset.COCO: {
		"images/a.png": "100x80", "images/b.png": "50x50",
		"annotations/instances_val.json": `{"images": [{"id": 7, "file_name": "a.png", "width": 100, "height": 80}, {"id": 9, "file_name": "b.png", "width": 50, "height": 50}],
			"categories": [{"id": 30, "name": "dog"}, {"id": 4, "name": "cat"}],
			"annotations": [{"id": 1, "image_id": 7, "category_id": 4, "bbox": [10, 20, 30, 40], "area": 1200, "iscrowd": 0},
				{"id": 2, "image_id": 7, "category_id": 30, "bbox": [0, 0, 100, 80], "area": 8000, "iscrowd": 0}]}`,
	},
	dataset.VOC: {
		"JPEGImages/a.png": "100x80", "JPEGImages/b.png": "50x50", "label_list.txt": "cat\ndog\n", "ImageSets/Main/val.txt": "a\nb\n",
		"Annotations/a.xml": `<annotation><filename>a.png</filename><size><width>100</width><height>80</height></size>
			<object><name>cat</name><bndbox><xmin>11</xmin><ymin>21</ymin><xmax>40</xmax><ymax>60</ymax></bndbox></object>
			<object><name>dog</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>100</xmax><ymax>80</ymax></bndbox></object></annotation>`,
		"Annotations/b.xml": `<annotation><filename>b.png</filename><size><width>50</width><height>50</height></size></annotation>`,
	},
	dataset.YOLO: {
		"data.yaml": "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\nnc: 2\n", "images/val/a.png": "100x80", "images/val/b.png": "50x50",
		"labels/val/a.txt": "0 0.25 0.5 0.3 0.5\n1 0.5 0.5 1 1\n",
	},
}

func TestAllFormatsReadTheSame(t *testing.T) {
	for format, all := range same {
		s, err := dataset.Open(files(t, all), dataset.Options{})
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if boxes, _ := s.Labelled(); s.Format != format || !boxes || len(s.Samples) != 2 || len(s.Classes) != 2 || s.Classes[0].Name != "cat" || s.Classes[1].Name != "dog" {
			t.Errorf("%s: read as %s, %d samples, classes %v", format, s.Format, len(s.Samples), s.Classes)
			continue
		}
		var got []string
		for _, o := range s.Samples[0].Objects {
			got = append(got, fmt.Sprintf("%d %.6g %.6g %.6g %.6g area %.6g", o.Class, o.Box.X0, o.Box.Y0, o.Box.X1, o.Box.Y1, o.Area))
		}
		if want := "[0 10 20 40 60 area 1200 1 0 0 100 80 area 8000]"; fmt.Sprint(got) != want || len(s.Samples[1].Objects) != 0 {
			t.Errorf("%s: %v, want %s; and %v", format, got, want, s.Samples[1].Objects)
		}
		for i := range s.Samples {
			if p, err := s.Samples[i].Read(); err != nil || p.Width != []int{100, 50}[i] {
				t.Errorf("%s: %v", format, err)
			}
		}
		if format == dataset.COCO && (s.Samples[0].ID != 7 || s.Samples[1].ID != 9 || s.Classes[1].ID != 30) {
			t.Errorf("ids: %+v", s)
		}
	}
}

func TestWhatFormatsHaveOfTheirOwn(t *testing.T) {
	coco, err := dataset.Open(files(t, map[string]string{"a.png": "10x10", "_annotations.coco.json": `{"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 0, "name": "x"}],
		"annotations": [{"image_id": 1, "category_id": 0, "bbox": [0.5, 1, 2, 3], "iscrowd": 1, "area": 2.5}]}`}), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o := coco.Samples[0].Objects[0]; !o.Crowd || o.Area != 2.5 || o.Box.X1 != 2.5 || o.Box.Y1 != 4 {
		t.Errorf("COCO: %+v", o)
	}
	voc, err := dataset.Open(files(t, map[string]string{"a.jpg": "10x10", "a.xml": `<annotation><object><name>person</name><difficult>1</difficult><bndbox><xmin>0</xmin><ymin>1</ymin><xmax>5.5</xmax><ymax>6</ymax></bndbox></object></annotation>`}), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if o := voc.Samples[0].Objects[0]; !o.Difficult || o.Class != 14 || len(voc.Classes) != 20 || o.Box.X0 != 0 || o.Box.X1 != 5.5 {
		t.Errorf("VOC: %+v of %d classes", o, len(voc.Classes))
	}
	yolo, err := dataset.Open(files(t, map[string]string{"data.yaml": "val: ../valid/images\nnames: {0: a, 1: b}", "valid/images/p.jpg": "20x10", "valid/images/q.jpg": "20x10",
		"valid/labels/p.txt": "1 0.1 0.2 0.5 0.2 0.5 0.8 0.3 0.9\n"}), dataset.Options{}) // as Roboflow writes it; an outline
	if err != nil {
		t.Fatal(err)
	}
	if o := yolo.Samples[0].Objects[0]; o.Class != 1 || math.Abs(o.Box.X1-10) > 1e-9 || math.Abs(o.Box.Y1-9) > 1e-9 || len(yolo.Notes) != 1 {
		t.Errorf("YOLO: %+v, %q", o, yolo.Notes)
	}
	classes, err := dataset.Open(files(t, map[string]string{"val/b/1.png": "4x4", "val/a/2.png": "4x4", "val/a/sub/0.png": "4x4", "train/a/9.png": "4x4"}), dataset.Options{Format: dataset.Classes})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range classes.Samples {
		got = append(got, fmt.Sprintf("%s=%d", s.Name, s.Label))
	}
	if fmt.Sprint(got) != "[a/2.png=0 a/sub/0.png=0 b/1.png=1]" || len(classes.Classes) != 2 {
		t.Errorf("class folders: %v", got)
	}
	plain, err := dataset.Open(files(t, map[string]string{"b.png": "4x4", "a.png": "4x4", "notes.txt": "x", ".hidden.png": "4x4"}), dataset.Options{Limit: 1})
	if err != nil || plain.Format != dataset.Pictures || len(plain.Samples) != 1 || plain.Samples[0].Name != "a.png" {
		t.Errorf("pictures: %+v, %v", plain, err)
	}
}

// edit copies a data set with one of its texts changed.
func edit(format dataset.Format, file, old, now string) map[string]string {
	out := map[string]string{}
	for name, text := range same[format] {
		out[name] = text
		if name == file {
			if !strings.Contains(text, old) {
				panic(old)
			}
			out[name] = strings.Replace(text, old, now, 1)
		}
	}
	return out
}

func TestWrongDataSetsAreNamed(t *testing.T) {
	const annotations, a, labels, yaml = "annotations/instances_val.json", "Annotations/a.xml", "labels/val/a.txt", "data.yaml"
	for _, c := range []struct {
		title string
		all   map[string]string
		opt   dataset.Options
		want  string
	}{
		{"nothing", map[string]string{"x.txt": "x"}, dataset.Options{}, "the data set is empty"},
		{"no JSON", edit(dataset.COCO, annotations, "{", "["), dataset.Options{}, "no JSON in COCO's format"},
		{"half a JSON", map[string]string{"a.png": "1x1", "x.json": `{"images": [`}, dataset.Options{}, "it ends too early"},
		{"another JSON", map[string]string{"a.png": "1x1", "x.json": `{"port": 1}`}, dataset.Options{}, "images or categories are missing"},
		{"a text for an id", edit(dataset.COCO, annotations, `"image_id": 7`, `"image_id": "a"`), dataset.Options{}, "annotations.image_id is a string"},
		{"an image that is not listed", edit(dataset.COCO, annotations, `"image_id": 7`, `"image_id": 8`), dataset.Options{}, "annotations[0] (id 1) belongs to image 8"},
		{"a category that is not listed", edit(dataset.COCO, annotations, `"category_id": 4`, `"category_id": 5`), dataset.Options{}, "annotations[0] (id 1) has the category 5"},
		{"a box of three", edit(dataset.COCO, annotations, `[10, 20, 30, 40]`, `[10, 20, 30]`), dataset.Options{}, "bbox [10 20 30]"},
		{"a box of negative width", edit(dataset.COCO, annotations, `[10, 20, 30, 40]`, `[10, 20, -30, 40]`), dataset.Options{}, "bbox [10 20 -30 40]"},
		{"an id twice", edit(dataset.COCO, annotations, `"id": 9`, `"id": 7`), dataset.Options{}, "image 7 is listed twice"},
		{"no picture at all", map[string]string{annotations: same[dataset.COCO][annotations]}, dataset.Options{}, "none of its 2 pictures is there: a.png was looked for"},
		{"two JSON", map[string]string{"annotations/a.json": "{}", "annotations/b.json": "{}"}, dataset.Options{}, "say which with --annotations"},
		{"half an XML", edit(dataset.VOC, a, "</annotation>", ""), dataset.Options{}, "it is no XML: line"},
		{"another XML", edit(dataset.VOC, "Annotations/b.xml", "<annotation>", "<html><annotation>"), dataset.Options{}, "no XML"},
		{"an edge of letters", edit(dataset.VOC, a, "<xmin>11<", "<xmin>left<"), dataset.Options{}, `xmin is "left"`},
		{"a box that ends before it begins", edit(dataset.VOC, a, "<xmin>11<", "<xmin>60<"), dataset.Options{}, "ends before it begins"},
		{"a class that the list lacks", edit(dataset.VOC, a, "cat", "cow"), dataset.Options{}, `the class "cow"`},
		{"a split that is not there", same[dataset.VOC], dataset.Options{Split: "test"}, "no list ImageSets/Main/test.txt"},
		{"a class too many", edit(dataset.YOLO, labels, "1 0.5", "2 0.5"), dataset.Options{}, `line 2: the class is "2"; there are 2 classes`},
		{"pixels instead of parts", edit(dataset.YOLO, labels, "0.25", "25"), dataset.Options{}, `line 1: "25" is no part`},
		{"four numbers", edit(dataset.YOLO, labels, " 0.5\n", "\n"), dataset.Options{}, "line 1: it has 4 numbers"},
		{"counts that differ", edit(dataset.YOLO, yaml, "nc: 2", "nc: 3"), dataset.Options{}, "nc says 3 classes, names has 2"},
		{"no names", edit(dataset.YOLO, yaml, "names", "nomes"), dataset.Options{}, "no names of classes"},
		{"no folder", edit(dataset.YOLO, yaml, "images/val", "images/vol"), dataset.Options{}, "it names images/vol"},
		{"no val", edit(dataset.YOLO, yaml, "val:", "vol:"), dataset.Options{Split: "val"}, "no entry val"},
		{"labels without data.yaml", map[string]string{"images/a.png": "1x1", "labels/a.txt": ""}, dataset.Options{}, "no data.yaml"},
		{"an unknown format", map[string]string{"a.png": "1x1"}, dataset.Options{Format: "kitti"}, `"kitti" are not known; there are coco, voc`},
	} {
		_, err := dataset.Open(files(t, c.all), c.opt)
		if _, ok := err.(*dataset.Error); !ok || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", c.title, err, c.want)
		}
	}
	if _, err := dataset.Open(filepath.Join(t.TempDir(), "none"), dataset.Options{}); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// tensors is a model of two inputs.
func tensors() *onnxio.Model {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N", 2)
	b.Input("size", onnxio.Int64, 1, 2)
	b.Output(b.Relu(x), onnxio.Float, "N", 2)
	return b.Model()
}

func npy[T value.Elem](t *testing.T, data []T, shape ...int) string {
	t.Helper()
	b, err := feed.NPY(value.From(data, shape...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func npz(t *testing.T, method uint16, arrays map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range arrays {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name + ".npy", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(text))
	}
	z.Close()
	return b.String()
}

func TestTensorsAreDataSets(t *testing.T) {
	three, sizes := npy(t, []float32{1, 2, 3, 4, 5, 6}, 3, 2), npy(t, []int64{8, 9}, 1, 2)
	labels := npy(t, []int64{2, 0, 1}, 3)
	pb := func(t *testing.T, x *value.Tensor) string {
		b, err := feed.PB("any", x)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	rows := "map[size:[8 9] x:[1 2]] map[size:[8 9] x:[3 4]] map[size:[8 9] x:[5 6]]"
	for _, c := range []struct {
		title string
		all   map[string]string
		want  string
	}{
		{"a file for each input", map[string]string{"x.npy": three, "size.npy": sizes}, rows},
		{"an archive", map[string]string{"all.npz": npz(t, zip.Store, map[string]string{"x": three, "size": sizes, "labels": labels})}, rows},
		{"an archive that is compressed", map[string]string{"all.npz": npz(t, zip.Deflate, map[string]string{"x": three, "size": sizes, "labels": labels})}, rows},
		{"an archive for each sample", map[string]string{
			"s2.npz":  npz(t, zip.Store, map[string]string{"x": npy(t, []float32{1, 2}, 2), "size": sizes}),
			"s10.npz": npz(t, zip.Deflate, map[string]string{"x": npy(t, []float32{3, 4}, 1, 2), "size": npy(t, []int64{1, 1}, 1, 2)}),
		}, "map[size:[8 9] x:[1 2]] map[size:[1 1] x:[3 4]]"},
		{"ONNX's test data", map[string]string{
			"test_data_set_0/input_0.pb": pb(t, value.From([]float32{1, 2}, 1, 2)), "test_data_set_0/input_1.pb": pb(t, value.From([]int64{8, 9}, 1, 2)),
			"test_data_set_1/input_0.pb": pb(t, value.From([]float32{5, 6}, 1, 2)), "test_data_set_1/input_1.pb": pb(t, value.From([]int64{3, 4}, 1, 2)),
			"test_data_set_0/output_0.pb": "not read",
		}, "map[size:[8 9] x:[1 2]] map[size:[3 4] x:[5 6]]"},
		{"doubles are narrowed", map[string]string{"x.npy": npy(t, []float64{1.5, 2}, 1, 2), "size.npy": npy(t, []int32{8, 9}, 1, 2)}, "map[size:[8 9] x:[1.5 2]]"},
	} {
		s, err := dataset.Open(files(t, c.all), dataset.Options{Model: tensors()})
		if err != nil {
			t.Errorf("%s: %v", c.title, err)
			continue
		}
		var got []string
		l := s.Load(nil, dataset.LoadOptions{Workers: 3})
		for item, err := range l.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			vs := map[string]any{}
			for name, v := range item.Inputs {
				x := v.(*value.Tensor)
				if len(x.Shape) != 2 || x.Shape[0] != 1 {
					t.Errorf("%s: %s is %v", c.title, name, x)
				}
				vs[name] = x.Data
			}
			got = append(got, fmt.Sprint(vs))
		}
		if strings.Join(got, " ") != c.want || len(l.Broken()) > 0 {
			t.Errorf("%s: %v, want %s (%v)", c.title, got, c.want, l.Broken())
		}
		_, named := c.all["all.npz"] // which has labels
		if _, classes := s.Labelled(); classes != named {
			t.Errorf("%s: labelled %v", c.title, classes)
		} else if classes && (s.Samples[0].Label != 2 || len(s.Classes) != 3) {
			t.Errorf("%s: labels %+v", c.title, s.Samples)
		}
	}
	for _, c := range []struct {
		all  map[string]string
		want string
	}{
		{map[string]string{"x.npy": three}, `no array is given for the model's input "size"`},
		{map[string]string{"x.npy": three, "size.npy": npy(t, []int64{1, 1, 2, 2}, 2, 2)}, `has 2 samples, another input has 3`},
		{map[string]string{"x.npy": npy(t, []float32{1, 2, 3}, 1, 3), "size.npy": sizes}, `array "x" has the shape [1 3], the model's input "x" is`},
		{map[string]string{"z.npy": three}, `the array "z" is no input of the model; it has "x", "size"`},
		{map[string]string{"x.npy": three[:100], "size.npy": sizes}, "x.npy"},
		{map[string]string{"x.npy": npy(t, []float32{}, 0, 2), "size.npy": npy(t, []int64{}, 0, 2)}, "its arrays have no rows"},
	} {
		_, err := dataset.Open(files(t, c.all), dataset.Options{Model: tensors()})
		if _, ok := err.(*dataset.Error); !ok || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
