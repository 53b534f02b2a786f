package onnxio

import (
	"fmt"
	"io"
	"slices"
)

// Slices is a part of a tensor's elements: along every axis a list of the indices that stay.
// It is a view: its bytes are produced when it is written or asked for, so a pruned model
// costs no memory before it is saved.
type Slices struct {
	whole []byte  // set: all of these bytes, as they are
	base  []byte  // else: the dense elements of the tensor that is cut
	dims  []int64 // its dims
	width int     // bytes of an element
	kept  [][]int // per axis the indices that stay; nil for all
}

// Cut keeps, along every axis, only the indices listed in kept (nil: all). Lists must be within
// bounds; they need not be sorted, and may repeat. The elements come from the tensor's own
// bytes, which stay where they are.
func (t *Tensor) Cut(kept [][]int) error {
	if len(kept) != len(t.Dims) {
		return fmt.Errorf("tensor %q: %d index lists for %d axes", t.Name, len(kept), len(t.Dims))
	}
	dims := slices.Clone(t.Dims)
	for a, ks := range kept {
		if ks == nil {
			continue
		}
		for _, k := range ks {
			if k < 0 || int64(k) >= t.Dims[a] {
				return fmt.Errorf("tensor %q: index %d is outside axis %d of %v", t.Name, k, a, t.Dims)
			}
		}
		dims[a] = int64(len(ks))
	}
	if t.DataType == String {
		return t.cutStrings(dims, kept)
	}
	raw, err := t.Raw()
	if err != nil {
		return err
	}
	bits := t.DataType.Bits()
	if bits < 8 { // elements share bytes: spread them, cut, pack again
		s := &Slices{base: unpack(raw, bits, int(t.Len())), dims: slices.Clone(t.Dims), width: 1, kept: kept}
		packed := pack(s.bytes(), bits)
		t.replaceData(dims, field{body: rawPayload(packed)}, &Slices{whole: packed})
		return nil
	}
	s := &Slices{base: raw, dims: slices.Clone(t.Dims), width: bits / 8, kept: slices.Clone(kept)}
	t.replaceData(dims, field{body: s}, s)
	return nil
}

func (t *Tensor) cutStrings(dims []int64, kept [][]int) error {
	ss, err := t.Strings()
	if err != nil {
		return err
	}
	index := make([]byte, 0, 4*len(ss))
	for i := range ss {
		index = appendInt(index, int64(i), 4)
	}
	s := &Slices{base: index, dims: t.Dims, width: 4, kept: kept}
	var out []string
	for b := s.bytes(); len(b) > 0; b = b[4:] {
		out = append(out, ss[int(b[0])|int(b[1])<<8|int(b[2])<<16|int(b[3])<<24])
	}
	t.set(6, stringFields(6, out)...)
	var fs []field
	if len(dims) > 0 {
		fs = []field{packedField(1, dims)}
	}
	t.set(1, fs...)
	t.Dims = dims
	return nil
}

func unpack(b []byte, bits, n int) []byte {
	out := make([]byte, n)
	per := 8 / bits
	for i := range out {
		out[i] = b[i/per] >> (i % per * bits) & (1<<bits - 1)
	}
	return out
}

func pack(vs []byte, bits int) []byte {
	per := 8 / bits
	out := make([]byte, (len(vs)+per-1)/per)
	for i, v := range vs {
		out[i/per] |= v << (i % per * bits)
	}
	return out
}

// Len returns the number of bytes.
func (s *Slices) Len() int {
	if s.base == nil && s.kept == nil {
		return len(s.whole)
	}
	n := s.width
	for a, d := range s.dims {
		if s.kept[a] != nil {
			n *= len(s.kept[a])
		} else {
			n *= int(d)
		}
	}
	return n
}

// WriteTo writes the elements, run by run.
func (s *Slices) WriteTo(w io.Writer) (int64, error) {
	if s.base == nil && s.kept == nil {
		n, err := w.Write(s.whole)
		return int64(n), err
	}
	total := int64(0)
	err := s.runs(func(b []byte) error {
		n, err := w.Write(b)
		total += int64(n)
		return err
	})
	return total, err
}

func (s *Slices) bytes() []byte {
	if s.base == nil && s.kept == nil {
		return s.whole
	}
	out := make([]byte, 0, s.Len())
	s.runs(func(b []byte) error { out = append(out, b...); return nil })
	return out
}

// runs calls emit with every longest contiguous run of the elements that stay, in order.
func (s *Slices) runs(emit func([]byte) error) error {
	if s.Len() == 0 {
		return nil
	}
	last := -1 // the innermost axis that is cut; behind it everything is one block
	for a, k := range s.kept {
		if k != nil {
			last = a
		}
	}
	if last < 0 {
		return emit(s.base)
	}
	stride := make([]int, len(s.dims)+1)
	stride[len(s.dims)] = s.width
	for a := len(s.dims) - 1; a >= 0; a-- {
		stride[a] = stride[a+1] * int(s.dims[a])
	}
	spans := joined(s.kept[last])
	var walk func(axis, at int) error
	walk = func(axis, at int) error {
		if axis == last {
			for _, sp := range spans {
				if err := emit(s.base[at+sp[0]*stride[axis+1] : at+sp[1]*stride[axis+1]]); err != nil {
					return err
				}
			}
			return nil
		}
		if s.kept[axis] == nil {
			for i := range int(s.dims[axis]) {
				if err := walk(axis+1, at+i*stride[axis+1]); err != nil {
					return err
				}
			}
			return nil
		}
		for _, i := range s.kept[axis] {
			if err := walk(axis+1, at+i*stride[axis+1]); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(0, 0)
}

// joined turns indices into half-open spans of consecutive ones.
func joined(ks []int) [][2]int {
	var out [][2]int
	for _, k := range ks {
		if n := len(out); n > 0 && out[n-1][1] == k {
			out[n-1][1]++
		} else {
			out = append(out, [2]int{k, k + 1})
		}
	}
	return out
}
