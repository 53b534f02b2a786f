package proof

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"onnxprune/onnxio"
)

// sameContent says where p is not the part of o that keep names, along every axis (nil: all of it); "" where it is. Memory that the
// two share is not read.
func sameContent(o, p *onnxio.Tensor, keep [][]int) string {
	bits := o.DataType.Bits()
	if bits < 8 {
		return sameSmall(o, p, keep)
	}
	base, err := o.Raw()
	if err != nil {
		return err.Error()
	}
	runs := newRuns(o.Dims, keep, bits/8)
	at, same := 0, true
	err = p.Pieces(func(b []byte) error {
		for len(b) > 0 {
			from, n := runs.next(len(b))
			if n == 0 || from+n > len(base) {
				return fmt.Errorf("it has more than %d bytes", at)
			}
			want := base[from : from+n]
			if &want[0] != &b[0] && !bytes.Equal(want, b[:n]) {
				same = false
				return errStop
			}
			b, at = b[n:], at+n
		}
		return nil
	})
	switch {
	case !same:
		return firstDifference(o, p, keep)
	case err != nil:
		return err.Error()
	case runs.left() > 0:
		return fmt.Sprintf("it has only %d bytes", at)
	}
	return ""
}

var errStop = errors.New("a difference")

// runs are the stretches of consecutive bytes of a tensor that stay, in order.
type runs struct {
	outer  [][]int // the axes before the last one that is cut: the indices that stay
	stride []int   // bytes between two indices of each of them
	spans  [][2]int
	index  []int // of every outer axis
	start  int   // of the current outer indices, in bytes
	span   int   // the current one of spans
	used   int   // bytes of it that were handed out
	over   bool
}

func newRuns(dims []int64, keep [][]int, width int) *runs {
	last := -1
	for k := range keep {
		if keep[k] != nil {
			last = k
		}
	}
	inner := width
	for _, d := range dims[last+1:] {
		inner *= int(d)
	}
	r := &runs{}
	if last < 0 {
		r.spans = [][2]int{{0, inner}}
	} else {
		for _, i := range keep[last] { // neighbours are one stretch
			if n := len(r.spans); n > 0 && r.spans[n-1][1] == i*inner {
				r.spans[n-1][1] += inner
			} else {
				r.spans = append(r.spans, [2]int{i * inner, (i + 1) * inner})
			}
		}
		stride := inner * int(dims[last])
		for k := last - 1; k >= 0; k-- {
			ks := keep[k]
			if ks == nil {
				for i := range int(dims[k]) {
					ks = append(ks, i)
				}
			}
			r.outer, r.stride = append(r.outer, ks), append(r.stride, stride)
			stride *= int(dims[k])
		}
		slices.Reverse(r.outer)
		slices.Reverse(r.stride)
	}
	r.index = make([]int, len(r.outer))
	r.over = len(r.spans) == 0 || inner == 0 || slices.ContainsFunc(r.outer, func(ks []int) bool { return len(ks) == 0 })
	r.begin()
	return r
}

// begin sets the start of the current outer indices.
func (r *runs) begin() {
	r.start = 0
	if !r.over {
		for k, i := range r.index {
			r.start += r.outer[k][i] * r.stride[k]
		}
	}
}

// next hands out the next stretch, of at most n bytes: where it begins in the tensor, and its length, 0 at the end.
func (r *runs) next(n int) (from, length int) {
	if r.over {
		return 0, 0
	}
	s := r.spans[r.span]
	from = r.start + s[0] + r.used
	length = min(n, s[1]-s[0]-r.used)
	if r.used += length; r.used < s[1]-s[0] {
		return from, length
	}
	r.used = 0
	if r.span++; r.span < len(r.spans) {
		return from, length
	}
	r.span = 0
	for k := len(r.index) - 1; ; k-- {
		if k < 0 {
			r.over = true
			break
		}
		if r.index[k]++; r.index[k] < len(r.outer[k]) {
			break
		}
		r.index[k] = 0
	}
	r.begin()
	return from, length
}

// left is more than zero where not everything was handed out.
func (r *runs) left() int {
	_, n := r.next(1)
	return n
}

// sources returns, for every element that stays, its index in the whole tensor.
func sources(dims []int64, keep [][]int) []int {
	var out []int
	for r := newRuns(dims, keep, 1); ; {
		from, n := r.next(math.MaxInt)
		if n == 0 {
			return out
		}
		for i := range n {
			out = append(out, from+i)
		}
	}
}

// sameSmall is sameContent for strings, and for elements that share bytes.
func sameSmall(o, p *onnxio.Tensor, keep [][]int) string {
	from := sources(o.Dims, keep)
	if o.DataType == onnxio.String {
		a, err1 := o.Strings()
		b, err2 := p.Strings()
		if err := errors.Join(err1, err2); err != nil {
			return err.Error()
		}
		for i, k := range from {
			if b[i] != a[k] {
				return fmt.Sprintf("element %v is %q, and should be %q, the original's element %v", position(p.Dims, i), b[i], a[k], position(o.Dims, k))
			}
		}
		return ""
	}
	a, err1 := o.Raw()
	b, err2 := p.Raw()
	if err := errors.Join(err1, err2); err != nil {
		return err.Error()
	}
	bits := o.DataType.Bits()
	if bits == 0 {
		return fmt.Sprintf("the type %v is not known", o.DataType)
	}
	for i, k := range from {
		if x, y := bitsAt(b, bits, i), bitsAt(a, bits, k); x != y {
			return fmt.Sprintf("element %v has the bits %0*b, and should have %0*b, those of the original's element %v", position(p.Dims, i), bits, x, bits, y, position(o.Dims, k))
		}
	}
	return ""
}

func bitsAt(b []byte, bits, i int) byte {
	per := 8 / bits
	return b[i/per] >> (i % per * bits) & (1<<bits - 1)
}

// firstDifference describes the first element that differs, and counts all.
func firstDifference(o, p *onnxio.Tensor, keep [][]int) string {
	a, err1 := o.Raw()
	b, err2 := p.Raw()
	if err := errors.Join(err1, err2); err != nil {
		return err.Error()
	}
	width := o.DataType.Bits() / 8
	from := sources(o.Dims, keep)
	text, differ := "", 0
	for i, k := range from {
		x, y := b[i*width:(i+1)*width], a[k*width:(k+1)*width]
		if bytes.Equal(x, y) {
			continue
		}
		if differ++; differ == 1 {
			text = fmt.Sprintf("element %v is %s, and should be %s, the original's element %v", position(p.Dims, i), number(x, o.DataType), number(y, o.DataType), position(o.Dims, k))
		}
	}
	return fmt.Sprintf("%s (%d of %d elements differ)", text, differ, len(from))
}

// position is an element's index along every axis.
func position(dims []int64, i int) []int {
	out := make([]int, len(dims))
	for k := len(dims) - 1; k >= 0; k-- {
		out[k] = i % int(dims[k])
		i /= int(dims[k])
	}
	return out
}

func float64At(raw []byte, i int) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:]))
}

// number shows one element.
func number(b []byte, dtype onnxio.DataType) string {
	t := onnxio.NewTensor("", dtype, nil, b)
	if vs, err := numbers(t); err == nil {
		return fmt.Sprint(vs[0])
	}
	return fmt.Sprintf("%x", b)
}
