// Package draw draws detections into pictures: a frame around each object in the colour of its class, with the class's name and the score
// above it.
package draw

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	stddraw "image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomedium"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"onnxprune/runtime/detection"
	"onnxprune/runtime/picture"
)

// Mark is one frame and what stands above it.
type Mark struct {
	Box   detection.Box // in pixels of the picture
	Class int           // decides the colour
	Text  string        // "" leaves the label out
}

// Extensions are the endings of the files that Encode writes, in lower case.
var Extensions = []string{".png", ".jpg", ".jpeg"}

// Encode returns a picture as a file of the kind that the path's ending says: PNG, or JPEG of quality 95.
func Encode(path string, img image.Image) ([]byte, error) {
	var b bytes.Buffer
	var err error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".png":
		err = png.Encode(&b, img)
	case ".jpg", ".jpeg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 95})
	default:
		return nil, fmt.Errorf("%s: pictures are written as %s", path, strings.Join(Extensions, ", "))
	}
	return b.Bytes(), err
}

// Marks returns a copy of a picture with marks. The first mark is the most important one: it lies over the others.
func Marks(p *picture.Picture, marks []Mark) (*image.RGBA, error) {
	img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(img.Pix[4*i:4*i+3], p.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 0xff
	}
	longer := float64(max(p.Width, p.Height))
	face, err := faceOf(max(11, longer/50))
	if err != nil {
		return nil, err
	}
	defer face.Close()
	thick := max(1, int(math.Round(longer/320)))
	for i := len(marks) - 1; i >= 0; i-- {
		frame(img, pixels(marks[i].Box), thick, Colour(marks[i].Class))
	}
	l := labels{img: img, face: face, thick: thick}
	places := make([]image.Rectangle, len(marks))
	for i, m := range marks { // the most important ones choose first
		places[i] = l.place(pixels(m.Box), m.Text)
	}
	for i := len(marks) - 1; i >= 0; i-- {
		l.write(places[i], marks[i].Text, Colour(marks[i].Class))
	}
	return img, nil
}

// pixels returns the pixels that a box touches.
func pixels(b detection.Box) image.Rectangle {
	return image.Rect(int(math.Floor(b.X0)), int(math.Floor(b.Y0)), int(math.Ceil(b.X1)), int(math.Ceil(b.Y1)))
}

// frame draws the edge of a rectangle, inwards, so that boxes at the picture's edge are seen as a whole.
func frame(img *image.RGBA, r image.Rectangle, thick int, c color.RGBA) {
	thick = min(thick, max(1, min(r.Dx(), r.Dy())/2))
	fill := func(x0, y0, x1, y1 int) {
		stddraw.Draw(img, image.Rect(x0, y0, x1, y1), image.NewUniform(c), image.Point{}, stddraw.Src)
	}
	fill(r.Min.X, r.Min.Y, r.Max.X, r.Min.Y+thick)
	fill(r.Min.X, r.Max.Y-thick, r.Max.X, r.Max.Y)
	fill(r.Min.X, r.Min.Y, r.Min.X+thick, r.Max.Y)
	fill(r.Max.X-thick, r.Min.Y, r.Max.X, r.Max.Y)
}

// labels places and writes the texts of one picture.
type labels struct {
	img   *image.RGBA
	face  font.Face
	thick int
	taken []image.Rectangle
}

// place finds room for a label: above the box, else inside its top, else below it, else inside its bottom; where all of that is taken, above.
func (l *labels) place(box image.Rectangle, text string) image.Rectangle {
	if text == "" {
		return image.Rectangle{}
	}
	m := l.face.Metrics()
	gap := l.thick + 1
	w, h := font.MeasureString(l.face, text).Ceil()+2*gap+2, (m.Ascent+m.Descent).Ceil()+gap
	bounds := l.img.Bounds()
	x := max(bounds.Min.X, min(box.Min.X, bounds.Max.X-w))
	var fit []image.Rectangle
	for _, y := range []int{box.Min.Y - h, box.Min.Y, box.Max.Y, box.Max.Y - h} {
		r := image.Rect(x, y, x+w, y+h)
		if y < bounds.Min.Y || y+h > bounds.Max.Y {
			continue
		}
		fit = append(fit, r)
		if !l.overlaps(r) {
			l.taken = append(l.taken, r)
			return r
		}
	}
	if len(fit) == 0 { // the picture is lower than a line
		fit = append(fit, image.Rect(x, bounds.Min.Y, x+w, bounds.Min.Y+h))
	}
	l.taken = append(l.taken, fit[0])
	return fit[0]
}

func (l *labels) overlaps(r image.Rectangle) bool {
	for _, t := range l.taken {
		if t.Overlaps(r) {
			return true
		}
	}
	return false
}

func (l *labels) write(at image.Rectangle, text string, c color.RGBA) {
	if text == "" {
		return
	}
	stddraw.Draw(l.img, at, image.NewUniform(c), image.Point{}, stddraw.Src)
	ink := image.Black
	if brightness(c) < 140 {
		ink = image.White
	}
	d := font.Drawer{Dst: l.img, Src: ink, Face: l.face,
		Dot: fixed.P(at.Min.X+l.thick+2, at.Min.Y+(l.thick+1)/2+l.face.Metrics().Ascent.Ceil())}
	d.DrawString(text)
}

// brightness weighs the channels as ITU-R BT.601 does, in 0..255.
func brightness(c color.RGBA) float64 {
	return .299*float64(c.R) + .587*float64(c.G) + .114*float64(c.B)
}

// Colour returns the colour of a class: hues a golden angle apart, so that neighbours differ and no number of classes has to be known.
func Colour(class int) color.RGBA {
	const golden = 0.381966011250105 // of a turn: 2 - the golden ratio
	_, hue := math.Modf(float64(max(class, 0)) * golden)
	value := []float64{1, .85, .95}[max(class, 0)%3]
	const saturation = .8
	channel := func(n float64) uint8 { // https://en.wikipedia.org/wiki/HSL_and_HSV, HSV to RGB alternative
		k := math.Mod(n+hue*6, 6)
		return uint8(math.Round(255 * (value - value*saturation*max(0, min(k, 4-k, 1)))))
	}
	return color.RGBA{channel(5), channel(3), channel(1), 0xff}
}

// medium is the Go font, parsed once.
var medium = sync.OnceValues(func() (*opentype.Font, error) { return opentype.Parse(gomedium.TTF) })

// faceOf returns the font in a size in pixels.
func faceOf(size float64) (font.Face, error) {
	f, err := medium()
	if err != nil {
		return nil, err
	}
	return opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
}
