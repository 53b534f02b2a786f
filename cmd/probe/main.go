package main

import (
	"fmt"
	"os"
	"sort"
	"time"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

func main() {
	verbose := os.Getenv("V") != ""
	for _, p := range os.Args[1:] {
		m, err := onnxio.Open(p)
		if err != nil {
			fmt.Println("ERR", err)
			continue
		}
		t0 := time.Now()
		g, err := graph.Build(m)
		if err != nil {
			fmt.Println("ERR", p, err)
			continue
		}
		t1 := time.Now()
		s, err := shape.Infer(g, shape.Options{})
		if err != nil {
			fmt.Println("ERR", p, err)
			continue
		}
		t2 := time.Now()
		a := channels.Analyze(g, s, channels.Options{})
		t3 := time.Now()
		free, tot := 0.0, 0.0
		n := 0
		reasons := map[string]int{}
		for _, q := range a.Params {
			sz := 1.0
			for _, d := range q.Shape {
				sz *= float64(d)
			}
			tot += sz
			if q.Out > 0 {
				free += sz * float64(q.Free) / float64(q.Out)
			}
			if q.Free > 0 {
				n++
			}
			if q.Reason != nil {
				reasons[q.Reason.Text]++
				if verbose {
					fmt.Println("   ", q.Name, q.Shape, q.Reason.Text)
				}
			}
		}
		fmt.Printf("%-60s params %3d/%3d share %5.1f%% groups %3d links %d nodes %d build %v shape %v chan %v\n", p[len(p)-min(60, len(p)):], n, len(a.Params), 100*free/max(tot, 1), len(a.Groups), len(a.State.Set.Links), len(g.Nodes), t1.Sub(t0).Round(100*time.Microsecond), t2.Sub(t1).Round(100*time.Microsecond), t3.Sub(t2).Round(100*time.Microsecond))
		var ks []string
		for k := range reasons {
			ks = append(ks, k)
		}
		sort.Slice(ks, func(i, j int) bool { return reasons[ks[i]] > reasons[ks[j]] })
		for i, k := range ks {
			if i < 3 {
				fmt.Printf("       %3d %.200s\n", reasons[k], k)
			}
		}
	}
}
