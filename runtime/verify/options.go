package verify

import (
	"math"

	"onnxprune/analysis/option"
)

// Check refuses what can not be meant.
func (o *Options) Check() error {
	for _, t := range []struct {
		name string
		v    float64
	}{{"tolerance", o.RTol}, {"absolute tolerance", o.ATol}} {
		if !(t.v >= 0) || math.IsInf(t.v, 0) {
			return option.Errorf("%s %v is not a positive number", t.name, t.v)
		}
	}
	switch {
	case o.Runs < 0:
		return option.Errorf("%d runs: at least 1 is needed", o.Runs)
	case o.Threads < 0:
		return option.Errorf("threads %d: there can not be fewer than none", o.Threads)
	}
	return o.Picture.Check()
}

// complete fills the defaults in.
func (o *Options) complete() {
	if o.Runs == 0 {
		o.Runs = 1
	}
	if o.RTol == 0 {
		o.RTol = DefaultRTol
	}
}
