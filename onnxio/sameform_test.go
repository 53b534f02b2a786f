package onnxio_test

import (
	"bytes"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

func declaring(dims ...any) *onnxio.Model {
	b := testmodels.New(17)
	b.Output(b.Relu(b.Input("x", onnxio.Float, dims...)), onnxio.Float, dims...)
	return b.Model()
}

// A clone is another model: what is declared in it changes there alone, also for clones that are made later.
func TestChangesOfAClonesDeclarationsStayInIt(t *testing.T) {
	m := declaring("N", 3, 640, 640)
	was := bytes.Clone(m.Bytes())
	for range 2 {
		c := m.Clone()
		if err := c.Graph.Inputs[0].SetExtents(map[int]int64{2: 320}); err != nil {
			t.Fatal(err)
		}
		if err := c.Graph.Outputs[0].SetShape([]onnxio.Dim{onnxio.Fixed(1)}); err != nil {
			t.Fatal(err)
		}
		if m.Graph.Inputs[0].Type.Shape[2].Value != 640 || !bytes.Equal(m.Clone().Bytes(), was) {
			t.Fatal("the model changed with its clone")
		}
		m2 := m.Clone()
		if err := m2.Graph.Inputs[0].SetExtents(map[int]int64{3: 640}); err != nil { // written anew, with the same number
			t.Fatal(err)
		}
		if !bytes.Equal(m2.Bytes(), was) {
			t.Fatal("a clone that was made later holds what an earlier one was given")
		}
	}
}

func TestExtentsThatAreNoNumbersAreNotSet(t *testing.T) {
	m := declaring("N", 3, 640, 640)
	for axis, n := range map[int]int64{0: 1, 4: 1, -1: 1} {
		if err := m.Graph.Inputs[0].SetExtents(map[int]int64{axis: n}); err == nil {
			t.Errorf("axis %d was set", axis)
		}
	}
}

// Elements that are changed and changed back give the bytes that were there, in every form in which a tensor can be stored.
func TestRestoredElementsKeepTheirForm(t *testing.T) {
	raw := onnxio.NewFloats32("t", []int64{2}, []float32{1, 2})
	other, err := onnxio.NewFloats32("t", []int64{3}, []float32{3, 4, 5}).Raw()
	if err != nil {
		t.Fatal(err)
	}
	first, err := raw.Raw()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"raw_data":   {0x08, 2, 0x10, 1, 0x42, 1, 't', 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40},
		"float_data": {0x08, 2, 0x10, 1, 0x22, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0x42, 1, 't'},
		"single":     {0x08, 2, 0x10, 1, 0x25, 0, 0, 0x80, 0x3f, 0x25, 0, 0, 0, 0x40, 0x42, 1, 't'},
		"packed":     {0x0a, 1, 2, 0x10, 1, 0x42, 1, 't', 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40},
	} {
		model := append([]byte{0x08, 8, 0x42, 2, 0x10, 17, 0x3a, byte(2 + len(b)), 0x2a, byte(len(b))}, b...) // ir_version, opset_import, graph, initializer
		m, err := onnxio.Parse(model)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := m.Clone()
		if err := c.Graph.Initializers[0].Restore([]int64{3}, other); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if bytes.Equal(c.Bytes(), model) {
			t.Errorf("%s: nothing changed", name)
		}
		if c, err = onnxio.Parse(c.Bytes()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fs, err := c.Graph.Initializers[0].Float32s(); err != nil || len(fs) != 3 || fs[2] != 5 {
			t.Errorf("%s: it holds %v (%v)", name, fs, err)
		}
		if err := c.Graph.Initializers[0].Restore([]int64{2}, first); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(c.Bytes(), model) {
			t.Errorf("%s: back again it is % x, want % x", name, c.Bytes(), model)
		}
	}
}

func TestMetadataIsReplacedWhereItStands(t *testing.T) {
	m := declaring(1, 3, 64, 64)
	for _, k := range []string{"a", "imgsz", "z"} {
		m.SetMetadata(k, "[64, 64]")
	}
	was := m.Bytes()
	m.ReplaceMetadata("imgsz", "[32, 64]")
	m.ReplaceMetadata("absent", "1")
	if m.Metadata("imgsz") != "[32, 64]" || m.Metadata("absent") != "" || bytes.Equal(m.Bytes(), was) {
		t.Errorf("imgsz is %q, absent %q", m.Metadata("imgsz"), m.Metadata("absent"))
	}
	m.ReplaceMetadata("imgsz", "[64, 64]")
	if !bytes.Equal(m.Bytes(), was) {
		t.Error("back again the bytes are others")
	}
}
