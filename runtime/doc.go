// Package runtime runs ONNX models in pure Go, so that a rewritten model can be proven on any machine.
//
// The way of a model: hoisting takes out of its graphs whatever onnx-go cannot carry, and onnx-go decodes the
// skeleton that is left through our backend (hoist.go, skeleton.go); the compiler puts both together again, opens
// local functions, folds what is constant and asks package ops for a kernel per node (compile.go); the result is a
// program of steps over numbered slots, with the number of readers of every slot (program.go). A
// program runs on one of two machines: gorgonia's TapeMachine, with a gorgonia.Op per step (tape.go), or our own
// gorgonia.VM, a plain walk (walk.go), which also runs the bodies of If, Loop, Scan and SequenceMap. Both work on
// the same frame (frame.go): its handles drop a value's memory as soon as its last reader is done.
//
//	s, err := runtime.Compile(model, runtime.Options{})
//	out, err := s.Run(ctx, map[string]value.Value{"image": x})
package runtime
