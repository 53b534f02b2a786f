package heads

// UltraFace (Ultra-Light-Fast-Generic-Face-Detector): corners in shares of the input, or corrections of priors where the export ends before,
// and probabilities of background and face. https://github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB: vision/ssd/config/fd_config.py,
// vision/utils/box_utils.py (generate_priors), vision/ssd/predictor.py.

import "fmt"

var ultraFace = kind{
	name:   "ultraface",
	faces:  true,
	reads:  "two outputs, scores [1, priors, 2] and boxes [1, priors, 4], for the priors of strides 8, 16, 32 and 64",
	limits: Limits{Score: .01, IoU: .3, ClassCandidates: 200},
	match: func(s *signature) *layout {
		if len(s.outputs) != 2 {
			return nil
		}
		c, b := s.outputs[0], s.outputs[1]
		if !b.is(-1, 4) {
			b, c = c, b
		}
		n := len(ultraFacePriors(s.width, s.height))
		if n == 0 || !b.is(n, 4) || !c.is(n, 2) {
			return nil
		}
		raw, logits, how := !s.computed(b.name), !s.behind(c.name)["Softmax"], "corners in shares of the input"
		if raw {
			how = "corrections of priors"
		}
		return &layout{
			why:     fmt.Sprintf("%v is the scores of %d priors, %v %s", c, n, b, how),
			outputs: []string{c.name, b.name},
			classes: 1,
			read: func(r *reading) error {
				if raw {
					return r.corrections(b.name, c.name, 2, false, ultraFacePriors(r.at.CanvasWidth, r.at.CanvasHeight), logits)
				}
				return r.specified(Spec{Boxes: b.name, Scores: c.name, Format: XYXY, Normalised: true, Background: FirstBackground,
					Activation: map[bool]Activation{true: Softmax, false: None}[logits]})
			},
		}
	},
}

func ultraFacePriors(width, height int) []prior {
	return within(squares(width, height, []int{8, 16, 32, 64}, [][]float64{{10, 16, 24}, {32, 48}, {64, 96}, {128, 192, 256}}, true))
}
