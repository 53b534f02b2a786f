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

// squares returns square priors of given sides in pixels at every cell of some strides, row by row. Cells are as large as the stride, or,
// with spread, divide the input evenly where the stride does not.
func squares(width, height int, strides []int, sides [][]float64, spread bool) []prior {
	var out []prior
	w, h := float64(width), float64(height)
	for i, k := range strides {
		rows, columns := (height+k-1)/k, (width+k-1)/k
		cw, ch := float64(k)/w, float64(k)/h
		if spread {
			cw, ch = 1/float64(columns), 1/float64(rows)
		}
		for row := range rows {
			for column := range columns {
				for _, side := range sides[i] {
					out = append(out, prior{(float64(column) + .5) * cw, (float64(row) + .5) * ch, side / w, side / h})
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
