package kernels

// Exact integer products on floating-point kernels. A product of two 9-bit
// differences (value minus zero point) has at most 16 bits, so a sum of 256 of
// them is below 2^24 and every step of it exact in float32. Longer sums are cut
// into parts of at most 256 terms, each computed by the float32 kernels, which are
// as fast as any, and added up in 32-bit integers.

import "fmt"

// exactTerms is how many products of 9-bit integers float32 adds exactly:
// 256 * 255 * 255 < 2^24.
const exactTerms = 256

// GemmInt32 computes C = (A - aZero) * (B - bZero) exactly in 32-bit integers,
// which wrap around as the format's accumulators do. A is m x k, B k x n, C m x
// n, rows lda, ldb, ldc apart. aZero has no element (zero), one, or one per row
// of A; bZero none, one, or one per column of B.
func GemmInt32[A, B int8 | uint8](p *Pool, m, n, k int, a []A, lda int, aZero []A,
	b []B, ldb int, bZero []B, c []int32, ldc int) {
	if m <= 0 || n <= 0 {
		return
	}
	for i := range m {
		clear(c[i*ldc : i*ldc+n])
	}
	left, right, sums := borrow(m*exactTerms), borrow(n*exactTerms), borrow(m*n)
	defer giveBack(left)
	defer giveBack(right)
	defer giveBack(sums)
	for k0 := 0; k0 < k; k0 += exactTerms {
		terms := min(exactTerms, k-k0)
		for i := range m {
			widen((*left)[i*terms:(i+1)*terms], a[i*lda+k0:], zeroPoint(aZero, i))
		}
		for q := range terms {
			row := (*right)[q*n : (q+1)*n]
			if len(bZero) < 2 {
				widen(row, b[(k0+q)*ldb:], zeroPoint(bZero, 0))
				continue
			}
			for j, v := range b[(k0+q)*ldb : (k0+q)*ldb+n] {
				row[j] = float32(int32(v) - int32(bZero[j]))
			}
		}
		Gemm(p, false, false, m, n, terms, 1, *left, terms, *right, n, 0, *sums, n)
		for i := range m {
			addIntegers(c[i*ldc:i*ldc+n], (*sums)[i*n:])
		}
	}
}

func zeroPoint[T int8 | uint8](zeros []T, i int) int32 {
	switch len(zeros) {
	case 0:
		return 0
	case 1:
		return int32(zeros[0])
	}
	return int32(zeros[i])
}

// widen sets dst[i] = src[i] - zero.
func widen[T int8 | uint8](dst []float32, src []T, zero int32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] = float32(int32(v) - zero)
	}
}

// addIntegers adds floats that are integers.
func addIntegers(dst []int32, src []float32) {
	src = src[:len(dst)]
	for i, v := range src {
		dst[i] += int32(v)
	}
}

// ConvInt32 computes a convolution of 8-bit integers exactly: y = (x - xZero)
// conv (weights - wZero) in 32-bit integers, padding counting as xZero. wZero has
// no element (zero), one, or one per output channel. Layouts are those of Conv.
func ConvInt32[X, W int8 | uint8](p *Pool, c Conv, x []X, xZero X, weights []W, wZero []W,
	n int, inSpatial []int, y []int32) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	out, err := c.OutSpatial(inSpatial)
	if err != nil {
		return err
	}
	taps, perGroup := volume(c.Kernel), c.InChannels/c.Groups
	switch {
	case len(x) != n*c.InChannels*volume(inSpatial):
		return fmt.Errorf("integer convolution: input of %d elements, want %d", len(x), n*c.InChannels*volume(inSpatial))
	case len(weights) != c.OutChannels*perGroup*taps:
		return fmt.Errorf("integer convolution: %d weights, want %d", len(weights), c.OutChannels*perGroup*taps)
	case len(y) != n*c.OutChannels*volume(out):
		return fmt.Errorf("integer convolution: output of %d elements, want %d", len(y), n*c.OutChannels*volume(out))
	case len(wZero) > 1 && len(wZero) != c.OutChannels:
		return fmt.Errorf("integer convolution: %d zero points for %d output channels", len(wZero), c.OutChannels)
	case taps > exactTerms:
		return fmt.Errorf("integer convolution: kernel %v has more than %d elements", c.Kernel, exactTerms)
	}
	clear(y)
	sums := make([]float32, len(y))
	step := exactTerms / max(taps, 1)
	for first := 0; first < perGroup; first += step {
		part := c
		part.Exact = true
		count := min(step, perGroup-first)
		part.InChannels = count * c.Groups
		plan, err := NewConv(part, widenWeights(&c, weights, wZero, first, count), nil)
		if err != nil {
			return err
		}
		input := widenChannels(&c, x, xZero, n, volume(inSpatial), first, count)
		if err := plan.Run(p, input, n, inSpatial, sums, Activation{}); err != nil {
			return err
		}
		addIntegers(y, sums)
	}
	return nil
}

// widenWeights takes some input channels of each group.
func widenWeights[W int8 | uint8](c *Conv, weights, zeros []W, first, count int) []float32 {
	taps, perGroup := volume(c.Kernel), c.InChannels/c.Groups
	part := make([]float32, c.OutChannels*count*taps)
	for oc := range c.OutChannels {
		widen(part[oc*count*taps:(oc+1)*count*taps], weights[(oc*perGroup+first)*taps:], zeroPoint(zeros, oc))
	}
	return part
}

// widenChannels takes the same channels of the input.
func widenChannels[X int8 | uint8](c *Conv, x []X, zero X, n, size, first, count int) []float32 {
	perGroup := c.InChannels / c.Groups
	part := make([]float32, n*c.Groups*count*size)
	for i := range n * c.Groups {
		widen(part[i*count*size:(i+1)*count*size], x[(i*perGroup+first)*size:], int32(zero))
	}
	return part
}
