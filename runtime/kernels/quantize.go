package kernels

// Between floats and small integers: the range of numbers, and numbers divided by a
// scale, rounded half to even, moved by a zero point and limited.

import "math"

// quantizeBlock is how many numbers are quantized at a time: their quotients stay
// in the first-level cache.
const quantizeBlock = 1024

// wholeNumbers is 1.5 * 2^23. Floats of this size have no fraction, so adding it
// rounds half to even, and leaves the rounded number in the lowest bits.
const wholeNumbers = 3 << 22

// Extent is the least and the greatest number of x and zero. NaN does not count.
func Extent(x []float32) (lo, hi float32) {
	negated := borrow(quantizeBlock)
	defer giveBack(negated)
	for from := 0; from < len(x); from += quantizeBlock {
		block := x[from:min(from+quantizeBlock, len(x))]
		MulScalar((*negated)[:len(block)], block, -1)
		hi = max(hi, MaxOf(block))
		lo = min(lo, -MaxOf((*negated)[:len(block)]))
	}
	return lo, hi
}

// Quantize sets dst[i] to x[i]/scale, rounded half to even, plus zero, limited to
// least and most, which differ by less than 2^21 from zero. NaN becomes least. round,
// if not nil, changes the quotient first.
func Quantize[D int8 | uint8 | int16 | uint16](dst []D, x []float32, scale float32, round func(float32) float32,
	zero, least, most int32) {
	quotients, scales := borrow(quantizeBlock), borrow(min(len(dst), quantizeBlock))
	defer giveBack(quotients)
	defer giveBack(scales)
	for i := range *scales {
		(*scales)[i] = scale
	}
	for from := 0; from < len(dst); from += quantizeBlock {
		block := dst[from:min(from+quantizeBlock, len(dst))]
		q := (*quotients)[:len(block)]
		Div(q, x[from:from+len(block)], *scales)
		for i := 0; i < len(q) && round != nil; i++ {
			q[i] = round(q[i])
		}
		ClipSlice(q, q, float32(least-zero), float32(most-zero))
		back := zero - int32(math.Float32bits(wholeNumbers))
		for i, v := range q {
			n := int32(math.Float32bits(v+wholeNumbers)) + back
			if v != v {
				n = least
			}
			block[i] = D(n)
		}
	}
}
