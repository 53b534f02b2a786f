package onnxio_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/testmodels"
)

// files returns the names in a folder.
func files(t *testing.T, dir string) []string {
	t.Helper()
	es, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range es {
		names = append(names, e.Name())
	}
	return names
}

// write makes a file and returns its path.
func write(t *testing.T, dir, name string, b []byte) string {
	t.Helper()
	p := filepath.Join(dir, name)
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t *testing.T, path string) *onnxio.Model {
	t.Helper()
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// says checks that an error is there and holds all the words.
func says(t *testing.T, what string, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one with %q", what, words)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: error %q, want one with %q", what, err, w)
		}
	}
	if strings.Contains(err.Error(), ".tmp") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: error %q is not for a user's eyes", what, err)
	}
}

func TestSaveReplacesAFileAndKeepsItsMode(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "m.onnx", []byte("old"))
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	b := testmodels.SixConvolutions()
	if err := b.Model().Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if st, _ := os.Stat(path); runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want that of the old file", st.Mode())
	}
	if got := files(t, dir); !slices.Equal(got, []string{"m.onnx"}) {
		t.Errorf("left behind: %v", got)
	}
}

func TestSaveThroughALinkReplacesWhatItNames(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	target, link := write(t, other, "m.onnx", []byte("old")), filepath.Join(dir, "link.onnx")
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	b := testmodels.SixConvolutions()
	if err := b.Model().Save(link); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(target)
	if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 || !bytes.Equal(got, b.Bytes()) || len(files(t, other)) != 1 {
		t.Errorf("the link is %v %v, its target has %d bytes", st.Mode(), err, len(got))
	}
}

func TestAFailedSaveLeavesEverythingAsItWas(t *testing.T) {
	dir := t.TempDir()
	old := []byte("old")
	path := write(t, dir, "m.onnx", old)
	full := &os.PathError{Op: "write", Path: filepath.Join(dir, ".m.onnx.12345678.tmp"), Err: syscall.ENOSPC}
	for name, fail := range map[string]func(io.Writer) error{
		"at once":        func(io.Writer) error { return full },
		"after the head": func(w io.Writer) error { w.Write(make([]byte, 3<<20)); return full },
	} {
		says(t, name, onnxio.SaveFile(path, fail), path, "no space left")
		if got, _ := os.ReadFile(path); !bytes.Equal(got, old) {
			t.Errorf("%s: the old file is %q", name, got)
		}
		if got := files(t, dir); !slices.Equal(got, []string{"m.onnx"}) {
			t.Errorf("%s: left behind: %v", name, got)
		}
	}
}

func TestSaveToPlacesThatCanNotBeWritten(t *testing.T) {
	m := testmodels.SixConvolutions().Model()
	dir := t.TempDir()
	says(t, "a folder", m.Save(dir), dir, "folder")
	nowhere := filepath.Join(dir, "missing", "m.onnx")
	says(t, "a missing folder", m.Save(nowhere), nowhere, "no such file")
	below := filepath.Join(write(t, dir, "file", nil), "m.onnx")
	says(t, "below a file", m.Save(below), below)
	if os.Getuid() > 0 { // the superuser may write anywhere
		locked := filepath.Join(dir, "locked")
		if err := os.Mkdir(locked, 0o555); err != nil {
			t.Fatal(err)
		}
		says(t, "a read-only folder", m.Save(filepath.Join(locked, "m.onnx")), "permission denied")
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		says(t, "a full device", m.Save("/dev/full"), "/dev/full", "no space left")
	}
}

func TestSaveToAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := mountSmall(dir, 1<<20); err != nil {
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	defer unmount(dir)
	path := write(t, dir, "m.onnx", []byte("old"))
	b := testmodels.New(17)
	b.Weight("w", 1<<19)
	says(t, "2 MB on a disk of 1 MB", b.Model().Save(path), path, "no space left")
	if got, _ := os.ReadFile(path); string(got) != "old" || len(files(t, dir)) != 1 {
		t.Errorf("after a full disk: %q, files %v", got, files(t, dir))
	}
}

func TestSaveNeverOverwritesWhatTheModelIsReadFrom(t *testing.T) {
	dir := t.TempDir()
	given := testmodels.SixConvolutions().Bytes()
	path := write(t, dir, "m.onnx", given)
	link, hard := filepath.Join(dir, "link.onnx"), filepath.Join(dir, "hard.onnx")
	if err := errors.Join(os.Symlink("m.onnx", link), os.Link(path, hard)); err != nil {
		t.Skip(err)
	}
	m := open(t, path)
	c := m.Clone()
	c.SetMetadata("k", "v")
	for _, to := range []string{path, link, hard, filepath.Join(dir, ".", "m.onnx")} {
		says(t, to, c.Save(to), "choose another name")
		says(t, to, m.Save(to), "choose another name")
	}
	if got, _ := os.ReadFile(path); !bytes.Equal(got, given) {
		t.Error("the input changed")
	}
}

// The limit of protobuf is 2 GiB; here it is moved down to where a test can reach it.
func TestAModelBeyondTheLimitGetsADataFile(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N", 3, 8, 8)
	y := b.Conv("big", x, 3, 64, 3, testmodels.Bias())
	y = b.Mul(y, b.Constant(onnxio.NewFloats32("table", []int64{64, 1, 8}, make([]float32, 512))))
	b.Output(b.Reshape(y, 0, -1), onnxio.Float)
	want := map[string][]byte{}
	for _, w := range b.Model().Tensors() {
		raw, err := w.Raw()
		if err != nil {
			t.Fatal(err)
		}
		want[w.Name] = raw
	}
	for _, c := range []struct {
		limit    int64
		external []string // which tensors leave the file
	}{
		{1 << 20, nil},
		{5000, []string{"big.weight"}}, // initializers of 1 KiB and more
		{2000, []string{"big.weight", "table"}},
	} {
		dir := t.TempDir()
		stale := write(t, dir, "m.onnx.data", bytes.Repeat([]byte("stale"), 9999))
		path := filepath.Join(dir, "m.onnx")
		if err := b.Model().SaveWithLimit(path, c.limit); err != nil {
			t.Fatal(err)
		}
		m := open(t, path)
		var external []string
		for _, w := range m.Tensors() {
			if raw, err := w.Raw(); err != nil || !bytes.Equal(raw, want[w.Name]) {
				t.Errorf("limit %d: tensor %q is not what was saved: %v", c.limit, w.Name, err)
			}
			if w.External != nil {
				external = append(external, w.Name)
				if w.External.Location != "m.onnx.data" || w.External.Offset%4096 != 0 {
					t.Errorf("tensor %q lies at %+v", w.Name, w.External)
				}
			}
		}
		if !slices.Equal(external, c.external) || m.Size() > c.limit {
			t.Errorf("limit %d: external %v, want %v; %d bytes", c.limit, external, c.external, m.Size())
		}
		if err := loads(t, path); err != nil {
			t.Errorf("limit %d: ONNX Runtime: %v", c.limit, err)
		}
		if st, err := os.Stat(stale); c.external != nil && (err != nil || st.Size() > 20000) {
			t.Errorf("limit %d: the stale data file is %v, %v", c.limit, st.Size(), err)
		}
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	write(t, dir, "m.onnx", []byte("old model"))
	write(t, dir, "m.onnx.data", []byte("old data"))
	says(t, "too large without its weights", b.Model().SaveWithLimit(path, 100), path, "more than the 100")
	model, _ := os.ReadFile(path)
	data, _ := os.ReadFile(path + ".data")
	if string(model) != "old model" || string(data) != "old data" || len(files(t, dir)) != 2 {
		t.Errorf("a failed save changed %q, %q, files %v", model, data, files(t, dir))
	}
}

// loads lets ONNX Runtime load the model, where there is one.
func loads(t *testing.T, path string) error {
	found, err := onnxruntime.Find()
	if err != nil {
		t.Log(err)
		return nil
	}
	lib, err := onnxruntime.Open(found)
	if err != nil {
		return err
	}
	s, err := lib.NewSession(path, onnxruntime.Options{Threads: 1})
	if err != nil {
		return err
	}
	return s.Close()
}

func TestSaveToAStreamWritesTheModel(t *testing.T) {
	if _, err := os.Stat("/dev/null"); err != nil {
		t.Skip(err)
	}
	b := testmodels.SixConvolutions()
	if err := b.Model().Save("/dev/null"); err != nil {
		t.Error(err)
	}
	says(t, "with external data", b.Model().SaveWithLimit("/dev/null", 100), "stream")
}
