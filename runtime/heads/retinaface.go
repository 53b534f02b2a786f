package heads

// RetinaFace (biubug6's): corrections of priors, probabilities of background and face, and five landmarks, which are not read. Height and
// width are often open. https://github.com/biubug6/Pytorch_Retinaface: data/config.py, layers/functions/prior_box.py, test_widerface.py.

import (
	"fmt"
	"slices"
)

var retinaFace = kind{
	name:   "retinaface",
	faces:  true,
	reads:  "three outputs, corrections [1, priors, 4], scores [1, priors, 2] and landmarks [1, priors, 10], for two priors at each cell of strides 8, 16 and 32",
	limits: Limits{Score: .02, IoU: .4, Candidates: 5000, Detections: 750},
	match: func(s *signature) *layout {
		n := len(retinaFacePriors(s.width, s.height))
		find := func(cols int) int {
			return slices.IndexFunc(s.outputs, func(o output) bool { return n > 0 && o.is(n, cols) })
		}
		b, c := find(4), find(2)
		if b < 0 || c < 0 || len(s.outputs) == 3 && find(10) < 0 || len(s.outputs) > 3 {
			return nil
		}
		boxes, scores := s.outputs[b], s.outputs[c]
		logits := !s.behind(scores.name)["Softmax"]
		return &layout{
			why:     fmt.Sprintf("%v is corrections and %v scores of %d priors", boxes, scores, n),
			outputs: []string{boxes.name, scores.name},
			classes: 1,
			read: func(r *reading) error {
				return r.corrections(boxes.name, scores.name, 2, false, retinaFacePriors(r.at.CanvasWidth, r.at.CanvasHeight), logits)
			},
		}
	},
}

func retinaFacePriors(width, height int) []prior {
	return squares(width, height, []int{8, 16, 32}, [][]float64{{16, 32}, {64, 128}, {256, 512}}, false)
}
