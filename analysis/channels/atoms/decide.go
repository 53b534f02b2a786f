package atoms

import (
	"fmt"
	"slices"
)

// Decide settles every link: which factor of a split or merged axis stays prunable. The others become fixed blocks.
// A choice pins atoms, and with them choices of other links; so the link whose options differ most goes first in
// every round, and ties go to the earlier link. soft reports whether an inexact reason counts as no pin.
func (s *Set) Decide(soft bool) {
	open := slices.Clone(s.Links)
	for len(open) > 0 {
		best, bestGain := -1, -1.0
		rest := open[:0]
		for _, l := range open {
			first, second := s.options(l, soft)
			if first-second >= 1 { // one option only: nothing can be lost by taking it now
				s.choose(l, soft)
				continue
			}
			if gain := first - second; gain > bestGain {
				best, bestGain = len(rest), gain
			}
			rest = append(rest, l)
		}
		forced := len(rest) < len(open)
		if open = rest; !forced {
			s.choose(open[best], soft)
			open = slices.Delete(open, best, best+1)
		}
	}
}

// options returns the free shares of the best and the second best factor, in 0..1.
func (s *Set) options(l *Link, soft bool) (first, second float64) {
	for f := range l.Factors {
		share, _ := s.free(l, f, soft)
		if share > first {
			first, second = share, first
		} else if share > second {
			second = share
		}
	}
	return first, second
}

// free returns the share of a factor's indices that could go if the factor were chosen, and the number of their classes.
func (s *Set) free(l *Link, f int, soft bool) (share float64, count int) {
	ids := l.Factors[f].IDs
	hard := func(a ID) bool { r := s.pin[a]; return r != nil && !(soft && r.Inexact) }
	if len(s.marks) < len(s.parent) {
		s.marks = make([]int32, len(s.parent))
	}
	s.mark += 2
	stays, counted := s.mark, s.mark+1
	l.eachCell(f, func(product ID, j int) {
		if hard(s.Find(product)) {
			s.marks[s.Find(ids[j])] = stays
		}
	})
	n := 0
	for _, id := range ids {
		class := s.Find(id)
		if s.marks[class] == stays || hard(class) {
			continue
		}
		n++
		if s.marks[class] != counted {
			s.marks[class] = counted
			count++
		}
	}
	return float64(n) / float64(len(ids)), count
}

// choose takes the factor with the larger free share, then the one with more classes, then the later one (which
// is the inner one: positions within a block).
func (s *Set) choose(l *Link, soft bool) {
	best, bestShare, bestCount := len(l.Factors)-1, -1.0, 0
	for f := len(l.Factors) - 1; f >= 0; f-- {
		share, count := s.free(l, f, soft)
		if share > bestShare || share == bestShare && count > bestCount {
			best, bestShare, bestCount = f, share, count
		}
	}
	l.Chosen = best
	l.eachCell(best, func(product ID, j int) { s.Union(l.Factors[best].IDs[j], product) })
	sizes := l.Sizes()
	for f, a := range l.Factors {
		if f != best {
			s.PinArray(a, &Reason{Node: l.Node, Text: fmt.Sprintf("it is the fixed part of an axis that %s splits into %v", l.Node.Title(), sizes)})
		}
	}
}
