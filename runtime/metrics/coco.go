// Package metrics judges what a model says: COCO's and Pascal VOC's average precision, top-1 and top-5 accuracy, and, where
// there are no labels, the fidelity to another model's outputs.
//
// Every metric is fed one picture after the other and keeps a few numbers of each. Pictures carry an index, their place in the
// data set: results do not depend on the order in which pictures arrive.
package metrics

import (
	"cmp"
	"slices"

	"onnxprune/runtime/detection"
)

// Thresholds of COCO's detection evaluation (https://cocodataset.org/#detection-eval), as pycocotools computes them: numpy's
// linspace rounds start + i*step, so that .9 is 0.8999999999999999 here as there.
var (
	cocoIoUs    = linspace(0.5, 0.95, 10)
	cocoRecalls = linspace(0, 1, 101)
	cocoAreas   = [...][2]float64{{0, 1e10}, {0, 32 * 32}, {32 * 32, 96 * 96}, {96 * 96, 1e10}} // square pixels
	cocoMost    = [...]int{1, 10, 100}                                                          // detections of one picture and class
)

const (
	areaAll = iota
	areaSmall
	areaMedium
	areaLarge
)

// COCO accumulates pictures for COCO's twelve figures. It is not safe for concurrent use.
type COCO struct{ classes []cocoClass }

type cocoClass struct {
	pictures int // with an object that counts
	objects  [len(cocoAreas)]int
	found    []match
}

// match is what became of one detection. Bit t of a mask belongs to cocoIoUs[t].
type match struct {
	score   float64
	picture int32
	rank    int32 // among the detections of its picture and class, best first
	hit     [len(cocoAreas)]uint16
	ignored [len(cocoAreas)]uint16
}

// maxClasses bounds class numbers; what lies beyond is left out.
const maxClasses = 1 << 16

// NewCOCO returns an accumulator for classes 0..classes-1, and for those beyond that pictures turn out to have.
func NewCOCO(classes int) *COCO { return &COCO{make([]cocoClass, max(classes, 0))} }

// Add takes in one picture: the objects that are there and what was found. Boxes are in the same pixels; picture is the place in
// the data set, each added once: equal scores count in the order of pictures, then in the order given.
func (c *COCO) Add(picture int, objects []detection.Object, found []detection.Detection) {
	most := len(c.classes)
	for _, o := range objects {
		most = max(most, o.Class+1)
	}
	for _, d := range found {
		most = max(most, d.Class+1)
	}
	c.classes = append(c.classes, make([]cocoClass, min(most, maxClasses)-len(c.classes))...)
	truth := make([][]detection.Object, len(c.classes))
	for _, o := range objects {
		if o.Class >= 0 && o.Class < len(c.classes) {
			truth[o.Class] = append(truth[o.Class], o)
		}
	}
	boxes := make([][]detection.Detection, len(c.classes))
	for _, d := range found {
		if d.Class >= 0 && d.Class < len(c.classes) {
			boxes[d.Class] = append(boxes[d.Class], d)
		}
	}
	for k := range c.classes {
		if len(truth[k])+len(boxes[k]) > 0 {
			c.classes[k].add(picture, truth[k], boxes[k])
		}
	}
}

func (k *cocoClass) add(picture int, objects []detection.Object, found []detection.Detection) {
	slices.SortStableFunc(found, func(a, b detection.Detection) int { return cmp.Compare(b.Score, a.Score) })
	found = found[:min(len(found), cocoMost[len(cocoMost)-1])]
	overlaps := cocoOverlaps(found, objects)
	first := len(k.found)
	for i, d := range found {
		k.found = append(k.found, match{score: d.Score, picture: int32(picture), rank: int32(i)})
	}
	for a, bounds := range cocoAreas {
		ignore := make([]bool, len(objects))
		for j, o := range objects {
			ignore[j] = o.Crowd || o.Area < bounds[0] || o.Area > bounds[1]
			if !ignore[j] {
				k.objects[a]++
			}
		}
		assign(k.found[first:], a, found, objects, overlaps, ignore)
	}
	if slices.ContainsFunc(objects, func(o detection.Object) bool { return !o.Crowd }) {
		k.pictures++
	}
}

// cocoOverlaps returns the IoU of every detection with every object; with a crowd it is the intersection over the detection.
func cocoOverlaps(found []detection.Detection, objects []detection.Object) [][]float64 {
	out := make([][]float64, len(found))
	for i, d := range found {
		out[i] = make([]float64, len(objects))
		for j, o := range objects {
			both := d.Box.Intersection(o.Box)
			union := d.Box.Area()
			if !o.Crowd {
				union += o.Box.Area() - both
			}
			if both > 0 && union > 0 {
				out[i][j] = both / union
			}
		}
	}
	return out
}

// assign gives objects to detections, best score first, for one range of areas: the object with the highest IoU that is free, and one
// that counts before one to be ignored. A crowd is never used up.
func assign(to []match, area int, found []detection.Detection, objects []detection.Object, overlaps [][]float64, ignore []bool) {
	order := make([]int, 0, len(objects)) // those that count first
	for _, ignored := range []bool{false, true} {
		for j := range objects {
			if ignore[j] == ignored {
				order = append(order, j)
			}
		}
	}
	bounds := cocoAreas[area]
	for t, least := range cocoIoUs {
		taken := make([]bool, len(objects))
		for i, d := range found {
			best, at := least, -1
			for _, j := range order {
				if taken[j] && !objects[j].Crowd {
					continue
				}
				if at >= 0 && !ignore[at] && ignore[j] {
					break
				}
				if overlaps[i][j] >= best {
					best, at = overlaps[i][j], j
				}
			}
			bit := uint16(1) << t
			switch size := d.Box.Area(); {
			case at >= 0:
				taken[at] = true
				to[i].hit[area] |= bit
				if ignore[at] {
					to[i].ignored[area] |= bit
				}
			case size < bounds[0] || size > bounds[1]:
				to[i].ignored[area] |= bit
			}
		}
	}
}

// linspace is numpy's. The conversion keeps the product from being fused with the sum.
func linspace(first, last float64, n int) []float64 {
	out := make([]float64, n)
	step := (last - first) / float64(n-1)
	for i := range out {
		out[i] = float64(float64(i)*step) + first
	}
	out[n-1] = last
	return out
}
