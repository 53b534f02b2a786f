package rewrite_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"onnxprune/analysis/plan"
	"onnxprune/analysis/selection"
	"onnxprune/onnxio"
	"onnxprune/rewrite"
)

// The same model and the same request give the same plan and the same file, byte for byte, every time.
func TestTheSameRequestGivesTheSameBytes(t *testing.T) {
	for _, path := range models(t) {
		if filepath.Base(filepath.Dir(path)) == "invalid" {
			continue
		}
		if at, err := os.Stat(path); testing.Short() && (err != nil || at.Size() > 8<<20) {
			continue // large models take their time to be written, and find nothing more
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			m, err := onnxio.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			first, firstPlan := half(t, m)
			again, againPlan := half(t, m)
			if firstPlan != againPlan {
				t.Fatal("the plans differ")
			}
			if !bytes.Equal(first, again) {
				t.Fatal("the files differ")
			}
		})
	}
}

// half removes half of all channels, and returns the model and the plan as they would be written.
func half(t *testing.T, m *onnxio.Model) ([]byte, string) {
	t.Helper()
	a, err := analysed(m)
	if err != nil {
		t.Fatal(err)
	}
	var wants []selection.Want
	for _, p := range a.Params {
		if p.Reason == nil {
			wants = append(wants, selection.Want{Param: p, Ratio: 0.5})
		}
	}
	c, err := selection.Select(a, wants, selection.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Build(a, c.Removed)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if err := p.Write(&text); err != nil {
		t.Fatal(err)
	}
	pruned, err := rewrite.Apply(m, p)
	if err != nil {
		t.Fatal(err)
	}
	return pruned.Bytes(), text.String()
}
