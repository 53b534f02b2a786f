// Package sensitivity holds what removing channels of single parameters costs: for each parameter a curve of losses over ratios,
// as PaddleSlim's sensitivity analysis makes them, and what is chosen from such curves. Nothing here runs a model: Measure takes
// a function that does.
//
// The loss of a point is (baseline - metric) / baseline, where metric is what the model reaches with that share of the
// parameter's channels removed, and nothing else. Negative losses are normal.
package sensitivity

import (
	"cmp"
	"fmt"
	"slices"
)

// Format and Version identify the JSON form. Version grows when a reader of the older form would go wrong.
const (
	Format  = "onnxprune-sensitivity"
	Version = 1
)

// Curves are the losses of a model's parameters, and what they were measured with.
type Curves struct {
	Format  string `json:"format"`
	Version int    `json:"version"`

	Setting  Setting            `json:"setting"`
	Baseline float64            `json:"baseline"`          // the metric of the whole model; 0 where it is not known
	Figures  map[string]float64 `json:"figures,omitempty"` // what else was measured of it

	Curves []Curve `json:"curves"` // in the model's order
}

// Setting is what losses depend on: points of different settings do not belong into one file.
type Setting struct {
	Model     string `json:"model"`  // file name
	SHA256    string `json:"sha256"` // of the model file; empty where it is not known, as in PaddleSlim's files
	Data      string `json:"data"`   // digest of the pictures' names and labels, in order
	Pictures  int    `json:"pictures"`
	Metric    string `json:"metric"`
	Criterion string `json:"criterion"`
	Vote      string `json:"vote,omitempty"`
	Align     int    `json:"align,omitempty"`
	Seed      uint64 `json:"seed,omitempty"`
	Engine    string `json:"engine"`
	Inputs    string `json:"inputs,omitempty"` // how pictures become inputs
}

// Curve is the loss of one parameter.
type Curve struct {
	Param    string  `json:"param"`
	Place    int     `json:"place"`              // among the model's parameters
	Channels int     `json:"channels,omitempty"` // of its output axis
	Points   []Point `json:"points"`             // by ratio, rising
}

// Point is one measurement.
type Point struct {
	Ratio   float64            `json:"ratio"`
	Removed int                `json:"removed,omitempty"` // channels
	Metric  float64            `json:"metric"`
	Loss    float64            `json:"loss"`
	Figures map[string]float64 `json:"figures,omitempty"`
}

// Loss is PaddleSlim's: the share of the baseline that is lost. There must be something to lose.
func Loss(baseline, metric float64) (float64, error) {
	if !(baseline > 0) {
		return 0, fmt.Errorf("the whole model reaches %v: there is nothing that a prune could lose; check data, labels and preprocessing with: onnxprune eval", baseline)
	}
	return (baseline - metric) / baseline, nil
}

// New returns curves without a point.
func New(s Setting) *Curves {
	return &Curves{Format: Format, Version: Version, Setting: s, Curves: []Curve{}}
}

// Of returns the curve of a parameter, nil where there is none.
func (c *Curves) Of(param string) *Curve {
	if i := slices.IndexFunc(c.Curves, func(k Curve) bool { return k.Param == param }); i >= 0 {
		return &c.Curves[i]
	}
	return nil
}

// At returns the point of a ratio, nil where there is none.
func (k *Curve) At(ratio float64) *Point {
	if k == nil {
		return nil
	}
	if i := slices.IndexFunc(k.Points, func(p Point) bool { return p.Ratio == ratio }); i >= 0 {
		return &k.Points[i]
	}
	return nil
}

// Points counts the points of all curves.
func (c *Curves) Points() int {
	n := 0
	for _, k := range c.Curves {
		n += len(k.Points)
	}
	return n
}

// Put adds a point to the curve of k, or replaces the one of that ratio.
func (c *Curves) Put(k Curve, p Point) {
	own := c.Of(k.Param)
	if own == nil {
		k.Points = nil
		c.Curves = append(c.Curves, k)
		slices.SortStableFunc(c.Curves, func(a, b Curve) int { return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Param, b.Param)) })
		own = c.Of(k.Param)
	}
	if old := own.At(p.Ratio); old != nil {
		*old = p
		return
	}
	own.Points = append(own.Points, p)
	slices.SortFunc(own.Points, func(a, b Point) int { return cmp.Compare(a.Ratio, b.Ratio) })
}

// Differs says in which respect two settings differ, "" where they do not. What one of them does not know is no difference.
func (s Setting) Differs(o Setting) string {
	for _, f := range []struct{ what, a, b string }{
		{"model", s.SHA256, o.SHA256}, {"data", s.Data, o.Data}, {"metric", s.Metric, o.Metric}, {"criterion", s.Criterion, o.Criterion},
		{"vote", s.Vote, o.Vote}, {"engine", s.Engine, o.Engine}, {"preprocessing", s.Inputs, o.Inputs},
	} {
		if f.a != f.b && f.a != "" && f.b != "" {
			return fmt.Sprintf("%s %s and %s", f.what, f.a, f.b)
		}
	}
	if s.SHA256 == "" || o.SHA256 == "" {
		return ""
	}
	for _, f := range []struct {
		what string
		a, b uint64
	}{{"pictures", uint64(s.Pictures), uint64(o.Pictures)}, {"align", uint64(s.Align), uint64(o.Align)}, {"seed", s.Seed, o.Seed}} {
		if f.a != f.b {
			return fmt.Sprintf("%s %d and %d", f.what, f.a, f.b)
		}
	}
	return ""
}

// Conflict is a point that two files tell differently.
type Conflict struct {
	Param       string  // "" for the baseline
	Ratio       float64 // 0 for the baseline
	First, Last float64 // losses, or baselines; the last one is kept
}

func (c Conflict) String() string {
	if c.Param == "" {
		return fmt.Sprintf("the baselines are %v and %v; %v is kept", c.First, c.Last, c.Last)
	}
	return fmt.Sprintf("%s at %v: the losses are %v and %v; %v is kept", c.Param, c.Ratio, c.First, c.Last, c.Last)
}

// Merge unites curves. Of two measurements of one point the later list's counts, and they are reported where they differ.
func Merge(lists ...*Curves) (*Curves, []Conflict, error) {
	var out *Curves
	var conflicts []Conflict
	for i, c := range lists {
		if out == nil {
			out = New(c.Setting)
		} else if d := out.Setting.Differs(c.Setting); d != "" {
			return nil, nil, fmt.Errorf("file %d was measured otherwise than those before it: %s", i+1, d)
		}
		if out.Setting.SHA256 == "" {
			out.Setting = c.Setting
		}
		if out.Baseline != 0 && c.Baseline != 0 && out.Baseline != c.Baseline {
			conflicts = append(conflicts, Conflict{First: out.Baseline, Last: c.Baseline})
		}
		if c.Baseline != 0 {
			out.Baseline, out.Figures = c.Baseline, c.Figures
		}
		for _, k := range c.Curves {
			for _, p := range k.Points {
				if old := out.Of(k.Param).At(p.Ratio); old != nil && old.Loss != p.Loss {
					conflicts = append(conflicts, Conflict{k.Param, p.Ratio, old.Loss, p.Loss})
				}
				out.Put(k, p)
			}
		}
	}
	return out, conflicts, nil
}
