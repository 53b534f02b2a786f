// Package allocation chooses how wide each group of channels stays, so that a model meets a budget at the least loss.
//
// What a group's channels cost at its own layers is known from its curve (package recovery); how much the network's outputs feel of that, from
// one weight for each group. Again and again the group gives channels that has the least weighted error to pay for what the budget gains,
// at the widths that its neighbours have by then.
package allocation

import (
	"fmt"
	"math"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/recovery"
)

// Options of Allocate.
type Options struct {
	Align       int                 // widths become multiples of it, those of groups that are narrower stay; 0 or 1: any
	MaxRatio    float64             // most that a group gives; 0: 0.9
	MinChannels int                 // fewest channels that a group keeps
	Held        func(atoms.ID) bool // classes that stay; nil: none
	Weights     []float64           // by curve: the divergence of the outputs for one unit of the curve's error
}

// Choice is what goes.
type Choice struct {
	Removed    map[atoms.ID]bool
	Widths     []Width // by curve
	Cost       float64 // what is left
	Divergence float64 // that is predicted
}

// Width is how many channels a group keeps.
type Width struct {
	Curve         *recovery.Curve
	Before, After int
}

// UnreachableError says that a budget is below what the options allow.
type UnreachableError struct{ Target, Least, Before float64 }

func (e *UnreachableError) Error() string {
	return fmt.Sprintf("the budget of %.4g can not be met: %.4g is the least that is possible, of %.4g", e.Target, e.Least, e.Before)
}

// tolerance is how far from the target, as a share of it, the result may lie.
const tolerance = 0.01

// smallestStep is the least share of a group that goes at a time.
const smallestStep = 0.02

// candidate is a group on its way.
type candidate struct {
	curve  *recovery.Curve
	order  []atoms.ID // classes in the order in which they go, without those that stay
	errors []float64  // weighted, by number of classes that went
	size   int        // classes before
	gone   int
	grid   int // kept counts are multiples of it
	step   int
	floor  int // fewest that stay
}

// Allocate takes channels out until no more than target is left of the meter's cost. The meter is left at the result.
func Allocate(a *channels.Analysis, curves []*recovery.Curve, m *Meter, target float64, opt Options) (*Choice, error) {
	before := m.Total()
	cs := candidates(a, curves, opt)
	for m.Total() > target {
		best, least := -1, math.Inf(1)
		for i, c := range cs {
			n := c.next()
			if n == 0 {
				continue
			}
			saved := m.Saving(c.order[c.gone:c.gone+n], false)
			if saved <= 0 {
				continue
			}
			if price := (c.errors[c.gone+n] - c.errors[c.gone]) / saved; price < least {
				best, least = i, price
			}
		}
		if best < 0 {
			return nil, &UnreachableError{target, m.Total(), before}
		}
		cs[best].take(m, cs[best].next())
	}
	giveBack(cs, m, target)
	if m.Total() < target*(1-tolerance) {
		exchange(cs, m, target)
	}
	if m.Total() < target*(1-tolerance) {
		giveBack(cs, m, target*(1+tolerance))
	}
	out := &Choice{Removed: map[atoms.ID]bool{}, Cost: m.Total()}
	for _, c := range cs {
		for _, id := range c.order[:c.gone] {
			out.Removed[id] = true
		}
		out.Divergence += c.errors[c.gone]
		out.Widths = append(out.Widths, Width{c.curve, c.size, c.size - c.gone})
	}
	return out, nil
}

func candidates(a *channels.Analysis, curves []*recovery.Curve, opt Options) []*candidate {
	var out []*candidate
	for i, curve := range curves {
		weight := 1.0
		if opt.Weights != nil {
			weight = opt.Weights[i]
		}
		c := &candidate{curve: curve, size: curve.Group.Size(), grid: gridOf(a, curve.Group, opt.Align)}
		c.errors = []float64{0}
		last := 0.0
		for k, id := range curve.Classes {
			if k+1 >= len(curve.Error) {
				break
			}
			step := curve.Error[k+1] - curve.Error[k]
			if opt.Held != nil && opt.Held(id) {
				continue
			}
			last += weight * step
			c.order, c.errors = append(c.order, id), append(c.errors, last)
		}
		most := 0.9
		if opt.MaxRatio > 0 {
			most = opt.MaxRatio
		}
		c.floor = max(1, c.size-int(float64(c.size)*most+1e-9), min(opt.MinChannels, c.size), c.size-len(c.order))
		c.step = max(1, int(math.Round(smallestStep*float64(c.size))))
		out = append(out, c)
	}
	return out
}

// gridOf returns of what the number of a group's classes becomes a multiple, so that the widths of its weights are multiples of align.
func gridOf(a *channels.Analysis, g *channels.Group, align int) int {
	if align <= 1 {
		return 1
	}
	in := map[atoms.ID]bool{}
	for _, c := range g.Classes {
		in[c] = true
	}
	each := 0 // output channels of a weight that one class holds, at least
	for _, p := range a.Params {
		n := 0
		classes := map[atoms.ID]bool{}
		for _, c := range a.Classes(p) {
			if in[c] {
				n++
				classes[c] = true
			}
		}
		if n == 0 {
			continue
		}
		per := n / len(classes)
		if groups := int(p.Nodes[0].Int("group", 1)); groups > 1 && per > 1 && per%groups == 0 {
			per /= groups // one position in each conv group
		}
		if each == 0 || per < each {
			each = per
		}
	}
	return align / gcd(align, max(each, 1))
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// next returns how many classes go in the group's next step; 0 when it has nothing more to give.
func (c *candidate) next() int {
	kept := c.size - c.gone
	to := kept - c.step
	to -= to % c.grid
	if to <= 0 || to < c.floor {
		to = (max(c.floor, 1) + c.grid - 1) / c.grid * c.grid // the narrowest that is allowed
	}
	if to >= kept {
		return 0
	}
	return kept - to
}

// last returns how many classes come back to the width before, on the grid.
func (c *candidate) last() int {
	if c.gone == 0 {
		return 0
	}
	kept := c.size - c.gone
	to := kept + 1
	to += (c.grid - to%c.grid) % c.grid
	return min(to, c.size) - kept
}

func (c *candidate) take(m *Meter, n int) {
	m.Move(c.order[c.gone:c.gone+n], false)
	c.gone += n
}

func (c *candidate) restore(m *Meter, n int) {
	m.Move(c.order[c.gone-n:c.gone], true)
	c.gone -= n
}

// giveBack puts channels back that the budget has room for, those first whose return is worth most.
func giveBack(cs []*candidate, m *Meter, target float64) {
	for {
		total := m.Total()
		best, most := -1, 0.0
		for i, c := range cs {
			n := c.last()
			if n == 0 {
				continue
			}
			spent := -m.Saving(c.order[c.gone-n:c.gone], true)
			if spent <= 0 || total+spent > target {
				continue
			}
			if worth := (c.errors[c.gone] - c.errors[c.gone-n]) / spent; best < 0 || worth > most {
				best, most = i, worth
			}
		}
		if best < 0 {
			return
		}
		cs[best].restore(m, cs[best].last())
	}
}

// exchange lets one group give so that another gets back, where that comes closer to the target: the pair that costs least.
func exchange(cs []*candidate, m *Meter, target float64) {
	type pair struct{ give, get int }
	best, least := pair{-1, -1}, math.Inf(1)
	for i, give := range cs {
		n := give.next()
		if n == 0 {
			continue
		}
		give.take(m, n)
		for j, get := range cs {
			k := get.last()
			if i == j || k == 0 {
				continue
			}
			total := m.Total() - m.Saving(get.order[get.gone-k:get.gone], true)
			if total > target || total < target*(1-tolerance) {
				continue
			}
			if e := give.errors[give.gone] - give.errors[give.gone-n] - get.errors[get.gone] + get.errors[get.gone-k]; e < least {
				best, least = pair{i, j}, e
			}
		}
		give.restore(m, n)
	}
	if best.give >= 0 {
		cs[best.give].take(m, cs[best.give].next())
		cs[best.get].restore(m, cs[best.get].last())
	}
}

// Probe returns the classes that go when a curve's group is weighed: a quarter of them.
func Probe(c *recovery.Curve) []atoms.ID {
	n := min(max(1, (len(c.Classes)+2)/4), len(c.Error)-1)
	return slices.Clone(c.Classes[:max(n, 0)])
}
