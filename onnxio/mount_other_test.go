//go:build !linux

package onnxio_test

import "errors"

func mountSmall(string, int) error { return errors.New("only on Linux") }

func unmount(string) {}
