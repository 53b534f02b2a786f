package onnxprune_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/analysis/plan"
	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
	"onnxprune/runtime/verify"
)

func trained(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "shared")
	}
	path := filepath.Join(dir, "models", "trained", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not here; set ONNXPRUNE_CORPUS to the folder of the shared models", name)
	}
	return path
}

// Another size alone and with a prune: what is written, reported, proven, and carried out again by its plan.
func TestAnotherInputSizeIsPrunedProvenAndReplayed(t *testing.T) {
	in := trained(t, "ultraface_rfb_320.onnx")
	for _, c := range []struct {
		name   string
		params []string
	}{{"size alone", nil}, {"with a prune", []string{"base_net.*"}}} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			out, planFile, again := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "plan.json"), filepath.Join(dir, "again.onnx")
			opt := onnxprune.PruneOptions{InputSize: &onnxprune.InputSize{Width: 160, Height: 128}, PlanOut: planFile}
			if c.params != nil {
				opt.Params, opt.Ratios = c.params, []float64{0.25}
			}
			r, err := onnxprune.Prune(t.Context(), in, out, opt)
			if err != nil {
				t.Fatal(err)
			}
			if z := r.Size; z == nil || z.From != (plan.Extent{Width: 320, Height: 240}) || z.To != (plan.Extent{Width: 160, Height: 128}) || len(z.Grids) != 3 {
				t.Errorf("the report says of the size: %+v", z)
			}
			if r.Verification.SizeBack != "the original, byte for byte" {
				t.Errorf("the way back is %q", r.Verification.SizeBack)
			}
			if share := float64(r.After.MACs) / float64(r.Before.MACs); share > 128*160/(240.*320)+0.01 {
				t.Errorf("%.3f of the MACs are left", share)
			}
			m, err := onnxio.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if dims := m.Graph.Inputs[0].Type.Shape; dims[2].Value != 128 || dims[3].Value != 160 || m.Metadata(onnxprune.MetaPlan) == "" {
				t.Errorf("the file has the input %v and says of its plan %q", m.Graph.Inputs[0].Type, m.Metadata(onnxprune.MetaPlan))
			}
			v, err := onnxprune.Verify(t.Context(), in, out, planFile, onnxprune.Options{}, verify.Options{RTol: verify.DefaultRTol, Runs: 1})
			if err != nil || v.SizeBack != r.Verification.SizeBack || len(v.Notes) > 0 {
				t.Fatalf("verified again: %v, %+v", err, v)
			}
			if _, err := onnxprune.Prune(t.Context(), in, again, onnxprune.PruneOptions{PlanIn: planFile, Verify: onnxprune.VerifyOff}); err != nil {
				t.Fatal(err)
			}
			a, _ := os.ReadFile(out)
			b, _ := os.ReadFile(again)
			if len(a) == 0 || !bytes.Equal(a, b) {
				t.Error("the plan made another file the second time")
			}

			// A file whose priors are those of another place is not what the plan makes.
			c, forged := m.Clone(), false
			for _, w := range c.Tensors() {
				raw, err := w.Raw()
				if err != nil {
					t.Fatal(err)
				}
				if len(w.Dims) == 3 && w.Dims[1] == 1178 && !forged {
					raw = bytes.Clone(raw)
					raw[1000] ^= 1
					if err := w.Restore(w.Dims, raw); err != nil {
						t.Fatal(err)
					}
					forged = true
				}
			}
			if !forged {
				t.Fatal("there are no priors")
			}
			bad := filepath.Join(dir, "bad.onnx")
			if err := c.Save(bad); err != nil {
				t.Fatal(err)
			}
			_, err = onnxprune.Verify(t.Context(), in, bad, planFile, onnxprune.Options{}, verify.Options{RTol: verify.DefaultRTol, Runs: 1})
			if onnxprune.ExitCode(err) != onnxprune.ExitUnproven || !strings.Contains(err.Error(), "is not what the original") {
				t.Errorf("one bit of the priors is wrong: %v", err)
			}
		})
	}
}

// A plan that says another change of size than the one that follows from the model is refused.
func TestPlansOfAnotherSizeChangeAreRefused(t *testing.T) {
	in := trained(t, "ultraface_rfb_320.onnx")
	dir := t.TempDir()
	planFile := filepath.Join(dir, "plan.json")
	_, err := onnxprune.Prune(t.Context(), in, filepath.Join(dir, "out.onnx"), onnxprune.PruneOptions{
		InputSize: &onnxprune.InputSize{Width: 160, Height: 128}, PlanOut: planFile, Verify: onnxprune.VerifyOff})
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(s *plan.Size){
		"old size is another":      func(s *plan.Size) { s.From.Width = 640 },
		"constants hold something": func(s *plan.Size) { s.Grids = s.Grids[1:] },
		"operands change": func(s *plan.Size) {
			s.Operands = append(s.Operands, plan.Operand{Use: plan.Use{Node: "Reshape_1", Input: 1}})
		},
		"declared shapes change":    func(s *plan.Size) { s.Values[0].Size = map[int]int64{1: 2} },
		`the model has no input "p`: func(s *plan.Size) { s.Inputs = []string{"picture"} },
	} {
		p, err := onnxprune.ReadPlan(planFile)
		if err != nil {
			t.Fatal(err)
		}
		change(p.Size)
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		other := filepath.Join(dir, "other.json")
		if err := os.WriteFile(other, b, 0o666); err != nil {
			t.Fatal(err)
		}
		_, err = onnxprune.Prune(t.Context(), in, filepath.Join(dir, "never.onnx"), onnxprune.PruneOptions{PlanIn: other})
		if onnxprune.ExitCode(err) != onnxprune.ExitRefused || !strings.Contains(strings.ReplaceAll(err.Error(), "or its old size is", "old size is"), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// The content of constants over cells is worked out anew, so a plan's own is never used.
	p, err := onnxprune.ReadPlan(planFile)
	if err != nil {
		t.Fatal(err)
	}
	hash := p.SHA256()
	for i := range p.Size.Grids {
		p.Size.Grids[i].Data[0] ^= 1
	}
	if p.SHA256() != hash {
		t.Error("the plan's hash goes with what the checkpoint's constants hold")
	}
}

func TestInputSizesThatCanNotBeAreRefused(t *testing.T) {
	in := trained(t, "ultraface_rfb_320.onnx")
	for _, c := range []struct {
		opt  onnxprune.PruneOptions
		code int
		why  string
	}{
		{onnxprune.PruneOptions{InputSize: &onnxprune.InputSize{Width: 0, Height: 128}}, onnxprune.ExitUsage, "at least 1"},
		{onnxprune.PruneOptions{InputSize: &onnxprune.InputSize{Width: 160, Height: -1}}, onnxprune.ExitUsage, "at least 1"},
		{onnxprune.PruneOptions{InputSize: &onnxprune.InputSize{Width: 160, Height: 128}, PlanIn: "plan.json"}, onnxprune.ExitUsage, "--plan, or --input-size"},
		{onnxprune.PruneOptions{InputSize: &onnxprune.InputSize{Inputs: []string{"foo"}, Width: 160, Height: 128}}, onnxprune.ExitRefused, `no input "foo"`},
		{onnxprune.PruneOptions{InputSize: &onnxprune.InputSize{Width: 1 << 20, Height: 1 << 20}}, onnxprune.ExitRefused, "too large"},
	} {
		out := filepath.Join(t.TempDir(), "out.onnx")
		_, err := onnxprune.Prune(t.Context(), in, out, c.opt)
		if onnxprune.ExitCode(err) != c.code || err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%+v: exit code %d, %v; want %d and %q", c.opt.InputSize, onnxprune.ExitCode(err), err, c.code, c.why)
		}
		if _, err := os.Stat(out); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%+v: something was written", c.opt.InputSize)
		}
	}
}

// yunet was exported twice, once at 320x320 and once for any size: at another size the first, brought to it, gives what the second gives.
func TestAResizedExportGivesWhatTheDynamicExportGives(t *testing.T) {
	static, dynamic := trained(t, "yunet_n_320.onnx"), trained(t, "yunet_n_dynamic.onnx")
	for _, side := range []int{256, 480} {
		out := filepath.Join(t.TempDir(), "out.onnx")
		_, err := onnxprune.Prune(t.Context(), static, out, onnxprune.PruneOptions{InputSize: &onnxprune.InputSize{Width: int64(side), Height: int64(side)}, Verify: onnxprune.VerifyOff})
		if err != nil {
			t.Fatal(err)
		}
		x := value.New(onnxio.Float, 1, 3, side, side)
		r := rand.New(rand.NewPCG(1, 2))
		for i := range x.Data.([]float32) {
			x.Data.([]float32)[i] = float32(r.IntN(256))
		}
		want, got := outputs(t, dynamic, x), outputs(t, out, x)
		if len(want) == 0 || len(got) != len(want) {
			t.Fatalf("%d outputs and %d", len(want), len(got))
		}
		for name, w := range want {
			g := got[name]
			if g == nil || len(g) != len(w) {
				t.Errorf("%d: output %s has %d elements, want %d", side, name, len(g), len(w))
				continue
			}
			for i := range w {
				if d := math.Abs(float64(w[i] - g[i])); d > 1e-6*max(1, math.Abs(float64(w[i]))) {
					t.Errorf("%d: element %d of %s is %v, want %v", side, i, name, g[i], w[i])
					break
				}
			}
		}
	}
}

func outputs(t *testing.T, path string, x *value.Tensor) map[string][]float32 {
	t.Helper()
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s, err := runtime.Compile(m, runtime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	outs, err := s.Run(t.Context(), map[string]value.Value{m.Graph.Inputs[0].Name: x})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float32{}
	for name, v := range outs {
		all[name] = v.(*value.Tensor).Data.([]float32)
	}
	return all
}

// Where nodes shared a constant that only some of them need changed, the way back is proven node by node.
func TestTheWayBackOfSharedConstantsIsProvenNodeByNode(t *testing.T) {
	in := trained(t, "road_seg_adas_0001.onnx")
	r, err := onnxprune.Prune(t.Context(), in, filepath.Join(t.TempDir(), "out.onnx"), onnxprune.PruneOptions{
		InputSize: &onnxprune.InputSize{Width: 448, Height: 256}, Verify: onnxprune.VerifyLoad})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(r.Verification.SizeBack, "each with the same attributes and constants") {
		t.Errorf("the way back is %q", r.Verification.SizeBack)
	}
}
