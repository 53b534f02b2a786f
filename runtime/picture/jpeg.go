package picture

// Colour of a JPEG as libjpeg restores it, which OpenCV, Pillow and all that trained with them read: planes of colour at half the size
// are interpolated ("fancy upsampling", jdsample.c), not repeated, and the conversion is done in 16 bits of fraction (jdcolor.c).

import "image"

// fromJPEG converts the planes of a decoded JPEG.
func fromJPEG(m *image.YCbCr) *Picture {
	p := New(m.Rect.Dx(), m.Rect.Dy())
	w := p.Width
	cb, cr, sums := make([]uint8, w+1), make([]uint8, w+1), make([]int32, (w+1)/2)
	for y := range p.Height {
		upsample(cb[:w], sums, m, m.Cb, y)
		upsample(cr[:w], sums, m, m.Cr, y)
		luma, row := m.Y[y*m.YStride:][:w], p.Pix[3*y*w:][:3*w]
		for x, l := range luma {
			const half = 1 << 15 // JFIF's matrix, coefficients times 65536
			l, b, r := int32(l), int32(cb[x])-128, int32(cr[x])-128
			px := row[3*x:][:3]
			px[0] = clip(l + (91881*r+half)>>16)
			px[1] = clip(l + (-22554*b-46802*r+half)>>16)
			px[2] = clip(l + (116130*b+half)>>16)
		}
	}
	return p
}

func clip(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^v >> 31) // 0 below, 255 above
	}
	return uint8(v)
}

// upsample writes row y of a colour plane at the picture's width. sums is room for half a row.
func upsample(to []uint8, sums []int32, m *image.YCbCr, plane []uint8, y int) {
	narrow := len(sums) <= 2 // too narrow for libjpeg to interpolate
	switch {
	case m.SubsampleRatio == image.YCbCrSubsampleRatio444:
		copy(to, plane[y*m.CStride:])
	case m.SubsampleRatio == image.YCbCrSubsampleRatio422 && !narrow:
		for i, v := range plane[y*m.CStride:][:len(sums)] {
			sums[i] = int32(v)
		}
		widen(to, sums, 1, 2, 2)
	case m.SubsampleRatio == image.YCbCrSubsampleRatio420 && !narrow:
		near := y / 2
		far := min(max(near-1+2*(y&1), 0), (m.Rect.Dy()+1)/2-1)
		b := plane[far*m.CStride:][:len(sums)]
		for i, v := range plane[near*m.CStride:][:len(sums)] {
			sums[i] = 3*int32(v) + int32(b[i])
		}
		widen(to, sums, 8, 7, 4)
	default: // repeated
		for x := range to {
			to[x] = plane[m.COffset(x+m.Rect.Min.X, y+m.Rect.Min.Y)]
		}
	}
}

// widen doubles a row: each new sample is three parts of the nearest one and one part of the next. The roundings of even and of odd samples differ,
// so that they do not add up; shift divides by the sum of all weights.
func widen(to []uint8, in []int32, even, odd int32, shift uint) {
	n := len(in)
	before := in[0]
	for i, this := range in {
		after := this
		if i < n-1 {
			after = in[i+1]
		}
		to[2*i] = uint8((3*this + before + even) >> (shift & 31))
		if 2*i+1 < len(to) {
			to[2*i+1] = uint8((3*this + after + odd) >> (shift & 31))
		}
		before = this
	}
}
