package onnxprune

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/sensitivity"
)

// Allocation asks for ratios that follow from sensitivity curves. One of MaxLoss and TargetMACs is set.
type Allocation struct {
	Curves string // file: JSON, or PaddleSlim's pickle

	// MaxLoss is the loss that each parameter may have alone: PaddleSlim's get_ratios_by_loss.
	MaxLoss *float64
	// TargetMACs is what is to be left: a share of the model's MACs, or above 1 their number. The limit of loss that comes nearest is
	// searched.
	TargetMACs float64
}

// Allocated says what was chosen from curves.
type Allocated struct {
	Curves string              `json:"curves"`
	Limit  float64             `json:"limit"` // the loss that each parameter may have alone
	Ratios []sensitivity.Ratio `json:"ratios"`
	MACs   int64               `json:"macs"` // left
	Share  float64             `json:"share"`
	Notes  []string            `json:"notes,omitempty"`
}

// targetTolerance is how near the MACs that are left come to the target.
const targetTolerance = 0.01

// Allocate returns the request with the ratios that curves give. All that bounds a cut by patterns holds for them too: protection, largest ratios, fewest
// channels and alignment are part of the search. Of parameters that share channels all get the least of their ratios.
func (n *Network) Allocate(a Allocation, r Request) (Request, *Allocated, error) {
	switch {
	case len(r.Params) > 0 || len(r.Ratios) > 0:
		return r, nil, usage("curves say by themselves what is cut: give --sensitivity, or --params and --ratios")
	case (a.MaxLoss != nil) == (a.TargetMACs != 0):
		return r, nil, usage("with sensitivity curves give --max-loss or --target-macs, one of them")
	case a.TargetMACs < 0 || math.IsNaN(a.TargetMACs) || math.IsInf(a.TargetMACs, 0):
		return r, nil, usage("--target-macs %v is neither a share of the MACs nor their number", a.TargetMACs)
	case a.MaxLoss != nil && (math.IsNaN(*a.MaxLoss) || *a.MaxLoss >= 1):
		return r, nil, usage("--max-loss %v is no share below 1", *a.MaxLoss)
	}
	curves, err := ReadCurves(a.Curves)
	if err != nil {
		return r, nil, err
	}
	out := &Allocated{Curves: a.Curves}
	if own := curves.Setting.SHA256; own != "" && own != n.Model.SHA256() {
		out.Notes = append(out.Notes, fmt.Sprintf("the curves were measured on another file (%s)", curves.Setting.Model))
	}
	shared, err := n.sharing(curves, r)
	if err != nil {
		return r, nil, err
	}
	full, _ := n.Cost()
	cost := func(ratios []sensitivity.Ratio) (float64, error) { return n.macsAt(shared.level(ratios), r) }
	var reached *sensitivity.Reached
	if a.MaxLoss != nil {
		reached = &sensitivity.Reached{Ratios: curves.Ratios(*a.MaxLoss), Limit: *a.MaxLoss}
		if len(reached.Ratios) == 0 {
			return r, nil, refuse("%s: every parameter loses more than %v at every ratio that was measured", a.Curves, *a.MaxLoss)
		}
		if reached.Cost, err = cost(reached.Ratios); err != nil {
			return r, nil, err
		}
	} else if reached, err = n.reach(curves, a.TargetMACs, float64(full.MACs()), cost); err != nil {
		return r, nil, err
	}
	out.Limit, out.MACs, out.Share = reached.Limit, int64(reached.Cost), reached.Cost/float64(max(full.MACs(), 1))
	out.Ratios = shared.level(reached.Ratios)
	return withRatios(r, out.Ratios), out, nil
}

// reach searches the ratios for a target.
func (n *Network) reach(curves *sensitivity.Curves, target, full float64, cost func([]sensitivity.Ratio) (float64, error)) (*sensitivity.Reached, error) {
	if target <= 1 {
		target *= full
	}
	if target >= full {
		return nil, refuse("the model has %.0f MACs already: %.0f or fewer are left without a cut", full, target)
	}
	reached, err := curves.Reach(target, cost)
	var far *sensitivity.UnreachableError
	switch {
	case errors.As(err, &far):
		return nil, refuse("the curves reach %.1f %% of the MACs at least, not %.1f %%: measure more parameters or larger ratios, or loosen what bounds the cut",
			100*far.Least/full, 100*target/full)
	case err != nil:
		return nil, err
	case math.Abs(reached.Cost-target) > targetTolerance*target:
		return nil, refuse("the nearest that the curves come to %.1f %% of the MACs is %.1f %%: with so few channels, or such an alignment, there is nothing between",
			100*target/full, 100*reached.Cost/full)
	}
	return reached, nil
}

func withRatios(r Request, ratios []sensitivity.Ratio) Request {
	r.Params, r.Ratios, r.bounded = nil, nil, true
	for _, v := range ratios {
		r.Params, r.Ratios = append(r.Params, v.Param), append(r.Ratios, v.Ratio)
	}
	return r
}

// macsAt counts what is left with some ratios.
func (n *Network) macsAt(ratios []sensitivity.Ratio, r Request) (float64, error) {
	p := &plan.Plan{}
	if len(ratios) > 0 {
		var err error
		if p, _, _, err = n.choose(withRatios(r, ratios), nil); err != nil {
			return 0, err
		}
	}
	if p.Empty() {
		c, _ := n.Cost()
		return float64(c.MACs()), nil
	}
	m, err := n.Apply(p)
	if err != nil {
		return 0, err
	}
	g, s, err := infer(m, n.options)
	if err != nil {
		return 0, err
	}
	c, _ := costOf(g, s, n.options)
	return float64(c.MACs()), nil
}

// sharers knows which parameters of curves share channels.
type sharers map[string]string // by parameter: one that stands for all that hang together

func (n *Network) sharing(curves *sensitivity.Curves, r Request) (sharers, error) {
	var names []string
	for _, k := range curves.Curves {
		names = append(names, k.Param)
	}
	if len(names) == 0 {
		return nil, refuse("%s: it holds no curve", filepath.Base(n.Model.Path))
	}
	wants, _, err := selection.Resolve(n.Channels, names, []float64{0.5})
	if err != nil {
		return nil, n.hint(err, names)
	}
	out := sharers{}
	first := map[atoms.ID]string{}
	for _, w := range wants {
		out[w.Name] = w.Name
	}
	for _, w := range wants {
		for _, c := range n.Channels.Classes(w.Param) {
			if !n.Channels.Removable(c) {
				continue
			}
			if other, ok := first[c]; ok {
				out.join(other, w.Name)
			} else {
				first[c] = w.Name
			}
		}
	}
	return out, nil
}

func (s sharers) root(name string) string {
	for s[name] != name {
		name = s[name]
	}
	return name
}

func (s sharers) join(a, b string) { s[s.root(b)] = s.root(a) }

// level gives all parameters that hang together the least ratio of them, counting 0 for one that is to lose nothing.
func (s sharers) level(ratios []sensitivity.Ratio) []sensitivity.Ratio {
	members, least := map[string]int{}, map[string]float64{}
	for name := range s {
		members[s.root(name)]++
	}
	asked := map[string]int{}
	for _, r := range ratios {
		root := s.root(r.Param)
		if v, ok := least[root]; !ok || r.Ratio < v {
			least[root] = r.Ratio
		}
		asked[root]++
	}
	var out []sensitivity.Ratio
	for _, r := range ratios {
		if root := s.root(r.Param); asked[root] == members[root] {
			out = append(out, sensitivity.Ratio{Param: r.Param, Ratio: least[root]})
		}
	}
	return out
}
