package feed

// ONNX's own format for test data: a lone TensorProto, SequenceProto or OptionalProto. Which one it is, the bytes do not say: the
// declared type does.

import (
	"errors"
	"fmt"
	"os"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// ReadPB reads a .pb file that holds a value of a declared type; nil stands for any tensor.
func ReadPB(path string, want *onnxio.Type) (value.Value, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	v, err := ParsePB(b, want)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// deepest is how far sequences and optionals may hold one another.
const deepest = 16

// ParsePB decodes the bytes of a .pb file.
func ParsePB(b []byte, want *onnxio.Type) (value.Value, error) { return parsePB(b, want, 0) }

func parsePB(b []byte, want *onnxio.Type, depth int) (value.Value, error) {
	if depth > deepest {
		return nil, errors.New("its type is nested too deep")
	}
	if want == nil || want.Kind == onnxio.KindTensor || want.Kind == onnxio.KindUnknown {
		t, err := parseTensor(b)
		if err != nil {
			return nil, fmt.Errorf("it holds no tensor that can be read: %w", err)
		}
		return value.FromProto(t)
	}
	if want.Kind != onnxio.KindSequence && want.Kind != onnxio.KindOptional {
		return nil, fmt.Errorf("values of type %v are not read", want)
	}
	var items []value.Value
	err := eachMessage(b, func(field protowire.Number, m []byte) error {
		if field != 3 && field != 5 && field != 7 { // tensor_value(s), sequence_value(s), optional_value(s)
			return nil
		}
		v, err := parsePB(m, want.Of, depth+1)
		items = append(items, v)
		return err
	})
	if err != nil {
		return nil, err
	}
	if want.Kind == onnxio.KindSequence {
		return &value.Sequence{Elem: want.Of, Items: items}, nil
	}
	opt := &value.Optional{Elem: want.Of}
	if len(items) > 0 {
		opt.Value = items[len(items)-1]
	}
	return opt, nil
}

// eachMessage calls f for the length-delimited fields of a message.
func eachMessage(b []byte, f func(field protowire.Number, m []byte) error) error {
	for len(b) > 0 {
		field, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(field, typ, b[n:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		if typ == protowire.BytesType {
			m, _ := protowire.ConsumeBytes(b[n:])
			if err := f(field, m); err != nil {
				return err
			}
		}
		b = b[n+size:]
	}
	return nil
}

// Fields of ModelProto and GraphProto on the way to the first initializer.
const (
	modelGraph, modelOpset, graphInitializer = 7, 8, 5
	opsetVersion                             = 2
)

// parseTensor reads a lone TensorProto by giving it to onnxio as the only weight of a model: all checks are there.
func parseTensor(b []byte) (*onnxio.Tensor, error) {
	message := func(to []byte, field protowire.Number, m []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), m)
	}
	opset := protowire.AppendVarint(protowire.AppendTag(nil, opsetVersion, protowire.VarintType), 1)
	m, err := onnxio.Parse(message(message(nil, modelGraph, message(nil, graphInitializer, b)), modelOpset, opset))
	if err != nil {
		return nil, err
	}
	return m.Graph.Initializers[0], nil
}

// PB encodes a tensor as a TensorProto of that name.
func PB(name string, t *value.Tensor) ([]byte, error) {
	g := onnxio.NewGraph("")
	g.AddInitializer(t.ToProto(name))
	b := onnxio.NewModel(4, "", []onnxio.Opset{{Version: 1}}, g).Bytes()
	for _, step := range []protowire.Number{modelGraph, graphInitializer} {
		var inner []byte
		err := eachMessage(b, func(field protowire.Number, m []byte) error {
			if field == step {
				inner = m
			}
			return nil
		})
		if err != nil || inner == nil {
			return nil, fmt.Errorf("internal error: the tensor was not encoded: %v", err)
		}
		b = inner
	}
	return b, nil
}
