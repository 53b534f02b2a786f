package preprocess_test

import (
	"archive/zip"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/value"
)

func gold(t *testing.T, name string) *picture.Picture {
	t.Helper()
	x, err := feed.ReadNPZ("testdata/gold.npz", name)
	if err != nil {
		t.Fatal(err)
	}
	return &picture.Picture{Width: x.Shape[1], Height: x.Shape[0], Pix: value.Of[uint8](x)}
}

func recipe(t *testing.T, words string) preprocess.Recipe {
	t.Helper()
	r, err := preprocess.Parse(words)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func pixels(h, w int) *onnxio.Type {
	return onnxio.TensorType(onnxio.Uint8, onnxio.Fixed(1), onnxio.Fixed(int64(h)), onnxio.Fixed(int64(w)), onnxio.Fixed(3))
}

func TestPicturesAreLaidAsTheProgramsDoThatModelsComeFrom(t *testing.T) {
	z, err := zip.OpenReader("testdata/gold.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	recipes := map[string]preprocess.Recipe{
		"ultralytics": recipe(t, "letterbox,fill=114"), "yolox": recipe(t, "letterbox-top-left,fill=114"),
		"paddle": recipe(t, "stretch,resample=cubic"), "classifier": recipe(t, "crop,shorter=40,resample=bilinear-antialias"),
	}
	cases := 0
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		program, size, _ := strings.Cut(name, " ")
		if program == "source" {
			continue
		}
		cases++
		source, _, _ := strings.Cut(size, " ")
		want := gold(t, name)
		got, _, how, err := recipes[program].Tensor(gold(t, "source "+source), pixels(want.Height, want.Width), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(value.Of[uint8](got), want.Pix) {
			t.Errorf("%s: other pixels (%s)", name, how)
		}
	}
	if cases != 6*(3*3+1) {
		t.Errorf("%d cases", cases)
	}
}

// A picture with one bright pixel: where it goes, the placement has to say too.
func TestThePlacementIsWhereThePictureLies(t *testing.T) {
	for _, c := range []struct {
		words        string
		w, h         int
		canvas       [2]int // width, height
		shrink       float64
		scale, shift [2]float64
	}{
		{"stretch", 40, 20, [2]int{80, 80}, 0, [2]float64{2, 4}, [2]float64{0, 0}},
		{"letterbox", 40, 20, [2]int{80, 80}, 0, [2]float64{2, 2}, [2]float64{0, 20}},
		{"letterbox", 20, 40, [2]int{80, 80}, 0, [2]float64{2, 2}, [2]float64{20, 0}},
		{"letterbox-top-left", 40, 20, [2]int{80, 80}, 0, [2]float64{2, 2}, [2]float64{0, 0}},
		{"crop,shorter=40", 40, 20, [2]int{40, 40}, 0, [2]float64{2, 2}, [2]float64{-20, 0}},
		{"crop,share=0.5", 40, 20, [2]int{40, 40}, 0, [2]float64{4, 4}, [2]float64{-60, -20}},
		{"crop", 40, 20, [2]int{40, 40}, 0, [2]float64{2, 2}, [2]float64{-20, 0}},
		{"letterbox", 40, 20, [2]int{160, 160}, 0.5, [2]float64{2, 2}, [2]float64{40, 60}},
		{"letterbox-top-left", 40, 20, [2]int{160, 160}, 0.5, [2]float64{2, 2}, [2]float64{0, 0}},
		{"stretch", 40, 20, [2]int{160, 160}, 0.5, [2]float64{2, 4}, [2]float64{0, 0}},
		{"crop,shorter=80", 40, 20, [2]int{80, 80}, 0.5, [2]float64{2, 2}, [2]float64{0, 20}},
	} {
		for _, at := range [][2]int{{20, 10}, {13, 5}, {13, 16}} {
			p := picture.New(c.w, c.h)
			seen := detection.Placement{ScaleX: c.scale[0], ScaleY: c.scale[1], OffsetX: c.shift[0], OffsetY: c.shift[1]}.
				ToCanvas(detection.Box{X0: float64(at[0]), Y0: float64(at[1]), X1: float64(at[0]) + 1, Y1: float64(at[1]) + 1})
			if at[0] >= c.w || at[1] >= c.h || seen.X0 < 0 || seen.Y0 < 0 || seen.X1 > float64(c.canvas[0]) || seen.Y1 > float64(c.canvas[1]) {
				continue // another point of the table is for this picture, or it is cut off
			}
			copy(p.Pix[3*(at[1]*c.w+at[0]):], []uint8{255, 255, 255})
			r := recipe(t, c.words)
			r.Shrink = c.shrink
			got, place, _, err := r.Tensor(p, pixels(c.canvas[1], c.canvas[0]), nil)
			if err != nil {
				t.Fatal(err)
			}
			want := detection.Placement{Width: c.w, Height: c.h, CanvasWidth: c.canvas[0], CanvasHeight: c.canvas[1],
				ScaleX: c.scale[0], ScaleY: c.scale[1], OffsetX: c.shift[0], OffsetY: c.shift[1]}
			if place != want {
				t.Errorf("%s of %dx%d: %+v, want %+v", c.words, c.w, c.h, place, want)
			}
			x, y, sum := 0.0, 0.0, 0.0
			for k, v := range value.Of[uint8](got) {
				pixel := k / 3
				x += float64(v) * (float64(pixel%c.canvas[0]) + 0.5)
				y += float64(v) * (float64(pixel/c.canvas[0]) + 0.5)
				sum += float64(v)
			}
			back := place.ToPicture(detection.Box{X0: x / sum, Y0: y / sum})
			if sum == 0 || math.Abs(back.X0-float64(at[0])-0.5) > 0.1 || math.Abs(back.Y0-float64(at[1])-0.5) > 0.1 {
				t.Errorf("%s: the pixel at %v is found at %.2f, %.2f", c.words, at, back.X0, back.Y0)
			}
		}
	}
}

func TestAnOpenInputFollowsThePicture(t *testing.T) {
	open := onnxio.TensorType(onnxio.Float, onnxio.Fixed(1), onnxio.Fixed(3), onnxio.Dim{}, onnxio.Dim{})
	for _, c := range []struct {
		words string
		w, h  int
		shape []int
		scale float64
	}{
		{"", 50, 30, []int{1, 3, 30, 50}, 1},
		{"multiple=32", 50, 30, []int{1, 3, 32, 64}, 1},
		{"keep-ratio,shorter=60,longer=1333", 50, 30, []int{1, 3, 60, 100}, 2},
		{"keep-ratio,shorter=60,longer=75,multiple=32", 50, 30, []int{1, 3, 64, 96}, 1.5}, // 45x75
		{"keep-ratio,longer=100", 50, 30, []int{1, 3, 60, 100}, 2},
		{"size=40x20", 50, 30, []int{1, 3, 20, 40}, 0.8},
	} {
		x, place, _, err := recipe(t, c.words).Tensor(picture.New(c.w, c.h), open, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x.Shape, c.shape) || place.ScaleX != c.scale {
			t.Errorf("%q: %v, scale %v; want %v, %v", c.words, x.Shape, place.ScaleX, c.shape, c.scale)
		}
	}
}

func TestNumbersLayoutsAndTypes(t *testing.T) {
	p := picture.New(8, 8)
	for k := range 64 {
		copy(p.Pix[3*k:], []uint8{200, 100, 50})
	}
	tensor := func(elem onnxio.DataType, dims ...int64) *onnxio.Type {
		var shape []onnxio.Dim
		for _, d := range dims {
			shape = append(shape, onnxio.Fixed(d))
		}
		return onnxio.TensorType(elem, shape...)
	}
	for _, c := range []struct {
		words string
		want  *onnxio.Type
		first []float64 // of each channel
	}{
		{"", tensor(onnxio.Float, 1, 3, 8, 8), []float64{200. / 255, 100. / 255, 50. / 255}},
		{"bgr,scale=1", tensor(onnxio.Double, 1, 3, 8, 8), []float64{50, 100, 200}},
		{"bgr,scale=1,mean=10:20:30,std=2:4:5", tensor(onnxio.Float, 1, 8, 8, 3), []float64{20, 20, 34}},
		{"", tensor(onnxio.Uint8, 1, 8, 8, 3), []float64{200, 100, 50}},
		{"", tensor(onnxio.Float16, 3, 8, 8), []float64{200. / 255, 100. / 255, 50. / 255}},
		{"scale=1", tensor(onnxio.Float, 1, 1, 8, 8), []float64{124}}, // .299*200 + .587*100 + .114*50 = 124.2
		{"scale=1,mean=24,std=10", tensor(onnxio.Float, 1, 1, 8, 8), []float64{10}},
	} {
		x, _, how, err := recipe(t, c.words).Tensor(p, c.want, nil)
		if err != nil {
			t.Errorf("%q: %v", c.words, err)
			continue
		}
		vs, _ := x.Floats()
		step := 64
		if x.Shape[len(x.Shape)-1] == 3 {
			step = 1
		}
		for ch, want := range c.first {
			if got := vs[ch*step]; math.Abs(got-want) > 1e-3 {
				t.Errorf("%q: channel %d is %v, want %v (%s)", c.words, ch, got, want, how)
			}
		}
	}
	filled, _, _, err := recipe(t, "letterbox,fill=mean,scale=1,mean=10:20:30").Tensor(picture.New(8, 4), tensor(onnxio.Float, 1, 3, 8, 8), nil)
	if err != nil {
		t.Fatal(err)
	}
	if vs := value.Of[float32](filled); vs[0] != 0 || vs[3*8] != -10 {
		t.Errorf("filled with %v around %v", vs[0], vs[3*8])
	}
	for _, c := range []struct {
		words, message string
		want           *onnxio.Type
	}{
		{"", "floats or of uint8", tensor(onnxio.Int64, 1, 3, 8, 8)},
		{"", "does not fit", tensor(onnxio.Float, 3, 8)},
		{"", "say nchw or nhwc", tensor(onnxio.Float, 1, 4, 8, 8)},
		{"nchw", "1 or 3 channels", tensor(onnxio.Float, 1, 4, 8, 8)},
		{"", "one picture is given", tensor(onnxio.Float, 2, 3, 8, 8)},
		{"size=9x9", "9 is asked for", tensor(onnxio.Float, 1, 3, 8, 8)},
		{"mean=1:2", "2 numbers for 3 channels", tensor(onnxio.Float, 1, 3, 8, 8)},
		{"bgr", "the order of channels", tensor(onnxio.Float, 1, 1, 8, 8)},
	} {
		if _, _, _, err := recipe(t, c.words).Tensor(p, c.want, nil); err == nil || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%q into %v: got %v, want %q", c.words, c.want, err, c.message)
		}
	}
}

func TestSettingsAreRead(t *testing.T) {
	r := recipe(t, " size=416x320, LETTERBOX ,fill=7,bgr,scale=1/255,mean=.5:.25:0,std=2,nhwc,resample=area,multiple=32")
	want := preprocess.Recipe{Width: 416, Height: 320, Fit: preprocess.Letterbox, Fill: 7, Order: preprocess.BGR, Scale: 1. / 255, Mean: []float64{.5, .25, 0},
		Std: []float64{2}, Layout: "NHWC", Resample: picture.Area, Multiple: 32}
	if fmt.Sprint(r) != fmt.Sprint(want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
	for _, bad := range []string{"nonsense", "size=0", "size=99999", "size=axb", "scale=0", "scale=1/0", "scale=nan", "std=0", "fill=300", "mean=a", "resample=best", "order=cmyk", "fit=tight", "share=2"} {
		_, err := preprocess.Parse(bad)
		if _, ok := err.(*preprocess.Error); !ok {
			t.Errorf("%q: got %v", bad, err)
		}
	}
	for _, p := range preprocess.Profiles {
		if _, err := preprocess.Parse(p.Settings); err != nil {
			t.Errorf("profile %s: %v", p.Name, err)
		}
	}
}
