// Operator cases of ONNX's backend suite, run on ONNX Runtime: what the binding brings in and out is compared with
// what the suite expects. The cases are chosen for the binding's sake: every way in which a value crosses the border.

package onnxruntime

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// openLibrary opens ONNX Runtime, or skips the test where none is installed.
func openLibrary(t *testing.T) *Library {
	t.Helper()
	path, err := Find()
	if errors.Is(err, ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	lib, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// corpus gives a path in the test corpus, or skips the test where the corpus is not present.
func corpus(t *testing.T, elements ...string) string {
	t.Helper()
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(append([]string{root}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("test corpus not present: %v", err)
	}
	return path
}

// A suite reads cases out of the zip of ONNX's backend tests.
type suite struct{ *zip.ReadCloser }

func openSuite(t *testing.T) suite {
	t.Helper()
	z, err := zip.OpenReader(corpus(t, "conformance", "onnx-1.22-backend-tests.zip"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { z.Close() })
	return suite{z}
}

func (s suite) read(t *testing.T, name string) []byte {
	t.Helper()
	f, err := s.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// values decodes test_data_set_0/<what>_<i>.pb of a case, one per ValueInfo.
func (s suite) values(t *testing.T, folder, what string, infos []ValueInfo) map[string]*Tensor {
	t.Helper()
	values := map[string]*Tensor{}
	for i, v := range infos {
		data := s.read(t, fmt.Sprintf("%s/test_data_set_0/%s_%d.pb", folder, what, i))
		decode := decodeTensor
		switch v.Kind {
		case KindSequence:
			decode = decodeSequence
		case KindOptional:
			decode = decodeOptional
		}
		value, err := decode(data)
		if err != nil {
			t.Fatalf("%s %q: %v", what, v.Name, err)
		}
		values[v.Name] = value
	}
	return values
}

func TestConformanceCasesGiveTheExpectedOutputs(t *testing.T) {
	lib, cases := openLibrary(t), openSuite(t)
	for _, name := range []string{
		"test_add", "test_add_bcast", "test_matmul_2d", "test_conv_with_strides_padding", // float
		"test_add_int16", "test_add_uint16", "test_add_uint64", // integers
		"test_cast_FLOAT_to_FLOAT16", "test_cast_FLOAT16_to_DOUBLE", "test_cast_DOUBLE_to_FLOAT",
		"test_cast_BFLOAT16_to_FLOAT", "test_cast_FLOAT_to_BFLOAT16",
		"test_cast_FLOAT_to_FLOAT8E4M3FN", "test_cast_FLOAT8E5M2FNUZ_to_FLOAT",
		"test_cast_FLOAT_to_UINT4", "test_cast_INT4_to_INT8", // packed
		"test_cast_FLOAT_to_INT2", "test_cast_INT2_to_FLOAT", "test_cast_UINT2_to_UINT8", // numbered otherwise by the library
		"test_cast_e8m0_FLOAT_to_FLOAT8E8M0", "test_cast_e8m0_FLOAT8E8M0_to_FLOAT",
		"test_and2d", "test_not_3d", // bool
		"test_string_concat", "test_string_concat_empty_string", "test_string_concat_zero_dimensional", "test_string_split_basic",
		"test_identity_sequence", "test_split_to_sequence_2", "test_sequence_insert_at_back", "test_if_seq",
		"test_optional_get_element_optional_tensor", "test_optional_has_element_tensor_input",
		"test_nonzero_example", "test_reduce_sum_empty_set", "test_loop11", "test_maxpool_with_argmax_2d_precomputed_pads",
	} {
		t.Run(name, func(t *testing.T) {
			folder := "node/" + name
			if !slices.ContainsFunc(cases.File, func(f *zip.File) bool { return f.Name == folder+"/model.onnx" }) {
				t.Fatal("the suite has no such case")
			}
			session, err := lib.NewSessionFromBytes(cases.read(t, folder+"/model.onnx"), Options{Threads: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			got, err := session.Run(cases.values(t, folder, "input", session.Inputs()), nil)
			if err != nil {
				t.Fatal(err)
			}
			for output, want := range cases.values(t, folder, "output", session.Outputs()) {
				if err := compare(got[output], want); err != nil {
					t.Errorf("output %q: %v", output, err)
				}
			}
		})
	}
}

// compare allows for floats what ONNX's own runner allows: 1e-3 relative, 1e-7 absolute. The rest is exact.
func compare(got, want *Tensor) error {
	if (got.Sequence == nil) != (want.Sequence == nil) || len(got.Sequence) != len(want.Sequence) {
		return fmt.Errorf("sequence of %d, want %d", len(got.Sequence), len(want.Sequence))
	}
	for i := range want.Sequence {
		if err := compare(got.Sequence[i], want.Sequence[i]); err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
	}
	if got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("%s %v, want %s %v", TypeName(got.Type), got.Shape, TypeName(want.Type), want.Shape)
	}
	switch want.Type {
	case Float, Double, Float16, Bfloat16:
		return compareNumbers(got, want)
	}
	if !bytes.Equal(got.Data, want.Data) || !slices.Equal(got.Strings, want.Strings) {
		return fmt.Errorf("%v %q, want %v %q", got.Data, got.Strings, want.Data, want.Strings)
	}
	return nil
}

func compareNumbers(got, want *Tensor) error {
	g, err := got.Numbers()
	if err != nil {
		return err
	}
	w, err := want.Numbers()
	if err != nil {
		return err
	}
	for i := range w {
		same := g[i] == w[i] || math.IsNaN(g[i]) && math.IsNaN(w[i])
		if !same && !(math.Abs(g[i]-w[i]) <= 1e-7+1e-3*math.Abs(w[i])) {
			return fmt.Errorf("element %d is %g, want %g", i, g[i], w[i])
		}
	}
	return nil
}
