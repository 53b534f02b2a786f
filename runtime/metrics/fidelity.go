package metrics

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/runtime/detection"
)

// FidelityScore is from which score on a detection of the original stands for an object.
const FidelityScore = 0.3

// Fidelity measures without labels how near a model stays to another one, the original. It is not safe for concurrent use.
type Fidelity struct {
	found    *COCO // nil where Detections was not called
	pictures map[int]distance
	agree    int
	judged   int // pictures of which Classes was told
}

// distance is how far two runs on one picture are apart, over all outputs together.
type distance struct {
	squared, energy float64
	dot, other      float64
	nonFinite       int
}

// NewFidelity returns an empty accumulator.
func NewFidelity() *Fidelity { return &Fidelity{pictures: map[int]distance{}} }

// Detections takes in what both found in one picture. The original's detections of at least FidelityScore are the truth.
func (f *Fidelity) Detections(picture int, original, other []detection.Detection) {
	var truth []detection.Object
	for _, d := range original {
		if d.Score >= FidelityScore {
			truth = append(truth, detection.Object{Class: d.Class, Box: d.Box, Area: d.Box.Area()})
		}
	}
	if f.found == nil {
		f.found = NewCOCO(0)
	}
	f.found.Add(picture, truth, other)
}

// Outputs takes in the raw outputs of both for one picture, head by head. Squared errors are summed over all heads as they are: an
// error that is normalised per head tells little about what is lost.
func (f *Fidelity) Outputs(picture int, original, other [][]float32) error {
	if len(original) != len(other) {
		return fmt.Errorf("the original has %d outputs, the other %d", len(original), len(other))
	}
	var d distance
	for i := range original {
		if len(original[i]) != len(other[i]) {
			return fmt.Errorf("output %d has %d values in the original, %d in the other", i, len(original[i]), len(other[i]))
		}
		for j, a := range original[i] {
			d.add(float64(a), float64(other[i][j]))
		}
	}
	f.pictures[picture] = d
	return nil
}

func (d *distance) add(a, b float64) {
	if e := a - b; !math.IsNaN(e) && !math.IsInf(e, 0) {
		d.squared += e * e
		d.energy += a * a
		d.other += b * b
		d.dot += a * b
	} else if !(a == b || a != a && b != b) {
		d.nonFinite++
	}
}

// Classes takes in a classifier's scores for one picture, of both.
func (f *Fidelity) Classes(original, other []float64) {
	f.judged++
	if best(original) == best(other) {
		f.agree++
	}
}

// FidelityResult says how near a model stays to the original. What was not measured is nil.
type FidelityResult struct {
	Detections *COCOFigures `json:"detections,omitempty"` // against the original's own detections
	Outputs    *OutputError `json:"outputs,omitempty"`
	Top1       *float64     `json:"top1_agreement,omitempty"` // share of pictures for which both name the same class
}

// OutputError compares raw outputs.
type OutputError struct {
	Squared   float64 `json:"squared_error"`  // summed over all values of all heads, mean over pictures
	Relative  float64 `json:"relative_error"` // the sum over pictures, divided by that of the original's squared values
	Cosine    float64 `json:"cosine"`         // of all heads as one vector, mean over pictures
	NonFinite int     `json:"non_finite"`     // values that are finite in one of the two alone; they are in no other figure
}

// Result computes the figures of all pictures that were added.
func (f *Fidelity) Result() *FidelityResult {
	out := &FidelityResult{}
	if f.found != nil {
		r := f.found.Result().COCOFigures
		out.Detections = &r
	}
	if f.judged > 0 {
		share := float64(f.agree) / float64(f.judged)
		out.Top1 = &share
	}
	if len(f.pictures) == 0 {
		return out
	}
	e := &OutputError{}
	order := make([]int, 0, len(f.pictures))
	for p := range f.pictures {
		order = append(order, p)
	}
	slices.Sort(order) // sums of real numbers depend on their order
	var energy float64
	for _, p := range order {
		d := f.pictures[p]
		e.Squared += d.squared
		energy += d.energy
		e.Cosine += d.cosine()
		e.NonFinite += d.nonFinite
	}
	if energy > 0 {
		e.Relative = e.Squared / energy
	}
	e.Squared /= float64(len(order))
	e.Cosine /= float64(len(order))
	out.Outputs = e
	return out
}

// cosine is 1 for two vectors of zeros, 0 where one of them is.
func (d distance) cosine() float64 {
	if d.energy == 0 || d.other == 0 {
		if d.energy == d.other {
			return 1
		}
		return 0
	}
	return d.dot / math.Sqrt(d.energy) / math.Sqrt(d.other)
}
