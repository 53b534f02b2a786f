package onnxio

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// AttrType is the type of an attribute, numbered as AttributeProto.AttributeType.
type AttrType int32

// The attribute types of ONNX.
const (
	AttrUndefined     AttrType = 0
	AttrFloat         AttrType = 1
	AttrInt           AttrType = 2
	AttrString        AttrType = 3
	AttrTensor        AttrType = 4
	AttrGraph         AttrType = 5
	AttrFloats        AttrType = 6
	AttrInts          AttrType = 7
	AttrStrings       AttrType = 8
	AttrTensors       AttrType = 9
	AttrGraphs        AttrType = 10
	AttrSparseTensor  AttrType = 11
	AttrSparseTensors AttrType = 12
	AttrTypeProto     AttrType = 13
	AttrTypeProtos    AttrType = 14
)

var attrTypeNames = [...]string{"undefined", "float", "int", "string", "tensor", "graph", "floats", "ints", "strings",
	"tensors", "graphs", "sparse tensor", "sparse tensors", "type", "types"}

func (t AttrType) String() string {
	if t < 0 || int(t) >= len(attrTypeNames) {
		return fmt.Sprintf("attribute type %d", int32(t))
	}
	return attrTypeNames[t]
}

// Attribute is an AttributeProto. The value that belongs to Type is set, the others are zero.
type Attribute struct {
	message
	Name    string
	Type    AttrType
	RefName string // inside a function: the attribute of the call that it stands for

	F       float32
	I       int64
	S       []byte
	Floats  []float32
	Ints    []int64
	Strings [][]byte
	Tensor  *Tensor
	Tensors []*Tensor
	Graph   *Graph
	Graphs  []*Graph
	Sparse  *SparseTensor
	TP      *Type
}

// attrField says which field number holds the value of which attribute type.
var attrField = map[protowire.Number]AttrType{2: AttrFloat, 3: AttrInt, 4: AttrString, 5: AttrTensor, 6: AttrGraph, 7: AttrFloats,
	8: AttrInts, 9: AttrStrings, 10: AttrTensors, 11: AttrGraphs, 22: AttrSparseTensor, 23: AttrSparseTensors, 14: AttrTypeProto, 15: AttrTypeProtos}

func parseAttribute(p parser, b []byte) (*Attribute, error) {
	p, err := p.deeper()
	if err != nil {
		return nil, err
	}
	a := &Attribute{}
	if a.message, err = readFields(b); err != nil {
		return nil, fmt.Errorf("attribute: %w", err)
	}
	guess := AttrUndefined
	for i := range a.fields {
		f := &a.fields[i]
		if t, ok := attrField[f.num]; ok && guess == AttrUndefined {
			guess = t
		}
		if err := a.parseField(p, f); err != nil {
			return nil, fmt.Errorf("attribute %q: %w", a.Name, err)
		}
	}
	if a.Type == AttrUndefined { // IR versions 1 and 2 leave the type out
		a.Type = guess
	}
	return a, nil
}

func (a *Attribute) parseField(p parser, f *field) error {
	switch f.num {
	case 1:
		return f.str(&a.Name)
	case 2:
		b, err := f.fixed(nil, 4)
		if err != nil || len(b) != 4 {
			return fmt.Errorf("broken float value")
		}
		a.F = math.Float32frombits(binary.LittleEndian.Uint32(b))
	case 3:
		return f.int(&a.I)
	case 4:
		b, err := f.bytes()
		a.S = b
		return err
	case 5:
		return parseSingle(p, f, &a.Tensor, parseTensor)
	case 6:
		return parseSingle(p, f, &a.Graph, parseGraph)
	case 7:
		b, err := f.fixed(nil, 4)
		for ; err == nil && len(b) > 0; b = b[4:] {
			a.Floats = append(a.Floats, math.Float32frombits(binary.LittleEndian.Uint32(b)))
		}
		return err
	case 8:
		v, err := f.varints(a.Ints)
		a.Ints = v
		return err
	case 9:
		b, err := f.bytes()
		a.Strings = append(a.Strings, b)
		return err
	case 10:
		return parseChild(p, f, &a.Tensors, parseTensor)
	case 11:
		return parseChild(p, f, &a.Graphs, parseGraph)
	case 14:
		b, err := f.bytes()
		if err != nil {
			return err
		}
		a.TP, err = parseType(p, b)
		return err
	case 20:
		var v int64
		err := f.int(&v)
		a.Type = AttrType(v)
		return err
	case 21:
		return f.str(&a.RefName)
	case 22:
		return parseSingle(p, f, &a.Sparse, parseSparse)
	}
	return nil
}

// parseSingle decodes a sub-message that may stand only once.
func parseSingle[T interface {
	comparable
	encoder
}](p parser, f *field, dst *T, parse func(parser, []byte) (T, error)) error {
	var zero T
	if *dst != zero {
		return fmt.Errorf("field %d stands twice", f.num)
	}
	var list []T
	if err := parseChild(p, f, &list, parse); err != nil {
		return err
	}
	*dst = list[0]
	return nil
}

// NewInt makes an attribute that holds one integer.
func NewInt(name string, v int64) *Attribute {
	return newAttribute(&Attribute{Name: name, Type: AttrInt, I: v}, varintField(3, v))
}

// NewFloat makes an attribute that holds one float.
func NewFloat(name string, v float32) *Attribute {
	raw := protowire.AppendFixed32(protowire.AppendTag(nil, 2, protowire.Fixed32Type), math.Float32bits(v))
	return newAttribute(&Attribute{Name: name, Type: AttrFloat, F: v}, field{num: 2, raw: raw})
}

// NewString makes an attribute that holds one string.
func NewString(name, v string) *Attribute {
	return newAttribute(&Attribute{Name: name, Type: AttrString, S: []byte(v)}, stringField(4, v))
}

// NewInts makes an attribute that holds a list of integers.
func NewInts(name string, vs ...int64) *Attribute {
	a := &Attribute{Name: name, Type: AttrInts, Ints: slices.Clone(vs)}
	fs := make([]field, len(vs))
	for i, v := range vs {
		fs[i] = varintField(8, v)
	}
	return newAttribute(a, fs...)
}

// NewFloats makes an attribute that holds a list of floats.
func NewFloats(name string, vs ...float32) *Attribute {
	a := &Attribute{Name: name, Type: AttrFloats, Floats: slices.Clone(vs)}
	fs := make([]field, len(vs))
	for i, v := range vs {
		fs[i] = field{num: 7, raw: protowire.AppendFixed32(protowire.AppendTag(nil, 7, protowire.Fixed32Type), math.Float32bits(v))}
	}
	return newAttribute(a, fs...)
}

// NewStrings makes an attribute that holds a list of strings.
func NewStrings(name string, vs ...string) *Attribute {
	a := &Attribute{Name: name, Type: AttrStrings}
	for _, v := range vs {
		a.Strings = append(a.Strings, []byte(v))
	}
	return newAttribute(a, stringFields(9, vs)...)
}

// NewTensorAttr makes an attribute that holds a tensor.
func NewTensorAttr(name string, t *Tensor) *Attribute {
	return newAttribute(&Attribute{Name: name, Type: AttrTensor, Tensor: t}, childField(5, t))
}

// NewGraphAttr makes an attribute that holds a graph.
func NewGraphAttr(name string, g *Graph) *Attribute {
	return newAttribute(&Attribute{Name: name, Type: AttrGraph, Graph: g}, childField(6, g))
}

// NewTypeAttr makes an attribute that holds a type.
func NewTypeAttr(name string, t *Type) *Attribute {
	return newAttribute(&Attribute{Name: name, Type: AttrTypeProto, TP: t}, bytesField(14, t.encode()))
}

// NewRef makes an attribute of a node inside a function: it has no value of its own and stands for the
// attribute ref of the function's call.
func NewRef(name string, t AttrType, ref string) *Attribute {
	return newAttribute(&Attribute{Name: name, Type: t, RefName: ref}, stringField(21, ref))
}

func newAttribute(a *Attribute, value ...field) *Attribute {
	a.fields = append(append([]field{stringField(1, a.Name)}, value...), varintField(20, int64(a.Type)))
	return a
}
