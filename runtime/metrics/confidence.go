package metrics

// Precision and recall at one confidence threshold, chosen as ultralytics chooses it (ultralytics/utils/metrics.py,
// ap_per_class): the threshold among 1000 where F1, averaged over classes and smoothed, is best. Detections are matched as COCO
// matches them, at IoU .50; crowds and what they take are left out.

var confidences = linspace(0, 1, 1000)

// confidenceCurve is a class's precision and recall at each of confidences.
type confidenceCurve struct{ precision, recall []float64 }

// confidence returns the curve of a class; nil where it has no object.
func (k *cocoClass) confidence() *confidenceCurve {
	if k.objects[areaAll] == 0 {
		return nil
	}
	var scores, precision, recall []float64
	var tp, fp float64
	for i := range k.found {
		m := &k.found[i]
		if m.ignored[areaAll]&1 != 0 {
			continue
		}
		if m.hit[areaAll]&1 != 0 {
			tp++
		} else {
			fp++
		}
		scores, precision, recall = append(scores, m.score), append(precision, tp/(tp+fp)), append(recall, tp/float64(k.objects[areaAll]))
	}
	c := &confidenceCurve{make([]float64, len(confidences)), make([]float64, len(confidences))}
	for i, at := range confidences {
		c.precision[i], c.recall[i] = interpolate(at, scores, precision, 1), interpolate(at, scores, recall, 0)
	}
	return c
}

// interpolate reads a curve over falling scores at one score; above the highest it is above, below the lowest the last value.
func interpolate(at float64, scores, values []float64, above float64) float64 {
	n := len(scores)
	if n == 0 {
		return 0
	}
	if at > scores[0] {
		return above
	}
	lo, hi := 0, n // the last score that is at least at
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; scores[mid] >= at {
			lo = mid
		} else {
			hi = mid
		}
	}
	if lo == n-1 {
		return values[lo]
	}
	f := (scores[lo] - at) / (scores[lo] - scores[lo+1])
	return values[lo] + f*(values[lo+1]-values[lo])
}

// bestF1 returns the index of the confidence with the best smoothed mean F1; -1 where no class has an object. Ties go to the lower.
func bestF1(curves []*confidenceCurve) int {
	f1 := make([]float64, len(confidences))
	classes := 0
	for _, c := range curves {
		if c == nil {
			continue
		}
		classes++
		for i := range f1 {
			p, r := c.precision[i], c.recall[i]
			f1[i] += 2 * p * r / (p + r + 1e-16)
		}
	}
	if classes == 0 {
		return -1
	}
	const half = 50 // a box filter over a tenth of the curve, its ends continued by their last values
	best, at := -1.0, 0
	for i := range f1 {
		sum := 0.0
		for d := -half; d <= half; d++ {
			sum += f1[min(max(i+d, 0), len(f1)-1)]
		}
		if sum > best {
			best, at = sum, i
		}
	}
	return at
}
