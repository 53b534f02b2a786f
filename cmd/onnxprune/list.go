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
			t.group(g)
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

// group prints one group: the root, and what goes with it.
func (t *terminal) group(g onnxprune.Group) {
	head := fmt.Sprintf("Group %d: %d channels", g.ID, g.Channels)
	switch {
	case g.Inexact:
		head += ", prunable but not exact"
	case !g.Prunable:
		head += ", not prunable: " + g.Reason
	}
	t.printf("\n%s\n", t.paint(head, text.Bold))
	for i, m := range g.Members {
		mark := "=> "
		if i == 0 && m.Tensor == g.Root {
			mark = ""
		}
		t.printf("  %4s %s%s: %s, axis %d, %d of %d\n", fmt.Sprintf("[%d]", i), mark, m.Role, m.Tensor, m.Axis, m.Slices, m.Of)
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
