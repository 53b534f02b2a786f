package coverage

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// JSON writes the report as indented JSON.
func (r *Report) JSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

const explanation = `- **params**, **MACs**: the share of convolution and linear weights, and of their multiply-accumulates, that can go. A MAC can go when its
  input or its output channel can. **Inner**: without the layers whose output channels are the model's outputs.
- **convs**: convolutions that can lose input or output channels, of all.
- **groups**, **classes**: groups of channels that can go, and how many can go one by one.
- **analysis**: graph, shapes and channels.
`

// Markdown writes the report as tables: what can go, what pruning leaves at each ratio, and why the rest stays.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Coverage\n\nHow much of each model can be pruned, written by `onnxprune coverage`.\n")
	if r.Inexact {
		b.WriteString("Channels that normalisations and means run across are included (`--allow-inexact`).\n")
	}
	b.WriteString("\n" + explanation + "\n")
	b.WriteString("| model | params | MACs | inner | convs | groups | classes | analysis |\n|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, m := range r.Models {
		switch {
		case m.Error != "":
			fmt.Fprintf(&b, "| %s | refused: %s |||||||\n", cell(m.Path), cell(m.Error))
		case m.Weights == 0:
			fmt.Fprintf(&b, "| %s | no weights of convolutions or linear layers |||||| %.0f ms |\n", cell(m.Path), 1000*m.AnalysisTime)
		default:
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %d/%d | %d | %d | %.0f ms |\n", cell(m.Path), percent(m.FreeParams), percent(m.FreeMACs),
				percent(m.FreeMACsWithoutLast), m.Touched, m.Convolutions, m.Groups, m.Classes, 1000*m.AnalysisTime)
		}
	}
	r.cuts(&b)
	r.why(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// cuts writes what is left at each ratio, and the difference from the masked original.
func (r *Report) cuts(b *strings.Builder) {
	if len(r.Ratios) == 0 {
		return
	}
	b.WriteString("\n## What pruning everything leaves\n\nMACs and parameters that are left, and the largest difference from the masked original.\n\n| model |")
	for _, ratio := range r.Ratios {
		fmt.Fprintf(b, " %s |", percent(ratio))
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(r.Ratios)) + "\n")
	for _, m := range r.Models {
		if m.Error != "" || m.Weights == 0 {
			continue
		}
		fmt.Fprintf(b, "| %s |", cell(m.Path))
		for _, c := range m.Cuts {
			fmt.Fprintf(b, " %s |", cell(c.String()))
		}
		b.WriteString("\n")
	}
}

// String describes a cut in a few words.
func (c Cut) String() string {
	if c.Error != "" && c.Params == 0 {
		return c.Error
	}
	out := fmt.Sprintf("%s, %s", percent(c.OfMACs), percent(c.OfParams))
	switch {
	case c.Error != "":
		out += "; " + c.Error
	case c.Difference != nil:
		out += fmt.Sprintf("; %.1g", *c.Difference)
		if c.How != "" {
			out += " (" + c.How + ")"
		}
	}
	if len(c.Inexact) > 0 {
		out += "; inexact"
	}
	return out
}

// why writes the reasons, model by model.
func (r *Report) why(b *strings.Builder) {
	b.WriteString("\n## Why the rest stays\n\nWeights that keep output channels, counted by the kind of reason.\n\n")
	for _, m := range r.Models {
		if len(m.Reasons) == 0 {
			continue
		}
		var parts []string
		for _, k := range m.Reasons {
			parts = append(parts, fmt.Sprintf("%d %s", k.Weights, k.Kind))
		}
		fmt.Fprintf(b, "- **%s**: %s\n", cell(m.Path), strings.Join(parts, "; "))
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
