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
		best, bestGain := 0, -1.0
		for i, l := range open {
			first, second := s.options(l, soft)
			if gain := first - second; gain > bestGain {
				best, bestGain = i, gain
			}
			if bestGain >= 1 { // one option only: nothing can be lost by taking it now
				break
			}
		}
		s.choose(open[best], soft)
		open = slices.Delete(open, best, best+1)
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

// free returns the share of a factor's indices that could go if the factor were chosen, and their number.
func (s *Set) free(l *Link, f int, soft bool) (share float64, count int) {
	sizes := l.Sizes()
	pinned := make([]bool, sizes[f])
	hard := func(a ID) bool { r := s.Pinned(a); return r != nil && !(soft && r.Inexact) }
	for j, id := range l.Factors[f].IDs {
		pinned[j] = hard(id)
	}
	inner := 1
	for _, d := range sizes[f+1:] {
		inner *= d
	}
	for i, id := range l.Product {
		if j := i / inner % sizes[f]; !pinned[j] && hard(id) {
			pinned[j] = true
		}
	}
	classes := map[ID]bool{}
	n := 0
	for j, p := range pinned {
		if !p {
			n++
			classes[s.Find(l.Factors[f].IDs[j])] = true
		}
	}
	return float64(n) / float64(len(pinned)), len(classes)
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
	sizes := l.Sizes()
	inner := 1
	for _, d := range sizes[best+1:] {
		inner *= d
	}
	for i, id := range l.Product {
		s.Union(l.Factors[best].IDs[i/inner%sizes[best]], id)
	}
	for f, a := range l.Factors {
		if f != best {
			s.PinArray(a, &Reason{Node: l.Node, Text: fmt.Sprintf("it is the fixed part of an axis that %s splits into %v", l.Node.Title(), sizes)})
		}
	}
}
