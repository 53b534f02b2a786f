package onnxio

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// source is the file that a model was read from, and the external data files beside it.
// All are mapped, read only, until the model is closed.
type source struct {
	path   string
	mu     sync.Mutex
	opened map[string]*mapping // external data by location
	main   *mapping
}

// external returns length bytes at offset of the data file at location, which is relative to the
// model's folder.
func (s *source) external(location string, offset, length int64) ([]byte, error) {
	m, err := s.open(location)
	if err != nil {
		return nil, err
	}
	if offset < 0 || length < 0 || offset > int64(len(m.data)) || length > int64(len(m.data))-offset {
		return nil, fmt.Errorf("external data %q has %d bytes, but %d are wanted from byte %d", location, len(m.data), length, offset)
	}
	return m.data[offset : offset+length : offset+length], nil
}

func (s *source) open(location string) (*mapping, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.opened[location]; m != nil {
		return m, nil
	}
	path, err := locate(filepath.Dir(s.path), location)
	if err != nil {
		return nil, err
	}
	m, err := mapFile(path)
	if err != nil {
		return nil, fmt.Errorf("external data %q: %w", location, plainPathError(err))
	}
	if s.opened == nil {
		s.opened = map[string]*mapping{}
	}
	s.opened[location] = m
	return m, nil
}

// locate checks that location names a file inside dir, with links followed, and returns its path.
func locate(dir, location string) (string, error) {
	if location == "" {
		return "", errors.New("external data without a location")
	}
	clean := filepath.FromSlash(strings.ReplaceAll(location, `\`, "/"))
	if !filepath.IsLocal(clean) {
		return "", fmt.Errorf("external data %q leaves the model's folder", location)
	}
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("external data %q: %w", location, plainPathError(err))
	}
	path, err := filepath.EvalSymlinks(filepath.Join(root, clean))
	if err != nil {
		return "", fmt.Errorf("external data %q: %w", location, plainPathError(err))
	}
	rel, err := filepath.Rel(root, path)
	if err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("external data %q is a link that leaves the model's folder", location)
	}
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return "", fmt.Errorf("external data %q is not a regular file", location)
	}
	return path, nil
}

func (s *source) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.main.close()
	for _, m := range s.opened {
		if e := m.close(); err == nil {
			err = e
		}
	}
	s.opened = nil
	return err
}

// plainPathError drops the path and the system call from an error whose message names the file anyway.
func plainPathError(err error) error {
	if pe, ok := err.(*fs.PathError); ok {
		return pe.Err
	}
	if le, ok := err.(*os.LinkError); ok {
		return le.Err
	}
	return err
}

// mappings lists the files that a model's bytes may lie in.
func (m *Model) mappings() []*mapping {
	if m.file == nil {
		return nil
	}
	m.file.mu.Lock()
	defer m.file.mu.Unlock()
	out := []*mapping{m.file.main}
	for _, e := range m.file.opened {
		out = append(out, e)
	}
	return out
}
