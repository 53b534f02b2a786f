// Operators against ONNX Runtime, for what ONNX's suite does not have: element types, old operator sets, and shapes in
// many combinations. A combination that ONNX Runtime has no kernel for is counted and not compared.

package ops

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
)

// oracleCase is one node with its inputs.
type oracleCase struct {
	domain, op string
	opset      int
	attrs      []*onnxio.Attribute
	in         []*value.Tensor // nil: absent
	constant   bool            // inputs after the first are initializers
	outputs    int             // 0: one
}

func (c oracleCase) String() string {
	var in []string
	for _, t := range c.in {
		in = append(in, fmt.Sprint(t))
	}
	var attrs []string
	for _, a := range c.attrs {
		attrs = append(attrs, fmt.Sprintf("%s=%v%v%v%s", a.Name, a.I, a.Ints, a.F, a.S))
	}
	return fmt.Sprintf("%s%s-%d(%s){%s}", c.domain, c.op, c.opset, strings.Join(in, " "), strings.Join(attrs, " "))
}

func openOracle(t *testing.T) *onnxruntime.Library {
	path, err := onnxruntime.Find()
	if errors.Is(err, onnxruntime.ErrNotFound) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	lib, err := onnxruntime.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// model makes a model of the one node.
func (c oracleCase) model() *onnxio.Model {
	g := onnxio.NewGraph("g")
	var in, out []string
	for i, t := range c.in {
		name := ""
		if t != nil {
			name = fmt.Sprintf("in%d", i)
			if c.constant && i > 0 {
				g.AddInitializer(t.ToProto(name))
			} else {
				dims := make([]onnxio.Dim, len(t.Shape))
				for d, n := range t.Shape {
					dims[d] = onnxio.Fixed(int64(n))
				}
				g.AddInput(onnxio.NewValueInfo(name, onnxio.TensorType(t.Type, dims...)))
			}
		}
		in = append(in, name)
	}
	for i := range max(1, c.outputs) {
		out = append(out, fmt.Sprintf("out%d", i))
		g.AddOutput(onnxio.NewValueInfo(out[i], nil))
	}
	n := onnxio.NewNode(c.op, "node", in, out, c.attrs...)
	opsets := []onnxio.Opset{{Version: int64(c.opset)}}
	if c.domain != "" {
		n.SetDomain(c.domain)
		opsets = []onnxio.Opset{{Version: 17}, {Domain: c.domain, Version: int64(c.opset)}}
	}
	g.AddNode(n)
	return onnxio.NewModel(8, "test", opsets, g)
}

// expected runs the node on ONNX Runtime. ran is false where it has no such kernel.
func (c oracleCase) expected(lib *onnxruntime.Library) (out []*value.Tensor, ran bool, err error) {
	s, err := lib.NewSessionFromBytes(c.model().Bytes(), onnxruntime.Options{Threads: 1, OptimizationLevel: onnxruntime.OptimizeNone})
	if err != nil {
		return nil, false, err
	}
	defer s.Close()
	feeds := map[string]*onnxruntime.Tensor{}
	for i, t := range c.in {
		if t == nil || c.constant && i > 0 {
			continue
		}
		f := &onnxruntime.Tensor{Type: int32(t.Type), Data: t.Raw()}
		f.Strings, _ = t.Data.([]string)
		for _, d := range t.Shape {
			f.Shape = append(f.Shape, int64(d))
		}
		feeds[fmt.Sprintf("in%d", i)] = f
	}
	got, err := s.Run(feeds, nil)
	if err != nil {
		return nil, false, err
	}
	for i := range max(1, c.outputs) {
		o := got[fmt.Sprintf("out%d", i)]
		var t *value.Tensor
		if o.Strings != nil {
			shape := []int{}
			for _, d := range o.Shape {
				shape = append(shape, int(d))
			}
			t = value.From(o.Strings, shape...)
		} else if t, err = value.FromProto(onnxio.NewTensor("", onnxio.DataType(o.Type), o.Shape, o.Data)); err != nil {
			return nil, false, err
		}
		out = append(out, t)
	}
	return out, true, nil
}

// ours runs the node on this package's kernel.
func (c oracleCase) ours(pool *kernels.Pool) ([]value.Value, error) {
	n := NewNode(c.domain, c.op, c.opset, c.attrs)
	in := make([]value.Value, len(c.in))
	for i, t := range c.in {
		n.Inputs = append(n.Inputs, t != nil)
		n.Constants = append(n.Constants, nil)
		if t != nil {
			in[i] = t
			if c.constant && i > 0 {
				n.Constants[i] = t
			}
		}
	}
	for range max(1, c.outputs) {
		n.Outputs = append(n.Outputs, true)
	}
	k, err := Build(n)
	if err != nil {
		return nil, err
	}
	if p, ok := k.(Packer); ok {
		pack(p, n, pool, in)
	}
	return k.Run(&Context{Context: context.Background(), Pool: pool}, in)
}

// pack packs the constants, and takes the elements of what is packed away, as the runtime does.
func pack(p Packer, n *Node, pool *kernels.Pool, in []value.Value) {
	constants := make([]value.Value, len(in))
	for i, t := range n.Constants {
		if t != nil {
			constants[i] = t
		}
	}
	for _, i := range p.Pack(&Packing{Pool: pool}, constants) {
		if i < len(in) && in[i] != nil {
			t := in[i].(*value.Tensor)
			in[i] = &value.Tensor{Type: t.Type, Shape: t.Shape, Data: value.Make(t.Type, 0)}
		}
	}
}

// oracleTolerance is how far results may be apart, relative and absolute.
func oracleTolerance(t onnxio.DataType) (rtol, atol float64) {
	switch t {
	case onnxio.Float16:
		return 4e-3, 1e-3
	case onnxio.BFloat16:
		return 4e-2, 1e-2
	case onnxio.Float:
		return 2e-5, 2e-6
	case onnxio.Double:
		return 1e-6, 1e-9
	}
	return 0, 0
}

// compareWithOracle runs all cases on both, and reports what differs.
func compareWithOracle(t *testing.T, cases []oracleCase) {
	lib := openOracle(t)
	pool := kernels.NewPool(2)
	defer pool.Close()
	ran, left, wrong := 0, 0, 0
	for _, c := range cases {
		want, ok, err := c.expected(lib)
		if !ok {
			left++
			if os.Getenv("ONNXPRUNE_OPS") != "" {
				reason, _, _ := strings.Cut(err.Error(), "\n")
				t.Logf("%v is not compared: %s", c, reason)
			}
			continue
		}
		ran++
		got, err := c.ours(pool)
		if err == nil {
			for i, w := range want {
				g, _ := got[i].(*value.Tensor)
				rtol, atol := oracleTolerance(w.Type)
				if _, ok := tinyFloats[w.Type]; ok && g != nil && g.Type == w.Type { // NaN has several codes
					c := &Context{Context: context.Background()}
					g, _ = castTensor(c, g, onnxio.Double, castOptions{})
					w, _ = castTensor(c, w, onnxio.Double, castOptions{})
				}
				if e := sameTensor(g, w, rtol, atol); e != nil {
					err = fmt.Errorf("output %d: %w", i, e)
				}
			}
		}
		if err != nil {
			if wrong++; wrong <= 40 {
				t.Errorf("%v: %v", c, err)
			}
		}
	}
	t.Logf("%d cases compared, %d wrong, %d not known to ONNX Runtime", ran, wrong, left)
}

// randomTensor makes a tensor of random elements: floats within 3 of zero, integers within 12.
func randomTensor(r *rand.Rand, typ onnxio.DataType, shape ...int) *value.Tensor {
	t := value.New(onnxio.Float, shape...)
	d := t.Data.([]float32)
	for i := range d {
		switch {
		case typ == onnxio.Bool:
			d[i] = float32(r.IntN(2))
		case typ.IsFloat():
			d[i] = float32(r.IntN(6001)-3000) / 1000
		case typ == onnxio.Uint8 || typ == onnxio.Uint16 || typ == onnxio.Uint32 || typ == onnxio.Uint64:
			d[i] = float32(r.IntN(12))
		default:
			d[i] = float32(r.IntN(25) - 12)
		}
	}
	out, err := castTensor(&Context{Context: context.Background()}, t, typ, castOptions{})
	if err != nil {
		panic(err)
	}
	return out
}

var (
	allFloats  = []onnxio.DataType{onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.BFloat16}
	allInts    = []onnxio.DataType{onnxio.Int8, onnxio.Int16, onnxio.Int32, onnxio.Int64, onnxio.Uint8, onnxio.Uint16, onnxio.Uint32, onnxio.Uint64}
	allNumbers = append(append([]onnxio.DataType{}, allFloats...), allInts...)
)
