// Package serve lets ONNX Runtime run models for another program, which talks through a pipe: package onnxprune/runtime/engine.
package serve

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"onnxprune/runtime/engine/pipe"
	"onnxprune/runtime/onnxruntime"
)

// Serve finds ONNX Runtime and answers requests until r ends.
func Serve(r io.Reader, w io.Writer) error {
	e := &engine{}
	defer e.close()
	name, missing := "", error(nil)
	path, err := onnxruntime.Find()
	if err == nil {
		e.library, err = onnxruntime.Open(path)
	}
	if missing = err; missing == nil {
		name = "ONNX Runtime " + e.library.Version()
	}
	return pipe.Serve(r, w, name, e, missing)
}

// engine serves one session.
type engine struct {
	library  *onnxruntime.Library
	session  *onnxruntime.Session
	prepared *onnxruntime.Prepared
}

func (e *engine) close() {
	if e.prepared != nil {
		e.prepared.Close()
		e.prepared = nil
	}
	if e.session != nil {
		e.session.Close()
		e.session = nil
	}
}

func (e *engine) Open(path string, threads int) (err error) {
	e.close()
	// Threads that spin after a run would take processors away from the model that is run next in another process.
	e.session, err = e.library.NewSession(path, onnxruntime.Options{Threads: threads, StopSpinning: true})
	return err
}

var errNoModel = errors.New("no model is loaded")

func (e *engine) Run(values map[string]*pipe.Tensor) (map[string]*pipe.Tensor, error) {
	if e.session == nil {
		return nil, errNoModel
	}
	out, err := e.session.Run(tensors(values), nil)
	if err != nil {
		return nil, err
	}
	back := map[string]*pipe.Tensor{}
	for name, t := range out {
		back[name] = from(t)
	}
	return back, nil
}

func (e *engine) Prepare(values map[string]*pipe.Tensor) (err error) {
	if e.session == nil {
		return errNoModel
	}
	if e.prepared != nil {
		e.prepared.Close()
	}
	e.prepared, err = e.session.Prepare(tensors(values))
	return err
}

func (e *engine) Time() (float64, error) {
	if e.prepared == nil {
		return 0, errors.New("no inputs are prepared")
	}
	d, err := e.prepared.Time()
	return d.Seconds(), err
}

// PeakMemory is what Linux says of the process; 0 elsewhere.
func (e *engine) PeakMemory() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == "VmHWM:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64)
			return kib << 10
		}
	}
	return 0
}

func tensors(values map[string]*pipe.Tensor) map[string]*onnxruntime.Tensor {
	out := map[string]*onnxruntime.Tensor{}
	for name, t := range values {
		out[name] = to(t)
	}
	return out
}

func to(t *pipe.Tensor) *onnxruntime.Tensor {
	if !t.Sequence {
		return &onnxruntime.Tensor{Type: t.Type, Shape: t.Shape, Data: t.Data, Strings: t.Strings}
	}
	out := &onnxruntime.Tensor{Sequence: []*onnxruntime.Tensor{}}
	for _, item := range t.Items {
		out.Sequence = append(out.Sequence, to(item))
	}
	return out
}

func from(t *onnxruntime.Tensor) *pipe.Tensor {
	if t.Sequence == nil {
		return &pipe.Tensor{Type: t.Type, Shape: t.Shape, Data: t.Data, Strings: t.Strings}
	}
	out := &pipe.Tensor{Sequence: true}
	for _, item := range t.Sequence {
		out.Items = append(out.Items, from(item))
	}
	return out
}

// Main is Serve on the standard streams; it returns the exit code.
func Main() int {
	if err := Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ortrun:", err)
		return 1
	}
	return 0
}
