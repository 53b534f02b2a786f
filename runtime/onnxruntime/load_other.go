// Systems on which this package cannot load a shared library.

//go:build !(darwin || linux)

package onnxruntime

import (
	"fmt"
	"runtime"
)

func loadBase(path string) (*apiBase, error) {
	return nil, fmt.Errorf("%s: loading onnxruntime is not supported on %s", path, runtime.GOOS)
}

func register(any, uintptr) error { return errNoAddress }
