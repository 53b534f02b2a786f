package selection_test

import (
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// The first 8 channels of b are those of a, which is cut first, to 4.
func TestAlignmentHoldsWhereAnEarlierCutTookChannels(t *testing.T) {
	for _, c := range []struct {
		what string
		own  int // channels of b alone
		kept map[string]int
	}{
		{"the rest goes from channels that the earlier cut did not rule over", 8, map[string]int{"a.weight": 4, "b.weight": 8}},
		{"nothing more goes where a multiple would empty an axis", 2, map[string]int{"a.weight": 4, "b.weight": 6}},
	} {
		t.Run(c.what, func(t *testing.T) { alignedCut(t, c.own, c.kept) })
	}
}

func alignedCut(t *testing.T, own int, want map[string]int) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, 8, 8)
	a, wide := b.Conv("a", x, 3, 8, 3), b.Conv("b", x, 3, 8+own, 3)
	parts := b.Split(wide, 1, 8, int64(own))
	y := b.Concat(1, b.Add(a, parts[0]), parts[1])
	b.Output(b.Conv("tail", y, 8+own, 5, 1), onnxio.Float, 1, 5, 8, 8)
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := channels.Analyze(g, s, channels.Options{})
	wants, _, err := selection.Resolve(n, []string{"a.weight", "b.weight"}, []float64{0.5})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(n, wants, selection.Options{Align: 4})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range n.Params {
		if want[p.Name] == 0 {
			continue
		}
		kept := 0
		for _, k := range n.Classes(p) {
			if !c.Removed[k] {
				kept++
			}
		}
		if kept != want[p.Name] {
			t.Errorf("%s keeps %d channels, want %d", p.Name, kept, want[p.Name])
		}
	}
}
