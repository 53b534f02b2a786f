package main

import "google.golang.org/protobuf/encoding/protowire"

// externalWeight encodes a model of one MatMul whose weight lies in a data file, wherever location points.
func externalWeight(location string) []byte {
	text := func(num protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, num, protowire.BytesType), s)
	}
	number := func(num protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
	}
	message := func(num protowire.Number, parts ...[]byte) []byte {
		var b []byte
		for _, p := range parts {
			b = append(b, p...)
		}
		return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
	}
	float := func(dims ...uint64) []byte { // TypeProto.tensor_type
		var shape []byte
		for _, d := range dims {
			shape = append(shape, message(1, number(1, d))...)
		}
		return message(2, message(1, number(1, 1), message(2, shape)))
	}
	weight := message(5, number(1, 4), number(1, 8), number(2, 1), text(8, "w"), message(13, text(1, "location"), text(2, location)), number(14, 1))
	node := message(1, text(1, "x"), text(1, "w"), text(2, "y"), text(4, "MatMul"))
	graph := message(7, node, text(2, "external"), weight, message(11, text(1, "x"), float(1, 4)), message(12, text(1, "y"), float(1, 8)))
	var model []byte
	for _, p := range [][]byte{number(1, 8), graph, message(8, number(2, 17))} {
		model = append(model, p...)
	}
	return model
}
