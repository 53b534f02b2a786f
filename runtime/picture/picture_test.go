package picture_test

import (
	"archive/zip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/runtime/feed"
	"onnxprune/runtime/picture"
	"onnxprune/runtime/value"
)

// gold returns a picture that OpenCV or Pillow made: testdata/gold.py.
func gold(t *testing.T, name string) *picture.Picture {
	t.Helper()
	x, err := feed.ReadNPZ("testdata/gold.npz", name)
	if err != nil {
		t.Fatal(err)
	}
	return &picture.Picture{Width: x.Shape[1], Height: x.Shape[0], Pix: value.Of[uint8](x)}
}

// apart returns the largest difference of two pictures and how many bytes differ; -1 where their sizes do.
func apart(a, b *picture.Picture) (most, count int) {
	if a.Width != b.Width || a.Height != b.Height || len(a.Pix) != len(b.Pix) {
		return -1, 0
	}
	for i := range a.Pix {
		d := int(a.Pix[i]) - int(b.Pix[i])
		if d != 0 {
			count++
		}
		most = max(most, d, -d)
	}
	return most, count
}

func TestPicturesAreResizedAsOpenCVAndPillowDo(t *testing.T) {
	z, err := zip.OpenReader("testdata/gold.npz")
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	source := gold(t, "source")
	cases := 0
	for _, f := range z.File {
		name := strings.TrimSuffix(f.Name, ".npy")
		filter, _, ok := strings.Cut(name, " ")
		if !ok {
			continue
		}
		cases++
		want := gold(t, name)
		how, err := picture.ParseFilter(filter)
		if err != nil {
			t.Fatal(err)
		}
		got := source.Resize(want.Width, want.Height, how)
		if most, n := apart(got, want); most != 0 {
			t.Errorf("%s: %dx%d; %d of %d bytes differ, by up to %d", name, got.Width, got.Height, n, len(want.Pix), most)
		}
	}
	if cases != 36 {
		t.Errorf("%d cases", cases)
	}
	if most, n := apart(gold(t, "even").Resize(9, 6, picture.Linear), gold(t, "half")); most != 0 {
		t.Errorf("half: %d bytes differ, by up to %d", n, most)
	}
}

func TestPicturesAreDecodedAsPillowDoes(t *testing.T) {
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	cases := 0
	for _, f := range files {
		if !slices.Contains(picture.Extensions, filepath.Ext(f.Name())) {
			continue
		}
		cases++
		got, err := picture.Read(filepath.Join("testdata", f.Name()))
		if err != nil {
			t.Error(err)
			continue
		}
		want := gold(t, f.Name())
		allowed, few := 0, 0
		if strings.HasSuffix(f.Name(), ".jpg") { // libjpeg's cosine transform rounds in other places than Go's
			allowed, few = 2, max(7, len(want.Pix)/16)
		}
		if most, n := apart(got, want); most < 0 || most > allowed || n > few {
			t.Errorf("%s: %dx%d, not %dx%d; %d of %d bytes differ, by up to %d", f.Name(), got.Width, got.Height, want.Width, want.Height, n, len(want.Pix), most)
		}
	}
	if cases < 25 {
		t.Errorf("%d pictures", cases)
	}
}

func TestTruncatedPicturesAreCalledThat(t *testing.T) {
	for _, name := range []string{"420.jpg", "444.jpg", "grey.jpg", "rgb.png", "rgb.bmp", "lossless.webp"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{len(b) * 2 / 3, len(b) - 40, 30} {
			_, err := picture.Decode(b[:n])
			if err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("%d of %d bytes of %s: %v", n, len(b), name, err)
			} else if n > 100 && strings.HasSuffix(name, "jpg") && !strings.Contains(err.Error(), "truncated") {
				t.Errorf("%d of %d bytes of %s: %v", n, len(b), name, err)
			}
		}
	}
}

func TestBrokenExifIsPassedOver(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "exif6.jpg"))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(string(b), "Exif")
	for i := at; i < at+32; i++ {
		for _, v := range []byte{0, 0xff} {
			c := slices.Clone(b)
			c[i] = v
			if h, err := picture.ParseHeader(c); err != nil || h.Orientation < 1 || h.Orientation > 8 {
				t.Errorf("byte %d is %d: %+v, %v", i-at, v, h, err)
			}
		}
	}
	// The same by hand, with the high byte first: a header, a directory of one entry, orientation 3.
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x03\x00\x00\x00\x00\x00\x00"
	jpeg := "\xff\xd8\xff\xe1" + string([]byte{0, byte(2 + len(exif))}) + exif + string(b[2:])
	if h, err := picture.ParseHeader([]byte(jpeg)); err != nil || h.Orientation != 3 {
		t.Errorf("%+v, %v", h, err)
	}
}
