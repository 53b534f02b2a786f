package kernels

// The assembly of element-wise functions.

var avx512Maths = &vectorMaths{
	lanes: 16, add: addAVX512, sub: subAVX512, mul: mulAVX512, div: divAVX512,
	scaleShift: scaleShiftAVX512, clip: clipAVX512, leaky: leakyAVX512,
	hardSigmoid: hardSigmoidAVX512, hardSwish: hardSwishAVX512, exp: expAVX512,
	sigmoid: sigmoidAVX512, logistic: logisticAVX512, silu: siluAVX512, tanh: tanhAVX512, erf: erfAVX512, mish: mishAVX512,
	sum: sumAVX512, squares: squaresAVX512, maximum: maximumAVX512, total: totalAVX512,
}

var avx2Maths = &vectorMaths{
	lanes: 8, add: addAVX2, sub: subAVX2, mul: mulAVX2, div: divAVX2,
	scaleShift: scaleShiftAVX2, clip: clipAVX2, leaky: leakyAVX2,
	hardSigmoid: hardSigmoidAVX2, hardSwish: hardSwishAVX2, exp: expAVX2,
	sigmoid: sigmoidAVX2, logistic: logisticAVX2, silu: siluAVX2, tanh: tanhAVX2, erf: erfAVX2, mish: mishAVX2,
	sum: sumAVX2, squares: squaresAVX2, maximum: maximumAVX2, total: totalAVX2,
}
