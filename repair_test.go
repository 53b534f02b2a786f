package onnxprune_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/analysis/allocation"
	"onnxprune/runtime/preprocess"
	"onnxprune/runtime/verify"
	"onnxprune/testmodels"
)

// detector writes the demo's detector to a folder, and returns how it is calibrated on a few of its own pictures.
func detector(t *testing.T) (path string, c onnxprune.Calibration) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "detector.onnx")
	if err := os.WriteFile(path, testmodels.DemoModel(), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := preprocess.ParseSettings("mean=0.5:0.5:0.5,std=0.25:0.25:0.25", preprocess.FromFlags, "test")
	if err != nil {
		t.Fatal(err)
	}
	return path, onnxprune.Calibration{Limit: 8, Preprocess: preprocess.Options{Settings: settings}}
}

// A budget chooses widths, the cut is proven, the repair brings the outputs closer on pictures it has not seen, the file can be verified, and the
// number of threads changes no byte.
func TestABudgetIsMetProvenAndRepaired(t *testing.T) {
	in, calibration := detector(t)
	dir := t.TempDir()
	var files [2][]byte
	for i := range files {
		out, plan := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "plan.json")
		opt := onnxprune.PruneOptions{PlanOut: plan, Calibration: calibration, Compare: verify.Options{Threads: i + 1}}
		opt.Budget = onnxprune.Budget{Unit: allocation.MACs, Target: 0.7}
		r, err := onnxprune.Prune(context.Background(), in, out, opt)
		if err != nil {
			t.Fatal(err)
		}
		share := float64(r.After.MACs) / float64(r.Before.MACs)
		if share > 0.7 || share < 0.69 || r.Verification.Status != "passed" {
			t.Errorf("%.4f of the MACs are left, want 0.69 to 0.70; the cut is %s", share, r.Verification.Status)
		}
		if p := r.Repair; p == nil || p.Dropped != "" || !(p.After < 0.5*p.Before) || p.Weights == 0 {
			t.Errorf("the repair: %+v", p)
		}
		if !r.Calibration.StandIn || r.Calibration.Pictures != 8 || r.Calibration.Held != 2 || r.Calibration.Head == "" {
			t.Errorf("the calibration: %+v", r.Calibration)
		}
		v, err := onnxprune.Verify(context.Background(), in, out, plan, onnxprune.Options{}, verify.Options{})
		if err != nil || v.Status != "passed" || !strings.Contains(strings.Join(v.Notes, " "), "repaired") {
			t.Errorf("verifying the repaired model: %+v, %v", v, err)
		}
		if files[i], err = os.ReadFile(out); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			spoilt := bytes.Clone(files[0])
			spoilt[len(spoilt)/2] ^= 1
			bad := filepath.Join(dir, "bad.onnx")
			if err := os.WriteFile(bad, spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := onnxprune.Verify(context.Background(), in, bad, plan, onnxprune.Options{}, verify.Options{}); err == nil {
				t.Error("a repaired model with one other bit passes for proven")
			}
		}
	}
	if !bytes.Equal(files[0], files[1]) {
		t.Error("on one and two threads the files differ")
	}
}

// Statistics are taken up from their file, and those of another model are refused.
func TestStatisticsAreKeptInAFile(t *testing.T) {
	in, calibration := detector(t)
	calibration.Limit, calibration.Statistics = 4, filepath.Join(t.TempDir(), "statistics")
	prune := func(in string) (*onnxprune.Report, []byte, error) {
		out := filepath.Join(t.TempDir(), "out.onnx")
		opt := onnxprune.PruneOptions{Calibration: calibration, Repair: onnxprune.RepairLeastSquares, Verify: onnxprune.VerifyOff}
		opt.Params, opt.Ratios = []string{"yolo_block.0.0.0.conv.weights"}, []float64{0.5}
		r, err := onnxprune.Prune(context.Background(), in, out, opt)
		b, _ := os.ReadFile(out)
		return r, b, err
	}
	first, a, err := prune(in)
	if err != nil || first.Calibration.FromFile {
		t.Fatalf("%+v, %v", first, err)
	}
	second, b, err := prune(in)
	if err != nil || !second.Calibration.FromFile || !bytes.Equal(a, b) {
		t.Errorf("from the file: %v, %+v; equal: %v", err, second, bytes.Equal(a, b))
	}
	other := filepath.Join(t.TempDir(), "other.onnx")
	if err := os.WriteFile(other, append(testmodels.DemoModel(), 0x22, 1, '1'), 0o600); err != nil { // with a domain
		t.Fatal(err)
	}
	if _, _, err := prune(other); onnxprune.ExitCode(err) != onnxprune.ExitRefused || !strings.Contains(err.Error(), "another model") {
		t.Errorf("with the statistics of another model: %v", err)
	}
	if err := os.WriteFile(calibration.Statistics, []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := prune(in); onnxprune.ExitCode(err) != onnxprune.ExitUnreadable {
		t.Errorf("with a file that holds no statistics: %v", err)
	}
}

func TestContradictionsOfARecoveryAreRefused(t *testing.T) {
	in, _ := detector(t)
	for what, set := range map[string]func(o *onnxprune.PruneOptions){
		"an unknown repair": func(o *onnxprune.PruneOptions) { o.Repair = "magic" },
		"a target and ratios": func(o *onnxprune.PruneOptions) {
			o.Budget, o.Params, o.Ratios = onnxprune.Budget{Unit: allocation.MACs, Target: 0.5}, []string{"*"}, []float64{0.5}
		},
		"a target by another score": func(o *onnxprune.PruneOptions) {
			o.Budget, o.Criterion = onnxprune.Budget{Unit: allocation.MACs, Target: 0.5}, "l1_norm"
		},
		"a target of nothing": func(o *onnxprune.PruneOptions) { o.Budget = onnxprune.Budget{Unit: allocation.MACs} },
		"a folder without pictures": func(o *onnxprune.PruneOptions) {
			o.Budget, o.Calibration.Path = onnxprune.Budget{Unit: allocation.MACs, Target: 0.5}, t.TempDir()
		},
		"a folder that is not there": func(o *onnxprune.PruneOptions) {
			o.Budget, o.Calibration.Path = onnxprune.Budget{Unit: allocation.MACs, Target: 0.5}, "nowhere"
		},
	} {
		o := onnxprune.PruneOptions{DryRun: true}
		set(&o)
		_, err := onnxprune.Prune(context.Background(), in, "", o)
		if code := onnxprune.ExitCode(err); code != onnxprune.ExitUsage && code != onnxprune.ExitUnreadable {
			t.Errorf("%s: %v", what, err)
		}
	}
	for text, want := range map[string]float64{"0.7": 0.7, "70%": 0.7, "850M": 850e6, "3.5G": 3.5e9, "12000": 12000} {
		b, err := onnxprune.ParseBudget(allocation.MACs, text)
		if err != nil || b.Target < want*0.999999 || b.Target > want*1.000001 {
			t.Errorf("%s: %v, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "much", "-1", "0", "120%", "NaN", "1e40"} {
		if b, err := onnxprune.ParseBudget(allocation.MACs, text); err == nil {
			t.Errorf("%q: %v", text, b)
		}
	}
}
