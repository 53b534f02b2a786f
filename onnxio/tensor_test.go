package onnxio_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
)

// first parses a model with one initializer and returns it.
func first(t testing.TB, w msg) *onnxio.Tensor {
	t.Helper()
	m, err := onnxio.Parse(model(w))
	if err != nil {
		t.Fatal(err)
	}
	return m.Graph.Initializers[0]
}

// tensor starts a TensorProto with packed dims.
func tensor(elem onnxio.DataType, dims ...int64) msg {
	return msg{}.ints(1, dims...).int(2, int64(elem)).str(8, "w")
}

// Each case stores the same kind of thing in another field of TensorProto, as onnx.proto says it may lie.
var encodings = []struct {
	name   string
	stored msg
	raw    string // little-endian, dense
}{
	{"float32 in raw_data", tensor(onnxio.Float, 1).bytes(9, []byte("\x00\x00\x80\x3f")), "\x00\x00\x80\x3f"},
	{"float32 in float_data, packed", tensor(onnxio.Float, 2).bytes(4, []byte("\x00\x00\x80\x3f\x00\x00\x00\xc0")), "\x00\x00\x80\x3f\x00\x00\x00\xc0"},
	{"float32 in float_data, one field each", tensor(onnxio.Float, 2).float(4, 1).float(4, -2), "\x00\x00\x80\x3f\x00\x00\x00\xc0"},
	{"float32 in float_data, packed in two parts", tensor(onnxio.Float, 2).bytes(4, []byte("\x00\x00\x80\x3f")).float(4, -2), "\x00\x00\x80\x3f\x00\x00\x00\xc0"},
	{"float32 in float_data beside an empty raw_data", tensor(onnxio.Float, 1).bytes(9, nil).float(4, 1), "\x00\x00\x80\x3f"},
	{"float64 in double_data", tensor(onnxio.Double, 1).double(10, 1), "\x00\x00\x00\x00\x00\x00\xf0\x3f"},
	{"int64 in int64_data, packed", tensor(onnxio.Int64, 2).ints(7, 1, -1), "\x01\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"},
	{"int64 in int64_data, one field each", tensor(onnxio.Int64, 1).int(7, 258), "\x02\x01\x00\x00\x00\x00\x00\x00"},
	{"int32 in int32_data", tensor(onnxio.Int32, 2).ints(5, -2, 258), "\xfe\xff\xff\xff\x02\x01\x00\x00"},
	{"int8 in int32_data", tensor(onnxio.Int8, 3).ints(5, -1, 127, -128), "\xff\x7f\x80"},
	{"uint8 in int32_data", tensor(onnxio.Uint8, 2).ints(5, 255, 1), "\xff\x01"},
	{"bool in int32_data", tensor(onnxio.Bool, 3).ints(5, 1, 0, 1), "\x01\x00\x01"},
	{"int16 in int32_data", tensor(onnxio.Int16, 2).ints(5, -2, 258), "\xfe\xff\x02\x01"},
	{"uint16 in int32_data", tensor(onnxio.Uint16, 1).ints(5, 65535), "\xff\xff"},
	{"float16 in int32_data is its bits", tensor(onnxio.Float16, 2).ints(5, 0x3c00, 0xc000), "\x00\x3c\x00\xc0"},
	{"bfloat16 in int32_data is its bits", tensor(onnxio.BFloat16, 1).ints(5, 0x3f80), "\x80\x3f"},
	{"float8 in int32_data is its bits", tensor(onnxio.Float8E4M3FN, 2).ints(5, 0x38, 0xb8), "\x38\xb8"},
	{"int4 in int32_data, two to a value, low bits first", tensor(onnxio.Int4, 3).ints(5, 0x21, 0x03), "\x21\x03"},
	{"uint32 in uint64_data", tensor(onnxio.Uint32, 1).ints(11, 4294967295), "\xff\xff\xff\xff"},
	{"uint64 in uint64_data", tensor(onnxio.Uint64, 1).ints(11, -1), "\xff\xff\xff\xff\xff\xff\xff\xff"},
	{"complex64 in float_data, real part first", tensor(onnxio.Complex64, 1).float(4, 1).float(4, -2), "\x00\x00\x80\x3f\x00\x00\x00\xc0"},
	{"complex128 in double_data", tensor(onnxio.Complex128, 1).double(10, 1).double(10, 0), "\x00\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x00"},
	{"a scalar without dims", msg{}.int(2, int64(onnxio.Int8)).str(8, "w").bytes(9, []byte{7}), "\x07"},
	{"nothing at all", tensor(onnxio.Float, 3, 0), ""},
}

func TestElementsAreReadWhereverTheyLie(t *testing.T) {
	for _, c := range encodings {
		got, err := first(t, c.stored).Raw()
		if err != nil || string(got) != c.raw {
			t.Errorf("%s: %x %v, want %x", c.name, got, err, c.raw)
		}
	}
}

func TestEveryEncodingCanBeReplacedCutAndCloned(t *testing.T) {
	for _, c := range encodings {
		given := model(c.stored)
		m, err := onnxio.Parse(given)
		if err != nil {
			t.Fatal(err)
		}
		n := m.Clone()
		w := n.Graph.Initializers[0]
		if len(w.Dims) > 0 && w.Dims[0] > 1 && len(c.raw) > 0 { // keep the last element alone
			before := elements(t, w)
			if err := w.Cut([][]int{{int(w.Dims[0]) - 1}}); err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			again := reread(t, n)
			if got := elements(t, again); len(got) != 1 || got[0] != before[len(before)-1] || again.Dims[0] != 1 {
				t.Errorf("%s: cut to %q %v, want the last of %q", c.name, got, again.Dims, before)
			}
		}
		size, _ := w.DataType.Bytes(2)
		fresh := bytes.Repeat([]byte{0x11}, int(size))
		if err := w.SetRaw([]int64{2, 1}, fresh); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		again := reread(t, n)
		if got, err := again.Raw(); err != nil || !bytes.Equal(got, fresh) || !slices.Equal(again.Dims, []int64{2, 1}) || again.Name != w.Name {
			t.Errorf("%s: after SetRaw %x %v %v, want %x [2 1]", c.name, got, again.Dims, err, fresh)
		}
		if one, _ := w.DataType.Bytes(1); one != size && again.SetRaw(nil, fresh) == nil {
			t.Errorf("%s: SetRaw takes bytes that do not fit the dims", c.name)
		}
		if m.Changed() || !bytes.Equal(m.Bytes(), given) {
			t.Errorf("%s: the original changed with the clone", c.name)
		}
	}
}

// reread writes the model, reads it again, and returns its first initializer.
func reread(t *testing.T, m *onnxio.Model) *onnxio.Tensor {
	t.Helper()
	again, err := onnxio.Parse(m.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return again.Graph.Initializers[0]
}

func TestCutKeepsTheNamedIndicesInTheirOrder(t *testing.T) {
	whole := []float32{0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32} // [2,2,3], element = 100*i+10*j+k without the 100
	for _, c := range []struct {
		name string
		kept [][]int
		dims []int64
		want []float32
	}{
		{"everything", [][]int{nil, nil, nil}, []int64{2, 2, 3}, whole},
		{"the outer axis", [][]int{{1}, nil, nil}, []int64{1, 2, 3}, []float32{20, 21, 22, 30, 31, 32}},
		{"the middle axis", [][]int{nil, {1}, nil}, []int64{2, 1, 3}, []float32{10, 11, 12, 30, 31, 32}},
		{"the inner axis", [][]int{nil, nil, {0, 2}}, []int64{2, 2, 2}, []float32{0, 2, 10, 12, 20, 22, 30, 32}},
		{"all axes", [][]int{{1}, {0}, {2}}, []int64{1, 1, 1}, []float32{22}},
		{"turned round and repeated", [][]int{{1, 0}, {1}, {2, 2}}, []int64{2, 1, 2}, []float32{32, 32, 12, 12}},
		{"nothing", [][]int{nil, {}, nil}, []int64{2, 0, 3}, nil},
	} {
		w := onnxio.NewFloats32("w", []int64{2, 2, 3}, whole)
		if err := w.Cut(c.kept); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got, err := w.Float32s(); err != nil || !slices.Equal(got, c.want) || !slices.Equal(w.Dims, c.dims) {
			t.Errorf("%s: %v %v %v, want %v %v", c.name, w.Dims, got, err, c.dims, c.want)
		}
	}
}

func TestCutTwiceAndOfBitsAndOfStrings(t *testing.T) {
	w := onnxio.NewInts64("w", []int64{4, 2}, []int64{0, 1, 10, 11, 20, 21, 30, 31})
	for _, kept := range [][][]int{{{0, 2, 3}, nil}, {{1, 2}, {1}}} {
		if err := w.Cut(kept); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := w.Ints(); !slices.Equal(got, []int64{21, 31}) {
		t.Errorf("cut twice: %v, want [21 31]", got)
	}
	nibbles := onnxio.NewTensor("n", onnxio.Int4, []int64{5}, []byte{0x21, 0x43, 0x05})
	if err := nibbles.Cut([][]int{{4, 0, 2}}); err != nil {
		t.Fatal(err)
	}
	if got, err := nibbles.Raw(); err != nil || !bytes.Equal(got, []byte{0x15, 0x03}) {
		t.Errorf("four-bit elements 5, 1, 3 are %x %v, want 1503", got, err)
	}
	words := onnxio.NewStringTensor("s", []int64{2, 2}, []string{"a", "b", "", "d"})
	if err := words.Cut([][]int{{1}, nil}); err != nil {
		t.Fatal(err)
	}
	if got, err := words.Strings(); err != nil || !slices.Equal(got, []string{"", "d"}) {
		t.Errorf("strings: %q %v", got, err)
	}
}

func TestWrongTensorsAreRefusedByName(t *testing.T) {
	for _, c := range []struct {
		name, want string
		do         func() error
	}{
		{"too few bytes", "needs 8", func() error { _, err := first(t, tensor(onnxio.Float, 2).bytes(9, make([]byte, 4))).Raw(); return err }},
		{"too many bytes", "needs 8", func() error { _, err := first(t, tensor(onnxio.Float, 2).bytes(9, make([]byte, 12))).Raw(); return err }},
		{"no bytes for huge dims", "needs", func() error { _, err := first(t, tensor(onnxio.Float, 1<<40)).Raw(); return err }},
		{"an unknown type", "data type 77", func() error { _, err := first(t, tensor(77, 1).bytes(9, []byte{1})).Raw(); return err }},
		{"strings have no raw form", "no raw form", func() error { _, err := first(t, tensor(onnxio.String, 1).str(6, "a")).Raw(); return err }},
		{"a number too few strings", "1 strings", func() error { _, err := first(t, tensor(onnxio.String, 2).str(6, "a")).Strings(); return err }},
		{"floats are not integers", "not integers", func() error { _, err := onnxio.NewFloats32("w", nil, []float32{1}).Ints(); return err }},
		{"integers are not floats", "not floating", func() error { _, err := onnxio.NewInts64("w", nil, []int64{1}).Float32s(); return err }},
		{"a negative dimension", "negative", func() error { _, err := onnxio.Parse(model(tensor(onnxio.Float, -1))); return err }},
		{"dims whose product overflows", "overflow", func() error { _, err := onnxio.Parse(model(tensor(onnxio.Float, 1<<32, 1<<32))); return err }},
		{"an index beyond the axis", "outside axis 1", func() error { return onnxio.NewFloats32("w", []int64{1, 2}, []float32{1, 2}).Cut([][]int{nil, {2}}) }},
		{"a negative index", "outside axis 0", func() error { return onnxio.NewFloats32("w", []int64{1}, []float32{1}).Cut([][]int{{-1}}) }},
		{"a list too few", "1 index lists for 2 axes", func() error { return onnxio.NewFloats32("w", []int64{1, 1}, []float32{1}).Cut([][]int{nil}) }},
		{"SetRaw of the wrong size", "want 8", func() error { return onnxio.NewFloats32("w", nil, []float32{1}).SetRaw([]int64{2}, make([]byte, 4)) }},
		{"SetRaw with a negative dimension", "negative", func() error { return onnxio.NewFloats32("w", nil, []float32{1}).SetRaw([]int64{-1}, nil) }},
		{"SetRaw of strings", "no raw form", func() error { return onnxio.NewStringTensor("w", nil, []string{"a"}).SetRaw(nil, nil) }},
	} {
		err := c.do()
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `"w"`) {
			t.Errorf("%s: error %v, want one about %q that names the tensor", c.name, err, c.want)
		}
	}
}

func TestNumbersAreWidened(t *testing.T) {
	for _, c := range []struct {
		w    *onnxio.Tensor
		want []float32
	}{
		{onnxio.NewTensor("h", onnxio.Float16, []int64{2}, []byte{0x00, 0x3c, 0x00, 0xc0}), []float32{1, -2}},
		{onnxio.NewTensor("b", onnxio.BFloat16, []int64{1}, []byte{0x80, 0x3f}), []float32{1}},
		{onnxio.NewTensor("d", onnxio.Double, nil, []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x3f}), []float32{1}},
		{onnxio.NewFloats32("f", nil, []float32{math.Pi}), []float32{math.Pi}},
	} {
		if got, err := c.w.Float32s(); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %v %v, want %v", c.w.DataType, got, err, c.want)
		}
	}
	for _, dtype := range []onnxio.DataType{onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64} {
		if got, err := onnxio.NewIntTensor("w", dtype, []int64{2}, []int64{-3, 100}).Ints(); err != nil || !slices.Equal(got, []int64{-3, 100}) {
			t.Errorf("%v: %v %v", dtype, got, err)
		}
	}
	for _, dtype := range []onnxio.DataType{onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64} {
		if got, err := onnxio.NewIntTensor("w", dtype, []int64{1}, []int64{200}).Ints(); err != nil || !slices.Equal(got, []int64{200}) {
			t.Errorf("%v: %v %v", dtype, got, err)
		}
	}
}

func TestACopyHasItsOwnName(t *testing.T) {
	w := onnxio.NewFloats32("w", []int64{2}, []float32{1, 2})
	c := w.Copy("twin")
	if err := c.Cut([][]int{{1}}); err != nil {
		t.Fatal(err)
	}
	if w.Name != "w" || w.Len() != 2 || c.Name != "twin" || c.Len() != 1 {
		t.Errorf("tensor %q of %d, copy %q of %d", w.Name, w.Len(), c.Name, c.Len())
	}
}
