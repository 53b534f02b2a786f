package channels_test

import (
	"os"
	"path/filepath"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// BenchmarkAnalyze measures the walk, the decisions and the groups on the model that ONNXPRUNE_MODEL names.
func BenchmarkAnalyze(b *testing.B) {
	path := os.Getenv("ONNXPRUNE_MODEL")
	if path == "" {
		b.Skip("set ONNXPRUNE_MODEL to an ONNX file")
	}
	m, err := onnxio.Open(filepath.Clean(path))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.ReportAllocs()
	for b.Loop() {
		g, err := graph.Build(m)
		if err != nil {
			b.Fatal(err)
		}
		s, err := shape.Infer(g, shape.Options{})
		if err != nil {
			b.Fatal(err)
		}
		channels.Analyze(g, s, channels.Options{})
	}
}
