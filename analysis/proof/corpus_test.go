package proof_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/proof"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

// models lists the corpus: the shared models, and the filled skeletons where ONNXPRUNE_FILLED names their folder.
func models(t testing.TB) []string {
	t.Helper()
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	patterns := []string{filepath.Join(dir, "models", "*", "*.onnx"), filepath.Join(dir, "models", "*", "*", "*.onnx"), filepath.Join(dir, "models", "*", "*.onnx.gz"),
		filepath.Join(dir, "cases", "*.onnx"), filepath.Join(dir, "cases", "*", "*.onnx")}
	if filled := os.Getenv("ONNXPRUNE_FILLED"); filled != "" {
		patterns = append(patterns, filepath.Join(filled, "*.onnx"))
	}
	var out []string
	for _, p := range patterns {
		list, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range list {
			if dir := filepath.Base(filepath.Dir(path)); dir != "invalid" && dir != "hostile" {
				out = append(out, path)
			}
		}
	}
	if len(out) == 0 {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	return out
}

// pruning is a model, a plan for it, and what rewrite makes of the two.
type pruning struct {
	model    *onnxio.Model
	analysis *channels.Analysis
	plan     *plan.Plan
	pruned   *onnxio.Model
}

// analysed opens a model; ok is false where it is no valid one.
func analysed(t testing.TB, path string, opt channels.Options) (a *channels.Analysis, ok bool) {
	t.Helper()
	m, err := opened(t, path)
	if err != nil {
		return nil, false
	}
	t.Cleanup(func() { m.Close() })
	g, err := graph.Build(m)
	if err != nil {
		return nil, false
	}
	s, err := shape.Infer(g, shape.Options{})
	if err != nil {
		return nil, false
	}
	return channels.Analyze(g, s, opt), true
}

// opened opens a model, which may be packed.
func opened(t testing.TB, path string) (*onnxio.Model, error) {
	t.Helper()
	if !strings.HasSuffix(path, ".gz") {
		return onnxio.Open(path)
	}
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return onnxio.Parse(b)
}

// prune takes a share of the named weights; nil where nothing can go.
func prune(t testing.TB, a *channels.Analysis, ratio float64, names ...string) *pruning {
	t.Helper()
	wants, _, err := selection.Resolve(a, names, []float64{ratio})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(a, wants, selection.Options{Criterion: "random"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Removed) == 0 {
		return nil
	}
	p, err := plan.Build(a, c.Removed)
	if err != nil {
		t.Fatal(err)
	}
	p.Cuts = c.Cuts
	pruned, err := rewrite.Apply(a.Graph.Model, p)
	if err != nil {
		t.Fatal(err)
	}
	return &pruning{a.Graph.Model, a, p, pruned}
}

// check runs the proof on a model.
func (p *pruning) check(m *onnxio.Model, opt proof.Options) (*proof.Report, error) {
	g, err := graph.Build(m)
	if err != nil {
		return nil, err
	}
	return proof.Check(p.analysis, p.plan, g, opt)
}

// No sound prune is refused: every model of the corpus, at four ratios of its exact channels and at one of inexact ones too, as it is in
// memory and, of smaller models at one ratio, as it is read again.
func TestEveryPruneOfTheCorpusIsProven(t *testing.T) {
	ratios := []float64{0.1, 0.3, 0.5, 0.7}
	if testing.Short() {
		ratios = ratios[1:2]
	}
	for _, path := range models(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			for _, inexact := range []bool{false, true} {
				a, ok := analysed(t, path, channels.Options{AllowInexact: inexact})
				if !ok {
					t.Skip("it is no valid model")
				}
				if len(a.Params) == 0 {
					t.Skip("it has no weights of convolutions or linear layers")
				}
				for i, ratio := range ratios {
					if inexact && i != len(ratios)/2 {
						continue // the rules are the same: one ratio will do
					}
					p := prune(t, a, ratio, "*")
					if p == nil {
						continue
					}
					if _, err := p.check(p.pruned, proof.Options{}); err != nil {
						t.Errorf("at %v, inexact channels %v: %v", ratio, inexact, err)
					}
					if st, err := os.Stat(path); ratio == 0.3 && !inexact && err == nil && st.Size() < 20<<20 {
						reread(t, p)
					}
				}
			}
		})
	}
}

// reread proves the file that a prune writes.
func reread(t *testing.T, p *pruning) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pruned.onnx")
	if err := p.pruned.Save(path); err != nil {
		t.Fatal(err)
	}
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := p.check(m, proof.Options{}); err != nil {
		t.Errorf("as it is written: %v", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	path := filepath.Join(os.Getenv("ONNXPRUNE_FILLED"), "mask_rcnn_r50.onnx")
	if _, err := os.Stat(path); err != nil {
		b.Skip("mask_rcnn_r50.onnx is not here; set ONNXPRUNE_FILLED to the folder of filled skeletons")
	}
	a, ok := analysed(b, path, channels.Options{})
	if !ok {
		b.Fatal("it is no valid model")
	}
	for _, c := range []struct {
		what  string
		names []string
		ratio float64
	}{
		{"two weights", []string{"res4f_branch2b_weights", "res4f_branch2a_weights"}, 0.3},
		{"all weights at 0.1", []string{"*"}, 0.1}, {"all weights at 0.5", []string{"*"}, 0.5},
	} {
		p := prune(b, a, c.ratio, c.names...)
		g, err := graph.Build(p.pruned)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(c.what), func(b *testing.B) {
			for b.Loop() {
				if _, err := proof.Check(a, p.plan, g, proof.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
