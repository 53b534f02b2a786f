package heads

// NanoDet and PicoDet, whose heads are those of Generalized Focal Loss: for each stride the probabilities of the classes at its cells, and
// for each side of the box a distribution over 0, 1, ... times the stride, whose mean is the side's distance from the cell's centre.
// https://github.com/RangiLyu/nanodet: nanodet/model/head/gfl_head.py (get_bboxes_single), nanodet_plus_head.py.
// https://github.com/PaddlePaddle/PaddleDetection: deploy/third_engine/demo_onnxruntime (PicoDetPostProcess), configs/picodet.

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"onnxprune/runtime/detection"
)

var nanoDet = kind{
	name:   "nanodet",
	reads:  "for each of 3 or 4 strides one output of classes [1, cells, classes] and one of distances [1, cells, 4 x bins], the classes first",
	limits: Limits{Score: .05, IoU: .6, Detections: 100},
	match: func(s *signature) *layout {
		if !slices.ContainsFunc(s.outputs, func(o output) bool { return strings.Contains(o.name, "dis_pred") }) && len(s.outputs) == 8 {
			return nil // four strides are PicoDet's
		}
		return matchDistributions(s)
	},
}

var picoDet = kind{
	name:   "picodet",
	reads:  "for each of 4 strides one output of classes [1, cells, classes] and one of distances [1, cells, 4 x bins], the classes first",
	limits: Limits{Score: .025, IoU: .6, ClassCandidates: 1000, Detections: 100},
	match:  matchDistributions,
}

// level is the outputs of one stride.
type level struct {
	stride            int
	classes, distance string
}

func matchDistributions(s *signature) *layout {
	n := len(s.outputs) / 2
	if n < 3 || n > 5 || len(s.outputs) != 2*n {
		return nil
	}
	l := &layout{}
	var levels []level
	var strides []int
	for i := range n {
		stride := 8 << i
		c, d, at := s.outputs[i], s.outputs[n+i], s.cells(stride)
		if at == 0 || !c.is(at, -1) || !d.is(at, -1) || d.shape[1]%4 != 0 || d.shape[1] < 8 || i > 0 && c.shape[1] != l.classes {
			return nil
		}
		l.classes = c.shape[1]
		strides = append(strides, stride)
		levels = append(levels, level{stride, c.name, d.name})
		l.outputs = append(l.outputs, c.name, d.name)
	}
	logits := !s.behind(levels[0].classes)["Sigmoid"]
	l.why = fmt.Sprintf("%d classes and distributions of distances at the cells of strides %v", l.classes, strides)
	l.read = func(r *reading) error { return r.distributions(levels, l.classes, logits) }
	return l
}

func (r *reading) distributions(levels []level, classes int, logits bool) error {
	first := 0
	for _, l := range levels {
		scores, err := r.matrix(l.classes, classes)
		if err != nil {
			return err
		}
		distance, err := r.matrix(l.distance, -1)
		if err != nil {
			return err
		}
		n := cells(r.at.CanvasWidth, r.at.CanvasHeight, l.stride)
		if scores.rows != n || distance.rows != n {
			return fmt.Errorf("outputs %q and %q have %d and %d rows for the %d cells of stride %d", l.classes, l.distance, scores.rows, distance.rows, n, l.stride)
		}
		r.grid([]int{l.stride}, func(i, column, row, stride int) {
			r.addClasses(first+i, classes, func(k int) float64 { return activated(scores.at(i, k), logits) }, func() detection.Box {
				return around((float64(column)+.5)*float64(stride), (float64(row)+.5)*float64(stride), means(distance, i, 0), float64(stride))
			})
		})
		first += n
	}
	return nil
}

func activated(x float64, logit bool) float64 {
	if logit {
		return sigmoid(x)
	}
	return x
}

// means returns the means of the four distributions in a row, which begin at a column.
func means(m matrix, row, column int) (out [4]float64) {
	bins := (m.cols - column) / 4
	for side := range 4 {
		at := func(i int) float64 { return m.at(row, column+side*bins+i) }
		most, sum := math.Inf(-1), 0.0
		for i := range bins {
			most = max(most, at(i))
		}
		for i := range bins {
			e := math.Exp(at(i) - most)
			sum += e
			out[side] += e * float64(i)
		}
		out[side] /= sum
	}
	return out
}

// around returns the box whose left, top, right and bottom edge are so far from a point.
func around(x, y float64, distance [4]float64, unit float64) detection.Box {
	return detection.Box{X0: x - distance[0]*unit, Y0: y - distance[1]*unit, X1: x + distance[2]*unit, Y1: y + distance[3]*unit}
}

// NanoDet-Plus joins all strides, classes and distributions in one output, and measures from the cell's corner.
var nanoDetPlus = kind{
	name:   "nanodet_plus",
	reads:  "one output [1, cells, classes + 4 x 8 bins] for strides 8, 16, 32 and 64",
	limits: nanoDet.limits,
	match: func(s *signature) *layout {
		const distances = 4 * 8
		strides := []int{8, 16, 32, 64}
		o, ok := s.single()
		if n := s.cells(strides...); !ok || n == 0 || !o.is(n, -1) || o.shape[1] <= distances || s.computed(o.name) {
			return nil
		}
		classes := o.shape[1] - distances
		logits := !s.behind(o.name)["Sigmoid"]
		return &layout{
			why:     fmt.Sprintf("%v is %d classes and 4 x 8 distances for the cells of strides %v", o, classes, strides),
			outputs: []string{o.name},
			classes: classes,
			read: func(r *reading) error {
				m, err := r.matrix(o.name, o.shape[1])
				if err != nil {
					return err
				}
				if n := cells(r.at.CanvasWidth, r.at.CanvasHeight, strides...); m.rows != n {
					return fmt.Errorf("output %q has %d rows for %d cells", o.name, m.rows, n)
				}
				r.grid(strides, func(i, column, row, stride int) {
					r.addClasses(i, classes, func(k int) float64 { return activated(m.at(i, k), logits) }, func() detection.Box {
						return around(float64(column*stride), float64(row*stride), means(m, i, classes), float64(stride))
					})
				})
				return nil
			},
		}
	},
}
