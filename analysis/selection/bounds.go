package selection

import (
	"math"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/importance"
	"onnxprune/analysis/option"
)

// Bounds keep a cut from spilling over. Channels hang together across layers, and where several of the channels of one tensor hang
// together with different layers, each of which loses its share, that tensor loses many times what anyone asked for. A pattern
// asks for a share of everything; so no axis of a tensor loses more than that share and one step, a step being as many indices as one
// removal takes from the axis. An exact name means that weight, whatever it takes: PaddleSlim's rule, with no bound.

// Check refuses options that mean nothing.
func (o Options) Check() error {
	if o.Criterion != "" {
		if _, err := importance.Parse(string(o.Criterion)); err != nil {
			return err
		}
	}
	switch o.Vote {
	case "", VoteNamed, VoteSum, VoteMean, VoteMax:
	default:
		return option.Errorf("vote %q is not known; there are named, sum, mean and max", o.Vote)
	}
	switch {
	case o.Align < 0:
		return option.Errorf("align %d is negative: it is the number of which kept counts become multiples", o.Align)
	case o.MinChannels < 0:
		return option.Errorf("min-channels %d is negative", o.MinChannels)
	case o.MaxRatio != 0 && !(o.MaxRatio > 0 && o.MaxRatio < 1):
		return option.Errorf("max-ratio %v is not between 0 and 1 (exclusive)", o.MaxRatio)
	}
	return nil
}

// width is how many output channels of a weight a class holds.
type width struct{ param, n int }

// bounds are what must stay besides one index of every axis.
type bounds struct {
	protected map[atoms.ID]*channels.Param // by class: the weight that keeps it
	most      []int                        // by array: most indices that cuts by patterns may take; -1: any number
	widths    map[atoms.ID][]width         // by class, where MinChannels asks for it
	kept      []int                        // by weight: output channels that are still there
}

// bound works out the bounds for the wanted cuts.
func (s *selector) bound(wants []Want) error {
	var err error
	if s.protected, err = Protected(s.a, s.opt.Protect); err != nil {
		return err
	}
	s.boundArrays(wants)
	if s.opt.MinChannels < 2 {
		return nil
	}
	s.widths, s.kept = map[atoms.ID][]width{}, make([]int, len(s.a.Params))
	for i, p := range s.a.Params {
		s.kept[i] = int(p.Out)
		for _, c := range s.a.Classes(p) {
			if l := s.widths[c]; len(l) > 0 && l[len(l)-1].param == i {
				l[len(l)-1].n++
			} else {
				s.widths[c] = append(l, width{i, 1})
			}
		}
	}
	return nil
}

// Protected returns the classes of channels that named weights keep, each with the first weight that keeps it.
func Protected(a *channels.Analysis, names []string) (map[atoms.ID]*channels.Param, error) {
	out := map[atoms.ID]*channels.Param{}
	for _, name := range names {
		list, err := named(a, name)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			for _, c := range a.Classes(p) {
				if out[c] == nil {
					out[c] = p
				}
			}
		}
	}
	return out, nil
}

// boundArrays bounds the axes of the model's tensors: at the largest ratio of the wants that take from one.
func (s *selector) boundArrays(wants []Want) {
	arrays := s.a.State.Set.Arrays()
	ratio, step := make([]float64, len(arrays)), make([]int, len(arrays))
	for c := range s.in {
		for _, k := range s.in[c] {
			step[k.array] = max(step[k.array], int(k.n))
		}
	}
	for _, w := range wants {
		for _, c := range s.a.Classes(w.Param) {
			for _, k := range s.in[c] {
				ratio[k.array] = max(ratio[k.array], w.Ratio)
			}
		}
	}
	s.most = make([]int, len(arrays))
	for k, arr := range arrays {
		n := len(arr.IDs)
		switch {
		case arr.Owner == nil:
			s.most[k] = -1
		case s.opt.MaxRatio > 0:
			const slack = 1e-9 // 0.3*10 is a little less than 3
			s.most[k] = int(math.Floor(float64(n)*s.opt.MaxRatio + slack))
		default:
			s.most[k] = RemovedCount(n, ratio[k]) + step[k]
		}
	}
}

// named lists the weights that a name or a pattern stands for, prunable or not.
func named(a *channels.Analysis, name string) ([]*channels.Param, error) {
	exact, err := find(a, name)
	if err != nil {
		return nil, err
	}
	if exact != nil {
		return []*channels.Param{exact}, nil
	}
	if !strings.ContainsAny(name, "*?[") {
		return nil, unknown(a, name)
	}
	re, err := glob(name)
	if err != nil {
		return nil, refuse("pattern %q: %v", name, err)
	}
	var out []*channels.Param
	for _, p := range a.Params {
		if re.MatchString(p.Name) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, refuse("pattern %q matches no parameter; see what there is with: onnxprune params MODEL", name)
	}
	return out, nil
}

// held reports whether all channels of a wanted weight are protected: an error where its name is exact.
func (s *selector) held(w *Want) (bool, error) {
	var by *channels.Param
	for _, c := range s.a.Classes(w.Param) {
		if s.protected[c] == nil && s.a.Removable(c) {
			return false, nil
		}
		if by == nil {
			by = s.protected[c]
		}
	}
	switch {
	case by == nil:
		return false, nil
	case w.Pattern:
		return true, nil
	case by == w.Param:
		return false, refuse("%s is to lose channels, and is protected", w.Param.Name)
	}
	return false, refuse("%s can not be pruned: its channels are those of %s, which is protected", w.Param.Name, by.Name)
}

// allowed reports whether a class may go: no axis is emptied, no weight loses too many, and, for a pattern, no tensor.
func (s *selector) allowed(c atoms.ID, pattern bool) bool {
	for _, k := range s.in[c] {
		left := s.left[k.array]
		if left <= int(k.n) {
			return false
		}
		if most := s.most[k.array]; pattern && most >= 0 && s.size[k.array]-left+int(k.n) > most {
			return false
		}
	}
	for _, w := range s.widths[c] {
		if s.kept[w.param]-w.n < s.opt.MinChannels {
			return false
		}
	}
	return true
}

// feasible leaves out units that can not go beside those in front of them, as far as n indices are wanted.
func (s *selector) feasible(w *Want, free []*unit, n int) []*unit {
	if !w.Pattern && s.opt.MinChannels < 2 {
		return free
	}
	var out, gone []*unit
	for _, u := range free {
		if n <= 0 {
			out = append(out, u)
		} else if s.remove(u.class, w.Pattern) {
			out, gone = append(out, u), append(gone, u)
			n -= len(u.indices)
		}
	}
	for _, u := range gone {
		s.restore(u.class)
	}
	return out
}
