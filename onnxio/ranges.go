package onnxio

import (
	"bufio"
	"os"
	"unsafe"
)

// minRange is the size from which bytes of the source file are copied by the kernel and not through memory, bytes.
const minRange = 64 << 10

// rangeWriter writes a file. Neighbouring bytes that come from a mapped source file are joined, and long runs of them are copied
// from file to file by the kernel, which spares a page fault for every page and the way through memory.
type rangeWriter struct {
	buf     *bufio.Writer
	file    *os.File
	from    []*mapping
	source  *mapping // of pending
	pending []byte   // bytes of source that are not written yet
}

func newRangeWriter(f *os.File, from []*mapping) *rangeWriter {
	return &rangeWriter{buf: bufio.NewWriterSize(f, writeBuffer), file: f, from: from}
}

// Write takes p, which must stay as it is until Flush when it lies in a mapping.
func (w *rangeWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if n := len(w.pending); n > 0 && cap(w.pending)-n >= len(p) && &w.pending[:n+1][n] == &p[0] {
		w.pending = w.pending[:n+len(p)]
		return len(p), nil
	}
	if err := w.settle(); err != nil {
		return 0, err
	}
	for _, m := range w.from {
		if at, ok := m.offset(p); ok {
			w.source, w.pending = m, m.data[at:at+len(p)] // with the capacity to grow to the file's end
			return len(p), nil
		}
	}
	return w.buf.Write(p)
}

// offset returns where in the file p lies.
func (m *mapping) offset(p []byte) (int, bool) {
	if m == nil || len(m.data) == 0 {
		return 0, false
	}
	base, at := uintptr(unsafe.Pointer(&m.data[0])), uintptr(unsafe.Pointer(&p[0]))
	if at < base || at-base > uintptr(len(m.data)-len(p)) || len(p) > len(m.data) {
		return 0, false
	}
	return int(at - base), true
}

// settle writes the pending bytes.
func (w *rangeWriter) settle() error {
	p, m := w.pending, w.source
	w.pending, w.source = nil, nil
	if len(p) < minRange {
		_, err := w.buf.Write(p)
		return err
	}
	if err := w.buf.Flush(); err != nil {
		return err
	}
	at, _ := m.offset(p)
	n := m.copyTo(w.file, at, len(p))
	_, err := w.file.Write(p[n:]) // what the kernel would not copy
	return err
}

// Flush writes all that is pending.
func (w *rangeWriter) Flush() error {
	if err := w.settle(); err != nil {
		return err
	}
	return w.buf.Flush()
}
