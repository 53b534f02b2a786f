package ops

// ImageDecoder: the pixels of an encoded picture. Decoding must give the same pixels everywhere, so the formats taken are
// those without loss, and JPEG, decoded as libjpeg does it. Lossy WebP and JPEG 2000 are refused: their users
// would compare models on different pictures.

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() { Register("", "ImageDecoder", buildImageDecoder, 20) }

func buildImageDecoder(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	format := n.OneOf("pixel_format", "RGB", "BGR", "Grayscale")
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		if in[0].Type != onnxio.Uint8 || len(in[0].Shape) != 1 {
			return nil, fmt.Errorf("the encoded image is %v, want a list of bytes", in[0])
		}
		img, err := decodeImage(value.Of[uint8](in[0]))
		if err != nil {
			return nil, fmt.Errorf("decoding the image: %w", err)
		}
		return oneOutput(pixelTensor(c, img, format))
	}), nil
}

// maxPixels bounds what an encoded image may unpack to.
const maxPixels = 1 << 28

// imageFormats are told apart by their first bytes.
var imageFormats = []struct {
	magic  string
	config func(b []byte) (image.Config, error)
	decode func(b []byte) (image.Image, error)
}{
	{"\x89PNG\r\n\x1a\n",
		func(b []byte) (image.Config, error) { return png.DecodeConfig(bytes.NewReader(b)) },
		func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) }},
	{"BM",
		func(b []byte) (image.Config, error) { return bmp.DecodeConfig(bytes.NewReader(b)) },
		func(b []byte) (image.Image, error) { return bmp.Decode(bytes.NewReader(b)) }},
	{"II*\x00", tiffConfig, tiffDecode},
	{"MM\x00*", tiffConfig, tiffDecode},
	{"RIFF",
		func(b []byte) (image.Config, error) { return webp.DecodeConfig(bytes.NewReader(b)) },
		func(b []byte) (image.Image, error) { return webp.Decode(bytes.NewReader(b)) }},
	{"\xff\xd8", jpegConfig, jpegDecode},
	{"P5", pnmConfig, pnmDecode},
	{"P6", pnmConfig, pnmDecode},
}

func tiffConfig(b []byte) (image.Config, error) { return tiff.DecodeConfig(bytes.NewReader(b)) }

func tiffDecode(b []byte) (image.Image, error) { return tiff.Decode(bytes.NewReader(b)) }

func decodeImage(b []byte) (image.Image, error) {
	for _, f := range imageFormats {
		if !bytes.HasPrefix(b, []byte(f.magic)) {
			continue
		}
		config, err := f.config(b)
		if err != nil {
			return nil, err
		}
		if config.Width < 0 || config.Height < 0 || config.Width > 0 && config.Height > maxPixels/config.Width {
			return nil, fmt.Errorf("%d x %d pixels are too many", config.Width, config.Height)
		}
		return f.decode(b)
	}
	if bytes.HasPrefix(b, []byte("\x00\x00\x00\x0cjP")) || bytes.HasPrefix(b, []byte("\xff\x4f")) {
		return nil, fmt.Errorf("JPEG 2000 is not supported")
	}
	return nil, fmt.Errorf("the format is not known; known are PNG, BMP, TIFF, lossless WebP, JPEG and PNM")
}

// pixelTensor writes an image as [height, width, channels]. Transparency is dropped, as in the standard's reference.
func pixelTensor(c *Context, img image.Image, format string) (*value.Tensor, error) {
	at, err := pixelReader(img)
	if err != nil {
		return nil, err
	}
	r := img.Bounds()
	channels := 3
	if format == "Grayscale" {
		channels = 1
	}
	out, err := c.New(onnxio.Uint8, r.Dy(), r.Dx(), channels)
	if err != nil {
		return nil, err
	}
	d := value.Of[uint8](out)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			red, green, blue := at(x, y)
			switch format {
			case "RGB":
				d[0], d[1], d[2] = red, green, blue
			case "BGR":
				d[0], d[1], d[2] = blue, green, red
			default: // the luma of ITU-R 601, in 16 bits
				d[0] = uint8((int(red)*19595 + int(green)*38470 + int(blue)*7471 + 1<<15) >> 16)
			}
			d = d[channels:]
		}
	}
	return out, nil
}

// pixelReader returns the stored colour of a pixel, for the layouts that hold 8 bits per channel.
func pixelReader(img image.Image) (func(x, y int) (r, g, b uint8), error) {
	switch img := img.(type) {
	case *image.Gray:
		return func(x, y int) (r, g, b uint8) { v := img.GrayAt(x, y).Y; return v, v, v }, nil
	case *image.NRGBA:
		return func(x, y int) (r, g, b uint8) { v := img.NRGBAAt(x, y); return v.R, v.G, v.B }, nil
	case *image.RGBA:
		return func(x, y int) (r, g, b uint8) { v := img.RGBAAt(x, y); return v.R, v.G, v.B }, nil
	case *image.Paletted:
		palette := make([]color.NRGBA, len(img.Palette))
		for i, p := range img.Palette {
			palette[i] = color.NRGBAModel.Convert(p).(color.NRGBA)
		}
		return func(x, y int) (r, g, b uint8) {
			if i := int(img.ColorIndexAt(x, y)); i < len(palette) {
				return palette[i].R, palette[i].G, palette[i].B
			}
			return 0, 0, 0
		}, nil
	}
	return nil, fmt.Errorf("pixels stored as %s are not supported, only 8 bits per channel without loss",
		strings.TrimPrefix(fmt.Sprintf("%T", img), "*image."))
}

// pnmHeader reads the header of a binary PGM or PPM: its kind, width, height and largest value, with comments.
func pnmHeader(b []byte) (width, height, channels int, pixels []byte, err error) {
	channels = 1
	if b[1] == '6' {
		channels = 3
	}
	var numbers [3]int
	b = b[2:]
	for i := range numbers {
		b = bytes.TrimLeft(b, " \t\r\n\v\f")
		for len(b) > 0 && b[0] == '#' {
			_, b, _ = bytes.Cut(b, []byte("\n"))
			b = bytes.TrimLeft(b, " \t\r\n\v\f")
		}
		digits := 0
		for ; digits < len(b) && digits < 9 && b[digits] >= '0' && b[digits] <= '9'; digits++ {
			numbers[i] = numbers[i]*10 + int(b[digits]-'0')
		}
		if digits == 0 || digits == len(b) {
			return 0, 0, 0, nil, fmt.Errorf("the PNM header is broken")
		}
		b = b[digits:]
	}
	if numbers[2] != 255 {
		return 0, 0, 0, nil, fmt.Errorf("a PNM with values up to %d is not supported, only 255", numbers[2])
	}
	return numbers[0], numbers[1], channels, b[1:], nil
}

func pnmConfig(b []byte) (image.Config, error) {
	w, h, _, _, err := pnmHeader(b)
	return image.Config{Width: w, Height: h}, err
}

func pnmDecode(b []byte) (image.Image, error) {
	w, h, channels, pixels, err := pnmHeader(b)
	if err != nil {
		return nil, err
	}
	if len(pixels) < w*h*channels {
		return nil, fmt.Errorf("%d bytes for %d x %d pixels", len(pixels), w, h)
	}
	rect := image.Rect(0, 0, w, h)
	if channels == 1 {
		return &image.Gray{Pix: pixels, Stride: w, Rect: rect}, nil
	}
	img := image.NewNRGBA(rect)
	for i := range w * h {
		copy(img.Pix[4*i:], pixels[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img, nil
}
