package metrics

import (
	"cmp"
	"slices"
)

// COCOFigures are the twelve figures of COCO's detection evaluation, each in 0..1; -1 where no object counts.
type COCOFigures struct {
	AP       float64 `json:"ap"` // mean over IoU .50:.05:.95
	AP50     float64 `json:"ap50"`
	AP75     float64 `json:"ap75"`
	APSmall  float64 `json:"ap_small"`  // objects of at most 32*32 square pixels
	APMedium float64 `json:"ap_medium"` // to 96*96
	APLarge  float64 `json:"ap_large"`
	AR1      float64 `json:"ar1"` // with at most 1 detection of a picture and class
	AR10     float64 `json:"ar10"`
	AR100    float64 `json:"ar100"`
	ARSmall  float64 `json:"ar_small"`
	ARMedium float64 `json:"ar_medium"`
	ARLarge  float64 `json:"ar_large"`
}

// COCOFigure says what one of the twelve figures measures, in pycocotools' terms.
type COCOFigure struct {
	Precision bool   // average precision; else average recall
	IoU       string // "0.50:0.95", "0.50" or "0.75"
	Area      string // "all", "small", "medium" or "large"
	Most      int    // detections of a picture and class
}

// COCOSummary names the figures in the order of COCOFigures.Values.
var COCOSummary = [12]COCOFigure{
	{true, "0.50:0.95", "all", 100}, {true, "0.50", "all", 100}, {true, "0.75", "all", 100},
	{true, "0.50:0.95", "small", 100}, {true, "0.50:0.95", "medium", 100}, {true, "0.50:0.95", "large", 100},
	{false, "0.50:0.95", "all", 1}, {false, "0.50:0.95", "all", 10}, {false, "0.50:0.95", "all", 100},
	{false, "0.50:0.95", "small", 100}, {false, "0.50:0.95", "medium", 100}, {false, "0.50:0.95", "large", 100},
}

// Values returns the figures in pycocotools' order.
func (f COCOFigures) Values() [12]float64 {
	return [12]float64{f.AP, f.AP50, f.AP75, f.APSmall, f.APMedium, f.APLarge, f.AR1, f.AR10, f.AR100, f.ARSmall, f.ARMedium, f.ARLarge}
}

// COCOResult is what a run over a data set gives.
type COCOResult struct {
	COCOFigures
	Precision float64     `json:"precision"` // at IoU .50 and the score of the best mean F1, mean over classes; -1 for none
	Recall    float64     `json:"recall"`
	Score     float64     `json:"score"` // that score
	Classes   []COCOClass `json:"classes"`
}

// COCOClass is the result of one class alone.
type COCOClass struct {
	Class    int `json:"class"`
	Pictures int `json:"pictures"` // with an object of the class
	Objects  int `json:"objects"`  // without crowds
	COCOFigures
	Precision float64 `json:"precision"` // at IoU .50 and COCOResult.Score
	Recall    float64 `json:"recall"`
}

// Result computes the figures of all pictures that were added. Classes without an object that counts are not part of a mean.
func (c *COCO) Result() *COCOResult {
	out := &COCOResult{Precision: -1, Recall: -1}
	var all means
	curves := make([]*confidenceCurve, len(c.classes))
	for i := range c.classes {
		k := &c.classes[i]
		slices.SortStableFunc(k.found, func(a, b match) int {
			return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.picture, b.picture), cmp.Compare(a.rank, b.rank))
		})
		var own means
		k.measure(&own)
		all.join(&own)
		curves[i] = k.confidence()
		out.Classes = append(out.Classes, COCOClass{Class: i, Pictures: k.pictures, Objects: k.objects[areaAll],
			COCOFigures: own.figures(), Precision: -1, Recall: -1})
	}
	out.COCOFigures = all.figures()
	at := bestF1(curves)
	if at < 0 {
		return out
	}
	out.Score = confidences[at]
	var p, r mean
	for i, curve := range curves {
		if curve != nil {
			out.Classes[i].Precision, out.Classes[i].Recall = curve.precision[at], curve.recall[at]
			p.add(curve.precision[at])
			r.add(curve.recall[at])
		}
	}
	out.Precision, out.Recall = p.value(), r.value()
	return out
}

// mean is a sum on its way to a mean.
type mean struct {
	sum float64
	n   int
}

func (m *mean) add(v float64) { m.sum, m.n = m.sum+v, m.n+1 }

// value is -1 for the mean of nothing.
func (m mean) value() float64 {
	if m.n == 0 {
		return -1
	}
	return m.sum / float64(m.n)
}

// means collects the parts of the twelve figures. Precisions of one class and IoU are already means over the recalls: each has 101, so
// that the mean of means is the mean of all.
type means [12]mean

func (m *means) join(o *means) {
	for i := range m {
		m[i].sum += o[i].sum
		m[i].n += o[i].n
	}
}

func (m *means) figures() COCOFigures {
	v := func(i int) float64 { return m[i].value() }
	return COCOFigures{v(0), v(1), v(2), v(3), v(4), v(5), v(6), v(7), v(8), v(9), v(10), v(11)}
}

// measure adds one class.
func (k *cocoClass) measure(to *means) {
	for area := range cocoAreas {
		if k.objects[area] == 0 {
			continue
		}
		for t := range cocoIoUs {
			p, r := k.curve(area, t)
			if area != areaAll {
				to[2+area].add(p)
				to[8+area].add(r[2])
				continue
			}
			to[0].add(p)
			switch t {
			case 0:
				to[1].add(p)
			case 5:
				to[2].add(p)
			}
			for i := range cocoMost {
				to[6+i].add(r[i])
			}
		}
	}
}

// curve returns the average precision over 101 recalls with at most 100 detections a picture, and the recall reached with each of
// cocoMost.
func (k *cocoClass) curve(area, t int) (ap float64, recall [len(cocoMost)]float64) {
	n := float64(k.objects[area])
	bit := uint16(1) << t
	var tp, fp float64
	var hits [len(cocoMost)]float64
	precision, at := make([]float64, 0, len(k.found)), make([]float64, 0, len(k.found))
	for i := range k.found {
		m := &k.found[i]
		if m.ignored[area]&bit == 0 {
			if m.hit[area]&bit != 0 {
				tp++
				for j, most := range cocoMost {
					if int(m.rank) < most {
						hits[j]++
					}
				}
			} else {
				fp++
			}
		}
		precision = append(precision, tp/max(tp+fp, 0x1p-52))
		at = append(at, tp/n)
	}
	for j := range hits {
		recall[j] = hits[j] / n
	}
	envelope(precision)
	i := 0
	for _, r := range cocoRecalls {
		for i < len(at) && at[i] < r {
			i++
		}
		if i < len(at) {
			ap += precision[i]
		}
	}
	return ap / float64(len(cocoRecalls)), recall
}

// envelope makes precisions fall: each becomes the best that is still to come.
func envelope(precision []float64) {
	for i := len(precision) - 2; i >= 0; i-- {
		precision[i] = max(precision[i], precision[i+1])
	}
}
