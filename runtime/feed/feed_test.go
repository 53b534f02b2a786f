package feed_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// npy writes a file of NumPy's format by hand.
func npy(version byte, header string, elements ...byte) []byte {
	b := append([]byte("\x93NUMPY"), version, 0)
	if version == 1 {
		b = binary.LittleEndian.AppendUint16(b, uint16(len(header)))
	} else {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(header)))
	}
	return append(append(b, header...), elements...)
}

func head(descr, order, shape string) string {
	return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }\n"
}

func half(bits ...uint16) *value.Tensor {
	return &value.Tensor{Type: onnxio.Float16, Shape: []int{len(bits)}, Data: bits}
}

func TestNumPyFilesAreRead(t *testing.T) {
	for _, c := range []struct {
		title string
		file  []byte
		want  *value.Tensor
	}{
		{"float32", npy(1, head("<f4", "False", "(2,)"), 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0), value.From([]float32{1, -2}, 2)},
		{"float32 with the high byte first", npy(1, head(">f4", "False", "(2,)"), 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0), value.From([]float32{1, -2}, 2)},
		{"float64, version 2", npy(2, head("<f8", "False", "()"), 0, 0, 0, 0, 0, 0, 0xf0, 0x3f), value.From([]float64{1})},
		{"float16", npy(1, head("<f2", "False", "(2,)"), 0, 0x3c, 0, 0xc0), half(0x3c00, 0xc000)},
		{"bool, version 3", npy(3, head("|b1", "False", "(3,)"), 1, 0, 1), value.From([]bool{true, false, true}, 3)},
		{"int8", npy(1, head("|i1", "False", "(2,)"), 0xff, 5), value.From([]int8{-1, 5}, 2)},
		{"uint16", npy(1, head("<u2", "False", "(1,)"), 1, 2), value.From([]uint16{0x201}, 1)},
		{"int64", npy(1, head("<i8", "False", "(1, 1)"), 0xfe, 255, 255, 255, 255, 255, 255, 255), value.From([]int64{-2}, 1, 1)},
		{"complex64 with the high byte first", npy(1, head(">c8", "False", "(1,)"), 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0), value.From([]complex64{1 - 2i}, 1)},
		{"columns first", npy(1, head("|u1", "True", "(2, 3)"), 1, 4, 2, 5, 3, 6), value.From([]uint8{1, 2, 3, 4, 5, 6}, 2, 3)},
		{"empty", npy(1, head("<f4", "False", "(0, 4)")), value.From([]float32{}, 0, 4)},
		{"text", npy(1, head("<U2", "False", "(2,)"), 'a', 0, 0, 0, 0, 0, 0, 0, 'b', 0, 0, 0, 0xe9, 0, 0, 0), value.From([]string{"a", "bé"}, 2)},
		{"bytes", npy(1, head("|S2", "False", "(2,)"), 'a', 0, 'b', 'c'), value.From([]string{"a", "bc"}, 2)},
	} {
		t.Run(c.title, func(t *testing.T) {
			got, err := feed.ParseNPY(c.file)
			if err != nil {
				t.Fatal(err)
			}
			same(t, got, c.want)
			b, err := feed.NPY(c.want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err = feed.ParseNPY(b); err != nil {
				t.Fatal(err)
			}
			same(t, got, c.want)
		})
	}
}

func same(t *testing.T, got, want *value.Tensor) {
	t.Helper()
	if got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) || !reflect.DeepEqual(got.Data, want.Data) {
		t.Errorf("got %v %v, want %v %v", got, got.Data, want, want.Data)
	}
}

func TestNumPyFilesAreWrittenAsNumPyWritesThem(t *testing.T) {
	got, err := feed.NPY(value.From([]uint8{7, 8}, 2))
	if err != nil {
		t.Fatal(err)
	}
	header := "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }"
	want := npy(1, header+strings.Repeat(" ", 128-10-1-len(header))+"\n", 7, 8)
	if len(header)+11 <= 64 {
		t.Fatal("the header fits into 64 bytes")
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBrokenNumPyFilesAreRefused(t *testing.T) {
	for _, c := range []struct {
		title, message string
		file           []byte
	}{
		{"not NumPy", "magic", []byte("hello, world")},
		{"cut in the header", "EOF", npy(1, head("<f4", "False", "(2,)"))[:20]},
		{"too few elements", "says 8 bytes", npy(1, head("<f4", "False", "(2,)"), 1, 2, 3)},
		{"records", "records", npy(1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }")},
		{"objects", "no counterpart", npy(1, head("|O", "False", "(1,)"), 1)},
		{"a shape that overflows", "too large", npy(1, head("<f4", "False", "(4294967296, 4294967296)"))},
		{"a later version", "version 4", npy(4, head("<f4", "False", "()"))},
	} {
		if _, err := feed.ParseNPY(c.file); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%s: got %v, want %q", c.title, err, c.message)
		}
	}
}

func input(elem onnxio.DataType, dims ...int64) *onnxio.ValueInfo {
	var shape []onnxio.Dim
	for _, d := range dims {
		if d < 0 {
			shape = append(shape, onnxio.Dim{})
		} else {
			shape = append(shape, onnxio.Fixed(d))
		}
	}
	return onnxio.NewValueInfo("x", onnxio.TensorType(elem, shape...))
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAnArchiveIsReadByTheInputsName(t *testing.T) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, v := range map[string]byte{"x.npy": 7, "y.npy": 9} {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(npy(1, head("|u1", "False", "(1,)"), v))
	}
	z.Close()
	path := write(t, "a.npz", b.Bytes())
	got, _, err := feed.Read(path, input(onnxio.Uint8, 1), nil, preprocess.Recipe{})
	if err != nil {
		t.Fatal(err)
	}
	same(t, got.(*value.Tensor), value.From([]uint8{7}, 1))
	if _, err := feed.ReadNPZ(path, "z"); err == nil || !strings.Contains(err.Error(), `no array "z"`) {
		t.Errorf("got %v", err)
	}
}

func TestValuesAreConvertedOnlyWhereNothingIsLost(t *testing.T) {
	doubles := npy(1, head("<f8", "False", "(1,)"), 0, 0, 0, 0, 0, 0, 0xf8, 0x3f) // 1.5
	big := npy(1, head("<i8", "False", "(1,)"), 0, 1, 0, 0, 0, 0, 0, 0)           // 256
	for _, c := range []struct {
		title string
		file  []byte
		in    *onnxio.ValueInfo
		want  *value.Tensor
		note  string
	}{
		{"float64 to float32", doubles, input(onnxio.Float, 1), value.From([]float32{1.5}, 1), "f.npy, converted from float64 to float32"},
		{"float64 to int64", doubles, input(onnxio.Int64, 1), nil, ""},
		{"256 to int32", big, input(onnxio.Int32, -1), value.From([]int32{256}, 1), "f.npy, converted from int64 to int32"},
		{"256 to uint8", big, input(onnxio.Uint8, 1), nil, ""},
		{"256 to float32", big, input(onnxio.Float, 1), value.From([]float32{256}, 1), "f.npy, converted from int64 to float32"},
		{"another shape", big, input(onnxio.Int64, 2), nil, ""},
	} {
		got, note, err := feed.Read(write(t, "f.npy", c.file), c.in, nil, preprocess.Recipe{})
		if c.want == nil {
			if err == nil {
				t.Errorf("%s: not refused: %v", c.title, got)
			}
			continue
		}
		if err != nil || note != c.note {
			t.Errorf("%s: %q %v", c.title, note, err)
			continue
		}
		same(t, got.(*value.Tensor), c.want)
	}
}

func TestTensorProtosAreReadAndWritten(t *testing.T) {
	// dims: 2, data_type: 1 (float), raw_data: 1.0 -2.0, name: "x"
	hand := []byte{0x08, 2, 0x10, 1, 0x42, 1, 'x', 0x4a, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0}
	want := value.From([]float32{1, -2}, 2)
	got, err := feed.ParsePB(hand, nil)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got.(*value.Tensor), want)
	path := filepath.Join(t.TempDir(), "x.pb")
	if err := feed.Write(path, "x", want); err != nil {
		t.Fatal(err)
	}
	v, from, err := feed.Read(path, input(onnxio.Float, 2), nil, preprocess.Recipe{})
	if err != nil || from != "x.pb" {
		t.Fatal(from, err)
	}
	same(t, v.(*value.Tensor), want)
	// A SequenceProto of two such tensors: elem_type 1, tensor_values twice.
	list := append([]byte{0x10, 1}, slices.Repeat(append([]byte{0x1a, byte(len(hand))}, hand...), 2)...)
	seq, err := feed.ParsePB(list, &onnxio.Type{Kind: onnxio.KindSequence, Of: onnxio.TensorType(onnxio.Float, onnxio.Fixed(2))})
	if err != nil || len(seq.(*value.Sequence).Items) != 2 {
		t.Errorf("got %v %v", seq, err)
	}
	if _, err := feed.ParsePB([]byte{0xff}, nil); err == nil {
		t.Error("a broken message was read")
	}
}

func TestPicturesAreFedAsStated(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	img.Set(0, 0, color.NRGBA{255, 0, 51, 255})
	img.Set(1, 0, color.NRGBA{0, 102, 0, 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	file := write(t, "p.png", b.Bytes())
	for _, c := range []struct {
		how  string
		in   *onnxio.ValueInfo
		want []float64
		from string
	}{
		{"", input(onnxio.Float, 1, 3, -1, -1), []float64{1, 0, 0, .4, .2, 0}, "p.png: 2x1 pixels, RGB, 0..1 (divided by 255), NCHW"},
		{"bgr", input(onnxio.Float, 1, 3, -1, -1), []float64{.2, 0, 0, .4, 1, 0}, "p.png: 2x1 pixels, BGR, 0..1 (divided by 255), NCHW"},
		{"", input(onnxio.Uint8, 1, -1, -1, 3), []float64{255, 0, 51, 0, 102, 0}, "p.png: 2x1 pixels, RGB, 0..255, NHWC"},
		{"scale=1,mean=5:2:1,std=2:1:5", input(onnxio.Float, 1, 3, -1, -1), []float64{125, -2.5, -2, 100, 10, -.2},
			"p.png: 2x1 pixels, RGB, 0..255, minus [5 2 1], divided by [2 1 5], NCHW"},
		{"size=2x2,letterbox,fill=51", input(onnxio.Float, 1, 3, -1, -1), []float64{1, 0, .2, .2, 0, .4, .2, .2, .2, 0, .2, .2},
			"p.png: 2x1 pixels letterboxed to 2x2 over grey 51, RGB, 0..1 (divided by 255), NCHW"},
		{"nhwc", input(onnxio.Float, 1, 1, 2, 3), []float64{1, 0, .2, 0, .4, 0}, "p.png: 2x1 pixels, RGB, 0..1 (divided by 255), NHWC"},
	} {
		p, err := preprocess.Parse(c.how)
		if err != nil {
			t.Fatal(err)
		}
		v, from, err := feed.Read(file, c.in, nil, p)
		if err != nil {
			t.Errorf("%q: %v", c.how, err)
			continue
		}
		got, _ := v.(*value.Tensor).Floats()
		if from != c.from || !slices.EqualFunc(got, c.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-6 }) {
			t.Errorf("%q: got %v, %q; want %v, %q", c.how, got, from, c.want, c.from)
		}
	}
	for _, bad := range []string{"nonsense", "size=0", "scale=0", "scale=1/0", "std=0", "fill=300", "mean=a"} {
		if _, err := preprocess.Parse(bad); err == nil {
			t.Errorf("%q was not refused", bad)
		}
	}
}

func TestInputsByChanceSuitTheirUse(t *testing.T) {
	b := testmodels.New(17)
	image := b.Input("image", onnxio.Float, "N", 3, -1, -1)
	b.Input("raw", onnxio.Uint8, 1, 16, 24, 3)
	b.Input("im_size", onnxio.Int32, "N", 2)
	b.Input("im_info", onnxio.Float, 1, 3)
	b.Input("scale_factor", onnxio.Float, 1, 2)
	b.Input("sr", onnxio.Int64, []int64{})
	b.Input("attention_mask", onnxio.Int64, "N", "sequence")
	b.Input("input_mask", onnxio.Float, 1, 1, 4, 4)
	b.Input("input_ids", onnxio.Int64, "N", "sequence")
	b.Input("rois", onnxio.Float, "n", 4)
	b.Input("flags", onnxio.Bool, 3)
	b.Input("words", onnxio.String, 2)
	b.Output(b.Conv("conv", image, 3, 4, 3), onnxio.Float, "N", 4, -1, -1)
	m := b.Model()
	ins, err := feed.Make(m, feed.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]feed.Input{}
	for _, in := range ins {
		at[in.Name] = in
	}
	for name, want := range map[string]*value.Tensor{
		"im_size": value.From([]int32{320, 320}, 1, 2), "im_info": value.From([]float32{320, 320, 1}, 1, 3),
		"scale_factor": value.From([]float32{1, 1}, 1, 2), "sr": value.From([]int64{16000}),
		"attention_mask": value.From(slices.Repeat([]int64{1}, 8), 1, 8), "input_mask": value.From(make([]float32, 16), 1, 1, 4, 4),
		"flags": value.From([]bool{true, false, true}, 3), "words": value.From([]string{"a", "a"}, 2),
	} {
		same(t, at[name].Value.(*value.Tensor), want)
	}
	for name, c := range map[string]struct {
		shape     []int
		low, high float64
	}{
		"image": {[]int{1, 3, 320, 320}, 0, 1}, "raw": {[]int{1, 16, 24, 3}, 0, 255}, "input_ids": {[]int{1, 8}, 1, 9}, "rois": {[]int{3, 4}, 0, 320},
	} {
		x := at[name].Value.(*value.Tensor)
		vs, _ := x.Floats()
		if !slices.Equal(x.Shape, c.shape) || slices.Min(vs) < c.low || slices.Max(vs) > c.high || slices.Min(vs) == slices.Max(vs) {
			t.Errorf("%s is %v in %v..%v, want %v in %v..%v", name, x.Shape, slices.Min(vs), slices.Max(vs), c.shape, c.low, c.high)
		}
	}
	if from := at["image"].From; from != "random, like a picture in 0..1; the model leaves its size open, taken: height 320, width 320" {
		t.Errorf("the picture says %q", from)
	}
	again, err := feed.Make(m, feed.Options{Seed: 7})
	if err != nil || !reflect.DeepEqual(ins, again) {
		t.Errorf("the same seed gives other inputs (%v)", err)
	}
	other, err := feed.Make(m, feed.Options{Seed: 8})
	if err != nil || reflect.DeepEqual(ins, other) {
		t.Errorf("another seed gives the same inputs (%v)", err)
	}
}

func TestAPictureByChanceIsNoWhiteNoise(t *testing.T) {
	b := testmodels.New(17)
	b.Output(b.Relu(b.Input("x", onnxio.Float, 1, 1, 64, 64)), onnxio.Float, 1, 1, 64, 64)
	ins, err := feed.Make(b.Model(), feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	vs, _ := ins[0].Value.(*value.Tensor).Floats()
	mean := 0.0
	for _, v := range vs {
		mean += v / float64(len(vs))
	}
	spread, step := 0.0, 0.0
	for i := 1; i < len(vs); i++ {
		spread += math.Pow(vs[i]-mean, 2)
		step += math.Pow(vs[i]-vs[i-1], 2)
	}
	if ratio := step / spread; ratio > 0.5 { // of white noise it is 2
		t.Errorf("neighbours differ by %.2f of the variance", ratio)
	}
}

func TestGivenShapesAreTakenAndShared(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N", 3, "H", "W")
	b.Input("y", onnxio.Float, "N", 2)
	b.Output(b.Relu(x), onnxio.Float, "N", 3, "H", "W")
	m := b.Model()
	ins, err := feed.Make(m, feed.Options{Shapes: map[string][]int64{"x": {2, -1, 40, 48}}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]int{{2, 3, 40, 48}, {2, 2}} {
		if got := ins[i].Value.(*value.Tensor).Shape; !slices.Equal(got, want) {
			t.Errorf("%s has the shape %v, want %v", ins[i].Name, got, want)
		}
	}
	for _, bad := range []map[string][]int64{{"z": {1}}, {"x": {1, 3, 8}}, {"x": {1, 4, 8, 8}}} {
		if _, err := feed.Make(m, feed.Options{Shapes: bad}); err == nil {
			t.Errorf("%v was not refused", bad)
		}
	}
}
