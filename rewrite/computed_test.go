package rewrite_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/channels/atoms"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// Models whose weights are computed in the graph: every weight that can be cut is, and the result equals the original with the removed
// channels silenced behind every node, on the embedded runtime and on ONNX Runtime where it is here.
func TestWeightsComputedInTheGraphEqualSilencedActivations(t *testing.T) {
	for _, name := range []string{"weight_norm", "spectral_norm"} {
		t.Run(name, func(t *testing.T) {
			m, err := onnxio.Open(filepath.Join("..", "..", "shared", "cases", name+".onnx"))
			if err != nil {
				t.Skipf("the shared case is not here: %v", err)
			}
			defer m.Close()
			a, err := analysed(m)
			if err != nil {
				t.Fatal(err)
			}
			cut := 0
			for _, p := range a.Params {
				if p.Reason != nil {
					continue
				}
				for _, ratio := range []float64{0.25, 0.5, 0.75} {
					if err := judgeCut(t, m, a, []selection.Want{{Param: p, Ratio: ratio}}, 1e-5); err != nil {
						t.Errorf("%s at %v: %v", p.Name, ratio, err)
					}
				}
				cut++
			}
			if cut < 2 {
				t.Errorf("%d weights can be cut", cut)
			}
		})
	}
}

// A family of networks with nothing but weights that are computed in the graph, each in the ways that parametrisations lists, pruned at
// random.
func TestRandomNetworksOfComputedWeightsEqualSilencedActivations(t *testing.T) {
	n := number(t, "ONNXPRUNE_COMPUTED", 60)
	cuts := 0
	for seed := range n {
		m := computedNetwork(seed)
		a, err := analysed(m)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		r := rand.New(rand.NewPCG(seed, 7))
		var wants []selection.Want
		for _, p := range a.Params {
			if p.Reason == nil && r.IntN(4) > 0 {
				wants = append(wants, selection.Want{Param: p, Ratio: []float64{0.3, 0.5, 0.7}[seed%3]})
			}
		}
		if len(wants) == 0 {
			continue
		}
		cuts++
		if err := judgeCut(t, m, a, wants, 1e-4); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	if cuts < int(n)*3/4 {
		t.Errorf("%d of %d networks had something to cut", cuts, n)
	}
}

// computedNetwork draws a network of computed weights, between a plain convolution and another.
func computedNetwork(seed uint64) *onnxio.Model {
	r := rand.New(rand.NewPCG(seed, 0xfa111))
	opset := min(opsets[r.IntN(len(opsets))], 26) // the newest that the ONNX Runtime of the tests takes
	g := &graphs{Builder: testmodels.New(opset), r: r, batch: 1}
	x := g.Input("x", onnxio.Float, 1, 3, 6, 6)
	f := g.conv(feat{x, 3, 6, 6}, 8, 3, 1)
	g.push(f)
	for range 2 + r.IntN(3) {
		f.name = g.Relu(f.name)
		b := computed[r.IntN(len(computed))]
		if y := b.make(g, f); y.name != "" {
			f = y
			g.push(f)
		}
	}
	g.Output(g.conv(f, 3, 1, 1).name, onnxio.Float)
	return g.Model()
}

// judgeCut prunes, and compares with silenced activations; tolerance is a share of the output's range.
func judgeCut(t *testing.T, m *onnxio.Model, a *channels.Analysis, wants []selection.Want, tolerance float64) error {
	c, err := selection.Select(a, wants, selection.Options{})
	if err != nil {
		return err
	}
	p, err := plan.Build(a, c.Removed)
	if err != nil {
		return err
	}
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		return err
	}
	return judgeSilenced(t, m, pruned, a, c.Removed, tolerance)
}

// judgeSilenced runs a pruned model and the original with silenced activations, on the embedded runtime and on ONNX Runtime.
func judgeSilenced(t *testing.T, m, pruned *onnxio.Model, a *channels.Analysis, removed map[atoms.ID]bool, tolerance float64) error {
	quiet, err := silenced(m, a, removed)
	if err != nil || quiet == nil {
		return fmt.Errorf("no original with silenced activations: %v", err)
	}
	in := a.Graph.Main.Inputs[slices.IndexFunc(a.Graph.Main.Inputs, func(v *graph.Value) bool { return !v.Constant() })]
	dims := make([]int, a.Shapes.Of(in).Rank())
	for k := range dims {
		d, _ := a.Shapes.Of(in).Fixed(k)
		dims[k] = int(d)
	}
	x := value.New(onnxio.Float, dims...)
	r := rand.New(rand.NewPCG(3, 3))
	for i := range x.Data.([]float32) {
		x.Data.([]float32)[i] = float32(r.NormFloat64())
	}
	want, err := runOn(quiet, in.Name, x, 1)
	if err != nil {
		return err
	}
	got, err := runOn(pruned, in.Name, x, 1)
	if err != nil {
		return err
	}
	for name, w := range want {
		if err := nearWithin(got[name], w, tolerance); err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
	}
	if path, err := onnxruntime.Find(); err == nil {
		lib, err := onnxruntime.Open(path)
		if err != nil {
			return err
		}
		return judgeUnderONNXRuntime(t, lib, quiet, pruned, in.Name, x, tolerance)
	}
	return nil
}

func judgeUnderONNXRuntime(t *testing.T, lib *onnxruntime.Library, quiet, pruned *onnxio.Model, input string, x *value.Tensor, tolerance float64) error {
	shape := make([]int64, len(x.Shape))
	for i, d := range x.Shape {
		shape[i] = int64(d)
	}
	in := map[string]*onnxruntime.Tensor{input: onnxruntime.FromFloat32(shape, x.Data.([]float32))}
	var outs [2]map[string]*onnxruntime.Tensor
	for i, m := range []*onnxio.Model{quiet, pruned} {
		path := filepath.Join(t.TempDir(), "judged.onnx")
		if err := m.Save(path); err != nil {
			return err
		}
		s, err := lib.NewSession(path, onnxruntime.Options{OptimizationLevel: onnxruntime.OptimizeBasic})
		if err != nil {
			return fmt.Errorf("ONNX Runtime: %w", err)
		}
		outs[i], err = s.Run(in, nil)
		s.Close()
		if err != nil {
			return fmt.Errorf("ONNX Runtime: %w", err)
		}
	}
	for name, want := range outs[0] {
		if d, err := difference(outs[1][name], want); err != nil || d > tolerance {
			return fmt.Errorf("under ONNX Runtime output %s differs by %.2g of its range (%v)", name, d, err)
		}
	}
	return nil
}

// normed is x -> conv a -> Relu -> conv b, whose weights are size*v/|v| with a norm per filter; the same seed gives the same constants.
func normed(seed uint64, ir int64) *onnxio.Model {
	b := testmodels.New(13)
	b.Seed = seed
	layer := func(name, x string, in, out int64) string {
		v := b.Weight(name+".v", out, in, 1, 1)
		norm := b.Node("ReduceL2", []string{v}, testmodels.Attrs{"axes": []int{1, 2, 3}})
		return b.Node("Conv", []string{x, b.Mul(b.Weight(name+".size", out, 1, 1, 1), b.Div(v, norm))})
	}
	y := layer("b", b.Relu(layer("a", b.Input("x", onnxio.Float, 1, 2, 4, 4), 2, 4)), 4, 6)
	b.Output(b.Conv("head", y, 6, 3, 1), onnxio.Float, 1, 3, 4, 4)
	m := b.Model()
	if ir < 4 { // every constant is an input too
		m.IRVersion = ir
		for _, t := range m.Graph.Initializers {
			dims := make([]onnxio.Dim, len(t.Dims))
			for i, d := range t.Dims {
				dims[i] = onnxio.Fixed(d)
			}
			m.Graph.AddInput(onnxio.NewValueInfo(t.Name, onnxio.TensorType(t.DataType, dims...)))
		}
	}
	return m
}

// cutOf plans the removal of the first half of a weight's channels.
func cutOf(t *testing.T, m *onnxio.Model, name string) *plan.Plan {
	t.Helper()
	n := analyse(t, m)
	p, err := n.plan([]string{name}, []float64{0.5})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a plan stores on another checkpoint are that checkpoint's norms: those of all input channels, of filters that stay.
func TestStoredNormsAreThoseOfTheCheckpoint(t *testing.T) {
	p := cutOf(t, normed(1, 8), "a.v")
	if len(p.Folds) != 1 || p.Folds[0].Keep != nil || !slices.Equal(p.Folds[0].Shape, []int64{6, 1, 1, 1}) {
		t.Fatalf("the plan stores %+v, want the norms of b alone", p.Folds)
	}
	other := normed(2, 8)
	v, err := analyse(t, other).graph.Main.Lookup("b.v").Tensor.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	pruned, err := rewrite.Apply(other, p)
	if err != nil {
		t.Fatal(err)
	}
	after := analyse(t, pruned)
	stored := after.graph.Main.Lookup(p.Folds[0].Value)
	if stored == nil || stored.Tensor == nil {
		t.Fatalf("%q is not stored", p.Folds[0].Value)
	}
	got, err := stored.Tensor.Float32s()
	if err != nil {
		t.Fatal(err)
	}
	for o := range 6 {
		sum := 0.0
		for _, x := range v[4*o : 4*o+4] {
			sum += float64(x) * float64(x)
		}
		if want := float32(math.Sqrt(sum)); math.Abs(float64(got[o]-want)) > 1e-7*float64(want) {
			t.Errorf("norm %d is %v, by hand %v", o, got[o], want)
		}
	}
	if d := after.dims("b.v"); !slices.Equal(d, []int64{6, 2, 1, 1}) {
		t.Errorf("b.v has the shape %v after the cut", d)
	}
	if _, err := rewrite.Apply(normed(1, 8), &plan.Plan{Tensors: p.Tensors, Folds: []plan.Fold{{Value: "b.v", Type: 1, Shape: []int64{6, 4, 1, 1}}}}); err == nil {
		t.Error("a plan that stores a constant is carried out")
	}
}

// Where a cut takes whole filters with their norms, nothing is stored and the computation stays.
func TestNothingIsStoredWhereACutPasses(t *testing.T) {
	m := normed(1, 8)
	p := cutOf(t, m, "b.v")
	if len(p.Folds) != 0 {
		t.Fatalf("the plan stores %+v", p.Folds)
	}
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(pruned.Graph.Nodes) != len(m.Graph.Nodes) || len(pruned.Graph.Initializers) != len(m.Graph.Initializers) {
		t.Errorf("%d nodes and %d constants are left of %d and %d", len(pruned.Graph.Nodes), len(pruned.Graph.Initializers), len(m.Graph.Nodes), len(m.Graph.Initializers))
	}
}

// Before version 4 of the format every constant is an input, which no run gives: the norm is stored all the same, and is no input. From
// then on an input may take the place of its default, so a norm of it is not known before the run and its axis stays.
func TestConstantsThatAreInputs(t *testing.T) {
	m := normed(1, 3)
	pruned, err := rewrite.Apply(m, cutOf(t, m, "a.v"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(pruned.Graph.Inputs), len(m.Graph.Inputs); got != want {
		t.Errorf("%d inputs, want the %d that were there", got, want)
	}
	a, err := analysed(m)
	if err != nil {
		t.Fatal(err)
	}
	removed := map[atoms.ID]bool{}
	for _, p := range a.Params {
		if p.Name == "a.v" {
			removed[a.Classes(p)[0]], removed[a.Classes(p)[2]] = true, true
		}
	}
	q, err := plan.Build(a, removed)
	if err != nil {
		t.Fatal(err)
	}
	if pruned, err = rewrite.Apply(m, q); err != nil {
		t.Fatal(err)
	}
	if err := judgeSilenced(t, m, pruned, a, removed, 1e-5); err != nil {
		t.Error(err)
	}
	m.IRVersion = 8
	n := analyse(t, m)
	_, err = n.plan([]string{"a.v"}, []float64{0.5})
	if err == nil || !strings.Contains(err.Error(), "can not be worked out before the cut") {
		t.Errorf("with constants that a run may override: %v", err)
	}
}
