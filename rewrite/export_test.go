package rewrite

import (
	"onnxprune/analysis/graph"
	"onnxprune/onnxio"
)

// Inlined returns a clone of a model whose calls of local functions are replaced by their nodes.
func Inlined(m *onnxio.Model) (*onnxio.Model, error) {
	c := m.Clone()
	g, err := graph.Build(c)
	if err != nil {
		return nil, err
	}
	return c, inline(c, g)
}
