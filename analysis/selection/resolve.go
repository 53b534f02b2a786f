// Package selection decides which channels go: from names and ratios, as PaddleSlim's Pruner does it, to classes of
// channels.
package selection

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"onnxprune/analysis/channels"
)

// RequestError says that what was asked for can not be done, and why: an unknown name, an unprunable weight, ratios that
// contradict one another.
type RequestError struct{ Msg string }

func (e *RequestError) Error() string { return e.Msg }

func refuse(format string, args ...any) error { return &RequestError{fmt.Sprintf(format, args...)} }

// Want is one weight that is to lose channels.
type Want struct {
	Param *channels.Param
	Ratio float64 // of its output channels, 0 < Ratio < 1
	Name  string  // what the user wrote: a name or a pattern

	Pattern bool // by a pattern alone: bounds hold
}

// Left counts the weights that a pattern matched and that can not be pruned, by reason.
type Left struct {
	Pattern string
	Matched int
	Taken   int
	Reasons map[string]int
}

// Resolve finds the weights that names stand for. A name is that of a weight, or that of a layer or of a layer's output where this
// is unambiguous; a pattern (with *, ? or [...]) takes every prunable weight that it matches. There must be as many ratios
// as names, or one for all. The result is in graph order.
func Resolve(a *channels.Analysis, names []string, ratios []float64) ([]Want, []Left, error) {
	if len(names) == 0 {
		return nil, nil, refuse("no parameter is named: give --params, or see what there is with: onnxprune params MODEL")
	}
	if len(ratios) != 1 && len(ratios) != len(names) {
		return nil, nil, refuse("%d names in --params, but %d ratios in --ratios: give one ratio for each name, or one for all", len(names), len(ratios))
	}
	for _, r := range ratios {
		if err := CheckRatio(r); err != nil {
			return nil, nil, err
		}
	}
	var wants []Want
	var left []Left
	for i, name := range names {
		ratio := ratios[min(i, len(ratios)-1)]
		exact, err := find(a, name)
		if err != nil {
			return nil, nil, err
		}
		if exact != nil {
			if exact.Reason != nil {
				return nil, nil, refuse("%s can not be pruned: %s", exact.Name, exact.Reason.Text)
			}
			wants = append(wants, Want{Param: exact, Ratio: ratio, Name: name})
			continue
		}
		if !strings.ContainsAny(name, "*?[") {
			return nil, nil, unknown(a, name)
		}
		ws, l, err := match(a, name, ratio)
		if err != nil {
			return nil, nil, err
		}
		wants, left = append(wants, ws...), append(left, l)
	}
	return merge(a, wants, left)
}

// CheckRatio refuses what is no share of channels, such as a NaN.
func CheckRatio(r float64) error {
	if !(r > 0 && r < 1) {
		return refuse("ratio %v is not between 0 and 1 (exclusive): it is the share of channels to remove", r)
	}
	return nil
}

// find returns the weight of that name, or of the layer or output of that name; nil where there is none.
func find(a *channels.Analysis, name string) (*channels.Param, error) {
	for _, p := range a.Params {
		if p.Named(name) {
			return p, nil
		}
	}
	var found []*channels.Param
	for _, p := range a.Params {
		for _, n := range p.Nodes {
			hit := n.Path == name || n.Proto.Name == name
			for _, o := range n.Outputs {
				hit = hit || o != nil && o.Name == name
			}
			if hit && !slices.Contains(found, p) {
				found = append(found, p)
			}
		}
	}
	if len(found) > 1 {
		return nil, refuse("%q is the name of layers with different weights: %s and %s; name the weight", name, found[0].Name, found[1].Name)
	}
	if len(found) == 1 {
		return found[0], nil
	}
	return nil, nil
}

// unknown explains a name that is no weight.
func unknown(a *channels.Analysis, name string) error {
	for _, g := range a.Groups {
		for _, m := range g.Members {
			if m.Source.Value.FullName() != name {
				continue
			}
			for _, p := range a.Params {
				for _, id := range p.IDs {
					if a.GroupOf(id) == g {
						return refuse("%q is the %s, which follows its layer: name the weight %s instead", name, m.Role, p.Name)
					}
				}
			}
		}
	}
	names := make([]string, len(a.Params))
	for i, p := range a.Params {
		names[i] = p.Name
	}
	near := Nearest(name, names, 3)
	if len(near) == 0 {
		return refuse("the model has no parameter %q; see what there is with: onnxprune params MODEL", name)
	}
	return refuse("the model has no parameter %q; nearest are %s", name, strings.Join(near, ", "))
}

func match(a *channels.Analysis, pattern string, ratio float64) ([]Want, Left, error) {
	re, err := glob(pattern)
	if err != nil {
		return nil, Left{}, refuse("pattern %q: %v", pattern, err)
	}
	l := Left{Pattern: pattern, Reasons: map[string]int{}}
	var out []Want
	for _, p := range a.Params {
		if !re.MatchString(p.Name) {
			continue
		}
		l.Matched++
		if p.Reason != nil {
			l.Reasons[p.Reason.Text]++
			continue
		}
		l.Taken++
		out = append(out, Want{Param: p, Ratio: ratio, Name: pattern, Pattern: true})
	}
	if l.Matched == 0 {
		return nil, l, refuse("pattern %q matches no parameter; see what there is with: onnxprune params MODEL", pattern)
	}
	return out, l, nil
}

// glob turns a pattern into a regular expression; * and ? match any character, slashes and dots too.
func glob(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("^")
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 0 {
				return nil, fmt.Errorf("a [ has no ]")
			}
			set := pattern[i+1 : i+end]
			if strings.HasPrefix(set, "!") {
				set = "^" + set[1:]
			}
			b.WriteString("[" + strings.ReplaceAll(set, `\`, `\\`) + "]")
			i += end
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	b.WriteString("$")
	return regexp.Compile(b.String())
}

// merge puts wants into graph order, joins names that stand twice, and refuses one weight at two ratios.
func merge(a *channels.Analysis, wants []Want, left []Left) ([]Want, []Left, error) {
	order := map[*channels.Param]int{}
	for i, p := range a.Params {
		order[p] = i
	}
	slices.SortStableFunc(wants, func(x, y Want) int { return cmp.Compare(order[x.Param], order[y.Param]) })
	var out []Want
	for _, w := range wants {
		if n := len(out); n > 0 && out[n-1].Param == w.Param {
			if out[n-1].Ratio != w.Ratio {
				return nil, nil, refuse("%s is asked for at ratio %v (by %q) and at %v (by %q)", w.Param.Name, out[n-1].Ratio, out[n-1].Name, w.Ratio, w.Name)
			}
			out[n-1].Pattern = out[n-1].Pattern && w.Pattern
			continue
		}
		out = append(out, w)
	}
	return out, left, nil
}

// Nearest returns up to n of the candidates that are most like name, best first: by edit distance, and not farther than
// half of its length.
func Nearest(name string, candidates []string, n int) []string {
	type scored struct {
		name string
		d    int
	}
	var list []scored
	for _, c := range candidates {
		d := distance(name, c)
		if strings.Contains(c, name) || strings.Contains(name, c) {
			d = min(d, len(name)/4)
		}
		if d <= max(2, len(name)/2) {
			list = append(list, scored{c, d})
		}
	}
	slices.SortStableFunc(list, func(a, b scored) int { return cmp.Compare(a.d, b.d) })
	var out []string
	for _, s := range list[:min(n, len(list))] {
		out = append(out, s.name)
	}
	return out
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		cur := make([]int, len(b)+1)
		cur[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
		}
		prev = cur
	}
	return prev[len(b)]
}

// RemovedCount is how many of n channels go at a ratio: round half to even of n*ratio in float64, and at least one
// stays.
func RemovedCount(n int, ratio float64) int {
	return min(int(math.RoundToEven(float64(n)*ratio)), n-1)
}
