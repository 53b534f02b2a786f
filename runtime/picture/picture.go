// Package picture reads pictures and changes their size the way the libraries do that detectors were trained with, to the pixel where
// that can be had: libjpeg's upsampling of colour, OpenCV's and Pillow's resizing. A detector is measured by its boxes'
// edges, and half a pixel there costs what a careful prune gains.
package picture

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	_ "image/jpeg" // decoders register themselves
	_ "image/png"
	"io"
	"os"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"
)

// MaxSide bounds width and height of pictures, in pixels.
const MaxSide = 1 << 14

// Extensions are the endings of the files that are read, in lower case.
var Extensions = []string{".png", ".jpg", ".jpeg", ".bmp", ".webp"}

// Picture holds pixels of three bytes, red first, row by row. Alpha is left out, as OpenCV's and Pillow's RGB readers do.
type Picture struct {
	Width, Height int
	Pix           []uint8
}

// New returns a black picture.
func New(width, height int) *Picture {
	return &Picture{width, height, make([]uint8, 3*width*height)}
}

// Header is what a picture's file says before its pixels.
type Header struct {
	Width, Height int    // as stored, before the picture is turned
	Orientation   int    // of EXIF, 1 to 8; 1 where there is none
	Format        string // "jpeg", "png", "webp" or "bmp"
}

// Upright returns width and height after the picture is turned as its EXIF orientation says.
func (h Header) Upright() (width, height int) {
	if h.Orientation >= 5 {
		return h.Height, h.Width
	}
	return h.Width, h.Height
}

// Read reads a picture's file and turns the picture as its EXIF orientation says. Errors name the file.
func Read(path string) (*Picture, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	h, err := ParseHeader(b)
	if err == nil {
		var p *Picture
		if p, err = Decode(b); err == nil {
			return p.Oriented(h.Orientation), nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// ReadHeader reads what a picture's file says before its pixels.
func ReadHeader(path string) (Header, error) {
	f, err := os.Open(path)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	h, err := readHeader(f)
	if err != nil {
		return h, fmt.Errorf("%s: %w", path, err)
	}
	return h, nil
}

// ParseHeader reads the header of a picture that is in memory.
func ParseHeader(b []byte) (Header, error) { return readHeader(bytes.NewReader(b)) }

func readHeader(r io.ReadSeeker) (Header, error) {
	c, format, err := image.DecodeConfig(r)
	if err != nil {
		if n, e := r.Seek(0, io.SeekEnd); e == nil && n == 0 {
			return Header{}, errors.New("the file is empty")
		}
		return Header{}, unreadable(err)
	}
	h := Header{c.Width, c.Height, 1, format}
	if c.Width < 1 || c.Height < 1 || c.Width > MaxSide || c.Height > MaxSide {
		return h, fmt.Errorf("a picture of %dx%d pixels; from 1 to %d a side are read", c.Width, c.Height, MaxSide)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return h, err
	}
	h.Orientation = orientation(r, format)
	return h, nil
}

// Decode decodes a picture as it is stored: Oriented turns it.
func Decode(b []byte) (*Picture, error) {
	h, err := ParseHeader(b)
	if err != nil {
		return nil, err
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, unreadable(err)
	}
	switch m := img.(type) {
	case *image.YCbCr:
		if h.Format == "webp" {
			return fromWebP(m), nil
		}
		return fromJPEG(m), nil
	case *image.NYCbCrA:
		return fromWebP(&m.YCbCr), nil
	}
	return From(img), nil
}

// unreadable says what is wrong with a picture in the words of who has to mend it.
func unreadable(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), err.Error() == "invalid JPEG format: short Huffman data": // what image/jpeg calls it
		return errors.New("the file is truncated: its picture ends too early")
	case errors.Is(err, image.ErrFormat):
		return errors.New("it is no picture that can be read (jpeg, png, webp and bmp are)")
	}
	return fmt.Errorf("it is no picture that can be read: %w", err)
}

// From copies the colours of an image, without its alpha.
func From(img image.Image) *Picture {
	r := img.Bounds()
	p := New(r.Dx(), r.Dy())
	at := 0
	put := func(red, green, blue uint8) {
		p.Pix[at], p.Pix[at+1], p.Pix[at+2] = red, green, blue
		at += 3
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		switch m := img.(type) {
		case *image.RGBA:
			if m.Opaque() {
				row := m.Pix[m.PixOffset(r.Min.X, y):]
				for x := range p.Width {
					put(row[4*x], row[4*x+1], row[4*x+2])
				}
				continue
			}
		case *image.NRGBA:
			row := m.Pix[m.PixOffset(r.Min.X, y):]
			for x := range p.Width {
				put(row[4*x], row[4*x+1], row[4*x+2])
			}
			continue
		case *image.Gray:
			row := m.Pix[m.PixOffset(r.Min.X, y):]
			for _, v := range row[:p.Width] {
				put(v, v, v)
			}
			continue
		}
		for x := r.Min.X; x < r.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			put(c.R, c.G, c.B)
		}
	}
	return p
}

// Oriented returns the picture turned and mirrored as an EXIF orientation (1 to 8) says; others leave it as it is.
func (p *Picture) Oriented(orientation int) *Picture {
	if orientation < 2 || orientation > 8 {
		return p
	}
	w, h := p.Width, p.Height
	out := New(w, h)
	if orientation >= 5 {
		out = New(h, w)
	}
	for y := range out.Height {
		for x := range out.Width {
			sx, sy := x, y
			switch orientation { // where row 0 and column 0 of the stored picture are seen: EXIF 2.3, tag 0x0112
			case 2: // top, right
				sx = w - 1 - x
			case 3: // bottom, right
				sx, sy = w-1-x, h-1-y
			case 4: // bottom, left
				sy = h - 1 - y
			case 5: // left, top
				sx, sy = y, x
			case 6: // right, top
				sx, sy = y, h-1-x
			case 7: // right, bottom
				sx, sy = w-1-y, h-1-x
			case 8: // left, bottom
				sx, sy = w-1-y, x
			}
			copy(out.Pix[3*(y*out.Width+x):][:3], p.Pix[3*(sy*w+sx):])
		}
	}
	return out
}
