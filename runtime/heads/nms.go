package heads

import "onnxprune/analysis/option"

// Limits say which candidates become detections.
type Limits struct {
	Score           float64 `json:"score"`            // a detection's score is higher than this
	IoU             float64 `json:"iou"`              // NMS drops a box whose IoU with a better one of its class is higher than this
	Candidates      int     `json:"candidates"`       // only so many of the best pairs of box and class take part in NMS; 0: all
	ClassCandidates int     `json:"class_candidates"` // only so many of the best boxes of a class take part in NMS; 0: all
	Detections      int     `json:"detections"`       // at most so many detections in a picture; 0: all
	Agnostic        bool    `json:"agnostic"`         // NMS drops a box also for a better one of another class
	BestClass       bool    `json:"best_class"`       // a box counts for its best class alone
}

func (l Limits) check() error {
	switch {
	case !(l.Score >= 0 && l.Score < 1):
		return option.Errorf("the least score is %v; it is a number from 0 to below 1", l.Score)
	case !(l.IoU >= 0 && l.IoU <= 1):
		return option.Errorf("the IoU of NMS is %v; it is a number from 0 to 1", l.IoU)
	case l.Detections < 0 || l.Candidates < 0 || l.ClassCandidates < 0:
		return option.Errorf("numbers of detections and candidates can not be negative")
	}
	return nil
}

// suppress is non-maximum suppression of each class by itself, with the meaning that ONNX's NonMaxSuppression and torchvision's
// batched_nms share: in the order of scores a box is kept unless its IoU with one that is kept is higher than the limit.
// Candidates come in that order. https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html
func suppress(sorted []candidate, l Limits) []candidate {
	if l.Candidates > 0 {
		sorted = sorted[:min(l.Candidates, len(sorted))]
	}
	var out []candidate
	kept, seen := map[int][]candidate{}, map[int]int{} // by class
next:
	for _, c := range sorted {
		if seen[c.Class]++; l.ClassCandidates > 0 && seen[c.Class] > l.ClassCandidates {
			continue
		}
		rivals := c.Class
		if l.Agnostic {
			rivals = 0
		}
		for _, k := range kept[rivals] {
			if k.Box.IoU(c.Box) > l.IoU {
				continue next
			}
		}
		kept[rivals] = append(kept[rivals], c)
		if out = append(out, c); len(out) == l.Detections {
			break
		}
	}
	return out
}
