// The little of ONNX's protobuf messages that the tests need: expected tensors are read, small models are written.

package onnxruntime

import (
	"encoding/binary"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields calls see for every field of a message; number holds a varint or fixed value, content a length-delimited one.
func fields(message []byte, see func(field protowire.Number, number uint64, content []byte) error) error {
	for len(message) > 0 {
		field, wire, n := protowire.ConsumeTag(message)
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		var number uint64
		var content []byte
		switch wire {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		case protowire.Fixed32Type:
			var v uint32
			v, n = protowire.ConsumeFixed32(message)
			number = uint64(v)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(message)
		case protowire.BytesType:
			content, n = protowire.ConsumeBytes(message)
		default:
			return fmt.Errorf("field %d has wire type %d", field, wire)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		message = message[n:]
		if err := see(field, number, content); err != nil {
			return err
		}
	}
	return nil
}

// varints gives the values of a repeated integer field's piece: one when it is not packed.
func varints(number uint64, content []byte) ([]uint64, error) {
	if content == nil {
		return []uint64{number}, nil
	}
	var list []uint64
	for len(content) > 0 {
		v, n := protowire.ConsumeVarint(content)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		list, content = append(list, v), content[n:]
	}
	return list, nil
}

// decodeTensor reads a TensorProto: dims 1, data_type 2, float_data 4, int32_data 5, string_data 6, int64_data 7,
// raw_data 9, double_data 10, uint64_data 11.
func decodeTensor(message []byte) (*Tensor, error) {
	t := &Tensor{Shape: []int64{}}
	var integers []uint64 // int32_data, int64_data, uint64_data
	err := fields(message, func(field protowire.Number, number uint64, content []byte) error {
		switch field {
		case 1:
			dims, err := varints(number, content)
			for _, d := range dims {
				t.Shape = append(t.Shape, int64(d))
			}
			return err
		case 2:
			t.Type = int32(number)
		case 4, 10: // floats and doubles are stored as they are in memory
			if content == nil {
				return fmt.Errorf("field %d is not packed", field)
			}
			t.Data = append(t.Data, content...)
		case 5, 7, 11:
			values, err := varints(number, content)
			integers = append(integers, values...)
			return err
		case 6:
			t.Strings = append(t.Strings, string(content))
		case 9:
			t.Data = append(t.Data, content...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(integers) > 0 {
		return t, t.pack(integers)
	}
	return t, nil
}

// pack stores typed integers at the width of the element type; packed types hold one byte per integer already.
func (t *Tensor) pack(integers []uint64) error {
	for _, v := range integers {
		switch bits := elemTypes[t.Type].bits; {
		case bits <= 8:
			t.Data = append(t.Data, byte(v))
		case bits == 16:
			t.Data = binary.LittleEndian.AppendUint16(t.Data, uint16(v))
		case bits == 32:
			t.Data = binary.LittleEndian.AppendUint32(t.Data, uint32(v))
		case bits == 64:
			t.Data = binary.LittleEndian.AppendUint64(t.Data, v)
		default:
			return fmt.Errorf("integers in a tensor of %s", TypeName(t.Type))
		}
	}
	return nil
}

// decodeSequence reads a SequenceProto of tensors: tensor_values 3.
func decodeSequence(message []byte) (*Tensor, error) {
	sequence := &Tensor{Sequence: []*Tensor{}}
	err := fields(message, func(field protowire.Number, _ uint64, content []byte) error {
		if field != 3 {
			return nil
		}
		t, err := decodeTensor(content)
		sequence.Sequence = append(sequence.Sequence, t)
		return err
	})
	return sequence, err
}

// decodeOptional reads an OptionalProto with a value: tensor_value 3, sequence_value 5.
func decodeOptional(message []byte) (*Tensor, error) {
	var value *Tensor
	err := fields(message, func(field protowire.Number, _ uint64, content []byte) (err error) {
		switch field {
		case 3:
			value, err = decodeTensor(content)
		case 5:
			value, err = decodeSequence(content)
		}
		return err
	})
	return value, err
}

// A message under construction.
type message []byte

func (m message) bytes(field protowire.Number, content []byte) message {
	return protowire.AppendBytes(protowire.AppendTag(m, field, protowire.BytesType), content)
}

func (m message) text(field protowire.Number, content string) message {
	return m.bytes(field, []byte(content))
}

func (m message) number(field protowire.Number, v uint64) message {
	return protowire.AppendVarint(protowire.AppendTag(m, field, protowire.VarintType), v)
}

// modelOf writes a ModelProto of opset 17 with the given nodes, inputs and outputs.
func modelOf(nodes, inputs, outputs []message) []byte {
	var graph message
	for _, n := range nodes {
		graph = graph.bytes(1, n)
	}
	graph = graph.text(2, "test")
	for _, v := range inputs {
		graph = graph.bytes(11, v)
	}
	for _, v := range outputs {
		graph = graph.bytes(12, v)
	}
	return message(nil).number(1, 8).bytes(7, graph).bytes(8, message(nil).number(2, 17))
}

// nodeOf writes a NodeProto.
func nodeOf(operator string, inputs, outputs []string, attributes ...message) message {
	var m message
	for _, name := range inputs {
		m = m.text(1, name)
	}
	for _, name := range outputs {
		m = m.text(2, name)
	}
	m = m.text(4, operator)
	for _, a := range attributes {
		m = m.bytes(5, a)
	}
	return m
}

// typeOf writes a TypeProto of a tensor. A dimension is an int, or a string for a symbol, "" for an unknown one.
func typeOf(elemType int32, dims ...any) message {
	var shape message
	for _, d := range dims {
		var dim message
		switch d := d.(type) {
		case int:
			dim = dim.number(1, uint64(d))
		case string:
			if d != "" {
				dim = dim.text(2, d)
			}
		}
		shape = shape.bytes(1, dim)
	}
	return message(nil).bytes(1, message(nil).number(1, uint64(elemType)).bytes(2, shape))
}

// valueOf writes a ValueInfoProto.
func valueOf(name string, typ message) message { return message(nil).text(1, name).bytes(2, typ) }
