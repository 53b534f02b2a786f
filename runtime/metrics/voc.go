package metrics

import (
	"cmp"
	"slices"

	"onnxprune/runtime/detection"
)

// VOC accumulates pictures for Pascal VOC's average precision, as its development kit computes it (VOCevaldet): detections
// take, best score first, the object of highest IoU; one that is taken already makes a false positive, a difficult one does not count.
// It is not safe for concurrent use.
type VOC struct {
	least   float64
	classes []vocClass
}

type vocClass struct {
	objects int
	found   []vocMatch
}

type vocMatch struct {
	score         float64
	picture, rank int32
	hit           bool
}

// NewVOC returns an accumulator for classes 0..classes-1, in which an IoU of at least leastIoU (VOC's own is .5) is a hit.
func NewVOC(classes int, leastIoU float64) *VOC {
	return &VOC{leastIoU, make([]vocClass, max(classes, 0))}
}

// Add takes in one picture, as COCO.Add does. Crowds count as difficult.
func (v *VOC) Add(picture int, objects []detection.Object, found []detection.Detection) {
	for k := range v.classes {
		v.classes[k].add(picture, v.least,
			slices.DeleteFunc(slices.Clone(objects), func(o detection.Object) bool { return o.Class != k }),
			slices.DeleteFunc(slices.Clone(found), func(d detection.Detection) bool { return d.Class != k }))
	}
}

func (k *vocClass) add(picture int, least float64, objects []detection.Object, found []detection.Detection) {
	for _, o := range objects {
		if !o.Difficult && !o.Crowd {
			k.objects++
		}
	}
	slices.SortStableFunc(found, func(a, b detection.Detection) int { return cmp.Compare(b.Score, a.Score) })
	taken := make([]bool, len(objects))
	for i, d := range found {
		best, at := 0.0, -1
		for j, o := range objects {
			if v := d.Box.IoU(o.Box); v > best {
				best, at = v, j
			}
		}
		m := vocMatch{score: d.Score, picture: int32(picture), rank: int32(i)}
		if at >= 0 && best >= least {
			if objects[at].Difficult || objects[at].Crowd {
				continue
			}
			m.hit = !taken[at]
			taken[at] = true
		}
		k.found = append(k.found, m)
	}
}

// VOCResult holds mean average precisions, in 0..1; -1 where no class has an object.
type VOCResult struct {
	AP      float64    `json:"ap"`         // the area under the curve (VOC 2010 and later)
	AP11    float64    `json:"ap_11point"` // the mean over the recalls 0, .1, .. 1 (VOC 2007)
	Classes []VOCClass `json:"classes"`
}

// VOCClass is the result of one class; its precisions are -1 where it has no object.
type VOCClass struct {
	Class   int     `json:"class"`
	Objects int     `json:"objects"` // without difficult ones
	AP      float64 `json:"ap"`
	AP11    float64 `json:"ap_11point"`
}

// Result computes the figures of all pictures that were added.
func (v *VOC) Result() *VOCResult {
	out := &VOCResult{}
	var area, points mean
	for i := range v.classes {
		k := &v.classes[i]
		c := VOCClass{Class: i, Objects: k.objects, AP: -1, AP11: -1}
		if k.objects > 0 {
			c.AP, c.AP11 = k.precision()
			area.add(c.AP)
			points.add(c.AP11)
		}
		out.Classes = append(out.Classes, c)
	}
	out.AP, out.AP11 = area.value(), points.value()
	return out
}

func (k *vocClass) precision() (area, points float64) {
	slices.SortStableFunc(k.found, func(a, b vocMatch) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.picture, b.picture), cmp.Compare(a.rank, b.rank))
	})
	var precision, recall []float64
	tp := 0.0
	for i, m := range k.found {
		if m.hit {
			tp++
		}
		precision, recall = append(precision, tp/float64(i+1)), append(recall, tp/float64(k.objects))
	}
	envelope(precision)
	last := 0.0
	for i, r := range recall {
		area += (r - last) * precision[i]
		last = r
	}
	for t := range 11 {
		if at := slices.IndexFunc(recall, func(r float64) bool { return r >= float64(t)/10 }); at >= 0 {
			points += precision[at] / 11
		}
	}
	return area, points
}
