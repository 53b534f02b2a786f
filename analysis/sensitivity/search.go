package sensitivity

import (
	"fmt"
	"math"
)

// Reached is a choice of ratios for a target.
type Reached struct {
	Ratios []Ratio
	Limit  float64 // the loss that each parameter may have alone
	Cost   float64
}

// UnreachableError says that the curves do not go far enough.
type UnreachableError struct{ Target, Least float64 }

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the curves reach %.4g at most, not %.4g: measure more parameters or larger ratios, or take away what bounds the cut", e.Least, e.Target)
}

// searchSteps bounds each bisection: 2^-40 of the range of losses.
const searchSteps = 40

// Reach searches the limit of loss at which cost comes nearest to target. cost tells what is left with some ratios, and falls as ratios
// rise. Since a curve that is not monotone lets a parameter's ratio jump where the limit passes a point, cost may jump over the
// target; then the parameters jump one after the other, and the one on which the target lies goes a part of its way.
func (c *Curves) Reach(target float64, cost func([]Ratio) (float64, error)) (*Reached, error) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, k := range c.Curves {
		for _, p := range k.Points {
			least, most = min(least, p.Loss), max(most, p.Loss)
		}
	}
	if math.IsInf(least, 1) {
		return nil, fmt.Errorf("the curves have no point")
	}
	s := &search{target: target, cost: cost, best: Reached{Cost: math.Inf(1)}}
	at := func(limit float64) (*Reached, error) { return s.try(c.Ratios(limit), limit) }
	low, err := s.try(nil, math.Nextafter(least, math.Inf(-1)))
	if err != nil || low.Cost <= target {
		return low, err
	}
	high, err := at(most)
	if err != nil {
		return nil, err
	}
	if high.Cost > target && !s.near(high.Cost) {
		return nil, &UnreachableError{target, high.Cost}
	}
	for range searchSteps {
		if s.near(s.best.Cost) || high.Cost > target {
			return &s.best, nil
		}
		mid, err := at(low.Limit + (high.Limit-low.Limit)/2)
		if err != nil {
			return nil, err
		}
		if mid.Cost > target {
			low = mid
		} else {
			high = mid
		}
	}
	return s.between(c, low, high)
}

type search struct {
	target float64
	cost   func([]Ratio) (float64, error)
	best   Reached
}

// near is what a search aims at: a thousandth of the target.
func (s *search) near(cost float64) bool { return math.Abs(cost-s.target) <= s.target/1000 }

func (s *search) try(r []Ratio, limit float64) (*Reached, error) {
	v, err := s.cost(r)
	if err != nil {
		return nil, err
	}
	out := Reached{r, limit, v}
	if math.Abs(v-s.target) < math.Abs(s.best.Cost-s.target) {
		s.best = out
	}
	return &out, nil
}

// between goes from the ratios of low to those of high, parameter by parameter.
func (s *search) between(c *Curves, low, high *Reached) (*Reached, error) {
	ratios := func(r *Reached) map[string]float64 {
		out := map[string]float64{}
		for _, v := range r.Ratios {
			out[v.Param] = v.Ratio
		}
		return out
	}
	from, to := ratios(low), ratios(high)
	// mix takes the first n parameters from to, the next one at a share of its way, and the rest from from.
	mix := func(n int, share float64) (*Reached, error) {
		var out []Ratio
		for i, k := range c.Curves {
			r := from[k.Param]
			switch {
			case i < n:
				r = to[k.Param]
			case i == n:
				r += share * (to[k.Param] - r)
			}
			if r > 0 {
				out = append(out, Ratio{k.Param, r})
			}
		}
		return s.try(out, high.Limit)
	}
	first, last := 0, len(c.Curves) // the target lies behind first parameters, and not behind last
	for last-first > 1 {
		n := (first + last) / 2
		m, err := mix(n, 0)
		if err != nil {
			return nil, err
		}
		if m.Cost > s.target {
			first = n
		} else {
			last = n
		}
	}
	a, b := 0., 1.
	for range searchSteps / 2 {
		if s.near(s.best.Cost) {
			break
		}
		m, err := mix(first, (a+b)/2)
		if err != nil {
			return nil, err
		}
		if m.Cost > s.target {
			a = (a + b) / 2
		} else {
			b = (a + b) / 2
		}
	}
	return &s.best, nil
}
