package runtime

// The skeleton on the wire: as little of onnx.proto as onnx-go needs to read it.

import (
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxprune/onnxio"
)

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendString(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendVarint(b []byte, field protowire.Number, v int64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// encodedModel wraps the nodes of a graph, whose one output is named.
func encodedModel(nodes []byte, output string) []byte {
	graph := appendBytes(nodes, 12, appendString(nil, 1, output)) // GraphProto.output, a ValueInfoProto
	opset := appendVarint(nil, 2, 1)
	model := appendVarint(nil, 1, 8) // ir_version
	model = appendBytes(model, 7, graph)
	return appendBytes(model, 8, opset)
}

// encodedNode appends a NodeProto to a GraphProto.
func encodedNode(graph []byte, name, op string, inputs, outputs []string, attributes []byte) []byte {
	var n []byte
	for _, in := range inputs {
		n = appendString(n, 1, in)
	}
	for _, out := range outputs {
		n = appendString(n, 2, out)
	}
	n = appendString(n, 3, name)
	n = appendString(n, 4, strings.ToValidUTF8(op, "?"))
	return appendBytes(graph, 1, append(n, attributes...))
}

// encodedAttribute appends an AttributeProto to a NodeProto.
func encodedAttribute(node []byte, name string, kind onnxio.AttrType, value func(a []byte) []byte) []byte {
	a := value(appendString(nil, 1, name))
	return appendBytes(node, 5, appendVarint(a, 20, int64(kind)))
}

func encodedInt(node []byte, name string, v int64) []byte {
	return encodedAttribute(node, name, onnxio.AttrInt, func(a []byte) []byte { return appendVarint(a, 3, v) })
}

func encodedFloat(node []byte, name string, v float32) []byte {
	return encodedAttribute(node, name, onnxio.AttrFloat, func(a []byte) []byte {
		return protowire.AppendFixed32(protowire.AppendTag(a, 2, protowire.Fixed32Type), math.Float32bits(v))
	})
}

func encodedText(node []byte, name, v string) []byte {
	return encodedAttribute(node, name, onnxio.AttrString, func(a []byte) []byte { return appendString(a, 4, v) })
}

func encodedInts(node []byte, name string, vs []int64) []byte {
	return encodedAttribute(node, name, onnxio.AttrInts, func(a []byte) []byte {
		for _, v := range vs {
			a = appendVarint(a, 8, v)
		}
		return a
	})
}

func encodedFloats(node []byte, name string, vs []float32) []byte {
	return encodedAttribute(node, name, onnxio.AttrFloats, func(a []byte) []byte {
		for _, v := range vs {
			a = protowire.AppendFixed32(protowire.AppendTag(a, 7, protowire.Fixed32Type), math.Float32bits(v))
		}
		return a
	})
}
