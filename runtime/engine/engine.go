// Package engine runs models on one of several engines through one face: the embedded runtime, or ONNX Runtime.
//
//	s, err := engine.Open("model.onnx", engine.Options{Kind: engine.ONNXRuntime, Threads: 2})
//	defer s.Close()
//	outputs, err := s.Run(ctx, inputs)
//
// ONNX Runtime is a shared library, and a program that loads one is linked dynamically, without cgo too. The ordinary program is to stay
// static; so it starts a second one, ortrun, which loads the library, and talks to it through a pipe (package pipe). One process
// serves one session, so that its memory is the model's alone, and a crash of the library ends no other work.
package engine

import (
	"context"
	"fmt"
	"time"

	"onnxprune/analysis/option"
	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

// Kind names an engine.
type Kind string

// The engines.
const (
	Embedded    Kind = "embedded"    // package runtime
	ONNXRuntime Kind = "onnxruntime" // Microsoft's, through the program ortrun
	Auto        Kind = "auto"        // ONNX Runtime where it is there, else the embedded runtime
)

// Options of Open.
type Options struct {
	Kind    Kind // "": Embedded
	Threads int  // 0: one per processor
}

// Session is a model that is ready to run. Run may be called from many goroutines; ONNX Runtime then does one run after the other, each
// on all its threads.
type Session interface {
	Engine() string              // what runs it: "the embedded runtime", "ONNX Runtime 1.30.0"
	Inputs() []*onnxio.ValueInfo // that a run needs, in the model's order
	Outputs() []*onnxio.ValueInfo

	// Run computes all outputs. A cancelled ctx ends it; on ONNX Runtime the session is then over.
	Run(ctx context.Context, inputs map[string]value.Value) (map[string]value.Value, error)
	// Prepare keeps inputs for Time, in the engine's own form where it has one.
	Prepare(ctx context.Context, inputs map[string]value.Value) error
	// Time runs the model on what was prepared, and returns how long the engine took: without making inputs and handing out outputs,
	// and without the way to another process.
	Time(ctx context.Context) (time.Duration, error)
	// Load is how long the engine took to load the model: to read, compile and optimise it.
	Load() time.Duration
	// Memory is the most memory that the model has taken so far.
	Memory() Memory

	Close() error
}

// Memory is a number of bytes, and what it counts.
type Memory struct {
	Peak int64  // 0: not known
	Of   string // "weights and intermediate values", "the process"
}

// NotFoundError says that an engine is not installed, and what to do.
type NotFoundError struct{ Msg string }

func (e *NotFoundError) Error() string { return e.Msg }

// ModelError says that an engine can not load or run a model.
type ModelError struct {
	Path   string
	Engine string
	Err    error
}

func (e *ModelError) Error() string { return fmt.Sprintf("%s: %s: %v", e.Path, e.Engine, e.Err) }

func (e *ModelError) Unwrap() error { return e.Err }

// Check refuses options that Open can not use, with an *option.Error.
func (o Options) Check() error {
	switch o.Kind {
	case "", Embedded, ONNXRuntime, Auto:
	default:
		return option.Errorf("engine %q is not known; there are %s, %s and %s", o.Kind, Embedded, ONNXRuntime, Auto)
	}
	if o.Threads < 0 {
		return option.Errorf("%d threads: the number is negative", o.Threads)
	}
	return nil
}

// Open loads a model file. An engine that is not installed is a *NotFoundError.
func Open(path string, opt Options) (Session, error) {
	if err := opt.Check(); err != nil {
		return nil, err
	}
	m, err := onnxio.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := open(m, func() (string, func(), error) { return path, func() {}, nil }, opt)
	if err != nil {
		m.Close()
		return nil, err
	}
	return closing{s, m}, nil
}

// OpenModel loads a model that is in memory, such as one that was just pruned. It must stay open as long as the session. What ONNX
// Runtime is to load is written to a folder for temporary files, and removed again.
func OpenModel(m *onnxio.Model, opt Options) (Session, error) {
	if err := opt.Check(); err != nil {
		return nil, err
	}
	return open(m, func() (string, func(), error) { return staged(m) }, opt)
}

// open makes the session; file gives the model as a file, and what ends its use.
func open(m *onnxio.Model, file func() (path string, done func(), err error), opt Options) (Session, error) {
	switch opt.Kind {
	case "", Embedded:
		return openEmbedded(m, opt)
	case Auto:
		if Available(ONNXRuntime) != nil {
			return openEmbedded(m, opt)
		}
	}
	path, done, err := file()
	if err != nil {
		return nil, err
	}
	defer done()
	return openRemote(m, path, opt)
}

// closing is a session that owns its model.
type closing struct {
	Session
	model *onnxio.Model
}

func (c closing) Close() error {
	err := c.Session.Close()
	if e := c.model.Close(); err == nil {
		err = e
	}
	return err
}
