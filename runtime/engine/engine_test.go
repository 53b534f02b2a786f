package engine_test

import (
	"context"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"onnxprune/onnxio"
	"onnxprune/runtime/engine"
	"onnxprune/runtime/feed"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/onnxruntime/serve"
	"onnxprune/runtime/value"
	"onnxprune/testmodels"
)

// The test is its own ortrun.
func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{"--serve"}) {
		os.Exit(serve.Main())
	}
	own, err := os.Executable()
	if err != nil {
		panic(err)
	}
	os.Setenv(engine.ProgramVariable, own)
	os.Exit(m.Run())
}

// kinds are the engines that are here.
func kinds(t *testing.T) []engine.Kind {
	list := []engine.Kind{engine.Embedded}
	if _, err := onnxruntime.Find(); errors.Is(err, onnxruntime.ErrNotFound) {
		t.Log("ONNX Runtime is not here: only the embedded runtime is tested")
		return list
	}
	return append(list, engine.ONNXRuntime)
}

func needONNXRuntime(t *testing.T) {
	if len(kinds(t)) < 2 {
		t.Skip("ONNX Runtime is not here")
	}
}

func write(t *testing.T, b []byte) string {
	path := filepath.Join(t.TempDir(), "model.onnx")
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, path string, k engine.Kind) engine.Session {
	t.Helper()
	s, err := engine.Open(path, engine.Options{Kind: k, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestEnginesAgree(t *testing.T) {
	path := write(t, testmodels.DemoModel())
	m, err := onnxio.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ins, err := feed.Make(m, feed.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]value.Value
	for _, k := range kinds(t) {
		s := open(t, path, k)
		if names := names(s.Inputs()); !slices.Equal(names, []string{"image", "im_size"}) {
			t.Errorf("%s: inputs are %v", k, names)
		}
		// Many at once.
		outs := make([]map[string]value.Value, 4)
		var wait sync.WaitGroup
		for i := range outs {
			wait.Go(func() {
				if outs[i], err = s.Run(t.Context(), feed.Values(ins)); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if t.Failed() {
			return
		}
		if want == nil {
			want = outs[0]
		}
		if len(outs[0]) != len(s.Outputs()) {
			t.Errorf("%s: %d outputs, want %d", k, len(outs[0]), len(s.Outputs()))
		}
		for _, out := range outs {
			for name := range maps.Keys(want) {
				a, _ := want[name].(*value.Tensor).Floats()
				b, _ := out[name].(*value.Tensor).Floats()
				if len(a) != len(b) {
					t.Fatalf("%s: %s has %d elements, want %d", k, name, len(b), len(a))
				}
				for i := range a {
					if math.Abs(a[i]-b[i]) > 1e-3*max(1, math.Abs(a[i])) {
						t.Fatalf("%s: %s[%d] is %v, want %v", k, name, i, b[i], a[i])
					}
				}
			}
		}
		if err := s.Prepare(t.Context(), feed.Values(ins)); err != nil {
			t.Fatal(err)
		}
		d, err := s.Time(t.Context())
		if err != nil || d <= 0 || d > time.Minute {
			t.Errorf("%s: timed %v, %v", k, d, err)
		}
		if m := s.Memory(); m.Peak < 1<<20 {
			t.Errorf("%s: peak memory is %+v", k, m)
		}
	}
}

func names(list []*onnxio.ValueInfo) (out []string) {
	for _, v := range list {
		out = append(out, v.Name)
	}
	return out
}

func TestStringsAndSequencesPassThePipe(t *testing.T) {
	needONNXRuntime(t)
	m := testmodels.New(17)
	x := m.Input("x", onnxio.String, 2, 2)
	m.Output(m.Node("Identity", []string{x}), onnxio.String, 2, 2)
	of := &onnxio.Type{Kind: onnxio.KindTensor, Elem: onnxio.String}
	parts := m.Node("SplitToSequence", []string{x}, testmodels.Attrs{"axis": 0})
	m.OutputType(parts, &onnxio.Type{Kind: onnxio.KindSequence, Of: of})
	s := open(t, write(t, m.Bytes()), engine.ONNXRuntime)
	in := value.From([]string{"a", "", "grüße", "d"}, 2, 2)
	out, err := s.Run(t.Context(), map[string]value.Value{"x": in})
	if err != nil {
		t.Fatal(err)
	}
	got := out[s.Outputs()[0].Name].(*value.Tensor)
	if !slices.Equal(got.Data.([]string), in.Data.([]string)) || !slices.Equal(got.Shape, []int{2, 2}) {
		t.Errorf("got %v %q", got.Shape, got.Data)
	}
	list := out[parts].(*value.Sequence).Items
	if len(list) != 2 || !slices.Equal(list[1].(*value.Tensor).Data.([]string), []string{"grüße", "d"}) {
		t.Errorf("the sequence is %v", list)
	}
}

func TestAModelInMemoryLeavesNoFiles(t *testing.T) {
	needONNXRuntime(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	m := testmodels.SixConvolutions().Model()
	s, err := engine.OpenModel(m, engine.Options{Kind: engine.ONNXRuntime})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ins, err := feed.Make(m, feed.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), feed.Values(ins)); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "onnxprune*")); len(left) > 0 { // the library leaves a file of its own
		t.Errorf("%s was left", left[0])
	}
}

func TestAWrongRunEndsNoSession(t *testing.T) {
	path := write(t, testmodels.SixConvolutions().Bytes())
	for _, k := range kinds(t) {
		s := open(t, path, k)
		if _, err := s.Run(t.Context(), map[string]value.Value{"image": value.From([]int64{1}, 1)}); err == nil {
			t.Errorf("%s: an input of a wrong type is no error", k)
		}
		if _, err := s.Run(t.Context(), map[string]value.Value{"image": value.New(onnxio.Float, 1, 3, 16, 16)}); err != nil {
			t.Errorf("%s: %v", k, err)
		}
	}
}

func TestACancelledRunIsOver(t *testing.T) {
	path := write(t, testmodels.SixConvolutions().Bytes())
	for _, k := range kinds(t) {
		s := open(t, path, k)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Run(ctx, map[string]value.Value{"image": value.New(onnxio.Float, 1, 3, 16, 16)}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error is %v", k, err)
		}
	}
}

func TestWhatIsMissingIsSaid(t *testing.T) {
	path := write(t, testmodels.SixConvolutions().Bytes())
	ort := engine.Options{Kind: engine.ONNXRuntime}
	t.Run("the library", func(t *testing.T) {
		t.Setenv(onnxruntime.PathVariable, filepath.Join(t.TempDir(), "absent.so"))
		says(t, path, ort, "absent.so: no such file")
		s, err := engine.Open(path, engine.Options{Kind: engine.Auto})
		if err != nil || s.Engine() != "the embedded runtime" {
			t.Errorf("auto gives %v, %v", s, err)
		}
	})
	t.Run("the program", func(t *testing.T) {
		t.Setenv(engine.ProgramVariable, filepath.Join(t.TempDir(), "absent"))
		says(t, path, ort, "there is no such program")
		t.Setenv(engine.ProgramVariable, "")
		t.Setenv("PATH", t.TempDir())
		says(t, path, ort, "build it with go install")
	})
	t.Run("a program that is another one", func(t *testing.T) {
		t.Setenv(engine.ProgramVariable, "false")
		says(t, path, ort, "the engine's process ended")
	})
	if _, err := engine.Open(path, engine.Options{Kind: "tensorrt"}); err == nil || !strings.Contains(err.Error(), `engine "tensorrt" is not known`) {
		t.Errorf("error is %v", err)
	}
}

func says(t *testing.T, path string, opt engine.Options, want string) {
	t.Helper()
	_, err := engine.Open(path, opt)
	var missing *engine.NotFoundError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

func TestAModelThatTheEngineCanNotRunIsAnErrorOfTheModel(t *testing.T) {
	m := testmodels.New(17)
	x := m.Input("x", onnxio.Float, 1, 4)
	m.Output(m.Node("NoSuchOperator", []string{x}), onnxio.Float, 1, 4)
	path := write(t, m.Bytes())
	for _, k := range kinds(t) {
		_, err := engine.Open(path, engine.Options{Kind: k})
		var model *engine.ModelError
		if !errors.As(err, &model) || !strings.Contains(err.Error(), "NoSuchOperator") {
			t.Errorf("%s: error is %v", k, err)
		}
	}
}
