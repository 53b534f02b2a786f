package heads

// YOLOv10, YOLO26 and ultralytics' exports with NMS in the graph: the best few hundred boxes as rows of corners in pixels, score and
// class. Rows that found nothing have the score 0.
// https://github.com/ultralytics/ultralytics: nn/modules/head.py (v10Detect.postprocess), engine/exporter.py (NMSModel).

import (
	"fmt"

	"onnxprune/runtime/detection"
)

var endToEnd = kind{
	name:    "yolov10",
	reads:   "one output [1, boxes, 6] of corners, score and class",
	limits:  Limits{Score: .001, Detections: 300},
	inGraph: true,
	match: func(s *signature) *layout {
		o, ok := s.single()
		if !ok || len(o.whole) != 3 || !o.is(-1, -1) || o.shape[1] < 6 || o.shape[1] > 6 && s.classes == 0 || o.shape[0] > 1000 {
			return nil
		}
		return &layout{
			why:     fmt.Sprintf("%v is rows of corners, score and class", o),
			outputs: []string{o.name},
			read: func(r *reading) error {
				m, err := r.matrix(o.name, -1)
				if err != nil {
					return err
				}
				for i := range m.rows {
					x0, y0, x1, y1 := m.corners(i, 0)
					r.add(i, classOf(m.at(i, 5)), m.at(i, 4), detection.Box{X0: x0, Y0: y0, X1: x1, Y1: y1})
				}
				return nil
			},
		}
	},
}
