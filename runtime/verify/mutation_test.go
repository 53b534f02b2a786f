package verify_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"

	"onnxprune/analysis/channels"
	"onnxprune/analysis/graph"
	"onnxprune/analysis/plan"
	"onnxprune/analysis/proof"
	"onnxprune/analysis/selection"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
	"onnxprune/runtime"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/value"
	"onnxprune/runtime/verify"
)

// A proof is as good as the faults that it finds. Here pruned models get one fault each, and both halves of the proof, the static one and the
// comparison with the masked original, are asked by themselves.

// mutated are the models that get faults: small ones of many kinds.
var mutated = []string{"fashion/classifiers/resnet12_fmnist_bn.onnx", "control-flow/local_functions.onnx", "encodings/fp16.onnx",
	"trained/cifar_resnet_2b.onnx", "trained/ultraface_rfb_320.onnx", "trained/yunet_n_320.onnx", "trained/fastestdet.onnx", "trained/nanodet_m_320.onnx",
	"trained/picodet_s_320.onnx", "trained/ppocr_v2_cls.onnx", "fashion/classifiers/mobilenetv2s_fmnist.onnx", "control-flow/if_boxes.onnx"}

// visible is the least change of an output, as a share of the range of a slice of it, that a fault must make to count.
const visible = 1e-6

// subject is a pruned model that is to get faults.
type subject struct {
	name   string
	model  *onnxio.Model
	a      *channels.Analysis
	plan   *plan.Plan
	pruned []byte
	shapes map[string]string // of the pruned model's activations, in words, by name
	inputs map[string]value.Value
	sound  map[string]value.Value // the pruned model's outputs
}

// copy returns the pruned model, to be changed.
func (s *subject) copy() *onnxio.Model {
	m, err := onnxio.Parse(s.pruned)
	if err != nil {
		panic(err)
	}
	return m
}

func (s *subject) planCopy() *plan.Plan {
	var b bytes.Buffer
	if err := s.plan.Write(&b); err != nil {
		panic(err)
	}
	p, err := plan.Read(&b)
	if err != nil {
		panic(err)
	}
	return p
}

// newSubject prunes 30 % of all that can go.
func newSubject(t *testing.T, path string) *subject {
	t.Helper()
	s := &subject{name: filepath.Base(path), model: openModel(t, path), shapes: map[string]string{}}
	g, err := graph.Build(s.model)
	if err != nil {
		t.Fatal(err)
	}
	at, err := shape.Infer(g, shape.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.a = channels.Analyze(g, at, channels.Options{})
	wants, _, err := selection.Resolve(s.a, []string{"*"}, []float64{0.3})
	if err != nil {
		t.Fatal(err)
	}
	c, err := selection.Select(s.a, wants, selection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if s.plan, err = plan.Build(s.a, c.Removed); err != nil {
		t.Fatal(err)
	}
	s.plan.Cuts = c.Cuts
	pruned, err := rewrite.Apply(s.model, s.plan)
	if err != nil {
		t.Fatal(err)
	}
	s.pruned = pruned.Bytes()
	m := s.copy()
	if g, err = graph.Build(m); err != nil {
		t.Fatal(err)
	}
	if at, err = shape.Infer(g, shape.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, n := range g.Main.Nodes {
		for _, v := range n.Outputs {
			if v != nil && !v.Constant() && at.Of(v).Rank() > 1 {
				s.shapes[v.Name] = at.Of(v).String()
			}
		}
	}
	ins, err := feed.Make(m, feed.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	s.inputs = feed.Values(ins)
	if s.sound, err = s.run(m); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *subject) run(m *onnxio.Model) (map[string]value.Value, error) {
	session, err := runtime.Compile(m, runtime.Options{Exact: true})
	if err != nil {
		return nil, err
	}
	defer session.Close()
	return session.Run(context.Background(), s.inputs)
}

// effect is the largest change of an output as a share of the range of a slice of it, along any axis; infinite where the model does not run
// or gives other shapes.
func (s *subject) effect(m *onnxio.Model) float64 {
	out, err := s.run(m)
	if err != nil {
		return math.Inf(1)
	}
	worst := 0.0
	for name, want := range s.sound {
		a, ok1 := want.(*value.Tensor)
		b, ok2 := out[name].(*value.Tensor)
		if !ok1 || !ok2 || !slices.Equal(a.Shape, b.Shape) {
			return math.Inf(1)
		}
		x, _ := a.Floats()
		y, _ := b.Floats()
		worst = max(worst, sliced(x, y, a.Shape))
	}
	return worst
}

func sliced(x, y []float64, dims []int) float64 {
	worst, inner := 0.0, 1
	for k := len(dims) - 1; k >= 0; k-- {
		n := dims[k]
		span, off := make([]float64, n), make([]float64, n)
		for i := range x {
			at := i / inner % n
			switch {
			case math.IsNaN(x[i]) != math.IsNaN(y[i]):
				return math.Inf(1)
			case x[i] != y[i] && !math.IsNaN(x[i]):
				off[at] = max(off[at], math.Abs(x[i]-y[i]))
			}
			if !math.IsInf(x[i], 0) && !math.IsNaN(x[i]) {
				span[at] = max(span[at], math.Abs(x[i]))
			}
		}
		for at := range off {
			if off[at] > 0 {
				worst = max(worst, off[at]/max(span[at], 1e-30))
			}
		}
		inner *= n
	}
	return worst
}

// static asks the static proof alone.
func (s *subject) static(m *mutant) error {
	g, err := graph.Build(m.model)
	if err != nil {
		return err
	}
	_, err = proof.Check(s.a, m.plan, g, proof.Options{})
	return err
}

// dynamic asks the comparison with the masked original alone.
func (s *subject) dynamic(m *mutant) error {
	twin, err := rewrite.MaskedTwin(s.model, m.plan)
	if err != nil {
		return err
	}
	removed, err := plan.Removed(s.a, m.plan)
	if err != nil {
		return err
	}
	r, err := verify.Compare(context.Background(), twin, m.model, verify.Options{Seed: 1, Kept: plan.Kept(s.a, removed)})
	if err == nil && !r.Pass {
		err = fmt.Errorf("%s", r.Decided)
	}
	return err
}

// score counts the mutants of one kind.
type score struct {
	made, visible       int
	bothStatic, allSeen int // of the visible ones: found by the static proof; by either half
	dynamic             int // found by the comparison
	quietStatic         int // of those that change nothing that shows: found by the static proof
}

// TestMutations counts how many faults each half of the proof finds, and prints the table of docs/verification.md. ONNXPRUNE_MUTATIONS=5 makes
// five faults of every kind in every model; without it, one of each in three small models.
func TestMutations(t *testing.T) {
	names, each := mutated[:3], 1
	if s := os.Getenv("ONNXPRUNE_MUTATIONS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		names, each = mutated, n
	}
	scores := make([]score, len(mutations))
	var survivors, missed []string
	used := 0
	for _, name := range names {
		path := filepath.Join(shared(), "models", filepath.FromSlash(name))
		if _, err := os.Stat(path); err != nil {
			continue
		}
		used++
		s := newSubject(t, path)
		t.Logf("%s", s.name)
		sound := &mutant{s.copy(), s.plan, ""}
		if err := s.static(sound); err != nil {
			t.Errorf("%s without a fault: %v", s.name, err)
		}
		if err := s.dynamic(sound); err != nil {
			t.Errorf("%s without a fault: %v", s.name, err)
		}
		for i, kind := range mutations {
			for k := range each {
				m := kind.make(rand.New(rand.NewPCG(uint64(k), uint64(i))), s)
				if m == nil || bytes.Equal(m.model.Bytes(), s.pruned) && m.plan == s.plan {
					continue
				}
				c := &scores[i]
				c.made++
				where := fmt.Sprintf("%s, %s: %s, %s", s.name, kind.family, kind.name, m.where)
				static, dynamic := s.static(m), s.dynamic(m)
				effect := s.effect(m.model)
				if m.plan != s.plan && dynamic != nil { // a plan that asks for another model: the comparison that it asks for shows it
					effect = math.Inf(1)
				}
				if effect <= visible {
					if static != nil {
						c.quietStatic++
					} else {
						survivors = append(survivors, where+fmt.Sprintf(" (changes an output by %.1g)", effect))
					}
					continue
				}
				c.visible++
				if static != nil {
					c.bothStatic++
				}
				if dynamic != nil {
					c.dynamic++
				} else {
					missed = append(missed, where+fmt.Sprintf(" (changes an output by %.1g)", effect))
				}
				if static != nil || dynamic != nil {
					c.allSeen++
				} else {
					survivors = append(survivors, where+fmt.Sprintf(" (changes an output by %.1g)", effect))
				}
				if kind.swap && static == nil {
					t.Errorf("the static proof does not see %s", where)
				}
			}
		}
	}
	if used == 0 {
		t.Skip("the shared models are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	all := report(t, scores, used)
	if all.visible == 0 || float64(all.allSeen) < 0.995*float64(all.visible) {
		t.Errorf("the proof finds %d of %d faults that change an output, want 99.5 %%", all.allSeen, all.visible)
	}
	for _, s := range survivors {
		t.Logf("found by neither half: %s", s)
	}
	for _, s := range missed {
		t.Logf("not found by the comparison: %s", s)
	}
}

// report prints the table, in the form of docs/verification.md, and returns the sums.
func report(t *testing.T, scores []score, models int) score {
	var all score
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	row := func(family, name string, c score) {
		fmt.Fprintf(w, "| %s\t| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t|\n", family, name, c.made, c.visible, c.bothStatic, c.dynamic, c.allSeen, c.quietStatic)
	}
	fmt.Fprintf(w, "| faults in\t| what\t| made\t| change an output\t| found statically\t| found by the run\t| found\t| quiet, found statically\t|\n|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|\n")
	for i, c := range scores {
		row(mutations[i].family, mutations[i].name, c)
		all = score{all.made + c.made, all.visible + c.visible, all.bothStatic + c.bothStatic, all.allSeen + c.allSeen, all.dynamic + c.dynamic, all.quietStatic + c.quietStatic}
	}
	row("all", "", all)
	w.Flush()
	t.Logf("%d models\n%s", models, b.String())
	return all
}

// shared is the folder of the shared models.
func shared() string {
	if dir := os.Getenv("ONNXPRUNE_CORPUS"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", "shared")
}
