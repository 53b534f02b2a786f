package onnxio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
)

// maxFile is the largest model that protobuf libraries read: 2 GiB less one byte. Above it
// the weights go into a data file.
const maxFile = 1<<31 - 1

// minSpill is the size from which a tensor goes to the data file when there is one, bytes.
const minSpill = 1024

// dataAlign is the alignment of tensors in the data file, so that runtimes can map them, bytes.
const dataAlign = 4096

// Size returns the encoded size of the model file in bytes, external data not counted.
func (m *Model) Size() int64 { return int64(sizes{}.of(&m.message)) }

// Changed reports whether the model differs from the bytes that it was read from.
func (m *Model) Changed() bool { return m.changed() }

// Encode writes the model's bytes to w. External data is not written.
func (m *Model) Encode(w io.Writer) error {
	s := sizes{}
	s.of(&m.message)
	return s.write(w, &m.message)
}

// Bytes returns the encoded model.
func (m *Model) Bytes() []byte {
	var b bytes.Buffer
	b.Grow(int(m.Size()))
	_ = m.Encode(&b) // a bytes.Buffer takes everything
	return b.Bytes()
}

// Save writes the model to path: beside it first, then renamed, so that path holds the whole new
// model or what it held before. A model that nobody changed is written byte for byte as it was read.
//
// When the model came with external data, or is larger than 2 GiB, its large weights go to a data
// file path+".data", which is written first and replaces an older one. The one
// exception is an unchanged model: its data files are copied beside it under their own names, unless
// they are there already.
func (m *Model) Save(path string) error {
	if st, err := os.Stat(path); err == nil {
		if !st.Mode().IsRegular() {
			return m.saveStream(path, st)
		}
		if m.reads(st) {
			return fmt.Errorf("%s: it is the file that the model is read from; choose another name", path)
		}
	}
	ext := m.externalTensors()
	if len(ext) == 0 && m.Size() <= maxFile {
		return saveFile(path, m.Encode)
	}
	if !m.changed() {
		if err := m.copyData(path, ext); err == nil {
			return saveFile(path, m.Encode)
		} else if !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return m.saveSplit(path)
}

// saveStream writes to something that is not a regular file, such as /dev/stdout or a pipe.
func (m *Model) saveStream(path string, st os.FileInfo) error {
	if st.IsDir() {
		return fmt.Errorf("%s: it is a folder", path)
	}
	if len(m.externalTensors()) > 0 || m.Size() > maxFile {
		return fmt.Errorf("%s: a model with external data can not be written to a stream", path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, writeBuffer)
	if err := m.Encode(w); err != nil {
		f.Close()
		return err
	}
	if err := w.Flush(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// reads reports whether the model is read from that file.
func (m *Model) reads(st os.FileInfo) bool {
	if m.file == nil {
		return false
	}
	if own, err := os.Stat(m.file.path); err == nil && os.SameFile(own, st) {
		return true
	}
	for _, t := range m.externalTensors() {
		if p, err := locate(filepath.Dir(m.file.path), t.External.Location); err == nil {
			if own, err := os.Stat(p); err == nil && os.SameFile(own, st) {
				return true
			}
		}
	}
	return false
}

func (m *Model) externalTensors() []*Tensor {
	var out []*Tensor
	for _, t := range m.Tensors() {
		if t.External != nil {
			out = append(out, t)
		}
	}
	return out
}

// copyData copies the data files of an unchanged model beside path. A file of the same name that holds
// something else is left alone: the error wraps os.ErrExist.
func (m *Model) copyData(path string, ext []*Tensor) error {
	done := map[string]bool{}
	for _, t := range ext {
		loc := t.External.Location
		if done[loc] {
			continue
		}
		done[loc] = true
		src, err := m.file.open(loc)
		if err != nil {
			return err
		}
		to := filepath.Join(filepath.Dir(path), filepath.FromSlash(loc))
		if _, err := os.Lstat(to); err == nil {
			from, _ := locate(filepath.Dir(m.file.path), loc)
			if same(from, to) || sameContent(to, src.data) {
				continue
			}
			return fmt.Errorf("%s: %w", to, os.ErrExist)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		if err := saveFile(to, func(w io.Writer) error { _, err := w.Write(src.data); return err }); err != nil {
			return err
		}
	}
	return nil
}

func same(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

func sameContent(path string, want []byte) bool {
	m, err := mapFile(path)
	if err != nil {
		return false
	}
	defer m.close()
	return bytes.Equal(m.data, want)
}

// saveSplit writes the large weights to a data file and the rest to path.
func (m *Model) saveSplit(path string) error {
	c := m.Clone()
	location := filepath.Base(path) + ".data"
	dataPath := path + ".data"
	if st, err := os.Stat(dataPath); err == nil && m.reads(st) {
		return fmt.Errorf("%s: the output's data file would overwrite the data that the model is read from; choose another name", dataPath)
	}
	err := saveFile(dataPath, func(w io.Writer) error {
		at := int64(0)
		for _, t := range c.Tensors() {
			if t.DataType == String || (t.External == nil && t.Size() < minSpill) {
				continue
			}
			raw, err := t.Raw()
			if err != nil {
				return err
			}
			if pad := (dataAlign - at%dataAlign) % dataAlign; pad > 0 {
				if _, err := w.Write(make([]byte, pad)); err != nil {
					return err
				}
				at += pad
			}
			if _, err := w.Write(raw); err != nil {
				return err
			}
			t.spill(location, at, int64(len(raw)))
			at += int64(len(raw))
		}
		return nil
	})
	if err != nil {
		return err
	}
	if c.Size() > maxFile {
		return fmt.Errorf("%s: the model needs %d bytes without its weights, more than the 2 GiB that protobuf can read", path, c.Size())
	}
	return saveFile(path, c.Encode)
}

// spill makes the tensor point into the data file.
func (t *Tensor) spill(location string, offset, length int64) {
	dims := t.Dims
	t.replaceData(dims, field{}, nil)
	t.set(9)
	entry := func(k, v string) field { return bytesField(13, plain(stringField(1, k), stringField(2, v))) }
	t.set(13, entry("location", location), entry("offset", strconv.FormatInt(offset, 10)), entry("length", strconv.FormatInt(length, 10)))
	t.set(14, varintField(14, 1))
	t.External = &External{Location: location, Offset: offset, Length: length}
}

// writeBuffer joins small writes; large ones pass it by, bytes.
const writeBuffer = 1 << 20

// saveFile writes a file beside path and renames it into place. On any error path is as it was, and
// nothing else is left.
func saveFile(path string, write func(io.Writer) error) (err error) {
	f, err := createBeside(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("%s: %w", path, plainPathError(err))
		}
	}()
	w := bufio.NewWriterSize(f, writeBuffer)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if st, err := os.Stat(path); err == nil { // keep the mode of the file that is replaced
		if err := f.Chmod(st.Mode().Perm()); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// createBeside opens a new file in path's folder, with the mode that the user's umask gives.
func createBeside(path string) (*os.File, error) {
	for range 100 {
		name := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x.tmp", filepath.Base(path), rand.Uint32()))
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		switch {
		case err == nil:
			return f, nil
		case !errors.Is(err, os.ErrExist):
			return nil, fmt.Errorf("%s: %w", path, plainPathError(err))
		}
	}
	return nil, fmt.Errorf("%s: no free name for a temporary file beside it", path)
}
