package kernels

// The micro-kernel is the innermost part of every matrix product: a block of C
// small enough for the registers, and one pass over k. All that surrounds it
// (packing, blocking, threads) is common to the tiers.

import "math"

// MicroKernel multiplies a packed panel of A by a packed panel of B.
type MicroKernel struct {
	Name string
	// MR and NR are the most rows and the number of columns of a block of C.
	MR, NR int
	// Run computes, for i < rows <= MR and j < cols <= NR,
	//
	//	c[i*ldc+j] = end(sum over p < k of a[p*rows+i] * b[p*NR+j])
	//
	// Panels of b are always NR wide; columns beyond cols may hold anything.
	// The terms of each element are added in the order of p, with no regard to
	// its place in the block.
	Run func(rows, cols, k int, a, b, c []float32, ldc int, end Ending)
}

// Ending is what happens to a sum before it is stored: what is in C is added if
// Accumulate is set, then the row's Bias unless that is nil; the result is kept
// within Lo and Hi.
type Ending struct {
	Accumulate bool
	Bias       []float32
	Lo, Hi     float32
}

// bare is the ending that only stores, or only adds to C.
func bare(accumulate bool) Ending {
	return Ending{Accumulate: accumulate, Lo: float32(math.Inf(-1)), Hi: float32(math.Inf(1))}
}

// bounds are the limits that an activation comes down to, if it does.
func (a Activation) bounds() (lo, hi float32, ok bool) {
	switch a.Kind {
	case NoActivation:
		return float32(math.Inf(-1)), float32(math.Inf(1)), true
	case Relu:
		return 0, float32(math.Inf(1)), true
	case Clip:
		return a.Alpha, a.Beta, true
	}
	return 0, 0, false
}

// goMicroKernel is 2x4: eight sums and the six factors fit the sixteen
// registers that the Go compiler has; 4x4 spills and is half as fast.
var goMicroKernel = MicroKernel{Name: "go 2x4", MR: 2, NR: 4, Run: runGo2x4}

func runGo2x4(rows, cols, k int, a, b, c []float32, ldc int, end Ending) {
	var block [8]float32
	if rows == 2 {
		block = product2x4(k, a, b)
	} else {
		block = product1x4(k, a, b)
	}
	end.store(rows, cols, block[:], 4, c, ldc)
}

// store ends a block of sums whose rows are ld apart.
func (e *Ending) store(rows, cols int, block []float32, ld int, c []float32, ldc int) {
	for i := range rows {
		row, sums := c[i*ldc:i*ldc+cols], block[i*ld:i*ld+cols]
		for j, v := range sums {
			if e.Accumulate {
				v += row[j]
			}
			if e.Bias != nil {
				v += e.Bias[i]
			}
			row[j] = clamp(v, e.Lo, e.Hi)
		}
	}
}

func product2x4(k int, a, b []float32) [8]float32 {
	var c00, c01, c02, c03, c10, c11, c12, c13 float32
	a, b = a[:2*k], b[:4*k]
	for len(a) >= 2 && len(b) >= 4 {
		a0, a1 := a[0], a[1]
		b0, b1, b2, b3 := b[0], b[1], b[2], b[3]
		c00 += a0 * b0
		c01 += a0 * b1
		c02 += a0 * b2
		c03 += a0 * b3
		c10 += a1 * b0
		c11 += a1 * b1
		c12 += a1 * b2
		c13 += a1 * b3
		a, b = a[2:], b[4:]
	}
	return [8]float32{c00, c01, c02, c03, c10, c11, c12, c13}
}

func product1x4(k int, a, b []float32) [8]float32 {
	var c0, c1, c2, c3 float32
	a, b = a[:k], b[:4*k]
	for len(a) >= 1 && len(b) >= 4 {
		a0 := a[0]
		c0 += a0 * b[0]
		c1 += a0 * b[1]
		c2 += a0 * b[2]
		c3 += a0 * b[3]
		a, b = a[1:], b[4:]
	}
	return [8]float32{c0, c1, c2, c3}
}
