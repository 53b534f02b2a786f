// Operators that move, pick and resample elements, compared with ONNX Runtime on the same one-node model. The cases
// are about what ONNX's own suite leaves out: old opsets, ties, odd scales, integers, places outside of the picture.

package ops

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"onnxprune/onnxio"
	"onnxprune/runtime/kernels"
	"onnxprune/runtime/onnxruntime"
	"onnxprune/runtime/value"
)

// nodeCase is one node with its inputs; a nil input is absent.
type nodeCase struct {
	name    string
	op      string
	opset   int
	attrs   []*onnxio.Attribute
	in      []value.Value
	outputs int // 0 means 1
}

func (c *nodeCase) run(pool *kernels.Pool) ([]value.Value, error) {
	n := NewNode("", c.op, c.opset, c.attrs)
	for _, v := range c.in {
		n.Inputs = append(n.Inputs, v != nil)
	}
	n.Outputs = slices.Repeat([]bool{true}, max(c.outputs, 1))
	k, err := Build(n)
	if err != nil {
		return nil, fmt.Errorf("building: %w", err)
	}
	return k.Run(&Context{Context: context.Background(), Pool: pool}, c.in)
}

// model writes the case as a model whose inputs are the node's.
func (c *nodeCase) model() []byte {
	g := onnxio.NewGraph("case")
	var inputs, outputs []string
	for i, v := range c.in {
		name := ""
		if t, ok := v.(*value.Tensor); ok {
			name = fmt.Sprintf("x%d", i)
			dims := make([]onnxio.Dim, len(t.Shape))
			for d, n := range t.Shape {
				dims[d] = onnxio.Fixed(int64(n))
			}
			if i == 0 {
				g.AddInput(onnxio.NewValueInfo(name, onnxio.TensorType(t.Type, dims...)))
			} else {
				g.AddInitializer(t.ToProto(name))
			}
		}
		inputs = append(inputs, name)
	}
	for i := range max(c.outputs, 1) {
		outputs = append(outputs, fmt.Sprintf("y%d", i))
		g.AddOutput(onnxio.NewValueInfo(outputs[i], nil))
	}
	g.AddNode(onnxio.NewNode(c.op, "node", inputs, outputs, c.attrs...))
	return onnxio.NewModel(8, "test", []onnxio.Opset{{Version: int64(c.opset)}}, g).Bytes()
}

// expected runs the case on ONNX Runtime.
func (c *nodeCase) expected(lib *onnxruntime.Library) ([]value.Value, error) {
	s, err := lib.NewSessionFromBytes(c.model(), onnxruntime.Options{Threads: 1, OptimizationLevel: onnxruntime.OptimizeNone})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	t := c.in[0].(*value.Tensor)
	x := &onnxruntime.Tensor{Type: int32(t.Type), Data: t.Raw()}
	for _, d := range t.Shape {
		x.Shape = append(x.Shape, int64(d))
	}
	if words, ok := t.Data.([]string); ok {
		x.Data, x.Strings = nil, words
	}
	out, err := s.Run(map[string]*onnxruntime.Tensor{"x0": x}, nil)
	if err != nil {
		return nil, err
	}
	var all []value.Value
	for i := range max(c.outputs, 1) {
		y := out[fmt.Sprintf("y%d", i)]
		p := onnxio.NewTensor("", onnxio.DataType(y.Type), y.Shape, y.Data)
		if y.Strings != nil {
			p = onnxio.NewStringTensor("", y.Shape, y.Strings)
		}
		t, err := value.FromProto(p)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func TestMovingOperatorsAgainstOnnxRuntime(t *testing.T) {
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
	pool := kernels.NewPool(2)
	defer pool.Close()
	for _, c := range slices.Concat(pickingCases(), resizeCases(), samplingCases()) {
		t.Run(fmt.Sprintf("%s of opset %d %s", c.op, c.opset, c.name), func(t *testing.T) {
			want, err := c.expected(lib)
			if err != nil {
				t.Fatalf("ONNX Runtime: %v", err)
			}
			got, err := c.run(nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if err := closeTo(got[i].(*value.Tensor), want[i].(*value.Tensor)); err != nil {
					t.Errorf("output %d: %v", i, err)
				}
			}
			threaded, err := c.run(pool)
			if err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if a, b := got[i].(*value.Tensor), threaded[i].(*value.Tensor); !bytes.Equal(a.Raw(), b.Raw()) {
					t.Errorf("output %d differs on two threads", i)
				}
			}
		})
	}
}

// closeTo allows 16-bit floats their rounding, and wider ones that of sums in another order.
func closeTo(got, want *value.Tensor) error {
	if want.Type == onnxio.Float16 || want.Type == onnxio.BFloat16 {
		return sameTensor(got, want, 1e-2, 1e-3)
	}
	return sameTensor(got, want, 2e-5, 2e-5)
}

// floats32 returns random numbers in [-2, 2), the same ones for every call with the same shape.
func floats32(shape ...int) *value.Tensor {
	t := value.New(onnxio.Float, shape...)
	r := rand.New(rand.NewPCG(7, uint64(t.Len())))
	for i := range t.Len() {
		value.Of[float32](t)[i] = 4*r.Float32() - 2
	}
	return t
}

// counting returns 0, 1, 2, ... as T.
func counting[T int8 | uint8 | int32 | int64 | float32 | float64](shape ...int) *value.Tensor {
	d := make([]T, value.Count(shape))
	for i := range d {
		d[i] = T(i)
	}
	return value.From(d, shape...)
}

// noise returns random integers of all of T's low 8 bits.
func noise[T int8 | uint8 | int32](shape ...int) *value.Tensor {
	d := make([]T, value.Count(shape))
	r := rand.New(rand.NewPCG(7, 8))
	for i := range d {
		d[i] = T(r.Uint32())
		if _, wide := any(d[i]).(int32); wide {
			d[i] %= 127
		}
	}
	return value.From(d, shape...)
}

func halves(t *value.Tensor) *value.Tensor {
	out := value.New(onnxio.Float16, t.Shape...)
	for i, v := range value.Of[float32](t) {
		value.Of[uint16](out)[i] = onnxio.Float32ToFloat16(v)
	}
	return out
}

func vector[T value.Elem](vs ...T) *value.Tensor { return value.From(vs, len(vs)) }

func inputs(ts ...*value.Tensor) []value.Value {
	out := make([]value.Value, len(ts))
	for i, t := range ts {
		if t != nil {
			out[i] = t
		}
	}
	return out
}

func attributes(as ...*onnxio.Attribute) []*onnxio.Attribute { return as }
