package heads

// YOLOv8, v9, v11 and others with ultralytics' anchor-free head: one column for each cell, in pixels: centre x and y, width,
// height, and a probability of each class. Segmentation and pose add rows after the classes, which are not read.
// https://github.com/ultralytics/ultralytics: nn/modules/head.py (Detect), utils/nms.py, cfg/default.yaml (thresholds of val).

import (
	"fmt"

	"onnxprune/runtime/detection"
)

var yoloV8 = kind{
	name:   "yolov8",
	reads:  "one output [1, 4+classes, cells]",
	limits: Limits{Score: .001, IoU: .7, Candidates: 30000, Detections: 300},
	match:  matchYOLOv8,
}

func matchYOLOv8(s *signature) *layout {
	o, ok := s.single()
	if !ok || !o.is(-1, -1) || o.shape[0] < 5 {
		return nil
	}
	n, why := o.shape[1], ""
	for _, strides := range [][]int{{8, 16, 32}, {8, 16, 32, 64}, {4, 8, 16, 32}, {16, 32}} {
		if c := s.cells(strides...); c > 0 && n == c {
			why = fmt.Sprintf("the %d cells of strides %v", c, strides)
			break
		}
	}
	if why == "" {
		return nil
	}
	classes := o.shape[0] - 4
	if s.classes > 0 && s.classes <= classes {
		classes = s.classes
	}
	return &layout{
		why:     fmt.Sprintf("%v is 4+%d classes for %s", o, classes, why),
		outputs: []string{o.name},
		classes: classes,
		read: func(r *reading) error {
			m, err := r.matrix(o.name, -1)
			if err != nil {
				return err
			}
			if m.rows < 4+classes {
				return fmt.Errorf("output %q has %d rows for %d classes", o.name, m.rows, classes)
			}
			m = m.transposed()
			for i := range m.rows {
				r.addClasses(i, classes, func(k int) float64 { return m.at(i, 4+k) },
					func() detection.Box { return centred(m.at(i, 0), m.at(i, 1), m.at(i, 2), m.at(i, 3)) })
			}
			return nil
		},
	}
}
