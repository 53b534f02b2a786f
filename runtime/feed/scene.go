package feed

import (
	"math/rand/v2"

	"onnxprune/onnxio"
)

// Pictures by chance have what pictures have and white noise has not: neighbours that resemble each other. Coarse noise
// is spread smoothly (value noise in octaves, each half as fine and twice as strong as the next), a few flat
// rectangles give edges, and a little noise per pixel comes on top. The arithmetic is plain IEEE on float32 without
// fused steps, so that every machine paints the same picture.

// painted returns a filler that paints lighting in 0..1, times scale, plus offset.
func painted(scale, offset float64) func(*settled, int, *rand.Rand) func(int) float64 {
	return func(s *settled, i int, r *rand.Rand) func(int) float64 {
		p, _ := s.picture(i)
		sh := s.shapes[i]
		c, h, w := sh[p.Channels], sh[p.Height], sh[p.Width]
		planes := make([]float32, 0, s.count(i))
		for len(planes) < s.count(i) && c*h*w > 0 {
			planes = append(planes, scene(r, c, h, w)...)
		}
		whole := s.elem(i) == onnxio.Uint8 || s.elem(i) == onnxio.Int8
		return func(k int) float64 {
			if p.Channels > p.Width { // NHWC: from planes to pixels
				frame, at := k/(c*h*w), k%(c*h*w)
				k = frame*c*h*w + at%c*h*w + at/c
			}
			v := float64(planes[k]) * scale
			if whole {
				v = float64(int(v + 0.5))
			}
			return v + offset
		}
	}
}

// scene paints one picture of c planes.
func scene(r *rand.Rand, c, h, w int) []float32 {
	out := make([]float32, c*h*w)
	for ch := range c {
		plane := out[ch*h*w : (ch+1)*h*w]
		smooth(r, plane, h, w, max(h, w)/4, 0.5)
		smooth(r, plane, h, w, max(h, w)/10, 0.3)
		smooth(r, plane, h, w, max(h, w)/24, 0.15)
	}
	const objects = 5
	for range objects {
		oh, ow := h/8+r.IntN(h/3+1), w/8+r.IntN(w/3+1)
		y0, x0 := r.IntN(max(1, h-oh)), r.IntN(max(1, w-ow))
		for ch := range c {
			shade := r.Float32()
			for y := y0; y < min(h, y0+oh); y++ {
				for x := x0; x < min(w, x0+ow); x++ {
					v := &out[(ch*h+y)*w+x]
					*v = float32(*v*0.3) + float32(shade*0.65)
				}
			}
		}
	}
	for k := range out {
		out[k] = min(1, out[k]+float32(r.Float32()*0.05))
	}
	return out
}

// smooth adds noise that changes over cells of so many pixels, bilinear in between, in 0..strength.
func smooth(r *rand.Rand, plane []float32, h, w, cell int, strength float32) {
	cell = max(cell, 1)
	gh, gw := h/cell+2, w/cell+2
	grid := make([]float32, gh*gw)
	for k := range grid {
		grid[k] = float32(r.Float32() * strength)
	}
	for y := range h {
		fy := float32(y%cell) / float32(cell)
		for x := range w {
			fx := float32(x%cell) / float32(cell)
			g := grid[y/cell*gw+x/cell:]
			top := float32(g[0]*(1-fx)) + float32(g[1]*fx)
			bottom := float32(g[gw]*(1-fx)) + float32(g[gw+1]*fx)
			plane[y*w+x] += float32(top*(1-fy)) + float32(bottom*fy)
		}
	}
}
