package heads

// Rows of picture, class, score and corners in pixels of the input, as PINTO's model zoo appends NMS to detectors.
// https://github.com/PINTO0309/PINTO_model_zoo. Paddle's rows are the same without the picture.

import (
	"fmt"

	"onnxprune/runtime/detection"
)

var rows = kind{
	name:    "rows",
	reads:   "one output [boxes, 7] of picture, class, score and corners",
	inGraph: true,
	match: func(s *signature) *layout {
		if len(s.outputs) != 1 || s.outputs[0].name != "batchno_classid_score_x1y1x2y2" {
			return nil
		}
		o := s.outputs[0]
		return &layout{
			why:     fmt.Sprintf("%v says in its name what its columns are", o),
			outputs: []string{o.name},
			read:    func(r *reading) error { return r.rows(o.name, 1, 7) },
		}
	},
}

// rows reads class, score and corners from a column on.
func (r *reading) rows(name string, first, columns int) error {
	m, err := r.matrix(name, columns)
	if err != nil {
		return err
	}
	for i := range m.rows {
		x0, y0, x1, y1 := m.corners(i, first+2)
		r.add(i, classOf(m.at(i, first)), m.at(i, first+1), detection.Box{X0: x0, Y0: y0, X1: x1, Y1: y1})
	}
	return nil
}
