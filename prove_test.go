package onnxprune_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/onnxio"
	"onnxprune/runtime/verify"
)

// A detector whose class scores are all wrong is refused in words that name the score heads, and before anything is run.
func TestForgedScoresOfADetectorAreRefusedWithoutARun(t *testing.T) {
	in := unpacked(t, "yolov8n_deq32.onnx.gz")
	dir := t.TempDir()
	out, plan := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "plan.json")
	opt := onnxprune.PruneOptions{Verify: onnxprune.VerifyOff, PlanOut: plan}
	opt.Params, opt.Ratios = []string{"model.4.m.1.cv1.conv.weight_deq"}, []float64{0.2}
	if _, err := onnxprune.Prune(t.Context(), in, out, opt); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what  string
		forge func(t *testing.T, w *onnxio.Tensor, raw []byte)
		want  string
	}{
		{"every score is next to nothing", func(t *testing.T, w *onnxio.Tensor, raw []byte) {
			if len(w.Dims) == 1 {
				for i := range w.Len() {
					binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(-30))
				}
			}
		}, `the tensor "model.22.cv3.0.2.weight_bias_deq" is not what the original's is cut to: element [0] is -30, and should be `},
		{"the classes in reverse order", func(t *testing.T, w *onnxio.Tensor, raw []byte) {
			n := len(raw) / int(w.Dims[0])
			var rows [][]byte
			for row := range slices.Chunk(bytes.Clone(raw), n) {
				rows = append(rows, row)
			}
			slices.Reverse(rows)
			copy(raw, slices.Concat(rows...))
		}, `the tensor "model.22.cv3.0.2.weight_deq" is not what the original's is cut to: element [0 0 0 0] is `},
	} {
		t.Run(c.what, func(t *testing.T) {
			m, err := onnxio.Open(out)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			heads := 0
			for _, w := range m.Graph.Initializers {
				if !strings.HasPrefix(w.Name, "model.22.cv3.") || strings.Count(w.Name, ".") != 5 || w.DataType != onnxio.Float {
					continue
				}
				raw, err := w.Raw()
				if err != nil {
					t.Fatal(err)
				}
				raw = bytes.Clone(raw)
				c.forge(t, w, raw)
				if err := w.SetRaw(w.Dims, raw); err != nil {
					t.Fatal(err)
				}
				heads++
			}
			if heads != 6 {
				t.Fatalf("%d weights and biases of score heads, want 6", heads)
			}
			forged := filepath.Join(t.TempDir(), "forged.onnx")
			if err := m.Save(forged); err != nil {
				t.Fatal(err)
			}
			ran := false
			_, err = onnxprune.Verify(t.Context(), in, forged, plan, onnxprune.Options{}, verify.Options{Progress: func(int, int, string) { ran = true }})
			if onnxprune.ExitCode(err) != onnxprune.ExitUnproven || !strings.Contains(err.Error(), c.want) {
				t.Errorf("exit code %d, %v; want %d and %q", onnxprune.ExitCode(err), err, onnxprune.ExitUnproven, c.want)
			}
			if ran {
				t.Error("something was run before the forgery was refused")
			}
		})
	}
}

// unpacked writes a packed model of the corpus into the test's folder.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "shared")
	}
	in, err := os.Open(filepath.Join(dir, "models", "trained", name))
	if err != nil {
		t.Skipf("%s is not here; set ONNXPRUNE_CORPUS to the folder of the shared models", name)
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
	path := filepath.Join(t.TempDir(), strings.TrimSuffix(name, ".gz"))
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}
