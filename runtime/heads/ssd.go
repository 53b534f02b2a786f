package heads

// SSD300 and SSDlite320 as torchvision builds them, left without their last steps: corrections of default boxes [1, boxes, 4], and
// logits or probabilities [1, boxes, 1+classes], of which the first is the background's. With the last steps in the graph it
// is read as torchvision. https://github.com/pytorch/vision: models/detection/ssd.py, ssdlite.py, anchor_utils.py (DefaultBoxGenerator).

import (
	"fmt"
	"math"

	"onnxprune/runtime/detection"
)

// defaultBoxes are a network's default boxes.
type defaultBoxes struct {
	size    int         // of the input, in pixels
	cells   []int       // columns, and rows, of each feature map
	steps   []float64   // pixels between centres
	scales  []float64   // side of the smallest box of each map, as a share of the input; one more at the end
	aspects [][]float64 // ratios beside 1
	limits  Limits
}

var ssds = []defaultBoxes{
	{300, []int{38, 19, 10, 5, 3, 1}, []float64{8, 16, 32, 64, 100, 300}, []float64{.07, .15, .33, .51, .69, .87, 1.05},
		[][]float64{{2}, {2, 3}, {2, 3}, {2, 3}, {2}, {2}}, Limits{Score: .01, IoU: .45, ClassCandidates: 400, Detections: 200}},
	{320, []int{20, 10, 5, 3, 2, 1}, []float64{320. / 20, 320. / 10, 320. / 5, 320. / 3, 320. / 2, 320}, []float64{.2, .35, .5, .65, .8, .95, 1},
		[][]float64{{2, 3}, {2, 3}, {2, 3}, {2, 3}, {2, 3}, {2, 3}}, Limits{Score: .001, IoU: .55, ClassCandidates: 300, Detections: 300}},
}

// ssdVariances are the reciprocals of torchvision's weights 10, 10, 5, 5.
var ssdVariances = variances{.1, .2}

func (d defaultBoxes) priors() []prior {
	var out []prior
	for k, n := range d.cells {
		s := d.scales[k]
		between := math.Sqrt(s * d.scales[k+1])
		shapes := [][2]float64{{s, s}, {between, between}}
		for _, a := range d.aspects[k] {
			w, h := s*math.Sqrt(a), s/math.Sqrt(a)
			shapes = append(shapes, [2]float64{w, h}, [2]float64{h, w})
		}
		per := d.steps[k] / float64(d.size)
		for row := range n {
			for column := range n {
				for _, sh := range shapes {
					out = append(out, prior{(float64(column) + .5) * per, (float64(row) + .5) * per, min(sh[0], 1), min(sh[1], 1)})
				}
			}
		}
	}
	return out
}

var ssd = kind{
	name:   "ssd",
	reads:  "two outputs, corrections [1, boxes, 4] and scores [1, boxes, 1+classes], for the default boxes of SSD300 or SSDlite320",
	limits: ssds[0].limits,
	ids:    true,
	match: func(s *signature) *layout {
		if len(s.outputs) != 2 {
			return nil
		}
		b, c := s.outputs[0], s.outputs[1]
		if !b.is(-1, 4) {
			b, c = c, b
		}
		for _, d := range ssds {
			ps := d.priors()
			if s.width != d.size || s.height != d.size || !b.is(len(ps), 4) || !c.is(len(ps), -1) || c.shape[1] < 2 {
				continue
			}
			columns, logits := c.shape[1], !s.behind(c.name)["Softmax"]
			return &layout{
				why:     fmt.Sprintf("%v is corrections of the %d default boxes of an input of %d pixels, %v scores of a background and %d classes", b, len(ps), d.size, c, columns-1),
				outputs: []string{b.name, c.name},
				classes: columns,
				limits:  &d.limits,
				read:    func(r *reading) error { return r.corrections(b.name, c.name, columns, true, ps, logits) },
			}
		}
		return nil
	},
}

// corrections reads corrections of priors, and scores whose first column is the background's. With counted, that is class 0, which is never
// found; else classes are counted from the next.
func (r *reading) corrections(boxes, scores string, columns int, counted bool, ps []prior, logits bool) error {
	b, err := r.matrix(boxes, 4)
	if err != nil {
		return err
	}
	c, err := r.matrix(scores, columns)
	if err != nil {
		return err
	}
	if b.rows != len(ps) || c.rows != len(ps) {
		return fmt.Errorf("outputs %q and %q have %d and %d rows for %d priors", boxes, scores, b.rows, c.rows, len(ps))
	}
	w, h := float64(r.at.CanvasWidth), float64(r.at.CanvasHeight)
	shares := make([]float64, columns)
	first := 1
	if counted {
		first = 0
	}
	for i, p := range ps {
		for k := range shares {
			shares[k] = c.at(i, k)
		}
		if logits {
			softmax(shares)
		}
		shares[0] = 0 // the background is not found
		r.addClasses(i, columns-first, func(k int) float64 { return shares[first+k] }, func() detection.Box { return p.correct(b, i, ssdVariances, w, h) })
	}
	return nil
}
