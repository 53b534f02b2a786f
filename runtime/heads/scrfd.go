package heads

// SCRFD (insightface): for each stride scores, distances of the sides from the cell's corner in units of the stride, and landmarks, which
// are not read; two anchors a cell at strides 8, 16 and 32, or one at five strides. Outputs are all scores first, then all distances.
// https://github.com/deepinsight/insightface: detection/scrfd/tools/scrfd.py, detection/scrfd/configs/scrfd.

import (
	"fmt"

	"onnxprune/runtime/detection"
)

var scrfd = kind{
	name:   "scrfd",
	faces:  true,
	reads:  "for each of 3 or 5 strides scores [anchors, 1], then distances [anchors, 4], then, or not, landmarks [anchors, 10]",
	limits: Limits{Score: .02, IoU: .45},
	match: func(s *signature) *layout {
		n, anchors := 3, 2
		if len(s.outputs)%5 == 0 {
			n, anchors = 5, 1
		}
		if len(s.outputs) != 2*n && len(s.outputs) != 3*n {
			return nil
		}
		l := &layout{classes: 1}
		var levels []level
		for i := range n {
			c, d, at := s.outputs[i], s.outputs[n+i], anchors*s.cells(8<<i)
			if at == 0 || !c.is(at, 1) || !d.is(at, 4) {
				return nil
			}
			levels = append(levels, level{8 << i, c.name, d.name})
			l.outputs = append(l.outputs, c.name, d.name)
		}
		logits := !s.behind(levels[0].classes)["Sigmoid"]
		l.why = fmt.Sprintf("scores and distances of %d anchors at the cells of %d strides", anchors, n)
		l.read = func(r *reading) error { return r.distances(levels, anchors, logits) }
		return l
	},
}

func (r *reading) distances(levels []level, anchors int, logits bool) error {
	first := 0
	for _, l := range levels {
		scores, err := r.matrix(l.classes, 1)
		if err != nil {
			return err
		}
		d, err := r.matrix(l.distance, 4)
		if err != nil {
			return err
		}
		n := anchors * cells(r.at.CanvasWidth, r.at.CanvasHeight, l.stride)
		if scores.rows != n || d.rows != n {
			return fmt.Errorf("outputs %q and %q have %d and %d rows for %d anchors", l.classes, l.distance, scores.rows, d.rows, n)
		}
		r.grid([]int{l.stride}, func(cell, column, row, stride int) {
			for i := cell * anchors; i < (cell+1)*anchors; i++ {
				r.addClasses(first+i, 1, func(int) float64 { return activated(scores.at(i, 0), logits) }, func() detection.Box {
					return around(float64(column*stride), float64(row*stride), [4]float64{d.at(i, 0), d.at(i, 1), d.at(i, 2), d.at(i, 3)}, float64(stride))
				})
			}
		})
		first += n
	}
	return nil
}
