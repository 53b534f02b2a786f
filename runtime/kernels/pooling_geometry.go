package kernels

// The geometry that all kinds of pooling share: which runs of input positions
// lie in the window of an output.

import (
	"fmt"
	"slices"
)

// windows is a pooling layer of given sizes.
type windows struct {
	Window
	planes          int
	in, out         []int
	inSize, outSize int
}

func newWindows(w Window, lenX, planes int, in, out []int, lenY int) (*windows, error) {
	rank := len(w.Kernel)
	w.Strides, w.Dilations = filled(w.Strides, rank, 1), filled(w.Dilations, rank, 1)
	w.PadsBegin, w.PadsEnd = filled(w.PadsBegin, rank, 0), filled(w.PadsEnd, rank, 0)
	for _, s := range [][]int{w.Strides, w.Dilations, w.PadsBegin, w.PadsEnd, in, out} {
		if len(s) != rank {
			return nil, fmt.Errorf("pooling: window %+v from %v to %v: lengths differ", w, in, out)
		}
	}
	if rank == 0 || slices.ContainsFunc(w.Kernel, notPositive) ||
		slices.ContainsFunc(w.Strides, notPositive) || slices.ContainsFunc(w.Dilations, notPositive) {
		return nil, fmt.Errorf("pooling: window %+v must have positive sizes", w)
	}
	if slices.ContainsFunc(w.PadsBegin, negative) || slices.ContainsFunc(w.PadsEnd, negative) {
		return nil, fmt.Errorf("pooling: negative pads %v %v", w.PadsBegin, w.PadsEnd)
	}
	if planes < 0 || slices.ContainsFunc(in, negative) || slices.ContainsFunc(out, negative) {
		return nil, fmt.Errorf("pooling: negative size in %d planes of %v to %v", planes, in, out)
	}
	g := &windows{Window: w, planes: planes, in: in, out: out, inSize: volume(in), outSize: volume(out)}
	if lenX != planes*g.inSize || lenY != planes*g.outSize {
		return nil, fmt.Errorf("pooling: %d planes of %v to %v, but %d elements to %d", planes, in, out, lenX, lenY)
	}
	return g, nil
}

// each calls f for every plane, with a walk of its own per thread.
func (g *windows) each(p *Pool, f func(plane int, walk *windowWalk)) {
	if g.outSize == 0 {
		return
	}
	p.Do(g.planes, grainFor(g.outSize*volume(g.Kernel)), func(lo, hi int) {
		walk := newWindowWalk(g)
		for plane := lo; plane < hi; plane++ {
			f(plane, walk)
		}
	})
}

// index is the position of a maximum, as ONNX counts it.
func (g *windows) index(plane, where int, columnMajor bool) int64 {
	if where < 0 {
		return -1
	}
	if columnMajor {
		flat, weight := 0, 1
		size := g.inSize
		for _, n := range g.in {
			size /= n
			flat += where / size % n * weight
			weight *= n
		}
		where = flat
	}
	return int64(plane)*int64(g.inSize) + int64(where)
}

// windowWalk visits windows; it holds the coordinates that this takes.
type windowWalk struct {
	*windows
	first, count, at []int // of the window's positions inside the input
	origin           []int // of the window, may be negative
}

func newWindowWalk(g *windows) *windowWalk {
	n := len(g.in)
	c := make([]int, 4*n)
	return &windowWalk{windows: g, first: c[:n], count: c[n : 2*n], at: c[2*n : 3*n], origin: c[3*n:]}
}

// visit calls f for the runs of input positions in the window of output o.
func (w *windowWalk) visit(o int, f func(from, length, step int)) {
	unravel(o, w.out, w.at)
	for d := range w.at {
		w.origin[d] = w.at[d]*w.Strides[d] - w.PadsBegin[d]
	}
	for d, start := range w.origin {
		lo, hi := 0, w.Kernel[d]
		if start < 0 {
			lo = (-start + w.Dilations[d] - 1) / w.Dilations[d]
		}
		if over := w.in[d] - start; over <= (hi-1)*w.Dilations[d] {
			hi = max(0, (over+w.Dilations[d]-1)/w.Dilations[d])
		}
		if hi <= lo {
			return
		}
		w.first[d], w.count[d] = start+lo*w.Dilations[d], hi-lo
	}
	last := len(w.at) - 1
	rows := volume(w.count[:last])
	for row := range rows {
		unravel(row, w.count[:last], w.at[:last])
		from := 0
		for d := range last {
			from = from*w.in[d] + w.first[d] + w.at[d]*w.Dilations[d]
		}
		f(from*w.in[last]+w.first[last], w.count[last], w.Dilations[last])
	}
}

// paddedCount is how many positions of the window visited last lie inside the
// input or its padding.
func (w *windowWalk) paddedCount() int {
	n := 1
	for d, start := range w.origin {
		limit := w.in[d] + w.PadsEnd[d] - start
		n *= max(0, min(w.Kernel[d], (limit+w.Dilations[d]-1)/w.Dilations[d]))
	}
	return n
}
