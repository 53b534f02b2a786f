package heads

// Classifiers: one score for each class, logits or probabilities, whose order is the same.

import "fmt"

var imageNet = kind{
	name:  "imagenet",
	reads: "one output [1, classes]",
	match: func(s *signature) *layout {
		if len(s.outputs) != 1 || !s.outputs[0].known || !s.outputs[0].elem.IsFloat() {
			return nil
		}
		o := s.outputs[0]
		sh := o.whole
		for len(sh) > 2 && sh[len(sh)-1] == 1 { // pooled to one pixel
			sh = sh[:len(sh)-1]
		}
		if len(sh) != 2 || sh[0] > 1 || sh[1] < 2 {
			return nil
		}
		return &layout{
			why:     fmt.Sprintf("%v is the scores of %d classes", o, sh[1]),
			outputs: []string{o.name},
			classes: sh[1],
			read: func(r *reading) error {
				v, err := r.column(o.name)
				if err != nil {
					return err
				}
				if len(v) != sh[1] {
					return fmt.Errorf("output %q has %d numbers for %d classes: one picture a run is read", o.name, len(v), sh[1])
				}
				for _, x := range v {
					r.scores = append(r.scores, float64(x))
				}
				return nil
			},
		}
	},
}
