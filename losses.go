package onnxprune

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
)

// WeightLoss says how many output channels a weight lost, by a cut of its own or with those of others.
type WeightLoss struct {
	Name    string   `json:"name"`
	Before  int      `json:"before"` // output channels
	After   int      `json:"after"`
	Lost    float64  `json:"lost"`              // share of them that went
	Ratio   float64  `json:"ratio,omitempty"`   // that it was asked to lose; absent where only others were asked
	Coupled []string `json:"coupled,omitempty"` // weights that lost some of the same channels
}

// losses lists the weights that lost output channels, or were asked to: the largest share first, then those that were asked, in
// graph order.
func (n *Network) losses(p *plan.Plan) []WeightLoss {
	asked, coupled := map[string]float64{}, map[string][]string{}
	couple := func(a, b string) {
		if !slices.Contains(coupled[a], b) {
			coupled[a] = append(coupled[a], b)
		}
	}
	for _, c := range p.Cuts {
		for _, name := range append([]string{c.Param}, c.Also...) {
			asked[name] = c.Ratio
		}
		for _, name := range c.Coupled {
			couple(c.Param, name)
			couple(name, c.Param)
		}
	}
	kept := map[string]plan.Tensor{}
	for _, t := range p.Tensors {
		if _, ok := kept[t.Name]; !ok { // the other readings of a shared weight are copies
			kept[t.Name] = t
		}
	}
	out := []WeightLoss{}
	for _, w := range n.Channels.Params {
		l := WeightLoss{Name: w.Name, Before: int(w.Out), After: int(w.Out), Ratio: asked[w.Name], Coupled: coupled[w.Name]}
		if keep, cut := kept[w.Name].Keep[w.Axis]; cut {
			l.After = len(keep)
			l.Lost = float64(l.Before-l.After) / float64(l.Before)
		} else if l.Ratio == 0 {
			continue
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b WeightLoss) int {
		return cmp.Or(cmp.Compare(b.Lost, a.Lost), cmp.Compare(min(b.Ratio, 1e-9), min(a.Ratio, 1e-9)))
	})
	return out
}

// simd is the multiple of channels that fast kernels of convolutions want: eight float32 fill a register of 256 bits, and ONNX
// Runtime's blocked layout (NCHWc) takes channels by the eight or sixteen.
const simd = 8

// oddWidths warns of layers that keep a number of channels that is no multiple of 8; "" where there are none. Layers with fewer
// than 8 channels were odd before.
func oddWidths(list []WeightLoss, align int) string {
	var odd []string
	for _, l := range list {
		if l.After < l.Before && l.Before >= simd && l.After%simd != 0 {
			odd = append(odd, fmt.Sprintf("%s (%d)", l.Name, l.After))
		}
	}
	if len(odd) == 0 {
		return ""
	}
	names := someOf(odd)
	subject := "1 layer keeps a number of channels that is no multiple of 8"
	if len(odd) > 1 {
		subject = fmt.Sprintf("%d layers keep numbers of channels that are no multiples of 8", len(odd))
	}
	advice := "--align 8 keeps multiples of 8"
	if align%simd == 0 && align > 0 {
		advice = fmt.Sprintf("--align %d could not bring more about, because of what is coupled", align)
	}
	return fmt.Sprintf("%s: %s. ONNX Runtime can be slower on them than before the prune; %s (docs/bench.md)", subject, names, advice)
}

// someOf names the first few of many.
func someOf(names []string) string {
	const most = 3
	s := strings.Join(names[:min(most, len(names))], ", ")
	if len(names) > most {
		s += ", …"
	}
	return s
}

// bounds tells which weights lose less than was asked.
func (p *pruning) bounds(names []string) {
	if len(names) == 0 {
		return
	}
	by := "the ratio and one step of the coupling, which --max-ratio replaces"
	if r := p.opt.MaxRatio; r > 0 {
		by = fmt.Sprintf("--max-ratio %v", r)
	}
	if p.opt.MinChannels > 1 {
		by += fmt.Sprintf(", or keep fewer than --min-channels %d", p.opt.MinChannels)
	}
	p.note("%s fewer channels than was asked, because that or what is coupled with it would lose more than %s: %s", weightsLose(len(names)), by, someOf(names))
}

// spilled warns of weights that lose more than anyone asked for.
func (p *pruning) spilled() {
	ratio := 0.0
	for _, c := range p.plan.Cuts {
		ratio = max(ratio, c.Ratio)
	}
	var names []string
	for _, w := range p.report.Weights {
		if lost := w.Before - w.After; lost > selection.RemovedCount(w.Before, ratio)+1 {
			names = append(names, fmt.Sprintf("%s (%.0f %%)", w.Name, 100*w.Lost))
		}
	}
	if len(names) == 0 {
		return
	}
	p.report.Warnings = append(p.report.Warnings, fmt.Sprintf("%s more than the ratio of %v, through what is coupled: %s. "+
		"Exact names are cut as PaddleSlim does, whatever that takes; patterns take a step of the coupling more at most, or the ratio of --max-ratio",
		weightsLose(len(names)), ratio, someOf(names)))
}

func weightsLose(n int) string {
	if n == 1 {
		return "1 weight loses"
	}
	return fmt.Sprintf("%d weights lose", n)
}
