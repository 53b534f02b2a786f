package heads

// torchvision's detectors (Faster and Mask R-CNN, RetinaNet, SSD) choose in the graph and give boxes [n, 4], labels [n] and scores [n].
// Label 0 is the background, which is never given; the labels of the models trained on COCO are its category ids.
// https://github.com/pytorch/vision: models/detection.

import (
	"fmt"

	"onnxprune/onnxio"
)

var torchVision = kind{
	name:    "torchvision",
	reads:   "boxes [n, 4], labels [n] and scores [n]",
	inGraph: true,
	ids:     true,
	match: func(s *signature) *layout {
		if s.hasInput("orig_target_sizes") {
			return nil
		}
		return matchLabelled(s)
	},
}

// matchLabelled takes boxes, labels and scores by name.
func matchLabelled(s *signature) *layout {
	if len(s.outputs) < 3 {
		return nil
	}
	b, labels, scores := find(s, "boxes", true), find(s, "labels", false), find(s, "scores", false)
	if b == nil || labels == nil || scores == nil {
		return nil
	}
	return &layout{
		why:     fmt.Sprintf("%v, %v and %v", b, labels, scores),
		outputs: []string{b.name, labels.name, scores.name},
		read: func(r *reading) error {
			return r.specified(Spec{Boxes: b.name, Labels: labels.name, Scores: scores.name, Format: XYXY})
		},
	}
}

// find returns the output of a name: a matrix of four columns, or a vector.
func find(s *signature, name string, matrix bool) *output {
	o, ok := s.named(name)
	if !ok || o.known && o.elem == onnxio.String {
		return nil
	}
	if n := len(o.whole); o.known && (matrix && (n < 2 || n > 3 || o.whole[n-1] != 4 && o.whole[n-1] >= 0) || !matrix && (n < 1 || n > 2)) {
		return nil
	}
	return &o
}
