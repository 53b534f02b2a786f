package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/cost"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

func load(m *onnxio.Model, sh string) (*graph.Graph, *shape.Result) {
	g, err := graph.Build(m)
	check(err)
	opt := shape.Options{}
	if sh != "" {
		name, dims, _ := strings.Cut(sh, ":")
		opt.Inputs = map[string][]int64{}
		for _, d := range strings.Split(dims, "x") {
			n, _ := strconv.Atoi(d)
			opt.Inputs[name] = append(opt.Inputs[name], int64(n))
		}
	}
	s, err := shape.Infer(g, opt)
	check(err)
	return g, s
}
func check(err error) {
	if err != nil {
		fmt.Println("ERR", err)
		os.Exit(1)
	}
}
func main() {
	params := flag.String("p", "*", "")
	ratios := flag.String("r", "0.3", "")
	sh := flag.String("s", "", "")
	out := flag.String("o", "", "")
	twin := flag.String("t", "", "")
	v := flag.Bool("v", false, "")
	flag.Parse()
	m, err := onnxio.Open(flag.Arg(0))
	check(err)
	g, s := load(m, *sh)
	a := channels.Analyze(g, s, channels.Options{})
	var rs []float64
	for _, r := range strings.Split(*ratios, ",") {
		f, _ := strconv.ParseFloat(r, 64)
		rs = append(rs, f)
	}
	w, left, err := selection.Resolve(a, strings.Split(*params, ","), rs)
	check(err)
	_ = left
	c, err := selection.Select(a, w, selection.Options{})
	check(err)
	p, err := plan.Build(a, c.Removed)
	check(err)
	p.Cuts = c.Cuts
	n, err := rewrite.Apply(m, p)
	check(err)
	before := cost.Of(g, s)
	g2, s2 := load(n, *sh)
	after := cost.Of(g2, s2)
	fmt.Printf("%s: MACs %d -> %d  conv %d -> %d params %d (%d tensors) -> %d  size %d -> %d operands %d freezes %d masks %d\n", flag.Arg(0), before.MACs(), after.MACs(), before.ConvMACs, after.ConvMACs, before.Params, before.ParamTensors, after.Params, m.Size(), n.Size(), len(p.Operands), len(p.Freezes), len(p.Masks))
	if *v {
		for _, c := range p.Cuts {
			fmt.Println("  ", c.Param, c.Before, "->", c.After, "also", c.Also, "coupled", c.Coupled)
		}
		for _, o := range p.Operands {
			fmt.Println("  op", o)
		}
		for _, o := range p.Freezes {
			fmt.Println("  fr", o)
		}
	}
	if *out != "" {
		check(n.Save(*out))
	}
	if *twin != "" {
		t, err := rewrite.MaskedTwin(m, p)
		check(err)
		check(t.Save(*twin))
	}
}
