package rewrite_test

import (
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/testmodels"
)

// A plan holds for every checkpoint of its network, and for no other network.
func TestAPlanIsReplayedOnAnotherCheckpoint(t *testing.T) {
	build := func(seed uint64, width int) *onnxio.Model {
		b := testmodels.New(17)
		b.Seed = seed
		x := b.Relu(b.Conv("stem", b.Input("x", onnxio.Float, "N", 3, 8, 8), 3, width, 1))
		b.Output(b.Conv("head", x, width, 5, 1), onnxio.Float, "N", 5, 8, 8)
		return b.Model()
	}
	p, err := analyse(t, build(1, 8)).plan([]string{"stem"}, []float64{0.5})
	if err != nil {
		t.Fatal(err)
	}
	keep := p.Tensors[slices.IndexFunc(p.Tensors, func(e plan.Tensor) bool { return e.Name == "stem.weight" })].Keep[0]
	other := analyse(t, build(2, 8))
	m, err := rewrite.Apply(other.model, p)
	if err != nil {
		t.Fatal(err)
	}
	weights := func(n *network, name string) []float32 {
		fs, err := n.graph.Main.Lookup(name).Data().Float32s()
		if err != nil {
			t.Fatal(err)
		}
		return fs
	}
	var want []float32 // the other checkpoint's filters, those that the plan keeps
	for _, k := range keep {
		want = append(want, weights(other, "stem.weight")[3*k:3*k+3]...)
	}
	after := analyse(t, m)
	if got := weights(after, "stem.weight"); len(keep) != 4 || !slices.Equal(got, want) {
		t.Errorf("stem.weight is %v, want %v", got, want)
	}
	if got := after.dims("head.weight"); !slices.Equal(got, []int64{5, 4, 1, 1}) {
		t.Errorf("head.weight has the shape %v, want [5 4 1 1]", got)
	}
	if _, err := rewrite.Apply(build(1, 6), p); err == nil || !strings.Contains(err.Error(), "stem.weight") {
		t.Errorf("on a narrower network: %v, want a refusal that names stem.weight", err)
	}
	b := testmodels.New(17)
	b.Output(b.Conv("trunk", b.Input("x", onnxio.Float, "N", 3, 8, 8), 3, 8, 1), onnxio.Float, "N", 8, 8, 8)
	if _, err := rewrite.Apply(b.Model(), p); err == nil || !strings.Contains(err.Error(), "stem.weight") {
		t.Errorf("on another network: %v, want a refusal that names stem.weight", err)
	}
}
