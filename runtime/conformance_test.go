package runtime_test

// The ONNX project's own backend tests, on both engines: those of ONNX 1.22, and those of 1.12 that Debian's package
// libonnx-testdata installs. Every case passes, or stands in a list in testdata as refused, with the reason.
// ONNXPRUNE_CONFORMANCE names another archive or folder of the same layout, which is run without a list.

import (
	"archive/zip"
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxprune/onnxio"
	"onnxprune/runtime"
	"onnxprune/runtime/value"
)

// The suite's own tolerances (onnx.backend.test.runner).
const (
	suiteRelative = 1e-3
	suiteAbsolute = 1e-7
)

// corpusFolder returns the folder of the test material.
func corpusFolder(t testing.TB) string {
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "shared")
	}
	if _, err := os.Stat(root); err != nil {
		t.Skipf("the test material is not here; set ONNXPRUNE_CORPUS to its folder: %v", err)
	}
	return root
}

func TestConformance(t *testing.T) {
	if file := os.Getenv("ONNXPRUNE_CONFORMANCE"); file != "" {
		conformance(t, file, "")
		return
	}
	conformance(t, filepath.Join(corpusFolder(t), "conformance", "onnx-1.22-backend-tests.zip"), filepath.Join("testdata", "conformance.txt"))
}

func TestConformanceToTheCasesThatDebianInstalls(t *testing.T) {
	folder := filepath.Join("/usr", "share", "libonnx-testdata", "data")
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("ONNX 1.12's cases are not here; Debian's package libonnx-testdata installs them: %v", err)
	}
	conformance(t, folder, filepath.Join("testdata", "conformance-1.12.txt"))
}

// conformance runs all cases of an archive or folder. manifest lists those that are refused; "" for no list.
func conformance(t *testing.T, file, manifest string) {
	var listed map[string]string
	if manifest != "" {
		var err error
		if listed, err = readManifest(manifest); err != nil {
			t.Fatal(err)
		}
	}
	s, err := openSuite(file)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	passed, refused, failed := 0, 0, 0
	for _, name := range s.cases {
		reason, isListed := listed[name]
		err := s.run(name)
		switch {
		case err == nil && isListed:
			failed++
			t.Errorf("%s passes, but %s lists it as refused (%s)", name, manifest, reason)
		case err == nil:
			passed++
		case isListed:
			refused++
			if os.Getenv("ONNXPRUNE_CONFORMANCE_REASONS") != "" {
				t.Logf("%s refused: %v", name, err)
			}
		case listed == nil && isRefusal(err):
			refused++
			t.Logf("%s refused: %v", name, err)
		default:
			failed++
			t.Errorf("%s failed: %v", name, err)
		}
		delete(listed, name)
	}
	for name := range listed {
		t.Errorf("%s lists %s, which is not among the cases", manifest, name)
	}
	t.Logf("conformance: %d passed, %d refused, %d failed", passed, refused, failed)
}

// isRefusal reports whether an error says that something is not supported, in place of a wrong result.
func isRefusal(err error) bool {
	return errors.As(err, new(*runtime.UnsupportedError))
}

// readManifest reads lines of the form "node/test_x refused: reason". Empty lines and lines that start with # are notes.
func readManifest(file string) (map[string]string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(string(b)))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, reason, ok := strings.Cut(line, " refused: ")
		if !ok || reason == "" {
			return nil, fmt.Errorf("%s: %q is not of the form \"case refused: reason\"", file, line)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%s lists %s twice", file, name)
		}
		out[name] = reason
	}
	return out, lines.Err()
}

// suite is an archive or folder of cases: folders with a model.onnx and test_data_set_N/{input,output}_K.pb.
type suite struct {
	files fs.FS
	close func() error
	cases []string
}

func openSuite(file string) (*suite, error) {
	s := &suite{files: os.DirFS(file), close: func() error { return nil }}
	if at, err := os.Stat(file); err != nil || !at.IsDir() {
		z, err := zip.OpenReader(file)
		if err != nil {
			return nil, err
		}
		s.files, s.close = z, z.Close
	}
	err := fs.WalkDir(s.files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "model.onnx" {
			s.cases = append(s.cases, path.Dir(name))
		}
		return err
	})
	slices.Sort(s.cases)
	return s, err
}

func (s *suite) read(name string) ([]byte, error) { return fs.ReadFile(s.files, name) }

// run runs one case with all of its data sets, on both engines.
func (s *suite) run(name string) error {
	b, err := s.read(name + "/model.onnx")
	if err != nil {
		return err
	}
	m, err := onnxio.Parse(b)
	if err != nil {
		return err
	}
	for _, engine := range []runtime.Engine{runtime.Walk, runtime.TapeMachine} {
		if err := s.runOn(name, m, engine); err != nil {
			return fmt.Errorf("%v: %w", engine, err)
		}
	}
	return nil
}

func (s *suite) runOn(name string, m *onnxio.Model, engine runtime.Engine) error {
	session, err := runtime.Compile(m, runtime.Options{Engine: engine})
	if err != nil {
		return err
	}
	defer session.Close()
	for set := 0; ; set++ {
		folder := fmt.Sprintf("%s/test_data_set_%d", name, set)
		want, err := s.values(folder, "output", session.Outputs())
		if err != nil {
			return err
		}
		if len(want) == 0 {
			if set == 0 {
				return errors.New("the case holds no outputs")
			}
			return nil
		}
		in, err := s.values(folder, "input", session.Inputs())
		if err != nil {
			return err
		}
		got, err := session.Run(context.Background(), in)
		if err != nil {
			return fmt.Errorf("data set %d: %w", set, err)
		}
		for output, w := range want {
			if err := equal(got[output], w); err != nil {
				return fmt.Errorf("data set %d: output %q: %w", set, output, err)
			}
		}
	}
}

// values reads input_K.pb or output_K.pb, by the position of the declared values.
func (s *suite) values(folder, kind string, infos []*onnxio.ValueInfo) (map[string]value.Value, error) {
	out := map[string]value.Value{}
	for i, info := range infos {
		b, err := s.read(fmt.Sprintf("%s/%s_%d.pb", folder, kind, i))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(b, info.Type)
		if err != nil {
			return nil, fmt.Errorf("%s_%d.pb: %w", kind, i, err)
		}
		out[info.Name] = v
	}
	return out, nil
}

// decodeValue reads a TensorProto, SequenceProto or OptionalProto, whichever the declared type calls for.
func decodeValue(b []byte, want *onnxio.Type) (value.Value, error) {
	kind := onnxio.KindTensor
	if want != nil {
		kind = want.Kind
	}
	switch kind {
	case onnxio.KindSequence:
		seq := &value.Sequence{Elem: want.Of}
		return seq, eachField(b, func(num protowire.Number, v []byte) error {
			if (num != 3 && num != 5 && num != 7) || v == nil { // tensor, sequence and optional values
				return nil
			}
			it, err := decodeValue(v, want.Of)
			seq.Items = append(seq.Items, it)
			return err
		})
	case onnxio.KindOptional:
		opt := &value.Optional{Elem: want.Of}
		return opt, eachField(b, func(num protowire.Number, v []byte) error {
			if (num != 3 && num != 5 && num != 7) || v == nil {
				return nil
			}
			var err error
			opt.Value, err = decodeValue(v, want.Of)
			return err
		})
	}
	t, err := parseTensor(b)
	if err != nil {
		return nil, err
	}
	if want != nil && want.Elem == onnxio.BFloat16 && t.DataType == onnxio.Uint16 {
		t.DataType = onnxio.BFloat16 // the suite's writer had no such type before ONNX 1.13
	}
	return value.FromProto(t)
}

// eachField calls f for the fields of a message; v is nil for those that are not length-delimited.
func eachField(b []byte, f func(num protowire.Number, v []byte) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		var v []byte
		if typ == protowire.BytesType {
			if v, _ = protowire.ConsumeBytes(b[n:]); v == nil {
				v = []byte{}
			}
		}
		if err := f(num, v); err != nil {
			return err
		}
		b = b[n+size:]
	}
	return nil
}

// parseTensor reads a lone TensorProto by giving it to onnxio as the only weight of a model.
func parseTensor(b []byte) (*onnxio.Tensor, error) {
	graph := protowire.AppendBytes(protowire.AppendTag(nil, 5, protowire.BytesType), b)
	model := protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), graph)
	opset := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)
	model = protowire.AppendBytes(protowire.AppendTag(model, 8, protowire.BytesType), opset)
	m, err := onnxio.Parse(model)
	if err != nil {
		return nil, err
	}
	return m.Graph.Initializers[0], nil
}

// equal compares type, shape and elements as the suite does.
func equal(got, want value.Value) error {
	if got == nil {
		return errors.New("there is none")
	}
	switch w := want.(type) {
	case *value.Sequence:
		g, ok := got.(*value.Sequence)
		if !ok || len(g.Items) != len(w.Items) {
			return fmt.Errorf("it is %v, want %v", got, want)
		}
		for i := range w.Items {
			if err := equal(g.Items[i], w.Items[i]); err != nil {
				return fmt.Errorf("element %d: %w", i, err)
			}
		}
		return nil
	case *value.Optional:
		g, ok := got.(*value.Optional)
		if !ok || (g.Value == nil) != (w.Value == nil) {
			return fmt.Errorf("it is %v, want %v", got, want)
		}
		if w.Value == nil {
			return nil
		}
		return equal(g.Value, w.Value)
	}
	g, ok := got.(*value.Tensor)
	w := want.(*value.Tensor)
	if !ok || g.Type != w.Type || !slices.Equal(g.Shape, w.Shape) {
		return fmt.Errorf("it is %v, want %v", got, want)
	}
	return equalElements(g, w)
}

func equalElements(g, w *value.Tensor) error {
	if ws, ok := w.Data.([]string); ok {
		if gs := g.Data.([]string); !slices.Equal(gs, ws) {
			return fmt.Errorf("it is %q, want %q", gs, ws)
		}
		return nil
	}
	if gs, ok := g.Data.([]complex64); ok {
		return equalNumbers(parts(gs), parts(w.Data.([]complex64)))
	}
	if gs, ok := g.Data.([]complex128); ok {
		return equalNumbers(parts(gs), parts(w.Data.([]complex128)))
	}
	gs, ok := g.Floats()
	if !ok { // the small floats: bit by bit
		if !slices.Equal(g.Data.([]uint8), w.Data.([]uint8)) {
			return fmt.Errorf("it is %v, want %v", g.Data, w.Data)
		}
		return nil
	}
	ws, _ := w.Floats()
	return equalNumbers(gs, ws)
}

func parts[T complex64 | complex128](v []T) []float64 {
	var out []float64
	for _, c := range v {
		out = append(out, real(complex128(c)), imag(complex128(c)))
	}
	return out
}

func equalNumbers(got, want []float64) error {
	wrong, first := 0, -1
	for i, w := range want {
		g := got[i]
		same := g == w || math.IsNaN(g) && math.IsNaN(w) || math.Abs(g-w) <= suiteAbsolute+suiteRelative*math.Abs(w)
		if !same {
			if wrong++; first < 0 {
				first = i
			}
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d elements differ; element %d is %v, want %v", wrong, len(want), first, got[first], want[first])
	}
	return nil
}
