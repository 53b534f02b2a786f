package onnxio_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune/onnxio"
)

// corpus returns the folder of the shared test material, or skips.
func corpus(t testing.TB, parts ...string) string {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared")
	}
	p := filepath.Join(append([]string{dir}, parts...)...)
	if _, err := os.Stat(p); err != nil {
		t.Skipf("test material %s is not here; set ONNXPRUNE_CORPUS to its folder", filepath.Join(parts...))
	}
	return p
}

// same checks that b, parsed and written, unchanged and as a clone, is b.
func same(t *testing.T, name string, b []byte) {
	t.Helper()
	m, err := onnxio.Parse(b)
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	for what, m := range map[string]*onnxio.Model{"model": m, "clone": m.Clone()} {
		if m.Changed() || !bytes.Equal(m.Bytes(), b) {
			t.Errorf("%s: the unchanged %s is not written byte for byte", name, what)
		}
	}
}

func TestConformanceModelsRoundTripByteForByte(t *testing.T) {
	z, err := zip.OpenReader(corpus(t, "conformance", "onnx-1.22-backend-tests.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	n := 0
	for _, f := range z.File {
		if filepath.Base(f.Name) != "model.onnx" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		same(t, f.Name, b)
		n++
	}
	if n != 1388 {
		t.Errorf("the suite holds %d models, want 1388", n)
	}
}

func TestCorpusModelsRoundTripByteForByte(t *testing.T) {
	root := corpus(t, "models")
	out := t.TempDir()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch {
		case strings.HasSuffix(path, "fns_candy_v0.onnx"): // has no opset
			if _, err := onnxio.Open(path); err == nil || !strings.Contains(err.Error(), "operator set") {
				t.Errorf("%s: error %v, want one about the missing operator set", name, err)
			}
		case strings.HasSuffix(path, ".onnx"):
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			m, err := onnxio.Open(path)
			if err != nil {
				t.Errorf("%v", err)
				return nil
			}
			defer m.Close()
			to := filepath.Join(out, strings.ReplaceAll(name, "/", "_"))
			if err := m.Save(to); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if got, _ := os.ReadFile(to); !bytes.Equal(got, b) {
				t.Errorf("%s: not byte for byte", name)
			}
		case strings.HasSuffix(path, ".onnx.gz"):
			b, err := gunzip(path)
			if err != nil {
				return err
			}
			same(t, name, b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A skeleton is a real export whose weights are zeros: 8 bytes of length, a JSON header, the model.
func TestSkeletonsRoundTripByteForByte(t *testing.T) {
	if testing.Short() {
		t.Skip("2 GB to unpack")
	}
	paths, err := filepath.Glob(filepath.Join(corpus(t, "models", "skeletons"), "*.skel.gz"))
	if err != nil || len(paths) != 40 {
		t.Fatalf("%d skeletons, want 40 (%v)", len(paths), err)
	}
	for _, p := range paths {
		b, err := gunzip(p)
		if err != nil {
			t.Fatal(err)
		}
		same(t, filepath.Base(p), b[8+binary.LittleEndian.Uint64(b):])
	}
}

func gunzip(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}
