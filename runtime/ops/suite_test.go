// ONNX's own operator cases, run by a plain walk over each case's nodes: the operators alone are tested here, without
// the graph compiler. A case takes part when all of its operators are in the table and none of them
// has a body; ONNXPRUNE_OPS=regexp limits the cases and prints why others do not take part.

package ops

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// randomCases draw numbers from a generator that the suite does not prescribe: type and shape must agree.
var randomCases = regexp.MustCompile(`^node/test_bernoulli`)

func sameKind(got, want value.Value) error {
	if got == nil || got.String() != want.String() {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return nil
}

func TestOperatorsAgainstTheONNXSuite(t *testing.T) {
	root := os.Getenv("ONNXPRUNE_CORPUS")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	z, err := zip.OpenReader(filepath.Join(root, "conformance", "onnx-1.22-backend-tests.zip"))
	if err != nil {
		t.Skipf("ONNX's backend tests are not here; set ONNXPRUNE_CORPUS to the folder of the test material: %v", err)
	}
	defer z.Close()
	only := os.Getenv("ONNXPRUNE_OPS")
	pattern := regexp.MustCompile(only)
	refused := refusedCases(t)
	ran, left := 0, 0
	for _, f := range z.File {
		folder, base := path.Split(f.Name)
		folder = strings.TrimSuffix(folder, "/")
		if base != "model.onnx" || !pattern.MatchString(folder) {
			continue
		}
		if refused[folder] && !randomCases.MatchString(folder) {
			left++
			continue
		}
		c := suiteCase{files: &z.Reader, folder: folder}
		runnable, err := c.open()
		if err != nil || !runnable {
			left++
			if only != "" {
				t.Logf("%s does not take part: %v", folder, err)
			}
			continue
		}
		ran++
		t.Run(folder, func(t *testing.T) {
			if err := c.run(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Logf("%d cases ran, %d did not take part", ran, left)
}

// refusedCases are those that the runtime's manifest says cannot pass, with the reasons.
func refusedCases(t *testing.T) map[string]bool {
	b, err := os.ReadFile(filepath.Join("..", "testdata", "conformance.txt"))
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if folder, _, ok := strings.Cut(line, " refused: "); ok {
			refused[folder] = true
		}
	}
	return refused
}

// suiteCase is one folder of the suite: a model, and sets of inputs with the outputs they must give.
type suiteCase struct {
	files  *zip.Reader
	folder string
	model  *onnxio.Model
}

func (c *suiteCase) read(name string) ([]byte, error) {
	f, err := c.files.Open(c.folder + "/" + name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// open reads the model and reports whether every operator of it is registered and without a body.
func (c *suiteCase) open() (runnable bool, err error) {
	b, err := c.read("model.onnx")
	if err != nil {
		return false, err
	}
	if c.model, err = onnxio.Parse(b); err != nil {
		return false, err
	}
	for _, n := range c.model.Graph.Nodes {
		domain := onnxio.NormalDomain(n.Domain)
		if _, ok := Lookup(domain, n.OpType, int(c.model.Opset(domain))); !ok {
			return false, &UnknownError{domain, n.OpType, int(c.model.Opset(domain))}
		}
		for _, a := range n.Attributes {
			if len(a.Subgraphs()) > 0 {
				return false, fmt.Errorf("%s has a body", n.OpType)
			}
		}
	}
	return true, nil
}

func (c *suiteCase) run() error {
	for set := 0; ; set++ {
		dir := fmt.Sprintf("test_data_set_%d/", set)
		if _, err := c.read(dir + "output_0.pb"); errors.Is(err, fs.ErrNotExist) && set > 0 {
			return nil
		}
		if err := c.runSet(dir); err != nil {
			return fmt.Errorf("data set %d: %w", set, err)
		}
	}
}

func (c *suiteCase) runSet(dir string) error {
	g := c.model.Graph
	values := map[string]value.Value{}
	constants := map[string]*value.Tensor{}
	for _, p := range g.Initializers {
		t, err := value.FromProto(p)
		if err != nil {
			return err
		}
		values[p.Name], constants[p.Name] = t, t
	}
	position := 0
	for _, in := range g.Inputs {
		if values[in.Name] != nil {
			continue
		}
		v, err := c.value(fmt.Sprintf("%sinput_%d.pb", dir, position), in.Type)
		if err != nil {
			return fmt.Errorf("input %s: %w", in.Name, err)
		}
		values[in.Name] = v
		position++
	}
	for _, n := range g.Nodes {
		if err := walkNode(c.model, n, values, constants); err != nil {
			return fmt.Errorf("%s %s: %w", n.OpType, n.Name, err)
		}
	}
	for i, out := range g.Outputs {
		want, err := c.value(fmt.Sprintf("%soutput_%d.pb", dir, i), out.Type)
		if err != nil {
			return fmt.Errorf("output %s: %w", out.Name, err)
		}
		err = sameValue(values[out.Name], want)
		if randomCases.MatchString(c.folder) {
			err = sameKind(values[out.Name], want)
		}
		if err != nil {
			return fmt.Errorf("output %s: %w", out.Name, err)
		}
	}
	return nil
}

// walkNode builds one node's kernel, runs it and files what it gives.
func walkNode(m *onnxio.Model, n *onnxio.Node, values map[string]value.Value, constants map[string]*value.Tensor) error {
	domain := onnxio.NormalDomain(n.Domain)
	node := NewNode(domain, n.OpType, int(m.Opset(domain)), n.Attributes)
	in := make([]value.Value, len(n.Inputs))
	for i, name := range n.Inputs {
		node.Inputs = append(node.Inputs, name != "")
		node.Constants = append(node.Constants, constants[name])
		if name != "" {
			in[i] = values[name]
		}
	}
	for _, name := range n.Outputs {
		node.Outputs = append(node.Outputs, name != "")
	}
	k, err := Build(node)
	if err != nil {
		return err
	}
	out, err := k.Run(&Context{Context: context.Background()}, in)
	if err != nil {
		return err
	}
	if len(out) != len(n.Outputs) {
		return fmt.Errorf("it gave %d outputs for %d names", len(out), len(n.Outputs))
	}
	for i, name := range n.Outputs {
		if name != "" {
			values[name] = out[i]
		}
	}
	return nil
}

// value decodes one file of a case, by the type that the graph declares.
func (c *suiteCase) value(name string, typ *onnxio.Type) (value.Value, error) {
	b, err := c.read(name)
	if err != nil {
		return nil, err
	}
	return decodeSuiteValue(b, typ)
}

func decodeSuiteValue(b []byte, typ *onnxio.Type) (value.Value, error) {
	switch {
	case typ != nil && typ.Kind == onnxio.KindSequence:
		s := &value.Sequence{Elem: typ.Of}
		err := eachField(b, func(number protowire.Number, body []byte) error {
			if number != 3 && number != 5 && number != 7 { // tensor, sequence and optional values
				return nil
			}
			v, err := decodeSuiteValue(body, typ.Of)
			s.Items = append(s.Items, v)
			return err
		})
		return s, err
	case typ != nil && typ.Kind == onnxio.KindOptional:
		o := &value.Optional{Elem: typ.Of}
		err := eachField(b, func(number protowire.Number, body []byte) (err error) {
			if number == 3 || number == 5 { // tensor or sequence value
				o.Value, err = decodeSuiteValue(body, typ.Of)
			}
			return err
		})
		return o, err
	}
	return decodeSuiteTensor(b)
}

// decodeSuiteTensor has a TensorProto decoded as the one initializer (field 5) of the graph (field 7) of a model that
// imports version 1 (field 2) of the default operator set (field 8).
func decodeSuiteTensor(b []byte) (value.Value, error) {
	wrap := func(number protowire.Number, b []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), b)
	}
	version := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1)
	m, err := onnxio.Parse(append(wrap(7, wrap(5, b)), wrap(8, version)...))
	if err != nil {
		return nil, err
	}
	return value.FromProto(m.Graph.Initializers[0])
}

// eachField calls f for every length-delimited field of a protobuf message.
func eachField(b []byte, f func(number protowire.Number, body []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if kind == protowire.BytesType {
			body, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return protowire.ParseError(n)
			}
			if err := f(number, body); err != nil {
				return err
			}
			b = b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(number, kind, b); n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
	}
	return nil
}

// sameValue compares with the tolerances of ONNX's own runner: 1e-3 relative, 1e-7 absolute.
func sameValue(got, want value.Value) error {
	switch want := want.(type) {
	case *value.Sequence:
		got, ok := got.(*value.Sequence)
		if !ok || len(got.Items) != len(want.Items) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		for i := range want.Items {
			if err := sameValue(got.Items[i], want.Items[i]); err != nil {
				return fmt.Errorf("item %d: %w", i, err)
			}
		}
		return nil
	case *value.Optional:
		got, ok := got.(*value.Optional)
		if !ok || (got.Value == nil) != (want.Value == nil) {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		if want.Value == nil {
			return nil
		}
		return sameValue(got.Value, want.Value)
	case *value.Tensor:
		if got, ok := got.(*value.Tensor); ok {
			return sameTensor(got, want, 1e-3, 1e-7)
		}
		return fmt.Errorf("got %v, want %v", got, want)
	}
	return fmt.Errorf("the expected value is a %T", want)
}

// sameTensor compares type, shape and elements. NaN equals NaN.
func sameTensor(got, want *value.Tensor, rtol, atol float64) error {
	if got == nil || got.Type != want.Type || !slices.Equal(got.Shape, want.Shape) {
		return fmt.Errorf("got %v, want %v", got, want)
	}
	if got.Len() != want.Len() {
		return fmt.Errorf("%d elements in %v", got.Len(), got)
	}
	if w, ok := want.Data.([]string); ok {
		if g := got.Data.([]string); !slices.Equal(g, w) {
			return fmt.Errorf("got %q, want %q", g, w)
		}
		return nil
	}
	w, ok := want.Floats()
	if !ok || want.Type == onnxio.Int64 || want.Type == onnxio.Uint64 {
		if g, w := got.Raw(), want.Raw(); !slices.Equal(g, w) {
			return fmt.Errorf("got %v, want %v", got.Data, want.Data)
		}
		return nil
	}
	g, _ := got.Floats()
	for i := range w {
		same := g[i] == w[i] || math.IsNaN(g[i]) && math.IsNaN(w[i])
		if !same && !(math.Abs(g[i]-w[i]) <= atol+rtol*math.Abs(w[i]) && !math.IsInf(g[i]-w[i], 0)) {
			return fmt.Errorf("element %d of %v is %g, want %g", i, want, g[i], w[i])
		}
	}
	return nil
}
