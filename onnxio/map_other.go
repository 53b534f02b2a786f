//go:build !unix

package onnxio

import "os"

// mapping is a file's content; where mapping is not to be had it is read whole.
type mapping struct {
	data []byte
	file *os.File // always nil
}

func mapFile(path string) (*mapping, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return &mapping{data: b}, nil
}

// unload does nothing: what was read has no other place.
func (m *mapping) unload() {}

func (m *mapping) close() error {
	if m != nil {
		m.data = nil
	}
	return nil
}
