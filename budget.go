package onnxprune

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"onnxprune/analysis/allocation"
	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/recovery"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/calibrate"
)

// Budget is what may be left of a model. The zero value sets none.
type Budget struct {
	Unit   allocation.Unit
	Target float64 // a share of the original up to 1, else a number of MACs, parameters or bytes
}

// ParseBudget reads a target as users write it: "0.7", "70%", "1200000", "3.5G".
func ParseBudget(unit allocation.Unit, text string) (Budget, error) {
	bad := func() (Budget, error) {
		return Budget{}, usage("target %q is no share such as 0.7 or 70%%, and no number such as 1200000, 850M or 3.5G", text)
	}
	number, factor := strings.TrimSpace(text), 1.0
	for suffix, f := range map[string]float64{"%": 0.01, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} {
		if s, ok := strings.CutSuffix(number, suffix); ok {
			number, factor = s, f
			break
		}
	}
	v, err := strconv.ParseFloat(number, 64)
	if err != nil || !(v > 0) || v*factor > 1e18 || factor == 0.01 && v > 100 {
		return bad()
	}
	return Budget{unit, v * factor}, nil
}

func (b Budget) set() bool { return b.Unit != "" }

// BudgetReport says how a budget was met.
type BudgetReport struct {
	Unit       allocation.Unit `json:"unit"`
	Target     float64         `json:"target"` // a number of the unit
	Before     float64         `json:"before"`
	After      float64         `json:"after"`
	Align      int             `json:"align"`
	Divergence float64         `json:"predicted_divergence"` // of the heads, from the groups' curves and weights
}

// Width is how wide a group of channels was and is.
type Width struct {
	Weight string  `json:"weight"` // the first whose output channels they are
	Before int     `json:"before"` // channels that live and die one by one
	After  int     `json:"after"`
	Price  float64 `json:"price"` // divergence of the heads for one unit of the group's own error
	Share  float64 `json:"divergence"`
}

// curves works out in which order the channels of every group go.
func (p *pruning) curves(ctx context.Context) (err error) {
	var want func(*channels.Group) bool
	if !p.opt.Budget.set() { // only those that names ask for
		wants, _, err := selection.Resolve(p.network.Channels, p.opt.Params, p.opt.Ratios)
		if err != nil {
			return p.network.hint(err, p.opt.Params)
		}
		groups := map[*channels.Group]bool{}
		for _, w := range wants {
			for _, id := range w.Param.IDs {
				groups[p.network.Channels.GroupOf(id)] = true
			}
		}
		want = func(g *channels.Group) bool { return groups[g] }
	}
	p.recovering.curves, err = p.recovering.model.Curves(ctx, want, p.step("curves"))
	return err
}

// weigh finds out how much the heads feel of each group: it removes a quarter of one group at a time, repairs what reads it, and runs what
// lies behind on pictures that nothing was fitted to.
func (p *pruning) weigh(ctx context.Context) error {
	r := &p.recovering
	prepared, err := r.model.Prepared()
	if err != nil {
		return err
	}
	base, err := rewrite.Refit(p.model, prepared)
	if err != nil {
		return err
	}
	next := func(i int) (*onnxio.Model, error) {
		if i == len(r.curves) {
			return nil, nil
		}
		removed := map[atoms.ID]bool{}
		for _, c := range allocation.Probe(r.curves[i]) {
			removed[c] = true
		}
		repairs, err := r.model.Repairs(removed)
		if err != nil {
			return nil, err
		}
		list, err := r.model.Masked(repairs)
		if err != nil {
			return nil, err
		}
		return rewrite.Refit(base, list)
	}
	off, err := p.compare(p.step("weights")).Variants(ctx, base, next, r.held)
	if err != nil {
		return p.unrunnable(err)
	}
	r.weights = make([]float64, len(off))
	for i, c := range r.curves {
		if n := len(allocation.Probe(c)); c.Error[n] > 0 {
			r.weights[i] = off[i] / c.Error[n]
		}
	}
	return nil
}

// compare compares models at the original's heads.
func (p *pruning) compare(progress func(done, total int)) *calibrate.Compare {
	r := &p.recovering
	c := &calibrate.Compare{Threads: p.opt.Compare.Threads, Found: r.held.detections(), Progress: progress}
	for _, h := range r.model.Heads() {
		c.Heads = append(c.Heads, calibrate.Head{Name: h.Value.Name, Axis: h.Axis})
	}
	return c
}

// allocate chooses widths for the budget.
func (p *pruning) allocate() (*selection.Choice, error) {
	n, r, b := p.network, &p.recovering, p.opt.Budget
	meter, err := allocation.NewMeter(n.Channels, costShapes(n.Graph, n.Shapes, n.options), b.Unit)
	if err != nil {
		return nil, usage("%v", err)
	}
	protected, err := selection.Protected(n.Channels, p.opt.Protect)
	if err != nil {
		return nil, err
	}
	before := meter.Total()
	target := b.Target
	if target <= 1 {
		target *= before
	}
	made, err := allocation.Allocate(n.Channels, r.curves, meter, target, allocation.Options{Align: p.opt.Align, MaxRatio: p.opt.MaxRatio,
		MinChannels: p.opt.MinChannels, Held: func(c atoms.ID) bool { return protected[c] != nil }, Weights: r.weights})
	var out *allocation.UnreachableError
	if errors.As(err, &out) {
		return nil, refuse("a target of %.4g %s can not be met: %.4g of %.4g (%.0f %%) is the least that is possible; in the way stand %s", target, b.Unit, out.Least, before,
			100*out.Least/before, p.obstacles())
	}
	if err != nil {
		return nil, err
	}
	p.report.Budget = &BudgetReport{Unit: b.Unit, Target: target, Before: before, After: made.Cost, Align: max(p.opt.Align, 1), Divergence: made.Divergence}
	for i, w := range made.Widths {
		if w.After < w.Before {
			p.report.Widths = append(p.report.Widths, Width{Weight: p.network.firstWeight(w.Curve), Before: w.Before, After: w.After, Price: r.weights[i],
				Share: r.weights[i] * w.Curve.Error[w.Before-w.After]})
		}
	}
	return &selection.Choice{Removed: made.Removed, Cuts: selection.Describe(n.Channels, made.Removed)}, nil
}

// firstWeight names a group by the first weight whose output channels it holds.
func (n *Network) firstWeight(c *recovery.Curve) string {
	for _, p := range n.Channels.Params {
		if slices.ContainsFunc(n.Channels.Classes(p), func(id atoms.ID) bool { return n.Channels.GroupOf(id) == c.Group }) {
			return p.Name
		}
	}
	return ""
}

// obstacles says what keeps a model from becoming smaller.
func (p *pruning) obstacles() string {
	fixed := 0
	for _, w := range p.network.Channels.Params {
		if w.Free == 0 {
			fixed++
		}
	}
	list := []string{fmt.Sprintf("%d of %d weights that can not be pruned (onnxprune params shows why)", fixed, len(p.network.Channels.Params)),
		"at least a tenth of every group, which stays"}
	if p.opt.Align > 1 {
		list = append(list, fmt.Sprintf("widths in multiples of %d", p.opt.Align))
	}
	if p.opt.MaxRatio > 0 || p.opt.MinChannels > 1 || len(p.opt.Protect) > 0 {
		list = append(list, "the bounds that were given")
	}
	return strings.Join(list, ", ")
}
