package main

// The logistic function as ONNX Runtime computes it, to the last bit.

import "github.com/mmcloughlin/avo/reg"

// logistic is 1/2 + p(x)/q(x) for x within 18 of zero, p odd and q even: the
// approximation of Eigen and of Microsoft's MLAS (ONNX Runtime,
// mlas/lib/logistic.cpp). The order of operations is theirs. It overwrites x.
func (m *maths) logistic(x reg.VecVirtual) reg.VecVirtual {
	ctx := m.ctx
	ctx.VMAXPS(x, m.load(-18), x)
	ctx.VMINPS(x, m.load(18), x)
	square := m.w.new(ctx)
	ctx.VMULPS(x, x, square)
	p := m.polynomial(square, 4.37031012579801e-11, 1.15627324459942e-07, 6.08574864600143e-05, 8.51377133304701e-03, 2.48287947061529e-01)
	q := m.polynomial(square, 6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06, 1.70198817374094e-03,
		1.16817656904453e-01, 9.93151921023180e-01)
	ctx.VMULPS(x, p, p)
	ctx.VDIVPS(q, p, p)
	ctx.VADDPS(m.constant(0.5), p, p)
	ctx.VMAXPS(p, m.load(0), p)
	return p
}
