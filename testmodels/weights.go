package testmodels

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"

	"onnxprune/onnxio"
)

// This file makes the tensors of a model: weights drawn from their names, and constants out of Go values.

// Weight adds a float32 weight of the given shape, drawn with a standard deviation of sqrt(2/n), where n is
// the number of elements of one output channel (He et al. 2015), which keeps activations in range.
func (b *Builder) Weight(name string, dims ...int64) string {
	return b.WeightOf(onnxio.Float, name, dims...)
}

// WeightOf adds such a weight in another type: float16, bfloat16, float64, or int8 and uint8, where the
// values fill the type's range.
func (b *Builder) WeightOf(elem onnxio.DataType, name string, dims ...int64) string {
	fan := int64(1)
	for _, d := range dims[min(1, len(dims)):] {
		fan *= d
	}
	return b.drawn(elem, name, dims, 0, math.Sqrt(2/float64(max(1, fan))))
}

// Vector adds a float32 vector with a mean and a standard deviation: the scale, shift, mean or variance
// of a normalisation, or a bias. No value is further from the mean than 3.5 deviations.
func (b *Builder) Vector(name string, n int64, mean, deviation float64) string {
	return b.drawn(onnxio.Float, name, []int64{n}, mean, deviation)
}

func (b *Builder) drawn(elem onnxio.DataType, name string, dims []int64, mean, deviation float64) string {
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	h := fnv.New64a()
	h.Write([]byte(name))
	noise := draws(h.Sum64() ^ b.Seed*0x9e3779b97f4a7c15)
	raw := make([]byte, 0, n*int64(elem.Bits())/8)
	le := binary.LittleEndian
	for range n {
		v := mean + deviation*noise.next()
		switch elem {
		case onnxio.Float:
			raw = le.AppendUint32(raw, math.Float32bits(float32(v)))
		case onnxio.Double:
			raw = le.AppendUint64(raw, math.Float64bits(v))
		case onnxio.Float16:
			raw = le.AppendUint16(raw, onnxio.Float32ToFloat16(float32(v)))
		case onnxio.BFloat16:
			raw = le.AppendUint16(raw, onnxio.Float32ToBFloat16(float32(v)))
		case onnxio.Int8:
			raw = append(raw, byte(int8(v/deviation*36)))
		case onnxio.Uint8:
			raw = append(raw, byte(128+v/deviation*36))
		default:
			panic(fmt.Sprintf("testmodels: weight %q: no values of type %v are drawn", name, elem))
		}
	}
	return b.Tensor(onnxio.NewTensor(name, elem, dims, raw))
}

// draws is the state of a SplitMix64 generator.
type draws uint64

// next returns a number that is close to normally distributed, with mean 0 and deviation 1, and
// within 3.5: the sum of four uniform ones. It uses integer arithmetic and one division, so it is the
// same on every machine.
func (d *draws) next() float64 {
	*d += 0x9e3779b97f4a7c15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	z ^= z >> 31
	sum := int64(z&0xffff + z>>16&0xffff + z>>32&0xffff + z>>48)
	return float64(sum-2*0xffff) / 37837.2 // 65536*sqrt(4/12)
}

// Tensor adds a tensor under its own name: an initializer, or a Constant node.
func (b *Builder) Tensor(t *onnxio.Tensor) string {
	if b.Constants || b.inFunc {
		return b.Constant(t)
	}
	b.define(t.Name)
	b.graph.AddInitializer(t)
	return t.Name
}

// Constant adds a tensor as a Constant node whose output carries the tensor's name.
func (b *Builder) Constant(t *onnxio.Tensor) string {
	name := t.Name
	if name == "" {
		name = b.fresh("const")
	}
	b.NodeTo("Constant", nil, []string{name}, Attrs{"value": t})
	return name
}

// Const adds a tensor with a made-up name out of a Go value: a number, a bool or a string makes a scalar, a
// slice a vector. int and int64 make int64.
func (b *Builder) Const(v any) string { return b.NamedConst(b.fresh("const"), v) }

// NamedConst is Const under a name.
func (b *Builder) NamedConst(name string, v any) string { return b.Tensor(NewTensor(name, v)) }

// ConstDims adds a tensor with the given dims and the elements of a slice.
func (b *Builder) ConstDims(name string, dims []int64, v any) string {
	t := NewTensor(name, v)
	if t.DataType == onnxio.String {
		ss, _ := t.Strings()
		return b.Tensor(onnxio.NewStringTensor(name, dims, ss))
	}
	raw, err := t.Raw()
	n := int64(1)
	for _, d := range dims {
		n *= d
	}
	if err != nil || n != t.Len() {
		panic(fmt.Sprintf("testmodels: tensor %q: %d values for dims %v", name, t.Len(), dims))
	}
	return b.Tensor(onnxio.NewTensor(name, t.DataType, dims, raw))
}

// Float16s is a list of numbers that becomes a float16 tensor.
type Float16s []float32

// BFloat16s is a list of numbers that becomes a bfloat16 tensor.
type BFloat16s []float32

// NewTensor makes a tensor out of a Go value, as Const does.
func NewTensor(name string, v any) *onnxio.Tensor {
	le := binary.LittleEndian
	var raw []byte
	vector := func(elem onnxio.DataType) *onnxio.Tensor {
		n := int64(len(raw)) * 8 / int64(elem.Bits())
		return onnxio.NewTensor(name, elem, []int64{n}, raw)
	}
	switch v := v.(type) {
	case int:
		return onnxio.NewInts64(name, nil, []int64{int64(v)})
	case int64:
		return onnxio.NewInts64(name, nil, []int64{v})
	case []int:
		return onnxio.NewInts64(name, []int64{int64(len(v))}, int64s(v))
	case []int64:
		return onnxio.NewInts64(name, []int64{int64(len(v))}, v)
	case int32:
		return onnxio.NewIntTensor(name, onnxio.Int32, nil, []int64{int64(v)})
	case []int32:
		for _, x := range v {
			raw = le.AppendUint32(raw, uint32(x))
		}
		return vector(onnxio.Int32)
	case int8:
		return onnxio.NewIntTensor(name, onnxio.Int8, nil, []int64{int64(v)})
	case []int8:
		for _, x := range v {
			raw = append(raw, byte(x))
		}
		return vector(onnxio.Int8)
	case uint8:
		return onnxio.NewIntTensor(name, onnxio.Uint8, nil, []int64{int64(v)})
	case []uint8:
		raw = append(raw, v...)
		return vector(onnxio.Uint8)
	case bool:
		return onnxio.NewTensor(name, onnxio.Bool, nil, []byte{truth(v)})
	case []bool:
		for _, x := range v {
			raw = append(raw, truth(x))
		}
		return vector(onnxio.Bool)
	case float32:
		return onnxio.NewFloats32(name, nil, []float32{v})
	case []float32:
		return onnxio.NewFloats32(name, []int64{int64(len(v))}, v)
	case float64:
		return onnxio.NewTensor(name, onnxio.Double, nil, le.AppendUint64(nil, math.Float64bits(v)))
	case []float64:
		for _, x := range v {
			raw = le.AppendUint64(raw, math.Float64bits(x))
		}
		return vector(onnxio.Double)
	case Float16s:
		for _, x := range v {
			raw = le.AppendUint16(raw, onnxio.Float32ToFloat16(x))
		}
		return vector(onnxio.Float16)
	case BFloat16s:
		for _, x := range v {
			raw = le.AppendUint16(raw, onnxio.Float32ToBFloat16(x))
		}
		return vector(onnxio.BFloat16)
	case string:
		return onnxio.NewStringTensor(name, nil, []string{v})
	case []string:
		return onnxio.NewStringTensor(name, []int64{int64(len(v))}, v)
	}
	panic(fmt.Sprintf("testmodels: no tensor is made out of a %T", v))
}

func truth(v bool) byte {
	if v {
		return 1
	}
	return 0
}
