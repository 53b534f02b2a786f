package rewrite_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
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
	g := &graphs{Builder: testmodels.New(opsets[r.IntN(len(opsets))]), r: r, batch: 1}
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
