package onnxio

import "io"

// SaveWithLimit is Save as if protobuf could read no file larger than limit, bytes.
func (m *Model) SaveWithLimit(path string, limit int64) error { return m.save(path, limit) }

// SaveFile is the step of Save that writes one file beside its path and renames it.
func SaveFile(path string, write func(io.Writer) error) error {
	return saveFiles(output{path: path, write: write})
}
