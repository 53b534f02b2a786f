package feed

// Arrays whose rows are read one by one: sets of samples are larger than memory.

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// Array is an array in a file. Its methods may be called from many goroutines.
type Array struct {
	Name  string // in an .npz: of the entry; else the file's name without its ending
	Type  onnxio.DataType
	Shape []int

	path   string
	start  int64                         // of the elements in the file, where they are stored as they are
	whole  func() (*value.Tensor, error) // reads all of it, where they are not
	mu     sync.Mutex
	cached *value.Tensor
}

// OpenArrays lists the arrays of a .npy, .npz or .pb file, without reading their elements where the format allows it.
func OpenArrays(path string) ([]*Array, error) {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	switch strings.ToLower(filepath.Ext(path)) {
	case ".npy":
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		a := &Array{Name: name, path: path, whole: func() (*value.Tensor, error) { return ReadNPY(path) }}
		if err := a.head(f, st.Size(), 0); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return []*Array{a}, nil
	case ".npz":
		return openNPZ(path)
	case ".pb":
		a := &Array{Name: name, path: path, start: -1, whole: func() (*value.Tensor, error) {
			v, err := ReadPB(path, nil)
			if err != nil {
				return nil, err
			}
			return v.(*value.Tensor), nil
		}}
		t, err := a.whole()
		if err != nil {
			return nil, err
		}
		a.Type, a.Shape = t.Type, t.Shape
		return []*Array{a}, nil
	}
	return nil, fmt.Errorf("%s: arrays are read from .npy, .npz and .pb", path)
}

func openNPZ(path string) ([]*Array, error) {
	z, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer z.Close()
	var out []*Array
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		a := &Array{Name: name, path: path, whole: func() (*value.Tensor, error) { return ReadNPZ(path, name) }}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, f.Name, err)
		}
		at := int64(-1)
		if f.Method == zip.Store {
			if at, err = f.DataOffset(); err != nil {
				at = -1
			}
		}
		err = a.head(r, int64(f.UncompressedSize64), at)
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", path, f.Name, err)
		}
		out = append(out, a)
	}
	return out, nil
}

// head reads a header of NumPy's. at is where it lies in the file, -1 where the elements can not be read from there.
func (a *Array) head(r io.Reader, size, at int64) error {
	const longest = 1 << 20 // bytes of a header
	b, err := io.ReadAll(io.LimitReader(r, longest))
	if err != nil {
		return err
	}
	h, rest, err := splitNPY(b)
	if err != nil {
		return fmt.Errorf("it is no .npy file that can be read: %w", err)
	}
	count, err := value.CheckedCount(h.shape)
	if err != nil {
		return err
	}
	elem, known := descriptions[strings.TrimLeft(h.descr, "<>|=")]
	a.Type, a.Shape, a.start = elem, h.shape, -1
	if !known {
		a.Type = onnxio.String
		return nil
	}
	start := int64(len(b) - len(rest))
	if have, want := size-start, int64(count)*int64(elem.Bits()/8); have != want {
		return fmt.Errorf("its header says %d bytes of elements (%v%v), it has %d", want, elem, h.shape, have)
	}
	if at >= 0 && !h.fortran && !strings.HasPrefix(h.descr, ">") {
		a.start = at + start
	}
	return nil
}

// Rows reads n rows along the first axis.
func (a *Array) Rows(first, n int) (*value.Tensor, error) {
	if len(a.Shape) == 0 || first < 0 || n < 0 || first+n > a.Shape[0] {
		return nil, fmt.Errorf("%s: rows %d to %d of %v", a.path, first, first+n-1, a.Shape)
	}
	shape := append([]int{n}, a.Shape[1:]...)
	width := value.Count(a.Shape[1:]) * a.Type.Bits() / 8
	if a.start < 0 {
		t, err := a.All()
		if err != nil {
			return nil, err
		}
		if t.Type == onnxio.String {
			return nil, errors.New("texts have no rows that a model reads")
		}
		return tensorOf(t.Type, shape, t.Raw()[first*width:(first+n)*width])
	}
	f, err := os.Open(a.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n*width)
	if _, err := f.ReadAt(b, a.start+int64(first)*int64(width)); err != nil {
		return nil, fmt.Errorf("%s: %w", a.path, err)
	}
	return tensorOf(a.Type, shape, b)
}

func tensorOf(elem onnxio.DataType, shape []int, b []byte) (*value.Tensor, error) {
	dims := make([]int64, len(shape))
	for i, d := range shape {
		dims[i] = int64(d)
	}
	return value.FromProto(onnxio.NewTensor("", elem, dims, b))
}

// All reads the whole array. One of many rows that can not be read singly is kept.
func (a *Array) All() (*value.Tensor, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cached != nil {
		return a.cached, nil
	}
	t, err := a.whole()
	if err == nil && a.start < 0 && len(a.Shape) > 0 && a.Shape[0] > 1 {
		a.cached = t
	}
	return t, err
}
