package graph_test

import (
	"os"
	"path/filepath"
	"testing"

	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// TestEveryModelOfTheCorpusLinks builds the graph of every corpus model that is valid.
func TestEveryModelOfTheCorpusLinks(t *testing.T) {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "models", "*", "*.onnx"))
	if len(paths) == 0 {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	for _, p := range paths {
		if filepath.Base(p) == "fns_candy_v0.onnx" {
			continue // refused by the reader: it imports no opset
		}
		m, err := onnxio.Open(p)
		if err != nil {
			t.Error(err)
			continue
		}
		g, err := graph.Build(m)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(p), err)
			continue
		}
		seen := map[string]bool{}
		for _, n := range g.Nodes {
			if seen[n.Path] {
				t.Errorf("%s: two nodes have the path %s", filepath.Base(p), n.Path)
			}
			seen[n.Path] = true
		}
		m.Close()
	}
}
