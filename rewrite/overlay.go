package rewrite

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"onnxprune/onnxio"
)

// overlay inserts nodes before reader that replace some elements of the value called name, of a shape of dims, and returns the name of the
// result.
func (e *editor) overlay(before *onnxio.Node, name string, dtype onnxio.DataType, dims []int64, over map[int]float64) (string, error) {
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	mask, vals := make([]int64, n), make([]float64, n)
	for k, x := range over {
		if k >= n {
			return "", fmt.Errorf("element %d of %q lies outside its %d elements", k, name, n)
		}
		mask[k], vals[k] = 1, x
	}
	if len(over) < n && e.model.Opset("") < 9 {
		return e.splice(before, name, dtype, dims, over), nil
	}
	new := numbers(e.fresh(name+"_mended"), dtype, dims, vals)
	e.addConstant(new)
	if len(over) == n {
		return new.Name, nil
	}
	m := onnxio.NewIntTensor(e.fresh(name+"_mended_where"), onnxio.Bool, dims, mask)
	e.addConstant(m)
	out := e.fresh(name + "_mended_value")
	e.insertBefore(before, onnxio.NewNode("Where", out, []string{m.Name, new.Name, name}, []string{out}))
	return out, nil
}

// splice does what overlay does with the operators of the opsets before Where: it puts the value together out of slices of the computed one
// and of constants. That is exact for every type, which a product with zeros and ones would not be (infinity times 0).
func (e *editor) splice(before *onnxio.Node, name string, dtype onnxio.DataType, dims []int64, over map[int]float64) string {
	op := func(op, in, mark string, attrs ...*onnxio.Attribute) string {
		out := e.fresh(name + mark)
		e.insertBefore(before, onnxio.NewNode(op, out, []string{in}, []string{out}, attrs...))
		return out
	}
	n := 1
	for _, d := range dims {
		n *= int(d)
	}
	from, elem := name, dtype
	if len(dims) != 1 {
		from = e.reshape(before, from, []int64{-1})
	}
	// Concat takes floats alone before opset 4. Sizes are exact in float64.
	cast := e.model.Opset("") < 4 && !dtype.IsFloat()
	if cast {
		elem = onnxio.Double
		from = op("Cast", from, "_mended_wide", castTo(e.model.Opset(""), elem))
	}
	var parts []string
	for k := 0; k < n; {
		_, constant := over[k]
		var vals []float64
		start := k
		for ; k < n; k++ {
			x, ok := over[k]
			if ok != constant {
				break
			}
			vals = append(vals, x)
		}
		if constant {
			c := numbers(e.fresh(name+"_mended"), elem, []int64{int64(len(vals))}, vals)
			e.addConstant(c)
			parts = append(parts, c.Name)
			continue
		}
		parts = append(parts, op("Slice", from, "_mended_part", onnxio.NewInts("axes", 0), onnxio.NewInts("starts", int64(start)), onnxio.NewInts("ends", int64(k))))
	}
	out := e.fresh(name + "_mended_value")
	e.insertBefore(before, onnxio.NewNode("Concat", out, parts, []string{out}, onnxio.NewInt("axis", 0)))
	if cast {
		out = op("Cast", out, "_mended_narrow", castTo(e.model.Opset(""), dtype))
	}
	if len(dims) != 1 {
		out = e.reshape(before, out, dims)
	}
	return out
}

// castTo is the attribute of Cast that names the type of its result, a double or an integer: by a word before opset 6.
func castTo(opset int64, t onnxio.DataType) *onnxio.Attribute {
	switch {
	case opset >= 6:
		return onnxio.NewInt("to", int64(t))
	case t == onnxio.Double:
		return onnxio.NewString("to", "DOUBLE")
	}
	return onnxio.NewString("to", strings.ToUpper(t.String()))
}

// reshape inserts a Reshape before a node: its shape was an attribute before opset 5.
func (e *editor) reshape(before *onnxio.Node, name string, dims []int64) string {
	out := e.fresh(name + "_reshaped")
	if e.model.Opset("") < 5 {
		e.insertBefore(before, onnxio.NewNode("Reshape", out, []string{name}, []string{out}, onnxio.NewInts("shape", dims...)))
		return out
	}
	to := onnxio.NewIntTensor(e.fresh(name+"_reshaped_to"), onnxio.Int64, []int64{int64(len(dims))}, dims)
	e.addConstant(to)
	e.insertBefore(before, onnxio.NewNode("Reshape", out, []string{name, to.Name}, []string{out}))
	return out
}

func (e *editor) insertBefore(before *onnxio.Node, n *onnxio.Node) {
	at := slices.Index(e.model.Graph.Nodes, before)
	e.model.Graph.InsertNode(max(at, 0), n)
}

// numbers makes a tensor of a type out of float64s.
func numbers(name string, dtype onnxio.DataType, dims []int64, vs []float64) *onnxio.Tensor {
	if !dtype.IsFloat() {
		is := make([]int64, len(vs))
		for i, v := range vs {
			is[i] = int64(v)
		}
		return onnxio.NewIntTensor(name, dtype, dims, is)
	}
	var raw []byte
	le := binary.LittleEndian
	for _, v := range vs {
		switch dtype {
		case onnxio.Float:
			raw = le.AppendUint32(raw, math.Float32bits(float32(v)))
		case onnxio.Double:
			raw = le.AppendUint64(raw, math.Float64bits(v))
		case onnxio.Float16:
			raw = le.AppendUint16(raw, onnxio.Float32ToFloat16(float32(v)))
		default:
			raw = le.AppendUint16(raw, onnxio.Float32ToBFloat16(float32(v)))
		}
	}
	return onnxio.NewTensor(name, dtype, dims, raw)
}
