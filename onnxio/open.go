package onnxio

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// FormatError says that a file is not a model that can be read, and why.
type FormatError struct {
	File string // "" for bytes
	Err  error
}

func (e *FormatError) Error() string {
	if e.File == "" {
		return e.Err.Error()
	}
	return e.File + ": " + e.Err.Error()
}

func (e *FormatError) Unwrap() error { return e.Err }

// Open maps a model file and decodes its structure. Weights stay where they are. The file and
// its external data must not be changed while the model is in use. Errors are *FormatError,
// or wrap what the system said.
func Open(path string) (*Model, error) {
	mp, err := mapFile(path)
	if err != nil {
		return nil, &FormatError{path, plainPathError(err)}
	}
	m, err := decode(mp.data, &source{path: path, main: mp})
	if err != nil {
		mp.close()
		return nil, &FormatError{path, err}
	}
	m.Path = path
	if err := m.checkExternal(); err != nil {
		m.Close()
		return nil, &FormatError{path, err}
	}
	return m, nil
}

// Parse decodes a model that is in memory. b must not be changed afterwards. Such a model
// can have no external data.
func Parse(b []byte) (*Model, error) {
	m, err := decode(b, nil)
	if err != nil {
		return nil, &FormatError{"", err}
	}
	return m, nil
}

func decode(b []byte, file *source) (*Model, error) {
	if len(b) == 0 {
		return nil, errors.New("not an ONNX model: the file is empty")
	}
	m, err := parseModel(b, file)
	if err != nil {
		return nil, fmt.Errorf("not a readable ONNX model: %w", err)
	}
	if len(m.Opsets) == 0 {
		return nil, errors.New("the model imports no operator set (opset_import is missing): which version its operators have is unknown; re-export it with a current exporter")
	}
	return m, nil
}

// checkExternal makes sure that all external data is there, before any work is done.
func (m *Model) checkExternal() error {
	for _, t := range m.Tensors() {
		if t.External == nil {
			continue
		}
		if t.DataType == String {
			return fmt.Errorf("tensor %q: strings can not lie in external data", t.Name)
		}
		if _, err := t.Raw(); err != nil {
			return err
		}
		m.split = true
	}
	return nil
}

// Close unmaps the file. Nothing that came from the model, and no clone of it, may be
// used any more.
func (m *Model) Close() error {
	if m.file == nil {
		return nil
	}
	return m.file.close()
}

// Unload gives the memory of the mapped files back to the system. The model stays as it is: what is read of it
// thereafter comes from the files again. It may be called at any time before Close.
func (m *Model) Unload() {
	for _, f := range m.mappings() {
		f.unload()
	}
}

// SHA256 returns the hash of the model file's bytes as they were read, in hexadecimal.
func (m *Model) SHA256() string {
	h := sha256.Sum256(m.raw)
	return hex.EncodeToString(h[:])
}

// Tensors returns every tensor of the model, in file order: initializers and attribute values of the main
// graph, of all bodies and of all functions.
func (m *Model) Tensors() []*Tensor {
	var out []*Tensor
	m.Walk(func(n *Node) {
		for _, a := range n.Attributes {
			out = append(out, a.tensors()...)
		}
	}, func(g *Graph) { out = append(out, g.tensors()...) })
	for _, f := range m.Functions {
		for _, a := range f.AttributeDefaults {
			out = append(out, a.tensors()...)
		}
	}
	return out
}

func (g *Graph) tensors() []*Tensor {
	out := append([]*Tensor(nil), g.Initializers...)
	for _, s := range g.Sparse {
		out = append(out, s.tensors()...)
	}
	return out
}

func (s *SparseTensor) tensors() []*Tensor {
	var out []*Tensor
	for _, t := range []*Tensor{s.Values, s.Indices} {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}

func (a *Attribute) tensors() []*Tensor {
	out := append([]*Tensor(nil), a.Tensors...)
	if a.Tensor != nil {
		out = append(out, a.Tensor)
	}
	if a.Sparse != nil {
		out = append(out, a.Sparse.tensors()...)
	}
	return out
}

// Subgraphs returns the graphs that an attribute carries.
func (a *Attribute) Subgraphs() []*Graph {
	if a.Graph != nil {
		return append([]*Graph{a.Graph}, a.Graphs...)
	}
	return a.Graphs
}

// Walk calls node for every node and graph for every graph, outer before inner, function bodies last.
// Either may be nil.
func (m *Model) Walk(node func(*Node), graph func(*Graph)) {
	var nodes func([]*Node)
	walk := func(g *Graph) {
		if graph != nil {
			graph(g)
		}
		nodes(g.Nodes)
	}
	nodes = func(ns []*Node) {
		for _, n := range ns {
			if node != nil {
				node(n)
			}
			for _, a := range n.Attributes {
				for _, g := range a.Subgraphs() {
					walk(g)
				}
			}
		}
	}
	walk(m.Graph)
	for _, f := range m.Functions {
		nodes(f.Nodes)
	}
}
