package selection

import (
	"slices"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/option"
)

// Alignment: what is kept of a weight must be a multiple of N, per conv group. The count that is asked for is lowered to the next that
// leaves a multiple. Where an earlier cut already took more than that, the count is raised to the next instead, from channels that
// no earlier cut ruled over, so that its multiple holds too. Units of different sizes are combined to the largest
// aligned count that they can make, which removes no more than was asked; where they can make none, nothing more goes.

// unitSize returns how many indices every unit holds (1 where they differ), and how many of these lie in one conv group: of the weight
// itself, or of a grouped convolution that reads its channels.
func (s *selector) unitSize(p *channels.Param, units []unit) (size, per int) {
	size = len(units[0].indices)
	for _, u := range units {
		if len(u.indices) != size {
			return 1, 1
		}
	}
	per = size
	if g := int(p.Nodes[0].Int("group", 1)); g > 1 && size%g == 0 && across(units[0].indices, int(p.Out)/g) {
		per = size / g
	}
	if n := s.perGroup(units[0].class); n > 0 && size%n == 0 {
		per = min(per, n)
	}
	return size, per
}

// perGroup returns how many of the input channels of one conv group a class holds, in the convolution that reads fewest of them so; 0 where
// no grouped convolution reads the class.
func (s *selector) perGroup(class atoms.ID) int {
	least := 0
	for _, c := range s.a.State.Consumptions {
		g := int(c.Node.Int("group", 1))
		if g < 2 || c.Weight < 0 {
			continue
		}
		axes := s.a.State.Reads[graph.Use{Node: c.Node, Input: c.Weight}]
		if c.WeightAxis >= len(axes) || axes[c.WeightAxis].Fixed() {
			continue
		}
		n := 0
		for _, id := range axes[c.WeightAxis].IDs {
			if s.a.State.Set.Find(id) == class {
				n++
			}
		}
		if c.WeightAxis == 0 { // ConvTranspose: all conv groups on one axis
			n /= g
		}
		if n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return least
}

// removeAligned takes an aligned choice of the free units out. A unit that would empty an axis is left out, and the choice made anew.
func (s *selector) removeAligned(w *Want, units []unit, free []*unit, gone, target int) []int {
	for {
		var removed []int
		var done []*unit
		var stuck *unit
		for _, u := range s.aligned(w, units, free, gone, target) {
			if !s.remove(u.class, w.Pattern) {
				stuck = u
				break
			}
			done, removed = append(done, u), append(removed, u.indices...)
		}
		if stuck == nil {
			return removed
		}
		for _, u := range done {
			s.restore(u.class)
		}
		free = slices.DeleteFunc(slices.Clone(free), func(u *unit) bool { return u == stuck })
	}
}

// restore undoes remove.
func (s *selector) restore(c atoms.ID) {
	for _, k := range s.in[c] {
		s.left[k.array] += int(k.n)
	}
	for _, w := range s.widths[c] {
		s.kept[w.param] += w.n
	}
	delete(s.choice.Removed, c)
}

// aligned picks those of the free units, in order, that bring the count of removed indices from gone to an aligned one.
func (s *selector) aligned(w *Want, units []unit, free []*unit, gone, target int) []*unit {
	size, per := s.unitSize(w.Param, units)
	var own []*unit
	for _, u := range free {
		if s.taken[u.class] == w {
			own = append(own, u)
		}
	}
	fits := func(removed int) bool {
		kept := int(w.Param.Out) - removed
		return kept > 0 && kept%size == 0 && kept/size*per%s.opt.Align == 0
	}
	reach := sums(own, int(w.Param.Out))
	goal := target
	for goal >= gone && !(fits(goal) && reach[0][goal-gone]) {
		goal--
	}
	if gone > target {
		goal = gone
		for goal < int(w.Param.Out) && !(fits(goal) && reach[0][goal-gone]) {
			goal++
		}
	}
	if goal < gone || goal >= int(w.Param.Out) {
		return nil
	}
	var out []*unit
	left := goal - gone
	for i, u := range own {
		if n := len(u.indices); n <= left && reach[i+1][left-n] {
			out = append(out, u)
			left -= n
		}
	}
	return out
}

// sums tells, for every i, which totals below limit some of the units from the i-th on add up to.
func sums(units []*unit, limit int) [][]bool {
	out := make([][]bool, len(units)+1)
	last := make([]bool, limit+1)
	last[0] = true
	out[len(units)] = last
	for i, u := range slices.Backward(units) {
		row := slices.Clone(out[i+1])
		for t := len(u.indices); t <= limit; t++ {
			row[t] = row[t] || out[i+1][t-len(u.indices)]
		}
		out[i] = row
	}
	return out
}

// Runtimes lists the runtimes that AlignFor knows.
var Runtimes = []string{"ort", "trt", "rknn", "qnn", "ascend", "ti-npu"}

// AlignFor returns the multiple of channels that a runtime computes without waste: docs/accuracy.md has the sources.
func AlignFor(runtime string) (int, error) {
	switch runtime {
	case "ort", "trt":
		return 8, nil
	case "rknn", "ascend":
		return 16, nil
	case "qnn":
		return 32, nil
	case "ti-npu":
		return 4, nil
	}
	return 0, option.Errorf("align-for %q is not known; there are %s", runtime, strings.Join(Runtimes, ", "))
}
