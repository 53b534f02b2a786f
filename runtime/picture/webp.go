package picture

// Colour of a lossy WebP as libwebp restores it: luma in 16..235 (src/dsp/yuv.h), and colour of half the size interpolated between the four nearest
// samples (src/dsp/upsampling.c). golang.org/x/image leaves the planes as they are stored.

import "image"

// fromWebP converts the planes of a decoded lossy WebP.
func fromWebP(m *image.YCbCr) *Picture {
	p := New(m.Rect.Dx(), m.Rect.Dy())
	columns, rows := (p.Width+1)/2, (p.Height+1)/2
	for y := range p.Height {
		near := y / 2
		far := min(max(near-1+2*(y&1), 0), rows-1)
		for x := range p.Width {
			cb := between(m.Cb[near*m.CStride:], m.Cb[far*m.CStride:], x, columns)
			cr := between(m.Cr[near*m.CStride:], m.Cr[far*m.CStride:], x, columns)
			luma := 19077 * int32(m.Y[y*m.YStride+x]) >> 8
			const bits = 6
			px := p.Pix[3*(y*p.Width+x):]
			px[0] = clip((luma + 26149*cr>>8 - 14234) >> bits)
			px[1] = clip((luma - 6419*cb>>8 - 13320*cr>>8 + 8708) >> bits)
			px[2] = clip((luma + 33050*cb>>8 - 17685) >> bits)
		}
	}
	return p
}

// between weighs the four samples around column x of a row 9 : 3 : 3 : 1, at the picture's left and right edge the two that there are 3 : 1.
func between(near, far []uint8, x, columns int) int32 {
	i := x / 2
	j := i - 1 + 2*(x&1)
	a, c := int32(near[i]), int32(far[i])
	if j < 0 || j >= columns {
		return (3*a + c + 2) >> 2
	}
	b, d := int32(near[j]), int32(far[j])
	return ((a+b+c+d+8+2*(b+c))>>3 + a) >> 1
}
