package heads

// Boxes that a head corrects: priors, or anchors, at the cells of a grid. "SSD: Single Shot MultiBox Detector",
// https://arxiv.org/abs/1512.02325, section 2.2.

import (
	"math"

	"onnxprune/runtime/detection"
)

// prior is a box by centre and size, in shares of the input's width and height.
type prior struct{ x, y, w, h float64 }

// variances are by what the corrections of centre and of size are multiplied.
type variances struct{ centre, size float64 }

// correct returns the box in pixels that four numbers of a row make of a prior: the centre moves by a share of the prior's size, the size
// grows by an exponential.
func (p prior) correct(m matrix, row int, v variances, width, height float64) detection.Box {
	x := p.x + m.at(row, 0)*v.centre*p.w
	y := p.y + m.at(row, 1)*v.centre*p.h
	return centred(x*width, y*height, p.w*math.Exp(m.at(row, 2)*v.size)*width, p.h*math.Exp(m.at(row, 3)*v.size)*height)
}

// squares returns square priors of given sides in pixels at every cell of some strides, row by row.
func squares(width, height int, strides []int, sides [][]float64) []prior {
	var out []prior
	w, h := float64(width), float64(height)
	for i, k := range strides {
		for row := range (height + k - 1) / k {
			for column := range (width + k - 1) / k {
				x, y := (float64(column)+.5)*float64(k)/w, (float64(row)+.5)*float64(k)/h
				for _, side := range sides[i] {
					out = append(out, prior{x, y, side / w, side / h})
				}
			}
		}
	}
	return out
}

// within returns priors with centres and sizes bounded to 0..1.
func within(ps []prior) []prior {
	for i, p := range ps {
		ps[i] = prior{min(p.x, 1), min(p.y, 1), min(p.w, 1), min(p.h, 1)}
	}
	return ps
}
