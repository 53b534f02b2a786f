package onnxio_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"onnxprune/onnxio"
)

// external is a tensor whose data lies at location; entries are further keys and values.
func external(elem onnxio.DataType, location string, entries ...string) msg {
	w := tensor(elem, 2)
	for es := append([]string{"location", location}, entries...); len(es) > 0; es = es[2:] {
		w = w.bytes(13, msg{}.str(1, es[0]).str(2, es[1]))
	}
	return w.int(14, 1)
}

var twoFloats = []byte("\x00\x00\x80\x3f\x00\x00\x00\xc0") // 1, -2

func TestExternalDataIsReadBesideTheModel(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "w.bin", append([]byte("12345678"), twoFloats...))
	write(t, dir, filepath.Join("sub", "w.bin"), twoFloats)
	if err := os.Symlink("w.bin", filepath.Join(dir, "link.bin")); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct {
		name string
		w    msg
	}{
		{"with offset and length", external(onnxio.Float, "w.bin", "offset", "8", "length", "8")},
		{"without length", external(onnxio.Float, "w.bin", "offset", "8")},
		{"in a folder below", external(onnxio.Float, "sub/w.bin")},
		{"in a folder below, as Windows writes it", external(onnxio.Float, `sub\w.bin`)},
		{"through a link that stays inside", external(onnxio.Float, "link.bin", "offset", "8")},
		{"by way of a folder and back", external(onnxio.Float, "sub/../w.bin", "offset", "8")},
		{"with a checksum, which is not looked at", external(onnxio.Float, "sub/w.bin", "checksum", "0")},
	} {
		m := open(t, write(t, dir, "m.onnx", model(c.w)))
		if raw, err := m.Graph.Initializers[0].Raw(); err != nil || !bytes.Equal(raw, twoFloats) {
			t.Errorf("%s: %x %v", c.name, raw, err)
		}
		m.Close()
	}
}

func TestExternalDataThatIsNotThereOrNotOursIsRefused(t *testing.T) {
	outer := t.TempDir()
	dir := filepath.Join(outer, "models")
	if err := os.MkdirAll(filepath.Join(dir, "folder"), 0o777); err != nil {
		t.Fatal(err)
	}
	secret := write(t, outer, "secret.bin", twoFloats)
	write(t, dir, "short.bin", twoFloats[:7])
	for link, to := range map[string]string{"out.bin": secret, "up.bin": filepath.Join("..", "secret.bin"), "up": outer, "loop.bin": "loop.bin"} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Skip(err)
		}
	}
	for _, c := range []struct {
		name, want string
		w          msg
	}{
		{"missing", "no such file", external(onnxio.Float, "nothing.bin")},
		{"too short", "has 7 bytes", external(onnxio.Float, "short.bin")},
		{"an offset beyond the end", "has 7 bytes", external(onnxio.Float, "short.bin", "offset", "100")},
		{"an offset that overflows", "has 7 bytes", external(onnxio.Float, "short.bin", "offset", "9223372036854775807")},
		{"a negative offset", "has 7 bytes", external(onnxio.Float, "short.bin", "offset", "-4")},
		{"a length that does not fit the dims", "needs 8", external(onnxio.Float, "short.bin", "length", "4")},
		{"a length that is no number", "not a number", external(onnxio.Float, "short.bin", "length", "many")},
		{"an absolute path", "leaves the model's folder", external(onnxio.Float, secret)},
		{"a path upwards", "leaves the model's folder", external(onnxio.Float, "../secret.bin")},
		{"a path upwards, as Windows writes it", "leaves the model's folder", external(onnxio.Float, `..\secret.bin`)},
		{"a path down and up", "leaves the model's folder", external(onnxio.Float, "folder/../../secret.bin")},
		{"a link out of the folder", "a link that leaves", external(onnxio.Float, "out.bin")},
		{"a relative link out of the folder", "a link that leaves", external(onnxio.Float, "up.bin")},
		{"a folder that is a link out", "a link that leaves", external(onnxio.Float, "up/secret.bin")},
		{"a link to itself", "loop.bin", external(onnxio.Float, "loop.bin")},
		{"a folder", "not a regular file", external(onnxio.Float, "folder")},
		{"no location", "without a location", tensor(onnxio.Float, 2).int(14, 1)},
		{"strings", "strings can not", external(onnxio.String, "short.bin")},
		{"an unknown type", "no raw form", external(onnxio.Undefined, "short.bin")},
	} {
		path := write(t, dir, "m.onnx", model(c.w))
		m, err := onnxio.Open(path)
		says(t, c.name, err, path, c.want)
		if err == nil {
			m.Close()
		}
	}
}

func TestAModelInMemoryHasNoExternalData(t *testing.T) {
	m, err := onnxio.Parse(model(external(onnxio.Float, "w.bin")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.Graph.Initializers[0].Raw()
	says(t, "Raw", err, "not read from a file")
	says(t, "Save", m.Save(filepath.Join(t.TempDir(), "m.onnx")), "not read from a file")
	c := m.Clone()
	c.SetMetadata("k", "v")
	says(t, "Save of a clone", c.Save(filepath.Join(t.TempDir(), "m.onnx")), "not read from a file")
}

// twoPart writes a model with one external and one inner tensor.
func twoPart(t *testing.T, dir, data string) *onnxio.Model {
	write(t, dir, data, twoFloats)
	return open(t, write(t, dir, "in.onnx", model(external(onnxio.Float, data), tensor(onnxio.Float, 2).bytes(9, twoFloats))))
}

// holds checks that a saved model has the two tensors of twoPart.
func holds(t *testing.T, path string) {
	t.Helper()
	m := open(t, path)
	for i, w := range m.Graph.Initializers {
		if raw, err := w.Raw(); err != nil || !bytes.Equal(raw, twoFloats) {
			t.Errorf("tensor %d of %s: %x %v", i, filepath.Base(path), raw, err)
		}
	}
}

func TestAnUnchangedModelTakesItsDataFileAlong(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	m := twoPart(t, in, "w.bin")
	to := filepath.Join(out, "m.onnx")
	if err := m.Save(to); err != nil {
		t.Fatal(err)
	}
	holds(t, to)
	if got := files(t, out); !slices.Equal(got, []string{"m.onnx", "w.bin"}) {
		t.Errorf("files %v", got)
	}
	beside := filepath.Join(in, "copy.onnx")
	if err := m.Save(beside); err != nil {
		t.Fatal(err)
	}
	holds(t, beside)
	if got := files(t, in); !slices.Equal(got, []string{"copy.onnx", "in.onnx", "w.bin"}) {
		t.Errorf("beside the input, the data is there already: files %v", got)
	}
}

func TestADataFileOfTheSameNameIsNotOverwritten(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	m := twoPart(t, in, "w.bin")
	other := write(t, out, "w.bin", []byte("somebody else's"))
	to := filepath.Join(out, "m.onnx")
	if err := m.Save(to); err != nil {
		t.Fatal(err)
	}
	holds(t, to)
	if got, _ := os.ReadFile(other); string(got) != "somebody else's" {
		t.Errorf("the other file is %q", got)
	}
	if got := files(t, out); !slices.Equal(got, []string{"m.onnx", "m.onnx.data", "w.bin"}) {
		t.Errorf("files %v", got)
	}
}

func TestADataFileIsNeverTheModelItself(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	m := twoPart(t, in, "m.onnx") // the data file's name is that of the output
	to := filepath.Join(out, "m.onnx")
	if err := m.Save(to); err != nil {
		t.Fatal(err)
	}
	holds(t, to)
}

func TestAChangedModelGetsADataFileOfItsOwn(t *testing.T) {
	in, out := t.TempDir(), t.TempDir()
	m := twoPart(t, in, "w.bin").Clone()
	m.SetMetadata("k", "v")
	to := filepath.Join(out, "m.onnx")
	write(t, out, "m.onnx.data", bytes.Repeat([]byte("stale"), 9999))
	if err := m.Save(to); err != nil {
		t.Fatal(err)
	}
	holds(t, to)
	if got := files(t, out); !slices.Equal(got, []string{"m.onnx", "m.onnx.data"}) {
		t.Errorf("files %v", got)
	}
	if st, err := os.Stat(to + ".data"); err != nil || st.Size() != int64(len(twoFloats)) {
		t.Errorf("the data file is not the new one alone: %v %v", st.Size(), err)
	}
	// once cut, no tensor is external any more
	if err := m.Graph.Initializers[0].Cut([][]int{{1}}); err != nil {
		t.Fatal(err)
	}
	single := filepath.Join(t.TempDir(), "m.onnx")
	if err := m.Save(single); err != nil {
		t.Fatal(err)
	}
	if got, err := open(t, single).Graph.Initializers[0].Float32s(); err != nil || !slices.Equal(got, []float32{-2}) {
		t.Errorf("cut external data: %v %v, want [-2]", got, err)
	}
}

func TestTheInputsDataFileIsNeverOverwritten(t *testing.T) {
	dir := t.TempDir()
	m := twoPart(t, dir, "out.onnx.data")
	c := m.Clone()
	c.SetMetadata("k", "v")
	says(t, "its data file's name", c.Save(filepath.Join(dir, "out.onnx")), "out.onnx.data", "choose another name")
	says(t, "the data file itself", c.Save(filepath.Join(dir, "out.onnx.data")), "choose another name")
	if got, _ := os.ReadFile(filepath.Join(dir, "out.onnx.data")); !bytes.Equal(got, twoFloats) {
		t.Errorf("the input's data changed: %x", got)
	}
	if err := m.Save(filepath.Join(dir, "out.onnx")); err != nil { // unchanged, it shares the data
		t.Error(err)
	}
	holds(t, filepath.Join(dir, "out.onnx"))
}
