package heads

// YOLOv3 cut off before its boxes are made: maps of strides 32, 16 and 8 with, for each of three anchors, x, y, w, h, an object's logit and
// those of the classes. The centre is (sigmoid(x)+column, sigmoid(y)+row) * stride, the size exp(w), exp(h) times the anchor's. The anchors
// are not in the file: those of the paper for COCO are taken. "YOLOv3: An Incremental Improvement", https://arxiv.org/abs/1804.02767.

import (
	"fmt"
	"math"

	"onnxprune/runtime/detection"
)

var yoloV3Anchors = [3][3][2]float64{ // in pixels, of strides 32, 16 and 8
	{{116, 90}, {156, 198}, {373, 326}},
	{{30, 61}, {62, 45}, {59, 119}},
	{{10, 13}, {16, 30}, {33, 23}},
}

var yoloV3 = kind{
	name:   "yolov3",
	reads:  "three outputs [1, 3 x (5+classes), rows, columns] of strides 32, 16 and 8",
	limits: Limits{Score: .01, IoU: .45, ClassCandidates: 1000, Detections: 100},
	match: func(s *signature) *layout {
		if len(s.outputs) != 3 {
			return nil
		}
		l := &layout{}
		for i, o := range s.outputs {
			n := s.cells(32 >> i)
			if !o.known || len(o.whole) != 4 || n == 0 || o.whole[2]*o.whole[3] != n || o.whole[1]%3 != 0 || o.whole[1] < 18 {
				return nil
			}
			classes := o.whole[1]/3 - 5
			if i > 0 && classes != l.classes {
				return nil
			}
			l.classes, l.outputs = classes, append(l.outputs, o.name)
		}
		l.why = fmt.Sprintf("3 x (5+%d) channels at the cells of strides 32, 16 and 8", l.classes)
		l.read = func(r *reading) error { return r.anchorMaps(l.outputs, l.classes) }
		return l
	},
}

func (r *reading) anchorMaps(outputs []string, classes int) error {
	first := 0
	for i, name := range outputs {
		t, err := r.tensor(name)
		if err != nil {
			return err
		}
		data, err := floats(t)
		if err != nil {
			return fmt.Errorf("output %q: %w", name, err)
		}
		stride := 32 >> i
		n := cells(r.at.CanvasWidth, r.at.CanvasHeight, stride)
		if len(data) != 3*(5+classes)*n {
			return fmt.Errorf("output %q is %v for 3 x %d channels of %d cells", name, t, 5+classes, n)
		}
		for a, anchor := range yoloV3Anchors[i] {
			m := matrix{data[a*(5+classes)*n:], n, 5 + classes, 1, n}
			r.grid([]int{stride}, func(cell, column, row, stride int) {
				object, unit := sigmoid(m.at(cell, 4)), float64(stride)
				r.addClasses(first+cell, classes, func(k int) float64 { return object * sigmoid(m.at(cell, 5+k)) }, func() detection.Box {
					return centred((sigmoid(m.at(cell, 0))+float64(column))*unit, (sigmoid(m.at(cell, 1))+float64(row))*unit,
						math.Exp(m.at(cell, 2))*anchor[0], math.Exp(m.at(cell, 3))*anchor[1])
				})
			})
			first += n
		}
	}
	return nil
}
