package dataset_test

import (
	"os"
	"path/filepath"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/dataset"
	"onnxprune/runtime/preprocess"
)

func corpus(t *testing.T, parts ...string) string {
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{root}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the shared corpus is not there: %v", err)
	}
	return path
}

func TestCOCOsPicturesBecomeAModelsInputs(t *testing.T) {
	m, err := onnxio.Open(corpus(t, "models", "trained", "yolox_nano_416.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	set, err := dataset.Open(corpus(t, "data", "coco-val50"), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Samples) != 50 || len(set.Classes) != 80 || set.Classes[79].ID != 90 {
		t.Fatalf("%d pictures, %d classes", len(set.Samples), len(set.Classes))
	}
	d, err := preprocess.Decide(m, "", preprocess.Options{Profile: "yolox"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := preprocess.New(m, d)
	if err != nil {
		t.Fatal(err)
	}
	l := set.Load(p, dataset.LoadOptions{})
	n := 0
	for item, err := range l.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Index != n || item.Placement.Width != item.Sample.Width {
			t.Fatalf("item %d is sample %d: %+v", n, item.Index, item.Placement)
		}
		n++
	}
	if n != 50 || len(l.Broken()) != 0 {
		t.Fatalf("%d pictures, broken: %v", n, l.Broken())
	}
}
