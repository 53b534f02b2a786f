package ops

// Broadcasting. The output is walked in runs along which every operand either advances with it or stands still. Output
// axes that all operands treat alike are merged first, so equal shapes are one long run, a scalar is one run, and a
// value per channel makes one run per channel. Loops see plain slices of equal length: an operand that stands still is
// spelled out in a small block, which costs little more than reading a register, and spares a loop per combination.

import (
	"fmt"
	"slices"

	"onnxprune/runtime/value"
)

const (
	elementGrain  = 16384 // elements worth a thread where each costs about a nanosecond
	functionGrain = 2048  // the same where each is a call of exp or the like
	blockLength   = 512   // elements of a block in which a standing operand is spelled out
	shortRun      = 16    // runs below this are gathered into blocks
)

// broadcast is the walk over the output of an operator whose inputs are broadcast against each other.
type broadcast struct {
	shape   []int   // of the output
	size    int     // elements of the output
	dims    []int   // output axes after merging; the last is the run
	strides [][]int // per operand: its step along each of dims
}

// newBroadcast broadcasts shapes against each other by the rule of NumPy.
func newBroadcast(shapes ...[]int) (*broadcast, error) {
	if same := equalShapes(shapes); same != nil {
		return same, nil
	}
	shape, err := broadcastShape(shapes...)
	if err != nil {
		return nil, err
	}
	return broadcastTo(shape, shapes...), nil
}

// equalShapes is the walk of one run, where all shapes are equal; else nil.
func equalShapes(shapes [][]int) *broadcast {
	for _, s := range shapes[1:] {
		if !slices.Equal(s, shapes[0]) {
			return nil
		}
	}
	size := value.Count(shapes[0])
	b := &broadcast{shape: shapes[0], size: size, dims: []int{size}, strides: make([][]int, len(shapes))}
	step := []int{1}
	for k := range b.strides {
		b.strides[k] = step
	}
	return b
}

// broadcastShape returns the shape that all shapes broadcast to.
func broadcastShape(shapes ...[]int) ([]int, error) {
	rank := 0
	for _, s := range shapes {
		rank = max(rank, len(s))
	}
	shape := make([]int, rank)
	for d := range shape {
		shape[d] = 1
		for _, s := range shapes {
			i := d - rank + len(s)
			if i < 0 || s[i] == 1 || s[i] == shape[d] {
				continue
			}
			if shape[d] != 1 {
				return nil, fmt.Errorf("shapes %v cannot be broadcast: axis %d from the end is %d and %d", shapes, rank-d, shape[d], s[i])
			}
			shape[d] = s[i]
		}
	}
	return shape, nil
}

// broadcastTo walks an output of this shape, to which all operands must broadcast.
func broadcastTo(shape []int, shapes ...[]int) *broadcast {
	b := &broadcast{shape: shape, size: value.Count(shape), strides: make([][]int, len(shapes))}
	full := make([][]int, len(shapes))
	for k, s := range shapes {
		full[k] = make([]int, len(shape))
		step := 1
		for i := len(s) - 1; i >= 0; i-- {
			if s[i] != 1 {
				full[k][i+len(shape)-len(s)] = step
			}
			step *= s[i]
		}
	}
	for d, size := range shape {
		if size == 1 {
			continue
		}
		last := len(b.dims) - 1
		merges := last >= 0
		for k := range full {
			merges = merges && b.strides[k][last] == full[k][d]*size
		}
		if merges {
			b.dims[last] *= size
		} else {
			b.dims = append(b.dims, size)
		}
		for k := range full {
			if merges {
				b.strides[k][last] = full[k][d]
			} else {
				b.strides[k] = append(b.strides[k], full[k][d])
			}
		}
	}
	if len(b.dims) == 0 {
		b.dims = []int{1}
		for k := range b.strides {
			b.strides[k] = []int{0}
		}
	}
	return b
}

// place returns the offset of operand k at output element i.
func (b *broadcast) place(k, i int) int {
	off := 0
	for d := len(b.dims) - 1; d >= 0; d-- {
		off += i % b.dims[d] * b.strides[k][d]
		i /= b.dims[d]
	}
	return off
}

// runs cuts output elements lo..hi into pieces that loops can take: whole runs where no operand stands still,
// blocks otherwise.
func (b *broadcast) runs(lo, hi int, f func(at, n int)) {
	run := b.dims[len(b.dims)-1]
	limit := run
	for k := range b.strides {
		if b.strides[k][len(b.dims)-1] == 0 {
			limit = min(run, blockLength)
		}
	}
	if run < shortRun {
		for at := lo; at < hi; at += blockLength {
			f(at, min(blockLength, hi-at))
		}
		return
	}
	for at := lo; at < hi; {
		n := min(run-at%run, limit, hi-at)
		f(at, n)
		at += n
	}
}

// operand gives the elements of one operand piece by piece.
type operand[T any] struct {
	b     *broadcast
	k     int
	x     []T
	block []T
	held  int // offset of the value that fills block, -1 for none
	index []int
	whole bool // the operand has the output's shape
}

func newOperand[T any](b *broadcast, k int, x []T) *operand[T] {
	o := &operand[T]{b: b, k: k, x: x, held: -1, whole: true}
	step := 1
	for d := len(b.dims) - 1; d >= 0; d-- {
		o.whole = o.whole && b.strides[k][d] == step
		step *= b.dims[d]
	}
	return o
}

// piece returns the operand's elements for n output elements from at on.
func (o *operand[T]) piece(at, n int) []T {
	if o.whole {
		return o.x[at : at+n]
	}
	last := len(o.b.dims) - 1
	if o.b.dims[last] < shortRun && last > 0 {
		return o.gather(at, n)
	}
	off := o.b.place(o.k, at)
	if o.b.strides[o.k][last] != 0 {
		return o.x[off : off+n]
	}
	if o.block == nil {
		o.block = make([]T, min(o.b.size, blockLength))
	}
	if o.held != off {
		o.held = off
		for i := range o.block {
			o.block[i] = o.x[off]
		}
	}
	return o.block[:n]
}

// gather copies elements of many short runs together.
func (o *operand[T]) gather(at, n int) []T {
	dims, strides := o.b.dims, o.b.strides[o.k]
	last := len(dims) - 1
	if o.block == nil {
		o.block, o.index = make([]T, blockLength), make([]int, len(dims))
	}
	rest, off := at, 0
	for d := last; d >= 0; d-- {
		o.index[d] = rest % dims[d]
		off += o.index[d] * strides[d]
		rest /= dims[d]
	}
	for i := range o.block[:n] {
		o.block[i] = o.x[off]
		for d := last; d >= 0; d-- {
			off += strides[d]
			if o.index[d]++; o.index[d] < dims[d] {
				break
			}
			off -= dims[d] * strides[d]
			o.index[d] = 0
		}
	}
	return o.block[:n]
}

// zip2 fills dst with loop over two broadcast operands.
func zip2[R, A, B any](c *Context, w *broadcast, grain int, dst []R, a []A, b []B, loop func(dst []R, a []A, b []B)) {
	c.Pool.Do(w.size, grain, func(lo, hi int) {
		left, right := newOperand(w, 0, a), newOperand(w, 1, b)
		w.runs(lo, hi, func(at, n int) { loop(dst[at:at+n], left.piece(at, n), right.piece(at, n)) })
	})
}

// zip3 fills dst with loop over three broadcast operands.
func zip3[R, A, B, C any](c *Context, w *broadcast, grain int, dst []R, x []A, y []B, z []C, loop func(dst []R, x []A, y []B, z []C)) {
	c.Pool.Do(w.size, grain, func(lo, hi int) {
		first, second, third := newOperand(w, 0, x), newOperand(w, 1, y), newOperand(w, 2, z)
		w.runs(lo, hi, func(at, n int) {
			loop(dst[at:at+n], first.piece(at, n), second.piece(at, n), third.piece(at, n))
		})
	})
}
