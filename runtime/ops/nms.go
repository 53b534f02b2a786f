package ops

// NonMaxSuppression: of boxes that overlap, the one with the best score stays. Boxes are taken by score,
// equal scores by index, as in ONNX Runtime.

import (
	"cmp"
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() { Register("", "NonMaxSuppression", buildNonMaxSuppression, 10, 11) }

// suppression is the limits of one run.
type suppression struct {
	center    bool // boxes are a centre, width and height, not two corners
	most      int  // boxes per class
	overlap   float32
	score     float32
	withScore bool
}

func buildNonMaxSuppression(n *Node) (Kernel, error) {
	if err := n.CheckInputs(2, 5); err != nil {
		return nil, err
	}
	center := n.Bool("center_point_box", false)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		boxes, scores := in[0], in[1]
		if len(boxes.Shape) != 3 || len(scores.Shape) != 3 || boxes.Shape[2] != 4 ||
			boxes.Shape[0] != scores.Shape[0] || boxes.Shape[1] != scores.Shape[2] {
			return nil, fmt.Errorf("boxes %v with scores %v", boxes, scores)
		}
		s, err := readSuppression(in, center)
		if err != nil {
			return nil, err
		}
		b, err := floatElements[float32](boxes)
		if err != nil {
			return nil, fmt.Errorf("boxes: %w", err)
		}
		v, err := floatElements[float32](scores)
		if err != nil {
			return nil, fmt.Errorf("scores: %w", err)
		}
		return oneOutput(s.run(c, b, v, scores.Shape))
	}), nil
}

func readSuppression(in []*value.Tensor, center bool) (*suppression, error) {
	s := &suppression{center: center}
	at := func(i int) *value.Tensor {
		if i < len(in) {
			return in[i]
		}
		return nil
	}
	if t := at(2); t != nil {
		most, err := oneInt(t, "the number of boxes per class")
		if err != nil {
			return nil, err
		}
		s.most = max(most, 0)
	}
	for i, to := range map[int]*float32{3: &s.overlap, 4: &s.score} {
		if t := at(i); t != nil {
			v, err := floatElements[float32](t)
			if err != nil || len(v) != 1 {
				return nil, fmt.Errorf("threshold %v, want one number", t)
			}
			*to = v[0]
			s.withScore = s.withScore || i == 4
		}
	}
	if !(s.overlap >= 0 && s.overlap <= 1) {
		return nil, fmt.Errorf("overlap threshold %v is outside of [0, 1]", s.overlap)
	}
	return s, nil
}

// run returns a row of batch, class and box for every box that stays.
func (s *suppression) run(c *Context, boxes, scores []float32, shape []int) (*value.Tensor, error) {
	batches, classes, n := shape[0], shape[1], shape[2]
	kept := make([][]int, batches*classes)
	c.Pool.Do(len(kept), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			b := i / classes
			kept[i] = s.class(boxes[b*n*4:(b+1)*n*4], scores[i*n:(i+1)*n])
		}
	})
	total := 0
	for _, k := range kept {
		total += len(k)
	}
	out, err := c.New(onnxio.Int64, total, 3)
	if err != nil {
		return nil, err
	}
	rows := value.Of[int64](out)
	for i, k := range kept {
		for _, box := range k {
			rows[0], rows[1], rows[2] = int64(i/classes), int64(i%classes), int64(box)
			rows = rows[3:]
		}
	}
	return out, nil
}

// class returns the boxes of one class that stay, best first.
func (s *suppression) class(boxes, scores []float32) []int {
	if s.most == 0 {
		return nil
	}
	var order []int
	for i, v := range scores {
		if !s.withScore || v > s.score {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	var kept []int
	var taken []rectangle
	for _, i := range order {
		box := s.corners(boxes[4*i : 4*i+4])
		if slices.ContainsFunc(taken, func(k rectangle) bool { return box.overlaps(k, s.overlap) }) {
			continue
		}
		if kept, taken = append(kept, i), append(taken, box); len(kept) == s.most {
			break
		}
	}
	return kept
}

// rectangle is two corners of a rectangle, the smaller one first.
type rectangle struct{ y1, x1, y2, x2 float32 }

func (s *suppression) corners(b []float32) rectangle {
	if s.center {
		x, y, w, h := b[0], b[1], b[2]/2, b[3]/2
		return rectangle{y - h, x - w, y + h, x + w}
	}
	return rectangle{min(b[0], b[2]), min(b[1], b[3]), max(b[0], b[2]), max(b[1], b[3])}
}

func (r rectangle) area() float32 { return (r.y2 - r.y1) * (r.x2 - r.x1) }

// overlaps reports whether the intersection over union of two rectangles is above a threshold.
func (r rectangle) overlaps(k rectangle, threshold float32) bool {
	height, width := min(r.y2, k.y2)-max(r.y1, k.y1), min(r.x2, k.x2)-max(r.x1, k.x1)
	if !(height > 0 && width > 0) || r.area() <= 0 || k.area() <= 0 {
		return false
	}
	shared := height * width
	union := r.area() + k.area() - shared
	return union > 0 && shared/union > threshold
}
