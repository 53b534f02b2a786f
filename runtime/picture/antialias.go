package picture

// Resizing as Pillow does it (src/libImaging/Resample.c): a filter as wide as the picture shrinks, weights of 22 bits, columns first, with
// a rounding to bytes between the two passes.

import "math"

func triangle(x float64) float64 { return max(0, 1-math.Abs(x)) }

// catmullRom is Keys' cubic with a = -1/2.
func catmullRom(x float64) float64 {
	const a = -0.5
	switch x = math.Abs(x); {
	case x < 1:
		return ((a+2)*x-(a+3))*x*x + 1
	case x < 2:
		return (((x-5)*x+8)*x - 4) * a
	}
	return 0
}

// reach is a run of input samples and their weights for one output sample.
type reach struct {
	first  int
	weight []int32
}

const antialiasBits = 32 - 8 - 2

func reaches(from, to int, filter func(float64) float64, support float64) []reach {
	scale := float64(from) / float64(to)
	stretch := max(scale, 1)
	support *= stretch
	out := make([]reach, to)
	for i := range out {
		centre := (float64(i) + 0.5) * scale
		first := max(int(centre-support+0.5), 0)
		last := min(int(centre+support+0.5), from)
		w := make([]float64, last-first)
		sum := 0.0
		for k := range w {
			w[k] = filter((float64(first+k) - centre + 0.5) * (1 / stretch))
			sum += w[k]
		}
		r := reach{first, make([]int32, len(w))}
		for k, v := range w {
			if sum != 0 {
				v /= sum
			}
			r.weight[k] = int32(v*(1<<antialiasBits) + math.Copysign(0.5, v))
		}
		out[i] = r
	}
	return out
}

func (p *Picture) antialias(width, height int, filter func(float64) float64, support float64) *Picture {
	out := p
	if width != p.Width {
		out = New(width, p.Height)
		for x, r := range reaches(p.Width, width, filter, support) {
			for y := range p.Height {
				filtered(out.Pix[3*(y*width+x):], p.Pix[3*(y*p.Width+r.first):], 3, r.weight)
			}
		}
	}
	if height != p.Height {
		in := out
		out = New(width, height)
		for y, r := range reaches(p.Height, height, filter, support) {
			for x := range width {
				filtered(out.Pix[3*(y*width+x):], in.Pix[3*(r.first*width+x):], 3*width, r.weight)
			}
		}
	}
	return out
}

// filtered writes the weighted sum of pixels that lie a stride apart.
func filtered(to, from []uint8, stride int, w []int32) {
	r, g, b := int32(1<<(antialiasBits-1)), int32(1<<(antialiasBits-1)), int32(1<<(antialiasBits-1))
	for k, v := range w {
		px := from[k*stride:][:3]
		r += int32(px[0]) * v
		g += int32(px[1]) * v
		b += int32(px[2]) * v
	}
	to[0], to[1], to[2] = clip(r>>antialiasBits), clip(g>>antialiasBits), clip(b>>antialiasBits)
}
