package ops

// JPEG, so that it gives the pixels that libjpeg gives (which the standard's reference is built on): Go's own decoder
// has another inverse transform and another way to bring chroma to full size, and is off by a few units.
// This file reads the markers and the Huffman-coded coefficients of sequential JPEGs (ITU-T T.81); jpeg_pixels.go makes pixels of
// them.

import (
	"fmt"
	"image"
)

type jpegDecoder struct {
	rest          []byte
	width, height int
	quantization  [4]*[64]int32
	huffman       [2][4]*huffmanTable // of DC and AC coefficients
	components    []*jpegComponent
	hMax, vMax    int
	interval      int // MCUs between restart markers, 0: none
	jfif          bool
	adobe         int // the transform of the Adobe marker, -1: none

	bits  uint32 // read ahead in a scan
	count int
}

// jpegComponent is one channel, in whole blocks of 8 x 8.
type jpegComponent struct {
	id, h, v      int
	table         int
	wide, high    int // blocks, padded to whole MCUs
	width, height int // samples that are part of the picture
	coefficients  []int32
	dc, ac        int
	last          int32 // DC of the block before
}

func jpegConfig(b []byte) (image.Config, error) {
	d := &jpegDecoder{rest: b[2:], adobe: -1}
	if err := d.untilScan(); err != nil {
		return image.Config{}, err
	}
	return image.Config{Width: d.width, Height: d.height}, nil
}

func jpegDecode(b []byte) (image.Image, error) {
	d := &jpegDecoder{rest: b[2:], adobe: -1}
	if err := d.untilScan(); err != nil {
		return nil, err
	}
	if len(d.components) != 1 && len(d.components) != 3 {
		return nil, fmt.Errorf("a JPEG of %d channels is not supported", len(d.components))
	}
	for _, c := range d.components {
		if d.quantization[c.table] == nil {
			return nil, fmt.Errorf("a quantization table is missing")
		}
		if 64*c.wide*c.high > 256*len(d.rest) { // a block takes two bits at least
			return nil, fmt.Errorf("%d bytes are too few for a JPEG of %d x %d pixels", len(d.rest), d.width, d.height)
		}
		c.coefficients = make([]int32, 64*c.wide*c.high)
	}
	for seen := 0; seen < len(d.components); {
		n, err := d.scan()
		if err != nil {
			return nil, err
		}
		if seen += n; seen < len(d.components) {
			if err := d.untilScan(); err != nil {
				return nil, err
			}
		}
	}
	return d.picture(), nil
}

// The markers of T.81 that are read.
const (
	markerSOF0, markerSOF1 = 0xc0, 0xc1
	markerDHT              = 0xc4
	markerSOFLast          = 0xcf
	markerRST0, markerRST7 = 0xd0, 0xd7
	markerEOI, markerSOS   = 0xd9, 0xda
	markerDQT, markerDRI   = 0xdb, 0xdd
	markerAPP0             = 0xe0
	markerAPP14            = 0xee
)

// untilScan reads segments up to the next start of a scan, which stays in place.
func (d *jpegDecoder) untilScan() error {
	for {
		for len(d.rest) > 1 && (d.rest[0] != 0xff || d.rest[1] == 0xff || d.rest[1] == 0) {
			d.rest = d.rest[1:]
		}
		if len(d.rest) < 4 {
			return fmt.Errorf("the JPEG ends early")
		}
		marker := d.rest[1]
		if marker == markerSOS {
			if d.components == nil {
				return fmt.Errorf("the JPEG has a scan before its frame")
			}
			return nil
		}
		if marker == markerEOI || marker >= markerRST0 && marker <= markerRST7 {
			d.rest = d.rest[2:]
			continue
		}
		body, err := d.segment()
		if err != nil {
			return err
		}
		if err := d.read(marker, body); err != nil {
			return fmt.Errorf("JPEG marker %#x: %w", marker, err)
		}
	}
}

func (d *jpegDecoder) segment() ([]byte, error) {
	n := twoBytes(d.rest[2:])
	if n < 2 || len(d.rest) < 2+n {
		return nil, fmt.Errorf("the JPEG ends early")
	}
	body := d.rest[4 : 2+n]
	d.rest = d.rest[2+n:]
	return body, nil
}

func twoBytes(b []byte) int { return int(b[0])<<8 | int(b[1]) }

func (d *jpegDecoder) read(marker byte, b []byte) error {
	switch {
	case marker == markerDHT:
		return d.readHuffman(b)
	case marker == markerDQT:
		return d.readQuantization(b)
	case marker == markerSOF0 || marker == markerSOF1:
		return d.readFrame(b)
	case marker > markerSOF1 && marker <= markerSOFLast && marker != 0xc8:
		return fmt.Errorf("only sequential Huffman-coded JPEGs are supported")
	case marker == markerDRI && len(b) == 2:
		d.interval = twoBytes(b)
	case marker == markerAPP0 && len(b) >= 5 && string(b[:5]) == "JFIF\x00":
		d.jfif = true
	case marker == markerAPP14 && len(b) >= 12 && string(b[:5]) == "Adobe":
		d.adobe = int(b[11])
	}
	return nil
}

func (d *jpegDecoder) readQuantization(b []byte) error {
	for len(b) > 0 {
		wide, n := b[0]>>4, b[0]&15
		size := 64 * (1 + int(wide))
		if wide > 1 || n > 3 || len(b) < 1+size {
			return fmt.Errorf("broken quantization table")
		}
		t := &[64]int32{}
		for i := range t {
			if wide == 1 {
				t[zigzag[i]] = int32(twoBytes(b[1+2*i:]))
			} else {
				t[zigzag[i]] = int32(b[1+i])
			}
		}
		d.quantization[n] = t
		b = b[1+size:]
	}
	return nil
}

// zigzag is where the i-th coefficient of the stream stands in a block.
var zigzag = func() (z [64]int) {
	x, y := 0, 0
	for i := range z {
		z[i] = 8*y + x
		switch up := (x+y)%2 == 0; {
		case up && x == 7:
			y++
		case up && y == 0:
			x++
		case up:
			x, y = x+1, y-1
		case y == 7:
			x++
		case x == 0:
			y++
		default:
			x, y = x-1, y+1
		}
	}
	return z
}()

func (d *jpegDecoder) readFrame(b []byte) error {
	if d.components != nil || len(b) < 6 || len(b) != 6+3*int(b[5]) || b[0] != 8 {
		return fmt.Errorf("broken frame, or one that is not of 8 bits")
	}
	d.height, d.width = twoBytes(b[1:]), twoBytes(b[3:])
	if d.width == 0 || d.height == 0 || b[5] == 0 || b[5] > 4 {
		return fmt.Errorf("%d channels of %d x %d pixels", b[5], d.width, d.height)
	}
	for b = b[6:]; len(b) > 0; b = b[3:] {
		c := &jpegComponent{id: int(b[0]), h: int(b[1] >> 4), v: int(b[1] & 15), table: int(b[2])}
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.table > 3 {
			return fmt.Errorf("broken channel")
		}
		d.components = append(d.components, c)
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
	}
	if len(d.components) == 1 { // the factors of a single channel mean nothing
		c := d.components[0]
		c.h, c.v, d.hMax, d.vMax = 1, 1, 1, 1
	}
	up := func(a, b int) int { return (a + b - 1) / b }
	for _, c := range d.components {
		c.width, c.height = up(d.width*c.h, d.hMax), up(d.height*c.v, d.vMax)
		c.wide, c.high = up(d.width, 8*d.hMax)*c.h, up(d.height, 8*d.vMax)*c.v
	}
	return nil
}

// scan decodes one scan and returns how many channels it had.
func (d *jpegDecoder) scan() (int, error) {
	b, err := d.segment()
	if err != nil {
		return 0, err
	}
	if len(b) < 1 || b[0] < 1 || len(b) != 4+2*int(b[0]) {
		return 0, fmt.Errorf("broken JPEG scan")
	}
	var parts []*jpegComponent
	for i := range int(b[0]) {
		id, tables := int(b[1+2*i]), b[2+2*i]
		for _, c := range d.components {
			if c.id == id {
				c.dc, c.ac = int(tables>>4), int(tables&15)
				parts = append(parts, c)
				break
			}
		}
		if len(parts) != i+1 {
			return 0, fmt.Errorf("JPEG scan of channel %d, which does not exist", id)
		}
		c := parts[i]
		if c.dc > 3 || c.ac > 3 || d.huffman[0][c.dc] == nil || d.huffman[1][c.ac] == nil {
			return 0, fmt.Errorf("a Huffman table of the JPEG is missing")
		}
	}
	return len(parts), d.scanBlocks(parts)
}

func (d *jpegDecoder) scanBlocks(parts []*jpegComponent) error {
	across, down := (d.width+8*d.hMax-1)/(8*d.hMax), (d.height+8*d.vMax-1)/(8*d.vMax)
	if len(parts) == 1 { // a scan of one channel has only the blocks that are part of the picture
		across, down = (parts[0].width+7)/8, (parts[0].height+7)/8
	}
	d.restart(parts)
	for mcu := range across * down {
		if d.interval > 0 && mcu > 0 && mcu%d.interval == 0 {
			if err := d.nextInterval(); err != nil {
				return err
			}
			d.restart(parts)
		}
		x, y := mcu%across, mcu/across
		for _, c := range parts {
			h, v := c.h, c.v
			if len(parts) == 1 {
				h, v = 1, 1
			}
			for i := range h * v {
				at := (y*v+i/h)*c.wide + x*h + i%h
				if err := d.block(c, c.coefficients[64*at:64*at+64]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (d *jpegDecoder) restart(parts []*jpegComponent) {
	d.bits, d.count = 0, 0
	for _, c := range parts {
		c.last = 0
	}
}

// nextInterval finds the restart marker that must follow.
func (d *jpegDecoder) nextInterval() error {
	for len(d.rest) > 1 && (d.rest[0] != 0xff || d.rest[1] == 0) {
		d.rest = d.rest[1:]
	}
	if len(d.rest) < 2 || d.rest[1] < markerRST0 || d.rest[1] > markerRST7 {
		return fmt.Errorf("a restart marker of the JPEG is missing")
	}
	d.rest = d.rest[2:]
	return nil
}
