package feed

// Pictures as inputs: decoded, brought to the input's size, and written in the input's layout and numbers. How,
// is part of the input: it is told in words, since a wrong order of channels makes a detector blind without any error.

import (
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // decoders register themselves
	_ "image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	_ "golang.org/x/image/bmp"
	"golang.org/x/image/draw"
	_ "golang.org/x/image/webp"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// Fit says how a picture is brought to the input's size.
type Fit string

// The ways of fitting.
const (
	Stretch   Fit = "stretch"   // width and height each scaled by themselves
	Letterbox Fit = "letterbox" // scaled as a whole, put into the middle, the rest filled
)

// Picture says what is done to picture files. The zero value stretches, takes RGB, scales to 0..1 where the input is of floats
// and leaves 0..255 where it is of uint8.
type Picture struct {
	Width, Height int       // in pixels; 0: the input's, and where the input leaves it open the picture's own
	Fit           Fit       // "": Stretch
	Fill          uint8     // grey of what Letterbox leaves over
	BGR           bool      // blue first
	Scale         float64   // pixels in 0..255 are multiplied by it first; 0: 1/255 for floats, 1 for integers
	Mean, Std     []float64 // then (x-mean)/std, per channel in the order of the input; nil: 0 and 1
	Layout        string    // "NCHW" or "NHWC"; "": what the input's shape looks like
}

// ParsePicture reads a preprocessing as users write it: comma-separated words and pairs, lists with colons:
// "size=416x416,letterbox,fill=114,bgr,scale=1/255,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,nchw". Size is width x height.
func ParsePicture(s string) (Picture, error) {
	var p Picture
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		key, text, pair := strings.Cut(strings.ToLower(part), "=")
		var err error
		switch {
		case part == "":
		case !pair && key == "letterbox":
			p.Fit = Letterbox
		case !pair && key == "stretch":
			p.Fit = Stretch
		case !pair && (key == "bgr" || key == "rgb"):
			p.BGR = key == "bgr"
		case !pair && (key == "nchw" || key == "nhwc"):
			p.Layout = strings.ToUpper(key)
		case key == "size" && pair:
			w, h, two := strings.Cut(text, "x")
			if !two {
				h = w
			}
			var e1, e2 error
			p.Width, e1 = strconv.Atoi(w)
			p.Height, e2 = strconv.Atoi(h)
			if err = errors.Join(e1, e2); err == nil && (p.Width < 1 || p.Height < 1 || p.Width > maxSide || p.Height > maxSide) {
				err = errors.New("out of range")
			}
		case key == "fill" && pair:
			var n uint64
			n, err = strconv.ParseUint(text, 10, 8)
			p.Fill = uint8(n)
		case key == "scale" && pair:
			p.Scale, err = number(text)
			if err == nil && p.Scale == 0 {
				err = errors.New("a scale of zero leaves nothing")
			}
		case (key == "mean" || key == "std") && pair:
			var list []float64
			for f := range strings.SplitSeq(text, ":") {
				v, e := number(f)
				err = errors.Join(err, e)
				list = append(list, v)
			}
			if key == "mean" {
				p.Mean = list
			} else if p.Std = list; slices.Contains(list, 0) {
				err = errors.New("a deviation of zero divides by zero")
			}
		default:
			return p, fmt.Errorf("preprocessing %q is not known; there are size=WxH, letterbox, stretch, fill=, rgb, bgr, scale=, mean=, std=, nchw and nhwc", part)
		}
		if err != nil {
			return p, fmt.Errorf("preprocessing %q: %w", part, err)
		}
	}
	return p, nil
}

// maxSide bounds pictures, in pixels.
const maxSide = 1 << 14

// number reads a decimal number or a fraction such as 1/255.
func number(s string) (float64, error) {
	a, b, fraction := strings.Cut(s, "/")
	x, err := strconv.ParseFloat(a, 64)
	if err != nil || !fraction {
		return x, err
	}
	y, err := strconv.ParseFloat(b, 64)
	if err == nil && y == 0 {
		err = errors.New("division by zero")
	}
	return x / y, err
}

// readPicture reads a picture file for an input.
func readPicture(path string, in *onnxio.ValueInfo, shape []int, p Picture) (value.Value, string, error) {
	img, err := decode(path)
	if err != nil {
		return nil, "", err
	}
	t, text, err := p.Tensor(img, in.Type, shape)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return t, filepath.Base(path) + ": " + text, nil
}

func decode(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, _, err := image.DecodeConfig(f)
	if err != nil {
		return nil, fmt.Errorf("%s: it is no picture that can be read: %w", path, err)
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxSide || c.Height > maxSide {
		return nil, fmt.Errorf("%s: a picture of %dx%d pixels; from 1 to %d a side are read", path, c.Width, c.Height, maxSide)
	}
	if _, err := f.Seek(0, 0); err != nil {
		return nil, err
	}
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("%s: it is no picture that can be read: %w", path, err)
	}
	return img, nil
}

// Tensor makes an input of a declared type out of a picture, and says in words what was done. shape settles what
// the type leaves open; -1, or nil, leaves it to p and to the picture.
func (p Picture) Tensor(img image.Image, want *onnxio.Type, shape []int) (*value.Tensor, string, error) {
	if want == nil || want.Kind != onnxio.KindTensor || !(want.Elem.IsFloat() || want.Elem == onnxio.Uint8) {
		return nil, "", fmt.Errorf("pictures go into tensors of floats or of uint8, the model wants %v", want)
	}
	sh, a, err := p.place(want, shape)
	if err != nil {
		return nil, "", err
	}
	size := img.Bounds().Size()
	for _, s := range []struct {
		axis, asked, own int
		name             string
	}{{a.h, p.Height, size.Y, "height"}, {a.w, p.Width, size.X, "width"}} {
		switch {
		case sh[s.axis] >= 0 && s.asked > 0 && sh[s.axis] != s.asked:
			return nil, "", fmt.Errorf("a %s of %d is asked for, the model wants %d", s.name, s.asked, sh[s.axis])
		case sh[s.axis] < 0 && s.asked > 0:
			sh[s.axis] = s.asked
		case sh[s.axis] < 0:
			sh[s.axis] = s.own
		}
	}
	if sh[a.c] < 0 {
		sh[a.c] = 3
	}
	for k := range sh {
		if k != a.c && k != a.h && k != a.w && sh[k] != 1 {
			if sh[k] >= 0 {
				return nil, "", fmt.Errorf("one picture is given, the model wants %v", want)
			}
			sh[k] = 1
		}
	}
	if sh[a.h] < 1 || sh[a.w] < 1 || sh[a.h] > maxSide || sh[a.w] > maxSide {
		return nil, "", fmt.Errorf("a picture can not be made %dx%d", sh[a.w], sh[a.h])
	}
	c := sh[a.c]
	if c != 1 && c != 3 {
		return nil, "", fmt.Errorf("pictures have 1 or 3 channels, the model wants %d", c)
	}
	for name, list := range map[string][]float64{"mean": p.Mean, "std": p.Std} {
		if len(list) > 1 && len(list) != c {
			return nil, "", fmt.Errorf("%s has %d numbers for %d channels", name, len(list), c)
		}
	}
	canvas := p.fitted(img, sh[a.w], sh[a.h])
	t := value.New(want.Elem, sh...)
	set(t, p.elements(canvas, want.Elem, sh, a))
	return t, p.describe(size, want.Elem, sh, a), nil
}

// place finds the axes of channels, height and width; -1 stands for extents that are still open.
func (p Picture) place(want *onnxio.Type, shape []int) ([]int, axes, error) {
	var sh []int
	if want.HasShape {
		for _, d := range want.Shape {
			n := -1
			if size, fixed := d.Extent(); fixed {
				n = int(size)
			}
			sh = append(sh, n)
		}
	} else {
		sh = []int{1, -1, -1, -1}
	}
	if shape != nil && len(shape) != len(sh) {
		return nil, axes{}, fmt.Errorf("a shape with %d axes is given, the model wants %v", len(shape), want)
	}
	for k, d := range shape {
		if d >= 0 && sh[k] >= 0 && d != sh[k] {
			return nil, axes{}, fmt.Errorf("the extent %d is given for axis %d, the model wants %v", d, k, want)
		}
		if d >= 0 {
			sh[k] = d
		}
	}
	n := len(sh)
	a, ok := pictureAxes(want.Elem, sh)
	switch {
	case n < 3:
		return nil, a, fmt.Errorf("a picture does not fit into %v", want)
	case p.Layout == "NCHW":
		a = axes{n - 3, n - 2, n - 1}
	case p.Layout == "NHWC":
		a = axes{n - 1, n - 3, n - 2}
	case !ok:
		return nil, a, fmt.Errorf("where %v has its channels can not be told; say nchw or nhwc", want)
	}
	return sh, a, nil
}

// fitted scales a picture onto a canvas of the wanted size. Alpha lies over black.
func (p Picture) fitted(img image.Image, w, h int) *image.RGBA {
	canvas := image.NewRGBA(image.Rect(0, 0, w, h))
	grey := image.Black
	if p.Fit == Letterbox {
		grey = image.NewUniform(color.Gray{p.Fill})
	}
	draw.Draw(canvas, canvas.Bounds(), grey, image.Point{}, draw.Src)
	to := canvas.Bounds()
	size := img.Bounds().Size()
	if p.Fit == Letterbox {
		fw, fh := w, h
		if size.X*h > w*size.Y { // wider than the canvas
			fh = max(1, (size.Y*w+size.X/2)/size.X)
		} else {
			fw = max(1, (size.X*h+size.Y/2)/size.Y)
		}
		to = image.Rect((w-fw)/2, (h-fh)/2, (w-fw)/2+fw, (h-fh)/2+fh)
	}
	if to.Size() == size {
		draw.Draw(canvas, to, img, img.Bounds().Min, draw.Over)
		return canvas
	}
	draw.BiLinear.Scale(canvas, to, img, img.Bounds(), draw.Over, nil)
	return canvas
}

func (p Picture) scale(elem onnxio.DataType) float64 {
	switch {
	case p.Scale != 0:
		return p.Scale
	case elem.IsFloat():
		return 1.0 / 255
	}
	return 1
}

// elements reads the canvas in the order of the input's elements.
func (p Picture) elements(canvas *image.RGBA, elem onnxio.DataType, sh []int, a axes) func(int) float64 {
	c, h, w := sh[a.c], sh[a.h], sh[a.w]
	scale := p.scale(elem)
	at := func(list []float64, ch int, def float64) float64 {
		if len(list) == 0 {
			return def
		}
		return list[min(ch, len(list)-1)]
	}
	return func(k int) float64 {
		ch, pixel := k/(h*w), k%(h*w)
		if a.c > a.w {
			ch, pixel = k%c, k/c
		}
		px := canvas.Pix[pixel/w*canvas.Stride+pixel%w*4:]
		var v float64
		switch {
		case c == 1: // ITU-R BT.601, as image/color and OpenCV weigh
			v = float64((19595*uint32(px[0]) + 38470*uint32(px[1]) + 7471*uint32(px[2]) + 1<<15) >> 16)
		case p.BGR:
			v = float64(px[2-ch])
		default:
			v = float64(px[ch])
		}
		v = (v*scale - at(p.Mean, ch, 0)) / at(p.Std, ch, 1)
		if elem == onnxio.Uint8 {
			return min(255, max(0, float64(int(v+0.5))))
		}
		return v
	}
}

func (p Picture) describe(size image.Point, elem onnxio.DataType, sh []int, a axes) string {
	var parts []string
	switch {
	case size.X == sh[a.w] && size.Y == sh[a.h]:
		parts = append(parts, fmt.Sprintf("%dx%d pixels", size.X, size.Y))
	case p.Fit == Letterbox:
		parts = append(parts, fmt.Sprintf("%dx%d pixels letterboxed to %dx%d over grey %d", size.X, size.Y, sh[a.w], sh[a.h], p.Fill))
	default:
		parts = append(parts, fmt.Sprintf("%dx%d pixels stretched to %dx%d", size.X, size.Y, sh[a.w], sh[a.h]))
	}
	switch {
	case sh[a.c] == 1:
		parts = append(parts, "grey")
	case p.BGR:
		parts = append(parts, "BGR")
	default:
		parts = append(parts, "RGB")
	}
	switch s := p.scale(elem); s {
	case 1:
		parts = append(parts, "0..255")
	case 1.0 / 255:
		parts = append(parts, "0..1 (divided by 255)")
	default:
		parts = append(parts, fmt.Sprintf("0..255 times %.6g", s))
	}
	if p.Mean != nil {
		parts = append(parts, fmt.Sprintf("minus %v", p.Mean))
	}
	if p.Std != nil {
		parts = append(parts, fmt.Sprintf("divided by %v", p.Std))
	}
	if a.c > a.w {
		return strings.Join(append(parts, "NHWC"), ", ")
	}
	return strings.Join(append(parts, "NCHW"), ", ")
}
