package rewrite_test

import (
	"os"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// TestOneParameterAtATime prunes every weight of the model that ONNXPRUNE_BISECT names by itself: it finds the one whose cut is
// not equal to the masked twin.
func TestOneParameterAtATime(t *testing.T) {
	path := os.Getenv("ONNXPRUNE_BISECT")
	if path == "" {
		t.Skip("set ONNXPRUNE_BISECT to a model that differs from its masked twin")
	}
	lib := oracle(t)
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range channels.Analyze(g, s, channels.Options{}).Params {
		if p.Reason == nil {
			t.Run(p.Name, func(t *testing.T) { compare(t, lib, path, 0.3, p.Name) })
		}
	}
}
