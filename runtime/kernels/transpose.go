package kernels

// Transposition of tensors: axes that stay neighbours are merged first, so most
// real cases become two or three axes; then runs are copied, or, where the last
// axis moves, small square blocks, which keep to a few cache lines.

import "fmt"

// Transpose permutes axes: axis i of dst is axis perm[i] of src, whose shape is
// given. Elements may be of any type.
func Transpose[T any](p *Pool, dst, src []T, shape, perm []int) error {
	if err := checkPermutation(shape, perm); err != nil {
		return err
	}
	size := volume(shape)
	if len(src) != size || len(dst) != size {
		return fmt.Errorf("transpose: shape %v for %d elements to %d", shape, len(src), len(dst))
	}
	if size == 0 {
		return nil
	}
	shape, perm = mergeAxes(shape, perm)
	if len(shape) < 2 {
		copy(dst, src)
		return nil
	}
	t := newTransposition(shape, perm)
	last := len(t.shape) - 1
	p.Do(volume(t.shape[:last-1]), grainFor(t.shape[last-1]*t.shape[last]), func(lo, hi int) {
		at := make([]int, last-1)
		for i := lo; i < hi; i++ {
			unravel(i, t.shape[:last-1], at)
			from := 0
			for d, a := range at {
				from += a * t.steps[d]
			}
			transposePlane(dst[i*t.plane:(i+1)*t.plane], src[from:],
				t.shape[last-1], t.shape[last], t.steps[last-1], t.steps[last])
		}
	})
	return nil
}

func checkPermutation(shape, perm []int) error {
	seen := make([]bool, len(shape))
	for _, a := range perm {
		if a < 0 || a >= len(shape) || seen[a] {
			return fmt.Errorf("transpose: %v is no permutation of the axes of %v", perm, shape)
		}
		seen[a] = true
	}
	if len(perm) != len(shape) {
		return fmt.Errorf("transpose: %v is no permutation of the axes of %v", perm, shape)
	}
	return nil
}

// mergeAxes drops axes of size 1 and joins axes that are neighbours in the
// same order before and after.
func mergeAxes(shape, perm []int) (merged, order []int) {
	var kept []int // source axes in destination order
	for _, a := range perm {
		if shape[a] != 1 {
			kept = append(kept, a)
		}
	}
	follows := func(a, b int) bool { // b comes right after a in the source
		for i := a + 1; i < b; i++ {
			if shape[i] != 1 {
				return false
			}
		}
		return b > a
	}
	var heads, sizes []int
	for i, a := range kept {
		if i > 0 && follows(kept[i-1], a) {
			sizes[len(sizes)-1] *= shape[a]
			continue
		}
		heads, sizes = append(heads, a), append(sizes, shape[a])
	}
	order, merged = make([]int, len(heads)), make([]int, len(heads))
	for i, a := range heads {
		for _, b := range heads {
			if b < a {
				order[i]++
			}
		}
		merged[order[i]] = sizes[i]
	}
	return merged, order
}

// transposition is the loop over the destination: its shape, and how far each
// of its axes steps in the source.
type transposition struct {
	shape, steps []int
	plane        int
}

func newTransposition(shape, perm []int) *transposition {
	strides := make([]int, len(shape))
	step := 1
	for d := len(shape) - 1; d >= 0; d-- {
		strides[d] = step
		step *= shape[d]
	}
	t := &transposition{}
	for _, a := range perm {
		t.shape, t.steps = append(t.shape, shape[a]), append(t.steps, strides[a])
	}
	last := len(perm) - 1
	t.plane = t.shape[last-1] * t.shape[last]
	return t
}

// transposePlane fills rows x cols elements from a source in which they are
// rowStep and colStep apart.
func transposePlane[T any](dst, src []T, rows, cols, rowStep, colStep int) {
	if colStep == 1 {
		for r := range rows {
			copy(dst[r*cols:(r+1)*cols], src[r*rowStep:])
		}
		return
	}
	if rows == 0 || cols == 0 {
		return
	}
	if d, ok := any(dst).([]float32); ok && rowStep == 1 {
		t, s := current.Load(), any(src).([]float32)
		band := 64 // rows, so that the lines written stay in cache
		if cols%256 == 0 {
			band = 8 // at such distances few of them do: they fall into the same sets
		}
		for r := 0; r < rows; r += band {
			t.packRows(d[r*cols:], cols, cols, min(band, rows-r), s[r:], colStep)
		}
		return
	}
	if cols*colStep <= 1<<12 { // a row of dst comes from few enough places
		for r := range rows {
			row := dst[r*cols : (r+1)*cols]
			from := r * rowStep
			for c := range row {
				row[c] = src[from]
				from += colStep
			}
		}
		return
	}
	const block = 16
	for r0 := 0; r0 < rows; r0 += block {
		r1 := min(r0+block, rows)
		for c0 := 0; c0 < cols; c0 += block {
			c1 := min(c0+block, cols)
			for r := r0; r < r1; r++ {
				from := r*rowStep + c0*colStep
				for c := c0; c < c1; c++ {
					dst[r*cols+c] = src[from]
					from += colStep
				}
			}
		}
	}
}
