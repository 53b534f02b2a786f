package selection_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

func analysed(t *testing.T, m *onnxio.Model) *channels.Analysis {
	t.Helper()
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return channels.Analyze(g, s, channels.Options{})
}

// removedOf counts what every weight loses of its output channels.
func removedOf(t *testing.T, n *channels.Analysis, names []string, ratio float64, opt selection.Options) (map[string]int, *selection.Choice, error) {
	t.Helper()
	wants, _, err := selection.Resolve(n, names, []float64{ratio})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(n, wants, opt)
	if err != nil {
		return nil, nil, err
	}
	out := map[string]int{}
	for _, p := range n.Params {
		for _, k := range n.Classes(p) {
			if c.Removed[k] {
				out[p.Name]++
			}
		}
	}
	return out, c, nil
}

// wide has 20 channels: the first ten are those of a, the others those of b, by sums.
func spilling() *testmodels.Builder {
	b := testmodels.New(17)
	x := picture(b)
	norms := slices.Repeat([]float32{9}, 20)
	norms[0], norms[1] = 1, 2
	own := func(lowest int) []float32 {
		out := slices.Repeat([]float32{9}, 10)
		out[lowest] = 1
		return out
	}
	a, c := scored(b, "a", x, 3, 1, own(5)...), scored(b, "b", x, 3, 1, own(7)...)
	wide := scored(b, "wide", x, 3, 1, norms...)
	parts := b.Split(wide, 1, 10, 10)
	end(b, b.Concat(1, b.Add(a, parts[0]), b.Add(c, parts[1])), 20)
	return b
}

func TestBoundsHold(t *testing.T) {
	n := analysed(t, spilling().Model())
	for _, c := range []struct {
		what  string
		names []string
		ratio float64
		opt   selection.Options
		want  map[string]int
	}{
		{"exact names take what they take", []string{"a", "b", "wide"}, 0.3, selection.Options{}, map[string]int{"a": 3, "b": 3, "wide": 6}},
		{"a pattern takes its ratio", []string{"*"}, 0.3, selection.Options{}, map[string]int{"a": 3, "b": 3, "wide": 6}},
		{"a bound below the ratio", []string{"*"}, 0.3, selection.Options{MaxRatio: 0.1}, map[string]int{"a": 1, "b": 1, "wide": 2}},
		{"exact names have no bound", []string{"a"}, 0.3, selection.Options{MaxRatio: 0.1}, map[string]int{"a": 3, "wide": 3}},
		{"a bound of the ratio takes all of it, though 0.3*10 is a little less than 3", []string{"?"}, 0.3, selection.Options{MaxRatio: 0.3}, map[string]int{"a": 3, "b": 3, "wide": 6}},
		{"a pattern is bounded by what it is coupled with", []string{"wid?"}, 0.5, selection.Options{MaxRatio: 0.2}, map[string]int{"a": 2, "b": 2, "wide": 4}},
		// wide looks for its 6 in the half of b alone, which gives its 3 and a step
		{"a protected weight keeps all, and what it shares", []string{"*"}, 0.3, selection.Options{Protect: []string{"a"}}, map[string]int{"b": 4, "wide": 4}},
		{"a protected weight keeps all under an exact cut", []string{"wide"}, 0.3, selection.Options{Protect: []string{"a"}}, map[string]int{"b": 6, "wide": 6}},
		{"patterns protect", []string{"wide"}, 0.3, selection.Options{Protect: []string{"[ab]", "head*"}}, map[string]int{}},
		{"a weight keeps enough", []string{"a", "b"}, 0.5, selection.Options{MinChannels: 8}, map[string]int{"a": 2, "b": 2, "wide": 4}},
		{"what is coupled keeps enough too", []string{"a", "b"}, 0.5, selection.Options{MinChannels: 18}, map[string]int{}},
		{"weights with fewer keep all", []string{"wide"}, 0.9, selection.Options{MinChannels: 11}, map[string]int{}},
		{"bounds and alignment", []string{"*"}, 0.3, selection.Options{MaxRatio: 0.25, Align: 4}, map[string]int{"a": 2, "b": 2, "wide": 4}},
	} {
		got, _, err := removedOf(t, n, c.names, c.ratio, c.opt)
		if protects := len(c.want) == 0 && len(c.opt.Protect) > 0; protects {
			var refused *selection.RequestError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), "which is protected") {
				t.Errorf("%s: error is %v", c.what, err)
			}
			continue
		}
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%s: lost %v, %v, want %v", c.what, got, err, c.want)
		}
	}
}

func TestWhatIsBoundedOrProtectedIsTold(t *testing.T) {
	n := analysed(t, spilling().Model())
	_, c, err := removedOf(t, n, []string{"*"}, 0.3, selection.Options{MaxRatio: 0.1, Protect: []string{"b"}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(c.Bounded, []string{"a", "wide"}) {
		t.Errorf("bounded are %v", c.Bounded)
	}
	if len(c.Held) != 1 || c.Held[0].Param.Name != "b" {
		t.Errorf("held are %v", c.Held)
	}
	_, _, err = removedOf(t, n, []string{"a"}, 0.3, selection.Options{Protect: []string{"a"}})
	if err == nil || err.Error() != "a is to lose channels, and is protected" {
		t.Errorf("error is %v", err)
	}
	_, _, err = removedOf(t, n, []string{"a"}, 0.3, selection.Options{Protect: []string{"wid"}})
	if err == nil || !strings.Contains(err.Error(), `no parameter "wid"; nearest are wide`) {
		t.Errorf("error is %v", err)
	}
}

func TestOptionsThatMeanNothingAreRefused(t *testing.T) {
	for _, o := range []selection.Options{{Align: -1}, {MinChannels: -1}, {MaxRatio: 1}, {MaxRatio: -0.1}, {Vote: "most"}, {Criterion: "l3_norm"}} {
		if err := o.Check(); err == nil {
			t.Errorf("%+v is no error", o)
		}
		if _, err := selection.Select(analysed(t, spilling().Model()), nil, o); err == nil {
			t.Errorf("Select takes %+v", o)
		}
	}
}

// One ratio spills over in a ShuffleNet: with a bound, no axis of any tensor loses more.
func TestABoundHoldsForAllTensorsOfPicoDet(t *testing.T) {
	path := filepath.Join("..", "..", "..", "shared", "models", "trained", "picodet_s_320.onnx")
	if _, err := os.Stat(path); err != nil {
		t.Skip("the trained detector is not here")
	}
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	n := analysed(t, m)
	worst := func(names []string, opt selection.Options) (worst float64) {
		_, c, err := removedOf(t, n, names, 0.1, opt)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan.Build(n, c.Removed)
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range p.Tensors {
			for axis, keep := range cut.Keep {
				worst = max(worst, 1-float64(len(keep))/float64(cut.Shape[axis]))
			}
		}
		return worst
	}
	var exact []string
	for _, p := range n.Params {
		if p.Reason == nil {
			exact = append(exact, p.Name)
		}
	}
	if got := worst(exact, selection.Options{}); got < 0.66 || got > 0.67 {
		t.Errorf("by exact names a tensor loses %.3f, want two thirds", got)
	}
	// 19 of 192 are a tenth, and a step takes 64 of them: one goes.
	if got := worst([]string{"*"}, selection.Options{}); got > 0.334 {
		t.Errorf("by a pattern a tensor loses %.3f, more than a tenth and a step", got)
	}
	for _, r := range []float64{0.05, 0.1, 0.2} {
		if got := worst([]string{"*"}, selection.Options{MaxRatio: r}); got > r+1e-9 {
			t.Errorf("a tensor loses %.3f, more than the bound %v", got, r)
		}
	}
}
