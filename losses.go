package onnxprune

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/plan"
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
	const most = 3
	names := strings.Join(odd[:min(most, len(odd))], ", ")
	if len(odd) > most {
		names += ", …"
	}
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
