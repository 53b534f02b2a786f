// Package onnxio is the file layer: an ONNX model read at the wire level.
//
// A model is one mapped buffer. Every protobuf message keeps the bytes that it was
// read from and its fields in the order in which they stood; typed accessors
// (Graph, Node, Attribute, Tensor, ValueInfo) decode what they are asked for, and a
// message that nobody changed is written back as the bytes it came from. So unknown
// fields, doc strings, metadata, training info, field order and odd encodings survive, opening
// costs time in proportion to the graph and not to the weights, and a model that
// was only opened is saved byte for byte.
//
// Changes go through setters on a Clone: the original stays as it was. Large payloads
// (the slices of a pruned weight) are views that are produced while the file is
// written, never before.
//
// Input is hostile until proven otherwise: every length is checked against the bytes
// that are there, depth is bounded, nothing is allocated that the file's size does not
// justify, and no input makes this package panic.
package onnxio
