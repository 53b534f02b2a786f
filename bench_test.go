package onnxprune_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"onnxprune"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// The benchmarks run on Mask R-CNN with ResNet-50, a file of 144 MB. Prune and Copy side by side say how far a prune is from the
// ceiling, which is the writing of the output.

func BenchmarkOpen(b *testing.B) {
	path := saved(b, testmodels.MaskRCNNR50(testmodels.RCNNOptions{}))
	for b.Loop() {
		m, err := onnxio.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}

func BenchmarkAnalyze(b *testing.B) {
	m, err := onnxio.Open(saved(b, testmodels.MaskRCNNR50(testmodels.RCNNOptions{})))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := onnxprune.Analyze(m, onnxprune.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPrune(b *testing.B) {
	in := saved(b, testmodels.MaskRCNNR50(testmodels.RCNNOptions{}))
	opt := onnxprune.PruneOptions{Verify: onnxprune.VerifyOff}
	opt.Params, opt.Ratios = []string{"res4f_branch2b_weights", "res4f_branch2a_weights"}, []float64{0.2, 0.3}
	out := filepath.Join(b.TempDir(), "out.onnx")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := onnxprune.Prune(b.Context(), in, out, opt); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCopy copies the file as BenchmarkPrune writes its output: through this process, to a new file that is then renamed.
func BenchmarkCopy(b *testing.B) {
	in := saved(b, testmodels.MaskRCNNR50(testmodels.RCNNOptions{}))
	out := filepath.Join(b.TempDir(), "out.onnx")
	for b.Loop() {
		if err := copyFile(in, out); err != nil {
			b.Fatal(err)
		}
	}
}

// plainReader and plainWriter hide that both ends are files, or the system would share their blocks instead of copying.
type (
	plainReader struct{ io.Reader }
	plainWriter struct{ io.Writer }
)

func copyFile(in, out string) error {
	from, err := os.Open(in)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(out + ".tmp")
	if err != nil {
		return err
	}
	if _, err := io.CopyBuffer(plainWriter{to}, plainReader{from}, make([]byte, 1<<20)); err != nil {
		to.Close()
		return err
	}
	if err := to.Close(); err != nil {
		return err
	}
	return os.Rename(out+".tmp", out)
}
