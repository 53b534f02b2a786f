package picture

// Colour of a JPEG as libjpeg restores it, which OpenCV, Pillow and all that trained with them read: planes of colour at half the size
// are interpolated ("fancy upsampling", jdsample.c), not repeated, and the conversion is done in 16 bits of fraction (jdcolor.c).

import "image"

// fromJPEG converts the planes of a decoded JPEG.
func fromJPEG(m *image.YCbCr) *Picture {
	p := New(m.Rect.Dx(), m.Rect.Dy())
	w := p.Width
	up := upsampler(m)
	cb, cr := make([]uint8, w+1), make([]uint8, w+1)
	for y := range p.Height {
		up(cb, m.Cb, y)
		up(cr, m.Cr, y)
		luma := m.Y[y*m.YStride:]
		row := p.Pix[3*y*w:]
		for x := range w {
			red, green, blue := rgb(int32(luma[x]), int32(cb[x])-128, int32(cr[x])-128)
			row[3*x], row[3*x+1], row[3*x+2] = red, green, blue
		}
	}
	return p
}

// rgb converts by JFIF's matrix, coefficients times 65536.
func rgb(y, cb, cr int32) (r, g, b uint8) {
	const half = 1 << 15
	return clip(y + (91881*cr+half)>>16), clip(y + (-22554*cb-46802*cr+half)>>16), clip(y + (116130*cb+half)>>16)
}

func clip(v int32) uint8 { return uint8(min(max(v, 0), 255)) }

// upsampler returns what writes row y of a colour plane at the picture's width.
func upsampler(m *image.YCbCr) func(to, plane []uint8, y int) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	n := (w + 1) / 2 // samples in a row at half the width
	switch {
	case m.SubsampleRatio == image.YCbCrSubsampleRatio422 && n > 2:
		return func(to, plane []uint8, y int) {
			in := plane[y*m.CStride:]
			widen(to, n, func(i int) int32 { return int32(in[i]) }, 1, 2, 2)
		}
	case m.SubsampleRatio == image.YCbCrSubsampleRatio420 && n > 2:
		rows := (h + 1) / 2
		return func(to, plane []uint8, y int) {
			near := y / 2
			far := min(max(near-1+2*(y&1), 0), rows-1)
			a, b := plane[near*m.CStride:], plane[far*m.CStride:]
			widen(to, n, func(i int) int32 { return 3*int32(a[i]) + int32(b[i]) }, 8, 7, 4)
		}
	}
	return func(to, plane []uint8, y int) { // repeated, or already of full size
		for x := range w {
			to[x] = plane[m.COffset(x+m.Rect.Min.X, y+m.Rect.Min.Y)]
		}
	}
}

// widen doubles a row: each new sample is three parts of the nearest one and one part of the next. The roundings of even and of odd samples differ,
// so that they do not add up; shift divides by the sum of all weights.
func widen(to []uint8, n int, in func(int) int32, even, odd int32, shift uint) {
	for i := range n {
		this := in(i)
		before, after := this, this
		if i > 0 {
			before = in(i - 1)
		}
		if i < n-1 {
			after = in(i + 1)
		}
		to[2*i] = uint8((3*this + before + even) >> shift)
		if 2*i+1 < len(to) {
			to[2*i+1] = uint8((3*this + after + odd) >> shift)
		}
	}
}
