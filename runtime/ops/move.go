package ops

// Many operators only move elements and do not care what they are. They see the elements of a tensor as a mover: a few
// ways of copying (boxes with steps, lookups by one table per axis, blocks at given offsets) that are
// written once over a type parameter. Offsets and steps count elements.

import (
	"fmt"

	"onnxprune/runtime/kernels"
	"onnxprune/runtime/value"
)

// mover is the elements of one tensor. The source given to a method must be of the same element type.
type mover interface {
	// box copies a box of the given shape; each side starts at an offset and has a step per axis, which may be zero or negative
	// at the source.
	box(p *kernels.Pool, shape []int, at int, steps []int, src mover, from int, srcSteps []int)
	// lookup fills a dense tensor of the given shape: its element (i, j, ...) is the source's element at
	// tables[0][i] + tables[1][j] + ...; where a table says -1 the element keeps what it was.
	lookup(p *kernels.Pool, shape []int, src mover, tables [][]int)
	// gather fills the i-th block of size elements from the source at offsets[i].
	gather(p *kernels.Pool, src mover, offsets []int, size int)
	// scatter puts the source's i-th block of size elements at offsets[i], in order.
	scatter(src mover, offsets []int, size int)
	// fill sets all elements to the source's first.
	fill(p *kernels.Pool, src mover)
	// transpose permutes the axes of a source of the given shape.
	transpose(p *kernels.Pool, src mover, shape, perm []int) error
}

type cells[T any] []T

// moverOf returns t's elements as a mover.
func moverOf(t *value.Tensor) mover {
	switch d := t.Data.(type) {
	case []float32:
		return cells[float32](d)
	case []float64:
		return cells[float64](d)
	case []int8:
		return cells[int8](d)
	case []int16:
		return cells[int16](d)
	case []int32:
		return cells[int32](d)
	case []int64:
		return cells[int64](d)
	case []uint8:
		return cells[uint8](d)
	case []uint16:
		return cells[uint16](d)
	case []uint32:
		return cells[uint32](d)
	case []uint64:
		return cells[uint64](d)
	case []bool:
		return cells[bool](d)
	case []string:
		return cells[string](d)
	case []complex64:
		return cells[complex64](d)
	}
	return cells[complex128](t.Data.([]complex128))
}

// moveGrain is how many elements are worth another thread.
const moveGrain = 32 << 10

func (c cells[T]) box(p *kernels.Pool, shape []int, at int, steps []int, src mover, from int, srcSteps []int) {
	s := src.(cells[T])
	if value.Count(shape) == 0 {
		return
	}
	shape, steps, srcSteps = mergeBox(shape, steps, srcSteps)
	last := len(shape) - 1
	n, step, srcStep := shape[last], steps[last], srcSteps[last]
	if last == 0 {
		p.Do(n, moveGrain, func(lo, hi int) {
			copyRow(c, at+lo*step, step, s, from+lo*srcStep, srcStep, hi-lo)
		})
		return
	}
	p.Do(value.Count(shape[:last]), moveGrain/n+1, func(lo, hi int) {
		o := newOdometer(shape[:last], lo, steps, srcSteps)
		for range hi - lo {
			copyRow(c, at+o.at, step, s, from+o.from, srcStep, n)
			o.next()
		}
	})
}

func copyRow[T any](dst []T, at, step int, src []T, from, srcStep, n int) {
	switch {
	case step == 1 && srcStep == 1:
		copy(dst[at:at+n], src[from:from+n])
	case step == 1 && srcStep == 0:
		repeatValue(dst[at:at+n], src[from])
	default:
		for range n {
			dst[at] = src[from]
			at += step
			from += srcStep
		}
	}
}

// mergeBox drops axes of size one and joins axes that both sides walk through without a gap.
func mergeBox(shape, steps, srcSteps []int) (s, a, b []int) {
	for d, n := range shape {
		if n == 1 {
			continue
		}
		if k := len(s) - 1; k >= 0 && a[k] == steps[d]*n && b[k] == srcSteps[d]*n {
			s[k] *= n
			a[k], b[k] = steps[d], srcSteps[d]
			continue
		}
		s, a, b = append(s, n), append(a, steps[d]), append(b, srcSteps[d])
	}
	if len(s) == 0 {
		return []int{1}, []int{1}, []int{1}
	}
	return s, a, b
}

// odometer counts through a shape and keeps two offsets up to date.
type odometer struct {
	shape, index, steps, srcSteps []int
	at, from                      int
}

func newOdometer(shape []int, start int, steps, srcSteps []int) *odometer {
	o := &odometer{shape: shape, index: make([]int, len(shape)), steps: steps, srcSteps: srcSteps}
	for d := len(shape) - 1; d >= 0; d-- {
		o.index[d] = start % shape[d]
		start /= shape[d]
		o.at += o.index[d] * steps[d]
		o.from += o.index[d] * srcSteps[d]
	}
	return o
}

func (o *odometer) next() {
	for d := len(o.shape) - 1; d >= 0; d-- {
		o.index[d]++
		o.at += o.steps[d]
		o.from += o.srcSteps[d]
		if o.index[d] < o.shape[d] {
			return
		}
		o.index[d] = 0
		o.at -= o.shape[d] * o.steps[d]
		o.from -= o.shape[d] * o.srcSteps[d]
	}
}

func (c cells[T]) lookup(p *kernels.Pool, shape []int, src mover, tables [][]int) {
	s := src.(cells[T])
	if len(c) == 0 {
		return
	}
	if len(shape) == 0 {
		c[0] = s[0]
		return
	}
	// the leading axes are cut up among the threads until there are enough pieces
	lead := 0
	for lead < len(shape)-1 && value.Count(shape[:lead]) < 4*p.Threads() {
		lead++
	}
	size := value.Count(shape[lead:])
	twice := doubles(tables[len(tables)-1])
	p.Do(value.Count(shape[:lead]), moveGrain/size+1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			from, rest := 0, i
			for d := lead - 1; d >= 0 && from >= 0; d-- {
				if o := tables[d][rest%shape[d]]; o >= 0 {
					from += o
				} else {
					from = -1
				}
				rest /= shape[d]
			}
			if from >= 0 {
				lookup(c[i*size:(i+1)*size], s, from, shape[lead:], tables[lead:], twice)
			}
		}
	})
}

// lookup fills one piece; twice says that the last table doubles every element.
func lookup[T any](dst, src []T, from int, shape []int, tables [][]int, twice bool) {
	if len(shape) == 1 {
		lookupRow(dst, src[from:], tables[0], twice)
		return
	}
	size := len(dst) / shape[0]
	for i, o := range tables[0] {
		switch {
		case o < 0:
		case i > 0 && o == tables[0][i-1]: // the row above is the same one
			copy(dst[i*size:(i+1)*size], dst[(i-1)*size:])
		default:
			lookup(dst[i*size:(i+1)*size], src, from+o, shape[1:], tables[1:], twice)
		}
	}
}

func lookupRow[T any](dst, src []T, table []int, twice bool) {
	if twice {
		src = src[:len(dst)/2]
		for i, v := range src {
			dst[2*i], dst[2*i+1] = v, v
		}
		return
	}
	for i, o := range table {
		if o >= 0 {
			dst[i] = src[o]
		}
	}
}

// doubles reports whether a table says 0, 0, 1, 1, 2, 2, ...: the commonest of all resizes.
func doubles(table []int) bool {
	for i, o := range table {
		if o != i/2 {
			return false
		}
	}
	return len(table)%2 == 0
}

func (c cells[T]) gather(p *kernels.Pool, src mover, offsets []int, size int) {
	s := src.(cells[T])
	p.Do(len(offsets), moveGrain/max(size, 1)+1, func(lo, hi int) {
		if size == 1 {
			for i, o := range offsets[lo:hi] {
				c[lo+i] = s[o]
			}
			return
		}
		for i := lo; i < hi; i++ {
			copy(c[i*size:(i+1)*size], s[offsets[i]:offsets[i]+size])
		}
	})
}

func (c cells[T]) scatter(src mover, offsets []int, size int) {
	s := src.(cells[T])
	for i, o := range offsets {
		copy(c[o:o+size], s[i*size:(i+1)*size])
	}
}

func (c cells[T]) fill(p *kernels.Pool, src mover) {
	v := src.(cells[T])[0]
	p.Do(len(c), moveGrain, func(lo, hi int) {
		repeatValue(c[lo:hi], v)
	})
}

// repeatValue fills dst with v: a few at first, which are then copied, as copying is what memory is fastest at.
func repeatValue[T any](dst []T, v T) {
	const first = 256
	for i := range dst[:min(first, len(dst))] {
		dst[i] = v
	}
	for at := first; at < len(dst); {
		at += copy(dst[at:], dst[:min(at, 16*first)])
	}
}

func (c cells[T]) transpose(p *kernels.Pool, src mover, shape, perm []int) error {
	return kernels.Transpose(p, c, src.(cells[T]), shape, perm)
}

// stridesOf returns how many elements one step along each axis of a dense tensor is.
func stridesOf(shape []int) []int {
	s := make([]int, len(shape))
	step := 1
	for d := len(shape) - 1; d >= 0; d-- {
		s[d] = step
		step *= shape[d]
	}
	return s
}

// copyOf returns a tensor of its own with t's elements.
func copyOf(c *Context, t *value.Tensor) (*value.Tensor, error) {
	out, err := c.New(t.Type, t.Shape...)
	if err != nil {
		return nil, err
	}
	moverOf(out).box(c.Pool, []int{t.Len()}, 0, []int{1}, moverOf(t), 0, []int{1})
	return out, nil
}

// axisIn resolves a possibly negative axis of a tensor of the given rank.
func axisIn(axis, rank int) (int, error) {
	if axis < -rank || axis >= rank {
		return 0, fmt.Errorf("axis %d does not exist in %d dimensions", axis, rank)
	}
	if axis < 0 {
		axis += rank
	}
	return axis, nil
}

// axesIn resolves a list of axes, each of which may be named once.
func axesIn(axes []int, rank int) ([]int, error) {
	out := make([]int, len(axes))
	seen := make([]bool, rank)
	for i, a := range axes {
		a, err := axisIn(a, rank)
		if err != nil {
			return nil, err
		}
		if seen[a] {
			return nil, fmt.Errorf("axis %d is named twice in %v", a, axes)
		}
		seen[a] = true
		out[i] = a
	}
	return out, nil
}

// intsOf returns the elements of an integer tensor.
func intsOf(t *value.Tensor, what string) ([]int, error) {
	vs, ok := t.Ints()
	if !ok {
		return nil, fmt.Errorf("%s is %v, want integers", what, t)
	}
	out := make([]int, len(vs))
	for i, v := range vs {
		out[i] = int(v)
	}
	return out, nil
}

// oneInt returns the element of an integer tensor that holds exactly one.
func oneInt(t *value.Tensor, what string) (int, error) {
	vs, err := intsOf(t, what)
	if err == nil && len(vs) != 1 {
		err = fmt.Errorf("%s is %v, want one integer", what, t)
	}
	if err != nil {
		return 0, err
	}
	return vs[0], nil
}

// splitAt returns the product of the dimensions before an axis and of those behind it.
func splitAt(shape []int, axis int) (outer, inner int) {
	return value.Count(shape[:axis]), value.Count(shape[axis+1:])
}

// checkOutputs returns an error when the node names more outputs than the operator has.
func checkOutputs(n *Node, most int) error {
	if len(n.Outputs) > most {
		return fmt.Errorf("it has %d outputs, at most %d are understood", len(n.Outputs), most)
	}
	return nil
}
