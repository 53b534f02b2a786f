// Command operators writes docs/operators.md: what channel analysis, shape inference and the runtime know of every operator, taken from
// the tables in which they register their rules.
package main

//go:generate go run onnxprune/cmd/operators ../../docs/operators.md
