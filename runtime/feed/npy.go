package feed

// NumPy's own format: a magic string, a version, a header that is a Python dictionary, and the elements
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html). An .npz is a zip of such files.

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

const magic = "\x93NUMPY"

// descriptions are NumPy's names of element types, without the byte order.
var descriptions = map[string]onnxio.DataType{
	"f2": onnxio.Float16, "f4": onnxio.Float, "f8": onnxio.Double, "c8": onnxio.Complex64, "c16": onnxio.Complex128, "b1": onnxio.Bool,
	"i1": onnxio.Int8, "i2": onnxio.Int16, "i4": onnxio.Int32, "i8": onnxio.Int64,
	"u1": onnxio.Uint8, "u2": onnxio.Uint16, "u4": onnxio.Uint32, "u8": onnxio.Uint64,
}

// ReadNPY reads an .npy file. Column-major data is brought into rows.
func ReadNPY(file string) (*value.Tensor, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	t, err := ParseNPY(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

// ReadNPZ reads one array of an .npz file: the one of that name, or the only one.
func ReadNPZ(file, name string) (*value.Tensor, error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer z.Close()
	var names []string
	var found *zip.File
	for _, f := range z.File {
		n := strings.TrimSuffix(f.Name, ".npy")
		names = append(names, strconv.Quote(n))
		if n == name || n == path.Base(name) && found == nil || len(z.File) == 1 {
			found = f
		}
	}
	if found == nil {
		return nil, fmt.Errorf("%s: it has no array %q; it has %s", file, name, strings.Join(names, ", "))
	}
	r, err := found.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", file, found.Name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", file, found.Name, err)
	}
	t, err := ParseNPY(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", file, found.Name, err)
	}
	return t, nil
}

// header is what an .npy file says of its elements.
type header struct {
	descr   string
	fortran bool
	shape   []int
}

// ParseNPY decodes the bytes of an .npy file.
func ParseNPY(b []byte) (*value.Tensor, error) {
	h, data, err := splitNPY(b)
	if err != nil {
		return nil, fmt.Errorf("it is no .npy file that can be read: %w", err)
	}
	count, err := value.CheckedCount(h.shape)
	if err != nil {
		return nil, err
	}
	big := strings.HasPrefix(h.descr, ">")
	kind := strings.TrimLeft(h.descr, "<>|=")
	t := &value.Tensor{Shape: h.shape}
	if elem, ok := descriptions[kind]; ok {
		width := elem.Bits() / 8
		if len(data) != count*width {
			return nil, fmt.Errorf("its header says %d bytes of elements (%v%v), it has %d", count*width, elem, h.shape, len(data))
		}
		if part := width; big && width > 1 {
			if elem == onnxio.Complex64 || elem == onnxio.Complex128 {
				part /= 2
			}
			data = swapped(data, part)
		}
		dims := make([]int64, len(h.shape))
		for i, d := range h.shape {
			dims[i] = int64(d)
		}
		if t, err = value.FromProto(onnxio.NewTensor("", elem, dims, data)); err != nil {
			return nil, err
		}
	} else if t.Data, err = texts(kind, data, count, big); err != nil {
		return nil, err
	} else {
		t.Type = onnxio.String
	}
	if h.fortran {
		t = rows(t)
	}
	return t, nil
}

var (
	descrField   = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([^'"]*)['"]`)
	fortranField = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	shapeField   = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([0-9, L]*)\)`)
)

func splitNPY(b []byte) (h header, data []byte, err error) {
	if len(b) < 10 || string(b[:6]) != magic {
		return h, nil, errors.New("it does not begin with NumPy's magic string")
	}
	var length, at int
	switch b[6] {
	case 1:
		length, at = int(binary.LittleEndian.Uint16(b[8:])), 10
	case 2, 3:
		if len(b) < 12 {
			return h, nil, io.ErrUnexpectedEOF
		}
		length, at = int(binary.LittleEndian.Uint32(b[8:])), 12
	default:
		return h, nil, fmt.Errorf("version %d.%d of the format is not known", b[6], b[7])
	}
	if length > len(b)-at {
		return h, nil, io.ErrUnexpectedEOF
	}
	text := string(b[at : at+length])
	descr, fortran, shape := descrField.FindStringSubmatch(text), fortranField.FindStringSubmatch(text), shapeField.FindStringSubmatch(text)
	if descr == nil || fortran == nil || shape == nil {
		return h, nil, fmt.Errorf("its header %q has no plain descr, fortran_order and shape (records are not read)", strings.TrimSpace(text))
	}
	h = header{descr: descr[1], fortran: fortran[1] == "True", shape: []int{}}
	for f := range strings.SplitSeq(shape[1], ",") {
		f = strings.TrimRight(strings.TrimSpace(f), "L") // Python 2 wrote long integers so
		if f == "" {
			continue
		}
		n, err := strconv.Atoi(f)
		if err != nil {
			return h, nil, fmt.Errorf("shape (%s): %w", shape[1], err)
		}
		h.shape = append(h.shape, n)
	}
	return h, b[at+length:], nil
}

// texts decodes fixed-width strings: S of bytes, U of UTF-32; both padded with zeros.
func texts(kind string, data []byte, count int, big bool) ([]string, error) {
	width, err := strconv.Atoi(strings.TrimLeft(kind, "SU"))
	if kind == "" || kind[0] != 'S' && kind[0] != 'U' || err != nil || width < 0 || width > 1<<20 {
		return nil, fmt.Errorf("elements of NumPy's type %q have no counterpart in ONNX", kind)
	}
	unit := 1
	if kind[0] == 'U' {
		unit = 4
	}
	if width*unit*count != len(data) {
		return nil, fmt.Errorf("its header says %d strings of %d bytes, it has %d bytes", count, width*unit, len(data))
	}
	out := make([]string, count)
	for i := range out {
		cell := data[i*width*unit : (i+1)*width*unit]
		if unit == 1 {
			out[i] = string(bytes.TrimRight(cell, "\x00"))
			continue
		}
		var runes []byte
		for k := 0; k < len(cell); k += 4 {
			r := binary.LittleEndian.Uint32(cell[k:])
			if big {
				r = binary.BigEndian.Uint32(cell[k:])
			}
			runes = utf8.AppendRune(runes, rune(r))
		}
		out[i] = string(bytes.TrimRight(runes, "\x00"))
	}
	return out, nil
}

// swapped turns the bytes of every number round.
func swapped(b []byte, width int) []byte {
	out := slices.Clone(b)
	for at := 0; at+width <= len(out); at += width {
		slices.Reverse(out[at : at+width])
	}
	return out
}

// rows brings elements that stand column by column into rows.
func rows(t *value.Tensor) *value.Tensor {
	switch d := t.Data.(type) {
	case []float32:
		t.Data = reorder(d, t.Shape)
	case []float64:
		t.Data = reorder(d, t.Shape)
	case []int8:
		t.Data = reorder(d, t.Shape)
	case []int16:
		t.Data = reorder(d, t.Shape)
	case []int32:
		t.Data = reorder(d, t.Shape)
	case []int64:
		t.Data = reorder(d, t.Shape)
	case []uint8:
		t.Data = reorder(d, t.Shape)
	case []uint16:
		t.Data = reorder(d, t.Shape)
	case []uint32:
		t.Data = reorder(d, t.Shape)
	case []uint64:
		t.Data = reorder(d, t.Shape)
	case []bool:
		t.Data = reorder(d, t.Shape)
	case []complex64:
		t.Data = reorder(d, t.Shape)
	case []complex128:
		t.Data = reorder(d, t.Shape)
	case []string:
		t.Data = reorder(d, t.Shape)
	}
	return t
}

func reorder[T any](d []T, shape []int) []T {
	out := make([]T, len(d))
	index := make([]int, len(shape))
	for k := range out { // out is walked row by row
		at, stride := 0, 1
		for a, n := range shape {
			at += index[a] * stride
			stride *= n
		}
		out[k] = d[at]
		for a := len(shape) - 1; a >= 0; a-- {
			if index[a]++; index[a] < shape[a] {
				break
			}
			index[a] = 0
		}
	}
	return out
}

// NPY encodes a tensor as an .npy file of version 1.0.
func NPY(t *value.Tensor) ([]byte, error) {
	var descr string
	for d, elem := range descriptions {
		if elem == t.Type {
			descr = d
		}
	}
	data := t.Raw()
	switch {
	case t.Type == onnxio.String:
		descr, data = unicode(t.Data.([]string))
	case descr == "":
		return nil, fmt.Errorf("NumPy has no elements of type %v; write a .pb", t.Type)
	case t.Type.Bits() == 8:
		descr = "|" + descr
	default:
		descr = "<" + descr
	}
	var shape strings.Builder
	for _, d := range t.Shape {
		fmt.Fprintf(&shape, "%d, ", d)
	}
	dims := strings.TrimSuffix(shape.String(), " ")
	if len(t.Shape) != 1 { // a tuple of one keeps its comma
		dims = strings.TrimSuffix(dims, ",")
	}
	text := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, dims)
	const align = 64
	pad := (align - (10+len(text)+1)%align) % align
	text += strings.Repeat(" ", pad) + "\n"
	b := append([]byte(magic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(text)))
	return append(append(b, text...), data...), nil
}

// unicode encodes strings as NumPy's U type: UTF-32, all of the longest one's width.
func unicode(ss []string) (descr string, data []byte) {
	width := 1
	for _, s := range ss {
		width = max(width, utf8.RuneCountInString(s))
	}
	for _, s := range ss {
		n := 0
		for _, r := range s {
			data = binary.LittleEndian.AppendUint32(data, uint32(r))
			n++
		}
		data = append(data, make([]byte, 4*(width-n))...)
	}
	return fmt.Sprintf("<U%d", width), data
}
