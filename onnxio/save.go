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
// file path+".data", which is complete before either file is renamed, and replaces an older one. The one
// exception is an unchanged model: its data files are copied beside it under their own names, unless
// they are there already.
func (m *Model) Save(path string) error { return m.save(path, maxFile) }

// save is Save with a limit for the size of the model file, bytes.
func (m *Model) save(path string, limit int64) error {
	if st, err := os.Stat(path); err == nil {
		if !st.Mode().IsRegular() {
			return m.saveStream(path, st, limit)
		}
		if m.reads(st) {
			return fmt.Errorf("%s: it is the file that the model is read from; choose another name", path)
		}
		if path, err = filepath.EvalSymlinks(path); err != nil { // a link stays, and what it names is replaced
			return err
		}
	}
	ext := m.externalTensors()
	if len(ext) > 0 && m.file == nil {
		return fmt.Errorf("%s: the data of tensor %q is external, but the model was not read from a file", path, ext[0].Name)
	}
	if len(ext) == 0 && !m.split && m.Size() <= limit {
		return saveFiles(output{path, m.Encode, m.mappings()})
	}
	if !m.changed() && m.Size() <= limit {
		files, err := m.copiesOf(ext, path)
		if err == nil {
			return saveFiles(append(files, output{path, m.Encode, m.mappings()})...)
		} else if !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return m.saveSplit(path, limit)
}

// saveStream writes to something that is not a regular file, such as /dev/stdout or a pipe.
func (m *Model) saveStream(path string, st os.FileInfo, limit int64) error {
	if st.IsDir() {
		return fmt.Errorf("%s: it is a folder", path)
	}
	if len(m.externalTensors()) > 0 || m.Size() > limit {
		return fmt.Errorf("%s: a model with external data, or larger than 2 GiB, can not be written to a stream", path)
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

// copiesOf returns what is to be written for the data files of an unchanged model to stand beside path. A file of the
// same name that holds something else is left alone: the error wraps os.ErrExist.
func (m *Model) copiesOf(ext []*Tensor, path string) ([]output, error) {
	var files []output
	done := map[string]bool{}
	for _, t := range ext {
		loc := t.External.Location
		if done[loc] {
			continue
		}
		done[loc] = true
		src, err := m.file.open(loc)
		if err != nil {
			return nil, err
		}
		to := filepath.Join(filepath.Dir(path), filepath.FromSlash(loc))
		if to == filepath.Clean(path) {
			return nil, fmt.Errorf("%s: %w", to, os.ErrExist)
		}
		if _, err := os.Lstat(to); err == nil {
			from, _ := locate(filepath.Dir(m.file.path), loc)
			if same(from, to) || sameContent(to, src.data) {
				continue
			}
			return nil, fmt.Errorf("%s: %w", to, os.ErrExist)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return nil, err
		}
		files = append(files, output{to, func(w io.Writer) error { _, err := w.Write(src.data); return err }, m.mappings()})
	}
	return files, nil
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
func (m *Model) saveSplit(path string, limit int64) error {
	c := m.Clone()
	dataPath := path + ".data"
	if st, err := os.Stat(dataPath); err == nil && m.reads(st) {
		return fmt.Errorf("%s: the output's data file would overwrite the data that the model is read from; choose another name", dataPath)
	}
	data := func(w io.Writer) error { return c.spillTo(w, filepath.Base(dataPath), limit) }
	model := func(w io.Writer) error {
		if n := c.Size(); n > limit {
			return fmt.Errorf("the model needs %d bytes without its weights, more than the %d that protobuf can read", n, limit)
		}
		return c.Encode(w)
	}
	return saveFiles(output{dataPath, data, m.mappings()}, output{path, model, m.mappings()})
}

// spillTo writes weights to w, each at a multiple of dataAlign, and makes their tensors point to location.
// Initializers go first: not every reader takes external data anywhere else, so that tensors
// in attributes follow only where the model file would be too large with them.
func (m *Model) spillTo(w io.Writer, location string, limit int64) error {
	at := int64(0)
	spill := func(t *Tensor) error {
		raw, err := t.Raw()
		if err != nil {
			return err
		}
		pad := (dataAlign - at%dataAlign) % dataAlign
		if _, err := w.Write(make([]byte, pad)); err != nil {
			return err
		}
		if _, err := w.Write(raw); err != nil {
			return err
		}
		t.spill(location, at+pad, int64(len(raw)))
		at += pad + int64(len(raw))
		return nil
	}
	initializer := map[*Tensor]bool{}
	m.Walk(nil, func(g *Graph) {
		for _, t := range g.Initializers {
			initializer[t] = true
		}
	})
	var rest []*Tensor
	for _, t := range m.Tensors() {
		large := t.DataType != String && t.Size() >= minSpill
		if t.External == nil && !(large && initializer[t]) {
			if large {
				rest = append(rest, t)
			}
			continue
		}
		if err := spill(t); err != nil {
			return err
		}
	}
	if m.Size() <= limit {
		return nil
	}
	for _, t := range rest {
		if err := spill(t); err != nil {
			return err
		}
	}
	return nil
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

// output is a file to be written.
type output struct {
	path  string
	write func(io.Writer) error
	from  []*mapping // files that the content may come from
}

// saveFiles writes every file beside its path, in order, and when all are complete renames them into place. On
// any error before that, every path is as it was, and nothing else is left.
func saveFiles(files ...output) error {
	var done []string
	defer func() {
		for _, tmp := range done {
			os.Remove(tmp) // what was renamed is there no more
		}
	}()
	for _, f := range files {
		if st, err := os.Stat(f.path); err == nil && !st.Mode().IsRegular() {
			return fmt.Errorf("%s: it is there already, and not a regular file", f.path)
		}
		tmp, err := writeBeside(f)
		if err != nil {
			return err
		}
		done = append(done, tmp)
	}
	for i, f := range files {
		if err := os.Rename(done[i], f.path); err != nil {
			return fmt.Errorf("%s: %w", f.path, plainPathError(err))
		}
	}
	return nil
}

// writeBeside writes a file under a temporary name in its folder, and returns that name.
func writeBeside(out output) (tmp string, err error) {
	f, err := createBeside(out.path)
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("%s: %w", out.path, plainPathError(err))
		}
	}()
	w := newRangeWriter(f, out.from)
	if err := out.write(w); err != nil {
		return "", err
	}
	if err := w.Flush(); err != nil {
		return "", err
	}
	if st, err := os.Stat(out.path); err == nil { // keep the mode of the file that is replaced
		if err := f.Chmod(st.Mode().Perm()); err != nil {
			return "", err
		}
	}
	return f.Name(), f.Close()
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
