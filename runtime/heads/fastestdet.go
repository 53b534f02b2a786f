package heads

// FastestDet: one map of cells, whose channels are the probability of an object, four numbers of the box, and the probabilities of the
// classes, of which the best counts. https://github.com/dog-qiuqiu/FastestDet: utils/tool.py (handle_preds), utils/evaluation.py.

import (
	"fmt"
	"math"

	"onnxprune/runtime/detection"
)

var fastestDet = kind{
	name:   "fastestdet",
	reads:  "one output [1, 5+classes, rows, columns] of cells of stride 16",
	limits: Limits{Score: .001, IoU: .45, BestClass: true},
	match: func(s *signature) *layout {
		if len(s.outputs) != 1 || len(s.outputs[0].shape) != 3 || !s.outputs[0].known {
			return nil
		}
		const stride = 16
		o := s.outputs[0]
		if n := s.cells(stride); n == 0 || o.shape[0] < 6 || o.shape[1]*o.shape[2] != n || !s.behind(o.name)["Softmax"] {
			return nil
		}
		classes := o.shape[0] - 5
		return &layout{
			why:     fmt.Sprintf("%v is 5+%d classes for the cells of stride %d", o, classes, stride),
			outputs: []string{o.name},
			classes: classes,
			read:    func(r *reading) error { return r.cellMap(o.name, classes) },
		}
	},
}

func (r *reading) cellMap(name string, classes int) error {
	t, err := r.tensor(name)
	if err != nil {
		return err
	}
	data, err := floats(t)
	if err != nil {
		return fmt.Errorf("output %q: %w", name, err)
	}
	sh := t.Shape
	if len(sh) != 4 || sh[0] != 1 || sh[1] != 5+classes {
		return fmt.Errorf("output %q is %v; [1, %d, rows, columns] is read", name, t, 5+classes)
	}
	height, width := sh[2], sh[3]
	m := matrix{data, height * width, sh[1], 1, height * width}
	cw, ch := float64(r.at.CanvasWidth), float64(r.at.CanvasHeight)
	for i := range m.rows {
		object := m.at(i, 0)
		r.addClasses(i, classes, func(k int) float64 { return object * m.at(i, 5+k) }, func() detection.Box {
			x := (math.Tanh(m.at(i, 1)) + float64(i%width)) / float64(width)
			y := (math.Tanh(m.at(i, 2)) + float64(i/width)) / float64(height)
			return centred(x*cw, y*ch, sigmoid(m.at(i, 3))*cw, sigmoid(m.at(i, 4))*ch)
		})
	}
	return nil
}
