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
		{[]int{0, 3}, []int{1, 0}}, {[]int{2, 3, 4}, []int{1, 0, 2}},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.shape, c.perm), func(t *testing.T) {
			size := volume(c.shape)
			src, dst := make([]uint16, size), make([]uint16, size)
			for i := range src {
				src[i] = uint16(i)
			}
			p := NewPool(3)
			defer p.Close()
			must(t, Transpose(p, dst, src, c.shape, c.perm))
			outShape, at := make([]int, len(c.perm)), make([]int, len(c.perm))
			for i, a := range c.perm {
				outShape[i] = c.shape[a]
			}
			for i := range dst {
				unravel(i, outShape, at)
				source := make([]int, len(at))
				for d, a := range c.perm {
					source[a] = at[d]
				}
				from := 0
				for d, n := range c.shape {
					from = from*n + source[d]
				}
				if dst[i] != src[from] {
					t.Fatalf("element %d is %d, want %d", i, dst[i], src[from])
				}
			}
		})
	}
	if Transpose(nil, make([]int, 4), make([]int, 4), []int{2, 2}, []int{0, 0}) == nil {
		t.Error("a permutation with a repeated axis is accepted")
	}
}
