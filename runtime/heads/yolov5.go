package heads

// YOLOv5 (and YOLOv7, which writes the same): one row for each of three anchors of every cell, already in pixels: centre x and y,
// width, height, the probability of an object, and one of each class. The score is the product of the two.
// https://github.com/ultralytics/yolov5: models/yolo.py (Detect), utils/general.py (non_max_suppression), val.py (thresholds).

import (
	"fmt"

	"onnxprune/runtime/detection"
)

var yoloV5 = kind{
	name:   "yolov5",
	reads:  "one output [1, 3 x cells, 5+classes]",
	limits: Limits{Score: .001, IoU: .6, Candidates: 30000, Detections: 300},
	match:  matchYOLOv5,
}

func matchYOLOv5(s *signature) *layout {
	o, ok := s.single()
	if !ok || !o.is(-1, -1) || o.shape[1] < 6 {
		return nil
	}
	n, why := o.shape[0], ""
	for _, strides := range [][]int{{8, 16, 32}, {8, 16, 32, 64}} {
		c := s.cells(strides...)
		switch {
		case c > 0 && n == 3*c:
			why = fmt.Sprintf("3 anchors at each of the %d cells of strides %v", c, strides)
		case c > 0 && n == c && s.computed(o.name):
			why = fmt.Sprintf("%d cells of strides %v, decoded in the graph", c, strides)
		}
	}
	if why == "" {
		return nil
	}
	classes := o.shape[1] - 5
	if s.classes > 0 && s.classes <= classes {
		classes = s.classes // what follows are keypoints or coefficients of masks
	}
	return &layout{
		why:     fmt.Sprintf("%v is 5+%d classes for %s", o, classes, why),
		outputs: []string{o.name},
		classes: classes,
		read:    func(r *reading) error { return r.objects(o.name, classes) },
	}
}

func (r *reading) objects(name string, classes int) error {
	m, err := r.matrix(name, -1)
	if err != nil {
		return err
	}
	if m.cols < 5+classes {
		return fmt.Errorf("output %q has %d columns for %d classes", name, m.cols, classes)
	}
	for i := range m.rows {
		object := m.at(i, 4)
		if !(object > r.head.Limits.Score) {
			continue
		}
		r.addClasses(i, classes, func(k int) float64 { return object * m.at(i, 5+k) },
			func() detection.Box { return centred(m.at(i, 0), m.at(i, 1), m.at(i, 2), m.at(i, 3)) })
	}
	return nil
}
