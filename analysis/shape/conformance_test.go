package shape_test

import (
	"archive/zip"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// The conformance suite of ONNX gives, for every operator, models with the outputs that are right. Each is inferred twice, with
// what the file declares of its outputs taken away: once from the declared inputs, and once with the
// inputs' data as constants, so that every computed element is held against the expected one.

// suite reads the cases of the suite, or skips.
func suite(t *testing.T) map[string]map[string][]byte {
	corpus(t)
	cases := suiteFiles(t)
	if len(cases) == 0 {
		t.Skip("the conformance suite is not here")
	}
	return cases
}

// suiteFiles reads the cases of the suite: by name, the files of each; none where the suite is absent.
func suiteFiles(t testing.TB) map[string]map[string][]byte {
	dir := os.Getenv("ONNXPRUNE_CORPUS")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "conformance", "*.zip"))
	if len(paths) == 0 {
		return nil
	}
	z, err := zip.OpenReader(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	cases := map[string]map[string][]byte{}
	for _, f := range z.File {
		dir, base := filepath.Split(f.Name)
		name, set, _ := strings.Cut(strings.TrimSuffix(dir, "/"), "/test_data_set_")
		if f.FileInfo().IsDir() || set != "" && set != "0" || !strings.HasSuffix(base, ".pb") && base != "model.onnx" {
			continue
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		if cases[name] == nil {
			cases[name] = map[string][]byte{}
		}
		cases[name][base] = b
	}
	return cases
}

// tensorOf decodes a TensorProto by making it the initializer of a model.
func tensorOf(t *testing.T, pb []byte) *onnxio.Tensor {
	msg := func(num protowire.Number, body []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), body)
	}
	m, err := onnxio.Parse(append(msg(7, msg(5, pb)), msg(8, []byte{0x10, 13})...))
	if err != nil {
		t.Fatal(err)
	}
	return m.Graph.Initializers[0]
}

// tensorsOf returns the tensors in a data file: one, those of a sequence, or that of an optional.
func tensorsOf(t *testing.T, pb []byte, typ *onnxio.Type) []*onnxio.Tensor {
	switch typ.Kind {
	case onnxio.KindTensor:
		return []*onnxio.Tensor{tensorOf(t, pb)}
	case onnxio.KindSequence:
		var out []*onnxio.Tensor
		each(pb, func(num protowire.Number, b []byte) {
			if num == 3 {
				out = append(out, tensorsOf(t, b, typ.Of)...)
			}
		})
		return out
	case onnxio.KindOptional:
		var out []*onnxio.Tensor
		each(pb, func(num protowire.Number, b []byte) {
			if num == 3 || num == 5 {
				out = append(out, tensorsOf(t, b, typ.Of)...)
			}
		})
		return out
	}
	return nil
}

// each calls f for every length-delimited field of a message.
func each(b []byte, f func(protowire.Number, []byte)) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return
		}
		b = b[n:]
		if typ == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return
			}
			f(num, v)
			b = b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return
		}
		b = b[n:]
	}
}

// linked builds the graph of a case without what the file declares of anything but inputs.
func linked(t *testing.T, files map[string][]byte) *graph.Graph {
	m, err := onnxio.Parse(files["model.onnx"])
	if err != nil {
		t.Fatal(err)
	}
	g, err := graph.Build(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range g.Values {
		if !v.Input || v.InBody() {
			v.Declared = nil
		}
	}
	return g
}

func TestConformanceOutputsAreConsistent(t *testing.T) {
	outputs, ranks, symbols, numbers := 0, 0, 0, 0
	for name, files := range suite(t) {
		t.Run(name, func(t *testing.T) {
			for _, constants := range []bool{false, true} {
				g := linked(t, files)
				if constants {
					bindInputs(t, g, files)
				}
				r, err := shape.Infer(g, shape.Options{})
				if err != nil {
					t.Fatal(err)
				}
				for k, v := range g.Main.Outputs {
					pb, ok := files["output_"+itoa(k)+".pb"]
					if !ok {
						continue
					}
					in := r.Of(v)
					typ := g.Model.Graph.Outputs[k].Type
					for _, want := range tensorsOf(t, pb, typ) {
						outputs++
						got := elementOf(in, typ)
						if !got.Known {
							ranks++
							if !constants {
								t.Logf("rank of output %d unknown: %v", k, in)
							}
							continue
						}
						s := checkOutput(t, k, got, want, constants)
						if symbols += s; s > 0 && constants && typ.Kind == onnxio.KindTensor {
							t.Logf("symbolic output %d: %v", k, in)
						}
						numbers += checkNumbers(t, k, got, want)
					}
				}
			}
		})
	}
	t.Logf("%d outputs: %d of unknown rank, %d symbolic extents; %d elements compared", outputs, ranks, symbols, numbers)
}

func itoa(n int) string { return string(rune('0' + n)) }

func elementOf(in *shape.Info, typ *onnxio.Type) *shape.Info {
	for ; typ.Kind == onnxio.KindSequence || typ.Kind == onnxio.KindOptional; typ = typ.Of {
		if in.Kind != typ.Kind || in.Of == nil {
			break
		}
		in = in.Of
	}
	return in
}

// bindInputs makes the inputs' data constants of the model.
func bindInputs(t *testing.T, g *graph.Graph, files map[string][]byte) {
	k := 0
	for _, v := range g.Main.Inputs {
		if v.Constant() {
			continue
		}
		if pb, ok := files["input_"+itoa(k)+".pb"]; ok && v.Declared.Kind == onnxio.KindTensor {
			v.Tensor = tensorOf(t, pb)
		}
		k++
	}
}

// checkOutput compares type and fixed extents, and counts the symbolic ones.
func checkOutput(t *testing.T, k int, got *shape.Info, want *onnxio.Tensor, constants bool) int {
	if got.Elem != want.DataType {
		t.Errorf("output %d (inputs constant: %v): inferred %v, expected %v", k, constants, got, want.DataType)
	}
	if len(got.Dims) != len(want.Dims) {
		t.Errorf("output %d (inputs constant: %v): inferred %v, expected %v", k, constants, got, want.Dims)
		return 0
	}
	symbols := 0
	for i, d := range got.Dims {
		if n, ok := d.Const(); !ok {
			symbols++
		} else if n != want.Dims[i] {
			t.Errorf("output %d (inputs constant: %v): inferred %v, expected %v", k, constants, got, want.Dims)
		}
	}
	return symbols
}

// checkNumbers compares the elements that are known with the expected ones, and counts them.
func checkNumbers(t *testing.T, k int, got *shape.Info, want *onnxio.Tensor) int {
	if got.Nums == nil {
		return 0
	}
	if int64(len(got.Nums)) != want.Len() {
		t.Errorf("output %d: %d elements inferred, %d expected", k, len(got.Nums), want.Len())
		return 0
	}
	expected := make([]float64, want.Len())
	if want.DataType.IsFloat() {
		fs, err := want.Float32s()
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range fs {
			expected[i] = float64(f)
		}
	} else {
		vs, err := want.Ints()
		if err != nil {
			return 0
		}
		for i, v := range vs {
			expected[i] = float64(v)
		}
	}
	count := 0
	for i, n := range got.Nums {
		f, ok := n.Float()
		if !ok {
			continue
		}
		count++
		e := expected[i]
		if f != e && !(math.IsNaN(f) && math.IsNaN(e)) && math.Abs(f-e) > 1e-7+1e-3*math.Abs(e) {
			t.Errorf("output %d, element %d: computed %v, expected %v", k, i, f, e)
			break
		}
	}
	return count
}
