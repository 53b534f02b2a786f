package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

func preprocessor(t *testing.T) *preprocess.Preprocessor {
	t.Helper()
	b := testmodels.New(17)
	b.Output(b.Relu(b.Input("x", onnxio.Float, 1, 3, 16, 16)), onnxio.Float, 1, 3, 16, 16)
	m := b.Model()
	d, err := preprocess.Decide(m, "", preprocess.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := preprocess.New(m, d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// many writes a folder of pictures whose sizes differ.
func many(t *testing.T, n int) string {
	all := map[string]string{}
	for i := range n {
		all[fmt.Sprintf("%03d.png", i)] = fmt.Sprintf("%dx%d", 20+i*7%50, 20+i*5%30)
	}
	return files(t, all)
}

func open(t *testing.T, path string, opt dataset.Options) *dataset.Set {
	t.Helper()
	s, err := dataset.Open(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSamplesComeInOrderHoweverTheyAreLoaded(t *testing.T) {
	s, p := open(t, many(t, 40), dataset.Options{}), preprocessor(t)
	var want [][]float32
	for _, opt := range []dataset.LoadOptions{{Workers: 1}, {Workers: 8}, {Workers: 3, Memory: 1}, {Workers: 3, Memory: 30_000}} {
		var got [][]float32
		for item, err := range s.Load(p, opt).All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if item.Index != len(got) || item.Sample != &s.Samples[item.Index] {
				t.Fatalf("%+v: item %d is sample %d", opt, len(got), item.Index)
			}
			got = append(got, value.Of[float32](item.Inputs["x"].(*value.Tensor)))
		}
		if want == nil {
			want = got
		}
		if len(got) != 40 || !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("%+v: other inputs", opt)
		}
	}
}

func TestABrokenPictureIsNamedAndTheOthersGoOn(t *testing.T) {
	root := files(t, map[string]string{"images/a.jpg": "60x40", "images/b.jpg": "60x40", "images/c.jpg": "no picture", "images/d.jpg": "", "images/e.jpg": "60x40", "images/g.jpg": "30x40",
		"instances.json": `{"images": [{"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}, {"id": 2, "file_name": "b.jpg"}, {"id": 3, "file_name": "c.jpg"}, {"id": 4, "file_name": "d.jpg"},
			{"id": 5, "file_name": "e.jpg"}, {"id": 6, "file_name": "f.jpg"}, {"id": 7, "file_name": "g.jpg", "width": 60, "height": 40}], "categories": [{"id": 1, "name": "x"}]}`})
	b := filepath.Join(root, "images", "b.jpg")
	text, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(b, text[:len(text)*2/3], 0o666); err != nil {
		t.Fatal(err)
	}
	l := open(t, root, dataset.Options{}).Load(preprocessor(t), dataset.LoadOptions{Workers: 4})
	for range 2 { // and the same again
		var read []string
		for item, err := range l.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			read = append(read, item.Sample.Name)
		}
		if fmt.Sprint(read) != "[a.jpg e.jpg]" {
			t.Errorf("read %v", read)
		}
		var got []string
		for _, b := range l.Broken() {
			got = append(got, b.Name+": "+b.Reason)
		}
		want := []string{"b.jpg: the file is truncated: its picture ends too early", "c.jpg: it is no picture that can be read (jpeg, png, webp and bmp are)", "d.jpg: the file is empty",
			"f.jpg: there is no such file", "g.jpg: the picture has 30x40 pixels, the annotations say 60x40"}
		if !slices.Equal(got, want) {
			t.Errorf("broken:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	var last error
	for _, err := range open(t, files(t, map[string]string{"a.png": "x", "b.png": "y"}), dataset.Options{}).Load(preprocessor(t), dataset.LoadOptions{}).All(t.Context()) {
		last = err
	}
	if e := (*dataset.Error)(nil); !errors.As(last, &e) || !strings.Contains(last.Error(), "not one of its 2 samples can be read; the first, a.png") {
		t.Errorf("nothing but broken pictures: %v", last)
	}
}

func TestLoadingStopsWhereItIsToldTo(t *testing.T) {
	s, p := open(t, many(t, 60), dataset.Options{}), preprocessor(t)
	before := runtime.NumGoroutine()
	n := 0
	for range s.Load(p, dataset.LoadOptions{Workers: 4}).All(t.Context()) {
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n = 0
	for _, err := range s.Load(p, dataset.LoadOptions{Workers: 4}).All(ctx) {
		if last = err; err == nil {
			if n++; n == 3 {
				cancel()
			}
		}
	}
	if n != 3 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d items, then %v", n, last)
	}
	for range 50 { // the workers end by themselves
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines are left of %d", runtime.NumGoroutine(), before)
}

func TestAnOrientationThatTheAnnotationsDoNotKnow(t *testing.T) {
	turned := filepath.Join("..", "picture", "testdata", "exif6.jpg") // stored as 12x8
	for _, c := range []struct{ w, h, width, height int }{{0, 0, 8, 12}, {8, 12, 8, 12}, {12, 8, 12, 8}} {
		s := dataset.Sample{Path: turned, Width: c.w, Height: c.h}
		p, err := s.Read()
		if err != nil || p.Width != c.width || p.Height != c.height {
			t.Errorf("annotations say %dx%d: %v, %v", c.w, c.h, p, err)
		}
	}
}

func TestClassesAreMapped(t *testing.T) {
	set := func(names string, ids ...int) *dataset.Set {
		s := &dataset.Set{Path: "data"}
		for i, n := range strings.Fields(names) {
			c := dataset.Class{ID: i, Name: n}
			if ids != nil {
				c.ID = ids[i]
			}
			s.Classes = append(s.Classes, c)
		}
		return s
	}
	gaps := []int{1, 4, 90}
	for _, c := range []struct {
		title   string
		set     *dataset.Set
		model   dataset.ModelClasses
		toModel []int
		err     string
	}{
		{"by name, in another order", set("cat dog cow"), dataset.ModelClasses{Names: []string{"cow", "Dog", "cat"}}, []int{2, 1, 0}, ""},
		{"by name, of a model that knows more", set("dining_table motorbike"), dataset.ModelClasses{Names: []string{"x", "motorcycle", "dining table"}, Count: 3}, []int{2, 1}, ""},
		{"by name, of a model that knows less", set("cat dog cow"), dataset.ModelClasses{Names: []string{"dog"}}, []int{-1, 0, -1}, ""},
		{"by order", set("cat dog cow", gaps...), dataset.ModelClasses{Count: 3}, []int{0, 1, 2}, ""},
		{"by order, with names in another language", set("cat dog"), dataset.ModelClasses{Names: []string{"chat", "chien"}}, []int{0, 1}, ""},
		{"by order, where nothing is known", set("cat dog"), dataset.ModelClasses{}, []int{0, 1}, ""},
		{"by id", set("cat dog cow", gaps...), dataset.ModelClasses{IDs: true}, []int{1, 4, 90}, ""},
		{"by id, as 91 outputs for ids up to 90 say", set("cat dog cow", gaps...), dataset.ModelClasses{Count: 91}, []int{1, 4, 90}, ""},
		{"counts that differ", set("cat dog"), dataset.ModelClasses{Count: 80}, nil, "the data set has 2 classes, the model 80"},
		{"names and counts that differ", set("cat dog"), dataset.ModelClasses{Names: []string{"a", "b", "c"}}, nil, "the data set has 2 classes, the model 3, and no name is the same (cat, dog; a, b, c)"},
		{"too many names", set("cat"), dataset.ModelClasses{Names: []string{"cat", "b"}, Count: 1}, nil, "2 names of classes are given for a model with 1"},
		{"ids beyond the outputs", set("cat dog cow", gaps...), dataset.ModelClasses{Count: 80, IDs: true}, nil, "go up to 90"},
	} {
		m, err := c.set.MapClasses(c.model)
		if c.err != "" {
			if e := (*dataset.Error)(nil); !errors.As(err, &e) || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want %q", c.title, err, c.err)
			}
			continue
		}
		if err != nil || !slices.Equal(m.ToModel, c.toModel) {
			t.Errorf("%s: %+v, %v; want %v", c.title, m, err, c.toModel)
			continue
		}
		for i, k := range m.ToModel {
			if k >= 0 && m.Set(k) != i {
				t.Errorf("%s: class %d of the model is %d of the set, want %d", c.title, k, m.Set(k), i)
			}
		}
		if m.Set(-1) != -1 || m.Set(1000) != -1 {
			t.Errorf("%s: classes that do not exist are mapped", c.title)
		}
	}
}
