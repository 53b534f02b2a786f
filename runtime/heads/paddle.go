package heads

// PaddleDetection's exports: rows of class, score and corners, in pixels of the picture whose size the model is told, after NMS in the
// graph; with a class of -1 where nothing was found. And the two tensors that its NMS takes: corners [1, boxes, 4] and scores
// [1, classes, boxes]. https://github.com/PaddlePaddle/PaddleDetection: deploy/README_en.md, ppdet/modeling/layers.py (MultiClassNMS).

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/onnxio"
	"onnxprune/runtime/detection"
)

// sizeInputs are those by which a model scales its boxes.
var sizeInputs = []string{"im_size", "img_size", "image_size", "im_info", "orig_target_size", "target_size", "orig_size", "original_size", "origin_shape", "scale_factor", "im_scale"}

var paddleRows = kind{
	name:    "paddle",
	reads:   "one output [boxes, 6] of class, score and corners (and the number of boxes)",
	inGraph: true,
	match: func(s *signature) *layout {
		i := slices.IndexFunc(s.outputs, func(o output) bool { return o.known && len(o.whole) == 2 && o.whole[1] == 6 && o.elem.IsFloat() })
		if i < 0 {
			return nil
		}
		o := s.outputs[i]
		switch { // a classifier of six classes is no list of boxes
		case s.has("NonMaxSuppression"), o.name == "bbox", strings.Contains(o.name, "nms"), s.hasInput(sizeInputs...):
		case slices.ContainsFunc(s.outputs, func(o output) bool { return o.elem == onnxio.Int32 && len(o.whole) == 1 }):
		default:
			return nil
		}
		return &layout{
			why:     fmt.Sprintf("%v is rows of class, score and corners", o),
			outputs: []string{o.name},
			sized:   s.hasInput(sizeInputs...),
			read:    func(r *reading) error { return r.rows(o.name, 0, 6) },
		}
	},
}

var paddleBoxes = kind{
	name:   "paddle_boxes",
	reads:  "two outputs, corners [1, boxes, 4] and scores [1, classes, boxes]",
	limits: Limits{Score: .01, IoU: .45, ClassCandidates: 1000, Detections: 100},
	match: func(s *signature) *layout {
		if len(s.outputs) != 2 {
			return nil
		}
		b, c := s.outputs[0], s.outputs[1]
		if !b.is(-1, 4) {
			b, c = c, b
		}
		if !b.is(-1, 4) || !c.is(-1, b.shape[0]) || b.shape[0] == c.shape[0] {
			return nil
		}
		classes := c.shape[0]
		return &layout{
			why:     fmt.Sprintf("%v is corners and %v the scores of %d classes", b, c, classes),
			outputs: []string{b.name, c.name},
			classes: classes,
			sized:   s.hasInput(sizeInputs...),
			read: func(r *reading) error {
				boxes, err := r.matrix(b.name, 4)
				if err != nil {
					return err
				}
				scores, err := r.matrix(c.name, boxes.rows)
				if err != nil {
					return err
				}
				for i := range boxes.rows {
					r.addClasses(i, classes, func(k int) float64 { return scores.at(k, i) }, func() detection.Box {
						x0, y0, x1, y1 := boxes.corners(i, 0)
						return detection.Box{X0: x0, Y0: y0, X1: x1, Y1: y1}
					})
				}
				return nil
			},
		}
	},
}
