package ops

// From coefficients to pixels, step by step as libjpeg does it, in the same integers: its accurate inverse cosine
// transform (C. Loeffler, A. Ligtenberg, G. Moschytz, "Practical Fast 1-D DCT Algorithms with 11 Multiplications", 1989), its
// "fancy" triangle filter for chroma, and its colour conversion in 16 fractional bits.

import "image"

// picture brings all channels to full size and converts them to RGB.
func (d *jpegDecoder) picture() image.Image {
	rect := image.Rect(0, 0, d.width, d.height)
	var planes [][]uint8
	for _, c := range d.components {
		planes = append(planes, d.fullSize(c))
	}
	if len(planes) == 1 {
		return &image.Gray{Pix: planes[0], Stride: d.width, Rect: rect}
	}
	img := image.NewNRGBA(rect)
	rgb := d.isRGB()
	for i := range d.width * d.height {
		p := img.Pix[4*i : 4*i+4]
		p[0], p[1], p[2], p[3] = planes[0][i], planes[1][i], planes[2][i], 255
		if !rgb {
			p[0], p[1], p[2] = fromYCbCr(int32(p[0]), int32(p[1])-128, int32(p[2])-128)
		}
	}
	return img
}

// isRGB guesses the colour space from the markers, as libjpeg does.
func (d *jpegDecoder) isRGB() bool {
	switch {
	case d.jfif:
		return false
	case d.adobe >= 0:
		return d.adobe == 0
	}
	return d.components[0].id == 'R' && d.components[1].id == 'G' && d.components[2].id == 'B'
}

func fromYCbCr(y, b, r int32) (red, green, blue uint8) {
	const half = 1 << 15 // the factors are 1.402, 0.34414, 0.71414 and 1.772 in 16 fractional bits
	return clampByte(y + (91881*r+half)>>16), clampByte(y + (-22554*b-46802*r+half)>>16), clampByte(y + (116130*b+half)>>16)
}

func clampByte(v int32) uint8 { return uint8(min(max(v, 0), 255)) }

// fullSize returns a channel's samples in the picture's size.
func (d *jpegDecoder) fullSize(c *jpegComponent) []uint8 {
	samples := d.samples(c)
	h, v := d.hMax/c.h, d.vMax/c.v
	out := make([]uint8, d.width*d.height)
	smooth := h <= 2 && v <= 2 && d.hMax%c.h == 0 && d.vMax%c.v == 0 && (h == 1 || c.width > 2)
	row := make([]int32, c.width)
	for y := range d.height {
		to := out[y*d.width : (y+1)*d.width]
		if !smooth {
			for x := range to {
				to[x] = samples[y*c.v/d.vMax*c.width+x*c.h/d.hMax]
			}
			continue
		}
		weights := mixRows(row, samples, c, y, v)
		spreadRow(to, row, h, weights, y)
	}
	return out
}

// mixRows fills row with the samples for picture row y, three parts of the nearest row and one of the next nearest where the
// channel has half the height, and returns the sum of the weights.
func mixRows(row []int32, samples []uint8, c *jpegComponent, y, v int) int32 {
	if v == 1 {
		for x := range row {
			row[x] = int32(samples[y*c.width+x])
		}
		return 1
	}
	near := y / 2
	far := min(max(near-1+y%2*2, 0), c.height-1)
	for x := range row {
		row[x] = 3*int32(samples[near*c.width+x]) + int32(samples[far*c.width+x])
	}
	return 4
}

// spreadRow does the same along a row. Left and right samples are rounded differently, so that errors do not add up.
func spreadRow(to []uint8, row []int32, h int, weights int32, y int) {
	if h == 1 {
		round := (weights - 1) / 2 // 1 above, 2 below the middle of a sample of two rows
		if weights == 4 && y%2 == 1 {
			round++
		}
		for x := range to {
			to[x] = uint8((row[x] + round) / weights)
		}
		return
	}
	last := len(row) - 1
	total := 4 * weights
	left, right := total/2, total/2-1
	if weights == 1 {
		left, right = 1, 2
	}
	for x := range to {
		near := x / 2
		far := near - 1 + x%2*2
		round := left
		if x%2 == 1 {
			round = right
		}
		switch {
		case far >= 0 && far <= last:
			to[x] = uint8((3*row[near] + row[far] + round) / total)
		case weights == 1:
			to[x] = uint8(row[near])
		default:
			to[x] = uint8((4*row[near] + round) / total)
		}
	}
}

// samples transforms a channel's blocks and returns the part that belongs to the picture.
func (d *jpegDecoder) samples(c *jpegComponent) []uint8 {
	out := make([]uint8, c.width*c.height)
	var block [64]int32
	for b := range c.wide * c.high {
		for i, q := range d.quantization[c.table] {
			block[i] = c.coefficients[64*b+i] * q
		}
		inverseCosine(&block)
		x0, y0 := b%c.wide*8, b/c.wide*8
		for i, v := range block {
			if x, y := x0+i%8, y0+i/8; x < c.width && y < c.height {
				out[y*c.width+x] = clampByte(v + 128)
			}
		}
	}
	return out
}

// Bits behind the point: of the factors, and of the numbers between the two passes.
const (
	cosineBits = 13
	passBits   = 2
)

// inverseCosine transforms a block in place, columns first.
func inverseCosine(b *[64]int32) {
	for x := range 8 {
		inverseCosine8(b[x:], 8, cosineBits-passBits)
	}
	for y := range 8 {
		inverseCosine8(b[8*y:], 1, cosineBits+passBits+3)
	}
}

// inverseCosine8 is the transform of 8 numbers that are step apart; the results lose so many bits.
func inverseCosine8(b []int32, step int, bits uint) {
	in := func(i int) int32 { return b[i*step] }
	// the even part
	z := (in(2) + in(6)) * 4433
	t2, t3 := z-in(6)*15137, z+in(2)*6270
	t0, t1 := (in(0)+in(4))<<cosineBits, (in(0)-in(4))<<cosineBits
	e0, e3, e1, e2 := t0+t3, t0-t3, t1+t2, t1-t2
	// the odd part
	t0, t1, t2, t3 = in(7), in(5), in(3), in(1)
	z1, z2, z3, z4 := t0+t3, t1+t2, t0+t2, t1+t3
	z5 := (z3 + z4) * 9633
	z1, z2, z3, z4 = z1*-7373, z2*-20995, z3*-16069+z5, z4*-3196+z5
	t0 = t0*2446 + z1 + z3
	t1 = t1*16819 + z2 + z4
	t2 = t2*25172 + z2 + z3
	t3 = t3*12299 + z1 + z4
	half := int32(1) << (bits - 1)
	for i, v := range [8]int32{e0 + t3, e1 + t2, e2 + t1, e3 + t0, e3 - t0, e2 - t1, e1 - t2, e0 - t3} {
		b[i*step] = (v + half) >> bits
	}
}
