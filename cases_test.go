package onnxprune_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onnxprune"
	"onnxprune/onnxio"
	"onnxprune/testmodels"
)

// sharedCase returns the path of a case of the shared material.
func sharedCase(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "shared")
	}
	path := filepath.Join(dir, "cases", name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("the shared cases are not here; set ONNXPRUNE_CORPUS to their folder")
	}
	return path
}

func halved(t *testing.T, in string) (*onnxprune.Report, error) {
	t.Helper()
	return onnxprune.Prune(context.Background(), in, filepath.Join(t.TempDir(), "out.onnx"),
		onnxprune.PruneOptions{Request: onnxprune.Request{Params: []string{"*"}, Ratios: []float64{0.5}}})
}

func TestModelsThatAreHardToRunAreProven(t *testing.T) {
	for _, c := range []struct {
		file  string
		words []string // of the verdict and the inputs
	}{
		{"unknown_nms_plugin.onnx", []string{`what TRT.EfficientNMS_TRT "EfficientNMS_TRT_49" reads is equal (2 values)`,
			`TRT.EfficientNMS_TRT "EfficientNMS_TRT_49", which the runtime does not know, did not run: it is the same in both models`}},
		{"equal_dim_names_unequal_sizes.onnx", []string{"the model does not run at src 1x3x320x320, r1i 1x12x320x320", "1/2 of those of src was taken"}},
		{"squeeze_if_open_height.onnx", []string{"the model does not run at images 1x3x320x320", "height 16, width 160"}},
		{"input_extents_minus_one.onnx", []string{"the outputs are equal (1 output)"}},
		{"area_attention_open_size.onnx", []string{"makes it very large"}},
	} {
		t.Run(c.file, func(t *testing.T) {
			r, err := halved(t, sharedCase(t, c.file))
			if err != nil {
				t.Fatal(err)
			}
			text := r.Verification.Summary
			for _, in := range r.Verification.Comparison.Inputs {
				text += "\n" + in.From
			}
			for _, w := range append(c.words, "equal to the original with the removed channels silenced", "against the original itself") {
				if !strings.Contains(text, w) {
					t.Errorf("it does not say %q:\n%s", w, text)
				}
			}
			if r.Verification.Status != "passed" || r.Accuracy.Measured {
				t.Errorf("the status is %s, accuracy measured %v", r.Verification.Status, r.Accuracy.Measured)
			}
		})
	}
}

func TestASizeThatIsChosenIsNamedAsSuchWhenNoneFits(t *testing.T) {
	b := testmodels.New(17)
	x := b.Input("x", onnxio.Float, 1, 3, "h", "w")
	y := b.Conv("a", x, 3, 8, 1)
	y = b.Conv("b", b.Relu(y), 8, 4, 1)
	b.Output(b.Reshape(y, 1, 4, 7*11), onnxio.Float, 1, 4, 77)
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := b.Save(path); err != nil {
		t.Fatal(err)
	}
	_, err := halved(t, path)
	var failed *onnxprune.VerifyError
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want a proof that fails", err)
	}
	for _, w := range []string{"the model leaves the size of x open", "x 1x3x320x320 first", "--input-shape x:", "no output was kept"} {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("it does not say %q: %v", w, err)
		}
	}
	r, err := onnxprune.Prune(context.Background(), path, filepath.Join(t.TempDir(), "out.onnx"), onnxprune.PruneOptions{
		Request: onnxprune.Request{Params: []string{"a.weight"}, Ratios: []float64{0.5}},
		Options: onnxprune.Options{InputShapes: map[string][]int64{"x": {1, 3, 7, 11}}}})
	if err != nil || r.Verification.Status != "passed" {
		t.Errorf("at a size that fits: %v", err)
	}
}

// An operator that is not known stands between two stages: the first one can be proven, the second one can not be run.
func TestWhatIsBehindAnUnknownOperatorMustBeTheSame(t *testing.T) {
	b := testmodels.New(17)
	y := b.Conv("b", b.Relu(b.Conv("a", b.Input("x", onnxio.Float, 1, 3, 8, 8), 3, 8, 1)), 8, 4, 1)
	strange := b.Node("some.domain::Strange", []string{y})
	y = b.Conv("d", b.Relu(b.Conv("c", strange, 4, 8, 1)), 8, 4, 1)
	b.Output(y, onnxio.Float, 1, 4, 8, 8)
	m := b.Model()
	m.Graph.AddValueInfo(onnxio.NewValueInfo(strange, onnxio.TensorType(onnxio.Float, onnxio.Fixed(1), onnxio.Fixed(4), onnxio.Fixed(8), onnxio.Fixed(8))))
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	prune := func(name string) (*onnxprune.Report, error) {
		return onnxprune.Prune(context.Background(), path, filepath.Join(t.TempDir(), "out.onnx"),
			onnxprune.PruneOptions{Request: onnxprune.Request{Params: []string{name}, Ratios: []float64{0.5}}})
	}
	r, err := prune("a.weight")
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Verification.Comparison.Cut; c == nil || c.Behind != 3 || len(c.Nodes) != 1 {
		t.Errorf("what was not run is %+v, want one node and 3 behind it", c)
	}
	if _, err := prune("c.weight"); err == nil || !strings.Contains(err.Error(), "behind it the plan changes Conv") {
		t.Errorf("a cut behind it: got %v", err)
	}
}
