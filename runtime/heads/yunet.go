package heads

// YuNet: for strides 8, 16 and 32 the probabilities of a face and of an object, whose geometric mean is the score, a box coded as in YOLOX,
// and landmarks, which are not read. https://github.com/opencv/opencv: modules/objdetect/src/face_detect.cpp (postProcess).
// https://github.com/ShiqiYu/libfacedetection.train: configs/yunet_n.py (thresholds of the evaluation).

import (
	"fmt"
	"math"

	"onnxprune/runtime/detection"
)

var yuNet = kind{
	name:   "yunet",
	faces:  true,
	reads:  "cls_8, obj_8 [1, cells, 1] and bbox_8 [1, cells, 4], and the same of strides 16 and 32",
	limits: Limits{Score: .02, IoU: .45},
	match: func(s *signature) *layout {
		l := &layout{classes: 1, why: "cls, obj and bbox of strides 8, 16 and 32"}
		for _, stride := range yuNetStrides {
			for _, name := range []string{"cls", "obj", "bbox"} {
				o, ok := s.named(fmt.Sprintf("%s_%d", name, stride))
				if !ok {
					return nil
				}
				l.outputs = append(l.outputs, o.name)
			}
		}
		l.read = func(r *reading) error { return r.yunet() }
		return l
	},
}

var yuNetStrides = []int{8, 16, 32}

func (r *reading) yunet() error {
	first := 0
	for _, k := range yuNetStrides {
		face, err := r.matrix(fmt.Sprintf("cls_%d", k), 1)
		if err != nil {
			return err
		}
		object, err := r.matrix(fmt.Sprintf("obj_%d", k), 1)
		if err != nil {
			return err
		}
		box, err := r.matrix(fmt.Sprintf("bbox_%d", k), 4)
		if err != nil {
			return err
		}
		n := cells(r.at.CanvasWidth, r.at.CanvasHeight, k)
		if face.rows != n || object.rows != n || box.rows != n {
			return fmt.Errorf("the outputs of stride %d have %d, %d and %d rows for %d cells", k, face.rows, object.rows, box.rows, n)
		}
		r.grid([]int{k}, func(i, column, row, stride int) {
			unit := float64(stride)
			score := math.Sqrt(share(face.at(i, 0)) * share(object.at(i, 0)))
			r.addClasses(first+i, 1, func(int) float64 { return score }, func() detection.Box {
				return centred((box.at(i, 0)+float64(column))*unit, (box.at(i, 1)+float64(row))*unit, math.Exp(box.at(i, 2))*unit, math.Exp(box.at(i, 3))*unit)
			})
		})
		first += n
	}
	return nil
}

func share(x float64) float64 { return min(max(x, 0), 1) }
