package selection_test

import (
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// From ratios to channels, on convolutions whose l1 norms are given by hand.

// scored adds a 1x1 convolution whose output channels have the given l1 norms.
func scored(b *testmodels.Builder, name, x string, in, groups int, norms ...float32) string {
	per := in / groups
	w := make([]float32, len(norms)*per)
	for i, n := range norms {
		w[i*per] = -n
	}
	b.ConstDims(name, []int64{int64(len(norms)), int64(per), 1, 1}, w)
	return b.Node("Conv", []string{x, name}, testmodels.Attrs{"group": groups})
}

func picture(b *testmodels.Builder) string { return b.Input("x", onnxio.Float, "N", 3, 8, 8) }

func end(b *testmodels.Builder, x string, in int) {
	b.Output(b.Conv("head", x, in, 5, 1), onnxio.Float, "N", 5, 8, 8)
}

func TestSelectTakesTheLowest(t *testing.T) {
	type B = testmodels.Builder
	chain := func(norms ...float32) func(b *B) {
		return func(b *B) { end(b, scored(b, "a", picture(b), 3, 1, norms...), len(norms)) }
	}
	residual := func(na, nb []float32) func(b *B) {
		return func(b *B) {
			x := scored(b, "a", picture(b), 3, 1, na...)
			end(b, b.Add(x, scored(b, "b", b.Relu(x), len(na), 1, nb...)), len(na))
		}
	}
	// the first two channels of a are shared with b, the others are a's alone
	half := func(b *B) {
		x := scored(b, "a", picture(b), 3, 1, 2, 2, 1, 3)
		s := b.Split(x, 1, 2, 2)
		end(b, b.Concat(1, b.Add(s[0], scored(b, "b", "x", 3, 1, 2, 2)), s[1]), 4)
	}
	// norms over their mean: a 0.4 0.8 1.2 1.6, b 2 1 0.5 0.5
	both := residual([]float32{1, 2, 3, 4}, []float32{4, 2, 1, 1})
	// conv groups of two outputs; means 3, 1, 2, 4
	grouped := func(b *B) {
		x := scored(b, "g", b.Conv("stem", picture(b), 3, 8, 1), 8, 4, 1, 5, 1, 1, 2, 2, 0, 8)
		end(b, x, 8)
	}
	// two conv groups are pruned by position: {0,4} {1,5} {2,6} {3,7}; means 3, 2, 2.5, 4
	positions := func(b *B) {
		x := scored(b, "g", b.Conv("stem", picture(b), 3, 8, 1), 8, 2, 0, 3, 2, 4, 6, 1, 3, 4)
		end(b, x, 8)
	}
	for _, c := range []struct {
		what    string
		build   func(b *B)
		names   []string
		ratio   float64
		options selection.Options
		want    []int
	}{
		{"the lowest norms go", chain(5, 1, 4, 2, 3), []string{"a"}, 0.4, selection.Options{}, []int{1, 3}},
		{"ties go to the lower index", chain(2, 1, 1, 1), []string{"a"}, 0.5, selection.Options{}, []int{1, 2}},
		{"all alike", chain(1, 1, 1, 1), []string{"a"}, 0.5, selection.Options{}, []int{0, 1}},
		{"one channel stays", chain(3, 1), []string{"a"}, 0.99, selection.Options{}, []int{1}},
		{"a ratio that rounds to none", chain(3, 1, 2), []string{"a"}, 0.1, selection.Options{}, nil},
		{"a residual by its first weight", both, []string{"a"}, 0.25, selection.Options{}, []int{0}},
		{"a residual by its second weight", both, []string{"b"}, 0.25, selection.Options{}, []int{2}},
		{"both named: the first in graph order counts", both, []string{"b", "a"}, 0.25, selection.Options{}, []int{0}},
		{"named is the default vote", both, []string{"b", "a"}, 0.25, selection.Options{Vote: selection.VoteNamed}, []int{0}},
		{"the sum of both: 2.4 1.8 1.7 2.1", both, []string{"a"}, 0.25, selection.Options{Vote: selection.VoteSum}, []int{2}},
		{"the mean of both", both, []string{"a"}, 0.25, selection.Options{Vote: selection.VoteMean}, []int{2}},
		{"the larger of both: 2 1 1.2 1.6", both, []string{"a"}, 0.25, selection.Options{Vote: selection.VoteMax}, []int{1}},
		{"sums where only half is shared: 2 2 0.5 1.5, but the split's second part keeps one", half, []string{"a"}, 0.5, selection.Options{Vote: selection.VoteSum}, []int{0, 2}},
		{"means where only half is shared: 1 1 0.5 1.5", half, []string{"a"}, 0.5, selection.Options{Vote: selection.VoteMean}, []int{0, 2}},
		{"7 of 10 stay, a multiple of 4 is 8", chain(9, 8, 7, 6, 5, 4, 3, 2, 1, 0), []string{"a"}, 0.3, selection.Options{Align: 4}, []int{8, 9}},
		{"8 of 10 stay, which is a multiple of 4", chain(9, 8, 7, 6, 5, 4, 3, 2, 1, 0), []string{"a"}, 0.2, selection.Options{Align: 4}, []int{8, 9}},
		{"no multiple of 16 is left of 10", chain(9, 8, 7, 6, 5, 4, 3, 2, 1, 0), []string{"a"}, 0.5, selection.Options{Align: 16}, nil},
		{"whole conv groups go by their mean", grouped, []string{"g"}, 0.5, selection.Options{}, []int{2, 3, 4, 5}},
		{"one position goes in every conv group", positions, []string{"g"}, 0.25, selection.Options{}, []int{1, 5}},
		{"aligned by position: 3 of 4 stay per conv group, a multiple of 2 is 4", positions, []string{"g"}, 0.25, selection.Options{Align: 2}, nil},
		{"aligned by position: 2 of 4 stay per conv group", positions, []string{"g"}, 0.5, selection.Options{Align: 2}, []int{1, 2, 5, 6}},
	} {
		t.Run(c.what, func(t *testing.T) {
			b := testmodels.New(17)
			c.build(b)
			a := analyse(t, b)
			wants, _, err := selection.Resolve(a, c.names, []float64{c.ratio})
			if err != nil {
				t.Fatal(err)
			}
			choice, err := selection.Select(a, wants, c.options)
			if err != nil {
				t.Fatal(err)
			}
			if len(choice.Cuts) != 1 {
				t.Fatalf("%d cuts, want 1: %+v", len(choice.Cuts), choice.Cuts)
			}
			cut := choice.Cuts[0]
			if !slices.Equal(cut.Removed, c.want) || cut.Before-cut.After != len(c.want) {
				t.Errorf("%v go (%d -> %d), want %v", cut.Removed, cut.Before, cut.After, c.want)
			}
		})
	}
}

// Two names of one residual group are one cut; at two ratios they are refused, as PaddleSlim drops the second in silence.
func TestTwoNamesInOneGroup(t *testing.T) {
	b := testmodels.SixConvolutions()
	a := analyse(t, b)
	names := []string{"conv4_weights", "conv1_weights"}
	wants, _, err := selection.Resolve(a, names, []float64{0.5})
	if err != nil {
		t.Fatal(err)
	}
	choice, err := selection.Select(a, wants, selection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(choice.Cuts) != 1 {
		t.Fatalf("%d cuts, want 1", len(choice.Cuts))
	}
	c := choice.Cuts[0]
	if c.Param != "conv1_weights" || c.After != 4 || !slices.Equal(c.Also, []string{"conv4_weights"}) || !slices.Equal(c.Coupled, []string{"conv2_weights", "conv4_weights"}) {
		t.Errorf("got %+v, want conv1_weights cut to 4, with conv2_weights and conv4_weights", c)
	}
	wants, _, err = selection.Resolve(a, names, []float64{0.5, 0.25})
	if err != nil {
		t.Fatal(err)
	}
	_, err = selection.Select(a, wants, selection.Options{})
	if err == nil {
		t.Fatal("two ratios in one group were taken")
	}
	for _, w := range []string{"conv1_weights", "conv4_weights", "0.5", "0.25"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("refused with %q, want it to say %q", err, w)
		}
	}
}
