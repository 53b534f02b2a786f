//go:build unix

package onnxio

import (
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// mapping is a file's content, mapped read only. The file stays open, to be copied from.
type mapping struct {
	data []byte
	file *os.File
}

func mapFile(path string) (m *mapping, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if m == nil || m.file == nil {
			f.Close()
		}
	}()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	switch {
	case st.IsDir():
		return nil, fmt.Errorf("it is a folder")
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("it is not a regular file")
	case st.Size() == 0:
		return &mapping{}, nil
	case st.Size() > math.MaxInt-1:
		return nil, fmt.Errorf("it is too large to be mapped: %d bytes", st.Size())
	}
	b, err := unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	return &mapping{b, f}, nil
}

// unload takes the pages out of memory; the next read brings them back.
func (m *mapping) unload() {
	if m != nil && m.data != nil {
		_ = unix.Madvise(m.data, unix.MADV_DONTNEED) // advice
	}
}

func (m *mapping) close() error {
	if m == nil || m.data == nil {
		return nil
	}
	b := m.data
	m.data = nil
	m.file.Close()
	return unix.Munmap(b)
}
