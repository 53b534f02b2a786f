package kernels

// The logistic function, to the last bit as ONNX Runtime computes it. A network that
// quantizes by the range of what it sees turns a last bit into 1/255 of the range,
// and sixty layers turn that into other detections: only the same bits give
// the same outputs. Every tier gives these bits.

import "math"

// LogisticSlice is 1 / (1 + e^-x) as 1/2 + p(x)/q(x), within 1.5e-7: the
// approximation of Eigen and of ONNX Runtime's MLAS, with fused multiplications and
// additions in the order that MLAS has them.
func LogisticSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.logistic }, logistic)
}

// SiLUSlice is x times the logistic function of x.
func SiLUSlice(dst, x []float32) {
	apply(dst, x, 0, 0, func(m *vectorMaths) unaryAssembly { return m.silu }, func(v float32) float32 { return v * logistic(v) })
}

var (
	logisticNumerator   = [...]float32{4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01}
	logisticDenominator = [...]float32{6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03,
		1.16817656904453e-01, 9.93151921023180e-01}
)

func logistic(x float32) float32 {
	x = clamp(x, -18, 18)
	square := x * x
	horner := func(coefficients []float32) float32 {
		sum := coefficients[0]
		for _, c := range coefficients[1:] {
			sum = multiplyAdd(sum, square, c)
		}
		return sum
	}
	p := horner(logisticNumerator[:]) * x
	y := p / horner(logisticDenominator[:])
	y += 0.5
	if y < 0 {
		return 0
	}
	return y
}

// multiplyAdd is a*b + c with one rounding to float32. The product is exact in
// float64; its sum with c is rounded to odd there, which makes the second
// rounding the only one that counts (Boldo and Melquiond, 2008).
func multiplyAdd(a, b, c float32) float32 {
	product, addend := float64(a)*float64(b), float64(c)
	sum := product + addend
	part := sum - product
	lost := (product - (sum - part)) + (addend - part)
	if bits := math.Float64bits(sum); lost != 0 && bits&1 == 0 {
		if (lost > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}
