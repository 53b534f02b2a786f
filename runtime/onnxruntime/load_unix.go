// Loading on systems with dlopen.

//go:build darwin || linux

package onnxruntime

import (
	"errors"
	"fmt"

	"github.com/ebitengine/purego"
)

// loadBase opens the shared library and asks for its entry.
func loadBase(path string) (*apiBase, error) {
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	entry, err := purego.Dlsym(library, "OrtGetApiBase")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s is not onnxruntime: %w", path, err), purego.Dlclose(library))
	}
	var getBase func() *apiBase
	if err := register(&getBase, entry); err != nil {
		return nil, err
	}
	base := getBase()
	if base == nil {
		return nil, fmt.Errorf("%s: OrtGetApiBase returned nothing", path)
	}
	return base, nil
}

// register makes the function that fn points to call the C function at address.
func register(fn any, address uintptr) error {
	if address == 0 {
		return errNoAddress
	}
	purego.RegisterFunc(fn, address)
	return nil
}
