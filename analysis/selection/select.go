package selection

import (
	"cmp"
	"math"
	"slices"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/plan"
)

// Vote says whose scores count when several weights share their output channels.
type Vote string

// The votes.
const (
	VoteNamed Vote = "named" // the first named weight in graph order, as PaddleSlim does
	VoteSum   Vote = "sum"   // the sum over all weights of the group, each divided by its mean
	VoteMean  Vote = "mean"  // their mean
	VoteMax   Vote = "max"   // the largest of them
)

// Options of Select.
type Options struct {
	Criterion importance.Criterion // "": l1_norm
	Vote      Vote                 // "": named
	Align     int                  // kept counts become multiples of it, per conv group; 0 or 1: any
	Seed      uint64               // of criterion random
	// Scores gives the scores of criteria that need more than the weights: one for every index of the weight's output axis. nil
	// for the others.
	Scores func(p *channels.Param) ([]float64, error)

	// MaxRatio bounds what cuts by patterns take of any axis of a tensor; 0: the ratio and one step of its coupling. Exact names
	// have no bound.
	MaxRatio    float64
	MinChannels int      // fewest output channels that a weight keeps; weights that have fewer keep all
	Protect     []string // names or patterns of weights whose output channels all stay, whatever they are coupled with
}

// complete refuses what can not be meant, and fills the defaults in.
func (o *Options) complete() error {
	if o.Criterion == "" {
		o.Criterion = importance.L1Norm
	}
	if o.Vote == "" {
		o.Vote = VoteNamed
	}
	return o.Check()
}

// Choice is which channels go.
type Choice struct {
	Removed map[atoms.ID]bool // classes
	Cuts    []plan.Cut
	Held    []Want   // by patterns: protected, and left out
	Bounded []string // weights that lose fewer channels than was asked, because of a bound
}

// Select picks the channels to remove: for each wanted weight, in graph order, those with the lowest scores; ties go to
// the lower index. Weights whose channels went with an earlier cut need no cut of their own; if they ask for another ratio, the request
// is refused. Bounds come before ratios: where a channel must stay, the next takes its place, or fewer go. Options that can not be meant are
// an *option.Error.
func Select(a *channels.Analysis, wants []Want, opt Options) (*Choice, error) {
	if err := opt.complete(); err != nil {
		return nil, err
	}
	for _, w := range wants {
		if err := CheckRatio(w.Ratio); err != nil {
			return nil, err
		}
	}
	s := &selector{a: a, opt: opt, choice: &Choice{Removed: map[atoms.ID]bool{}}, taken: map[atoms.ID]*Want{}}
	s.index()
	if err := s.bound(wants); err != nil {
		return nil, err
	}
	for i := range wants {
		if held, err := s.held(&wants[i]); err != nil {
			return nil, err
		} else if held {
			s.choice.Held = append(s.choice.Held, wants[i])
			continue
		}
		if err := s.cut(&wants[i]); err != nil {
			return nil, err
		}
	}
	s.couple(wants)
	return s.choice, nil
}

type selector struct {
	a      *channels.Analysis
	opt    Options
	choice *Choice
	taken  map[atoms.ID]*Want // by class: the first want that ruled over it
	size   []int              // by array: its indices
	left   []int              // by array: indices that are still there
	in     [][]count          // by class
	scores map[*channels.Param][]float64
	sharer map[atoms.ID][]*channels.Param
	bounds
}

// count is how many indices of an array a class holds.
type count struct{ array, n int32 }

// index notes in which axes each class lies, so that no axis is ever emptied.
func (s *selector) index() {
	set := s.a.State.Set
	s.in = make([][]count, set.Len())
	arrays := set.Arrays()
	s.left, s.size = make([]int, len(arrays)), make([]int, len(arrays))
	for k, arr := range arrays {
		s.left[k], s.size[k] = len(arr.IDs), len(arr.IDs)
		for _, id := range arr.IDs {
			c := set.Find(id)
			if !s.a.Removable(c) {
				continue
			}
			if l := s.in[c]; len(l) > 0 && l[len(l)-1].array == int32(k) {
				l[len(l)-1].n++
			} else {
				s.in[c] = append(l, count{int32(k), 1})
			}
		}
	}
}

// unit is one class as a weight's output axis sees it.
type unit struct {
	class   atoms.ID
	indices []int
	score   float64
	gone    bool
}

func (s *selector) cut(w *Want) error {
	units, err := s.units(w)
	if err != nil {
		return err
	}
	target := s.target(w.Param, units, w.Ratio)
	gone := 0
	for _, u := range units {
		if u.gone {
			gone += len(u.indices)
		}
	}
	var free []*unit
	for i := range units {
		if u := &units[i]; !u.gone && s.a.Removable(u.class) && s.protected[u.class] == nil {
			free = append(free, u)
		}
	}
	if gone < target || s.opt.Align > 1 && gone > 0 {
		if err := s.score(w, free); err != nil {
			return err
		}
	}
	slices.SortStableFunc(free, func(a, b *unit) int { return cmp.Compare(a.score, b.score) })
	var removed []int
	bounded := false
	if s.opt.Align > 1 {
		fit := s.feasible(w, free, target-gone)
		bounded = len(fit) < len(free)
		removed = s.removeAligned(w, units, fit, gone, target)
		gone += len(removed)
		free = nil
	}
	for _, u := range free {
		if gone+len(u.indices) > target {
			continue
		}
		if !s.remove(u.class, w.Pattern) {
			bounded = true
			continue
		}
		gone += len(u.indices)
		removed = append(removed, u.indices...)
	}
	if bounded && gone < target {
		s.choice.Bounded = append(s.choice.Bounded, w.Param.Name)
	}
	slices.Sort(removed)
	if len(removed) > 0 || !s.served(w, units) {
		s.choice.Cuts = append(s.choice.Cuts, plan.Cut{Param: w.Param.Name, Ratio: w.Ratio, Before: int(w.Param.Out), After: int(w.Param.Out) - gone, Removed: removed})
	}
	return nil
}

// served notes a weight whose channels went with an earlier cut; false where there is none.
func (s *selector) served(w *Want, units []unit) bool {
	for _, u := range units {
		if first := s.taken[u.class]; first != nil && first != w {
			for i := range s.choice.Cuts {
				if c := &s.choice.Cuts[i]; c.Param == first.Param.Name {
					c.Also = append(c.Also, w.Param.Name)
					return true
				}
			}
		}
	}
	return false
}

// units lists the classes of a weight's output axis, and checks that no earlier cut ruled over one of them at another ratio.
func (s *selector) units(w *Want) ([]unit, error) {
	var out []unit
	at := map[atoms.ID]int{}
	for i, c := range s.a.Classes(w.Param) {
		if first := s.taken[c]; first == nil {
			s.taken[c] = w
		} else if first != w && first.Ratio != w.Ratio && s.a.Removable(c) {
			return nil, refuse("%s and %s share their channels, but are asked for at ratios %v and %v: give both the same ratio, or name one of them",
				first.Param.Name, w.Param.Name, first.Ratio, w.Ratio)
		}
		k, ok := at[c]
		if !ok {
			k = len(out)
			at[c] = k
			out = append(out, unit{class: c, gone: s.choice.Removed[c]})
		}
		out[k].indices = append(out[k].indices, i)
	}
	return out, nil
}

// target is how many indices of the output axis go. Where every unit holds as many indices (whole conv groups, or one position in
// every conv group) units are counted, else indices.
func (s *selector) target(p *channels.Param, units []unit, ratio float64) int {
	size, per := s.unitSize(p, units)
	n := int(p.Out) / size
	removed := RemovedCount(n, ratio)
	if s.opt.Align > 1 {
		kept := n - removed
		for kept < n && kept*per%s.opt.Align != 0 {
			kept++
		}
		removed = n - kept
	}
	return removed * size
}

// across reports whether indices lie in different blocks: one position in every conv group, not a whole group.
func across(indices []int, block int) bool {
	return block > 0 && slices.ContainsFunc(indices, func(i int) bool { return i/block != indices[0]/block })
}

// remove takes a class out unless something must stay.
func (s *selector) remove(c atoms.ID, pattern bool) bool {
	if !s.allowed(c, pattern) {
		return false
	}
	for _, k := range s.in[c] {
		s.left[k.array] -= int(k.n)
	}
	for _, w := range s.widths[c] {
		s.kept[w.param] -= w.n
	}
	s.choice.Removed[c] = true
	return true
}

// score rates units: the mean over the indices that a unit holds.
func (s *selector) score(w *Want, units []*unit) error {
	if s.opt.Vote == VoteNamed {
		scores, err := s.scoresOf(w.Param)
		if err != nil {
			return err
		}
		for _, u := range units {
			u.score = mean(scores, u.indices)
		}
		return nil
	}
	for _, u := range units {
		var votes []float64
		for _, p := range s.sharing(u.class) {
			scores, err := s.scoresOf(p)
			if err != nil {
				return err
			}
			all := mean(scores, nil)
			var own []int
			for i, c := range s.a.Classes(p) {
				if c == u.class {
					own = append(own, i)
				}
			}
			if all > 0 {
				votes = append(votes, mean(scores, own)/all)
			}
		}
		if len(votes) == 0 {
			continue
		}
		switch s.opt.Vote {
		case VoteMax:
			u.score = slices.Max(votes)
		case VoteMean:
			u.score = mean(votes, nil)
		case VoteSum:
			u.score = mean(votes, nil) * float64(len(votes))
		}
	}
	return nil
}

func mean(vs []float64, at []int) float64 {
	sum := 0.0
	if at == nil {
		for _, v := range vs {
			sum += v
		}
		return sum / float64(max(len(vs), 1))
	}
	for _, i := range at {
		sum += vs[i]
	}
	return sum / float64(len(at))
}

func (s *selector) scoresOf(p *channels.Param) ([]float64, error) {
	if v, ok := s.scores[p]; ok {
		return v, nil
	}
	score := s.opt.Scores
	if score == nil {
		score = func(p *channels.Param) ([]float64, error) { return importance.Scores(s.opt.Criterion, p, s.opt.Seed) }
	}
	v, err := score(p)
	if err != nil {
		return nil, refuse("%v", err)
	}
	if s.scores == nil {
		s.scores = map[*channels.Param][]float64{}
	}
	s.scores[p] = v
	return v, nil
}

// sharing lists the weights whose output channels a class holds.
func (s *selector) sharing(c atoms.ID) []*channels.Param {
	if s.sharer == nil {
		s.sharer = map[atoms.ID][]*channels.Param{}
		for _, p := range s.a.Params {
			for _, k := range s.a.Classes(p) {
				if l := s.sharer[k]; len(l) == 0 || l[len(l)-1] != p {
					s.sharer[k] = append(l, p)
				}
			}
		}
	}
	return s.sharer[c]
}

// couple names, for every cut, the weights whose output channels went with it.
func (s *selector) couple(wants []Want) {
	byName := map[string]*Want{}
	for i := range wants {
		byName[wants[i].Param.Name] = &wants[i]
	}
	for i := range s.choice.Cuts {
		c := &s.choice.Cuts[i]
		w := byName[c.Param]
		classes := s.a.Classes(w.Param)
		for _, k := range c.Removed {
			for _, p := range s.sharing(classes[k]) {
				if p != w.Param && !slices.Contains(c.Coupled, p.Name) {
					c.Coupled = append(c.Coupled, p.Name)
				}
			}
		}
	}
}

// Describe lists the cuts that a removal makes, as users see them: the first weight of every set of channels that go together, in graph order,
// and those that follow.
func Describe(a *channels.Analysis, removed map[atoms.ID]bool) []plan.Cut {
	s := &selector{a: a, choice: &Choice{Removed: removed}}
	covered := map[atoms.ID]bool{}
	var wants []Want
	for _, p := range a.Params {
		gone := 0
		c := plan.Cut{Param: p.Name, Before: int(p.Out)}
		for i, class := range a.Classes(p) {
			if !removed[class] {
				continue
			}
			gone++
			if !covered[class] {
				c.Removed = append(c.Removed, i)
			}
		}
		if len(c.Removed) == 0 {
			continue
		}
		for _, class := range a.Classes(p) {
			covered[class] = covered[class] || removed[class]
		}
		c.After = c.Before - gone
		c.Ratio = math.Round(1e4*float64(gone)/float64(c.Before)) / 1e4
		s.choice.Cuts = append(s.choice.Cuts, c)
		wants = append(wants, Want{Param: p})
	}
	s.couple(wants)
	return s.choice.Cuts
}
