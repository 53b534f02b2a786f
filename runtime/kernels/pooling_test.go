package kernels

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// poolCases are checked against bruteWindow, which follows the definition.
var poolCases = []struct {
	name    string
	window  Window
	planes  int
	in, out []int
}{
	{"2x2 stride 2", Window{Kernel: []int{2, 2}, Strides: []int{2, 2}}, 3, []int{8, 10}, []int{4, 5}},
	{"3x3 stride 2, padded", Window{Kernel: []int{3, 3}, Strides: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}}, 2, []int{11, 35}, []int{6, 18}},
	{"3x3 stride 1", Window{Kernel: []int{3, 3}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}}, 2, []int{7, 19}, []int{7, 19}},
	{"5x5 stride 1, as in spatial pyramids", Window{Kernel: []int{5, 5}, PadsBegin: []int{2, 2}, PadsEnd: []int{2, 2}}, 2, []int{20, 20}, []int{20, 20}},
	{"13x13 wider than the map", Window{Kernel: []int{13, 13}, PadsBegin: []int{6, 6}, PadsEnd: []int{6, 6}}, 2, []int{5, 4}, []int{5, 4}},
	{"rounded up past the padding", Window{Kernel: []int{3, 3}, Strides: []int{2, 2}, PadsBegin: []int{0, 0}, PadsEnd: []int{0, 1}}, 2, []int{8, 7}, []int{4, 4}},
	{"dilated", Window{Kernel: []int{3, 2}, Dilations: []int{2, 3}, PadsBegin: []int{2, 1}, PadsEnd: []int{1, 3}}, 2, []int{7, 9}, []int{6, 10}},
	{"1-d", Window{Kernel: []int{4}, Strides: []int{3}, PadsBegin: []int{2}, PadsEnd: []int{1}}, 4, []int{14}, []int{5}},
	{"3-d", Window{Kernel: []int{2, 3, 2}, Strides: []int{1, 2, 2}, PadsBegin: []int{1, 0, 1}}, 2, []int{4, 7, 6}, []int{4, 3, 3}},
	{"window with nothing inside", Window{Kernel: []int{2, 2}, PadsBegin: []int{2, 0}, PadsEnd: []int{0, 0}}, 1, []int{3, 4}, []int{4, 3}},
	{"dilation far beyond the input", Window{Kernel: []int{2, 1}, Dilations: []int{1 << 28, 1}, PadsBegin: []int{1 << 28, 0}}, 1, []int{3, 4}, []int{3, 4}},
	{"empty input", Window{Kernel: []int{2, 2}, PadsBegin: []int{1, 1}, PadsEnd: []int{1, 1}}, 2, []int{0, 3}, []int{1, 4}},
	{"no planes", Window{Kernel: []int{2, 2}}, 0, []int{3, 4}, []int{2, 3}},
	{"no output", Window{Kernel: []int{5, 5}}, 2, []int{3, 4}, []int{0, 0}},
}

// bruteWindow lists the input positions of a window, and how many positions lie
// in the input or its padding.
func bruteWindow(w Window, in, out []int, o int) (inside []int, padded int) {
	rank := len(in)
	at, tap := make([]int, rank), make([]int, rank)
	unravel(o, out, at)
	get := func(s []int, d, otherwise int) int {
		if s == nil {
			return otherwise
		}
		return s[d]
	}
	for k := range volume(w.Kernel) {
		unravel(k, w.Kernel, tap)
		flat, isInside, isPadded := 0, true, true
		for d := range rank {
			i := at[d]*get(w.Strides, d, 1) - get(w.PadsBegin, d, 0) + tap[d]*get(w.Dilations, d, 1)
			isInside = isInside && i >= 0 && i < in[d]
			isPadded = isPadded && i < in[d]+get(w.PadsEnd, d, 0)
			flat = flat*in[d] + i
		}
		if isInside {
			inside = append(inside, flat)
		}
		if isPadded {
			padded++
		}
	}
	return inside, padded
}

func TestPoolingAgreesWithItsDefinition(t *testing.T) {
	inEveryTier(t, func(t *testing.T) {
		for _, c := range poolCases {
			t.Run(c.name, func(t *testing.T) { checkPooling(t, c.window, c.planes, c.in, c.out) })
		}
	})
}

func checkPooling(t *testing.T, w Window, planes int, in, out []int) {
	x := randomSlice(1, planes*volume(in))
	size := planes * volume(out)
	y, indices := make([]float32, size), make([]int64, size)
	plain := make([]float32, size)
	must(t, MaxPool(nil, w, x, planes, in, out, y, indices, false))
	must(t, MaxPool(nil, w, x, planes, in, out, plain, nil, false))
	sameBits(t, plain, y)
	mean, meanPadded, norm := make([]float32, size), make([]float32, size), make([]float32, size)
	must(t, AveragePool(nil, w, x, planes, in, out, mean, false))
	must(t, AveragePool(nil, w, x, planes, in, out, meanPadded, true))
	must(t, LpPool(nil, w, 2, x, planes, in, out, norm))
	for i := range size {
		plane, o := i/volume(out), i%volume(out)
		checkWindow(t, x, plane*volume(in), i, w, in, out, o, y, mean, meanPadded, norm, indices)
	}
	threads(t, func(p *Pool) {
		again := make([]float32, size)
		must(t, MaxPool(p, w, x, planes, in, out, again, nil, false))
		sameBits(t, again, y)
		must(t, AveragePool(p, w, x, planes, in, out, again, true))
		sameBits(t, again, meanPadded)
	})
}

func checkWindow(t *testing.T, x []float32, base, i int, w Window, in, out []int, o int,
	y, mean, meanPadded, norm []float32, indices []int64) {
	t.Helper()
	inside, padded := bruteWindow(w, in, out, o)
	best, where, sum, squares := math.Inf(-1), int64(-1), 0.0, 0.0
	for _, q := range inside {
		v := float64(x[base+q])
		if v > best {
			best, where = v, int64(base+q)
		}
		sum, squares = sum+v, squares+v*v
	}
	if float64(y[i]) != best || indices[i] != where {
		t.Fatalf("output %d: maximum %v at %d, want %v at %d", i, y[i], indices[i], best, where)
	}
	near := func(what string, got float32, want float64) {
		if math.Abs(float64(got)-want) > 1e-5 {
			t.Fatalf("output %d: %s %v, want %v", i, what, got, want)
		}
	}
	near("mean", mean[i], sum/float64(max(1, len(inside))))
	near("mean with padding", meanPadded[i], sum/float64(max(1, padded)))
	near("norm", norm[i], math.Sqrt(squares))
}

func TestMaxPoolColumnMajorIndices(t *testing.T) {
	x := []int8{1, 2, 3, 9, 5, 6} // 2x3, maximum of the whole at row 1, column 0
	y, indices := make([]int8, 1), make([]int64, 1)
	w := Window{Kernel: []int{2, 3}}
	must(t, MaxPool(nil, w, x, 1, []int{2, 3}, []int{1, 1}, y, indices, true))
	if y[0] != 9 || indices[0] != 1 {
		t.Errorf("maximum %d at %d, want 9 at 1", y[0], indices[0])
	}
}

func TestGlobalPooling(t *testing.T) {
	x := []float64{1, 2, 3, -4, -2, -3}
	y := make([]float64, 2)
	GlobalAveragePool(nil, x, 2, 3, y)
	if !slices.Equal(y, []float64{2, -3}) {
		t.Errorf("means %v", y)
	}
	GlobalMaxPool(nil, x, 2, 3, y)
	if !slices.Equal(y, []float64{3, -2}) {
		t.Errorf("maxima %v", y)
	}
	GlobalLpPool(nil, 1, x, 2, 3, y)
	if !slices.Equal(y, []float64{6, 9}) {
		t.Errorf("norms %v", y)
	}
}

func BenchmarkMaxPool(b *testing.B) {
	benchmarkTiers(b, func(b *testing.B) {
		for _, k := range []int{2, 3, 5, 13} {
			b.Run(fmt.Sprintf("%dx%d", k, k), func(b *testing.B) {
				w := Window{Kernel: []int{k, k}, PadsBegin: []int{k / 2, k / 2}, PadsEnd: []int{k / 2, k / 2}}
				in, out := []int{40, 40}, []int{40, 40}
				if k < 4 {
					w.Strides, out = []int{2, 2}, []int{20, 20}
				}
				x, y := randomSlice(1, 64*volume(in)), make([]float32, 64*volume(out))
				for b.Loop() {
					if err := MaxPool(nil, w, x, 64, in, out, y, nil, false); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}
