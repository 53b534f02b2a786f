package main

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/urfave/cli/v2"

	"onnxprune"
)

// open opens the model that a command's first argument names.
func open(c *cli.Context, path string) (*onnxprune.Network, error) {
	opt, err := options(c)
	if err != nil {
		return nil, err
	}
	return onnxprune.Open(path, opt)
}

func params(c *cli.Context, t *terminal) error {
	args, err := files(c, 1, 1, "params MODEL.onnx")
	if err != nil {
		return err
	}
	n, err := open(c, args[0])
	if err != nil {
		return err
	}
	defer n.Close()
	ps := n.Params(c.Bool("all"))
	cost, shapes := n.Cost()
	if c.Bool("json") {
		return t.json(struct {
			Model       string                 `json:"model"`
			InputShapes []onnxprune.InputShape `json:"input_shapes"`
			Params      []onnxprune.Param      `json:"params"`
		}{args[0], shapes, ps})
	}
	var rows [][]string
	for _, p := range ps {
		rows = append(rows, []string{p.Name, dims(p.Shape), p.Op, groupIDs(p.Groups), thousands(p.MACs), prunable(p), p.Reason})
	}
	t.table([]column{{"parameter", false}, {"shape", false}, {"operator", false}, {"group", true}, {"MACs", true}, {"prunable", true}, {"why not", false}}, rows)
	at := []string{}
	for _, s := range shapes {
		at = append(at, s.Name+" "+dims(s.Shape))
	}
	t.printf("\n%d parameters listed; the model has %s in %d tensors and takes %s MACs with inputs %s\n",
		len(ps), thousands(cost.Params), cost.ParamTensors, thousands(cost.MACs()), strings.Join(at, ", "))
	if hidden := bodyWeights(n); hidden > 0 && !c.Bool("all") {
		t.printf("Note: %s in control-flow bodies, where nothing is pruned: --all lists them\n", plural(hidden, "more weight"))
	}
	for _, s := range shapes {
		if s.Open {
			t.printf("Note: input %s has open extents, which count as 1: give --input-shape %s:… for real MACs\n", s.Name, s.Name)
		}
	}
	return nil
}

func bodyWeights(n *onnxprune.Network) int {
	count := 0
	for _, p := range n.Params(true) {
		if p.InBody && p.Channels > 0 {
			count++
		}
	}
	return count
}

func groupIDs(ids []int) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = fmt.Sprint(id)
	}
	return list(s, 2)
}

func prunable(p onnxprune.Param) string {
	switch {
	case p.Channels == 0:
		return "-"
	case p.Prunable == 0:
		return "no"
	}
	return fmt.Sprintf("%d of %d", p.Prunable, p.Channels)
}

func groups(c *cli.Context, t *terminal) error {
	args, err := files(c, 1, 1, "groups MODEL.onnx")
	if err != nil {
		return err
	}
	n, err := open(c, args[0])
	if err != nil {
		return err
	}
	defer n.Close()
	gs := n.Groups()
	if c.Bool("json") {
		return t.json(struct {
			Model  string            `json:"model"`
			Groups []onnxprune.Group `json:"groups"`
		}{args[0], gs})
	}
	free, all := 0, c.Bool("all")
	var pinned []string // reasons of groups that hold the output channels of a weight
	count := map[string]int{}
	for _, g := range gs {
		if g.Prunable {
			free++
		}
		if g.Prunable || all {
			t.group(g, len(g.Members))
		} else if g.Root != "" {
			if count[g.Reason]++; count[g.Reason] == 1 {
				pinned = append(pinned, g.Reason)
			}
		}
	}
	t.printf("\n%d groups can be pruned", free)
	if all {
		t.printf(", %d can not\n", len(gs)-free)
		return nil
	}
	t.printf("; groups of output channels that can not (--all shows them, and what belongs to no weight's output):\n")
	for _, why := range pinned {
		t.printf("  %4d  %s\n", count[why], why)
	}
	return nil
}

// group prints one group: the root, and what goes with it, the first members of it.
func (t *terminal) group(g onnxprune.Group, members int) {
	head := fmt.Sprintf("Group %d: %s", g.ID, plural(g.Channels, "channel"))
	switch {
	case g.Inexact:
		head += ", prunable but not exact"
	case !g.Prunable:
		head += ", not prunable: " + g.Reason
	}
	t.printf("\n%s\n", t.paint(head, text.Bold))
	if len(g.Members) == 0 {
		t.printf("       its tensors are computed by nodes of the model; none is stored\n")
	}
	lines := readings(g.Members)
	for i, r := range lines {
		if i == members {
			t.printf("       and %s: onnxprune groups MODEL --all lists them\n", plural(len(lines)-i, "more member"))
			break
		}
		mark, more := "=> ", ""
		if i == 0 && r.Tensor == g.Root {
			mark = ""
		}
		if r.more > 0 {
			more = fmt.Sprintf(" and %d more", r.more)
		}
		t.printf("  %4s %s%s%s: %s, axis %d, %d of %d\n", fmt.Sprintf("[%d]", i), mark, r.Role, more, r.Tensor, r.Axis, r.Slices, r.Of)
	}
	const most = 6
	for i, n := range g.Through {
		if i == most {
			t.printf("       and %d more\n", len(g.Through)-most)
			break
		}
		t.printf("       through %s\n", n)
	}
}

// reading is a member of a group, with the number of further nodes that read the same axis of the same tensor.
type reading struct {
	onnxprune.Member
	more int
}

// readings joins what several nodes read of one tensor: weights that are shared, vectors that an exporter merged.
func readings(members []onnxprune.Member) []reading {
	type axis struct {
		tensor string
		axis   int
		slices int
	}
	var out []reading
	at := map[axis]int{}
	for _, m := range members {
		k := axis{m.Tensor, m.Axis, m.Slices}
		if i, ok := at[k]; ok {
			out[i].more++
			continue
		}
		at[k] = len(out)
		out = append(out, reading{Member: m})
	}
	return out
}
