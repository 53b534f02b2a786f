// Package onnxprune removes whole channels from the convolutions and linear layers of an ONNX model, proves that the
// result is right, and saves it. No training framework is needed, and no Python.
//
// The way of the data is one direction: Open reads a model and finds out which channels hang together; Select picks
// channels by names and ratios and returns a plan; Apply carries the plan out. Prune runs the whole way, verification
// included, and saves nothing that did not pass. Params, Groups and Explain say what could be pruned and why something can not.
//
// ExitCode maps an error to the exit code of the command line tool: it also says of what kind the error is.
package onnxprune

// Version is the version of the tool and of this package.
const Version = "0.1.0"
