package main

// What the scripts cannot: models of the corpus against ONNX Runtime, the JSON document, and a batch that is interrupted.

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"onnxprune"
	"onnxprune/onnxio"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// The scripts in testdata/run have three commands beside those of TestScripts:
//
//	picture FILE W H   write a picture
//	array FILE         write x.npy of the scripts: [[-1, 2], [-3, 4]]
//	bytes FILE N       check a file's length
func TestRunScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "run"),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"model": runScriptModel, "exits": exits, "picture": writePicture, "array": writeNumbers, "bytes": checkBytes,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("NO_COLOR", "1")
			return nil
		},
	})
}

// runScriptModel adds a model with an intermediate value, and one with an operator that does not exist.
func runScriptModel(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 2 && detectors[args[0]] != nil {
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), detectors[args[0]](), 0o666))
		return
	}
	m := testmodels.New(17)
	x := m.Input("x", onnxio.Float, 2, 2)
	switch {
	case len(args) == 2 && args[0] == "relu":
		m.Named("copy").NodeTo("Identity", []string{x}, []string{"half"})
		m.Named("last").NodeTo("Relu", []string{"half"}, []string{"y"})
	case len(args) == 2 && args[0] == "unknown":
		m.Named("strange").NodeTo("Frobnicate", []string{x}, []string{"half"})
		m.Named("last").NodeTo("Relu", []string{"half"}, []string{"y"})
	default:
		writeModel(ts, neg, args)
		return
	}
	m.Output("y", onnxio.Float, 2, 2)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), m.Bytes(), 0o666))
}

// detectors find the same in every picture of an input of 32 x 32.
var detectors = map[string]func() []byte{
	"detector": func() []byte { // rows of corners, score and class, as ultralytics exports them
		b := testmodels.New(17)
		b.Output(found(b, "output0", []int64{1, 2, 6}, 4, 12, 20, 20, .75, 1, 0, 8, 8, 16, .25, 0), onnxio.Float, 1, 2, 6)
		m := b.Model()
		for key, v := range map[string]string{"author": "Ultralytics", "task": "detect", "end2end": "True", "imgsz": "[32, 32]", "stride": "32", "names": "{0: 'cat', 1: 'dog'}"} {
			m.SetMetadata(key, v)
		}
		return m.Bytes()
	},
	"rows": func() []byte { // boxes and scores that say nothing of themselves
		b := testmodels.New(17)
		b.Output(found(b, "where", []int64{1, 2, 4}, 12, 16, 16, 8, 10, 10, 4, 4), onnxio.Float, 1, 2, 4)
		b.Output(found(b, "how", []int64{1, 2, 3}, 0, .1, .8, .1, .2, 0), onnxio.Float, 1, 2, 3)
		return b.Model().Bytes()
	},
	"classes": func() []byte {
		b := testmodels.New(17)
		b.Output(found(b, "scores", []int64{1, 3}, 1, 2, 3), onnxio.Float, 1, 3)
		return b.Model().Bytes()
	},
}

// found gives numbers that no picture changes.
func found(b *testmodels.Builder, name string, shape []int64, numbers ...float32) string {
	images := "images"
	if len(b.Graph().Inputs) == 0 {
		b.Input(images, onnxio.Float, 1, 3, 32, 32)
	}
	var dims []int
	for _, d := range shape {
		dims = append(dims, int(d))
	}
	zero := b.Tensor(onnxio.NewTensor(name+".zero", onnxio.Float, nil, make([]byte, 4)))
	constant := b.Tensor(onnxio.NewTensor(name+".numbers", onnxio.Float, shape, value.From(numbers, dims...).Raw()))
	b.NodeTo("Add", []string{constant, b.Mul(b.Node("ReduceMean", []string{images}, testmodels.Attrs{"keepdims": 0}), zero)}, []string{name})
	return name
}

func writePicture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: picture FILE W H")
	}
	w, err1 := strconv.Atoi(args[1])
	h, err2 := strconv.Atoi(args[2])
	ts.Check(errors.Join(err1, err2))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), gradient(w, h), 0o666))
}

// writeNumbers writes the bytes that numpy.save gives for float32 numbers.
func writeNumbers(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: array FILE")
	}
	header := "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }"
	header += strings.Repeat(" ", 128-10-1-len(header)) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), 0)
	b = append(b, header...)
	for _, v := range []float32{-1, 2, -3, 4} {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o666))
}

func checkBytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bytes FILE N")
	}
	if n := fmt.Sprint(len(ts.ReadFile(args[0]))); n != args[1] {
		ts.Fatalf("%s has %s bytes, want %s", args[0], n, args[1])
	}
}

// gradient is a picture whose every pixel is another.
func gradient(w, h int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.Set(x, y, color.RGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(x * y), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// runCorpus lists models whose outputs do not hang on a selection, and which inputs show pictures.
var runCorpus = []string{
	"trained/fastestdet.onnx", "trained/ultraface_rfb_320_nopost.onnx", "trained/ultraface_slim_320.onnx", "trained/mnist_8_cntk.onnx", "trained/superres_espcn_core.onnx",
	"trained/yolox_nano_416.onnx", "trained/silero_vad_v5.onnx", "trained/lstr_360x640.onnx", "encodings/float_data.onnx", "control-flow/loop_if_nested.onnx", "control-flow/roi_loop.onnx",
}

func TestRunWritesWhatONNXRuntimeComputes(t *testing.T) {
	library := oracle(t)
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("the corpus is not there: %v; ONNXPRUNE_CORPUS names its folder", err)
	}
	for _, name := range runCorpus {
		t.Run(name, func(t *testing.T) {
			path, dir := filepath.Join(root, "models", filepath.FromSlash(name)), t.TempDir()
			m, err := onnxio.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			ins, err := feed.Make(m, feed.Options{Seed: 7})
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"run", path, "--output", filepath.Join(dir, "out"), "--json"}
			for _, in := range ins {
				file := filepath.Join(dir, in.Name+".npy")
				if err := feed.Write(file, in.Name, in.Value.(*value.Tensor)); err != nil {
					t.Fatal(err)
				}
				args = append(args, "--input", in.Name+"="+file)
			}
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), args, &stdout, &stderr); code != 0 {
				t.Fatalf("exit code %d: %s", code, stderr.String())
			}
			var report onnxprune.RunReport
			if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
				t.Fatal(err)
			}
			want := oracleRun(t, library, path, ins)
			if len(report.Outputs) != len(want) {
				t.Errorf("%d outputs, want %d", len(report.Outputs), len(want))
			}
			for _, o := range report.Outputs {
				got, err := feed.ReadNPY(filepath.Join(report.Folder, o.File))
				if err != nil {
					t.Fatal(err)
				}
				equal(t, o, got, want[o.Name])
			}
		})
	}
}

// equal allows a thousandth of the output's range, and compares the figures that the report gives.
func equal(t *testing.T, o onnxprune.RunOutput, got, want *value.Tensor) {
	t.Helper()
	if want == nil || got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		t.Errorf("output %q is %v, want %v", o.Name, got, want)
		return
	}
	gs, _ := got.Floats()
	ws, _ := want.Floats()
	if len(ws) == 0 {
		return
	}
	low, high, sum := slices.Min(ws), slices.Max(ws), 0.0
	within := func(what string, g, w float64) {
		if !(math.Abs(g-w) <= 1e-3*(high-low)+1e-6) {
			t.Errorf("output %q: %s is %v, want %v, range %v", o.Name, what, g, w, high-low)
		}
	}
	for i, w := range ws {
		sum += w
		if within("an element", gs[i], w); t.Failed() {
			return
		}
	}
	within("the least", *o.Min, low)
	within("the greatest", *o.Max, high)
	within("the mean", *o.Mean, sum/float64(len(ws)))
}

func oracle(t *testing.T) *onnxruntime.Library {
	t.Helper()
	path, err := onnxruntime.Find()
	if errors.Is(err, onnxruntime.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	library, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return library
}

func oracleRun(t *testing.T, library *onnxruntime.Library, path string, ins []feed.Input) map[string]*value.Tensor {
	t.Helper()
	s, err := library.NewSession(path, onnxruntime.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	given := map[string]*onnxruntime.Tensor{}
	for _, in := range ins {
		x := in.Value.(*value.Tensor)
		shape := make([]int64, len(x.Shape))
		for i, d := range x.Shape {
			shape[i] = int64(d)
		}
		given[in.Name] = &onnxruntime.Tensor{Type: int32(x.Type), Shape: shape, Data: x.Raw()}
	}
	outs, err := s.Run(given, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*value.Tensor{}
	for name, o := range outs {
		if want[name], err = value.FromProto(onnxio.NewTensor(name, onnxio.DataType(o.Type), o.Shape, o.Data)); err != nil {
			t.Fatal(err)
		}
	}
	return want
}

// stopAfter cancels a context when a folder of outputs is there.
type stopAfter struct {
	context.Context
	folder string
}

func (s stopAfter) Err() error {
	if _, err := os.Stat(s.folder); err == nil {
		return context.Canceled
	}
	return s.Context.Err()
}

func TestAnInterruptedBatchKeepsWhatIsFinished(t *testing.T) {
	dir := t.TempDir()
	model, pictures, out := filepath.Join(dir, "six.onnx"), filepath.Join(dir, "pictures"), filepath.Join(dir, "out")
	err := errors.Join(testmodels.SixConvolutions().Save(model), os.Mkdir(pictures, 0o777))
	for _, name := range []string{"1.png", "2.png", "3.png"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(pictures, name), gradient(16, 16), 0o666))
	}
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	ctx := stopAfter{t.Context(), filepath.Join(out, "2.png", "batchnormalization_6.npy")}
	code := run(ctx, []string{"run", model, "--batch", pictures, "--output", out}, &stdout, &stderr)
	if want := "onnxprune: interrupted: 2 of 3 pictures are finished and kept\n"; code != onnxprune.ExitInterrupted || stderr.String() != want {
		t.Errorf("exit code %d, %q, want %d, %q", code, stderr.String(), onnxprune.ExitInterrupted, want)
	}
	files, err := filepath.Glob(filepath.Join(out, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, f := range files {
		files[i] = filepath.ToSlash(strings.TrimPrefix(f, out))
	}
	if want := []string{"/1.png/batchnormalization_6.npy", "/2.png/batchnormalization_6.npy"}; !slices.Equal(files, want) {
		t.Errorf("there are %v, want %v", files, want)
	}
}

func TestMemoryIsReadInBytesAndPowersOf1024(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1": 1, "10B": 10, "2k": 2048, "512M": 512 << 20, "1.5GiB": 3 << 29, "2GB": 2 << 30, "1T": 1 << 40} {
		if got, err := byteCount(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"0", "-1", "M", "NaN", "1e30", "2X"} {
		if got, err := byteCount(text); onnxprune.ExitCode(err) != onnxprune.ExitUsage {
			t.Errorf("%q: got %d, %v, want an error of usage", text, got, err)
		}
	}
}
