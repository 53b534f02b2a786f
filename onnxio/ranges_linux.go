package onnxio

import (
	"os"

	"golang.org/x/sys/unix"
)

// copyTo appends n bytes at an offset of the mapped file to f by copy_file_range(2), and returns how many it copied.
func (m *mapping) copyTo(f *os.File, at, n int) int {
	if m.file == nil {
		return 0
	}
	from, done := int64(at), 0
	for done < n {
		k, err := unix.CopyFileRange(int(m.file.Fd()), &from, int(f.Fd()), nil, n-done, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil || k == 0 {
			break
		}
		done += k
	}
	return done
}
