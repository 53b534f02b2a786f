package onnxprune

import (
	"fmt"
	"slices"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/ops"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
)

// What to do about a weight that can not be pruned. A flag is named only where it helps: the analysis is made again as the flag would
// have it.

// request writes the flags that prune a weight.
func (n *explainer) request(p *channels.Param) string {
	s := "--params " + argument(p.Name) + " --ratios 0.3"
	for _, id := range p.IDs {
		if g := n.Channels.GroupOf(id); g != nil && g.Inexact {
			return s + " --allow-inexact"
		}
	}
	return s
}

// argument writes a name as --params and a shell take it: commas and spaces would end it there, so a pattern stands for them.
func argument(name string) string {
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune(", \t'", r) {
			return '?'
		}
		return r
	}, name)
	if strings.ContainsAny(name, "?*[]{}()<>|;&$`\"\\!#~") {
		return "'" + name + "'"
	}
	return name
}

// advice says what can be done about a weight of which no channel can go.
func (n *explainer) advice(p *channels.Param) []string {
	out := n.remedy(p)
	for _, q := range n.before(p) {
		out = append(out, fmt.Sprintf("what it reads can be pruned: %s", n.request(q)))
	}
	if out == nil {
		out = []string{"leave it as it is; onnxprune params MODEL lists what can be pruned"}
	}
	return out
}

// remedy is the advice about the reason itself.
func (n *explainer) remedy(p *channels.Param) []string {
	why := p.Reason
	switch {
	case why == nil:
		return nil
	case strings.HasPrefix(why.Text, "it is an axis of the model's output"):
		return []string{"its channels are what the model answers with; prune the layers before it"}
	case p.Value.InBody() || why.Node != nil && len(why.Node.Bodies) > 0:
		return []string{"neither the bodies of loops and branches nor what they read from outside is pruned: " + resolved(p, why.Node)}
	case why.Node != nil && len(why.Node.Calls) > 0 && why.Node.Calls[0].Foreign != "":
		return []string{"have the function inlined and converted first: onnx.inliner.inline_local_functions(model, convert_version=True)"}
	case why.Node != nil && !ruled(why.Node):
		return []string{fmt.Sprintf("export the model with operators of the ONNX standard in place of %s; onnxprune coverage lists what is known", why.Node.Title())}
	}
	if !n.options.AllowInexact {
		switch q := twin(n.inexact(), p); {
		case q == nil:
		case q.Free > 0:
			return []string{fmt.Sprintf("--params %s --ratios 0.3 --allow-inexact: %d of %d can go then, and the result is not equal to the masked original",
				argument(p.Name), q.Free, q.Out)}
		case why.Inexact:
			return []string{fmt.Sprintf("--allow-inexact alone does not free it: then %s", q.Reason.Text)}
		}
	}
	if a, flags := n.sized(); a != nil {
		if q := twin(a, p); q != nil && q.Free > 0 {
			return []string{fmt.Sprintf("%s (or the sizes that you use): %d of %d can go once no extent is open", flags, q.Free, q.Out)}
		}
	}
	return nil
}

// resolved says how an export gets rid of a control-flow node.
func resolved(p *channels.Param, owner *graph.Node) string {
	if p.Value.InBody() {
		owner = p.Value.Scope.Owner
	}
	if owner.Op == "If" {
		return fmt.Sprintf("export the model with %s decided (a constant condition), so that no branch is left", owner.Title())
	}
	return fmt.Sprintf("export the model with %s unrolled, or with the layers outside of it", owner.Title())
}

// ruled reports whether the analysis knows the operator of a node.
func ruled(node *graph.Node) bool {
	_, ok := ops.Lookup(node.Domain, node.Op, node.Version)
	return ok
}

// before lists prunable weights whose channels a layer reads, two at most.
func (n *explainer) before(p *channels.Param) []*channels.Param {
	const most = 2
	var out []*channels.Param
	for axis := range p.Shape {
		if axis == p.Axis {
			continue
		}
		for _, m := range n.members(p.Value, axis) {
			for _, id := range m.Source.Array.IDs {
				g := n.Channels.GroupOf(id)
				if g == nil || !n.Channels.Removable(n.Channels.State.Set.Find(id)) {
					continue
				}
				if q := n.root[g]; q != nil && q != p && q.Free > 0 && !slices.Contains(out, q) {
					if out = append(out, q); len(out) == most {
						return out
					}
				}
			}
		}
	}
	return out
}

// twin finds a weight in another analysis of the same graph.
func twin(a *channels.Analysis, p *channels.Param) *channels.Param {
	for _, q := range a.Params {
		if q.Name == p.Name {
			return q
		}
	}
	return nil
}

func (n *Network) inexactly() *channels.Analysis {
	return channels.Analyze(n.Graph, n.Shapes, channels.Options{AllowInexact: true})
}

// atSomeSize analyses the model with every open extent of its inputs closed, by sizes that suit most networks, and returns the
// flags that would do so; nil where no extent is open or the sizes do not suit.
func (n *Network) atSomeSize() (*channels.Analysis, string) {
	at := map[string][]int64{}
	var flags []string
	for _, v := range n.Graph.Main.Inputs {
		in := n.Shapes.Of(v)
		if v.Constant() || !in.Known {
			continue
		}
		open := false
		var size []int64
		for k := range in.Dims {
			d, fixed := in.Fixed(k)
			switch {
			case fixed:
			case k == 0:
				d = 1
			case in.Rank() == 4:
				d = 320
			default:
				d = 64
			}
			open = open || !fixed
			size = append(size, d)
		}
		at[v.Name] = size
		if open {
			s := make([]string, len(size))
			for i, d := range size {
				s[i] = fmt.Sprint(d)
			}
			flags = append(flags, fmt.Sprintf("--input-shape %s:%s", argument(v.Name), strings.Join(s, "x")))
		}
	}
	if len(flags) == 0 {
		return nil, ""
	}
	s, err := shape.Infer(n.Graph, shape.Options{Inputs: at})
	if err != nil {
		return nil, ""
	}
	return channels.Analyze(n.Graph, s, channels.Options{AllowInexact: n.options.AllowInexact}), strings.Join(flags, " ")
}
