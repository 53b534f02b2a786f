package metrics

// Accuracy counts how often a classifier's best, or one of its five best, is the label.
type Accuracy struct{ pictures, top1, top5 int }

// Add takes in one picture: a score per class, and the index of the class that is right. Of equal scores the lower index is the better;
// a label whose score is NaN, or that has no score, is a miss.
func (a *Accuracy) Add(scores []float64, label int) {
	a.pictures++
	if label < 0 || label >= len(scores) || scores[label] != scores[label] {
		return
	}
	rank := 0
	for i, s := range scores {
		if s > scores[label] || s == scores[label] && i < label {
			rank++
		}
	}
	if rank < 1 {
		a.top1++
	}
	if rank < 5 {
		a.top5++
	}
}

// AccuracyResult holds shares of the pictures, in 0..1; -1 where there are none.
type AccuracyResult struct {
	Top1     float64 `json:"top1"`
	Top5     float64 `json:"top5"`
	Pictures int     `json:"pictures"`
}

// Result computes the figures of all pictures that were added.
func (a *Accuracy) Result() *AccuracyResult {
	if a.pictures == 0 {
		return &AccuracyResult{-1, -1, 0}
	}
	n := float64(a.pictures)
	return &AccuracyResult{float64(a.top1) / n, float64(a.top5) / n, a.pictures}
}

// best returns the index of the highest score; -1 where none is a number.
func best(scores []float64) int {
	at := -1
	for i, s := range scores {
		if s == s && (at < 0 || s > scores[at]) {
			at = i
		}
	}
	return at
}
