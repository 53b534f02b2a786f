package heads

// YOLOX as its own exporter writes it: one row for each cell of strides 8, 16 and 32, not decoded: the centre is (x + column) * stride,
// (y + row) * stride, the size exp(w) * stride, exp(h) * stride; the probabilities of an object and of each class have gone through
// the sigmoid. https://github.com/Megvii-BaseDetection/YOLOX: utils/demo_utils.py (demo_postprocess), utils/boxes.py
// (postprocess), exp/yolox_base.py (thresholds). An export that decodes in the graph is read as yolov5.

import (
	"fmt"
	"math"

	"onnxprune/runtime/detection"
)

var yoloX = kind{
	name:   "yolox",
	reads:  "one output [1, cells, 5+classes] that is not decoded",
	limits: Limits{Score: .01, IoU: .65, BestClass: true},
	match: func(s *signature) *layout {
		o, ok := s.single()
		if !ok || !o.is(-1, -1) || o.shape[1] < 6 {
			return nil
		}
		strides := []int{8, 16, 32}
		if c := s.cells(strides...); c == 0 || o.shape[0] != c || s.computed(o.name) {
			return nil
		}
		classes := o.shape[1] - 5
		return &layout{
			why:     fmt.Sprintf("%v is 5+%d classes for %d cells of strides %v, not decoded in the graph", o, classes, o.shape[0], strides),
			outputs: []string{o.name},
			classes: classes,
			read:    func(r *reading) error { return r.yolox(o.name, classes, strides) },
		}
	},
}

func (r *reading) yolox(name string, classes int, strides []int) error {
	m, err := r.matrix(name, 5+classes)
	if err != nil {
		return err
	}
	if n := cells(r.at.CanvasWidth, r.at.CanvasHeight, strides...); m.rows != n {
		return fmt.Errorf("output %q has %d rows for %d cells", name, m.rows, n)
	}
	r.grid(strides, func(i, column, row, stride int) {
		object, at := m.at(i, 4), float64(stride)
		r.addClasses(i, classes, func(k int) float64 { return object * m.at(i, 5+k) }, func() detection.Box {
			return centred((m.at(i, 0)+float64(column))*at, (m.at(i, 1)+float64(row))*at, math.Exp(m.at(i, 2))*at, math.Exp(m.at(i, 3))*at)
		})
	})
	return nil
}

// grid visits the cells of some strides, row by row.
func (r *reading) grid(strides []int, visit func(i, column, row, stride int)) {
	i := 0
	for _, k := range strides {
		for row := range (r.at.CanvasHeight + k - 1) / k {
			for column := range (r.at.CanvasWidth + k - 1) / k {
				visit(i, column, row, k)
				i++
			}
		}
	}
}
