package heads

// DETR and its kin. RT-DETR, D-FINE and DEIM, exported with their last steps, choose in the graph and give labels, boxes and scores, in pixels
// of the size that orig_target_sizes tells them. Others give a box for each query, as centre, width and height in shares of the picture,
// and logits of classes: softmax with a last class for "no object" (DETR), or a sigmoid for each (RF-DETR, Deformable DETR,
// RT-DETR and D-FINE as Hugging Face exports them). There is no NMS.
// https://github.com/lyuwenyu/RT-DETR: rtdetrv2_pytorch/tools/export_onnx.py. https://github.com/Peterande/D-FINE: tools/deployment/export_onnx.py.
// https://github.com/roboflow/rf-detr: rfdetr/deploy/export.py, models/lwdetr.py (PostProcess). https://github.com/facebookresearch/detr: models/detr.py.

import (
	"fmt"
)

var detr = kind{
	name:    "detr",
	reads:   "labels [1, n], boxes [1, n, 4] and scores [1, n], with an input orig_target_sizes",
	inGraph: true,
	match: func(s *signature) *layout {
		if !s.hasInput("orig_target_sizes") {
			return nil
		}
		l := matchLabelled(s)
		if l != nil {
			l.sized, l.why = true, l.why+", and the input orig_target_sizes"
		}
		return l
	},
}

var rfDETR = kind{
	name:    "rfdetr",
	reads:   "dets [1, queries, 4] and labels [1, queries, classes]",
	limits:  Limits{Detections: 300},
	queries: true,
	ids:     true,
	match:   func(s *signature) *layout { return matchQueries(s, []string{"dets"}, []string{"labels"}, false) },
}

var queriesSigmoid = kind{
	name:    "detr_sigmoid",
	reads:   "pred_boxes [1, queries, 4] and logits [1, queries, classes], of which each goes through a sigmoid",
	limits:  Limits{Detections: 300},
	queries: true,
	asked:   true,
	match: func(s *signature) *layout {
		return matchQueries(s, []string{"pred_boxes"}, []string{"logits", "pred_logits"}, false)
	},
}

var queriesSoftmax = kind{
	name:    "detr_softmax",
	reads:   "pred_boxes [1, queries, 4] and logits [1, queries, classes+1] of a softmax, the last for no object",
	limits:  Limits{BestClass: true},
	queries: true,
	ids:     true,
	asked:   true,
	match: func(s *signature) *layout {
		return matchQueries(s, []string{"pred_boxes"}, []string{"logits", "pred_logits"}, true)
	},
}

func matchQueries(s *signature, boxes, logits []string, softmaxed bool) *layout {
	b, c := s.oneOf(boxes), s.oneOf(logits)
	if b == nil || c == nil || !b.is(-1, 4) || !c.is(b.shape[0], -1) || c.shape[1] < 2 {
		return nil
	}
	classes, p := c.shape[1], Spec{Boxes: b.name, Scores: c.name, Format: CXCYWH, Normalised: true, Activation: Sigmoid}
	if softmaxed {
		classes, p.Activation, p.Background = classes-1, Softmax, LastBackground
	}
	return &layout{
		why:     fmt.Sprintf("%v is a box for each query, %v the logits of %d classes", b, c, classes),
		outputs: []string{b.name, c.name},
		classes: classes,
		read:    func(r *reading) error { return r.specified(p) },
	}
}
