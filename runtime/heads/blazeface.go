package heads

// BlazeFace: logits and boxes of 896 anchors, two at each cell of a grid of 16 x 16 and six at each of 8 x 8. A row of a box is centre, width
// and height in pixels of the input, the centre measured from that of the cell, and six landmarks, which are not read. And the
// export that chooses in the graph, which gives top, left, bottom and right edge in shares of the input but no scores.
// https://github.com/google-ai-edge/mediapipe: modules/face_detection/face_detection_short_range.pbtxt (anchors, thresholds).

import (
	"fmt"
	"slices"

	"onnxprune/runtime/detection"
)

// blazeGrids are the grids of anchors: cells a side, anchors in a cell.
var blazeGrids = [2][2]int{{16, 2}, {8, 6}}

var blazeFace = kind{
	name:   "blazeface",
	faces:  true,
	reads:  "scores [1, 512, 1] and [1, 384, 1] and boxes [1, 512, 16] and [1, 384, 16]",
	limits: Limits{Score: .5, IoU: .3},
	match: func(s *signature) *layout {
		l := &layout{classes: 1, why: "scores and boxes of 512 and 384 anchors"}
		for _, g := range blazeGrids {
			n := g[0] * g[0] * g[1]
			for _, columns := range []int{1, 16} {
				i := slices.IndexFunc(s.outputs, func(o output) bool { return o.is(n, columns) })
				if i < 0 {
					return nil
				}
				l.outputs = append(l.outputs, s.outputs[i].name)
			}
		}
		l.read = func(r *reading) error { return r.blaze(l.outputs) }
		return l
	},
}

func (r *reading) blaze(outputs []string) error {
	first := 0
	for k, g := range blazeGrids {
		side, each := g[0], g[1]
		n := side * side * each
		scores, err := r.matrix(outputs[2*k], 1)
		if err != nil {
			return err
		}
		boxes, err := r.matrix(outputs[2*k+1], 16)
		if err != nil {
			return err
		}
		if scores.rows != n || boxes.rows != n {
			return fmt.Errorf("outputs %q and %q have %d and %d rows for %d anchors", outputs[2*k], outputs[2*k+1], scores.rows, boxes.rows, n)
		}
		w, h := float64(r.at.CanvasWidth), float64(r.at.CanvasHeight)
		for i := range n {
			cell := i / each
			x, y := (float64(cell%side)+.5)/float64(side), (float64(cell/side)+.5)/float64(side)
			r.addClasses(first+i, 1, func(int) float64 { return sigmoid(scores.at(i, 0)) }, func() detection.Box {
				return centred(x*w+boxes.at(i, 0), y*h+boxes.at(i, 1), boxes.at(i, 2), boxes.at(i, 3))
			})
		}
		first += n
	}
	return nil
}

var blazeFaceChosen = kind{
	name:    "blazeface_chosen",
	faces:   true,
	reads:   "one output [1, boxes, 16] of edges and landmarks in shares of the input, chosen by NMS in the graph",
	inGraph: true,
	match: func(s *signature) *layout {
		if len(s.outputs) != 1 || !s.outputs[0].is(-1, 16) || !s.has("NonMaxSuppression") || s.outputs[0].name != "selectedBoxes" {
			return nil
		}
		o := s.outputs[0]
		return &layout{
			why:     fmt.Sprintf("%v is edges and landmarks that NMS has chosen; their scores are not among the outputs, so all are 1", o),
			outputs: []string{o.name},
			classes: 1,
			read: func(r *reading) error {
				m, err := r.matrix(o.name, 16)
				if err != nil {
					return err
				}
				w, h := float64(r.at.CanvasWidth), float64(r.at.CanvasHeight)
				for i := range m.rows {
					b := YXYX.box(m.corners(i, 0))
					r.add(i, 0, 1, detection.Box{X0: b.X0 * w, Y0: b.Y0 * h, X1: b.X1 * w, Y1: b.Y1 * h})
				}
				return nil
			},
		}
	},
}
