package onnxio_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// maskRCNN writes mask_rcnn_r50 at full size, 144 MB, and returns its path.
func maskRCNN(b *testing.B) string {
	path := filepath.Join(b.TempDir(), "mask_rcnn_r50.onnx")
	if err := testmodels.MaskRCNNR50(testmodels.RCNNOptions{}).Save(path); err != nil {
		b.Fatal(err)
	}
	return path
}

// BenchmarkOpen opens a model of 144 MB. The target is 5 ms.
func BenchmarkOpen(b *testing.B) {
	path := maskRCNN(b)
	b.ReportAllocs()
	for b.Loop() {
		m, err := onnxio.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

// BenchmarkClone copies the structure of the same model.
func BenchmarkClone(b *testing.B) {
	m, err := onnxio.Open(maskRCNN(b))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.ReportAllocs()
	for b.Loop() {
		m.Clone()
	}
}

// BenchmarkSave writes the model with every other output channel of every convolution weight gone, against
// BenchmarkCopy, which copies the bytes of the whole file.
func BenchmarkSave(b *testing.B) {
	path := maskRCNN(b)
	m, err := onnxio.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	c := m.Clone()
	for _, t := range c.Graph.Initializers {
		if len(t.Dims) == 4 {
			kept := make([][]int, 4)
			for i := 0; i < int(t.Dims[1]); i += 2 { // the expensive axis: many short runs
				kept[1] = append(kept[1], i)
			}
			if err := t.Cut(kept); err != nil {
				b.Fatal(err)
			}
		}
	}
	for name, m := range map[string]*onnxio.Model{"unchanged": m, "halved": c} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(m.Size())
			b.ReportAllocs()
			to := filepath.Join(b.TempDir(), "out.onnx")
			for b.Loop() {
				if err := m.Save(to); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCopy copies the file.
func BenchmarkCopy(b *testing.B) {
	path := maskRCNN(b)
	to := filepath.Join(b.TempDir(), "out.onnx")
	for b.Loop() {
		from, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		f, err := os.Create(to)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(f, from)
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(n)
		from.Close()
		f.Close()
	}
}
