package selection_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// From names and ratios to weights: how many channels a ratio takes, what a name may be, and what a refusal says.

func analyse(t testing.TB, b *testmodels.Builder) *channels.Analysis {
	t.Helper()
	g, err := graph.Build(b.Model())
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return channels.Analyze(g, s, channels.Options{})
}

// The counts are those of PaddleSlim: Python's round of the float64 product. 35*0.7 is 24.499999999999996, 0.1*25 is
// 2.5 and goes to the even 2, 45*0.7 is 31.499999999999996.
func TestRemovedCountRoundsAsPythonDoes(t *testing.T) {
	for _, c := range []struct {
		n       int
		ratio   float64
		removed int
	}{
		{512, 0.2, 512 - 410}, {1024, 0.3, 1024 - 717}, {512, 0.4, 512 - 307}, {256, 0.3, 256 - 179}, {256, 0.4, 256 - 154},
		{256, 0.2, 256 - 205}, {1024, 0.2, 1024 - 819}, {512, 0.1, 512 - 461}, {128, 0.8, 128 - 26}, {256, 0.8, 256 - 51},
		{256, 0.7, 256 - 77}, {512, 0.7, 512 - 154}, {128, 0.3, 128 - 90},
		{5, 0.5, 2}, {25, 0.1, 2}, {15, 0.1, 2}, {35, 0.7, 24}, {45, 0.7, 31}, {90, 0.35, 31}, {85, 0.7, 59}, {165, 0.7, 115},
		{3, 0.5, 2},                                    // 1.5 to the even 2
		{2, 0.9, 1}, {8, 0.99, 7}, {1000, 0.9999, 999}, // one stays
		{1, 0.4, 0}, {1, 0.9, 0}, {8, 0.01, 0},
	} {
		if got := selection.RemovedCount(c.n, c.ratio); got != c.removed {
			t.Errorf("%v of %d channels: %d go, want %d", c.ratio, c.n, got, c.removed)
		}
	}
}

// backbone has four convolutions, of which the last can not be pruned, and names that patterns could trip over.
func backbone() *testmodels.Builder {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N", 3, 8, 8)
	x = b.Relu(b.BN("net/bn1", b.Conv("net/conv1", x, 3, 8, 3, testmodels.Bias()), 8))
	w := b.Weight("net/conv[2].weight", 6, 8, 1, 1)
	b.Named("second").NodeTo("Conv", []string{x, w}, []string{"feature"})
	x = b.Conv("größe", "feature", 6, 4, 1)
	b.Output(b.Conv("head", x, 4, 5, 1), onnxio.Float, "N", 5, 8, 8)
	return b
}

func TestResolveFindsWhatNamesStandFor(t *testing.T) {
	a := analyse(t, backbone())
	for _, c := range []struct {
		what   string
		names  []string
		ratios []float64
		want   string // weight@ratio, or "!" and words that the refusal must hold, separated by |
	}{
		{"the name of a weight", []string{"net/conv1.weight"}, []float64{0.5}, "net/conv1.weight@0.5"},
		{"the name of a layer", []string{"net/conv1"}, []float64{0.5}, "net/conv1.weight@0.5"},
		{"the name of a layer's output", []string{"feature"}, []float64{0.5}, "net/conv[2].weight@0.5"},
		{"a name that looks like a pattern is a name first", []string{"net/conv[2].weight"}, []float64{0.5}, "net/conv[2].weight@0.5"},
		{"the order is the graph's", []string{"größe.weight", "net/conv1.weight"}, []float64{0.2, 0.3}, "net/conv1.weight@0.3 größe.weight@0.2"},
		{"one ratio serves all names", []string{"größe.weight", "net/conv1.weight"}, []float64{0.3}, "net/conv1.weight@0.3 größe.weight@0.3"},
		{"a star passes slashes and dots", []string{"net*weight"}, []float64{0.3}, "net/conv1.weight@0.3 net/conv[2].weight@0.3"},
		{"a star alone takes all that can be pruned", []string{"*"}, []float64{0.3}, "net/conv1.weight@0.3 net/conv[2].weight@0.3 größe.weight@0.3"},
		{"a dot is a dot", []string{"net/conv1?weight", "gr*.weight"}, []float64{0.3}, "net/conv1.weight@0.3 größe.weight@0.3"},
		{"a question mark is one letter, of two bytes too", []string{"gr??e.weight"}, []float64{0.3}, "größe.weight@0.3"},
		{"letters of two bytes in a pattern", []string{"*öß*"}, []float64{0.3}, "größe.weight@0.3"},
		{"a set", []string{"net/conv[0-9].weight"}, []float64{0.3}, "net/conv1.weight@0.3"},
		{"a set of what is not", []string{"[!g]*"}, []float64{0.3}, "net/conv1.weight@0.3 net/conv[2].weight@0.3"},
		{"a set of a letter of two bytes", []string{"gr[öo]ße.weight"}, []float64{0.3}, "größe.weight@0.3"},
		{"the same name twice at one ratio", []string{"net/conv1", "net/conv1.weight", "net/conv1.*"}, []float64{0.3}, "net/conv1.weight@0.3"},

		{"no names", nil, []float64{0.5}, "!--params"},
		{"a pattern is anchored at both ends", []string{"conv1*"}, []float64{0.3}, `!"conv1*"|matches no parameter`},
		{"the dot of a pattern matches nothing else", []string{"net.conv1*"}, []float64{0.3}, `!"net.conv1*"|matches no parameter`},
		{"a set without an end", []string{"net/conv[1*"}, []float64{0.3}, `!"net/conv[1*"|]`},
		{"a typing error", []string{"net/conv1.weigth"}, []float64{0.5}, "!net/conv1.weigth|nearest|net/conv1.weight"},
		{"a name like no other", []string{"zzzzzzzzzzzzzzzzzzzzzz"}, []float64{0.5}, "!zzzz|onnxprune params"},
		{"a bias points to its weight", []string{"net/conv1.bias"}, []float64{0.5}, "!net/conv1.bias|bias|name the weight net/conv1.weight"},
		{"a batch norm's variance points to the weight", []string{"net/bn1.running_var"}, []float64{0.5}, "!net/bn1.running_var|name the weight net/conv1.weight"},
		{"a batch norm's scale points to the weight", []string{"net/bn1.weight"}, []float64{0.5}, "!net/bn1.weight|name the weight net/conv1.weight"},
		{"a weight that can not be pruned", []string{"head.weight"}, []float64{0.5}, "!head.weight|can not be pruned|output"},
		{"the layer of a weight that can not be pruned", []string{"head"}, []float64{0.5}, "!head.weight|can not be pruned|output"},
		{"more names than ratios", []string{"net/conv1", "second", "größe"}, []float64{0.5, 0.2}, "!3 names|2 ratios"},
		{"more ratios than names", []string{"net/conv1"}, []float64{0.5, 0.2}, "!1 names|2 ratios"},
		{"no ratio", []string{"net/conv1"}, nil, "!0 ratios"},
		{"a ratio of 0", []string{"net/conv1"}, []float64{0}, "!ratio 0 "},
		{"a ratio of 1", []string{"net/conv1"}, []float64{1}, "!ratio 1 "},
		{"a negative ratio", []string{"net/conv1"}, []float64{-0.5}, "!ratio -0.5 "},
		{"a ratio that is no number", []string{"net/conv1"}, []float64{math.NaN()}, "!ratio NaN "},
		{"each ratio is checked, not the first alone", []string{"net/conv1", "second"}, []float64{0.5, 1.5}, "!ratio 1.5 "},
		{"one weight at two ratios", []string{"net/conv1.weight", "net/conv1"}, []float64{0.5, 0.2}, "!net/conv1.weight|0.5|0.2"},
		{"a name and a pattern that contradict it", []string{"net/*", "net/conv1"}, []float64{0.5, 0.2}, "!net/conv1.weight|0.5|0.2|net/*"},
	} {
		t.Run(c.what, func(t *testing.T) {
			wants, _, err := selection.Resolve(a, c.names, c.ratios)
			if words, refused := strings.CutPrefix(c.want, "!"); refused {
				if err == nil {
					t.Fatalf("taken as %v, want a refusal", wants)
				}
				if _, ok := err.(*selection.RequestError); !ok {
					t.Errorf("the error is a %T, want a RequestError", err)
				}
				for _, w := range strings.Split(words, "|") {
					if !strings.Contains(err.Error(), w) {
						t.Errorf("refused with %q, want it to say %q", err, w)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range wants {
				got = append(got, fmt.Sprintf("%s@%v", w.Param.Name, w.Ratio))
			}
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}

func TestAPatternTellsWhatItLeaves(t *testing.T) {
	a := analyse(t, backbone())
	_, left, err := selection.Resolve(a, []string{"*", "net/conv1.weight", "h*"}, []float64{0.5})
	if err != nil {
		t.Fatal(err)
	}
	if len(left) != 2 {
		t.Fatalf("%d counts, want one for each of two patterns", len(left))
	}
	for i, want := range []struct {
		pattern                 string
		matched, taken, reasons int
	}{{"*", 4, 3, 1}, {"h*", 1, 0, 1}} {
		l := left[i]
		if l.Pattern != want.pattern || l.Matched != want.matched || l.Taken != want.taken || len(l.Reasons) != want.reasons {
			t.Errorf("got %+v, want %+v", l, want)
		}
		for why, n := range l.Reasons {
			if n != 1 || !strings.Contains(why, "output") {
				t.Errorf("%s: reason %q, %d times; want the model's output, once", l.Pattern, why, n)
			}
		}
	}
}

func TestTheNameOfTwoLayersIsRefused(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, "N", 3, 8, 8)
	x = b.Named("twin").Node("Conv", []string{x, b.Weight("first.weight", 8, 3, 1, 1)})
	x = b.Named("twin").Node("Conv", []string{x, b.Weight("second.weight", 8, 8, 1, 1)})
	b.Output(b.Conv("head", x, 8, 5, 1), onnxio.Float, "N", 5, 8, 8)
	_, _, err := selection.Resolve(analyse(t, b), []string{"twin"}, []float64{0.5})
	if err == nil || !strings.Contains(err.Error(), "first.weight") || !strings.Contains(err.Error(), "second.weight") {
		t.Errorf("got %v, want a refusal that names both weights", err)
	}
}

// A weight that two layers share has one name, and both layers' names stand for it.
func TestLayersThatShareAWeightAreOneParameter(t *testing.T) {
	b := testmodels.New(17)
	x := b.Conv("stem", b.Input("x", onnxio.Float, "N", 3, 8, 8), 3, 8, 1)
	w := b.Weight("shared.weight", 8, 8, 1, 1)
	x = b.Named("one").Node("Conv", []string{x, w})
	x = b.Named("two").Node("Conv", []string{x, w})
	b.Output(b.Conv("head", x, 8, 5, 1), onnxio.Float, "N", 5, 8, 8)
	wants, _, err := selection.Resolve(analyse(t, b), []string{"one", "two"}, []float64{0.5})
	if err != nil || len(wants) != 1 || wants[0].Param.Name != "shared.weight" {
		t.Errorf("got %v, %v; want shared.weight once", wants, err)
	}
}

// Distances by hand: kitten-mitten 1, kitten-sitting 3.
func TestNearestNames(t *testing.T) {
	for _, c := range []struct {
		what, name string
		among      []string
		n          int
		want       []string
	}{
		{"by edit distance, none that is far", "kitten", []string{"sitting", "zebra crossing", "mitten"}, 3, []string{"mitten", "sitting"}},
		{"not more than asked for", "kitten", []string{"sitting", "mitten"}, 1, []string{"mitten"}},
		{"a name that holds what was written is near", "conv1", []string{"a.very.long.path.conv1.weight", "x"}, 3, []string{"a.very.long.path.conv1.weight"}},
		{"equals keep their order", "conv9", []string{"conv1", "conv2", "conv3", "conv4"}, 3, []string{"conv1", "conv2", "conv3"}},
		{"nothing among nothing", "conv9", nil, 3, nil},
	} {
		if got := selection.Nearest(c.name, c.among, c.n); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, got, c.want)
		}
	}
}
