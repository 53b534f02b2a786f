package verify

import (
	"math"

	"onnxprune/runtime/value"
)

// Rows says how many rows of an output that holds detections are found again, in any order.
type Rows struct {
	Reference int `json:"reference"`
	Candidate int `json:"candidate"`
	Matched   int `json:"matched"`
}

// maxRows bounds the search, which takes the product of both numbers of rows.
const maxRows = 4096

// matchRows looks for the rows of outputs that differ: detections are [K,5], [K,6] or [K,7] (box, score, class, picture),
// perhaps with a batch axis of one.
func matchRows(outputs []Output, want, got []values) {
	for i := range outputs {
		if outputs[i].Pass {
			continue
		}
		var sum Rows
		found := true
		for run := range want {
			r, ok := match(want[run][outputs[i].Name], got[run][outputs[i].Name])
			found = found && ok
			sum.Reference, sum.Candidate, sum.Matched = sum.Reference+r.Reference, sum.Candidate+r.Candidate, sum.Matched+r.Matched
		}
		if found {
			outputs[i].Rows = &sum
		}
	}
}

// match pairs rows greedily: each of the reference's takes the nearest row that is left, where all columns are within a thousandth
// of the column's largest magnitude.
func match(want, got value.Value) (Rows, bool) {
	w, wide, ok1 := rowsOf(want)
	g, wideToo, ok2 := rowsOf(got)
	if !ok1 || !ok2 || wide != wideToo || len(w)/wide > maxRows || len(g)/wide > maxRows {
		return Rows{}, false
	}
	scale := make([]float64, wide)
	for k, v := range w {
		if a := math.Abs(v); !math.IsInf(a, 0) && !math.IsNaN(a) {
			scale[k%wide] = max(scale[k%wide], a)
		}
	}
	r := Rows{Reference: len(w) / wide, Candidate: len(g) / wide}
	taken := make([]bool, r.Candidate)
	for i := range r.Reference {
		best, at := 1.0, -1
		for j := range r.Candidate {
			if taken[j] {
				continue
			}
			far := 0.0
			for k := range wide {
				far = max(far, math.Abs(w[i*wide+k]-g[j*wide+k])/(1e-3*scale[k]+1e-7))
			}
			if far <= best {
				best, at = far, j
			}
		}
		if at >= 0 {
			taken[at] = true
			r.Matched++
		}
	}
	return r, true
}

func rowsOf(v value.Value) (elements []float64, wide int, ok bool) {
	t, ok := v.(*value.Tensor)
	if !ok || t == nil {
		return nil, 0, false
	}
	sh := t.Shape
	if len(sh) == 3 && sh[0] == 1 {
		sh = sh[1:]
	}
	if len(sh) != 2 || sh[1] < 5 || sh[1] > 7 {
		return nil, 0, false
	}
	elements, ok = t.Floats()
	return elements, sh[1], ok
}
