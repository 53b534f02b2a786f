package kernels

import (
	"fmt"
	"testing"
)

func TestTransposeMovesEveryElement(t *testing.T) {
	cases := []struct{ shape, perm []int }{
		{[]int{}, []int{}}, {[]int{5}, []int{0}}, {[]int{3, 4}, []int{1, 0}}, {[]int{33, 50}, []int{1, 0}},
		{[]int{2, 3, 4}, []int{0, 2, 1}}, {[]int{2, 3, 4}, []int{2, 1, 0}}, {[]int{2, 3, 4}, []int{1, 2, 0}},
		{[]int{2, 1, 4, 1}, []int{3, 2, 1, 0}}, {[]int{2, 3, 4, 5}, []int{0, 2, 3, 1}}, {[]int{2, 3, 4, 5}, []int{0, 3, 1, 2}},
		{[]int{2, 3, 4, 5}, []int{2, 3, 0, 1}}, {[]int{2, 3, 2, 5, 2}, []int{4, 1, 3, 0, 2}}, {[]int{1, 1}, []int{1, 0}},
		{[]int{130, 300}, []int{1, 0}}, {[]int{0, 3}, []int{1, 0}}, {[]int{2, 3, 4}, []int{1, 0, 2}},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.shape, c.perm), func(t *testing.T) {
			inEveryTier(t, func(t *testing.T) { checkTranspose[float32](t, c.shape, c.perm) })
			checkTranspose[uint16](t, c.shape, c.perm)
		})
	}
	if Transpose(nil, make([]int, 4), make([]int, 4), []int{2, 2}, []int{0, 0}) == nil {
		t.Error("a permutation with a repeated axis is accepted")
	}
}

func checkTranspose[T Number](t *testing.T, shape, perm []int) {
	size := volume(shape)
	src, dst := make([]T, size), make([]T, size)
	for i := range src {
		src[i] = T(i)
	}
	p := NewPool(3)
	defer p.Close()
	must(t, Transpose(p, dst, src, shape, perm))
	outShape, at := make([]int, len(perm)), make([]int, len(perm))
	for i, a := range perm {
		outShape[i] = shape[a]
	}
	for i := range dst {
		unravel(i, outShape, at)
		source := make([]int, len(at))
		for d, a := range perm {
			source[a] = at[d]
		}
		from := 0
		for d, n := range shape {
			from = from*n + source[d]
		}
		if dst[i] != src[from] {
			t.Fatalf("element %d is %v, want %v", i, dst[i], src[from])
		}
	}
}
