// Package onnxruntime runs models on Microsoft's ONNX Runtime without cgo: the shared library is
// opened at run time and its C functions are called through their addresses.
//
// It is the oracle of the tests, and an engine that a program may opt into. Nothing is loaded before
// [Open] is called. A program that imports the package is linked dynamically against libdl, so the
// packages on the way of an ordinary prune do not import it.
//
// Memory never crosses the border: what goes in is copied into tensors that ONNX Runtime allocates, what
// comes out is copied into Go slices. So the garbage collector needs no promises from the library, and a
// returned [Tensor] outlives its session.
package onnxruntime

import (
	"fmt"
	"sync"
)

// A Library is a loaded ONNX Runtime with its environment. It stays loaded until the process ends, because
// the library's own threads do not survive unloading.
type Library struct {
	api       *api
	env       handle
	allocator handle
	version   string
}

// opened holds one Library per path: ONNX Runtime keeps one environment per process.
var opened = struct {
	sync.Mutex
	libraries map[string]*Library
}{libraries: map[string]*Library{}}

// Open loads the shared library at path, or returns the one already loaded from there. [Find] gives a path.
func Open(path string) (*Library, error) {
	opened.Lock()
	defer opened.Unlock()
	if lib := opened.libraries[path]; lib != nil {
		return lib, nil
	}
	lib, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("opening onnxruntime: %w", err)
	}
	opened.libraries[path] = lib
	return lib, nil
}

// Version is the library's own version, such as "1.30.0".
func (l *Library) Version() string { return l.version }

func open(path string) (*Library, error) {
	base, err := loadBase(path)
	if err != nil {
		return nil, err
	}
	api, version, err := bind(base)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	lib := &Library{api: api, version: version}
	// Fatal only: every other message comes back as an error of the call that caused it.
	const logFatal = 4
	if err := api.check("creating the environment", api.createEnv(logFatal, "onnxprune", &lib.env)); err != nil {
		return nil, err
	}
	if err := api.check("getting the default allocator", api.getAllocatorWithDefaultOptions(&lib.allocator)); err != nil {
		api.releaseEnv(lib.env)
		return nil, err
	}
	return lib, nil
}

// An Error is a refusal by ONNX Runtime, with its own words.
type Error struct {
	Doing   string // what was asked of it
	Code    Code
	Message string // as GetErrorMessage gives it
}

func (e *Error) Error() string {
	return fmt.Sprintf("onnxruntime: %s: %s: %s", e.Doing, e.Code, e.Message)
}

// A Code is an OrtErrorCode.
type Code int32

var codeNames = []string{
	"ok", "fail", "invalid argument", "no such file", "no model", "engine error", "runtime exception", "invalid protobuf",
	"model loaded", "not implemented", "invalid graph", "execution provider failed",
}

func (c Code) String() string {
	if c >= 0 && int(c) < len(codeNames) {
		return codeNames[c]
	}
	return fmt.Sprintf("error code %d", int32(c))
}
