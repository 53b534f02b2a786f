package onnxio_test

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// This file writes protobuf by hand, so that tests can hold encodings that this package itself never writes.

// msg is a message under construction.
type msg []byte

func (m msg) int(num int, v int64) msg {
	return protowire.AppendVarint(protowire.AppendTag(m, protowire.Number(num), protowire.VarintType), uint64(v))
}

func (m msg) bytes(num int, b []byte) msg {
	return protowire.AppendBytes(protowire.AppendTag(m, protowire.Number(num), protowire.BytesType), b)
}

func (m msg) str(num int, s string) msg { return m.bytes(num, []byte(s)) }

// ints appends a repeated integer, packed.
func (m msg) ints(num int, vs ...int64) msg {
	var b []byte
	for _, v := range vs {
		b = protowire.AppendVarint(b, uint64(v))
	}
	return m.bytes(num, b)
}

func (m msg) float(num int, v float32) msg {
	return protowire.AppendFixed32(protowire.AppendTag(m, protowire.Number(num), protowire.Fixed32Type), math.Float32bits(v))
}

func (m msg) double(num int, v float64) msg {
	return protowire.AppendFixed64(protowire.AppendTag(m, protowire.Number(num), protowire.Fixed64Type), math.Float64bits(v))
}

// model wraps initializers in the smallest model that can be read.
func model(tensors ...msg) []byte {
	graph := msg{}.str(2, "g")
	for _, t := range tensors {
		graph = graph.bytes(5, t)
	}
	return msg{}.int(1, 8).bytes(7, graph).bytes(8, msg{}.int(2, 17))
}

// typedModel holds a tensor in every typed field, packed and not.
func typedModel() []byte {
	return model(
		msg{}.ints(1, 2).int(2, 1).float(4, 1).float(4, 2).str(8, "floats"),
		msg{}.int(1, 2).int(2, 7).ints(7, -1, 5).str(8, "ints"),
		msg{}.int(1, 2).int(2, 10).int(5, 0x3c00).int(5, 0xc000).str(8, "halves"),
		msg{}.int(1, 2).int(2, 11).double(10, 1.5).double(10, -2).str(8, "doubles"),
		msg{}.int(1, 2).int(2, 13).ints(11, 1, 2).str(8, "unsigned"),
		msg{}.int(1, 3).int(2, 22).ints(5, 0x21, 0x03).str(8, "nibbles"),
		msg{}.int(1, 2).int(2, 8).str(6, "a").str(6, "").str(8, "strings"),
	)
}
