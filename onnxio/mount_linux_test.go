package onnxio_test

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mountSmall puts an empty file system of a few bytes over dir, which needs the superuser.
func mountSmall(dir string, size int) error {
	return unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
}

func unmount(dir string) { unix.Unmount(dir, 0) }
