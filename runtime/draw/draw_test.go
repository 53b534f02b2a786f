package draw

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"

	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
)

func grey(w, h int) *picture.Picture {
	p := picture.New(w, h)
	for i := range p.Pix {
		p.Pix[i] = 100
	}
	return p
}

func drawn(t *testing.T, p *picture.Picture, marks ...Mark) *image.RGBA {
	t.Helper()
	img, err := Marks(p, marks)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

var paper = color.RGBA{100, 100, 100, 255}

func TestFramesLieOnTheEdgesOfBoxes(t *testing.T) {
	p := grey(320, 240) // frames are one pixel thick
	img := drawn(t, p, Mark{Box: detection.Box{X0: 50, Y0: 60, X1: 150, Y1: 160}, Class: 3})
	for _, c := range []struct {
		x, y int
		on   bool
	}{
		{50, 100, true}, {149, 100, true}, {100, 60, true}, {100, 159, true},
		{49, 100, false}, {51, 100, false}, {150, 100, false}, {148, 100, false}, {100, 59, false}, {100, 61, false}, {100, 160, false}, {100, 158, false},
	} {
		want := paper
		if c.on {
			want = Colour(3)
		}
		if got := img.RGBAAt(c.x, c.y); got != want {
			t.Errorf("pixel %d, %d is %v, want %v", c.x, c.y, got, want)
		}
	}
	if p.Pix[3*(100*320+50)] != 100 {
		t.Error("the picture itself is drawn into")
	}
}

func TestLabelsStandWhereThereIsRoom(t *testing.T) {
	count := func(img *image.RGBA, r image.Rectangle, c color.RGBA) (n int) {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			for x := r.Min.X; x < r.Max.X; x++ {
				if img.RGBAAt(x, y) == c {
					n++
				}
			}
		}
		return n
	}
	p, c := grey(320, 240), Colour(0)
	middle := detection.Box{X0: 50, Y0: 60, X1: 150, Y1: 160}
	above := drawn(t, p, Mark{middle, 0, "dog 0.90"})
	if n := count(above, image.Rect(50, 44, 100, 60), c); n < 200 {
		t.Errorf("%d pixels of the label above its box", n)
	}
	if n := count(above, image.Rect(52, 44, 110, 60), c) + count(above, image.Rect(52, 44, 110, 60), paper); n == 58*16 {
		t.Error("the label holds no letters")
	}
	if n := count(above, image.Rect(52, 62, 148, 158), paper); n != 96*96 {
		t.Error("something is drawn inside the box")
	}
	top := detection.Box{X0: 50, Y0: 0, X1: 150, Y1: 160}
	if n := count(drawn(t, p, Mark{top, 0, "dog 0.90"}), image.Rect(52, 2, 100, 16), c); n < 150 {
		t.Errorf("%d pixels of the label inside the top of its box", n)
	}
	both := drawn(t, p, Mark{middle, 0, "dog 0.90"}, Mark{middle, 1, "cat 0.40"})
	if a, b := count(both, image.Rect(51, 44, 100, 60), c), count(both, image.Rect(51, 61, 100, 77), Colour(1)); a < 150 || b < 150 {
		t.Errorf("%d and %d pixels of the labels of one box: they cover each other", a, b)
	}
	right := detection.Box{X0: 300, Y0: 100, X1: 320, Y1: 140}
	if n := count(drawn(t, p, Mark{right, 0, "dog 0.90"}), image.Rect(240, 84, 320, 100), c); n < 300 {
		t.Errorf("%d pixels of a label at the right edge", n)
	}
}

func TestMarksOfAnySizeAreDrawn(t *testing.T) {
	for _, p := range []*picture.Picture{grey(1, 1), grey(3, 200), grey(2000, 5)} {
		drawn(t, p, Mark{detection.Box{X1: float64(p.Width), Y1: float64(p.Height)}, 1 << 40, "a class with a long name 0.12"}, Mark{detection.Box{}, -1, "x"},
			Mark{detection.Box{X0: -1e9, Y0: -1e9, X1: 1e9, Y1: 1e9}, 2, ""})
	}
}

func TestColoursOfNeighboursDiffer(t *testing.T) {
	seen := map[color.RGBA]int{}
	for k := range 90 {
		c := Colour(k)
		if last, ok := seen[c]; ok {
			t.Errorf("classes %d and %d have the colour %v", last, k, c)
		}
		seen[c] = k
	}
	if Colour(0) != (color.RGBA{255, 51, 51, 255}) {
		t.Errorf("the first is %v: hue 0, saturation .8, value 1 is wanted", Colour(0))
	}
}

func TestFilesAreOfTheKindThatTheirNameSays(t *testing.T) {
	img := drawn(t, grey(30, 20), Mark{detection.Box{X1: 30, Y1: 20}, 0, ""})
	b, err := Encode("a.PNG", img)
	if err != nil {
		t.Fatal(err)
	}
	back, err := png.Decode(bytes.NewReader(b))
	if err != nil || back.Bounds() != img.Bounds() {
		t.Fatalf("%v, %v", err, back.Bounds())
	}
	if b, err = Encode("a.jpeg", img); err != nil || !bytes.HasPrefix(b, []byte{0xff, 0xd8}) {
		t.Errorf("%v, %x", err, b[:2])
	}
	if _, err = Encode("a.webp", img); err == nil {
		t.Error("webp is written")
	}
}
