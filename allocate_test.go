package onnxprune_test

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/analysis/sensitivity"
	"onnxprune/testmodels"
)

// Curves are made up here: a loss that rises with the ratio, faster for one parameter than for another, with a dent in some. What a
// prune leaves is counted on the pruned file.
func TestTargetsAreReachedWithinAPercent(t *testing.T) {
	for _, name := range []string{"models/fashion/" + fashionModel, "models/trained/ultraface_rfb_320.onnx", "models/trained/yolox_nano_416.onnx",
		"models/trained/nanodet_m_320.onnx", "models/trained/ppocrv3_det.onnx"} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			model := shared(t, filepath.FromSlash(name))
			file, params := madeUpCurves(t, model)
			for _, c := range []struct {
				target float64
				change func(*onnxprune.PruneOptions)
			}{
				{.85, nil},
				{.7, nil},
				{.9, func(o *onnxprune.PruneOptions) { o.Protect, o.MaxRatio, o.MinChannels = params[:1], .6, 8 }},
			} {
				opt := onnxprune.PruneOptions{DryRun: true, Allocation: &onnxprune.Allocation{Curves: file, TargetMACs: c.target}}
				if c.change != nil {
					c.change(&opt)
				}
				r, err := onnxprune.Prune(t.Context(), model, "", opt)
				if err != nil {
					t.Fatal(err)
				}
				if share := float64(r.After.MACs) / float64(r.Before.MACs); math.Abs(share-c.target) > .01*c.target || share != r.Allocated.Share {
					t.Errorf("%.4f of the MACs are left (said to be %.4f), want %v", share, r.Allocated.Share, c.target)
				}
				for _, w := range r.Weights {
					if c.change != nil && (w.Name == params[0] || w.After < min(8, w.Before) || w.Lost > .6+1e-9) {
						t.Errorf("%s goes from %d to %d channels against a bound", w.Name, w.Before, w.After)
					}
				}
			}
		})
	}
}

func madeUpCurves(t *testing.T, model string) (file string, params []string) {
	t.Helper()
	n, err := onnxprune.Open(model, onnxprune.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	c := sensitivity.New(sensitivity.Setting{})
	for i, p := range n.Channels.Params {
		if p.Reason != nil {
			continue
		}
		params = append(params, p.Name)
		for k := 1; k <= 9; k++ {
			ratio := float64(k) / 10
			loss := ratio * ratio * float64(1+i%7) / 7
			if i%5 == 0 && k > 6 {
				loss /= 4
			}
			c.Put(sensitivity.Curve{Param: p.Name, Place: i}, sensitivity.Point{Ratio: ratio, Loss: loss})
		}
	}
	file = filepath.Join(t.TempDir(), "curves.json")
	if err := c.Write(file); err != nil {
		t.Fatal(err)
	}
	return file, params
}

// Three parameters of the six convolutions hang together by two additions: all get the least of their ratios, or none.
func TestParametersThatShareChannelsGetOneRatio(t *testing.T) {
	model := saved(t, testmodels.SixConvolutions())
	limit := .05
	for _, c := range []struct {
		name   string
		losses map[string]float64 // at .5
		want   map[string]int     // channels that stay of 8
	}{
		{"all may lose half", map[string]float64{"conv2_weights": .01, "conv4_weights": .02, "conv3_weights": 0}, map[string]int{"conv2_weights": 4, "conv4_weights": 4, "conv3_weights": 4}},
		{"one of them may not", map[string]float64{"conv2_weights": .01, "conv4_weights": .2, "conv3_weights": 0}, map[string]int{"conv2_weights": 8, "conv4_weights": 8, "conv3_weights": 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			curves := sensitivity.New(sensitivity.Setting{})
			for p, loss := range c.losses {
				curves.Put(sensitivity.Curve{Param: p}, sensitivity.Point{Ratio: .5, Loss: loss})
			}
			file := filepath.Join(t.TempDir(), "curves.pickle")
			if err := curves.Write(file); err != nil {
				t.Fatal(err)
			}
			r, err := onnxprune.Prune(t.Context(), model, "", onnxprune.PruneOptions{DryRun: true, Allocation: &onnxprune.Allocation{Curves: file, MaxLoss: &limit}})
			if err != nil {
				t.Fatal(err)
			}
			left := map[string]int{}
			for _, w := range r.Weights {
				left[w.Name] = w.After
			}
			for p, want := range c.want {
				if got, cut := left[p]; cut && got != want || !cut && want != 8 {
					t.Errorf("%s keeps %d channels (cut: %v), want %d", p, got, cut, want)
				}
			}
		})
	}
}

func TestAllocationsThatCanNotBeAreRefused(t *testing.T) {
	model := saved(t, testmodels.SixConvolutions())
	loss := func(v float64) *float64 { return &v }
	for _, c := range []struct {
		name string
		a    onnxprune.Allocation
		more func(*onnxprune.PruneOptions)
		want string
		code int
	}{
		{"neither", onnxprune.Allocation{}, nil, "one of them", onnxprune.ExitUsage},
		{"both", onnxprune.Allocation{MaxLoss: loss(.1), TargetMACs: .5}, nil, "one of them", onnxprune.ExitUsage},
		{"a negative target", onnxprune.Allocation{TargetMACs: -1}, nil, "-1", onnxprune.ExitUsage},
		{"names too", onnxprune.Allocation{MaxLoss: loss(.1)}, func(o *onnxprune.PruneOptions) { o.Params = []string{"*"} }, "by themselves", onnxprune.ExitUsage},
		{"a plan too", onnxprune.Allocation{MaxLoss: loss(.1)}, func(o *onnxprune.PruneOptions) { o.PlanIn = "plan.json" }, "--sensitivity", onnxprune.ExitUsage},
		{"no such file", onnxprune.Allocation{Curves: "nowhere.json", MaxLoss: loss(.1)}, nil, "nowhere.json", onnxprune.ExitUnreadable},
		{"a limit below every loss", onnxprune.Allocation{MaxLoss: loss(-.5)}, nil, "every parameter", onnxprune.ExitRefused},
		{"a target out of reach", onnxprune.Allocation{TargetMACs: .01}, nil, "at least", onnxprune.ExitRefused},
		{"more than there is", onnxprune.Allocation{TargetMACs: 1e12}, nil, "already", onnxprune.ExitRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			curves := sensitivity.New(sensitivity.Setting{})
			curves.Put(sensitivity.Curve{Param: "conv1_weights"}, sensitivity.Point{Ratio: .5, Loss: .1})
			if c.a.Curves == "" {
				c.a.Curves = filepath.Join(t.TempDir(), "curves.json")
				if err := curves.Write(c.a.Curves); err != nil {
					t.Fatal(err)
				}
			}
			opt := onnxprune.PruneOptions{DryRun: true, Allocation: &c.a}
			if c.more != nil {
				c.more(&opt)
			}
			_, err := onnxprune.Prune(t.Context(), model, "", opt)
			if onnxprune.ExitCode(err) != c.code || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v (exit code %d), want %q and %d", err, onnxprune.ExitCode(err), c.want, c.code)
			}
		})
	}
}
