package onnxio_test

import (
	"path/filepath"
	"testing"

	"onnxprune/onnxio"
)

func TestWhatIsNoModelIsRefusedWithTheReason(t *testing.T) {
	graph := msg{}.str(2, "g")
	opset := msg{}.int(2, 17)
	node := func(fields msg) []byte {
		return msg{}.bytes(7, graph.bytes(1, append(msg{}.str(4, "Op").str(3, "n"), fields...))).bytes(8, opset)
	}
	deep := func(levels int) msg {
		g := msg{}
		for range levels {
			g = msg{}.bytes(1, msg{}.bytes(5, msg{}.bytes(6, g)))
		}
		return g
	}
	deepType := msg{}
	for range 500 {
		deepType = msg{}.bytes(4, msg{}.bytes(1, deepType))
	}
	for _, c := range []struct {
		name, want string
		b          []byte
	}{
		{"an empty file", "empty", nil},
		{"text", "not a readable ONNX model", []byte("# a README file\n")},
		{"zeros", "not a readable ONNX model", make([]byte, 100)},
		{"no graph", "no graph", msg{}.int(1, 8).bytes(8, opset)},
		{"two graphs", "2 graphs", msg{}.bytes(7, graph).bytes(7, graph).bytes(8, opset)},
		{"no opset", "opset_import is missing", msg{}.int(1, 8).bytes(7, graph)},
		{"a graph that is a number", "field 7 has wire type 0", msg{}.int(7, 1).bytes(8, opset)},
		{"a node's name that is a number", "field 3 has wire type 0", node(msg{}.int(3, 1))},
		{"a length beyond the end", "cut off", append(msg{}.bytes(7, graph), 0x42, 0x7f)},
		{"an integer without end", "cut off", append(msg{}.bytes(7, graph), 0x08, 0xff, 0xff)},
		{"a group without end", "cut off", append(msg{}.bytes(7, graph), 0x0b)},
		{"floats of three bytes", "not a multiple of 4", node(msg{}.bytes(5, msg{}.str(1, "a").bytes(7, []byte{1, 2, 3})))},
		{"an attribute with two graphs of its own", "stands twice", node(msg{}.bytes(5, msg{}.bytes(6, graph).bytes(6, graph)))},
		{"bodies within bodies without end", "nest deeper", msg{}.bytes(7, deep(5000)).bytes(8, opset)},
		{"types within types without end", "nest deeper", msg{}.bytes(7, graph.bytes(11, msg{}.str(1, "x").bytes(2, deepType))).bytes(8, opset)},
	} {
		_, err := onnxio.Parse(c.b)
		says(t, c.name, err, c.want)
		path := write(t, t.TempDir(), "m.onnx", c.b)
		_, err = onnxio.Open(path)
		says(t, c.name, err, path, c.want)
	}
	if _, err := onnxio.Parse(msg{}.bytes(7, deep(30)).bytes(8, opset)); err != nil {
		t.Errorf("30 bodies within one another: %v", err)
	}
}

func TestWhatIsNoFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, err := onnxio.Open(filepath.Join(dir, "missing.onnx"))
	says(t, "a missing file", err, "missing.onnx", "no such file")
	_, err = onnxio.Open(dir)
	says(t, "a folder", err, dir, "folder")
}

// A model that is cut off anywhere must be refused or be a smaller model, and never be the end of the program.
func TestEveryTruncationIsSurvived(t *testing.T) {
	for _, whole := range append(seedModels(t), allKinds()) {
		for n := range whole {
			m, err := onnxio.Parse(whole[:n:n])
			if err == nil {
				visit(t, m, n)
			}
		}
	}
}
