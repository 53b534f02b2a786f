package coverage

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"onnxprune/analysis/channels"
)

// outputKind is the kind of reason of the model's outputs.
const outputKind = "it is an axis of the model's output"

// What tells one place of a model from another is left out of a kind: names, shapes, and what the axis meets on its way.
var (
	names  = regexp.MustCompile(` ?"(?:[^"\\]|\\.)*"`)
	shapes = regexp.MustCompile(`(: from)? [a-z0-9]*\[[^\]]*\]( to [a-z0-9]*\[[^\]]*\])?`)
	digits = regexp.MustCompile(`\b\d+\b`)
)

// kind normalises the text of a reason.
func kind(text string) string {
	text, _, _ = strings.Cut(text, "; it meets that")
	text = names.ReplaceAllString(text, "")
	text = shapes.ReplaceAllString(text, "")
	text = digits.ReplaceAllString(text, "n")
	return strings.TrimSpace(text)
}

// reasons counts, weight by weight, why output channels stay: one count for each kind that a weight has.
func (m *Model) reasons(a *channels.Analysis) {
	count := map[string]int{}
	for _, p := range a.Params {
		for _, k := range kinds(a, p) {
			count[k]++
		}
	}
	for k, n := range count {
		m.Reasons = append(m.Reasons, Reason{k, n})
	}
	slices.SortFunc(m.Reasons, func(x, y Reason) int {
		return cmp.Or(cmp.Compare(y.Weights, x.Weights), cmp.Compare(x.Kind, y.Kind))
	})
}

// kinds lists the kinds of reasons that hold output channels of a weight.
func kinds(a *channels.Analysis, p *channels.Param) []string {
	var out []string
	add := func(text string) {
		if k := kind(text); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	for _, c := range a.Classes(p) {
		if a.Removable(c) {
			continue
		}
		if r := a.State.Set.Pinned(c); r != nil {
			add(r.Text)
		}
	}
	if len(out) == 0 && p.Reason != nil {
		add(p.Reason.Text)
	}
	return out
}
