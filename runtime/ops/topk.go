package ops

// TopK and Unique: operators that order elements. Equal elements keep the order of their indices, as in ONNX Runtime.

import (
	"cmp"
	"fmt"
	"slices"

	"onnxprune/onnxio"
	"onnxprune/runtime/value"
)

func init() {
	Register("", "TopK", buildTopK, 1, 10, 11, 24)
	Register("", "Unique", buildUnique, 11)
}

// ordering compares two elements of a tensor, of an ordered type, by their positions.
func ordering(t *value.Tensor) (func(i, j int) int, error) {
	switch d := t.Data.(type) {
	case []float32:
		return compareIn(d), nil
	case []float64:
		return compareIn(d), nil
	case []int8:
		return compareIn(d), nil
	case []int16:
		return compareIn(d), nil
	case []int32:
		return compareIn(d), nil
	case []int64:
		return compareIn(d), nil
	case []uint8:
		if bits := t.Type; bits == onnxio.Uint8 || bits == onnxio.Uint4 || bits == onnxio.Uint2 {
			return compareIn(d), nil
		}
	case []uint16:
		if t.Type == onnxio.Uint16 {
			return compareIn(d), nil
		}
		wide, _ := t.Floats()
		return compareIn(wide), nil
	case []uint32:
		return compareIn(d), nil
	case []uint64:
		return compareIn(d), nil
	case []string:
		return compareIn(d), nil
	case []bool:
		wide, _ := t.Ints()
		return compareIn(wide), nil
	}
	return nil, fmt.Errorf("%v has no order", t.Type)
}

// compareIn orders NaN before all other numbers, so that the order is total.
func compareIn[T cmp.Ordered](d []T) func(i, j int) int {
	return func(i, j int) int { return cmp.Compare(d[i], d[j]) }
}

func buildTopK(n *Node) (Kernel, error) {
	given, fixed := int(n.Int("axis", -1)), 0
	inputs := 2
	if n.Since < 10 {
		inputs, fixed = 1, int(n.Int("k", -1))
		if fixed < 0 {
			return nil, fmt.Errorf("attribute k is missing or negative")
		}
	}
	if err := n.CheckInputs(inputs, inputs); err != nil {
		return nil, err
	}
	largest := true
	if n.Since >= 11 {
		largest = n.Bool("largest", true)
		n.Ignore("sorted") // an unsorted result may have any order, and this one is sorted
	}
	if err := checkOutputs(n, 2); err != nil {
		return nil, err
	}
	outputs := len(n.Outputs)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		k := fixed
		axis, err := axisIn(given, len(in[0].Shape))
		if err == nil && len(in) > 1 {
			k, err = oneInt(in[1], "k")
		}
		if err != nil {
			return nil, fmt.Errorf("%v: %w", in[0], err)
		}
		if k < 0 || k > in[0].Shape[axis] {
			return nil, fmt.Errorf("the top %d of axis %d of %v", k, axis, in[0])
		}
		values, indices, err := topK(c, in[0], axis, k, largest)
		if err != nil {
			return nil, err
		}
		return []*value.Tensor{values, indices}[:outputs], nil
	}), nil
}

func topK(c *Context, t *value.Tensor, axis, k int, largest bool) (values, indices *value.Tensor, err error) {
	first, err := selection(t, largest)
	if err != nil {
		return nil, nil, err
	}
	shape := slices.Clone(t.Shape)
	shape[axis] = k
	if values, err = c.New(t.Type, shape...); err != nil {
		return nil, nil, err
	}
	if indices, err = c.New(onnxio.Int64, shape...); err != nil || values.Len() == 0 {
		return values, indices, err
	}
	outer, inner := splitAt(t.Shape, axis)
	n := t.Shape[axis]
	offsets, ix := make([]int, values.Len()), value.Of[int64](indices)
	c.Pool.Do(outer*inner, moveGrain/(8*n)+1, func(lo, hi int) {
		for l := lo; l < hi; l++ {
			o, i := l/inner, l%inner
			for r, at := range first(o*n*inner+i, inner, n, k) {
				out := (o*k+r)*inner + i
				offsets[out], ix[out] = at, int64(at/inner%n)
			}
		}
	})
	moverOf(values).gather(c.Pool, moverOf(t), offsets, 1)
	return values, indices, nil
}

// selector returns the positions of the k first of n elements that begin at start and are step apart, in their order.
type selector func(start, step, n, k int) []int

// selection returns the selector of t's element type.
func selection(t *value.Tensor, largest bool) (selector, error) {
	switch d := t.Data.(type) {
	case []float32:
		return selectFrom(d, largest), nil
	case []float64:
		return selectFrom(d, largest), nil
	case []uint16:
		if isHalf(t.Type) {
			wide, _ := t.Floats()
			return selectFrom(wide, largest), nil
		}
	case []uint64:
		return selectFrom(d, largest), nil
	}
	if ints, ok := t.Ints(); ok {
		return selectFrom(ints, largest), nil
	}
	return nil, fmt.Errorf("%v has no order", t.Type)
}

func selectFrom[T cmp.Ordered](d []T, largest bool) selector {
	before := func(i, j int) int { // negative when position i comes first
		if c := cmp.Compare(d[i], d[j]); c != 0 && largest {
			return -c
		} else if c != 0 {
			return c
		}
		return i - j
	}
	return func(start, step, n, k int) []int {
		line := make([]int, k, max(k, 1))
		if k > n/8 {
			line = slices.Grow(line, n-k)[:n]
		}
		for i := range line {
			line[i] = start + i*step
		}
		if len(line) == k && k > 0 { // few out of many: a heap whose root is the last of them
			for i := k/2 - 1; i >= 0; i-- {
				sink(line, i, before)
			}
			for at := start + k*step; at < start+n*step; at += step {
				if v, root := d[at], d[line[0]]; largest && v <= root || !largest && v >= root {
					continue
				}
				if before(at, line[0]) < 0 {
					line[0] = at
					sink(line, 0, before)
				}
			}
		}
		slices.SortFunc(line, before)
		return line[:k]
	}
}

// sink lets the i-th entry of a heap go down to its place.
func sink(heap []int, i int, before func(i, j int) int) {
	for {
		child := 2*i + 1
		if child >= len(heap) {
			return
		}
		if child+1 < len(heap) && before(heap[child], heap[child+1]) < 0 {
			child++
		}
		if before(heap[i], heap[child]) >= 0 {
			return
		}
		heap[i], heap[child] = heap[child], heap[i]
		i = child
	}
}

func buildUnique(n *Node) (Kernel, error) {
	if err := n.CheckInputs(1, 1); err != nil {
		return nil, err
	}
	if err := checkOutputs(n, 4); err != nil {
		return nil, err
	}
	given, flat, sorted := int(n.Int("axis", 0)), !n.Has("axis"), n.Bool("sorted", true)
	outputs := len(n.Outputs)
	return TensorFunc(func(c *Context, in []*value.Tensor) ([]*value.Tensor, error) {
		t := in[0]
		if flat {
			t = t.View(t.Len())
		}
		axis, err := axisIn(given, len(t.Shape))
		if err != nil {
			return nil, fmt.Errorf("%v: %w", t, err)
		}
		u, err := uniqueAlong(t, axis, sorted)
		if err != nil {
			return nil, err
		}
		y, err := selected(c, t, axis, u.first)
		if err != nil {
			return nil, err
		}
		return []*value.Tensor{y, int64s(u.first), int64s(u.inverse), int64s(u.counts)}[:outputs], nil
	}), nil
}

// uniques describes the distinct slices of an axis.
type uniques struct {
	first   []int // where each one first stands
	inverse []int // for each slice, which of them it is
	counts  []int
}

func uniqueAlong(t *value.Tensor, axis int, sorted bool) (*uniques, error) {
	compare, err := ordering(t)
	if err != nil {
		return nil, err
	}
	outer, inner := splitAt(t.Shape, axis)
	n := t.Shape[axis]
	compareSlices := func(a, b int) int {
		for o := range outer {
			for i := range inner {
				if c := compare((o*n+a)*inner+i, (o*n+b)*inner+i); c != 0 {
					return c
				}
			}
		}
		return 0
	}
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, compareSlices)
	u := &uniques{inverse: make([]int, n)}
	for k, i := range order {
		if k == 0 || compareSlices(order[k-1], i) != 0 {
			u.first, u.counts = append(u.first, i), append(u.counts, 0)
		}
		last := len(u.first) - 1
		u.counts[last]++
		u.inverse[i] = last
	}
	if !sorted {
		u.byFirst()
	}
	return u, nil
}

// byFirst puts the distinct slices in the order in which they first stand in the tensor.
func (u *uniques) byFirst() {
	order := make([]int, len(u.first))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return u.first[a] - u.first[b] })
	rank, first, counts := make([]int, len(order)), make([]int, len(order)), make([]int, len(order))
	for r, o := range order {
		rank[o], first[r], counts[r] = r, u.first[o], u.counts[o]
	}
	for i, k := range u.inverse {
		u.inverse[i] = rank[k]
	}
	u.first, u.counts = first, counts
}

func int64s(vs []int) *value.Tensor {
	out := make([]int64, len(vs))
	for i, v := range vs {
		out[i] = int64(v)
	}
	return value.From(out, len(out))
}
