package kernels

// The tiers of amd64, by what the CPU and the operating system allow.

import "golang.org/x/sys/cpu"

func archTiers() []*tier {
	var found []*tier
	if !cpu.X86.HasAVX2 || !cpu.X86.HasFMA || !cpu.X86.HasBMI2 {
		return nil
	}
	found = append(found, &tier{name: "avx2", gemm: avx2MicroKernel, transposeFours: transposeFours,
		packs:     &vectorPacking{8, packLanesAVX2, packEvenLanesAVX2},
		depthwise: stripAVX2, maxima: stripMaximaAVX2, winograd: avx2Winograd, maths: avx2Maths})
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL {
		found = append(found, &tier{name: "avx512", gemm: avx512MicroKernel, transposeFours: transposeFours,
			packs: &vectorPacking{16, packLanesAVX512, packEvenLanesAVX512}, depthwise: stripAVX512, maxima: stripMaximaAVX512, winograd: avx512Winograd, maths: avx512Maths})
	}
	return found
}

var avx512Winograd = &winogradTransforms{lanes: 16, masked: true, input: winogradInputAVX512, output: winogradOutputAVX512,
	split: splitFoursAVX512, join: joinFoursAVX512}

var avx2Winograd = &winogradTransforms{lanes: 8, input: winogradInputAVX2, output: winogradOutputAVX2,
	split: splitFoursAVX2, join: joinFoursAVX2}
