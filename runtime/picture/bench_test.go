package picture_test

import (
	"bytes"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"onnxprune/runtime/picture"
)

// BenchmarkPicture takes a picture of 640 x 427 apart into its steps.
func BenchmarkPicture(b *testing.B) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "coco-val50", "images", "000000397133.jpg"))
	if err != nil {
		b.Skipf("the shared corpus is not there: %v", err)
	}
	p, err := picture.Decode(data)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("image-jpeg", func(b *testing.B) {
		for b.Loop() {
			if _, err := jpeg.Decode(bytes.NewReader(data)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Decode", func(b *testing.B) {
		for b.Loop() {
			if _, err := picture.Decode(data); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, f := range picture.Filters {
		b.Run(string(f), func(b *testing.B) {
			for b.Loop() {
				p.Resize(416, 278, f)
			}
		})
	}
}
