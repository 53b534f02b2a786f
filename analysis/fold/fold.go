// Package fold works out values that a model computes from constants only: the norm of a weight, a weight that is standardised,
// scaled or put together in the graph.
//
// It is no runtime: it knows the operators that weights are written with, on the values of one model, and says beforehand which values
// it can work out. Every operator computes in float64 and rounds its result to the type that the model declares, sums run in the order of
// the elements, and nothing depends on threads or on the machine's vector units: the same model gives the same bits everywhere.
package fold

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"onnxprune/analysis/graph"
	"onnxprune/analysis/shape"
	"onnxprune/onnxio"
)

// Tensor is a value that was worked out. Integers and truth values are numbers too.
type Tensor struct {
	Type  onnxio.DataType
	Shape []int
	Data  []float64 // row-major; not to be changed
}

// Values works out the values of one model. Several goroutines may use it; they work one after the other.
type Values struct {
	mu     sync.Mutex
	graph  *graph.Graph
	shapes *shape.Result
	static []bool // by Value.ID
	can    map[*graph.Value]bool
	done   map[*graph.Value]*Tensor // what several nodes read
}

// New returns the values of a model whose shapes are known.
func New(g *graph.Graph, shapes *shape.Result) *Values {
	return &Values{graph: g, shapes: shapes, static: g.Static(), can: map[*graph.Value]bool{}, done: map[*graph.Value]*Tensor{}}
}

// maxElements bounds what is worked out, in elements: more than the weights of any layer have.
const maxElements = 1 << 28

// Can reports whether a value can be worked out: it is a constant, or known operators compute it from such.
func (f *Values) Can(v *graph.Value) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.able(v)
}

func (f *Values) able(v *graph.Value) bool {
	if v == nil {
		return false
	}
	if known, ok := f.can[v]; ok {
		return known
	}
	f.can[v] = f.judge(v)
	return f.can[v]
}

func (f *Values) judge(v *graph.Value) bool {
	in := f.shapes.Of(v)
	if v.Tensor != nil {
		return readable(v.Tensor.DataType) && v.Tensor.Len() <= maxElements && !(v.Input && f.graph.Model.IRVersion >= 4) // a run may override the default of an input
	}
	if _, ok := extents(in); !ok || v.Sparse != nil || !readable(in.Elem) || !f.static[v.ID] {
		return false
	}
	if numbers(in) != nil {
		return true
	}
	n := v.Producer
	k, ok := kernels[n.Op]
	if !ok || n.Domain != "" {
		return false
	}
	for _, x := range n.Inputs {
		if x != nil && !f.able(x) {
			return false
		}
	}
	c := &call{Values: f, node: n, output: v}
	return k.can == nil || k.can(c)
}

// Of works a value out, which Can must be true of. What is left to fail is the reading of constants.
func (f *Values) Of(v *graph.Value) (*Tensor, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.of(v)
}

func (f *Values) of(v *graph.Value) (*Tensor, error) {
	if t := f.done[v]; t != nil {
		return t, nil
	}
	if !f.able(v) {
		return nil, fmt.Errorf("%q can not be worked out from constants", v.FullName())
	}
	t, err := f.compute(v)
	if err != nil {
		return nil, fmt.Errorf("working out %q: %w", v.FullName(), err)
	}
	if len(v.Uses) > 1 {
		f.done[v] = t
	}
	return t, nil
}

func (f *Values) compute(v *graph.Value) (t *Tensor, err error) {
	if v.Tensor != nil {
		return read(v.Tensor)
	}
	in := f.shapes.Of(v)
	dims, _ := extents(in)
	t = &Tensor{Type: in.Elem, Shape: dims}
	if t.Data = numbers(in); t.Data != nil {
		return t, nil
	}
	c := &call{Values: f, node: v.Producer, output: v, out: dims}
	for _, x := range v.Producer.Inputs {
		var operand *Tensor
		if x != nil {
			if operand, err = f.of(x); err != nil {
				return nil, err
			}
		}
		c.ins = append(c.ins, operand)
	}
	defer func() { // operands that no valid model has
		if p := recover(); p != nil {
			t, err = nil, fmt.Errorf("%s: its operands are not what the operator takes (%v)", v.Producer.Title(), p)
		}
	}()
	t.Data = kernels[v.Producer.Op].run(c)
	if len(t.Data) != count(dims) {
		return nil, fmt.Errorf("%s gives %d elements for the shape %v", v.Producer.Title(), len(t.Data), dims)
	}
	for i, x := range t.Data {
		t.Data[i] = rounded(t.Type, x)
	}
	return t, nil
}

// Proto returns the tensor as it is stored in a model.
func (t *Tensor) Proto(name string) *onnxio.Tensor {
	dims := make([]int64, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = int64(d)
	}
	le := binary.LittleEndian
	var raw []byte
	for _, v := range t.Data {
		switch t.Type {
		case onnxio.Float:
			raw = le.AppendUint32(raw, math.Float32bits(float32(v)))
		case onnxio.Double:
			raw = le.AppendUint64(raw, math.Float64bits(v))
		case onnxio.Float16:
			raw = le.AppendUint16(raw, onnxio.Float32ToFloat16(float32(v)))
		case onnxio.BFloat16:
			raw = le.AppendUint16(raw, onnxio.Float32ToBFloat16(float32(v)))
		}
	}
	if t.Type.IsFloat() {
		return onnxio.NewTensor(name, t.Type, dims, raw)
	}
	vs := make([]int64, len(t.Data))
	for i, v := range t.Data {
		vs[i] = int64(v)
	}
	return onnxio.NewIntTensor(name, t.Type, dims, vs)
}

// readable reports whether elements of a type are numbers that float64 holds, integers of 64 bits as far as they are counts.
func readable(t onnxio.DataType) bool {
	switch t {
	case onnxio.Float, onnxio.Double, onnxio.Float16, onnxio.BFloat16, onnxio.Int8, onnxio.Uint8, onnxio.Int16, onnxio.Uint16, onnxio.Int32,
		onnxio.Int64, onnxio.Bool:
		return true
	}
	return false
}

func read(t *onnxio.Tensor) (*Tensor, error) {
	out := &Tensor{Type: t.DataType, Shape: make([]int, len(t.Dims))}
	for i, d := range t.Dims {
		out.Shape[i] = int(d)
	}
	switch {
	case t.DataType == onnxio.Double:
		raw, err := t.Raw()
		if err != nil {
			return nil, err
		}
		for at := 0; at+8 <= len(raw); at += 8 {
			out.Data = append(out.Data, math.Float64frombits(binary.LittleEndian.Uint64(raw[at:])))
		}
	case t.DataType.IsFloat():
		fs, err := t.Float32s()
		if err != nil {
			return nil, err
		}
		out.Data = make([]float64, len(fs))
		for i, v := range fs {
			out.Data[i] = float64(v)
		}
	default:
		is, err := t.Ints()
		if err != nil {
			return nil, err
		}
		out.Data = make([]float64, len(is))
		for i, v := range is {
			out.Data[i] = float64(v)
		}
	}
	return out, nil
}

// rounded brings a number to the precision of a type.
func rounded(t onnxio.DataType, v float64) float64 {
	switch t {
	case onnxio.Float:
		return float64(float32(v))
	case onnxio.Float16:
		return float64(onnxio.Float16ToFloat32(onnxio.Float32ToFloat16(float32(v))))
	case onnxio.BFloat16:
		return float64(onnxio.BFloat16ToFloat32(onnxio.Float32ToBFloat16(float32(v))))
	}
	return v
}

// extents returns the shape of a tensor whose extents are all known.
func extents(in *shape.Info) ([]int, bool) {
	if !in.Known || in.Kind != onnxio.KindTensor {
		return nil, false
	}
	out, n := make([]int, in.Rank()), int64(1)
	for k := range out {
		d, ok := in.Fixed(k)
		if n *= max(d, 1); !ok || d < 0 || n > maxElements {
			return nil, false
		}
		out[k] = int(d)
	}
	return out, true
}

// numbers returns the elements of a small integer tensor, such as a shape, that inference knows already; nil where it does not.
func numbers(in *shape.Info) []float64 {
	if in.Nums == nil || in.Elem != onnxio.Int64 && in.Elem != onnxio.Int32 {
		return nil
	}
	out := make([]float64, len(in.Nums))
	for i, n := range in.Nums {
		v, ok := n.Float()
		if !ok {
			return nil
		}
		out[i] = v
	}
	return out
}

func count(dims []int) int {
	n := 1
	for _, d := range dims {
		n *= d
	}
	return n
}
